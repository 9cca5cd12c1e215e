"""Estimators of others: searched as GridSearchCV does, and their faults named."""

from __future__ import annotations

import warnings

import numpy as np
import own_heads
import pytest
import sklearn
from made_features import make_features
from packaging.version import parse as parse_version
from sklearn import config_context
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import BaggingClassifier, RandomForestClassifier
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV, StratifiedGroupKFold
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from bottleneck.data.splits.protocol import Protocol
from bottleneck.deploy.fit import fit
from bottleneck.errors import UsageError
from bottleneck.evaluation.compare import compare, evaluate
from bottleneck.heads.head import Head
from bottleneck.heads.search import score_classes, search
from bottleneck.report.json_record import results_text

# The search is what is tested; with random states that are set, both draw the same.
SCALED_SVC = make_pipeline(StandardScaler(), SVC())
SEARCHES = {
    "scaled SVC": (SCALED_SVC, {"svc__C": [0.01, 1.0, 10.0], "svc__kernel": ["linear", "rbf"]}),
    "unscaled SVC": (SVC(), {"C": [0.1, 10.0], "gamma": ["scale", "auto"]}),
    "other scaler": (make_pipeline(MinMaxScaler(), SVC()), {"svc__C": [0.1, 10.0]}),
    "first step": (make_pipeline(PCA(random_state=0), GaussianNB()), {"pca__n_components": [2, 9]}),
    "needs labels": (
        make_pipeline(SelectKBest(k=5), StandardScaler(), LogisticRegression()),
        {"logisticregression__C": [1e-3, 1.0, 1e4]},
    ),
    "forest": (
        RandomForestClassifier(8, random_state=0),
        {"max_depth": [1, 3], "max_features": [2]},
    ),
    "steps change": (
        make_pipeline(StandardScaler(), SVC()),
        [{"svc": [LogisticRegression(C=0.1), GaussianNB()]}, {"standardscaler": ["passthrough"]}],
    ),
    "nested": (
        BaggingClassifier(DecisionTreeClassifier(random_state=0), 4, random_state=0),
        {"estimator__max_depth": [1, 4]},
    ),
    "own": (own_heads.Centroid(random_state=0), {"power": [0.5, 2.0]}),
    "no grid": (LinearDiscriminantAnalysis(), None),
}


@pytest.mark.parametrize("name", SEARCHES)
def test_searches_are_those_of_grid_search_over_grouped_folds(name):
    estimator, grid = SEARCHES[name]
    f = make_features(signal=0.7, images=3, n_patients=30, width=12)
    X = f.X.astype(float) * np.logspace(-1, 1, 12) + 3
    if name == "steps change":  # One score for all candidates of GridSearchCV and ours.
        estimator = clone(estimator)
        grid = grid[:1]
    found = search(Head(estimator, grid), X, f.y, f.groups, inner_splits=3, seed=4)
    direct = GridSearchCV(
        estimator,
        grid or {},
        scoring="roc_auc",
        cv=StratifiedGroupKFold(3, shuffle=True, random_state=4),
    ).fit(X, f.y, groups=f.groups)
    assert found.score == pytest.approx(direct.best_score_, abs=1e-12)
    prefix = f"{direct.best_estimator_.steps[-1][0]}__" if hasattr(estimator, "steps") else ""
    expected = {k.removeprefix(prefix): v for k, v in direct.best_params_.items()}
    assert found.chosen.keys() == expected.keys()
    head = Head(estimator, grid)
    ours = score_classes(head, found.estimator, X)[:, 1]
    best = direct.best_estimator_
    theirs = (
        best.predict_proba(X)[:, 1] if head.kind == "probability" else best.decision_function(X)
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-8)
    assert found.inner_scores.shape == (len(X), 2)


