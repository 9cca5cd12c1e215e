"""Tests of the difference of two AUROCs on the same samples, with confidence intervals.

``benchmarks/coverage.py`` simulates how often the tests reject a true null hypothesis; the
table is ``benchmarks/coverage.md``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from bottleneck.statistics.arguments import check_level, check_same_rows
from bottleneck.statistics.class_labels import as_truth
from bottleneck.statistics.inference.intervals import Interval, with_counts
from bottleneck.statistics.roc.auroc import auc_intervals, rank_parts, variance_name
from bottleneck.statistics.roc.auroc_difference import (
    AucDifference,
    invert_difference,
    no_difference,
)
from bottleneck.statistics.roc.auroc_multiclass import MacroAuroc
from bottleneck.statistics.roc.auroc_variance import AurocEstimator, AurocInfluence

__all__ = [
    "RankedScore",
    "macro_auc_difference",
    "macro_difference",
    "ranked_difference",
    "roc_auc_difference",
]


def roc_auc_difference(
    y_true: ArrayLike,
    score_a: ArrayLike,
    score_b: ArrayLike,
    groups: ArrayLike | None = None,
    folds: ArrayLike | None = None,
    *,
    repeats: ArrayLike | None = None,
    jackknife_a: ArrayLike | None = None,
    jackknife_b: ArrayLike | None = None,
    positive: object = None,
    level: float = 0.95,
) -> AucDifference:
    """Test whether two models have the same AUROC on the same samples.

    Parameters
    ----------
    y_true : array-like of int, bool or str, shape (n_samples,)
        Classes of the samples.
    score_a, score_b : array-like of float, shape (n_samples,)
        Scores of the two models; larger scores mean more of the positive class.
    groups : array-like, shape (n_samples,), optional
        Patients. With them the variance is that of Obuchowski (1997, Biometrics 53:567),
        without them that of DeLong, DeLong & Clarke-Pearson (1988, Biometrics 44:837).
    folds : array-like, shape (n_samples,), optional
        Test fold of every row, the same for both models; see ``roc_auc_interval``. The
        difference is that of the mean AUROCs over the folds, and the variance LeDell's, raised
        for the training sets.
    repeats : array-like, shape (n_samples,), optional
        Repeat of every row, where the folds are of several.
    jackknife_a, jackknife_b : array-like of float, shape (n_samples, n_parts), optional
        Scores by models that were trained without one part of the patients, the same parts for
        both models; see ``roc_auc_interval``. Where one is missing, the factor of Nadeau & Bengio
        (2003) takes their place.
    positive : int, bool or str, optional
        The positive class; the others are negative. By default 1 of 0 and 1, or True.
    level : float
        Confidence level.

    Returns
    -------
    AucDifference
        The interval is the MOVER of Zou & Yue (2013, Statistics in Medicine 32:5077), which
        combines the intervals of ``roc_auc_interval``: low = difference - sqrt(u² + v² -
        2 r u v), where u is the distance of a to its lower bound, v that of b to its upper
        bound, and r the correlation of the two AUROCs; high likewise. The test inverts the
        interval: p is 1 minus the level at which a bound is 0, and at least 1e-12.

        DeLong's pair, z = difference / SE against the normal distribution and difference ±
        1.96 SE, is ``z`` and ``p_wald``; over folds, z is compared with the t distribution,
        with the degrees of freedom of ``AurocEstimator.variance``. Simulated with 12 of 60
        patients positive and AUROCs of 0.97 and 0.92, DeLong's interval covers 0.89, and this
        one 0.94; at AUROCs of 0.7 its test rejects up to 7.3 % of true null hypotheses, and
        this one 5.8 %.

        If both scores rank all samples alike, the difference is 0, and p is 1. If the
        differences of the placement values do not vary, or a class has a single patient,
        there is no standard error, and p is a bound from Hoeffding's inequality; the interval
        is extended to 0 where that bound requires it.

    Raises
    ------
    UsageError
        If an array has the wrong shape, type or values, the positive class is not known, or
        the level is not between 0 and 1.
    ProtocolError
        If only one class is present, or a fold has only one class.

    Examples
    --------
    >>> y_true = [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]
    >>> score_a = [1, 2, 3, 4, 6, 5, 7, 8, 9, 10]
    >>> score_b = [1, 5, 3, 8, 7, 4, 2, 9, 6, 10]
    >>> test = roc_auc_difference(y_true, score_a, score_b)
    >>> test
    AucDifference(0.32, 95 % -0.166 to 0.753, p=0.114, n=10, DeLong, MOVER)
    >>> f"{test.auc_a:.2f} against {test.auc_b:.2f}"
    '0.96 against 0.64'
    """
    check_level(level)
    check_same_rows(
        y_true=y_true,
        score_a=score_a,
        score_b=score_b,
        groups=groups,
        folds=folds,
        repeats=repeats,
        jackknife_a=jackknife_a,
        jackknife_b=jackknife_b,
    )
    estimator = AurocEstimator(as_truth("y_true", y_true, positive), groups, folds, repeats)
    a = RankedScore.of(estimator, score_a, "score_a", jackknife=jackknife_a)
    b = RankedScore.of(estimator, score_b, "score_b", jackknife=jackknife_b)
    patients = None if groups is None else estimator.patients
    return with_counts(ranked_difference(a, b, level), len(a.ranks), patients)


def _of_parts(name: str) -> str:
    """Return the name of the argument with the jackknife of a score."""
    return name.replace("score", "jackknife") if "score" in name else f"jackknife_{name}"


class RankedScore(NamedTuple):
    """What the tests need of one score; it is computed once for many pairs."""

    estimator: AurocEstimator
    """Samples, patients and folds of the score."""
    ranks: NDArray[np.float64]
    """Ranks within folds, shape (n_samples,)."""
    influence: AurocInfluence
    """The AUROC, and the influence of each patient."""
    interval: Callable[[float], Interval]
    """The interval of the AUROC as a function of its level."""

    @classmethod
    def of(
        cls,
        estimator: AurocEstimator,
        score: ArrayLike,
        name: str = "score",
        *,
        jackknife: ArrayLike | None = None,
    ) -> RankedScore:
        """Rank a score, and compute its AUROC; the names are those of error messages."""
        ranks = estimator.rank(score, name)
        parts = rank_parts(estimator, jackknife, _of_parts(name))
        influence = estimator.influence(ranks, parts)
        return cls(estimator, ranks, influence, auc_intervals(estimator, ranks, influence))

    @property
    def training_variance(self) -> float:
        """The variance that the training sets add to that of the test samples."""
        of_test, total = self.estimator.variance, self.estimator.total_variance
        return total(self.influence)[0] - of_test(self.influence)[0]


def ranked_difference(
    a: RankedScore, b: RankedScore, level: float = 0.95, *, null: float = 0.0
) -> AucDifference:
    """Test two scores as ``roc_auc_difference`` does.

    Parameters
    ----------
    a, b : RankedScore
        The scores, from ``RankedScore.of``, of the same rows and patients. Where their estimators
        differ, one of them ranks in folds and the other, such as that of a human reader, does
        not. The influences are subtracted as they are, and the training sets add to the variance
        only what they add to that of each score alone.
    level : float
        Confidence level.
    null : float
        The difference that ``p`` and ``z`` test.
    """
    check_level(level)
    # Of two, the one with more folds, which leave fewer degrees of freedom.
    estimator = max(a.estimator, b.estimator, key=lambda one: one.n_folds)
    alike = a.estimator is b.estimator or estimator.n_folds == 1
    influence = a.influence - b.influence
    folded = a if a.estimator is estimator else b
    of_name = influence if alike else folded.influence
    name = variance_name(estimator, of_name) + ("" if alike else " of one of both")
    value = a.influence.value
    same = alike and np.array_equal(a.ranks, b.ranks)
    if same and value not in (0.0, 1.0):
        return no_difference(value, level, name, null)
    # Two scores that separate these few samples may differ on others.
    variance, degrees = np.nan, 0.0
    if not same:
        variance, degrees = (estimator.total_variance if alike else estimator.variance)(influence)
    if not alike and variance > 0:
        variance += a.training_variance + b.training_variance
    return invert_difference(
        lambda at: (a.interval(at), b.interval(at)),
        level,
        float(np.sqrt(variance)),
        special.ndtr if estimator.n_folds == 1 else functools.partial(special.stdtr, degrees),
        name,
        min(a.estimator.n_pairs, b.estimator.n_pairs),
        null,
    )


def macro_auc_difference(
    y_true: ArrayLike,
    scores_a: ArrayLike,
    scores_b: ArrayLike,
    groups: ArrayLike | None = None,
    folds: ArrayLike | None = None,
    *,
    repeats: ArrayLike | None = None,
    jackknife_a: ArrayLike | None = None,
    jackknife_b: ArrayLike | None = None,
    classes: ArrayLike | None = None,
    level: float = 0.95,
) -> AucDifference:
    """Test whether two models have the same macro-averaged one-vs-rest AUROC.

    Parameters
    ----------
    y_true, groups, folds, repeats, classes, level
        As for ``macro_auc_interval``.
    jackknife_a, jackknife_b : array-like of float, shape (n_samples, n_parts, n_classes), optional
        As for ``roc_auc_difference``, with a column per class.
    scores_a, scores_b : array-like of float, shape (n_samples, n_classes)
        Scores of the two models, one column per class.

    Returns
    -------
    AucDifference
        The variance is that of ``macro_auc_interval``, computed from the difference of the
        two influences of each patient; ``p_wald`` compares z with the t distribution. The
        interval combines those of the two models, and p follows from it, as for
        ``roc_auc_difference``.

    Raises
    ------
    UsageError
        If an array has the wrong shape, type or values, or the level is not between 0 and 1.
    ProtocolError
        If a fold lacks a class.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> y_true = ["a", "b", "c"] * 30
    >>> truth = np.tile(np.eye(3), (30, 1))
    >>> good, poor = (truth + rng.normal(0, noise, (90, 3)) for noise in (0.5, 2))
    >>> macro_auc_difference(y_true, good, poor).p < 0.05
    True
    """
    check_level(level)
    check_same_rows(
        y_true=y_true,
        scores_a=scores_a,
        scores_b=scores_b,
        groups=groups,
        folds=folds,
        repeats=repeats,
        jackknife_a=jackknife_a,
        jackknife_b=jackknife_b,
    )
    a, b = (
        MacroAuroc(
            y_true,
            scores,
            groups,
            folds,
            repeats,
            jackknife=jackknife,
            classes=classes,
            suffix=suffix,
        )
        for suffix, scores, jackknife in (
            ("_a", scores_a, jackknife_a),
            ("_b", scores_b, jackknife_b),
        )
    )
    patients = None if groups is None else a.patients
    return with_counts(macro_difference(a, b, level), len(a.patients), patients)


def macro_difference(
    a: MacroAuroc, b: MacroAuroc, level: float = 0.95, *, null: float = 0.0
) -> AucDifference:
    """Test two models on the same samples as ``macro_auc_difference`` does.

    Parameters
    ----------
    a, b : MacroAuroc
        The macro AUROCs of the models, with what the test needs of each computed once.
    level : float
        Confidence level of the interval.
    null : float
        The difference that ``p`` and ``z`` test.

    Raises
    ------
    UsageError
        If the level is not between 0 and 1.
    """
    check_level(level)
    influence = a.influence - b.influence
    folded, other = (a, b) if a.n_folds >= b.n_folds else (b, a)
    alike = folded.overlap == other.overlap
    variance, degrees = folded.variance(influence, trained=alike)
    if not alike:
        variance += a.training_variance + b.training_variance
    error = float(np.sqrt(variance))
    name = folded.name_of(influence if alike else folded.influence)
    unlike = influence.positive.any() or influence.negative.any()
    if not unlike and a.value == b.value not in (0.0, 1.0):
        return no_difference(a.value, level, name, null)
    tail = functools.partial(special.stdtr, degrees)
    pairs = min(a.n_pairs, b.n_pairs)
    return invert_difference(
        lambda at: (a.interval(at), b.interval(at)), level, error, tail, name, pairs, null
    )
