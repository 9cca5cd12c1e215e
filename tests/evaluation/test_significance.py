"""Paired tests, held against pROC, R, scipy and closed forms."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bottleneck.errors import ProtocolError, UsageError
from bottleneck.evaluation.intervals import roc_auc_interval
from bottleneck.evaluation.significance import (
    corrected_resampled_t,
    cv_auc_difference,
    delong_test,
    holm,
    macro_auc_difference,
    mcnemar_test,
)

REFERENCE = Path(__file__).parent / "reference"
SAMPLES = pd.read_csv(REFERENCE / "samples.csv")
AUROC = pd.read_csv(REFERENCE / "auroc.csv", index_col="data")
TOLERANCE = 1e-9


def two_arms(n_patients=40, images=3, seed=0):
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(n_patients), images)
    y = patient % 2
    shared = 0.7 * rng.standard_normal(n_patients)[patient]
    a, b = (shift * y + shared + 0.7 * rng.standard_normal(len(y)) for shift in (1.4, 0.8))
    return y, a, b, patient


def two_judges(n_patients=40, images=3, seed=0):
    y, a, b, patient = two_arms(n_patients, images, seed)
    return (a > 0.6) == y, (b > 0.6) == y, patient


def numbers(result):
    return [result.difference, result.low, result.high, result.p]


@pytest.mark.parametrize("name", AUROC.index)
def test_delong_test_is_that_of_proc(name):
    data, expected = SAMPLES[SAMPLES.data == name], AUROC.loc[name]
    test = delong_test(data.y, data.a, data.b)
    assert (test.auc_a, test.auc_b) == pytest.approx(
        (expected.auc_a, expected.auc_b), abs=TOLERANCE
    )
    assert test.z == pytest.approx(expected.z, abs=TOLERANCE)
    assert test.p == pytest.approx(expected.p, abs=TOLERANCE)
    mirrored = delong_test(data.y, data.b, data.a)
    assert (mirrored.z, mirrored.p) == (-test.z, test.p)
    assert (mirrored.low, mirrored.high) == pytest.approx((-test.high, -test.low))


def test_interval_of_the_difference_is_near_that_of_proc_in_large_samples():
    data, expected = SAMPLES[SAMPLES.data == "large"], AUROC.loc["large"]
    test = delong_test(data.y, data.a, data.b)
    assert (test.low, test.high) == pytest.approx((expected.low, expected.high), abs=0.002)


def test_interval_of_the_difference_joins_those_of_independent_arms():
    # With no correlation Zou and Yue's interval is Newcombe's square-and-add.
    y = np.tile([0, 1, 1, 0], 20)
    rng = np.random.default_rng(0)
    a, b = y + rng.standard_normal(80), rng.standard_normal(80)
    test, arm_a, arm_b = delong_test(y, a, b), roc_auc_interval(y, a), roc_auc_interval(y, b)
    shared = arm_a.standard_error**2 + arm_b.standard_error**2 - test.standard_error**2
    r = shared / (2 * arm_a.standard_error * arm_b.standard_error)
    u, v = arm_a.value - arm_a.low, arm_b.high - arm_b.value
    assert test.difference - test.low == pytest.approx(np.sqrt(u**2 + v**2 - 2 * r * u * v))


@pytest.mark.parametrize("name", ["one_class", "both_classes"])
def test_clustered_test_is_that_of_obuchowski(name):
    samples = pd.read_csv(REFERENCE / "clustered_samples.csv")
    expected = pd.read_csv(REFERENCE / "clustered_auroc.csv", index_col="data").loc[name]
    data = samples[samples.data == name]
    test = delong_test(data.y, data.a, data.b, data.patient)
    assert test.z == pytest.approx(expected.z, abs=TOLERANCE)
    assert test.p == pytest.approx(2 * stats.norm.sf(abs(expected.z)), abs=TOLERANCE)


def test_groups_of_one_and_copies_change_nothing():
    y, a, b, patient = two_arms(images=1)
    plain = delong_test(y, a, b)
    assert delong_test(y, a, b, patient) == plain
    copied = delong_test(*(np.tile(v, 4) for v in (y, a, b, patient)))
    assert numbers(copied) == pytest.approx(numbers(plain), abs=1e-12)
    clustered = two_arms()
    copied = delong_test(*(np.tile(v, 2) for v in clustered))
    assert numbers(copied) == pytest.approx(numbers(delong_test(*clustered)), abs=1e-12)


@pytest.mark.parametrize("images", [1, 3])
def test_arms_that_rank_alike_do_not_differ(images):
    y, a, _, patient = two_arms(images=images)
    for same in (a, np.exp(a), 3 * a - 7):
        test = delong_test(y, a, same, patient)
        assert (test.difference, test.low, test.high, test.z, test.p) == (0, 0, 0, 0, 1)
        folded = cv_auc_difference(y, a, same, patient // 2 % 4, patient)
        assert (folded.difference, folded.p) == (0, 1)


def test_two_perfect_arms_may_differ_in_truth():
    y = np.repeat([0, 1], 20)
    test = delong_test(y, y, y + np.linspace(0, 0.5, 40))
    bound = 1 - 0.025 ** (1 / 20)
    assert (test.difference, test.p) == (0, 1)
    assert (test.low, test.high) == pytest.approx((-bound, bound))


def test_perfect_arm_against_one_that_ranks_nobody():
    y = np.repeat([0, 1], 20)
    test = delong_test(y, y, np.zeros(40))
    assert test.difference == 0.5
    # As for 20 heads of 20 tosses, the interval and the p value alike.
    assert test.p == pytest.approx(stats.binomtest(20, 20).pvalue)
    assert test.low == pytest.approx(0.025 ** (1 / 20) - 0.5)


def test_single_patient_of_a_class_gives_no_significance():
    test = delong_test([1, 0, 0, 0], [3, 0, 1, 2], [0, 1, 2, 3])
    assert test.difference == 1
    assert test.p == 1
    assert test.low < 0 < test.high


def test_difference_within_folds_is_that_of_proc_over_folds():
    data = pd.read_csv(REFERENCE / "folded_samples.csv")
    folds = pd.read_csv(REFERENCE / "folded_auroc.csv")
    test = cv_auc_difference(data.y, data.a, data.b, data.fold)
    variance = (folds.variance_a + folds.variance_b - 2 * folds.covariance).sum() / 25
    overlap = (1 / 5 + 20 / 80) / (1 / 5)
    assert test.difference == pytest.approx((folds.auc_a - folds.auc_b).mean(), abs=TOLERANCE)
    assert test.standard_error**2 == pytest.approx(overlap * variance, abs=TOLERANCE)
    assert test.z == pytest.approx(test.difference / test.standard_error)
    assert 2 * stats.norm.sf(abs(test.z)) < test.p < 2 * stats.t.sf(abs(test.z), 20)


def test_difference_within_folds_sums_over_patients():
    y, a, b, patient = two_arms(60, 1)
    folds = patient // 2 % 5
    plain = cv_auc_difference(y, a, b, folds)
    assert cv_auc_difference(y, a, b, folds, patient) == plain
    copied = cv_auc_difference(*(np.repeat(v, 3) for v in (y, a, b, folds, patient)))
    assert numbers(copied) == pytest.approx(numbers(plain), abs=1e-12)
    again = cv_auc_difference(
        *(np.tile(v, 2) for v in (y, a, b)), np.append(folds, folds + 5), np.tile(patient, 2)
    )
    assert numbers(again) == pytest.approx(numbers(plain), abs=1e-12)


def judged(only_a, only_b, both=20, neither=10):
    a = np.repeat([1, 0, 1, 0], [only_a, only_b, both, neither])
    return a, np.repeat([0, 1, 1, 0], [only_a, only_b, both, neither])


@pytest.mark.parametrize(
    "row", list(pd.read_csv(REFERENCE / "mcnemar.csv").itertuples(index=False))
)
def test_mcnemar_is_the_exact_test_of_r(row):
    a, b = judged(row.only_a, row.only_b)
    test = mcnemar_test(a, b)
    assert (test.only_a, test.only_b) == (row.only_a, row.only_b)
    assert test.p == pytest.approx(row.p_exact, abs=TOLERANCE)
    assert test.difference == pytest.approx(a.mean() - b.mean())
    patients = np.arange(len(a))
    assert mcnemar_test(a, b, patients) == test
    copied = mcnemar_test(*(np.repeat(v, 3) for v in (a, b, patients)))
    assert numbers(copied) == pytest.approx(numbers(test), abs=1e-12)


def test_mcnemar_by_hand():
    # 1 and 7 discordant of 21: Fagerland, Lydersen & Laake (2013), airway hyper-responsiveness.
    test = mcnemar_test(*judged(1, 7, 1, 12))
    assert test.p == pytest.approx(2 * (1 + 8) / 2**8)
    assert test.mid_p == pytest.approx(2 * (1 + 8) / 2**8 - 8 / 2**8)
    # Bonett & Price: (2 - 8) / 23 -+ 1.96 sqrt((10/23 - 36/529) / 23).
    reach = 1.959964 * np.sqrt((10 / 23 - 36 / 529) / 23)
    assert (test.low, test.high) == pytest.approx((-6 / 23 - reach, -6 / 23 + reach), abs=1e-6)
    assert mcnemar_test(*judged(4, 4)).p == 1
    assert mcnemar_test(*judged(4, 4)).mid_p == pytest.approx(1 - 70 / 256 / 2)
    agreed = mcnemar_test(*judged(0, 0))
    assert (agreed.difference, agreed.p, agreed.mid_p) == (0, 1, 1)
    assert agreed.low < 0 < agreed.high


@pytest.mark.parametrize(
    "row", list(pd.read_csv(REFERENCE / "mcnemar.csv").itertuples(index=False))
)
def test_durkalski_with_patients_alike_is_mcnemars_chi_squared(row):
    # A second image on which both arms agree halves every patient's difference alike.
    a, b = judged(row.only_a, row.only_b)
    patients = np.tile(np.arange(len(a)), 2)
    test = mcnemar_test(np.append(a, np.ones(len(a))), np.append(b, np.ones(len(a))), patients)
    assert test.method == "Durkalski"
    assert test.p == pytest.approx(row.p_chi_squared, abs=TOLERANCE)


def test_durkalski_by_hand_and_with_copies():
    a, b, patient = two_judges()
    rng = np.random.default_rng(0)
    kept = rng.random(len(a)) < 0.8
    a, b, patient = a[kept], b[kept], patient[kept]
    test = mcnemar_test(a, b, patient)
    means = [np.mean(a[patient == p] * 1.0 - b[patient == p]) for p in np.unique(patient)]
    statistic = np.sum(means) ** 2 / np.sum(np.square(means))
    assert test.p == pytest.approx(stats.chi2.sf(statistic, 1))
    copied = mcnemar_test(*(np.tile(v, 2) for v in (a, b, patient)))
    assert numbers(copied) == pytest.approx(numbers(test), abs=1e-12)


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


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: delong_test([0, 1], [1, 2], [1, 2, 3]), "each of the 2 samples"),
        (lambda: delong_test([0, 1], [1, 2], [2, 1], level=1), "between 0 and 1"),
        (lambda: mcnemar_test([0, 1], [1, 0, 1]), "on 2 and 3"),
        (lambda: mcnemar_test([0, 2], [1, 0]), "correct_a must hold only 0 and 1"),
        (lambda: mcnemar_test([0, 1], [1, 0], ["a"]), "groups must hold"),
        (lambda: corrected_resampled_t([0.1], 80, 20), "two finite differences"),
        (lambda: corrected_resampled_t([0.1, np.nan], 80, 20), "two finite differences"),
        (lambda: corrected_resampled_t([0.1, 0.2], 0, 20), "0 and 20"),
        (lambda: holm([0.5, 1.5]), "between 0 and 1"),
        (lambda: holm([0.5, np.nan]), "between 0 and 1"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(UsageError, match=message):
        call()


def test_macro_difference_of_two_classes_is_that_of_one():
    y, a, b, patient = two_arms()
    labels = np.array(["n", "p"])[y]
    both = [np.column_stack([-s, s]) for s in (a, b)]
    folds = patient // 2 % 5
    macro = macro_auc_difference(labels, *both, folds, patient)
    expected = cv_auc_difference(y, a, b, folds, patient)
    assert numbers(macro) == pytest.approx(numbers(expected), abs=1e-12)
    assert macro.z == pytest.approx(expected.z)


def test_macro_difference_does_not_change_with_copies_and_equal_arms_are_equal():
    rng = np.random.default_rng(0)
    labels, patient = np.array(list("abc"))[np.arange(90) % 3], np.arange(90) // 2
    a, b = rng.normal(size=(2, 90, 3))
    a += (labels[:, None] == list("abc")) * 1.0
    one = np.zeros(90)
    once = macro_auc_difference(labels, a, b, one, patient)
    twice = macro_auc_difference(*(np.repeat(v, 2, axis=0) for v in (labels, a, b, one, patient)))
    assert numbers(twice) == pytest.approx(numbers(once), abs=1e-12)
    same = macro_auc_difference(labels, a, 2 * a + 1, one, patient)
    assert (same.difference, same.low, same.high, same.p) == (0, 0, 0, 1)


def test_macro_difference_holds_its_level():
    rng = np.random.default_rng(5)
    labels, patient = np.array(list("abc"))[np.arange(60) % 3], np.arange(60)
    truth = labels[:, None] == list("abc")
    rejected, covered = 0, 0
    for _ in range(250):
        shared = truth + rng.normal(size=(60, 3))
        a, b = (shared + rng.normal(size=(60, 3)) for _ in range(2))
        test = macro_auc_difference(labels, a, b, np.zeros(60), patient)
        rejected += test.p < 0.05
        covered += test.low <= 0 <= test.high
    assert 0.02 < rejected / 250 < 0.08
    assert covered / 250 > 0.92


def test_two_arms_that_separate_few_samples_are_not_called_equal():
    y = [0, 0, 0, 0, 1, 1, 1, 1]
    test = delong_test(y, range(8), range(8))
    assert (test.difference, test.p) == (0, 1)
    assert test.low < -0.3 < 0.3 < test.high
    assert test.method == "distribution-free bound"
