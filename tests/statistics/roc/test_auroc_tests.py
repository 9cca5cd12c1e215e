"""Differences of AUROCs, compared with pROC, scipy and closed forms."""

import numpy as np
import pandas as pd
import pytest
from binormal import (
    AUROC,
    REFERENCE,
    SAMPLES,
    TOLERANCE,
    outcome,
    two_arms,
)
from scipy import stats

from bottleneck.errors import UsageError
from bottleneck.statistics.roc.auroc import roc_auc_interval
from bottleneck.statistics.roc.auroc_tests import (
    macro_auc_difference,
    roc_auc_difference,
)


@pytest.mark.parametrize("name", AUROC.index)
def test_difference_is_that_of_proc(name):
    data, expected = SAMPLES[SAMPLES.data == name], AUROC.loc[name]
    test = roc_auc_difference(data.y, data.a, data.b)
    assert (test.auc_a, test.auc_b) == pytest.approx(
        (expected.auc_a, expected.auc_b), abs=TOLERANCE
    )
    assert test.z == pytest.approx(expected.z, abs=TOLERANCE)
    assert test.p_wald == pytest.approx(expected.p, abs=TOLERANCE)
    mirrored = roc_auc_difference(data.y, data.b, data.a)
    assert (mirrored.z, mirrored.p_wald) == (-test.z, test.p_wald)
    assert mirrored.p == pytest.approx(test.p)
    assert (mirrored.low, mirrored.high) == pytest.approx((-test.high, -test.low))


def test_interval_of_the_difference_is_near_that_of_proc_in_large_samples():
    data, expected = SAMPLES[SAMPLES.data == "large"], AUROC.loc["large"]
    test = roc_auc_difference(data.y, data.a, data.b)
    assert (test.low, test.high) == pytest.approx((expected.low, expected.high), abs=0.002)


def test_interval_of_the_difference_joins_those_of_independent_arms():
    # With no correlation Zou and Yue's interval is Newcombe's square-and-add.
    y = np.tile([0, 1, 1, 0], 20)
    rng = np.random.default_rng(0)
    a, b = y + rng.standard_normal(80), rng.standard_normal(80)
    test, arm_a, arm_b = roc_auc_difference(y, a, b), roc_auc_interval(y, a), roc_auc_interval(y, b)
    shared = arm_a.standard_error**2 + arm_b.standard_error**2 - test.standard_error**2
    r = shared / (2 * arm_a.standard_error * arm_b.standard_error)
    u, v = arm_a.value - arm_a.low, arm_b.high - arm_b.value
    assert test.difference - test.low == pytest.approx(np.sqrt(u**2 + v**2 - 2 * r * u * v))


@pytest.mark.parametrize("name", ["one_class", "both_classes"])
def test_clustered_test_is_that_of_obuchowski(name):
    samples = pd.read_csv(REFERENCE / "clustered_samples.csv")
    expected = pd.read_csv(REFERENCE / "clustered_auroc.csv", index_col="data").loc[name]
    data = samples[samples.data == name]
    test = roc_auc_difference(data.y, data.a, data.b, data.patient)
    assert test.z == pytest.approx(expected.z, abs=TOLERANCE)
    assert test.p_wald == pytest.approx(2 * stats.norm.sf(abs(expected.z)), abs=TOLERANCE)


def test_groups_of_one_and_copies_change_nothing():
    y, a, b, patient = two_arms(images=1)
    plain = roc_auc_difference(y, a, b)
    assert roc_auc_difference(y, a, b, patient) == plain
    copied = roc_auc_difference(*(np.tile(v, 4) for v in (y, a, b, patient)))
    assert outcome(copied) == pytest.approx(outcome(plain), abs=1e-12)
    clustered = two_arms()
    copied = roc_auc_difference(*(np.tile(v, 2) for v in clustered))
    assert outcome(copied) == pytest.approx(outcome(roc_auc_difference(*clustered)), abs=1e-12)