def test_three_classes_are_searched_as_grid_search_does():
    f = make_features(classes=("a", "b", "c"), n_patients=30, signal=1.0)
    X = f.X.astype(float)
    grid = {"kneighborsclassifier__n_neighbors": [9, 3]}
    estimator = make_pipeline(StandardScaler(), KNeighborsClassifier())
    found = search(Head(estimator, grid), X, f.y, f.groups, inner_splits=3, seed=4)
    folds = StratifiedGroupKFold(3, shuffle=True, random_state=4)
    direct = GridSearchCV(estimator, grid, scoring="roc_auc_ovr", cv=folds)
    assert found.score == pytest.approx(direct.fit(X, f.y, groups=f.groups).best_score_)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("fit", "the head Centroid cannot be fitted: ValueError: matrix is singular$"),
        ("nan", "predict_proba of Centroid returned scores that are not finite"),
        ("shape", r"of shape \(\d+, 2\), and returned \(\d+,\)"),
        ("odds", "probabilities that are not between 0 and 1"),
        ("halves", r"do not add up to 1 over the classes \(but, in one sample, to 0.5\)"),
        ("swapped", "predicts another class than the one with the largest score"),
        ("company", r"by itself and .* among \d+ samples: the score of a sample must not depend"),
        ("classes", "fitted to the labels benign, malignant, but its classes are x, y"),
    ],
)
def test_faults_of_an_estimator_are_named(fault, message):
    f = make_features(n_patients=12)
    for run in (fit, evaluate):
        options = {"inner_splits": 2} if run is fit else {}
        with pytest.raises(UsageError, match=message):
            run(f, own_heads.Centroid(fault=fault), **options)


def test_estimators_that_take_numbers_only_are_given_codes():
    f = make_features(n_patients=16)
    texts, codes = (
        fit(f, own_heads.Centroid(fault=fault, random_state=0), inner_splits=2)
        for fault in ("", "labels")
    )
    np.testing.assert_array_equal(
        texts.predict(f).predictions.scores, codes.predict(f).predictions.scores
    )
    np.testing.assert_array_equal(
        texts.predict(f).predictions.predicted, codes.predict(f).predictions.predicted
    )
    assert codes.estimator.classes_.tolist() == [0, 1]


def test_codes_that_cannot_be_told_from_labels_are_refused():
    f = make_features(classes=tuple(map(str, range(12))), dataset={"positive": "0"})
    assert fit(f, own_heads.Centroid(), inner_splits=2).classes[2] == "10"
    with pytest.raises(UsageError, match="name the classes by words"):
        fit(f, own_heads.Centroid(fault="labels"), inner_splits=2)


def test_a_threshold_of_its_own_is_refused():
    f = make_features(n_patients=20)
    early = FixedThresholdClassifier(LogisticRegression(), threshold=0.05)
    with pytest.raises(UsageError, match=r"Measures\(at_sensitivity"):
        fit(f, early, inner_splits=2)
    fit(f, DummyClassifier(strategy="uniform"), inner_splits=2)


def test_weights_by_label_never_become_weights_by_code():
    f = make_features(n_patients=12, classes=("1", "2"), dataset={"positive": "2"})
    # scikit-learn 1.9 takes names of digits as numbers.
    name = 1 if parse_version(sklearn.__version__) >= parse_version("1.9") else "1"
    assert fit(f, SVC(class_weight={name: 5})).estimator.class_weight_.tolist() == [5, 1]
    with pytest.raises(UsageError, match="are not in class_weight"):
        fit(f, SVC(class_weight={0: 5}))


def test_columns_follow_the_classes_of_the_estimator():
    f = make_features(n_patients=16)
    forward, backwards = (
        fit(f, own_heads.Centroid(fault=fault, random_state=0), inner_splits=2)
        for fault in ("", "backwards")
    )
    np.testing.assert_allclose(
        forward.predict(f).predictions.scores, backwards.predict(f).predictions.scores, atol=1e-3
    )
    assert forward.inner_score == pytest.approx(backwards.inner_score, abs=0.02)


