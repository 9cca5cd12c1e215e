"""Paired tests: two arms on the same samples, by patient.

Each test comes with the difference and its interval. Their sizes are simulated in
``benchmarks/coverage.py``; the table is ``benchmarks/coverage.md``.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from bottleneck.errors import ProtocolError, UsageError
from bottleneck.evaluation.intervals import (
    Interval,
    auc_interval,
    check_level,
    effective_number,
    variance_name,
)
from bottleneck.evaluation.macro import MacroAuc
from bottleneck.evaluation.placements import Design, encode, zeros_and_ones

__all__ = [
    "AucDifference",
    "McNemar",
    "ResampledDifference",
    "corrected_resampled_t",
    "cv_auc_difference",
    "delong_test",
    "holm",
    "macro_auc_difference",
    "mcnemar_test",
]


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
        AUROC of 1; the interval joins those of ``roc_auc_interval`` instead (Zou & Yue
        2013, Statistics in Medicine 32:5077, "MOVER"): low = difference - sqrt(u² + v²
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

    The variance is that of ``cv_auc_interval``, corrected, with the influences of both
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
    difference = a.value - b.value
    if error > 0:
        z = difference / error
        p = 2 * float(special.ndtr(-abs(z)) if normal else special.stdtr(degrees, -abs(z)))
    else:
        error, z, p = np.nan, np.nan, _bounded_p(arm_a, arm_b, design.pairs)
        name = "distribution-free bound"
    low, high = _interval_of_difference(arm_a, arm_b, error)
    return AucDifference(a.value, b.value, difference, low, high, error, z, p, level, name)


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
    difference, influence = a.value - b.value, a.influence - b.influence
    name = a.name
    variance, degrees = a.variance(influence)
    error = float(np.sqrt(variance))
    if error > 0:
        z = difference / error
        p = 2 * float(special.stdtr(degrees, -abs(z)))
    elif difference == 0 and not influence.any():
        return AucDifference(a.value, b.value, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, level, a.name)
    else:
        error = z = p = np.nan
        name = "distribution-free bound"
    low, high = _interval_of_difference(arm_a, arm_b, error)
    return AucDifference(a.value, b.value, difference, low, high, error, z, p, level, name)


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


@dataclasses.dataclass(frozen=True)
class McNemar:
    """The accuracies of two arms on the same samples and the test of their difference.

    Attributes
    ----------
    only_a, only_b : int
        Samples that only one of the arms has right.
    difference, low, high : float
        Accuracy of a minus accuracy of b over all samples, and its interval.
    p : float
        Two-sided p value: exact, or Durkalski's.
    mid_p : float or None
        The mid-p value, less conservative; None where p is not exact.
    level : float
        Confidence level of the interval.
    method : str
        Name of the test, for a table's footnote.
    """

    only_a: int
    only_b: int
    difference: float
    low: float
    high: float
    p: float
    mid_p: float | None
    level: float
    method: str


def mcnemar_test(
    correct_a: ArrayLike,
    correct_b: ArrayLike,
    groups: ArrayLike | None = None,
    level: float = 0.95,
) -> McNemar:
    """Test whether two arms are equally often right on the same samples.

    Parameters
    ----------
    correct_a, correct_b : array-like of {0, 1} or bool, shape (n_samples,)
        Where each arm was right.
    groups : array-like, shape (n_samples,), optional
        Patients; without them every sample is a patient of its own.
    level : float
        Confidence level.

    Returns
    -------
    McNemar
        With d_i the mean difference over the samples of patient i: where all d_i are
        -1, 0 or 1 (one sample a patient, above all), the exact binomial test of their
        signs, and the mid-p value of Fagerland, Lydersen & Laake (2013, BMC Medical
        Research Methodology 13:91); else the test of Durkalski et al. (2003,
        Statistics in Medicine 22:2417), (sum d_i)² / sum d_i² against chi-squared with
        one degree of freedom, which counts every patient alike.

        The interval is that of Bonett & Price (2012, Journal of Educational and
        Behavioral Statistics 37:479), which Fagerland, Lydersen & Laake (2014,
        Statistics in Medicine 33:2850) recommend: with p_a = (x_a + 1) / (n + 2) of the
        samples that only a has right and p_b likewise, p_a - p_b ± z sqrt((p_a + p_b -
        (p_a - p_b)²) / (n + 2)). Where patients have several samples, n, x_a and x_b
        are scaled to ``intervals.effective_number`` of the differences.

    Raises
    ------
    UsageError
        If an array or the level is not what it should be.
    """
    z = -float(special.ndtri((1 - check_level(level)) / 2))
    right_a, right_b = (
        zeros_and_ones("correct_a", correct_a),
        zeros_and_ones("correct_b", correct_b),
    )
    if right_a.shape != right_b.shape:
        raise UsageError(
            f"both arms must be judged on the same samples, not on {len(right_a)} and "
            f"{len(right_b)}"
        )
    n = len(right_a)
    patients = np.arange(n) if groups is None else encode("groups", groups, n)
    differences = right_a.astype(float) - right_b
    only_a, only_b = int((differences > 0).sum()), int((differences < 0).sum())

    by_patient = np.bincount(patients, differences) / np.bincount(patients)
    if np.isin(by_patient, (-1, 0, 1)).all():
        p, mid_p = _exact_mcnemar(int((by_patient > 0).sum()), int((by_patient < 0).sum()))
        method = "exact McNemar"
    else:
        p = float(special.chdtrc(1, by_patient.sum() ** 2 / (by_patient @ by_patient)))
        mid_p, method = None, "Durkalski"

    size = effective_number(differences, patients, level)
    share_a, share_b = ((x * size / n + 1) / (size + 2) for x in (only_a, only_b))
    centre = share_a - share_b
    reach = z * np.sqrt((share_a + share_b - centre**2) / (size + 2))
    low, high = max(-1.0, float(centre - reach)), min(1.0, float(centre + reach))
    difference = (only_a - only_b) / n
    return McNemar(only_a, only_b, difference, low, high, p, mid_p, level, method)


def _exact_mcnemar(wins: int, losses: int) -> tuple[float, float]:
    n = wins + losses
    if n == 0:
        return 1.0, 1.0
    p = float(stats.binomtest(wins, n).pvalue)
    observed = float(stats.binom.pmf(wins, n, 0.5))
    return p, p - observed * (0.5 if wins == losses else 1)


@dataclasses.dataclass(frozen=True)
class ResampledDifference:
    """The mean difference over repeated folds and its corrected t test.

    Attributes
    ----------
    difference, low, high : float
        Mean difference and the bounds of its interval.
    standard_error : float
        Corrected.
    t, degrees_of_freedom, p : float
        The statistic, its degrees of freedom and the two-sided p value.
    level : float
        Confidence level of the interval.
    method : str
        Name of the test, for a table's footnote.
    """

    difference: float
    low: float
    high: float
    standard_error: float
    t: float
    degrees_of_freedom: int
    p: float
    level: float
    method: str


def corrected_resampled_t(
    differences: ArrayLike, n_train: float, n_test: float, level: float = 0.95
) -> ResampledDifference:
    """Test the mean difference of any metric over the folds of a repeated cross-validation.

    Parameters
    ----------
    differences : array-like of float, shape (n_folds * n_repeats,)
        Metric of arm a minus metric of arm b, one a fold and repeat.
    n_train, n_test : float
        Patients (not images) to train and to test on in a fold, on average.
    level : float
        Confidence level.

    Returns
    -------
    ResampledDifference
        Nadeau & Bengio (2003, Machine Learning 52:239): SE² = (1/J + n_test / n_train)
        times the variance of the J differences, and J - 1 degrees of freedom. Equal
        arms (all differences 0) have t 0 and p 1. In ``benchmarks/coverage.md`` it
        rejects up to 13 % of true hypotheses at the 5 % level where there are many
        features for the patients; for the AUROC, ``cv_auc_difference`` holds its level.

    Raises
    ------
    UsageError
        If there are fewer than two differences or no patients.
    ProtocolError
        If all differences are the same but not 0: then t is not defined.
    """
    alpha = 1 - check_level(level)
    values = np.asarray(differences, dtype=float)
    if values.ndim != 1 or len(values) < 2 or not np.isfinite(values).all():
        raise UsageError(
            "the corrected resampled t test needs two finite differences or more, one a fold "
            f"and repeat, not an array of shape {values.shape}"
        )
    if n_train <= 0 or n_test <= 0:
        raise UsageError(f"patients to train and test on: {n_train} and {n_test}; expected above 0")
    count, mean = len(values), float(values.mean())
    error = float(np.sqrt((1 / count + n_test / n_train) * values.var(ddof=1)))
    if np.ptp(values) == 0:
        if mean != 0:
            raise ProtocolError(
                f"all {count} differences are {mean:g}; without variance there is no t test"
            )
        t = 0.0
    else:
        t = mean / error
    reach = -float(special.stdtrit(count - 1, alpha / 2)) * error
    p = 2 * float(special.stdtr(count - 1, -abs(t)))
    name = "corrected resampled t"
    return ResampledDifference(
        mean, mean - reach, mean + reach, error, t, count - 1, p, level, name
    )


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Adjust p values for the number of tests, controlling the family-wise error.

    Parameters
    ----------
    p_values : array-like of float, shape (n_tests,)
        Between 0 and 1.

    Returns
    -------
    ndarray of float64, shape (n_tests,)
        In the same order: the largest (n - j) p_(j) over the ranks j up to each one's
        own, counted from 0, at most 1. Holm (1979, Scandinavian Journal of Statistics
        6:65).

    Raises
    ------
    UsageError
        If a p value is not between 0 and 1.
    """
    p = np.asarray(p_values, dtype=float)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise UsageError("p values must be a one-dimensional array of numbers between 0 and 1")
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    steps = p[order] * np.arange(len(p), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return adjusted
