import warnings
from typing import Any

import numpy as np
import pytest
from sklearn import (
    calibration,
    decomposition,
    discriminant_analysis,
    ensemble,
    feature_selection,
    linear_model,
    multiclass,
    neural_network,
    preprocessing,
    random_projection,
    svm,
)
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV
from sklearn.pipeline import make_pipeline

from bottleneck.errors import UsageError
from bottleneck.explain.maps.exact.linear_decision import LinearDecision
from bottleneck.heads.head_catalogue import get_head
from bottleneck.heads.search import search

CLASSIFIERS = [
    linear_model.LogisticRegression(),
    linear_model.LogisticRegression(penalty=None, fit_intercept=False, max_iter=20),
    linear_model.RidgeClassifier(),
    linear_model.SGDClassifier(random_state=0),
    linear_model.Perceptron(),
    svm.LinearSVC(),
    svm.LinearSVC(fit_intercept=False),
    discriminant_analysis.LinearDiscriminantAnalysis(),
    discriminant_analysis.LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"),
    multiclass.OneVsRestClassifier(make_pipeline(preprocessing.StandardScaler(), svm.LinearSVC())),
    multiclass.OneVsRestClassifier(svm.SVC(kernel="linear")),
    GridSearchCV(linear_model.LogisticRegression(), {"C": [0.1, 1]}, cv=2),
]
TRANSFORMERS = [
    (),
    (preprocessing.StandardScaler(),),
    (preprocessing.StandardScaler(with_mean=False),),
    (preprocessing.StandardScaler(with_std=False),),
    (preprocessing.StandardScaler(with_mean=False, with_std=False),),
    (preprocessing.MinMaxScaler((-1, 2)), preprocessing.StandardScaler()),
    (preprocessing.MaxAbsScaler(), preprocessing.RobustScaler()),
    (preprocessing.RobustScaler(with_centering=False), decomposition.PCA(5, whiten=True)),
    (preprocessing.StandardScaler(), decomposition.PCA(4)),
    (decomposition.IncrementalPCA(4, whiten=True), "passthrough"),
    (decomposition.TruncatedSVD(4), preprocessing.StandardScaler()),
    (random_projection.GaussianRandomProjection(5, random_state=0), preprocessing.MaxAbsScaler()),
    (random_projection.SparseRandomProjection(5, random_state=0),),
    (feature_selection.VarianceThreshold(), preprocessing.StandardScaler()),
    (preprocessing.StandardScaler(), feature_selection.SelectKBest(k=3)),
    (preprocessing.FunctionTransformer(), make_pipeline(preprocessing.MinMaxScaler())),
]


def made(n_classes: int, n: int = 60, width: int = 8) -> tuple[Any, Any]:
    """Return features with a mean far from 0 and one constant column, and labels."""
    rng = np.random.default_rng(n_classes)
    y = np.arange(n) % n_classes
    X = (
        30
        + rng.normal(size=(n, width)) * rng.uniform(0.1, 5, width)
        + y[:, None] * rng.random(width)
    )
    X[:, -1] = 7
    return X, np.array(["benign", "absent", "malignant"])[y]


def check(estimator: Any, X: Any) -> None:
    classes = sorted(estimator.classes_.tolist())
    scores = estimator.decision_function(X)
    expected = np.column_stack([-scores, scores]) if len(classes) == 2 else scores
    for order in (list(range(len(classes))), list(range(len(classes)))[::-1]):
        linear = LinearDecision.of(estimator, [classes[n] for n in order])
        scale = abs(expected).max()
        made = X @ linear.weights.T + linear.intercepts
        np.testing.assert_allclose(made, expected[:, order], atol=1e-9 * scale)
        centred = (X - linear.centre) @ linear.weights.T + linear.at_centre()
        np.testing.assert_allclose(centred, expected[:, order], atol=1e-9 * scale)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("number", range(len(CLASSIFIERS)))
@pytest.mark.filterwarnings("ignore")
def test_linear_classifiers_are_their_weights(number: int, n_classes: int) -> None:
    X, y = made(n_classes)
    check(CLASSIFIERS[number].fit(X, y), X)
    check(make_pipeline(preprocessing.StandardScaler(), CLASSIFIERS[number]).fit(X, y), X)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("number", range(len(TRANSFORMERS)))
