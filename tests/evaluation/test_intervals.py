"""Intervals, held against pROC, R, scipy and closed forms."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from bottleneck.errors import ProtocolError, UsageError
from bottleneck.evaluation.intervals import (
    bootstrap_intervals,
    clustered_proportion_interval,
    cv_auc_interval,
    holds_level,
    influence_interval,
    roc_auc_interval,
    wilson_interval,
)
from bottleneck.evaluation.macro import macro_auc_interval
from bottleneck.evaluation.placements import degrees_of_freedom

REFERENCE = Path(__file__).parent / "reference"
SAMPLES = pd.read_csv(REFERENCE / "samples.csv")
AUROC = pd.read_csv(REFERENCE / "auroc.csv", index_col="data")
CLUSTERED = pd.read_csv(REFERENCE / "clustered_samples.csv")
TOLERANCE = 1e-9


def binormal(n_patients=40, images=3, seed=0, shift=1.2):
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(n_patients), images)
    y = patient % 2
    score = shift * y + 0.7 * rng.standard_normal(n_patients)[patient]
    return y, score + 0.7 * rng.standard_normal(len(y)), patient


def numbers(interval):
    return [interval.value, interval.low, interval.high, interval.standard_error]


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


def test_degrees_of_freedom_of_simple_sums():
    assert degrees_of_freedom([np.ones(10)]) == pytest.approx(9)
    assert degrees_of_freedom([np.ones(10), np.ones(10)]) == pytest.approx(18)
    assert degrees_of_freedom([np.eye(1, 10)[0]]) == pytest.approx(2)
    normal = np.random.default_rng(0).standard_normal(100_000) ** 2
    assert degrees_of_freedom([normal]) == pytest.approx(100_000, rel=0.02)


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
    assert cv_auc_interval(y, 1.0 * folds, folds, patient).high == 0.5


def folded():
    data = pd.read_csv(REFERENCE / "folded_samples.csv")
    return data, pd.read_csv(REFERENCE / "folded_auroc.csv")


def test_cross_validated_auroc_is_the_mean_of_proc_over_folds():
    data, folds = folded()
    interval = cv_auc_interval(data.y, data.a, data.fold, corrected=False)
    assert interval.value == pytest.approx(folds.auc_a.mean(), abs=TOLERANCE)
    assert interval.standard_error**2 == pytest.approx(folds.variance_a.sum() / 25, abs=TOLERANCE)


def test_correction_for_overlapping_training_sets():
    data, _ = folded()
    plain = cv_auc_interval(data.y, data.a, data.fold, corrected=False)
    corrected = cv_auc_interval(data.y, data.a, data.fold)
    # Nadeau & Bengio with 5 folds: 1/5 + 20/80 in place of 1/5.
    ratio = (1 / 5 + 20 / 80) / (1 / 5)
    assert corrected.standard_error**2 == pytest.approx(ratio * plain.standard_error**2)
    assert corrected.low < plain.low < plain.high < corrected.high


def test_one_fold_is_a_test_set():
    y, score, patient = binormal()
    assert cv_auc_interval(y, score, np.zeros(len(y)), patient) == roc_auc_interval(
        y, score, patient
    )


def test_scores_of_different_folds_are_not_ranked_together():
    data, _ = folded()
    shifted = data.a + 10 * data.fold
    one, other = (cv_auc_interval(data.y, s, data.fold) for s in (data.a, shifted))
    assert numbers(one) == pytest.approx(numbers(other))


def test_a_repeat_with_the_same_result_changes_nothing():
    y, score, patient = binormal(60)
    folds = patient // 2 % 5
    once = cv_auc_interval(y, score, folds, patient)
    twice = cv_auc_interval(
        np.tile(y, 2), np.tile(score, 2), np.append(folds, folds + 5), np.tile(patient, 2)
    )
    assert numbers(twice) == pytest.approx(numbers(once), abs=1e-12)


def test_copies_and_groups_of_one_change_nothing_in_cross_validation():
    y, score, patient = binormal(60, 1)
    folds = patient // 2 % 5
    plain = cv_auc_interval(y, score, folds)
    assert cv_auc_interval(y, score, folds, patient) == plain
    copied = cv_auc_interval(*(np.tile(v, 3) for v in (y, score, folds, patient)))
    assert numbers(copied) == pytest.approx(numbers(plain), abs=1e-12)


def test_perfect_folds_are_bounded():
    y, _, patient = binormal(40, 1)
    interval = cv_auc_interval(y, y, patient // 2 % 5)
    assert (interval.value, interval.high) == (1.0, 1.0)
    assert interval.low == pytest.approx(0.025 ** (1 / 20))


@pytest.mark.parametrize("row", list(pd.read_csv(REFERENCE / "wilson.csv").itertuples(index=False)))
def test_wilson_interval_is_that_of_r_and_scipy(row):
    interval = wilson_interval(row.successes, row.n, row.level)
    assert (interval.low, interval.high) == pytest.approx((row.low, row.high), abs=TOLERANCE)
    ci = stats.binomtest(row.successes, row.n).proportion_ci(row.level, method="wilson")
    assert (interval.low, interval.high) == pytest.approx((ci.low, ci.high), abs=TOLERANCE)


def test_clustered_proportion_with_groups_of_one_is_wilson():
    correct = np.arange(30) % 4 > 0
    plain = wilson_interval(int(correct.sum()), 30)
    assert numbers(clustered_proportion_interval(correct, np.arange(30))) == pytest.approx(
        numbers(plain), abs=1e-12
    )


def test_clustered_proportion_of_copies_counts_patients():
    correct = np.arange(30) % 4 > 0
    copied = clustered_proportion_interval(np.tile(correct, 5), np.tile(np.arange(30), 5))
    assert numbers(copied) == pytest.approx(numbers(wilson_interval(22, 30)), abs=1e-12)
    all_right = clustered_proportion_interval(np.ones(60), np.repeat(np.arange(20), 3))
    assert numbers(all_right) == pytest.approx(numbers(wilson_interval(20, 20)), abs=1e-12)


def test_clustered_proportion_does_not_change_with_copies_of_unequal_patients():
    rng = np.random.default_rng(1)
    patient = np.repeat(np.arange(25), rng.integers(1, 6, 25))
    correct = rng.random(len(patient)) < rng.random(25)[patient]
    once = clustered_proportion_interval(correct, patient)
    twice = clustered_proportion_interval(np.tile(correct, 2), np.tile(patient, 2))
    assert numbers(twice) == pytest.approx(numbers(once), abs=1e-12)


def test_clustered_proportion_has_the_standard_error_of_the_patients_means():
    rng = np.random.default_rng(1)
    patient = np.repeat(np.arange(4000), 4)
    correct = rng.random(len(patient)) < rng.beta(2, 1, 4000)[patient]
    interval = clustered_proportion_interval(correct, patient)
    means = np.bincount(patient, correct) / 4
    assert interval.standard_error == pytest.approx(stats.sem(means), rel=1e-3)


def test_overlap_divides_the_effective_number():
    correct = np.arange(60) % 4 > 0
    interval = clustered_proportion_interval(correct, np.arange(60), overlap=2.25)
    z = stats.norm.isf(0.025)
    n = 60 / 2.25
    centre, reach = (0.75 + z**2 / 2 / n), z * np.sqrt(0.1875 / n + z**2 / 4 / n**2)
    low, high = (centre - reach) / (1 + z**2 / n), (centre + reach) / (1 + z**2 / n)
    assert (interval.low, interval.high) == pytest.approx((low, high))
    assert "Nadeau" in interval.method


def test_one_patient_counts_once():
    interval = clustered_proportion_interval([1, 0, 1, 1], ["a"] * 4)
    z2 = stats.norm.isf(0.025) ** 2
    centre, reach = (0.75 + z2 / 2) / (1 + z2), np.sqrt(z2 * (0.1875 + z2 / 4)) / (1 + z2)
    assert (interval.low, interval.high) == pytest.approx((centre - reach, centre + reach))


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


def share_above(values):
    """Weighted share of values above one half, of any number of weights."""
    return lambda weights: (weights @ (values > 0.5) / weights.sum(-1))[None]


def test_bootstrap_is_that_of_scipy_and_reproducible():
    y, score, patient = binormal(80, 1, shift=0.8)
    (drawn,) = bootstrap_intervals(share_above(score), y, n_resamples=4000, seed=1)
    assert bootstrap_intervals(share_above(score), y, patient, n_resamples=4000, seed=1) == [drawn]
    expected = stats.bootstrap(
        (score[y == 1] > 0.5, score[y == 0] > 0.5),
        lambda a, b, axis: (a.mean(axis) + b.mean(axis)) / 2,
        vectorized=True,
        n_resamples=4000,
        rng=np.random.default_rng(2),
    )
    assert drawn.value == pytest.approx(np.mean(score > 0.5))
    assert drawn.standard_error == pytest.approx(expected.standard_error, rel=0.05)
    low, high = expected.confidence_interval
    assert (drawn.low, drawn.high) == pytest.approx((low, high), abs=0.013)


def test_bootstrap_draws_whole_patients_within_classes():
    y, _, patient = binormal(30, 2)
    seen = []

    def accuracy(weights):
        seen.append(weights.reshape(-1, 60))
        return (weights @ (patient % 3 > 0) / weights.sum(-1))[None]

    bootstrap_intervals(accuracy, y, patient, n_resamples=50)
    drawn = np.concatenate(seen)
    full = drawn[drawn.sum(axis=1) == 60]
    assert len(full) >= 50
    assert (full @ y == 30).all()
    by_patient = full.reshape(-1, 30, 2)
    assert (by_patient[..., 0] == by_patient[..., 1]).all()
    assert (full > 1).any()


def test_bootstrap_does_not_change_with_copies():
    y, score, patient = binormal(30, 2)
    (once,) = bootstrap_intervals(share_above(score), y, patient, n_resamples=200)
    y, score, patient = (np.tile(v, 2) for v in (y, score, patient))
    (twice,) = bootstrap_intervals(share_above(score), y, patient, n_resamples=200)
    assert numbers(twice) == pytest.approx(numbers(once), abs=1e-12)


def test_bootstrap_says_when_it_has_nothing_to_give():
    y = np.repeat(["a", "b"], 10)
    values = np.arange(20) % 3 / 2
    same, some = bootstrap_intervals(
        lambda w: np.concatenate([share_above(np.ones(20))(w), share_above(values)(w)]), y
    )
    assert same is None
    assert some.low < some.value < some.high
    with pytest.raises(ProtocolError, match="single patient"):
        bootstrap_intervals(share_above(np.arange(3)), ["a", "a", "b"], n_resamples=20)


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


def three_classes(n_patients=60, images=2, seed=0):
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(n_patients), images)
    labels = np.array(list("abc"))[patient % 3]
    scores = 0.6 * rng.standard_normal((n_patients, 3))[patient]
    scores += 0.6 * rng.standard_normal((len(patient), 3))
    scores[np.arange(len(patient)), patient % 3] += 0.9
    return labels, scores, patient


def test_macro_auroc_of_two_classes_is_that_of_one():
    y, score, patient = binormal()
    both = np.column_stack([-score, score])
    labels = np.array(["n", "p"])[y]
    single = macro_auc_interval(labels, both, np.zeros(len(y)), patient)
    expected = roc_auc_interval(y, score, patient)
    assert numbers(single) == pytest.approx(numbers(expected), abs=1e-12)
    folds = patient // 2 % 5
    expected = cv_auc_interval(y, score, folds, patient)
    assert numbers(macro_auc_interval(labels, both, folds, patient)) == pytest.approx(
        numbers(expected), abs=1e-12
    )


def test_macro_auroc_is_that_of_scikit_learn_with_the_jackknifes_variance():
    labels, scores, patient = three_classes()
    interval = macro_auc_interval(labels, scores, np.zeros(len(labels)), patient)

    def macro(rows):
        columns = dict(zip("abc", scores.T, strict=True))
        return np.mean([roc_auc_score(labels[rows] == c, s[rows]) for c, s in columns.items()])

    assert interval.value == pytest.approx(macro(slice(None)))
    left_out = np.array([macro(patient != p) for p in range(60)])
    strata = [left_out[c::3] for c in range(3)]  # patients of one class are of one class
    jackknife = sum(19 / 20 * np.sum((part - part.mean()) ** 2) for part in strata)
    assert interval.standard_error**2 == pytest.approx(jackknife, rel=0.05)


def test_macro_auroc_does_not_change_with_copies():
    labels, scores, patient = three_classes()
    folds = patient // 3 % 4
    once = macro_auc_interval(labels, scores, folds, patient)
    twice = macro_auc_interval(*(np.repeat(v, 2, axis=0) for v in (labels, scores, folds, patient)))
    assert numbers(twice) == pytest.approx(numbers(once), abs=1e-12)


def test_perfect_and_constant_macro_auroc():
    labels, scores, patient = three_classes(images=1)
    perfect = macro_auc_interval(labels, np.eye(3)[patient % 3], np.zeros(60), patient)
    assert (perfect.value, perfect.high) == (1.0, 1.0)
    assert perfect.low == pytest.approx(0.025 ** (1 / 20))
    same = macro_auc_interval(labels, np.ones_like(scores), np.zeros(60), patient)
    assert (same.low, same.high) == (0.5, 0.5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"y_true": [0, 1, 2], "score": [1, 2, 3]}, "only 0 and 1"),
        ({"y_true": ["a", "b"], "score": [1, 2]}, "only 0 and 1"),
        ({"y_true": [], "score": []}, "not empty"),
        ({"y_true": [[0, 1]], "score": [[1, 2]]}, "one-dimensional"),
        ({"y_true": [0, 1], "score": [1, 2, 3]}, "each of the 2 samples"),
        ({"y_true": [0, 1], "score": ["x", "y"]}, "each of the 2 samples"),
        ({"y_true": [0, 1], "score": [1, np.nan]}, "not finite"),
        ({"y_true": [0, 1], "score": [1, 2], "groups": ["a"]}, "groups must hold"),
        ({"y_true": [0, 1], "score": [1, 2], "groups": ["a", ""]}, "for 1 of the 2"),
        ({"y_true": [0, 1], "score": [1, 2], "groups": ["a", None]}, "for 1 of the 2"),
        ({"y_true": [0, 1], "score": [1, 2], "groups": [1.0, np.nan]}, "for 1 of the 2"),
        ({"y_true": [0, 1], "score": [1, 2], "level": 95}, "between 0 and 1"),
        ({"y_true": [0, 1], "score": [1, 2], "method": "logitt"}, "did you mean 'logit'"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(UsageError, match=message):
        roc_auc_interval(**arguments)


def test_booleans_are_labels():
    y, score, _ = binormal()
    assert roc_auc_interval(y == 1, score) == roc_auc_interval(y, score)


def test_one_class_cannot_be_ranked():
    with pytest.raises(ProtocolError, match="all samples are of class 1"):
        roc_auc_interval([1, 1], [1, 2])
    with pytest.raises(ProtocolError, match="one fold are of class 0"):
        cv_auc_interval([0, 1, 0, 0], [1, 2, 3, 4], [0, 0, 1, 1])
    with pytest.raises(UsageError, match="3 of 2"):
        wilson_interval(3, 2)
