"""Scores of heads as torch modules: those of scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.ensemble import (
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from bottleneck.errors import UsageError
from bottleneck.export.classifier.head_scores import score_module
from bottleneck.heads.estimators.classifiers import FewNeighborsClassifier
from bottleneck.heads.estimators.scores import read_scores
from bottleneck.heads.head_catalogue import HEADS, get_head

NAMES = ("a", "b", "c")
ESTIMATORS = [
    ExtraTreesClassifier(4, max_depth=1),
    make_pipeline(StandardScaler(), RandomForestClassifier(3, max_leaf_nodes=2)),
    HistGradientBoostingClassifier(max_iter=3, max_leaf_nodes=2, min_samples_leaf=2),
    KNeighborsClassifier(4),
    KNeighborsClassifier(1, weights="distance"),
    FewNeighborsClassifier(100, weights="distance"),
]


def made(n_classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return features of float32 numbers, with equal rows of different labels."""
    rng = np.random.default_rng(seed)
    codes = np.arange(60) % n_classes
    X = (rng.normal(size=(60, 5)) + codes[:, None]).astype(np.float32).astype(np.float64)
    X[10:14], X[20:25, 0] = X[10], X[20, 0]
    return X, np.array(NAMES)[codes]


def refuse_differences(estimator: Any, kind: Any, n_classes: int) -> None:
    X, y = made(n_classes)
    if type(estimator) is KNeighborsClassifier:  # It takes any of several equally near samples.
        X = np.random.default_rng(0).normal(size=X.shape)
    fitted = clone(estimator).fit(X, y)
    # Training samples, whose features may equal a threshold and whose distance is 0, and others.
    new = np.concatenate([X, made(n_classes, seed=1)[0], X + 1e-9])
    module = score_module(fitted, kind, NAMES[:n_classes])
    expected = read_scores(kind, fitted, new, NAMES[:n_classes])
    np.testing.assert_allclose(module(torch.from_numpy(new)), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("name", HEADS)
# Its scores are compared wherever the solver stopped.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_heads_by_name(name: str, n_classes: int) -> None:
    head = get_head(name)
    refuse_differences(head.estimator, head.kind, n_classes)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
def test_other_trees_and_neighbours(estimator: Any, n_classes: int) -> None:
    refuse_differences(estimator, "probability", n_classes)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_decision_function_of_boosting(n_classes: int) -> None:
    refuse_differences(HistGradientBoostingClassifier(max_iter=3), "decision", n_classes)


@pytest.mark.parametrize(
    "estimator",
    [
        GaussianNB(),
        KNeighborsClassifier(metric="cosine"),
        KNeighborsClassifier(weights=lambda distances: distances),
        HistGradientBoostingClassifier(max_iter=1, categorical_features=[0]),
        make_pipeline(SVC(kernel=lambda a, b: a @ b.T)),
    ],
    ids=lambda one: type(one).__name__,
)
def test_what_is_not_known_is_refused(estimator: Any) -> None:
    X, y = made(2)
    X[:, 0] = np.arange(len(X)) % 2
    kind = "decision" if hasattr(estimator, "decision_function") else "probability"
    with pytest.raises(UsageError, match="cannot be exported"):
        score_module(estimator.fit(X, y), kind, NAMES[:2])