def test_an_estimator_that_writes_to_its_inputs_changes_nothing_else():
    f = make_features(n_patients=16)
    X, y = f.X.copy(), f.y.copy()
    grid = {"power": [1.0, 1.0, 1.0]}
    head = Head(own_heads.Centroid(fault="writes", random_state=0), grid)
    once = search(head, f.X, f.y, f.groups, inner_splits=2)
    alone = search(Head(head.estimator, {"power": [1.0]}), f.X, f.y, f.groups, inner_splits=2)
    assert once.score == alone.score
    np.testing.assert_array_equal(once.inner_scores, alone.inner_scores)
    np.testing.assert_array_equal(f.X, X)
    np.testing.assert_array_equal(f.y, y)


def test_numbers_that_a_transformer_makes_are_checked():
    f = make_features(n_patients=12)
    logs = make_pipeline(FunctionTransformer(np.log), LogisticRegression())
    with np.errstate(invalid="ignore"), pytest.raises(UsageError, match="contains NaN"):
        fit(f, logs, inner_splits=2)


def test_the_users_configuration_of_scikit_learn_changes_nothing():
    f = make_features(n_patients=12)
    plain = fit(f, "svm", inner_splits=2).predict(f).predictions.scores
    with config_context(transform_output="pandas"):
        np.testing.assert_array_equal(
            fit(f, "svm", inner_splits=2).predict(f).predictions.scores, plain
        )


def test_comparisons_take_estimators_import_paths_and_heads():
    f = make_features(n_patients=20)
    heads = [
        "logistic",
        make_pipeline(StandardScaler(), GaussianNB()),
        "own_heads:Centroid",
        Head(SGDClassifier(), {"alpha": [1.0, 0.01]}, name="hinge <b>"),
    ]
    comparison = compare(f, heads, protocol=Protocol(kind="cv", n_splits=2, inner_splits=2))
    by_head = {e.head: e for e in comparison.evaluations}
    assert list(by_head)[:4] == ["logistic", "GaussianNB", "Centroid", "hinge <b>"]
    assert [by_head[n].weights_classes for n in ("logistic", "GaussianNB")] == [True, False]
    for e in comparison.evaluations[:4]:
        assert e.metrics["auroc"].value > 0.6
        assert e.predictions.probabilities is not None
    words = comparison.protocol["words"]
    assert "GaussianNB: GaussianNB() (sklearn.naive_bayes, scikit-learn " in words
    assert "after StandardScaler() and no other preprocessing, without class weights" in words
    assert "hinge <b>: SGDClassifier() (sklearn.linear_model" in words
    assert "(alpha: 2 candidates)" in words
    assert '"class": "own_heads:Centroid"' in results_text(comparison)
    chosen = by_head["hinge <b>"].chosen
    assert {one["alpha"] for one in chosen} <= {1.0, 0.01}


def test_warnings_are_notes_and_prints_do_not_reach_the_output(capsys):
    f = make_features(n_patients=12)
    protocol = Protocol(kind="cv", n_splits=2, inner_splits=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        comparison = compare(f, own_heads.Centroid(fault="talks"), protocol=protocol)
    notes = [text for text in comparison.warnings if "Centroid warned: " in text]
    assert [note.partition("warned: ")[2][:11] for note in notes] == ["little data", "the mean is"]
    with pytest.warns(UserWarning, match="the classifier of Centroid warned: "):
        fit(f, own_heads.Centroid(fault="talks"), inner_splits=2)
    printed = capsys.readouterr()
    assert "hello" not in printed.out
    assert "hello from fit" in printed.err


def test_estimators_that_draw_from_shared_generators_repeat():
    f = make_features(n_patients=12)
    head = Head(own_heads.Centroid(fault="draws"))
    before = np.random.get_state()[1].copy()
    once, again = (search(head, f.X, f.y, f.groups, inner_splits=2, n_jobs=n) for n in (1, 2))
    assert once.estimator.power == again.estimator.power
    np.testing.assert_array_equal(once.inner_scores, again.inner_scores)
    np.testing.assert_array_equal(np.random.get_state()[1], before)
