"""Tests of subgroup differences: whether a metric is the same in all levels of a column."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from bottleneck.errors import ProtocolError
from bottleneck.statistics.accuracy.proportions import overlap_over
from bottleneck.statistics.arguments import (
    as_booleans,
    as_codes,
    as_matrix,
    as_patients,
    as_scores,
    check_level,
    check_same_rows,
)
from bottleneck.statistics.class_labels import as_labels, as_truth
from bottleneck.statistics.heterogeneity.subgroup_levels import Level, auroc_level, proportion_level
from bottleneck.statistics.inference.intervals import (
    Interval,
    show_bounds,
    show_result,
    with_counts,
)
from bottleneck.statistics.inference.inversion import agree_with_p, invert_interval
from bottleneck.statistics.roc.auroc_difference import mover_interval

__all__ = [
    "SubgroupTest",
    "compare_levels",
    "subgroup_auc_test",
    "subgroup_proportion_test",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class SubgroupTest:
    """The test of whether a metric is the same in all subgroups.

    Attributes
    ----------
    levels : tuple of str
        The subgroups that were compared.
    left_out : tuple of str
        Subgroups for which the metric, or its standard error, is not defined.
    estimates : tuple of Interval
        The metric in each of ``levels``.
    difference, low, high : float
        First minus second subgroup, and the bounds of the interval; NaN for three or more.
    statistic : float
        Welch's F for an AUROC, chi-squared for a proportion; NaN for two subgroups.
    p : float
        p value of the hypothesis that the metric is the same in all ``levels``.
    level : float
        Confidence level of the intervals.
    method : str
        Name of the method, for the footnote of a table.
    n, n_groups : int or None
        Number of samples, and of patients; None where they were not given.

    Examples
    --------
    >>> correct = [1] * 18 + [0] * 2 + [1] * 10 + [0] * 10
    >>> subgroup_proportion_test(correct, ["new"] * 20 + ["old"] * 20)
    SubgroupTest(new - old 0.4, 95 % 0.116 to 0.613, p=0.00587, n=40, Wilson, MOVER)
    """

    levels: tuple[str, ...]
    left_out: tuple[str, ...]
    estimates: tuple[Interval, ...]
    difference: float
    low: float
    high: float
    statistic: float
    p: float
    level: float
    method: str
    n: int | None = dataclasses.field(default=None, compare=False)
    n_groups: int | None = dataclasses.field(default=None, compare=False)

    def __repr__(self) -> str:
        what = f"{len(self.levels)} subgroups"
        if len(self.levels) == 2:
            first, second = self.levels
            what = f"{first} - {second} {self.difference:.3g}, {show_bounds(self)}"
        return show_result(self, f"{what}, p={self.p:.3g}")


def subgroup_auc_test(
    y_true: ArrayLike,
    score: ArrayLike,
    levels: ArrayLike,
    groups: ArrayLike | None = None,
    folds: ArrayLike | None = None,
    *,
    repeats: ArrayLike | None = None,
    jackknife: ArrayLike | None = None,
    positive: object = None,
    level: float = 0.95,
) -> SubgroupTest:
    """Test whether the AUROC is the same in all subgroups.

    Parameters
    ----------
    y_true : array-like of int, bool or str, shape (n_samples,)
        Classes of the samples.
    score : array-like of float, shape (n_samples,)
        Scores of one model; larger scores mean more of the positive class.
    levels : array-like of str or int, shape (n_samples,)
        Subgroup of every sample. A patient may have samples in several.
    groups, folds, repeats, jackknife, positive
        As for ``roc_auc_interval``. A fold counts for the subgroups that have both classes in it.
    level : float
        Confidence level of the intervals.

    Returns
    -------
    SubgroupTest
        Two subgroups: the difference with the interval that combines those of both (MOVER: Zou &
        Yue 2013, Statistics in Medicine 32:5077), and p inverts it. Three or more: Welch's F test
        (1951, Biometrika 38:330) of the logits of the AUROCs, each with the variance and the
        degrees of freedom of ``roc_auc_interval``. The correlation between two subgroups is that
        of the influence values, summed over the patients that have samples in both.

    Raises
    ------
    UsageError
        If an array has the wrong shape, type or values, the positive class is not known, or the
        level is not between 0 and 1.
    ProtocolError
        If there are fewer than two subgroups with an AUROC.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> y_true, device = np.tile([0, 1], 100), np.repeat(["new", "old"], 100)
    >>> score = np.where(device == "new", 2.5, 0.5) * y_true + rng.normal(size=200)
    >>> subgroup_auc_test(y_true, score, device).p < 0.001
    True
    """
    check_level(level)
    check_same_rows(
        y_true=y_true,
        score=score,
        levels=levels,
        groups=groups,
        folds=folds,
        repeats=repeats,
        jackknife=jackknife,
    )
    true = as_truth("y_true", y_true, positive)
    n = len(true)
    scores, patients = as_scores("score", score, n), as_patients(groups, n)
    fold = np.zeros(n, dtype=np.int64) if folds is None else as_codes("folds", folds, n)
    repeat = None if repeats is None else as_codes("repeats", repeats, n)
    parts = None if jackknife is None else as_matrix("jackknife", jackknife).astype(np.float64)
    named = _names(levels, n)
    known = {
        name: auroc_level(
            name, true, scores, named == name, patients, fold, repeats=repeat, jackknife=parts
        )
        for name in np.unique(named).tolist()
    }
    return _with_counts(_compare(known, level, "the AUROC"), n, groups, patients)


def subgroup_proportion_test(
    correct: ArrayLike,
    levels: ArrayLike,
    groups: ArrayLike | None = None,
    folds: ArrayLike | None = None,
    *,
    level: float = 0.95,
) -> SubgroupTest:
    """Test whether a proportion, such as the sensitivity, is the same in all subgroups.

    Parameters
    ----------
    correct : array-like of {0, 1} or bool, shape (n_samples,)
        1 marks the samples to count. For a sensitivity, give the positive samples only.
    levels : array-like of str or int, shape (n_samples,)
        Subgroup of every sample. A patient may have samples in several.
    groups, folds, level
        As for ``proportion_interval``.

    Returns
    -------
    SubgroupTest
        Two subgroups: the difference with the interval that combines Wilson's intervals of both
        (Newcombe 1998, Statistics in Medicine 17:873, method 10; with a correlation: Zou & Donner
        2008, Statistics in Medicine 27:1693), and p inverts it. Three or more: Pearson's
        chi-squared, with the effective sample sizes of Rao & Scott (1992, Biometrics 48:577). The
        correlation between two subgroups is that of the patients that have samples in both.

    Raises
    ------
    UsageError
        If an array has the wrong shape, type or values, or the level is not between 0 and 1.
    ProtocolError
        If there are fewer than two subgroups.

    Examples
    --------
    >>> correct = [1, 1, 1, 0, 1, 1, 0, 0, 1, 0, 0, 0]
    >>> subgroup_proportion_test(correct, ["a", "b", "c"] * 4)
    SubgroupTest(3 subgroups, p=0.368, n=12, Wilson, Pearson's chi-squared)
    """
    check_level(level)
    check_same_rows(correct=correct, levels=levels, groups=groups, folds=folds)
    counted = as_booleans("correct", correct)
    n = len(counted)
    patients, named = as_patients(groups, n), _names(levels, n)
    overlap, once = overlap_over(folds, patients), np.zeros(n, dtype=np.int64)
    known: dict[str, Level | None] = {
        name: proportion_level(name, counted, named == name, patients, once, overlap)
        for name in np.unique(named).tolist()
    }
    return _with_counts(_compare(known, level, "a proportion"), n, groups, patients)


def _names(levels: ArrayLike, n: int) -> NDArray[np.str_]:
    as_codes("levels", levels, n)
    return as_labels("levels", levels).astype(str)


def _with_counts(
    test: SubgroupTest, n: int, groups: ArrayLike | None, patients: Ints
) -> SubgroupTest:
    return with_counts(test, n, None if groups is None else patients)


def _compare(known: dict[str, Level | None], level: float, what: str) -> SubgroupTest:
    test = compare_levels(known, level)
    if test is None:
        raise ProtocolError(
            f"subgroups differ in {what} only if it is known in two of them or more: give a "
            f"column with two levels or more that have it, not {len(known)}"
        )
    return test


def compare_levels(known: dict[str, Level | None], level: float = 0.95) -> SubgroupTest | None:
    """Test whether a metric is the same in all subgroups.

    Parameters
    ----------
    known : dict of str to Level or None
        Subgroups by name; None for those without the metric.
    level : float
        Confidence level of the intervals.

    Returns
    -------
    SubgroupTest or None
        As of ``subgroup_auc_test`` and ``subgroup_proportion_test``; None if fewer than two
        subgroups can be compared.
    """
    found = [one for one in known.values() if one is not None]
    estimates = [one.interval(level) for one in found]
    is_share = all("Wilson" in one.method for one in estimates)
    if len(found) > 2 and not is_share:
        # A logit without a standard error has no place in a sum of squares.
        errors = [one.standard_error > 0 for one in estimates]
        found = [one for one, has in zip(found, errors, strict=True) if has]
        estimates = [one for one, has in zip(estimates, errors, strict=True) if has]
    if len(found) < 2:
        return None
    names = tuple(one.name for one in found)
    correlation = _correlate(found)
    difference = low = high = statistic = np.nan
    name = estimates[0].method.removesuffix(", logit scale")
    if len(found) == 2:
        difference = estimates[0].value - estimates[1].value
        low, high, p = _test_two(found, float(correlation[0, 1]), level)
        name += ", MOVER"
    elif is_share:
        statistic, p = _pearson(estimates, np.array([one.size for one in found]), correlation)
        name += ", Pearson's chi-squared"
    else:
        statistic, p = _welch(estimates, np.array([one.size for one in found]), correlation)
        name += ", Welch's F on the logit scale"
    left_out = tuple(one for one in known if one not in names)
    return SubgroupTest(
        names, left_out, tuple(estimates), difference, low, high, statistic, p, level, name
    )


def _correlate(found: Sequence[Level]) -> Floats:
    """Return the correlation of the estimates, from the patients that have samples in several."""
    influences = np.stack([one.influence for one in found])
    scale = np.sqrt((influences**2).sum(axis=1))
    products = np.outer(scale, scale)
    made = np.divide(
        influences @ influences.T, products, np.zeros_like(products), where=products > 0
    )
    np.fill_diagonal(made, 1.0)
    return np.asarray(made)


def _test_two(
    found: Sequence[Level], correlation: float, level: float
) -> tuple[float, float, float]:
    """Return the bounds of the difference of two subgroups, and its p value."""

    def bounds(at: float) -> tuple[float, float]:
        a, b = (one.interval(at) for one in found)
        shared = 2 * correlation * a.standard_error * b.standard_error
        error = np.sqrt(a.standard_error**2 + b.standard_error**2 - shared)
        return mover_interval(a, b, float(error))

    p = invert_interval(bounds)
    difference = found[0].interval(level).value - found[1].interval(level).value
    return (*agree_with_p(*bounds(level), difference, p, level), p)


def _welch(
    estimates: Sequence[Interval], degrees: Floats, correlation: Floats
) -> tuple[float, float]:
    """Return Welch's F of the logits of AUROCs, and its p value."""
    value = np.array([one.value for one in estimates])
    error = np.array([one.standard_error for one in estimates]) / (value * (1 - value))
    k = len(value)
    weights = error**-2
    lost = float(((1 - weights / weights.sum()) ** 2 / degrees).sum()) / (k**2 - 1)
    squares = _contrast(special.logit(value), correlation * np.outer(error, error))
    statistic = squares / (k - 1) / (1 + 2 * (k - 2) * lost)
    return statistic, float(stats.f.sf(statistic, k - 1, 1 / (3 * lost)))


def _pearson(
    estimates: Sequence[Interval], sizes: Floats, correlation: Floats
) -> tuple[float, float]:
    """Return Pearson's chi-squared of proportions, and its p value."""
    value = np.array([one.value for one in estimates])
    pooled = float(sizes @ value / sizes.sum())
    if pooled in (0.0, 1.0):
        return 0.0, 1.0
    error = np.sqrt(pooled * (1 - pooled) / sizes)
    statistic = _contrast(value, correlation * np.outer(error, error))
    return statistic, float(stats.chi2.sf(statistic, len(value) - 1))


def _contrast(value: Floats, covariance: Floats) -> float:
    """Return the Wald statistic of the hypothesis that all values are equal."""
    differences = value[1:] - value[0]
    to_first = np.hstack([-np.ones((len(value) - 1, 1)), np.eye(len(value) - 1)])
    return float(differences @ np.linalg.pinv(to_first @ covariance @ to_first.T) @ differences)
