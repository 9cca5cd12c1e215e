"""The variance that training sets add to an AUROC over folds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import t
from sklearn.metrics import roc_auc_score

from bottleneck.errors import UsageError
from bottleneck.statistics import (
    macro_auc_interval,
    roc_auc_difference,
    roc_auc_interval,
    roc_auc_noninferiority,
    subgroup_auc_test,
)
from bottleneck.statistics.heterogeneity.subgroup_levels import auroc_level
from bottleneck.statistics.inference.patient_variance import training_variance
from bottleneck.statistics.roc.auroc_variance import AurocEstimator

N, REPEATS, FOLDS, PARTS = 120, 3, 4, 5
RNG = np.random.default_rng(3)
Y = np.tile(np.arange(N) % 2, REPEATS)
IDS = np.tile(np.arange(N), REPEATS)
REPEAT = np.repeat(np.arange(REPEATS), N)
FOLD = np.concatenate([RNG.permutation(N) for _ in range(REPEATS)]) % FOLDS + FOLDS * REPEAT
SCORE = Y + np.tile(RNG.normal(0, 1, N), REPEATS) + RNG.normal(0, 0.1, len(Y))


def parts(noise, seed=0):
    return SCORE[:, None] + noise * np.random.default_rng(seed).normal(size=(len(Y), PARTS))


def mean_area(score, repeat):
    folds = np.unique(FOLD[repeat == REPEAT])
    return np.mean([roc_auc_score(Y[f == FOLD], score[f == FOLD]) for f in folds])


def expected_interval(jackknife):
    """The interval from scikit-learn's AUROCs, the textbook jackknife and a t distribution."""
    estimator = AurocEstimator(Y, IDS, FOLD)
    variance, degrees = estimator.variance(estimator.influence(estimator.rank(SCORE)))
    without = np.array([[mean_area(column, r) for column in jackknife.T] for r in range(REPEATS)])
    value = np.array([mean_area(SCORE, r) for r in range(REPEATS)])
    added = 1.5 * np.mean([(PARTS - 1) * np.var(row) for row in without])
    added += value.var(ddof=1) / REPEATS
    total = min(variance + added, variance * estimator.overlap)
    if total < variance * estimator.overlap:
        summed = variance**2 / degrees + added**2 / (REPEATS * (PARTS - 1))
        degrees = min(degrees, total**2 / summed)
    mean = value.mean()
    reach = t.isf(0.025, degrees) * np.sqrt(total) / (mean * (1 - mean))
    return expit(logit(mean) + np.array([-reach, reach]))


@pytest.mark.parametrize("noise", [0.1, 0.5, 3.0])
def test_an_interval_adds_the_jackknife_of_the_training_sets(noise):
    jackknife = parts(noise)
    found = roc_auc_interval(Y, SCORE, IDS, FOLD, repeats=REPEAT, jackknife=jackknife)
    np.testing.assert_allclose([found.low, found.high], expected_interval(jackknife))


def test_the_interval_lies_between_those_of_no_factor_and_the_whole_factor():
    def width(**options):
        found = roc_auc_interval(Y, SCORE, IDS, FOLD, repeats=REPEAT, **options)
        return found.high - found.low

    widths = [
        width(corrected=False),
        width(jackknife=parts(0.0)),
        width(jackknife=parts(0.3)),
        width(jackknife=parts(5.0)),
    ]
    assert widths == sorted(widths)
    assert widths[-1] == pytest.approx(width())


@pytest.mark.parametrize("noise", [0.0, 0.5, 3.0])
def test_a_subgroup_has_the_degrees_of_freedom_of_its_interval(noise):
    rows, jackknife = IDS % 3 > 0, parts(noise, np.random.default_rng(0))
    level = auroc_level("a", Y == 1, SCORE, rows, IDS, FOLD, repeats=REPEAT, jackknife=jackknife)
    made = [level.interval(at) for at in (0.5, 0.9)]
    reach = [logit(one.high) - logit(one.value) for one in made]
    quantile = t.isf([0.25, 0.05], level.size)
    assert reach[1] / reach[0] == pytest.approx(quantile[1] / quantile[0])


def test_two_models_that_vary_alike_differ_for_certain():
    # What both models gain and lose with the same patients does not concern their difference.
    rng = np.random.default_rng(1)
    shared = 0.1 * rng.normal(size=(len(Y), PARTS))
    other = SCORE + np.tile(rng.normal(0, 0.3, N), REPEATS)
    alike = roc_auc_difference(
        Y,
        SCORE,
        other,
        IDS,
        FOLD,
        repeats=REPEAT,
        jackknife_a=SCORE[:, None] + shared,
        jackknife_b=other[:, None] + shared,
    )
    apart = roc_auc_difference(
        Y,
        SCORE,
        other,
        IDS,
        FOLD,
        repeats=REPEAT,
        jackknife_a=parts(0.1),
        jackknife_b=other[:, None] + 0.1 * rng.normal(size=(len(Y), PARTS)),
    )
    assert alike.standard_error < apart.standard_error


