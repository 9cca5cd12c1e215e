"""The probability from which on a model decides for its positive class."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from made_features import make_features

import bottleneck
from bottleneck.deploy.models.model import Model
from bottleneck.deploy.prediction.decision_boundary import boundary_probability
from bottleneck.deploy.prediction.deployed_model import decide
from bottleneck.predictions import join_scores


@pytest.fixture(scope="module", params=["svm", "knn"])
def model(request: pytest.FixtureRequest) -> Model:
    features = make_features(width=4, n_patients=40)
    return bottleneck.fit(features, request.param, at_sensitivity=0.9, inner_splits=2, quiet=True)


@pytest.mark.parametrize("has_threshold", [True, False])
@pytest.mark.parametrize("positive", ["benign", "malignant"])
def test_decisions_are_those_of_the_probabilities(
    model: Model, has_threshold: bool, positive: str
) -> None:
    point = model.operating_point if has_threshold else None
    one = dataclasses.replace(model, operating_point=point, positive=positive)
    rows = np.random.default_rng(0).uniform(0, 1, (500, 2))
    rows /= rows.sum(axis=1, keepdims=True)
    if one.kind == "decision":
        rows = np.log(rows[:, :1] / rows[:, 1:]) * [1, -1]
    names = np.arange(500).astype(str)
    scored = join_scores(rows, one.classes, one.kind, ids=names, labels=names, groups=None)
    decided = decide(one, scored, 0.1)
    assert decided.predictions.probabilities is not None
    shown = decided.predictions.probabilities[:, one.classes.index(positive)]
    least = boundary_probability(one)
    assert least is not None
    assert 0 < least < 1
    np.testing.assert_array_equal(decided.decisions == positive, shown >= least)


def test_there_is_none_without_a_positive_class_or_where_a_probability_falls(model: Model) -> None:
    assert model.sigmoids is not None
    falling = dataclasses.replace(model.sigmoids, slopes=(-1.0,))
    assert boundary_probability(dataclasses.replace(model, sigmoids=falling)) is None
    assert (
        boundary_probability(dataclasses.replace(model, positive=None, operating_point=None))
        is None
    )