@pytest.mark.parametrize("images", [1, 3])
def test_arms_that_rank_alike_do_not_differ(images):
    y, a, _, patient = two_arms(images=images)
    for same in (a, np.exp(a), 3 * a - 7):
        test = roc_auc_difference(y, a, same, patient)
        assert (test.difference, test.low, test.high, test.z, test.p) == (0, 0, 0, 0, 1)
        folded = roc_auc_difference(y, a, same, patient, patient // 2 % 4)
        assert (folded.difference, folded.p) == (0, 1)


def test_two_perfect_arms_may_differ_in_truth():
    y = np.repeat([0, 1], 20)
    test = roc_auc_difference(y, y, y + np.linspace(0, 0.5, 40))
    bound = 1 - 0.025 ** (1 / 20)
    assert (test.difference, test.p) == (0, 1)
    assert (test.low, test.high) == pytest.approx((-bound, bound))


def test_perfect_arm_against_one_that_ranks_nobody():
    y = np.repeat([0, 1], 20)
    test = roc_auc_difference(y, y, np.zeros(40))
    assert test.difference == 0.5
    # As for 20 heads of 20 tosses, the interval and the p value alike.
    assert test.p == pytest.approx(stats.binomtest(20, 20).pvalue)
    assert test.low == pytest.approx(0.025 ** (1 / 20) - 0.5)


def test_single_patient_of_a_class_gives_no_significance():
    test = roc_auc_difference([1, 0, 0, 0], [3, 0, 1, 2], [0, 1, 2, 3])
    assert test.difference == 1
    assert test.p == 1
    assert test.low < 0 < test.high


def test_difference_within_folds_is_that_of_proc_over_folds():
    data = pd.read_csv(REFERENCE / "folded_samples.csv")
    folds = pd.read_csv(REFERENCE / "folded_auroc.csv")
    test = roc_auc_difference(data.y, data.a, data.b, folds=data.fold)
    variance = (folds.variance_a + folds.variance_b - 2 * folds.covariance).sum() / 25
    overlap = (1 / 5 + 20 / 80) / (1 / 5)
    assert test.difference == pytest.approx((folds.auc_a - folds.auc_b).mean(), abs=TOLERANCE)
    assert test.standard_error**2 == pytest.approx(overlap * variance, abs=TOLERANCE)
    assert test.z == pytest.approx(test.difference / test.standard_error)
    assert 2 * stats.norm.sf(abs(test.z)) < test.p_wald < 2 * stats.t.sf(abs(test.z), 20)


def test_difference_within_folds_sums_over_patients():
    y, a, b, patient = two_arms(60, 1)
    folds = patient // 2 % 5
    plain = roc_auc_difference(y, a, b, folds=folds)
    assert roc_auc_difference(y, a, b, patient, folds) == plain
    copied = roc_auc_difference(*(np.repeat(v, 3) for v in (y, a, b, patient, folds)))
    assert outcome(copied) == pytest.approx(outcome(plain), abs=1e-12)
    again = roc_auc_difference(
        *(np.tile(v, 2) for v in (y, a, b, patient)), np.append(folds, folds + 5)
    )
    assert outcome(again) == pytest.approx(outcome(plain), abs=1e-12)


def test_macro_difference_of_two_classes_is_that_of_one():
    y, a, b, patient = two_arms()
    labels = np.array(["n", "p"])[y]
    both = [np.column_stack([-s, s]) for s in (a, b)]
    folds = patient // 2 % 5
    macro = macro_auc_difference(labels, *both, patient, folds)
    expected = roc_auc_difference(y, a, b, patient, folds)
    assert outcome(macro) == pytest.approx(outcome(expected), abs=1e-12)
    assert macro.z == pytest.approx(expected.z)


def test_macro_difference_does_not_change_with_copies_and_equal_arms_are_equal():
    rng = np.random.default_rng(0)
    labels, patient = np.array(list("abc"))[np.arange(90) % 3], np.arange(90) // 2
    a, b = rng.normal(size=(2, 90, 3))
    a += (labels[:, None] == list("abc")) * 1.0
    one = np.zeros(90)
    once = macro_auc_difference(labels, a, b, patient, one)
    twice = macro_auc_difference(*(np.repeat(v, 2, axis=0) for v in (labels, a, b, patient, one)))
    assert outcome(twice) == pytest.approx(outcome(once), abs=1e-12)
    same = macro_auc_difference(labels, a, 2 * a + 1, patient, one)
    assert (same.difference, same.low, same.high, same.p) == (0, 0, 0, 1)


def test_macro_difference_holds_its_level():
    rng = np.random.default_rng(5)
    labels, patient = np.array(list("abc"))[np.arange(60) % 3], np.arange(60)
    truth = labels[:, None] == list("abc")
    rejected, covered = 0, 0
    for _ in range(250):
        shared = truth + rng.normal(size=(60, 3))
        a, b = (shared + rng.normal(size=(60, 3)) for _ in range(2))
        test = macro_auc_difference(labels, a, b, patient)
        rejected += test.p < 0.05
        covered += test.low <= 0 <= test.high
    assert 0.02 < rejected / 250 < 0.08
    assert covered / 250 > 0.92


def test_two_arms_that_separate_few_samples_are_not_called_equal():
    y = [0, 0, 0, 0, 1, 1, 1, 1]
    test = roc_auc_difference(y, range(8), range(8))
    assert (test.difference, test.p) == (0, 1)
    assert test.low < -0.3 < 0.3 < test.high
    assert test.method == "distribution-free bound"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"score_b": [1, 2, 3]}, "each of the 2 samples"),
        ({"score_b": [2, 1], "level": 1}, "between 0 and 1"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(UsageError, match=message):
        roc_auc_difference([0, 1], [1, 2], **arguments)
