"""Intervals of influence values in closed form, and the rule for what can be trusted."""

import numpy as np
import pytest
from scipy import stats

from bottleneck.statistics.intervals import holds_level, influence_interval


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
