"""Random effects, compared with numbers that metafor publishes, and with statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from statsmodels.regression.linear_model import WLS
from statsmodels.stats.meta_analysis import combine_effects

from bottleneck.errors import UsageError
from bottleneck.statistics.heterogeneity.meta_analysis import random_effects

# Colditz et al. 1994, JAMA 271:698: tuberculosis with and without BCG, the example of metafor.
CASES = np.array([4, 6, 3, 62, 33, 180, 8, 505, 29, 17, 186, 5, 27])
HEALTHY = np.array([119, 300, 228, 13536, 5036, 1361, 2537, 87886, 7470, 1699, 50448, 2493, 16886])
CONTROLS = np.array([11, 29, 11, 248, 47, 372, 10, 499, 45, 65, 141, 3, 29])
UNTOUCHED = np.array([128, 274, 209, 12619, 5761, 1079, 619, 87892, 7232, 1600, 27197, 2338, 17825])


def bcg() -> tuple[np.ndarray, np.ndarray]:
    treated, untreated = CASES + HEALTHY, CONTROLS + UNTOUCHED
    ratio = np.log(CASES / treated) - np.log(CONTROLS / untreated)
    return ratio, np.sqrt(1 / CASES - 1 / treated + 1 / CONTROLS - 1 / untreated)


def test_the_bcg_trials_have_metafors_numbers() -> None:
    found = random_effects(*bcg())
    assert found.tau_squared == pytest.approx(0.3132, abs=5e-5)
    assert found.mean == pytest.approx(-0.7145, abs=5e-5)
    assert found.standard_error == pytest.approx(0.1808, abs=5e-5)
    assert (found.low, found.high) == pytest.approx((-1.1084, -0.3206), abs=5e-5)


def test_hartung_and_knapp_is_weighted_least_squares() -> None:
    x, errors = bcg()
    found = random_effects(x, errors, 0.9)
    fitted = WLS(x, np.ones((13, 1)), weights=1 / (errors**2 + found.tau_squared)).fit()
    assert (found.low, found.high) == pytest.approx(tuple(fitted.conf_int(0.1)[0]))
    reach = stats.t(11).isf(0.05) * np.sqrt(found.tau_squared + fitted.bse[0] ** 2)
    assert found.prediction_high - found.mean == pytest.approx(reach)


def test_without_differences_between_centres_it_is_the_fixed_effect() -> None:
    x, errors = np.array([1.0, 1.02, 0.97, 1.01, 0.99]), np.array([0.2, 0.1, 0.3, 0.2, 0.15])
    found = random_effects(x, errors)
    fixed = combine_effects(x, errors**2)
    assert found.tau_squared == 0
    assert found.mean == pytest.approx(fixed.mean_effect_fe)
    # Not the least-squares error, which such similar estimates make far too small.
    assert found.standard_error == pytest.approx(fixed.sd_eff_w_fe)


def test_tau_is_near_that_of_other_estimators() -> None:
    rng = np.random.default_rng(0)
    errors = rng.uniform(0.1, 0.3, 200)
    x = rng.normal(1, np.sqrt(0.09 + errors**2))
    other = combine_effects(x, errors**2, method_re="iterated")
    assert random_effects(x, errors).tau_squared == pytest.approx(other.tau2, rel=0.05)


@pytest.mark.parametrize("k", [5, 12])
def test_a_new_centre_is_in_the_prediction_interval(k: int) -> None:
    # Centres differ by more than their standard errors; else the interval is approximate only.
    rng = np.random.default_rng(k)
    hits = 0
    for _ in range(300):
        errors = rng.uniform(0.15, 0.35, k)
        true = rng.normal(1.2, 0.8, k + 1)
        found = random_effects(true[:k] + errors * rng.normal(size=k), errors)
        hits += found.prediction_low <= true[k] <= found.prediction_high
    assert hits >= 0.95 * 300 - 2.5 * np.sqrt(300 * 0.95 * 0.05)


def test_centres_that_cannot_be_combined_are_refused() -> None:
    with pytest.raises(UsageError, match="at least 3 centres"):
        random_effects([1, 2], [0.1, 0.1])
    for x, errors in (([1, 2, 3], [1, 0, 1]), ([1, 2, 3], [1, -1, 1])):
        with pytest.raises(UsageError, match="above 0"):
            random_effects(x, errors)
