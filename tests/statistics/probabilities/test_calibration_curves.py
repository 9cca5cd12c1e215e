"""Smooth calibration curves and O/E ratios, compared with statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from statsmodels.nonparametric.smoothers_lowess import lowess

from bottleneck import statistics
from bottleneck.statistics.probabilities.calibration_curves import SPAN

RNG = np.random.default_rng(0)
SHARE = RNG.random(200)
TRUE = RNG.random(200) < SHARE**2
PATIENT = np.arange(200) // 2
CURVE = statistics.calibration_curve(TRUE, SHARE, PATIENT)


def test_the_curve_is_that_of_statsmodels() -> None:
    expected = lowess(TRUE, SHARE, frac=SPAN, it=0, xvals=CURVE.predicted)
    np.testing.assert_allclose(CURVE.observed, np.clip(expected, 0, 1), atol=1e-9)
    assert CURVE.predicted[[0, -1]] == pytest.approx(np.quantile(SHARE, [0.01, 0.99]))
    assert (CURVE.low < CURVE.observed + 1e-9).all()
    assert (CURVE.observed < CURVE.high + 1e-9).all()


@pytest.mark.parametrize("point", [20, 30, 50])
def test_the_variance_is_the_sandwich_of_a_local_regression(point: int) -> None:
    at = CURVE.predicted[point]
    reach = np.sort(np.abs(SHARE - at))[int(SPAN * 200) - 1]
    kernel = np.clip(1 - np.abs((SHARE - at) / reach) ** 3, 0, None) ** 3
    model = sm.WLS(TRUE.astype(float), sm.add_constant(SHARE - at), weights=kernel).fit(
        cov_type="cluster", cov_kwds={"groups": PATIENT, "use_correction": False}
    )
    value, variance = model.params[0], model.bse[0] ** 2 * 100 / 99
    assert CURVE.observed[point] == pytest.approx(value)
    # Wilson's bounds solve (p - value)^2 = z^2 p (1 - p) / n; n is at most that of the variance.
    n = [
        1.959964**2 * p * (1 - p) / (p - value) ** 2 for p in (CURVE.low[point], CURVE.high[point])
    ]
    assert n[0] == pytest.approx(n[1])
    assert 0.6 < n[0] * variance / (value * (1 - value)) < 1


def test_copies_of_patients_change_nothing() -> None:
    twice = statistics.calibration_curve(*(np.tile(one, 2) for one in (TRUE, SHARE, PATIENT)))
    np.testing.assert_allclose(twice.observed, CURVE.observed, atol=0.01)
    np.testing.assert_allclose(twice.low, CURVE.low, atol=0.01)


def test_a_curve_bridges_no_gap_and_needs_patients() -> None:
    share = np.concatenate([SHARE / 4, 1 - SHARE / 4])
    apart = statistics.calibration_curve(np.concatenate([TRUE, TRUE]), share)
    middle = np.abs(apart.predicted - 0.5) < 0.1
    assert middle.any()
    assert np.isnan(apart.observed[middle]).all()
    assert np.isfinite(apart.observed[~(np.abs(apart.predicted - 0.5) < 0.2)]).all()
    few = statistics.calibration_curve(TRUE[:30], SHARE[:30], PATIENT[:30])
    assert np.isnan(few.observed).all()
    assert repr(few).endswith("not known anywhere)")


def test_no_positive_sample_nearby_has_an_upper_bound() -> None:
    y = np.zeros(200, int)
    y[:2] = 1
    share = np.where(np.arange(200) < 2, 0.99, SHARE / 2)
    curve = statistics.calibration_curve(y, share)
    assert curve.observed[0] == curve.low[0] == 0
    assert 0 < curve.high[0] < 0.2


def test_the_ratio_is_that_of_a_poisson_regression() -> None:
    found = statistics.observed_expected_ratio(TRUE, SHARE, PATIENT)
    assert found.value == pytest.approx(TRUE.sum() / SHARE.sum())
    # The influence of the expected number is random too, unlike in a regression with an offset.
    influence = TRUE / TRUE.sum() - SHARE / SHARE.sum()
    sums = np.bincount(PATIENT, influence)
    assert found.standard_error == pytest.approx(np.sqrt(sums @ sums * 100 / 99))
    half = np.log(found.high / found.value)
    assert half == pytest.approx(np.log(found.value / found.low))
    assert half == pytest.approx(1.984 * found.standard_error, rel=0.05)


@pytest.mark.parametrize("y", [np.zeros(200, int), TRUE.astype(int)])
def test_a_ratio_that_is_not_defined_says_why(y: np.ndarray) -> None:
    share = SHARE if not y.any() else np.zeros(200)
    found = statistics.observed_expected_ratio(y, share, positive=1)
    assert np.isnan([found.value, found.low]).all()
    assert "not defined" in found.method
