"""Search of hyperparameters compared with scikit-learn's grid search."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from made_features import make_features
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from bottleneck.errors import FeatureFileError, ProtocolError
from bottleneck.heads.head import Head
from bottleneck.heads.head_catalogue import HEADS, get_head
from bottleneck.heads.search import score_classes, search


def test_search_is_grid_search_over_grouped_folds():
    f = make_features(signal=1.0)
    found = search(get_head("svm"), f.X, f.y, f.groups, inner_splits=4, seed=3)
    grid = [
        {key.replace("svm__", "svc__"): values for key, values in part.items()}
        for part in get_head("svm").grid
    ]
    direct = GridSearchCV(
        make_pipeline(StandardScaler(), SVC(class_weight="balanced")),
        grid,
        scoring="roc_auc",
        cv=StratifiedGroupKFold(4, shuffle=True, random_state=3),
    ).fit(f.X.astype(float), f.y, groups=f.groups)
    assert {f"svc__{k}": v for k, v in found.chosen.items()} == direct.best_params_
    assert found.score == pytest.approx(direct.best_score_)
    np.testing.assert_allclose(
        score_classes(get_head("svm"), found.estimator, f.X)[:, 1],
        direct.decision_function(f.X.astype(float)),
    )


def test_patients_reach_the_inner_folds():
    # Features name the patient and nothing else, so that without groups the narrow kernel that
    # remembers patients wins with an AUROC near 1, and with them nothing does.
    rng = np.random.default_rng(0)
    patients = rng.normal(size=(40, 30))
    f = make_features(n_patients=40, images=4)
    X = np.repeat(patients, 4, axis=0) + 0.05 * rng.normal(size=(160, 30))
    grouped = search(get_head("svm"), X, f.y, f.groups)
    alone = search(get_head("svm"), X, f.y, None)
    assert alone.score > 0.95
    assert grouped.score < 0.7


@pytest.mark.parametrize("name", HEADS)
def test_search_with_three_classes(name):
    f = make_features(classes=("a", "b", "c"), n_patients=30, signal=4.0)
    head = get_head(name)
    found = search(head, f.X, f.y, f.groups, inner_splits=2)
    scores = score_classes(head, found.estimator, f.X)
    assert scores.shape == (60, 3)
    if head.grid:
        assert found.score > 0.9
    else:
        assert found.score is None
        assert found.chosen == {}
    if name == "prior":
        return
    ranked = [roc_auc_score(f.y == c, scores[:, i]) for i, c in enumerate("abc")]
    assert min(ranked) > 0.95
    assert (np.array(list("abc"))[scores.argmax(axis=1)] == found.estimator.predict(f.X)).all()


@pytest.mark.parametrize("name", ["svm", "mlp"])
def test_search_is_decided_by_its_seed(name):
    f = make_features(n_patients=24)
    head = get_head(name)
    first, again = (search(head, f.X, f.y, f.groups, inner_splits=2, seed=5) for _ in range(2))
    assert first.chosen == again.chosen
    assert first.score == again.score
    np.testing.assert_array_equal(
        score_classes(head, first.estimator, f.X), score_classes(head, again.estimator, f.X)
    )


def test_several_processes_find_the_same():
    f = make_features(n_patients=20)
    head = get_head("logistic")
    one = search(head, f.X, f.y, f.groups, n_jobs=1)
    two = search(head, f.X, f.y, f.groups, n_jobs=2)
    assert one.chosen == two.chosen
    assert one.score == two.score


def test_a_solver_that_stops_at_its_limit_is_reported():
    f = make_features()
    head = get_head("mlp")
    assert search(head, f.X, f.y, f.groups, inner_splits=2).converged
    hurried = Head(head.build(0, {"mlp__max_iter": 2}), head.grid)
    assert not search(hurried, f.X, f.y, f.groups, inner_splits=2).converged


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_not_finite_are_refused(value):
    f = make_features()
    f.X[[3, 7], 0] = value
    with pytest.raises(FeatureFileError, match="2 of 80 samples are not finite"):
        search(get_head("svm"), f.X, f.y, f.groups)


def test_a_class_of_one_patient_is_refused():
    f = make_features(n_patients=20)
    rows = (f.y == "benign") | (f.groups == "patient-01")
    with pytest.raises(ProtocolError, match="1 patient of class 'malignant'"):
        search(get_head("svm"), f.X[rows], f.y[rows], f.groups[rows])
    # The prior needs no inner folds.
    assert search(get_head("prior"), f.X[rows], f.y[rows], f.groups[rows]).converged


@pytest.mark.parametrize("name", ["svm_2018", "linear_svc_2018"])
def test_a_head_with_one_candidate_has_the_scores_of_cross_validation(name):
    f = make_features(n_patients=20)
    head = get_head(name)
    folds = list(StratifiedGroupKFold(3).split(f.X, f.y, f.groups))
    found = search(head, f.X, f.y, f.groups, folds=folds)
    expected = cross_val_predict(
        head.build(0), f.X.astype(float), f.y, cv=folds, method="decision_function"
    )
    np.testing.assert_allclose(found.inner_scores[:, 1], expected, atol=1e-9)
    alone = search(head, f.X, f.y, f.groups, needs_scores=False)
    assert (alone.inner_scores, alone.score) == (None, None)
    np.testing.assert_array_equal(
        alone.estimator.decision_function(f.X), found.estimator.decision_function(f.X)
    )


def test_the_models_of_the_inner_folds_score_other_samples_too():
    # The model of an inner fold has the hyperparameters that are best on the other inner folds.
    f = make_features(n_patients=60, signal=0.8)
    X, rows, beside = f.X.astype(float), np.arange(80), np.arange(80, 120)
    folds = list(StratifiedGroupKFold(4).split(X[rows], f.y[rows], f.groups[rows]))
    grid = [0.0001, 0.01, 1.0]
    head = Head(SVC(kernel="linear"), {"C": grid}, name="linear")
    found = search(head, X, f.y, f.groups, rows=rows, folds=folds, beside=beside)
    areas, scores = np.empty((4, 3)), np.empty((40, 4, 3))
    for (n, (train, test)), (m, c) in itertools.product(enumerate(folds), enumerate(grid)):
        model = SVC(kernel="linear", C=c).fit(X[train], f.y[train])
        areas[n, m] = roc_auc_score(f.y[test], model.decision_function(X[test]))
        scores[:, n, m] = model.decision_function(X[beside])
    for n in range(4):
        best = np.delete(areas, n, axis=0).mean(axis=0).argmax()
        np.testing.assert_allclose(found.jackknife[:, n, 1], scores[:, n, best], rtol=1e-6)
    plain = search(head, X[rows], f.y[rows], f.groups[rows], folds=folds)
    np.testing.assert_allclose(found.inner_scores, plain.inner_scores)
    assert found.chosen == plain.chosen
    assert plain.jackknife is None
