"""Tests of any figure, compared with R and scipy."""

import numpy as np
import pandas as pd
import pytest
from binormal import (
    REFERENCE,
    TOLERANCE,
)
from scipy import stats
from statsmodels.stats.multitest import multipletests

from bottleneck.errors import ProtocolError, UsageError
from bottleneck.statistics.inference.corrections import corrected_resampled_t, holm


def test_corrected_t_is_the_t_test_where_nothing_was_trained_and_wider_else():
    values = np.array([0.02, 0.05, -0.01, 0.04, 0.03, 0.0, 0.01, 0.06, 0.02, 0.03])
    plain = stats.ttest_1samp(values, 0)
    untrained = corrected_resampled_t(values, n_train=1e12, n_test=1)
    assert (untrained.t, untrained.p) == pytest.approx((plain.statistic, plain.pvalue))
    ci = plain.confidence_interval(0.9)
    narrow = corrected_resampled_t(values, 1e12, 1, level=0.9)
    assert (narrow.low, narrow.high) == pytest.approx((ci.low, ci.high))
    five_folds = corrected_resampled_t(values, n_train=80, n_test=20)
    assert five_folds.t == pytest.approx(plain.statistic / np.sqrt(1 + 10 * 20 / 80))
    assert five_folds.degrees_of_freedom == 9
    assert five_folds.p == pytest.approx(2 * stats.t.sf(five_folds.t, 9))


def test_corrected_t_without_variance():
    equal = corrected_resampled_t([0.0] * 10, 80, 20)
    assert (equal.difference, equal.low, equal.high, equal.p) == (0, 0, 0, 1)
    with pytest.raises(ProtocolError, match=r"all 10 differences are 0\.1"):
        corrected_resampled_t([0.1] * 10, 80, 20)


def test_holm_is_that_of_r():
    reference = pd.read_csv(REFERENCE / "holm.csv")
    assert holm(reference.p) == pytest.approx(reference.adjusted, abs=TOLERANCE)
    assert holm([]).shape == (0,)


def test_holm_is_that_of_statsmodels_with_ties_and_extremes():
    rng = np.random.default_rng(0)
    for n in (1, 2, 7, 30):
        p = np.round(rng.random(n) ** 3, 2)
        assert holm(p) == pytest.approx(multipletests(p, method="holm")[1], abs=1e-15)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: corrected_resampled_t([0.1], 80, 20), "two finite differences"),
        (lambda: corrected_resampled_t([0.1, np.nan], 80, 20), "missing for 1 of the 2 folds"),
        (lambda: corrected_resampled_t([0.1, 0.2], 0, 20), "0 and 20"),
        (lambda: holm([0.5, 1.5]), "between 0 and 1"),
        (lambda: holm([0.5, np.nan]), "missing for 1 of the 2 tests"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(UsageError, match=message):
        call()
