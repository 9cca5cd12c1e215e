"""AUROCs and their intervals, compared with pROC, scikit-learn, scipy and closed forms."""

import numpy as np
import pandas as pd
import pytest
from binormal import AUROC, REFERENCE, SAMPLES, TOLERANCE, binormal, numbers
from scipy import stats
from sklearn.metrics import roc_auc_score

from bottleneck.statistics.roc.auroc import roc_auc_interval

CLUSTERED = pd.read_csv(REFERENCE / "clustered_samples.csv")


@pytest.mark.parametrize("name", AUROC.index)
def test_delong_interval_is_that_of_proc(name):
    data, expected = SAMPLES[SAMPLES.data == name], AUROC.loc[name]
    a = roc_auc_interval(data.y, data.a, method="delong")
    b = roc_auc_interval(data.y, data.b, level=0.9, method="delong")
    assert a.value == pytest.approx(expected.auc_a, abs=TOLERANCE)
    assert a.standard_error**2 == pytest.approx(expected.variance_a, abs=TOLERANCE)
    assert (a.low, a.high) == pytest.approx((expected.low_a, expected.high_a), abs=TOLERANCE)
    assert (b.low, b.high) == pytest.approx((expected.low90_b, expected.high90_b), abs=TOLERANCE)


def test_value_is_that_of_scikit_learn_with_many_ties():
    rng = np.random.default_rng(3)
    for _ in range(20):
        y = np.append(rng.integers(0, 2, 50), [0, 1])
        score = rng.integers(0, 6, 52)
        assert roc_auc_interval(y, score).value == pytest.approx(roc_auc_score(y, score))


def test_logit_interval_is_symmetric_on_its_scale_and_near_wald_for_large_samples():
    data, expected = SAMPLES[SAMPLES.data == "large"], AUROC.loc["large"]
    interval = roc_auc_interval(data.y, data.a)
    below, value, above = (
        np.log(p / (1 - p)) for p in (interval.low, interval.value, interval.high)
    )
    assert value - below == pytest.approx(above - value)
    slope = interval.value * (1 - interval.value)
    wald = 1.959964 * np.sqrt(expected.variance_a) / slope
    assert wald <= above - value <= 1.01 * wald


def test_logit_interval_uses_no_more_degrees_of_freedom_than_brunner_and_munzel():
    y, score, _ = binormal(24, 1)
    interval = roc_auc_interval(y, score)
    reach = np.log(interval.high / (1 - interval.high)) - np.log(
        interval.value / (1 - interval.value)
    )
    t = reach * interval.value * (1 - interval.value) / interval.standard_error
    test = stats.brunnermunzel(score[y == 0], score[y == 1])
    # Brunner and Munzel's statistic is (value - 1/2) / standard error; its p gives their df.
    w = (interval.value - 0.5) / interval.standard_error
    assert w == pytest.approx(abs(test.statistic))
    df = next(d for d in np.arange(1, 60, 0.01) if 2 * stats.t.sf(w, d) <= test.pvalue)
    assert t >= stats.t.isf(0.025, df) - 1e-6


@pytest.mark.parametrize("name", ["one_class", "both_classes"])
def test_clustered_variance_is_that_of_obuchowski(name):
    data = CLUSTERED[CLUSTERED.data == name]
    expected = pd.read_csv(REFERENCE / "clustered_auroc.csv", index_col="data").loc[name]
    a = roc_auc_interval(data.y, data.a, data.patient)
    b = roc_auc_interval(data.y, data.b, data.patient)
    assert a.value == pytest.approx(expected.auc_a, abs=TOLERANCE)
    assert a.standard_error**2 == pytest.approx(expected.variance_a, abs=TOLERANCE)
    assert b.standard_error**2 == pytest.approx(expected.variance_b, abs=TOLERANCE)


