"""Every route against scikit-learn's own: a new pipeline fitted for each candidate."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from made_features import make_features
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, ParameterGrid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from bottleneck.data.splits.patients import inner_folds
from bottleneck.deploy.fit import fit
from bottleneck.deploy.models.model_file import read_model
from bottleneck.heads import head as head_module
from bottleneck.heads import search, shared_fits
from bottleneck.heads.head import LARGE, Head
from bottleneck.heads.head_catalogue import get_head
from bottleneck.heads.shared_fits import fit_candidates, fit_pipeline
from bottleneck.heads.shared_gram_svm import shares_kernels

GRID = list(
    ParameterGrid(
        [
            {"kernel": ["linear"], "C": [1e-4, 1e-2, 1.0, 30.0, 1e3]},
            {"kernel": ["rbf"], "C": [0.1, 10.0, 1e3], "gamma": [1e-4, "scale", "auto", 0.2]},
        ]
    )
)
SVM = SVC(class_weight="balanced")


def make(classes: tuple[str, ...], width: int = 40, **options):
    """Samples whose features differ in scale, one of them constant."""
    f = make_features(classes=classes, width=width, n_patients=36, images=3, **options)
    X = f.X.astype(np.float64) * np.logspace(-2, 3, width)
    X[:, 1] = 7
    return X, f.y, f.groups


def standardised(X, y, train, test):
    scaler = StandardScaler().fit(X[train])
    return scaler.transform(X[train]), y[train], scaler.transform(X[test])


@pytest.mark.parametrize("classes", [("a", "b"), ("a", "b", "c", "d")])
@pytest.mark.parametrize("width", [10, 200])
def test_kernel_matrices_give_scikit_learns_decisions(classes, width):
    X, y, groups = make(classes, width)
    train, test = inner_folds(y, groups, 3, 0)[0]
    assert shares_kernels(SVM, GRID)
    seen = []
    for number, svc, inputs in fit_candidates(SVM, GRID, *standardised(X, y, train, test)):
        direct = make_pipeline(StandardScaler(), clone(SVM).set_params(**GRID[number]))
        expected = direct.fit(X[train], y[train]).decision_function(X[test])
        np.testing.assert_allclose(svc.decision_function(inputs), expected, rtol=0, atol=1e-8)
        seen.append(number)
    assert sorted(seen) == list(range(len(GRID)))


@pytest.mark.parametrize("signal", [0.0, 2.0, 6.0])
def test_a_machine_that_no_bound_holds_serves_every_larger_c(signal):
    candidates = [candidate for candidate in GRID if candidate["kernel"] == "linear"]
    spared = 0
    for seed in range(6):
        X, y, groups = make(("a", "b", "c"), 150, signal=signal, seed=seed)
        # Two nearly equal images of different labels take coefficients far above the others'.
        other = int(np.flatnonzero(y != y[0])[0])
        X[other] = X[0] * (1 + 0.05 * seed)
        part = standardised(X, y, *inner_folds(y, groups, 3, seed)[0])
        distinct = set()
        for number, svc, inputs in fit_candidates(SVM, candidates, *part):
            distinct.add(id(svc))
            cold = clone(SVM).set_params(**candidates[number]).fit(*part[:2])
            expected = cold.decision_function(part[2])
            np.testing.assert_allclose(svc.decision_function(inputs), expected, rtol=0, atol=1e-6)
        spared += len(candidates) - len(distinct)
    assert spared >= 6


def test_other_kernels_and_hyperparameters_are_fitted_one_by_one():
    assert not shares_kernels(SVM, [{"kernel": "poly"}])
    assert not shares_kernels(SVM, [{"kernel": "linear", "tol": 1e-4}])
    assert not shares_kernels(SVC(kernel="sigmoid"), [{"C": 1.0}])
    assert not shares_kernels(LogisticRegression(), [{"C": 1.0}])
    X, y, groups = make(("a", "b"))
    part = standardised(X, y, *inner_folds(y, groups, 3, 0)[0])
    (fitted,) = fit_candidates(SVM, [{"kernel": "poly", "degree": 2}], *part)
    direct = SVC(class_weight="balanced", kernel="poly", degree=2).fit(*part[:2])
    np.testing.assert_array_equal(
        fitted.classifier.decision_function(fitted.inputs), direct.decision_function(part[2])
    )


@pytest.mark.parametrize("classes", [("a", "b"), ("a", "b", "c")])
@pytest.mark.parametrize(
    "chosen",
    [
        {"kernel": "linear", "C": 0.01},
        {"kernel": "rbf", "C": 1.0, "gamma": "scale"},
        {"kernel": "rbf", "C": 10.0, "gamma": 1e-3},
    ],
)
def test_the_fitted_pipeline_is_the_one_that_scikit_learn_fits(classes, chosen):
    X, y, _ = make(classes)
    head = get_head("svm")
    ours = fit_pipeline(head.build(0), chosen, X, y)
    direct = head.build(0)
    direct[-1].set_params(**chosen)
    direct.fit(X, y)
    expected = vars(direct[-1])
    assert vars(ours[-1]).keys() == expected.keys()
    for name, value in vars(ours[-1]).items():
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            np.testing.assert_allclose(value, expected[name], rtol=1e-8, atol=1e-8, err_msg=name)
        elif isinstance(value, np.ndarray):
            np.testing.assert_array_equal(value, expected[name], err_msg=name)
        else:
            assert value == pytest.approx(expected[name]), name
    np.testing.assert_array_equal(ours.predict(X), direct.predict(X))


def grid_search(head, X, y, folds, *, before=()):
    pipeline = make_pipeline(*before, head.build(0))
    grid = [{f"pipeline__{k}": v for k, v in part.items()} for part in head.grid]
    scoring = "roc_auc" if len(set(y)) == 2 else "roc_auc_ovr"
    return GridSearchCV(pipeline, grid, scoring=scoring, cv=folds).fit(X, y)


def test_the_scaler_sees_no_sample_that_is_scored():
    # One patient's images come from a scanner of another scale: a scaler that sees them while they
    # are scored flattens everybody's features, and gives other scores.
    X, y, groups = make(("a", "b"), signal=1.0)
    X[groups == groups[0]] *= 50
    head = get_head("svm")
    folds = inner_folds(y, groups, 3, 0)
    found = search.search(head, X, y, groups, inner_splits=3)
    honest = grid_search(head, X, y, folds)
    np.testing.assert_allclose(found.score, honest.best_score_, rtol=0, atol=1e-9)
    assert {f"pipeline__svm__{k}": v for k, v in found.chosen.items()} == honest.best_params_
    # What is scored has no part in the fit, whatever it holds.
    test = folds[0][1]
    changed = X.copy()
    changed[test, 0] *= 1e6
    one, two = (
        {
            n: svc.dual_coef_
            for n, svc, _ in fit_candidates(SVM, GRID, *standardised(Z, y, *folds[0]))
        }
        for Z in (X, changed)
    )
    for number, coefficients in one.items():
        np.testing.assert_array_equal(coefficients, two[number])
    everything = StandardScaler().fit_transform(X)
    leaked = GridSearchCV(SVM, [{"C": [1e-2], "kernel": ["linear"]}], cv=folds)
    assert not np.allclose(
        leaked.fit(everything, y).best_score_, honest.best_score_, rtol=0, atol=1e-9
    )


def test_the_logistic_path_arrives_where_cold_starts_do():
    X, y, groups = make(("a", "b"), 30, signal=1.0)
    head = get_head("logistic")
    classifier = head.build(0)[-1]
    candidates = [{"C": C} for C in head.grid[0]["logistic__C"]]
    part = standardised(X, y, *inner_folds(y, groups, 3, 0)[0])
    for number, path, inputs in fit_candidates(classifier, candidates, *part, warm_start=True):
        cold = clone(classifier).set_params(**candidates[number]).fit(*part[:2])
        exact = clone(cold).set_params(tol=1e-10).fit(*part[:2]).predict_proba(inputs)
        np.testing.assert_allclose(path.predict_proba(inputs), exact, rtol=0, atol=5e-3)
        np.testing.assert_allclose(
            path.predict_proba(inputs), cold.predict_proba(inputs), atol=5e-3
        )
    folds = inner_folds(y, groups, 3, 0)
    found = search.search(head, X, y, groups, inner_splits=3)
    direct = grid_search(head, X, y, folds)
    assert found.chosen == {"C": direct.best_params_["pipeline__logistic__C"]}
    assert found.score == pytest.approx(direct.best_score_, abs=2e-3)


def test_the_solver_for_many_samples_comes_close_to_the_exact_one():
    head = get_head("svm")
    assert head.for_samples(LARGE) is head
    large = head.for_samples(LARGE + 1)
    assert large is head.large
    rng = np.random.default_rng(0)
    y = np.array(["a", "b"])[(rng.random(3000) < 0.3).astype(int)]
    X = rng.normal(size=(3000, 40)) @ rng.normal(size=(40, 40)) + 2.0 * (y == "b")[:, np.newaxis]
    for C in large.grid[0]["svm__C"]:
        linear = large.build(0).set_params(svm__C=C).fit(X[:2000], y[:2000])
        exact = fit_pipeline(head.build(0), {"kernel": "linear", "C": C}, X[:2000], y[:2000])
        a, b = (p.decision_function(X[2000:]) for p in (linear, exact))
        assert np.corrcoef(a, b)[0, 1] > 0.999


def test_many_samples_are_searched_by_the_linear_solver_with_a_note(tmp_path, monkeypatch):
    monkeypatch.setattr(head_module, "LARGE", 60)
    monkeypatch.setattr(search, "LARGE", 60)
    f = make_features()
    model = fit(f, "svm", inner_splits=2)
    assert model.chosen.items() >= {"kernel": "linear", "solver": "liblinear"}.items()
    assert model.chosen["C"] in get_head("svm").large.grid[0]["svm__C"]
    assert type(model.estimator[-1]).__name__ == "LinearSVC"
    loaded = read_model(model.save(tmp_path / "large.skops"))
    np.testing.assert_array_equal(
        loaded.predict(f).predictions.scores, model.predict(f).predictions.scores
    )
    again = fit(f, "svm", inner_splits=2, n_jobs=2)
    assert again.chosen == model.chosen
    np.testing.assert_array_equal(
        again.predict(f).predictions.scores, model.predict(f).predictions.scores
    )
    # Fewer samples have the exact one.
    rows = slice(0, 60)
    few = dataclasses.replace(
        f, X=f.X[rows], y=f.y[rows], ids=f.ids[rows], stated_patients=f.stated_patients[rows]
    )
    assert "solver" not in fit(few, "svm", inner_splits=2).chosen


@pytest.mark.parametrize("name", ["svm", "logistic"])
def test_threads_find_what_one_finds(name):
    X, y, groups = make(("a", "b", "c"))
    head = get_head(name)
    one, two = (search.search(head, X, y, groups, n_jobs=n, inner_splits=3) for n in (1, 2))
    assert one.chosen == two.chosen
    assert one.score == two.score
    np.testing.assert_array_equal(one.estimator.predict(X), two.estimator.predict(X))


def test_candidates_that_stop_early_do_not_make_the_chosen_one_unconverged():
    X, y, groups = make(("a", "b"))
    head = get_head("svm")
    hurried = Head(head.build(0, {"svm__max_iter": 1}), head.grid)
    assert not search.search(hurried, X, y, groups, inner_splits=2).converged
    with pytest.warns(ConvergenceWarning):
        fit_pipeline(hurried.build(0), {"kernel": "linear"}, X, y)


def test_rows_are_scaled_in_blocks_as_a_whole(monkeypatch):
    monkeypatch.setattr(shared_fits, "LARGE", 60)
    monkeypatch.setattr(shared_fits, "_BLOCK", 7)
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(200, 5)) * [1, 10, 100, 0.1, 0] + 3).astype(np.float32)
    rows = rng.permutation(200)[:150]
    for head, dtype in ((get_head("logistic"), np.float32), (get_head("svm").large, np.float64)):
        pipeline = head.build(0)
        scaled = shared_fits.fit_transform(pipeline, X, rows)
        assert scaled.dtype == dtype
        np.testing.assert_allclose(scaled, StandardScaler().fit_transform(X[rows]), atol=1e-5)
        np.testing.assert_array_equal(scaled.astype(np.float32), pipeline[:-1].transform(X[rows]))


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("name", ["svm", "logistic", "prior"])
def test_rows_of_all_samples_are_searched_like_a_copy_of_them(name, large, monkeypatch):
    if large:
        for module in (head_module, search, shared_fits):
            monkeypatch.setattr(module, "LARGE", 40)
    X, y, groups = make(("a", "b"))
    X, head, rows = X.astype(np.float32), get_head(name), np.arange(len(X))[::-1][5:]
    whole = search.search(head, X, y, groups, rows=rows, inner_splits=2)
    copied = search.search(head, X[rows], y[rows], groups[rows], inner_splits=2)
    assert whole.chosen == copied.chosen
    assert whole.score == copied.score
    a, b = (search.score_classes(head, one.estimator, X) for one in (whole, copied))
    np.testing.assert_array_equal(a, b)