@pytest.mark.filterwarnings("ignore:Features .* are constant")
@pytest.mark.filterwarnings("ignore:invalid value")
def test_steps_before_the_classifier_are_folded_in(number: int, n_classes: int) -> None:
    X, y = made(n_classes)
    check(make_pipeline(*TRANSFORMERS[number], svm.LinearSVC(C=0.01)).fit(X, y), X)


def test_a_kernel_machine_of_two_classes_and_wrappers_are_known() -> None:
    X, y = made(2)
    for kernel in (svm.SVC(kernel="linear"), svm.NuSVC(kernel="linear", nu=0.3)):
        check(make_pipeline(preprocessing.StandardScaler(), kernel).fit(X, y), X)
    fitted = make_pipeline(preprocessing.StandardScaler(), svm.LinearSVC()).fit(X, y)
    check(FrozenEstimator(fitted), X)
    check(FixedThresholdClassifier(fitted, threshold=1).fit(X, y), X)
    check(feature_selection.RFE(svm.LinearSVC(), n_features_to_select=3).fit(X, y), X)
    sparse = linear_model.SGDClassifier(random_state=0).fit(X, y).sparsify()
    check(sparse, X)


@pytest.mark.parametrize("name", ["logistic", "ridge", "lda", "linear_svc_2018", "svm"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_linear_heads_of_the_catalogue_are_their_weights(name: str, n_classes: int) -> None:
    X, y = made(n_classes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        head = get_head(name)
        fitted = search(head, X, y, None, inner_splits=2).estimator
    if name == "svm" and (n_classes > 2 or fitted[-1].kernel != "linear"):
        with pytest.raises(UsageError, match="not a weighted sum"):
            LinearDecision.of(fitted, sorted(set(y)))
        fitted = fitted.set_params(svm__kernel="linear").fit(X, y)
        if n_classes > 2:
            return
    check(fitted, X)


def test_the_centre_is_the_mean_that_the_head_measures_from() -> None:
    X, y = made(2)
    scaled = make_pipeline(preprocessing.StandardScaler(), svm.LinearSVC()).fit(X, y)
    linear = LinearDecision.of(scaled, ("absent", "benign"))
    np.testing.assert_allclose(linear.centre, X.mean(axis=0))
    np.testing.assert_allclose(linear.at_centre()[1], scaled[-1].intercept_[0])
    chosen = make_pipeline(feature_selection.VarianceThreshold(), scaled).fit(X, y)
    linear = LinearDecision.of(chosen, ("absent", "benign"))
    np.testing.assert_allclose(linear.centre, [*X.mean(axis=0)[:-1], 0])
    plain = LinearDecision.of(svm.LinearSVC().fit(X, y), ("absent", "benign"))
    assert not plain.centre.any()


@pytest.mark.parametrize(
    ("estimator", "n_classes", "reason"),
    [
        (svm.SVC(), 2, "kernel 'rbf'"),
        (
            svm.SVC(kernel="linear"),
            3,
            "3 classes by votes over pairs, which are not a weighted sum",
        ),
        (neural_network.MLPClassifier(max_iter=2), 2, "MLPClassifier is not known"),
        (ensemble.HistGradientBoostingClassifier(max_iter=2), 2, "not known"),
        (make_pipeline(preprocessing.Normalizer(), svm.LinearSVC()), 2, "their own length"),
        (make_pipeline(preprocessing.MinMaxScaler(clip=True), svm.LinearSVC()), 2, "clip=True"),
        (make_pipeline(preprocessing.PolynomialFeatures(), svm.LinearSVC()), 2, "Polynomial"),
        (
            make_pipeline(preprocessing.FunctionTransformer(np.sqrt), svm.LinearSVC()),
            2,
            "FunctionTransformer",
        ),
        (calibration.CalibratedClassifierCV(svm.LinearSVC(), cv=2), 2, "CalibratedClassifierCV"),
        (multiclass.OneVsOneClassifier(svm.LinearSVC()), 3, "not known"),
        (
            ensemble.VotingClassifier([("a", linear_model.LogisticRegression())], voting="soft"),
            2,
            "VotingClassifier",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_other_decisions_are_refused_with_the_reason(
    estimator: Any, n_classes: int, reason: str
) -> None:
    X, y = made(n_classes)
    with pytest.raises(UsageError, match=reason):
        LinearDecision.of(estimator.fit(X, y), sorted(set(y)))