def test_clustered_variance_is_near_the_jackknife_over_patients():
    y, score, patient = binormal(80, 4)
    y = np.where(np.arange(len(y)) % 7 == 0, 1 - y, y)  # patients with samples of both classes
    left_out = [roc_auc_score(y[patient != p], score[patient != p]) for p in range(80)]
    jackknife = 79 / 80 * np.sum((left_out - np.mean(left_out)) ** 2)
    error = roc_auc_interval(y, score, patient).standard_error
    assert error**2 == pytest.approx(jackknife, rel=0.05)


@pytest.mark.parametrize("method", ["logit", "delong"])
def test_groups_of_one_change_nothing(method):
    y, score, _ = binormal(50, 1)
    names = np.array([f"p{i}" for i in range(50)])[::-1]
    plain = roc_auc_interval(y, score, method=method)
    named = roc_auc_interval(y, score, names, method=method)
    assert numbers(named) == pytest.approx(numbers(plain), abs=1e-12)
    assert roc_auc_interval(y, score, np.arange(50), method=method) == plain


@pytest.mark.parametrize("method", ["logit", "delong"])
def test_copies_of_images_change_nothing(method):
    y, score, patient = binormal()
    once = roc_auc_interval(y, score, patient, method=method)
    twice = roc_auc_interval(*(np.tile(v, 2) for v in (y, score, patient)), method=method)
    assert numbers(twice) == pytest.approx(numbers(once), abs=1e-12)
    y, score, patient = binormal(40, 1)
    plain = roc_auc_interval(y, score, method=method)
    copied = roc_auc_interval(*(np.repeat(v, 3) for v in (y, score, patient)), method=method)
    assert numbers(copied) == pytest.approx(numbers(plain), abs=1e-12)


def test_copies_without_groups_shorten_the_interval_which_is_the_mistake_to_avoid():
    y, score, patient = binormal(40, 1)
    y, score, patient = (np.repeat(v, 4) for v in (y, score, patient))
    wrong, right = roc_auc_interval(y, score), roc_auc_interval(y, score, patient)
    assert right.standard_error == pytest.approx(2 * wrong.standard_error, rel=0.05)


def test_swapping_the_classes_mirrors_the_interval():
    y, score, patient = binormal()
    one, other = roc_auc_interval(y, score, patient), roc_auc_interval(1 - y, score, patient)
    assert (other.value, other.low, other.high) == pytest.approx(
        (1 - one.value, 1 - one.high, 1 - one.low)
    )


@pytest.mark.parametrize("method", ["logit", "delong"])
@pytest.mark.parametrize(("m", "n"), [(1, 1), (5, 5), (12, 48), (200, 30)])
def test_perfect_auroc_has_the_bound_of_clopper_and_pearson(method, m, n):
    y = np.repeat([1, 0], [m, n])
    score = np.arange(m + n)[::-1]
    k = min(m, n)
    exact = stats.binomtest(k, k).proportion_ci(method="exact").low
    perfect = roc_auc_interval(y, score, method=method)
    assert (perfect.value, perfect.high) == (1.0, 1.0)
    assert perfect.low == pytest.approx(exact, abs=1e-9)
    inverted = roc_auc_interval(y, -score, method=method)
    assert (inverted.value, inverted.low) == (0.0, 0.0)
    assert inverted.high == pytest.approx(1 - exact, abs=1e-9)


def test_perfect_auroc_counts_patients_not_images():
    y = np.repeat([1, 0], [40, 80])
    patient = np.repeat(np.arange(24), 5)
    interval = roc_auc_interval(y, y, patient)
    assert interval.low == pytest.approx(0.025 ** (1 / 8))


@pytest.mark.parametrize("wrong", range(1, 20))
def test_distribution_free_limit_holds_clopper_and_pearson(wrong):
    # One positive at the height of one of 20 negatives: k = 1, so the limit alone speaks.
    y = np.array([1] + [0] * 20)
    interval = roc_auc_interval(y, np.array([wrong - 0.5, *range(20)]))
    assert interval.method == "distribution-free bound"
    assert interval.value == pytest.approx(wrong / 20)
    assert interval.low < 0.025 * interval.value
    assert interval.high > 1 - 0.025 * (1 - interval.value)


