"""Tests of subgroup differences, compared with statsmodels, scipy and paired tests."""

from __future__ import annotations

import numpy as np
import pytest
from binormal import two_arms
from scipy import special, stats
from statsmodels.stats.oneway import anova_generic
from statsmodels.stats.proportion import confint_proportions_2indep

from bottleneck.errors import ProtocolError, UsageError
from bottleneck.statistics import (
    proportion_interval,
    roc_auc_difference,
    roc_auc_interval,
    subgroup_auc_test,
    subgroup_proportion_test,
)
from bottleneck.statistics.roc.auroc_variance import AurocEstimator

RNG = np.random.default_rng(0)


def draw(n: int = 240, levels: int = 3):
    rng = np.random.default_rng(1)
    y, level = np.arange(n) % 2, np.arange(n) // 2 % levels
    return y, y * (1 + 0.3 * level) + rng.normal(size=n), np.array(list("abcdef"))[level]


def test_two_subgroups_have_the_joined_intervals_of_both():
    y, score, level = draw(levels=2)
    test = subgroup_auc_test(y, score, level)
    a, b = (roc_auc_interval(y[level == name], score[level == name]) for name in "ab")
    assert test.levels == ("a", "b")
    assert test.estimates == (a, b)
    assert test.difference == a.value - b.value
    # Without a correlation, Zou and Yue's interval is Newcombe's square-and-add.
    assert test.difference - test.low == pytest.approx(np.hypot(a.value - a.low, b.high - b.value))
    assert test.high - test.difference == pytest.approx(np.hypot(a.high - a.value, b.value - b.low))
    at_p = subgroup_auc_test(y, score, level, level=1 - test.p)
    assert min(abs(at_p.low), abs(at_p.high)) == pytest.approx(0, abs=1e-9)


def test_two_images_of_each_patient_are_a_paired_test():
    y, a, b, _ = two_arms(80, 1)
    paired = roc_auc_difference(y, a, b)
    both = np.concatenate
    patient, level = np.tile(np.arange(80), 2), np.repeat(["first", "second"], 80)
    test = subgroup_auc_test(both([y, y]), both([a, b]), level, patient)
    expected = (paired.difference, paired.low, paired.high, paired.p)
    assert (test.difference, test.low, test.high, test.p) == pytest.approx(expected)
    alone = subgroup_auc_test(both([y, y]), both([a, b]), level)
    assert alone.low < test.low
    assert alone.high > test.high


