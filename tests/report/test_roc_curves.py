"""Bands of ROC curves compared with scikit-learn and with binomial intervals."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from report.factory import make_comparison
from scipy import stats
from sklearn.metrics import roc_curve

from bottleneck.evaluation.results.comparison_results import Comparison
from bottleneck.predictions import Predictions
from bottleneck.report.figures.arm_styles import arms_with_band
from bottleneck.report.figures.roc_curves import _resampled_curves, mean_roc_curve, roc_band


def one_test_set(truth: np.ndarray, score: np.ndarray) -> Predictions:
    n = len(truth)
    labels = np.where(truth, "b", "a")
    return Predictions(
        ids=np.arange(n).astype(str),
        groups=None,
        repeats=np.zeros(n, int),
        folds=np.zeros(n, int),
        labels=labels,
        predicted=labels,
        scores=np.column_stack([-score, score]),
        classes=("a", "b"),
        kind="decision",
    )


def test_a_draw_is_scikit_learns_weighted_curve() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random(60) < 0.4
    score = np.round(rng.normal(size=60) + truth, 1)
    weights = rng.integers(0, 4, (5, 60))
    found = _resampled_curves(truth, score, weights)
    grid = np.linspace(0, 1, 101)
    for weight, curve in zip(weights, found, strict=True):
        fpr, tpr, _ = roc_curve(truth, score, sample_weight=weight, drop_intermediate=False)
        np.testing.assert_allclose(curve, np.interp(grid, fpr, tpr), atol=1e-12)


def test_a_draw_without_a_class_has_no_curve() -> None:
    truth = np.array([True, False, False])
    found = _resampled_curves(truth, np.array([0.3, 0.2, 0.1]), np.array([[0, 1, 2], [1, 1, 1]]))
    assert np.isnan(found[0]).all()
    assert (found[1] == 1).all()


def test_ends_are_binomial_where_thresholds_hardly_move() -> None:
    # So many negatives that the threshold of each rate is fixed: what is left is a proportion.
    rng = np.random.default_rng(1)
    truth = np.arange(6000) < 80
    score = rng.normal(size=6000) + 1.2 * truth
    band = roc_band(one_test_set(truth, score), "b")
    for at in (10, 30, 50):
        share = (score[truth] >= np.quantile(score[~truth], 1 - at / 100)).mean()
        low, high = stats.binom.ppf([0.025, 0.975], 80, share) / 80
        assert band.low[at] == pytest.approx(low, abs=0.03)
        assert band.high[at] == pytest.approx(high, abs=0.03)


def test_band_surrounds_the_mean_curve(binary: Comparison) -> None:
    for e in binary.evaluations[:3]:
        band = roc_band(e.predictions, "malignant")
        fpr, tpr = mean_roc_curve(e.predictions, "malignant")
        curve = np.interp(band.fpr, fpr, tpr)
        assert (band.low <= curve + 0.02).all()
        assert (curve <= band.high + 0.02).all()
        assert (band.low < band.high).sum() > 50


def test_doubled_images_change_nothing(binary: Comparison) -> None:
    p = binary.evaluations[0].predictions
    twice = Predictions.concatenate([p, p])
    one, two = roc_band(p, "malignant"), roc_band(twice, "malignant")
    np.testing.assert_allclose(one.low, two.low, atol=1e-12)
    np.testing.assert_allclose(one.high, two.high, atol=1e-12)


def test_images_of_one_patient_widen_the_band() -> None:
    rng = np.random.default_rng(2)
    truth = np.repeat(rng.random(40) < 0.5, 5)
    score = np.repeat(rng.normal(size=40), 5) + truth
    apart = one_test_set(truth, score)
    together = dataclasses.replace(apart, groups=np.repeat(np.arange(40).astype(str), 5))
    widths = [np.mean(b.high - b.low) for p in (apart, together) if (b := roc_band(p, "b"))]
    assert widths[1] > 1.5 * widths[0]


def test_no_band_where_a_fold_lacks_a_class(binary: Comparison) -> None:
    p = binary.evaluations[0].predictions
    lacking = dataclasses.replace(p, folds=np.where(p.labels == "benign", 9, p.folds))
    assert roc_band(lacking, "malignant") is None


def test_few_arms_have_bands_and_of_many_the_best(binary: Comparison) -> None:
    best = max(binary.evaluations, key=lambda e: e.metrics["auroc"].value)
    assert arms_with_band(binary.evaluations) == [best]
    few = make_comparison(heads=("svm", "logistic"), sources=(("a", "b", 1.0),), n=90)
    assert arms_with_band(few.evaluations) == list(few.evaluations[:2])


def test_band_over_folds_holds_the_diagonal_of_a_model_without_skill() -> None:
    """Without the factor of overlapping training sets, 5 of these 40 bands exclude it."""
    rng = np.random.default_rng(4)
    truth, folds = np.arange(90) < 45, np.arange(90) % 3
    excluded = 0
    for _ in range(40):
        x, score = rng.normal(size=(90, 15)), np.empty(90)
        for fold in range(3):
            test = folds == fold
            one, zero = (x[~test & (truth == side)].mean(axis=0) for side in (True, False))
            score[test] = x[test] @ (one - zero)
        band = roc_band(dataclasses.replace(one_test_set(truth, score), folds=folds), "b")
        at = np.isin(band.fpr, (0.25, 0.5, 0.75))
        excluded += ((band.fpr < band.low) | (band.fpr > band.high))[at].any()
    assert excluded <= 2
