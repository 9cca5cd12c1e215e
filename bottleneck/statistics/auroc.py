"""The AUROC of one arm, of one test set or within folds, with its interval."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special

from bottleneck.errors import unknown_name
from bottleneck.statistics.auroc_influence import Design, Influence
from bottleneck.statistics.intervals import CORRECTED, Interval, check_level

__all__ = [
    "auc_interval",
    "cv_auc_interval",
    "distribution_free",
    "roc_auc_interval",
    "variance_name",
]

AucMethod = Literal["logit", "delong"]


def roc_auc_interval(
    y_true: ArrayLike,
    score: ArrayLike,
    groups: ArrayLike | None = None,
    level: float = 0.95,
    method: AucMethod = "logit",
) -> Interval:
    """Estimate the AUROC of one test set, with its interval.

    Parameters
    ----------
    y_true : array-like of {0, 1} or bool, shape (n_samples,)
        1 marks the positive class.
    score : array-like of float, shape (n_samples,)
        Scores of one model; larger means more of the positive class.
    groups : array-like, shape (n_samples,), optional
        Patients. Then the variance is that of Obuchowski (1997), else DeLong's.
    level : float
        Confidence level.
    method : {"logit", "delong"}
        "delong" is value ± z·SE, cut at 0 and 1: the interval of R's pROC, which is too
        short near 1. "logit" is expit(logit(value) ± t·SE / (value (1 - value))), the
        scale that Pohar Perme & Manevski (2019, Statistical Methods in Medical
        Research 28:3755) find best, with the degrees of freedom of
        ``placements.Design.variance``.

    Returns
    -------
    Interval
        Whatever the method, where the placement values do not vary (an AUROC of 1, say)
        or a class has a single patient, the distribution-free interval stands in; it
        also limits "logit". It holds all p with k KL(value, p) <= log(2 / (1 - level)),
        where KL is the relative entropy of two Bernoulli variables and k the number of
        disjoint pairs of a positive and a negative patient: the U-statistic is a mean
        of means of k independent pairs, so that the bound of Hoeffding (1963, Journal
        of the American Statistical Association 58:13, sections 2 and 5a) applies. At an
        AUROC of 1 it is [((1 - level) / 2)^(1/k), 1], the bound of Clopper and Pearson
        for k successes of k, and no distribution-free bound is sharper. A score that
        is the same for all samples has an AUROC of 0.5 by definition: [0.5, 0.5].

    Raises
    ------
    UsageError
        If an array, the level or the method is not what it should be.
    ProtocolError
        If only one class is present.
    """
    if method not in get_args(AucMethod):
        raise unknown_name("interval method", method, get_args(AucMethod))
    design = Design(y_true, groups)
    ranks = design.rank(score)
    return auc_interval(design, ranks, design.influence(ranks), level, method=method)


def cv_auc_interval(
    y_true: ArrayLike,
    score: ArrayLike,
    folds: ArrayLike,
    groups: ArrayLike | None = None,
    level: float = 0.95,
    *,
    corrected: bool = True,
) -> Interval:
    """Estimate the AUROC within test folds, averaged over the folds, with its interval.

    The scores of different folds come from different models and are never ranked
    together. The variance is that of LeDell, Petersen & van der Laan (2015), the interval
    on the logit scale like that of ``roc_auc_interval``. Their variance takes the models
    as given and the folds as independent, but a patient who is tested in one fold has
    trained the models of the others: in simulation the true variance is up to 2.3 times
    theirs, the more so the more features there are for the patients. Therefore it is
    multiplied by the factor of Nadeau & Bengio (``placements.Design.overlap``), which is
    cautious where there are few features.

    Parameters
    ----------
    y_true, score
        As for ``roc_auc_interval``.
    folds : array-like, shape (n_samples,)
        Test fold of every row. With repeats, number the folds of all repeats apart.
    groups : array-like, shape (n_samples,), optional
        Patients; with repeats they are needed (or the sample ids in their place), so
        that what a patient adds to several folds is summed.
    level : float
        Confidence level.
    corrected : bool
        Whether to multiply; False gives LeDell's own variance, which covers too little.

    Returns
    -------
    Interval
        Of the mean true AUROC of the fitted models. Where the placement values do not
        vary, as for ``roc_auc_interval``, with k the folds times the pairs of the
        smallest fold.

    Raises
    ------
    UsageError
        If an array or the level is not what it should be.
    ProtocolError
        If a fold holds only one class.
    """
    design = Design(y_true, groups, folds)
    ranks = design.rank(score)
    return auc_interval(design, ranks, design.influence(ranks), level, corrected=corrected)


def auc_interval(
    design: Design,
    ranks: NDArray[np.float64],
    influence: Influence,
    level: float,
    *,
    method: AucMethod = "logit",
    corrected: bool = True,
) -> Interval:
    """Return the interval of an AUROC; see ``roc_auc_interval`` and ``cv_auc_interval``."""
    alpha = 1 - check_level(level)
    value = influence.value
    if design.is_constant(ranks):
        return Interval(value, value, value, 0.0, level, "constant score")
    variance, degrees = design.variance(influence)
    error = float(np.sqrt(variance * (design.overlap if corrected else 1)))
    free_low, free_high = distribution_free(value, design.pairs, alpha)
    if not error > 0:
        return Interval(value, free_low, free_high, np.nan, level, "distribution-free bound")

    if method == "delong":
        reach = -float(special.ndtri(alpha / 2)) * error
        low, high = max(value - reach, 0.0), min(value + reach, 1.0)
        return Interval(value, low, high, error, level, f"{variance_name(design)}, Wald")
    reach = -special.stdtrit(degrees, alpha / 2) * error / (value * (1 - value))
    low, high = special.expit(special.logit(value) + np.array([-reach, reach]))
    return Interval(
        value,
        max(float(low), free_low),
        min(float(high), free_high),
        error,
        level,
        f"{variance_name(design, corrected)}, logit scale",
    )


def variance_name(design: Design, corrected: bool = True) -> str:
    """Name the variance of an AUROC after its authors."""
    if design.n_folds > 1:
        return f"LeDell{CORRECTED}" if corrected else "LeDell"
    return "Obuchowski" if design.clustered else "DeLong"


def distribution_free(value: float, pairs: float, alpha: float) -> tuple[float, float]:
    """Return the Hoeffding interval of a mean of ``pairs`` values between 0 and 1."""

    def low(mean: float) -> float:
        def excess(p: float) -> float:
            entropy = special.rel_entr(mean, p) + special.rel_entr(1 - mean, 1 - p)
            return float(pairs * entropy + np.log(alpha / 2))

        least = np.finfo(float).tiny
        if mean <= least or excess(least) <= 0:
            return 0.0
        return float(optimize.brentq(excess, least, mean, xtol=1e-14))

    return low(value), 1 - low(1 - value)
