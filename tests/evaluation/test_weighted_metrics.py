"""Weighted figures and their influences, compared with scikit-learn, pROC's data and scipy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax
from sklearn import metrics as reference

from bottleneck.evaluation.metrics.inference.weighted_metrics import (
    WeightedMetrics,
    average_precision,
)
from bottleneck.evaluation.metrics.metrics import compute_metrics
from bottleneck.predictions import Predictions
from bottleneck.statistics.inference.patient_variance import patient_variance
from bottleneck.statistics.roc.auroc_variance import AurocEstimator

REFERENCE = Path(__file__).parents[1] / "reference"


def predict(classes=("n", "p"), n=40, repeats=2, seed=0) -> Predictions:
    rng = np.random.default_rng(seed)
    codes = np.tile(np.arange(n) % len(classes), repeats)
    scores = np.round(rng.normal(size=(n * repeats, len(classes))), 1)
    scores[np.arange(len(codes)), codes] += 0.7
    names = np.array(classes)
    return Predictions(
        ids=np.tile(np.arange(n).astype(str), repeats),
        groups=None,
        repeats=np.repeat(np.arange(repeats), n),
        folds=np.tile(np.arange(n) // len(classes) % 2, repeats),
        labels=names[codes],
        predicted=names[scores.argmax(axis=1)],
        scores=scores,
        classes=classes,
        kind="decision",
        probabilities=softmax(scores, axis=1),
    )


@pytest.mark.parametrize(("classes", "positive"), [("np", "p"), ("abc", "b"), ("abc", None)])
def test_weights_count_like_copies(classes, positive):
    arm = predict(tuple(classes))
    functionals = WeightedMetrics(arm, positive)
    times = np.random.default_rng(1).integers(0, 4, (3, len(arm)))
    # Every repeat and fold must hold as many samples as before for the means to agree.
    times[1] = 2
    found = functionals.evaluate(times.astype(float))
    for column, rows in enumerate(np.repeat(np.arange(len(arm)), t) for t in times):
        copies = compute_metrics(arm.take(rows), positive=positive)
        for name, value in zip(functionals.names, found[:, column], strict=True):
            assert value == pytest.approx(copies[name]), name


@pytest.mark.parametrize(("classes", "positive"), [("np", "p"), ("abc", "b"), ("abc", None)])
def test_influence_is_the_derivative(classes, positive):
    arm = predict(tuple(classes))
    functionals = WeightedMetrics(arm, positive)
    step = 1e-6 * np.eye(len(arm))
    rise = functionals.evaluate(1 + step) - functionals.evaluate(1 - step)
    np.testing.assert_allclose(functionals.gradient(), rise / 2e-6, atol=1e-8)


def test_average_precision_with_weights_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    true, score = rng.random(50) < 0.3, np.round(rng.normal(size=50), 1)
    weights = rng.random((4, 50))
    expected = [reference.average_precision_score(true, score, sample_weight=w) for w in weights]
    np.testing.assert_allclose(average_precision(true, score, weights), expected)


@pytest.mark.parametrize("name", ["one_class", "both_classes"])
def test_variance_of_an_auroc_is_that_of_obuchowski(name):
    data = pd.read_csv(REFERENCE / "clustered_samples.csv")
    data = data[data.data == name]
    expected = pd.read_csv(REFERENCE / "clustered_auroc.csv", index_col="data").loc[name]
    y = data.y.to_numpy()
    design = AurocEstimator(y)
    influence = design.influence(design.rank(data.a.to_numpy()))
    patients = np.unique(data.patient, return_inverse=True)[1]
    values = influence.positive + influence.negative
    variance, degrees = patient_variance(values, y, np.zeros_like(y), patients)
    assert variance == pytest.approx(expected.variance_a, abs=1e-9)
    full = AurocEstimator(y, patients)
    assert degrees == pytest.approx(full.variance(full.influence(full.rank(data.a)))[1])


def test_variance_of_a_mean_is_that_of_the_textbook():
    rng = np.random.default_rng(0)
    values = rng.normal(size=30)
    alike = np.zeros(30, dtype=np.int64)
    influence = (values - values.mean()) / 30
    variance, degrees = patient_variance(influence, alike, alike, np.arange(30))
    assert variance == pytest.approx(values.var(ddof=1) / 30)
    assert degrees <= 29 + 1e-9
    twice = patient_variance(
        np.tile(influence / 2, 2), np.tile(alike, 2), np.tile(alike, 2), np.tile(np.arange(30), 2)
    )
    assert twice == pytest.approx((variance, degrees))


def test_constant_values_have_no_variance():
    alike = np.zeros(6, dtype=np.int64)
    assert patient_variance(np.zeros(6), alike, alike, np.arange(6)) == (0.0, 0.0)
    variance, _ = patient_variance(np.arange(6.0), alike, alike, alike)
    assert np.isnan(variance)