def test_three_subgroups_are_welchs_test_of_the_logits():
    y, score, level = draw()
    test = subgroup_auc_test(y, score, level)
    parts = [roc_auc_interval(y[level == name], score[level == name]) for name in "abc"]
    value = np.array([one.value for one in parts])
    error = np.array([one.standard_error for one in parts]) / (value * (1 - value))
    degrees = []
    for name in "abc":
        estimator = AurocEstimator(y[level == name])
        influence = estimator.influence(estimator.rank(score[level == name]))
        degrees.append(estimator.variance(influence)[1])
    n = np.array(degrees) + 1
    expected = anova_generic(special.logit(value), error**2 * n, n, use_var="unequal")
    assert (test.statistic, test.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert np.isnan(test.difference)


def test_patients_in_all_subgroups_raise_the_power():
    patient = np.tile(np.arange(80), 3)
    level, y = np.repeat(list("abc"), 80), patient % 2
    rng = np.random.default_rng(2)
    shared = rng.normal(size=80)[patient]
    score = y * (0.8 + 0.5 * (level == "c")) + shared + 0.3 * rng.normal(size=240)
    assert subgroup_auc_test(y, score, level, patient).p < 0.01
    assert subgroup_auc_test(y, score, level).p > 0.2


@pytest.mark.parametrize("counts", [((30, 40), (20, 40)), ((40, 40), (30, 35)), ((0, 9), (5, 20))])
def test_two_proportions_have_newcombes_interval(counts):
    (a, n), (b, m) = counts
    correct = np.concatenate([np.arange(n) < a, np.arange(m) < b])
    test = subgroup_proportion_test(correct, ["x"] * n + ["y"] * m)
    expected = confint_proportions_2indep(a, n, b, m, method="newcomb", compare="diff")
    assert (test.low, test.high) == pytest.approx(expected)
    assert (test.p < 0.05) is (not test.low <= 0 <= test.high)


def test_three_proportions_are_pearsons_test():
    table = np.array([[30, 10], [22, 18], [50, 0]])
    correct = np.concatenate([np.repeat([1, 0], row) for row in table])
    level = np.repeat(["a", "b", "c"], table.sum(axis=1))
    test = subgroup_proportion_test(correct, level)
    expected = stats.chi2_contingency(table, correction=False)
    assert (test.statistic, test.p) == pytest.approx((expected.statistic, expected.pvalue))
    same = subgroup_proportion_test(np.ones(9), list("abc") * 3)
    assert (same.statistic, same.p) == (0, 1)


def test_copies_of_images_are_no_new_patients():
    table = np.array([[12, 8], [8, 12], [16, 4]])
    correct = np.concatenate([np.repeat([1, 0], row) for row in table])
    level, patient = np.repeat(["a", "b", "c"], 20), np.arange(60)
    once = subgroup_proportion_test(correct, level, patient)
    copies = subgroup_proportion_test(np.tile(correct, 4), np.tile(level, 4), np.tile(patient, 4))
    assert copies.p == pytest.approx(once.p)
    assert copies.estimates[0].low == pytest.approx(proportion_interval(correct[level == "a"]).low)


def test_proportions_of_the_same_patients_have_the_variance_of_a_paired_difference():
    n = 400
    a = RNG.random(n) < 0.7
    b = np.where(RNG.random(n) < 0.6, a, RNG.random(n) < 0.6)
    level, patient = np.repeat(["first", "second"], n), np.tile(np.arange(n), 2)
    test = subgroup_proportion_test(np.concatenate([a, b]), level, patient)
    change = a.astype(float) - b
    expected = stats.norm.interval(0.95, change.mean(), change.std() / np.sqrt(n))
    assert (test.low, test.high) == pytest.approx(expected, abs=0.002)


def test_folds_without_both_classes_of_a_subgroup_do_not_count():
    y, score, level = draw(240, 2)
    fold = np.arange(240) // 4 % 4
    level[(fold == 0) & (y == 1)] = "a"
    test = subgroup_auc_test(y, score, level, folds=fold)
    rows = (level == "b") & (fold > 0)
    assert test.estimates[1].value == roc_auc_interval(y[rows], score[rows], folds=fold[rows]).value


def test_subgroups_without_an_auroc_are_left_out():
    y, score, level = draw(240, 4)
    y[level == "b"] = 1
    perfect = level == "c"
    score[perfect] = y[perfect] * 10 + RNG.random(perfect.sum())
    test = subgroup_auc_test(y, score, level)
    assert (test.levels, test.left_out) == (("a", "d"), ("b", "c"))
    assert not np.isnan(test.p)
    two = np.isin(level, ["a", "c"])
    bounded = subgroup_auc_test(y[two], score[two], level[two])
    assert bounded.levels == ("a", "c")
    assert bounded.high < 0


def test_one_subgroup_is_refused():
    with pytest.raises(ProtocolError, match="two of them or more"):
        subgroup_auc_test([0, 1, 0, 1], [1, 2, 3, 4], ["a"] * 4)
    with pytest.raises(ProtocolError, match="two of them or more"):
        subgroup_proportion_test([0, 1], ["a", "a"])
    with pytest.raises(UsageError, match="levels"):
        subgroup_auc_test([0, 1, 0, 1], [1, 2, 3, 4], ["a", "b"])


def test_equal_proportions_of_few_patients_have_a_p_of_1():
    # The search for p goes down to intervals of a level of nearly 0.
    correct, patient = [1, 0, 1, 0, 1, 0, 1, 0], [0, 0, 1, 1, 2, 2, 3, 3]
    assert subgroup_proportion_test(correct, list("aabbaabb"), patient).p == 1
    unequal = [1, 1, 1, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 1]
    assert subgroup_proportion_test(unequal, ["a", "b"] * 7, np.arange(14) // 2).p > 0.05
