"""Confidence intervals of one AUROC, of a test set or over cross-validation folds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special

from bottleneck.errors import UsageError, unknown_name
from bottleneck.statistics.arguments import as_matrix, check_level, check_same_rows
from bottleneck.statistics.class_labels import as_truth
from bottleneck.statistics.inference.intervals import CORRECTED, JACKKNIFED, Interval, with_counts
from bottleneck.statistics.roc.auroc_variance import AurocEstimator, AurocInfluence
from bottleneck.text.short_repr import shorten

__all__ = [
    "auc_intervals",
    "hoeffding_interval",
    "rank_parts",
    "roc_auc_interval",
    "variance_name",
]

AucMethod = Literal["logit", "delong"]


def roc_auc_interval(
    y_true: ArrayLike,
    score: ArrayLike,
    groups: ArrayLike | None = None,
    folds: ArrayLike | None = None,
    *,
    repeats: ArrayLike | None = None,
    jackknife: ArrayLike | None = None,
    positive: object = None,
    level: float = 0.95,
    method: AucMethod = "logit",
    corrected: bool = True,
) -> Interval:
    """Estimate the AUROC of a test set, or of cross-validation, with a confidence interval.

    Scores of different folds come from different models and are never ranked together: over
    folds, the value is the mean AUROC of the test folds.

    Parameters
    ----------
    y_true : array-like of int, bool or str, shape (n_samples,)
        Classes of the samples.
    score : array-like of float, shape (n_samples,)
        Scores of one model; larger scores mean more of the positive class.
    groups : array-like, shape (n_samples,), optional
        Patients. With them the variance is that of Obuchowski (1997), without them that of
        DeLong, DeLong & Clarke-Pearson (1988).
    folds : array-like, shape (n_samples,), optional
        Test fold of every row. The folds of different repeats need different numbers, and
        ``groups`` are then required (or the sample ids in their place), so that the
        contributions of a patient to several folds are summed. The variance is that of
        LeDell, Petersen & van der Laan (2015, Electronic Journal of Statistics 9:1583) with
        a small-sample factor for each class, n / (n - number of folds), as DeLong's has with
        one fold.
    repeats : array-like, shape (n_samples,), optional
        Repeat of every row, where the folds are of several.
    jackknife : array-like of float, shape (n_samples, n_parts), optional
        Scores of the same rows by models that were trained without one part of the training
        patients: within a repeat, all patients are divided into these parts, which are the same
        for all folds.
    positive : int, bool or str, optional
        The positive class; the others are negative. By default 1 of 0 and 1, or True.
    level : float
        Confidence level.
    method : {"logit", "delong"}
        "delong" is value ± z SE, cut at 0 and 1: the interval of R's pROC, which is too
        short near 1. "logit" is expit(logit(value) ± t SE / (value (1 - value))), the scale
        that Pohar Perme & Manevski (2019, Statistical Methods in Medical Research 28:3755)
        recommend, with the degrees of freedom of ``AurocEstimator.variance``.
    corrected : bool
        Whether the variance over folds is raised for the training sets. LeDell's variance takes
        the models as given and the folds as independent, but a patient who is tested in one fold
        was in the training sets of the others. In simulations the true variance is 1.1 to 2.4
        times as large, the more features there are per patient. With ``jackknife``, the variance
        of the training sets is estimated (``training_variance``) and added, up to the factor of
        ``overlap_factor`` (Nadeau & Bengio 2003). Without it, the variance is multiplied by this
        factor. It is near 2 however stable the models are, and for folds that do not overlap it
        is a heuristic. False gives LeDell's with the small-sample factor alone, whose interval is
        too short.

    Returns
    -------
    Interval
        A distribution-free interval is returned instead if the placement values do not vary
        (for example at an AUROC of 1) or a class has a single patient; it is also the widest
        interval that "logit" can return. See ``hoeffding_interval``; over folds it counts the
        number of folds times the pairs of the smallest fold. If the score is the same for all
        samples, the AUROC is 0.5 by definition, and the interval [0.5, 0.5].

    Raises
    ------
    UsageError
        If an array has the wrong shape, type or values, the positive class is not known, the
        level is not between 0 and 1, or the method is unknown.
    ProtocolError
        If only one class is present, or a fold has only one class.

    Examples
    --------
    >>> y_true = [0, 0, 0, 0, 1, 1, 1, 1]
    >>> score = [0.1, 0.4, 0.2, 0.6, 0.5, 0.8, 0.3, 0.9]
    >>> roc_auc_interval(y_true, score)
    Interval(0.812, 95 % 0.222 to 0.985, n=8, DeLong, logit scale)
    >>> folds = [0, 0, 1, 1, 0, 0, 1, 1]
    >>> roc_auc_interval(y_true, score, groups=[1, 2, 3, 4, 5, 6, 7, 8], folds=folds).value
    0.875
    """
    if not isinstance(method, str) or method not in get_args(AucMethod):
        raise unknown_name("interval method", shorten(method), get_args(AucMethod))
    check_level(level)
    check_same_rows(
        y_true=y_true,
        score=score,
        groups=groups,
        folds=folds,
        repeats=repeats,
        jackknife=jackknife,
    )
    estimator = AurocEstimator(as_truth("y_true", y_true, positive), groups, folds, repeats)
    ranks = estimator.rank(score)
    influence = estimator.influence(ranks, rank_parts(estimator, jackknife))
    interval = auc_intervals(estimator, ranks, influence, method=method, corrected=corrected)(level)
    patients = None if groups is None else estimator.patients
    return with_counts(interval, len(ranks), patients)


def auc_intervals(
    estimator: AurocEstimator,
    ranks: NDArray[np.float64],
    influence: AurocInfluence,
    *,
    method: AucMethod = "logit",
    corrected: bool = True,
) -> Callable[[float], Interval]:
    """Return the interval of an AUROC as a function of its level.

    The variance is estimated once, for a test that is the inversion of the interval.
    """
    value, pairs = influence.value, estimator.n_pairs
    if estimator.is_constant(ranks):
        return lambda level: Interval(value, value, value, 0.0, level, "constant score")
    estimate = estimator.total_variance if corrected else estimator.variance
    variance, degrees = estimate(influence)
    error = float(np.sqrt(variance))
    name = variance_name(estimator, influence if corrected else None)

    def bound(level: float) -> Interval:
        low, high = hoeffding_interval(value, pairs, level)
        return Interval(value, low, high, np.nan, level, "distribution-free bound")

    def wald(level: float) -> Interval:
        margin = -float(special.ndtri((1 - check_level(level)) / 2)) * error
        low, high = max(value - margin, 0.0), min(value + margin, 1.0)
        return Interval(value, low, high, error, level, f"{name}, Wald")

    def logit(level: float) -> Interval:
        alpha = 1 - check_level(level)
        margin = -special.stdtrit(degrees, alpha / 2) * error / (value * (1 - value))
        low, high = map(float, special.expit(special.logit(value) + np.array([-margin, margin])))
        if max(_entropy(value, low), _entropy(value, high)) * pairs > np.log(2 / alpha):
            least, most = hoeffding_interval(value, pairs, level)
            low, high = max(low, least), min(high, most)
        return Interval(value, low, high, error, level, f"{name}, logit scale")

    if not error > 0:
        return bound
    return wald if method == "delong" else logit


def rank_parts(
    estimator: AurocEstimator, jackknife: ArrayLike | None, name: str = "jackknife"
) -> list[NDArray[np.float64]]:
    """Rank the scores of each part of a jackknife; without one there are none.

    Raises
    ------
    UsageError
        If there is not one row per sample, or there are fewer than two parts.
    """
    if jackknife is None:
        return []
    matrix = as_matrix(name, jackknife)
    if matrix.shape[1] < 2:
        raise UsageError(
            f"{name} must have a column for each part of the patients, two at least, not "
            f"{matrix.shape[1]}"
        )
    return [estimator.rank(column, name) for column in matrix.T]


def variance_name(estimator: AurocEstimator, influence: AurocInfluence | None) -> str:
    """Return the name of the variance of an AUROC, after its authors.

    ``influence`` is None where nothing is added for the training sets.
    """
    if estimator.n_folds > 1 and estimator.trained:
        if influence is None:
            return "LeDell"
        return f"LeDell{CORRECTED if influence.jackknife is None else JACKKNIFED}"
    return "Obuchowski" if estimator.clustered else "DeLong"


def hoeffding_interval(value: float, n_pairs: float, level: float = 0.95) -> tuple[float, float]:
    """Return the distribution-free interval of an AUROC.

    It holds all p with k KL(value, p) <= log(2 / (1 - level)), where KL is the relative
    entropy of two Bernoulli variables and k the number of disjoint pairs of a positive and a
    negative patient. The AUROC is a U-statistic: a mean of means of k independent pairs, to
    which the bound of Hoeffding (1963, Journal of the American Statistical Association
    58:13, sections 2 and 5a) applies. At an AUROC of 1 the interval is
    [((1 - level) / 2)^(1/k), 1], the bound of Clopper and Pearson for k successes of k; no
    distribution-free bound is sharper.

    Parameters
    ----------
    value : float
        The AUROC, or another mean of values between 0 and 1.
    n_pairs : float
        Number of independent pairs.
    level : float
        Confidence level.

    Returns
    -------
    low, high : float
        The bounds.

    Raises
    ------
    UsageError
        If the level is not between 0 and 1.

    Examples
    --------
    >>> low, high = hoeffding_interval(1.0, n_pairs=10)
    >>> f"{low:.3f} to {high:.3f}"
    '0.692 to 1.000'
    """
    alpha = 1 - check_level(level)

    def lower(mean: float) -> float:
        def excess(p: float) -> float:
            return float(n_pairs * _entropy(mean, p) + np.log(alpha / 2))

        least = np.finfo(float).tiny
        if mean <= least or excess(least) <= 0:
            return 0.0
        return float(optimize.brentq(excess, least, mean, xtol=1e-14))

    return lower(value), 1 - lower(1 - value)


def _entropy(mean: float, p: float) -> float:
    """Return the relative entropy of two Bernoulli variables."""
    return float(special.rel_entr(mean, p) + special.rel_entr(1 - mean, 1 - p))
