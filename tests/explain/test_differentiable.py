"""Decision functions in torch: scikit-learn's values, and gradients as finite differences give."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA, IncrementalPCA, TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_selection import SelectKBest, VarianceThreshold
from sklearn.linear_model import LogisticRegression, RidgeClassifier, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    PowerTransformer,
    RobustScaler,
    StandardScaler,
)
from sklearn.random_projection import GaussianRandomProjection, SparseRandomProjection
from sklearn.svm import SVC, LinearSVC, NuSVC

from bottleneck.errors import UsageError
from bottleneck.explain.maps.gradients.differentiable import (
    differentiable_decision,
    transformer_module,
)

NAMES = ("a", "b", "c")
N_FEATURES = 6

CLASSIFIERS = [
    *(SVC(kernel=kernel, coef0=0.3, degree=2) for kernel in ("linear", "poly", "rbf", "sigmoid")),
    SVC(gamma=0.2, class_weight="balanced"),
    NuSVC(nu=0.3),
    LinearSVC(),
    LogisticRegression(),
    RidgeClassifier(fit_intercept=False),
    LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"),
    LinearDiscriminantAnalysis(),
    SGDClassifier(random_state=0),
    GridSearchCV(SVC(), {"C": [1, 10]}, cv=2),
    OneVsRestClassifier(LinearSVC()),
]
STEPS = [
    [],
    [StandardScaler(with_mean=False), PCA(3, whiten=True)],
    [StandardScaler(with_std=False), TruncatedSVD(4)],
    [RobustScaler(), SelectKBest(k=3)],
    [RobustScaler(with_centering=False, with_scaling=False), PCA(3)],
    [MinMaxScaler((-1, 2), clip=True), "passthrough"],
    [MaxAbsScaler(), VarianceThreshold(), make_pipeline(Normalizer("l1"))],
    [Normalizer("max"), FunctionTransformer()],
    [IncrementalPCA(4, whiten=True), GaussianRandomProjection(3, random_state=0)],
    [MaxAbsScaler(), SparseRandomProjection(3, random_state=0)],
    [Normalizer()],
]


def made(n_classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    codes = np.arange(60) % n_classes
    X = rng.normal(size=(60, N_FEATURES)) * rng.uniform(0.2, 5, N_FEATURES) + codes[:, None]
    return X, np.array(NAMES)[codes]


def in_torch(estimator: Any, X: np.ndarray, n_classes: int) -> np.ndarray:
    decide = differentiable_decision(estimator, NAMES[:n_classes])
    return decide(torch.from_numpy(X)).numpy()


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("classifier", CLASSIFIERS, ids=str)
def test_values_are_those_of_scikit_learn(classifier: Any, n_classes: int) -> None:
    X, y = made(n_classes)
    fitted = make_pipeline(StandardScaler(), classifier).fit(X, y)
    new = made(n_classes, seed=1)[0]
    expected = fitted.decision_function(new)
    if n_classes == 2:
        expected = np.column_stack([-expected, expected])
    assert np.abs(in_torch(fitted, new, n_classes) - expected).max() < 1e-8


@pytest.mark.parametrize("steps", STEPS, ids=str)
def test_steps_of_a_pipeline_are_those_of_scikit_learn(steps: list[Any]) -> None:
    X, y = made(2)
    fitted = make_pipeline(*steps, SVC(kernel="rbf")).fit(X, y)
    new = np.concatenate([2 * made(2, seed=1)[0], np.zeros((1, N_FEATURES))])
    assert np.abs(in_torch(fitted, new, 2)[:, 1] - fitted.decision_function(new)).max() < 1e-8


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
def test_a_perceptron_has_the_log_odds_of_its_probabilities(
    activation: str, n_classes: int
) -> None:
    X, y = made(n_classes)
    network = MLPClassifier((5, 4), activation=activation, tol=1, random_state=0).fit(X, y)
    probabilities = 1 / (1 + np.exp(-in_torch(network, X, n_classes)))
    assert np.abs(probabilities - network.predict_proba(X)).max() < 1e-10


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize(
    "classifier",
    [*CLASSIFIERS[:4], LogisticRegression(), MLPClassifier((5,), tol=1)],
    ids=str,
)
def test_gradients_are_those_of_finite_differences(classifier: Any, n_classes: int) -> None:
    X, y = made(n_classes)
    fitted = make_pipeline(StandardScaler(), classifier).fit(X, y)
    decide = differentiable_decision(fitted, NAMES[:n_classes])
    x = torch.from_numpy(X[:5]).requires_grad_()
    gradient = torch.autograd.grad(decide(x)[:, -1].sum(), x)[0].numpy()
    step = 1e-6
    for feature in range(N_FEATURES):
        moved = np.zeros(N_FEATURES)
        moved[feature] = step
        higher, lower = (in_torch(fitted, X[:5] + one, n_classes)[:, -1] for one in (moved, -moved))
        assert np.abs((higher - lower) / (2 * step) - gradient[:, feature]).max() < 1e-6


def test_columns_follow_the_classes_and_not_the_labels_of_the_fit() -> None:
    X, y = made(3)
    codes = np.searchsorted(NAMES, y)
    of_codes = SVC().fit(X, codes)
    np.testing.assert_array_equal(in_torch(of_codes, X, 3), in_torch(SVC().fit(X, y), X, 3))


@pytest.mark.parametrize(
    "estimator",
    [
        RandomForestClassifier(n_estimators=2),
        KNeighborsClassifier(),
        SVC(kernel=lambda a, b: a @ b.T),
        make_pipeline(PowerTransformer(), LogisticRegression()),
    ],
    ids=lambda one: type(one).__name__,
)
def test_what_has_no_known_gradient_is_refused(estimator: Any) -> None:
    X, y = made(2)
    with pytest.raises(UsageError, match=r"no gradient of .* is known"):
        differentiable_decision(estimator.fit(X, y), NAMES[:2])


def test_one_value_per_pair_is_refused() -> None:
    X, y = made(3)
    with pytest.raises(UsageError, match="set decision_function_shape='ovr'"):
        differentiable_decision(SVC(decision_function_shape="ovo").fit(X, y), NAMES)


@pytest.mark.parametrize(
    "step", [StandardScaler(), RobustScaler(), MinMaxScaler(clip=True), SelectKBest(k=500)], ids=str
)
def test_what_changes_each_feature_alone_is_no_matrix(step: Any) -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(12, 1000)), np.arange(12) % 2
    module = transformer_module(step.fit(X, y), RidgeClassifier().fit(step.transform(X), y))
    np.testing.assert_allclose(module(torch.from_numpy(X)), step.transform(X), atol=1e-15)
    assert sum(one.numel() for one in module.buffers()) <= 2002