def test_score_that_ranks_nobody_has_auroc_one_half():
    y, _, patient = binormal()
    interval = roc_auc_interval(y, np.full(len(y), 0.3), patient)
    assert (interval.low, interval.value, interval.high) == (0.5, 0.5, 0.5)
    folds = patient % 4 // 2
    assert roc_auc_interval(y, 1.0 * folds, patient, folds).high == 0.5


def folded():
    data = pd.read_csv(REFERENCE / "folded_samples.csv")
    return data, pd.read_csv(REFERENCE / "folded_auroc.csv")


def test_cross_validated_auroc_is_the_mean_of_proc_over_folds():
    data, folds = folded()
    interval = roc_auc_interval(data.y, data.a, folds=data.fold, corrected=False)
    assert interval.value == pytest.approx(folds.auc_a.mean(), abs=TOLERANCE)
    assert interval.standard_error**2 == pytest.approx(folds.variance_a.sum() / 25, abs=TOLERANCE)


def test_correction_for_overlapping_training_sets():
    data, _ = folded()
    plain = roc_auc_interval(data.y, data.a, folds=data.fold, corrected=False)
    corrected = roc_auc_interval(data.y, data.a, folds=data.fold)
    # Nadeau & Bengio with 5 folds: 1/5 + 20/80 in place of 1/5.
    ratio = (1 / 5 + 20 / 80) / (1 / 5)
    assert corrected.standard_error**2 == pytest.approx(ratio * plain.standard_error**2)
    assert corrected.low < plain.low < plain.high < corrected.high


def test_one_fold_is_a_test_set():
    y, score, patient = binormal()
    assert roc_auc_interval(y, score, patient, np.zeros(len(y))) == roc_auc_interval(
        y, score, patient
    )


def test_scores_of_different_folds_are_not_ranked_together():
    data, _ = folded()
    shifted = data.a + 10 * data.fold
    one, other = (roc_auc_interval(data.y, s, folds=data.fold) for s in (data.a, shifted))
    assert numbers(one) == pytest.approx(numbers(other))


def test_a_repeat_with_the_same_result_changes_nothing():
    y, score, patient = binormal(60)
    folds = patient // 2 % 5
    once = roc_auc_interval(y, score, patient, folds)
    twice = roc_auc_interval(
        np.tile(y, 2), np.tile(score, 2), np.tile(patient, 2), np.append(folds, folds + 5)
    )
    assert numbers(twice) == pytest.approx(numbers(once), abs=1e-12)


def test_copies_and_groups_of_one_change_nothing_in_cross_validation():
    y, score, patient = binormal(60, 1)
    folds = patient // 2 % 5
    plain = roc_auc_interval(y, score, folds=folds)
    assert roc_auc_interval(y, score, patient, folds) == plain
    copied = roc_auc_interval(*(np.tile(v, 3) for v in (y, score, patient, folds)))
    assert numbers(copied) == pytest.approx(numbers(plain), abs=1e-12)


def test_perfect_folds_are_bounded():
    y, _, patient = binormal(40, 1)
    interval = roc_auc_interval(y, y, folds=patient // 2 % 5)
    assert (interval.value, interval.high) == (1.0, 1.0)
    assert interval.low == pytest.approx(0.025 ** (1 / 20))


def test_intervals_cover_where_wald_does_not():
    # 12 patients with disease of 60, 4 images each, AUROC 0.97; all cells: benchmarks/coverage.md.
    rng = np.random.default_rng(0)
    patient = np.repeat(np.arange(60), 4)
    y = (patient < 12).astype(int)
    covered = {"logit": 0, "delong": 0}
    for _ in range(300):
        noise = np.sqrt(0.7) * rng.standard_normal(60)[patient]
        noise += np.sqrt(0.3) * rng.standard_normal(240)
        for method in covered:
            found = roc_auc_interval(
                y, np.sqrt(2) * stats.norm.ppf(0.97) * y + noise, patient, method=method
            )
            covered[method] += found.low <= 0.97 <= found.high
    assert covered["logit"] / 300 >= 0.93
    assert covered["delong"] / 300 < 0.9
