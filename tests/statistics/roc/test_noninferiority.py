"""Non-inferiority, compared with intervals at many levels, the normal theory, and CONSORT."""

from __future__ import annotations

import numpy as np
import pytest
from binormal import two_arms
from scipy import stats

from bottleneck.errors import UsageError
from bottleneck.statistics import roc_auc_difference, roc_auc_interval, roc_auc_noninferiority


def folded(images=3, seed=0):
    y, a, b, patient = two_arms(60, images, seed)
    return y, a, b, patient, patient // 2 % 3


@pytest.mark.parametrize("margin", [0.01, 0.03, 0.1, 0.3])
@pytest.mark.parametrize("swapped", [False, True])
def test_p_is_the_level_at_which_the_bound_of_the_difference_is_the_margin(margin, swapped):
    y, a, b, patient, folds = folded()
    new, reference = (b, a) if swapped else (a, b)
    p = roc_auc_noninferiority(y, new, reference, patient, folds, margin=margin).p
    two_sided = 2 * min(p, 1 - p)
    test = roc_auc_difference(y, new, reference, patient, folds, level=1 - two_sided)
    assert (test.low if p < 0.5 else test.high) == pytest.approx(-margin, abs=1e-6)


def test_large_samples_give_the_one_sided_z_test():
    y, a, b, _ = two_arms(6000, 1)
    test = roc_auc_noninferiority(y, b, a, margin=0.14)
    error = roc_auc_difference(y, b, a).standard_error
    expected = stats.norm.sf((test.difference + 0.14) / error)
    assert 0.001 < expected < 0.5
    assert test.p == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("seed", range(12))
def test_verdict_p_and_interval_agree(seed):
    y, a, b, patient, folds = folded(seed=seed)
    test = roc_auc_noninferiority(y, b, a, patient, folds, margin=0.1)
    same = roc_auc_difference(y, b, a, patient, folds)
    assert (test.difference, test.low, test.high) == pytest.approx(
        (same.difference, same.low, same.high)
    )
    assert (test.p < 0.025) is (test.low > -0.1)
    assert (test.p > 0.975) is (test.high < -0.1) is (test.verdict == "inferior")
    assert (test.p < 0.025) is (
        test.verdict in ("superior", "non-inferior", "lower within the margin")
    )


def test_a_larger_margin_has_a_smaller_p():
    y, a, b, patient, folds = folded()
    margins = (0.01, 0.05, 0.1, 0.2, 0.4)
    values = [roc_auc_noninferiority(y, b, a, patient, folds, margin=m).p for m in margins]
    assert values == sorted(values, reverse=True)


def test_scores_of_the_same_ranks_are_not_inferior():
    y, a, *_ = folded()
    test = roc_auc_noninferiority(y, np.exp(a), a, margin=0.001)
    assert (test.verdict, test.difference) == ("non-inferior", 0)
    assert test.p < 1e-9


def test_without_a_standard_error_the_bounds_of_both_are_joined():
    y, perfect = np.array([0, 0, 0, 0, 1, 1, 1, 1]), np.arange(8.0)
    other = perfect[[0, 1, 2, 4, 3, 5, 6, 7]]
    test = roc_auc_noninferiority(y, perfect, perfect + 10, margin=0.05)
    assert test.verdict == "inconclusive"  # Both are 1, but on four patients of a class.
    assert roc_auc_interval(y, perfect).low < 0.5
    assert roc_auc_noninferiority(y, other, perfect, margin=0.05).verdict == "inconclusive"


@pytest.mark.parametrize("margin", [0, -0.05, 1, 5, np.nan, "0.05", None])
def test_margins_outside_of_0_to_1_are_refused(margin):
    with pytest.raises(UsageError, match="margin is a difference of AUROCs"):
        roc_auc_noninferiority([0, 1], [0, 1], [0, 1], margin=margin)
