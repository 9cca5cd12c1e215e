"""Intervals of influence values in closed form, and the rule for what can be trusted."""

import numpy as np
import pytest
from scipy import stats

from bottleneck.errors import UsageError
from bottleneck.statistics.inference.intervals import (
    effective_number,
    holds_level,
    influence_interval,
)


def test_influence_interval_on_its_scale():
    z = influence_interval(0.6, 0.01, 1e9, bounds=(-1, 1))
    # Fisher's z: the derivative of artanh is 1 / (1 - r²).
    reach = stats.norm.isf(0.025) * 0.1 / (1 - 0.6**2)
    expected = np.tanh(np.arctanh(0.6) + np.array([-reach, reach]))
    assert (z.low, z.high) == pytest.approx(tuple(expected))
    plain = influence_interval(2.0, 0.25, 7, bounds=None, level=0.9)
    assert plain.high - 2.0 == pytest.approx(stats.t.isf(0.05, 7) * 0.5)
    for value, variance in ((1.0, 0.1), (0.5, 0.0), (0.5, np.nan)):
        assert np.isnan(influence_interval(value, variance, 5).low)


@pytest.mark.parametrize(
    ("smaller", "larger", "holds"),
    [
        (9, 9, False),
        (10, 10, True),
        (12, 48, True),
        (10, 41, False),
        (39, 761, False),
        (40, 760, True),
    ],
)
def test_rule_for_estimates_only(smaller, larger, holds):
    assert holds_level(smaller, larger) is holds


def test_rule_for_the_auprc_counts_patients_of_each_fold():
    assert holds_level(40, 160, "auprc")
    assert not holds_level(99, 99, "auprc", n_folds=5)
    assert holds_level(100, 100, "auprc", n_folds=5)
    assert holds_level(40, 160, "mcc", n_folds=5)


def test_the_effective_number_counts_equal_patients_once_and_copies_not_at_all():
    rng = np.random.default_rng(0)
    assert effective_number(np.arange(12)) == effective_number(np.repeat(np.arange(12), 5)) == 12
    sizes = rng.integers(1, 30, 20)
    # Kish: n / (1 + CV²), with the population's coefficient of variation of the sizes.
    expected = 20 / (1 + np.var(sizes) / np.mean(sizes) ** 2)
    named = np.repeat([f"patient {i}" for i in range(20)], sizes)
    assert effective_number(rng.permutation(named)) == pytest.approx(expected)
    with pytest.raises(UsageError, match="at least one sample"):
        effective_number([])


def test_a_patient_with_most_samples_leaves_an_estimate_only():
    assert not holds_level(74, 100, effective=9.9)
    assert holds_level(74, 100, effective=10)
    assert not holds_level(9, 9, effective=10)
