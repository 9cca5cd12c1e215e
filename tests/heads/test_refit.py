"""A head that is fitted again with what a search chose gives the scores of the search."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from made_features import make_features
from sklearn.linear_model import LogisticRegression

from bottleneck.errors import UsageError
from bottleneck.heads.head import Head
from bottleneck.heads.head_catalogue import HEADS, get_head
from bottleneck.heads.refit import refit
from bottleneck.heads.search import score_classes, search

SLOW = ("mlp", "random_forest", "gradient_boosting")


def scores_of(head: Head, classes: int) -> tuple[Any, Any]:
    names = tuple("abcd"[:classes])
    made = make_features(n_patients=24, width=4, classes=names)
    rows = np.arange(0, len(made), 2)
    found = search(head, made.X, made.y, made.patients, rows=rows, inner_splits=2, seed=3)
    kept = json.loads(json.dumps(found.chosen))  # As results.json keeps them.
    again = refit(head, kept, made.X, made.y, rows, seed=3)
    return tuple(score_classes(head, one, made.X) for one in (found.estimator, again))


@pytest.mark.parametrize(
    "name",
    [pytest.param(one, marks=[pytest.mark.slow] if one in SLOW else []) for one in HEADS],
)
def test_the_scores_of_every_head_are_those_of_its_search(name: str) -> None:
    for classes in (2, 3):
        first, again = scores_of(get_head(name), classes)
        np.testing.assert_array_equal(first, again)


def test_a_head_of_ones_own_is_fitted_with_the_candidate_that_was_chosen() -> None:
    own = Head(LogisticRegression(), [{"C": [1e-3]}, {"C": [10.0], "fit_intercept": [False]}])
    first, again = scores_of(own, 2)
    np.testing.assert_array_equal(first, again)


def test_hyperparameters_that_no_candidate_has_are_refused() -> None:
    made = make_features(n_patients=10)
    with pytest.raises(UsageError, match=r"no candidate of ridge has .*: the head has changed"):
        refit(get_head("ridge"), {"alpha": 0.5}, made.X, made.y, np.arange(len(made)), seed=0)


def test_a_single_candidate_is_fitted_without_inner_scores_too() -> None:
    made = make_features(n_patients=10)
    head = Head(LogisticRegression(), {"C": [1e-4]})
    both = [
        search(head, made.X, made.y, made.patients, inner_splits=2, needs_scores=needs)
        for needs in (True, False)
    ]
    assert [one.estimator.C for one in both] == [1e-4, 1e-4]
    assert both[0].chosen == both[1].chosen == {"C": 1e-4}