def test_margins_and_subgroups_have_the_jackknife():
    rng = np.random.default_rng(4)
    other = SCORE + np.tile(rng.normal(0, 0.5, N), REPEATS)
    mine, theirs = parts(0.3, rng), other[:, None] + 0.3 * rng.normal(size=(len(Y), PARTS))
    pair = roc_auc_difference(
        Y, SCORE, other, IDS, FOLD, repeats=REPEAT, jackknife_a=mine, jackknife_b=theirs
    )
    margin = roc_auc_noninferiority(
        Y,
        SCORE,
        other,
        IDS,
        FOLD,
        margin=0.1,
        repeats=REPEAT,
        jackknife=mine,
        jackknife_reference=theirs,
    )
    assert (margin.low, margin.high) == pytest.approx((pair.low, pair.high))
    assert margin.method == pair.method
    level = np.where(IDS % 4 < 2, "a", "b")
    test = subgroup_auc_test(Y, SCORE, level, IDS, FOLD, repeats=REPEAT, jackknife=mine)
    for name, found in zip("ab", test.estimates, strict=True):
        of = level == name
        alone = roc_auc_interval(
            Y[of], SCORE[of], IDS[of], FOLD[of], repeats=REPEAT[of], jackknife=mine[of]
        )
        assert (found.low, found.high) == pytest.approx((alone.low, alone.high))
    with pytest.raises(UsageError, match="jackknife_reference must have a column for each part"):
        roc_auc_noninferiority(Y, SCORE, other, margin=0.1, jackknife_reference=mine[:, :1])


def test_a_difference_needs_the_jackknife_of_both():
    other = SCORE + np.random.default_rng(2).normal(0, 0.5, len(Y))
    plain = roc_auc_difference(Y, SCORE, other, IDS, FOLD, repeats=REPEAT)
    one = roc_auc_difference(Y, SCORE, other, IDS, FOLD, repeats=REPEAT, jackknife_a=parts(0.1))
    assert one.standard_error == pytest.approx(plain.standard_error)
    assert "Nadeau" in one.method


def test_a_difference_from_a_model_that_knows_nothing_is_the_interval_of_the_other():
    jackknife = parts(0.2)
    alone = roc_auc_interval(Y, SCORE, IDS, FOLD, repeats=REPEAT, jackknife=jackknife)
    test = roc_auc_difference(
        Y, SCORE, np.zeros(len(Y)), IDS, FOLD, repeats=REPEAT, jackknife_a=jackknife
    )
    np.testing.assert_allclose([test.low + 0.5, test.high + 0.5], [alone.low, alone.high])
    assert "jackknife" in test.method


def test_the_mean_of_two_opposite_classes_is_the_auroc():
    jackknife = parts(0.3)
    one = roc_auc_interval(Y, SCORE, IDS, FOLD, repeats=REPEAT, jackknife=jackknife)
    both = macro_auc_interval(
        Y,
        np.stack([-SCORE, SCORE], axis=1),
        IDS,
        FOLD,
        repeats=REPEAT,
        jackknife=np.stack([-jackknife, jackknife], axis=2),
    )
    np.testing.assert_allclose([both.value, both.low, both.high], [one.value, one.low, one.high])


def test_the_jackknife_of_a_linear_statistic_is_its_variance():
    # A mean over groups of equal size, whose variance is known.
    rng = np.random.default_rng(0)
    estimates = []
    for _ in range(2000):
        x = rng.normal(size=20)
        groups = x.reshape(5, 4).mean(axis=1)
        without = (groups.sum() - groups) / 4
        estimates.append(training_variance(np.array([x.mean()]), without[None])[0])
    assert np.mean(estimates) == pytest.approx(1.5 / 20, rel=0.05)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"jackknife": SCORE}, "one row per sample"),
        ({"jackknife": SCORE[:, None]}, "two at least"),
        ({"jackknife": parts(1)[1:]}, "360 samples"),
        ({"jackknife": parts(1) * np.nan}, "finite"),
        ({"repeats": np.arange(len(Y))}, "a fold is in several"),
    ],
)
def test_what_is_no_jackknife_is_refused(options, words):
    with pytest.raises(UsageError, match=words):
        roc_auc_interval(Y, SCORE, IDS, FOLD, **({"repeats": REPEAT} | options))
