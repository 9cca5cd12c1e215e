"""Heads of the catalogue compared with scikit-learn's estimators."""

from __future__ import annotations

import doctest
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import ParameterGrid
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.utils.estimator_checks import check_estimator

from bottleneck.errors import UsageError
from bottleneck.heads import head_catalogue
from bottleneck.heads.estimators.classifiers import BalancedMLPClassifier, FewNeighborsClassifier
from bottleneck.heads.head_catalogue import HEADS, get_head
from bottleneck.heads.search import search


def test_unknown_heads_are_refused_with_the_nearest_name():
    with pytest.raises(UsageError, match="unknown head 'logistc'; did you mean 'logistic'"):
        get_head("logistc")


@pytest.mark.parametrize("name", HEADS)
def test_heads_are_what_they_say(name):
    head = get_head(name)
    assert head.name == name
    pipeline = head.build(3)
    assert [step for step, _ in pipeline.steps][-1] == name
    candidates = [params for part in head.grid for params in ParameterGrid(dict(part))]
    for params in candidates:
        clone(pipeline).set_params(**params)
    assert hasattr(pipeline, "predict_proba") == (head.kind == "probability")


@pytest.mark.parametrize(
    ("name", "unweighted"),
    [
        ("svm", SVC()),
        ("logistic", LogisticRegression()),
        ("mlp", MLPClassifier((64,), max_iter=1000, alpha=10.0, random_state=0)),
    ],
)
def test_heads_standardise_and_weigh_classes_equally(name, unweighted):
    X, y = make_classification(400, 10, weights=[0.86], class_sep=0.4, random_state=0)
    X = X * np.logspace(0, 6, 10)
    pipeline = get_head(name).build(0)
    if name == "mlp":
        pipeline.set_params(mlp__alpha=10.0)
    pipeline.fit(X, y)
    np.testing.assert_allclose(pipeline[0].mean_, X.mean(axis=0))
    plain = make_pipeline(StandardScaler(), unweighted).fit(X, y)
    assert pipeline.predict(X).mean() > 1.5 * plain.predict(X).mean()


@pytest.mark.parametrize("name", HEADS)
def test_heads_take_constant_features(name):
    X = np.random.default_rng(0).normal(size=(40, 4))
    X[:, 1] = 7
    y = np.array(["a", "b"] * 20)
    X[y == "b", 0] += 5
    pipeline = get_head(name).build(0).fit(X, y)
    assert (pipeline.predict(X) == y).mean() > (0.4 if name == "prior" else 0.9)


def test_balanced_mlp_is_an_mlp_with_scikit_learns_balanced_weights():
    X, y = make_classification(120, 6, weights=[0.8], random_state=1)
    options = {"hidden_layer_sizes": (5,), "max_iter": 400, "random_state": 0, "tol": 1e-3}
    balanced = BalancedMLPClassifier(**options).fit(X, y)
    # The weights as the documentation of class_weight="balanced" gives them.
    weights = (len(y) / (2 * np.bincount(y)))[y]
    by_hand = MLPClassifier(**options).fit(X, y, sample_weight=weights)
    np.testing.assert_array_equal(balanced.predict_proba(X), by_hand.predict_proba(X))
    plain = MLPClassifier(**options).fit(X, y)
    assert not np.allclose(balanced.predict_proba(X), plain.predict_proba(X))


@pytest.mark.slow(reason="scikit-learn fits it some hundred times")
def test_balanced_mlp_passes_scikit_learns_checks():
    with warnings.catch_warnings():
        # Its checks fit for a handful of iterations and warn of it; what fails raises.
        warnings.simplefilter("ignore")
        check_estimator(BalancedMLPClassifier((20,), max_iter=200, learning_rate_init=0.02))


@pytest.mark.slow(reason="scikit-learn fits it some hundred times")
def test_nearest_neighbours_pass_scikit_learns_checks():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_estimator(FewNeighborsClassifier(weights="distance"))


def test_nearest_neighbours_are_scikit_learns_where_there_are_enough():
    X, y = make_classification(60, 5, random_state=0)
    few = FewNeighborsClassifier(n_neighbors=7, weights="distance").fit(X[:40], y[:40])
    theirs = KNeighborsClassifier(n_neighbors=7, weights="distance").fit(X[:40], y[:40])
    # Theirs rounds the distance of a sample to itself, and the weight is 1 / distance.
    np.testing.assert_allclose(few.predict_proba(X), theirs.predict_proba(X), atol=1e-6)
    all_of_them = KNeighborsClassifier(n_neighbors=6, weights="distance").fit(X[:6], y[:6])
    few.fit(X[:6], y[:6])
    np.testing.assert_allclose(few.predict_proba(X), all_of_them.predict_proba(X), atol=1e-6)


def test_prior_gives_class_frequencies():
    y = np.array(["a"] * 6 + ["b"] * 2)
    pipeline = get_head("prior").build(0).fit(np.zeros((8, 1)), y)
    np.testing.assert_allclose(pipeline.predict_proba(np.ones((3, 1))), [[0.75, 0.25]] * 3)


def test_logistic_is_scikit_learns_on_standardised_features():
    X, y = make_classification(90, 5, random_state=2)
    ours = get_head("logistic").build(0).set_params(logistic__C=0.1).fit(X, y)
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    direct = LogisticRegression(C=0.1, class_weight="balanced").fit(Z, y)
    np.testing.assert_allclose(ours.predict_proba(X), direct.predict_proba(Z), atol=1e-4)


def test_heads_of_2018_are_scikit_learns_defaults_of_then():
    # gamma was 1 / n_features before 0.22, LinearSVC's dual True before 1.3.
    X, y = make_classification(120, 12, weights=[0.8], random_state=3)
    X = 3 * X + 1
    svc = SVC(C=1.0, kernel="rbf", gamma=1 / 12).fit(X, y)
    ours = search(get_head("svm_2018"), X, y, None).estimator
    np.testing.assert_allclose(ours.decision_function(X), svc.decision_function(X), atol=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        linear = LinearSVC(dual=True, max_iter=1000, random_state=0).fit(X, y)
    ours = search(get_head("linear_svc_2018"), X, y, None).estimator
    np.testing.assert_allclose(ours.decision_function(X), linear.decision_function(X))


def test_examples_give_what_they_show():
    assert doctest.testmod(head_catalogue).failed == 0
