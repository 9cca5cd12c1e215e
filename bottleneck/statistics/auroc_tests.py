"""The AUROCs of two arms on the same samples, and the test of their difference.

Sizes of the tests are simulated in ``benchmarks/coverage.py``; the table is
``benchmarks/coverage.md``.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from bottleneck.statistics.auroc import auc_interval, variance_name
from bottleneck.statistics.auroc_influence import Design
from bottleneck.statistics.auroc_multiclass import MacroAuc
from bottleneck.statistics.intervals import Interval, check_level

__all__ = ["AucDifference", "cv_auc_difference", "delong_test", "macro_auc_difference"]


@dataclasses.dataclass(frozen=True)
class AucDifference:
    """The AUROCs of two arms and the test of their difference.

    Attributes
    ----------
    auc_a, auc_b : float
        The AUROCs.
    difference, low, high : float
        ``auc_a - auc_b`` and the bounds of its interval.
    standard_error : float
        Of the difference.
    z, p : float
        The difference over its standard error, and the two-sided p value.
    level : float
        Confidence level of the interval.
    method : str
        Name of the method, for a table's footnote.
    """

    auc_a: float
    auc_b: float
    difference: float
    low: float
    high: float
    standard_error: float
    z: float
    p: float
    level: float
    method: str


def delong_test(
    y_true: ArrayLike,
    score_a: ArrayLike,
    score_b: ArrayLike,
    groups: ArrayLike | None = None,
    level: float = 0.95,
) -> AucDifference:
    """Test whether two scores of the same samples have the same AUROC.

    Parameters
    ----------
    y_true : array-like of {0, 1} or bool, shape (n_samples,)
        1 marks the positive class.
    score_a, score_b : array-like of float, shape (n_samples,)
        Scores of the two arms; larger means more of the positive class.
    groups : array-like, shape (n_samples,), optional
        Patients. Then the variance is that of Obuchowski (1997), else DeLong's.
    level : float
        Confidence level.

    Returns
    -------
    AucDifference
        z = difference / SE against the normal distribution, as in DeLong, DeLong &
        Clarke-Pearson (1988) and R's pROC. difference ± z·SE covers too little near an
        AUROC of 1; the interval joins those of ``auroc.roc_auc_interval`` instead (Zou &
        Yue 2013, Statistics in Medicine 32:5077, "MOVER"): low = difference - sqrt(u² + v²
        - 2 r u v), where u is how far the interval of a reaches down, v how far that of
        b reaches up, and r the correlation of the two AUROCs; high likewise. It can
        hold 0 where p is just below 1 - level, and the other way round. Arms that rank
        all samples alike have difference 0, z 0 and p 1. Where the differences of the
        placement values do not vary, or a class has a single patient, there is no
        standard error, and p is a bound from Hoeffding's inequality.

    Raises
    ------
    UsageError
        If an array or the level is not what it should be.
    ProtocolError
        If only one class is present.
    """
    return _auc_difference(Design(y_true, groups), score_a, score_b, level, normal=True)


def cv_auc_difference(
    y_true: ArrayLike,
    score_a: ArrayLike,
    score_b: ArrayLike,
    folds: ArrayLike,
    groups: ArrayLike | None = None,
    level: float = 0.95,
) -> AucDifference:
    """Test whether two arms have the same AUROC within test folds, on average.

    The variance is that of ``auroc.cv_auc_interval``, corrected, with the influences of both
    arms subtracted sample by sample; the reference distribution is t, with the degrees
    of freedom of ``placements.Design.variance``.

    Parameters
    ----------
    y_true, score_a, score_b
        As for ``delong_test``.
    folds : array-like, shape (n_samples,)
        Test fold of every row, the same for both arms. With repeats, number the folds
        of all repeats apart.
    groups : array-like, shape (n_samples,), optional
        Patients; with repeats they are needed (or the sample ids in their place).
    level : float
        Confidence level.

    Returns
    -------
    AucDifference
        The interval, and what there is without a standard error, as for ``delong_test``.

    Raises
    ------
    UsageError
        If an array or the level is not what it should be.
    ProtocolError
        If a fold holds only one class.
    """
    return _auc_difference(Design(y_true, groups, folds), score_a, score_b, level, normal=False)


def _auc_difference(
    design: Design, score_a: ArrayLike, score_b: ArrayLike, level: float, *, normal: bool
) -> AucDifference:
    check_level(level)
    rank_a, rank_b = design.rank(score_a), design.rank(score_b)
    a, b = design.influence(rank_a), design.influence(rank_b)
    name = variance_name(design)
    alike = np.array_equal(rank_a, rank_b)
    perfect = a.value in (0.0, 1.0)
    if alike and not perfect:
        return AucDifference(a.value, b.value, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, level, name)

    arm_a = auc_interval(design, rank_a, a, level)
    arm_b = auc_interval(design, rank_b, b, level)
    if alike:
        # That both separate these few samples does not make them one arm on others.
        low, high = _interval_of_difference(arm_a, arm_b, np.nan)
        name = "distribution-free bound"
        return AucDifference(a.value, b.value, 0.0, low, high, 0.0, 0.0, 1.0, level, name)
    variance, degrees = design.variance(a - b)
    error = float(np.sqrt(variance * design.overlap))
    tail = special.ndtr if normal else functools.partial(special.stdtr, degrees)
    bound = np.nan if error > 0 else _bounded_p(arm_a, arm_b, design.pairs)
    return _test(arm_a, arm_b, error, tail, name, bound)


def macro_auc_difference(
    labels: ArrayLike,
    scores_a: ArrayLike,
    scores_b: ArrayLike,
    folds: ArrayLike,
    groups: ArrayLike | None = None,
    level: float = 0.95,
) -> AucDifference:
    """Test whether two arms have the same mean AUROC of each class against the rest.

    Parameters
    ----------
    labels, folds, groups, level
        As for ``macro.macro_auc_interval``.
    scores_a, scores_b : array-like of float, shape (n_samples, n_classes)
        In the order of the sorted labels.

    Returns
    -------
    AucDifference
        The variance is that of ``macro.macro_auc_interval`` with the influences of
        both arms subtracted; the reference distribution is t. The interval joins those of
        the arms, as for ``delong_test``.

    Raises
    ------
    UsageError
        If an array or the level is not what it should be.
    ProtocolError
        If a fold lacks a class.
    """
    check_level(level)
    a, b = (MacroAuc(labels, scores, folds, groups) for scores in (scores_a, scores_b))
    arm_a, arm_b = a.interval(level), b.interval(level)
    influence = a.influence - b.influence
    variance, degrees = a.variance(influence)
    error = float(np.sqrt(variance))
    if not error > 0 and a.value == b.value and not influence.any():
        return AucDifference(a.value, b.value, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, level, a.name)
    return _test(arm_a, arm_b, error, functools.partial(special.stdtr, degrees), a.name)


def _test(
    a: Interval,
    b: Interval,
    error: float,
    tail: Callable[[float], float],
    name: str,
    bound: float = np.nan,
) -> AucDifference:
    """Test a difference by its standard error, or where there is none by a bound of p."""
    difference, z, p = a.value - b.value, np.nan, bound
    if error > 0:
        z = difference / error
        p = 2 * float(tail(-abs(z)))
    else:
        error, name = np.nan, "distribution-free bound"
    low, high = _interval_of_difference(a, b, error)
    return AucDifference(a.value, b.value, difference, low, high, error, z, p, a.level, name)


def _interval_of_difference(a: Interval, b: Interval, error: float) -> tuple[float, float]:
    """Join two intervals as Zou & Yue (2013) do, with the correlation that the error implies."""
    both = a.standard_error * b.standard_error
    shared = a.standard_error**2 + b.standard_error**2 - error**2
    correlation = float(np.clip(shared / (2 * both), -1, 1)) if both * error > 0 else 0.0

    def reach(up: float, down: float) -> float:
        return float(np.sqrt(up**2 + down**2 - 2 * correlation * up * down))

    difference = a.value - b.value
    return (
        difference - reach(a.value - a.low, b.high - b.value),
        difference + reach(a.high - a.value, b.value - b.low),
    )


def _bounded_p(a: Interval, b: Interval, pairs: float) -> float:
    """Bound the p value of two arms by the Hoeffding inequality of each, halfway between."""
    varying = [arm.value for arm in (a, b) if arm.method != "constant score"]
    middle = (a.value + b.value) / 2 if len(varying) == 2 else 0.5
    least = min(
        special.rel_entr(value, middle) + special.rel_entr(1 - value, 1 - middle)
        for value in varying
    )
    return min(1.0, 2 * len(varying) * float(np.exp(-pairs * least)))
