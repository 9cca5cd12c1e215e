"""Confidence intervals for the AUROC, for proportions and for any other metric.

Images of one patient are not independent; wherever ``groups`` are given, patients are
what is counted. How well each interval holds its level is simulated in
``benchmarks/coverage.py``; the table is ``benchmarks/coverage.md``.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special, stats

from bottleneck.errors import ProtocolError, UsageError, unknown_name
from bottleneck.evaluation.placements import (
    Design,
    Influence,
    degrees_of_freedom,
    encode,
    zeros_and_ones,
)

__all__ = [
    "Interval",
    "average",
    "bootstrap_intervals",
    "clustered_proportion_interval",
    "cv_auc_interval",
    "holds_level",
    "influence_interval",
    "roc_auc_interval",
    "wilson_interval",
]

AucMethod = Literal["logit", "delong"]

# How many weights a bootstrap holds in memory at once.
BATCH = 2_000_000
CORRECTED = " with Nadeau & Bengio's correction"


@dataclasses.dataclass(frozen=True)
class Interval:
    """A figure and its confidence interval.

    Attributes
    ----------
    value, low, high : float
        The figure and the bounds.
    standard_error : float
        On the scale of the figure; NaN where the method has none.
    level : float
        Confidence level, two-sided.
    method : str
        Name of the method, for a table's footnote.
    """

    value: float
    low: float
    high: float
    standard_error: float
    level: float
    method: str


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


def wilson_interval(successes: int, n: int, level: float = 0.95) -> Interval:
    """Estimate a proportion with the score interval of Wilson.

    Parameters
    ----------
    successes, n : int
        How many of how many.
    level : float
        Confidence level.

    Returns
    -------
    Interval
        (p + z²/2n ± z sqrt(p (1 - p)/n + z²/4n²)) / (1 + z²/n): Wilson (1927, Journal
        of the American Statistical Association 22:209).

    Raises
    ------
    UsageError
        If not 0 <= successes <= n and n >= 1.
    """
    if not 0 <= successes <= n or n < 1:
        raise UsageError(f"a proportion needs 0 to n of n >= 1, not {successes} of {n}")
    return _wilson(successes / n, n, level, "Wilson")


def clustered_proportion_interval(
    correct: ArrayLike, groups: ArrayLike, level: float = 0.95, overlap: float = 1.0
) -> Interval:
    """Estimate a proportion over the images of several patients.

    Wilson's interval with the effective number of images in place of their number, as
    Rao & Scott (1992, Biometrics 48:577) do for counts and Saha, Miller & Wang (2016,
    Journal of Applied Statistics 43:2123) for this interval; see ``effective_number``.

    Parameters
    ----------
    correct : array-like of {0, 1} or bool, shape (n_samples,)
        1 counts.
    groups : array-like, shape (n_samples,)
        Patients.
    level : float
        Confidence level.
    overlap : float
        Over the folds of a cross-validation, what the effective number is divided by
        (``placements.find_overlap``), for the reason told in ``cv_auc_interval``.

    Returns
    -------
    Interval
        That of ``wilson_interval`` where every patient has one image, in one test set.

    Raises
    ------
    UsageError
        If an array or the level is not what it should be.
    """
    hits = zeros_and_ones("correct", correct).astype(float)
    patients = encode("groups", groups, len(hits))
    name = "clustered Wilson" if int(patients.max()) + 1 < len(hits) else "Wilson"
    if overlap > 1:
        name += CORRECTED
    size = effective_number(hits, patients, level) / overlap
    return _wilson(float(hits.mean()), size, level, name)


def _wilson(p: float, n: float, level: float, method: str) -> Interval:
    z = -float(special.ndtri((1 - check_level(level)) / 2))
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    low = 0.0 if p == 0 else float(centre - reach)
    high = 1.0 if p == 1 else float(centre + reach)
    return Interval(p, low, high, float(np.sqrt(p * (1 - p) / n)), level, method)


def effective_number(
    values: NDArray[np.float64], patients: NDArray[np.int64], level: float
) -> float:
    """Count the independent samples that would estimate a mean as well as these do.

    With V = sum_i (sum over patient i of (value - mean))² / n², the linearised variance
    of the mean over n samples of I patients, it is (variance of the values) / V, at most
    n: samples that agree less than chance would have them gain nothing. As V is itself
    an estimate, it is multiplied by (z / t)² with the degrees of freedom of V (Korn &
    Graubard 1998, Survey Methodology 24:193), but not to below Kish's n² / sum_i n_i²,
    what it would be if the samples of a patient were copies. That number also stands in
    where the means of the patients do not vary.

    Parameters
    ----------
    values : ndarray of float64, shape (n_samples,)
        What is averaged.
    patients : ndarray of int64, shape (n_samples,)
        Codes of the patients, from 0.
    level : float
        Confidence level of z and t.

    Returns
    -------
    float
        ``n_samples`` where every patient has one sample.
    """
    n = len(values)
    copies = n**2 / float((np.bincount(patients) ** 2).sum())
    centred = values - values.mean()
    squares = np.bincount(patients, centred).astype(float) ** 2
    within, between = float(centred @ centred), float(squares.sum())
    if between <= 1e-12 * within:
        return copies
    tail = (1 - check_level(level)) / 2
    found = n * min(1.0, within / between)
    degrees = degrees_of_freedom([squares])
    shrunk = found * float(special.ndtri(tail) / special.stdtrit(degrees, tail)) ** 2
    return min(found, max(copies, shrunk))


def bootstrap_intervals(
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    y_true: ArrayLike,
    groups: ArrayLike | None = None,
    level: float = 0.95,
    n_resamples: int = 2000,
    seed: int = 0,
) -> list[Interval | None]:
    """Estimate any figures of one test set, with a bootstrap of patients within classes.

    Whole patients are drawn with replacement, as many of each class as there are;
    patients with samples of several classes are a stratum of their own. The interval is
    the bias-corrected and accelerated one (Efron 1987, Journal of the American
    Statistical Association 82:171), computed by ``scipy.stats.bootstrap``. All figures
    come from the same resamples.

    Parameters
    ----------
    statistic : callable
        Takes weights (ndarray of float64, shape (..., n_samples)): how often each sample
        was drawn. Returns the figures, shape (n_figures, ...).
    y_true : array-like, shape (n_samples,)
        Labels, of any number of classes.
    groups : array-like, shape (n_samples,), optional
        Patients; without them every sample is a patient of its own.
    level : float
        Confidence level.
    n_resamples : int
        How many resamples; the interval's ends vary less the more there are.
    seed : int
        Seed of the resampling.

    Returns
    -------
    list of Interval or None
        One a figure, with the bootstrap's standard error. None for a figure that is
        undefined in a resample or the same in all of them: then the bootstrap has no
        interval to give.

    Raises
    ------
    UsageError
        If an argument is not what it should be.
    ProtocolError
        If a class has a single patient.
    """
    check_level(level)
    labels = encode("y_true", y_true, np.size(y_true))
    n = len(labels)
    patients = np.arange(n) if groups is None else encode("groups", groups, n)
    n_patients = int(patients.max()) + 1
    has = np.zeros((n_patients, int(labels.max()) + 1), dtype=bool)
    has[patients, labels] = True
    kinds = np.unique(has, axis=0, return_inverse=True)[1].ravel()
    strata = [np.flatnonzero(kinds == kind) for kind in range(kinds.max() + 1)]
    if min(map(len, strata)) < 2:
        raise ProtocolError(
            "the bootstrap draws patients within classes, and one class has a single patient; "
            "give the figure without an interval"
        )

    def resampled(*drawn: NDArray[np.int64], axis: int) -> NDArray[np.float64]:
        every = np.concatenate(drawn, axis)
        rows = (
            every.reshape(-1, every.shape[-1]) + n_patients * np.arange(every[..., 0].size)[:, None]
        )
        times = np.bincount(rows.ravel(), minlength=n_patients * len(rows))
        weights = times.reshape(-1, n_patients)[:, patients].astype(float)
        return statistic(weights.reshape(*every.shape[:-1], n))

    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = stats.bootstrap(
            strata,
            resampled,
            vectorized=True,
            axis=-1,
            n_resamples=n_resamples,
            batch=max(1, BATCH // n),
            confidence_level=level,
            method="BCa",
            random_state=np.random.default_rng(seed),
        )
    values = statistic(np.ones(n))
    method = "BCa bootstrap of patients within classes"
    return [
        Interval(float(value), float(low), float(high), float(error), level, method)
        if np.isfinite([low, high]).all()
        else None
        for value, low, high, error in zip(
            values, *result.confidence_interval, result.standard_error, strict=True
        )
    ]


def influence_interval(
    value: float,
    variance: float,
    degrees: float,
    *,
    level: float = 0.95,
    bounds: tuple[float, float] | None = (0, 1),
    method: str = "influence by patient",
) -> Interval:
    """Estimate any figure from the variance that its influence values give.

    Parameters
    ----------
    value : float
        The figure.
    variance, degrees : float
        From ``functionals.patient_variance``, the variance times the overlap over folds.
    level : float
        Confidence level.
    bounds : (float, float) or None
        Between which the figure lies: the interval is then symmetric on the logit scale
        between them, which from -1 to 1 is Fisher's z. None for a figure without bounds.
    method : str
        What to call it.

    Returns
    -------
    Interval
        With NaN for its bounds where the variance is not above 0 or not known.
    """
    tail = (1 - check_level(level)) / 2
    error = float(np.sqrt(variance)) if variance > 0 else np.nan
    if not np.isfinite(value + error):
        return Interval(value, np.nan, np.nan, np.nan, level, method)
    reach = -float(special.stdtrit(degrees, tail)) * error
    if bounds is None:
        return Interval(value, value - reach, value + reach, error, level, method)
    least, most = bounds
    share = (value - least) / (most - least)
    if not 0 < share < 1:
        return Interval(value, np.nan, np.nan, error, level, method)
    scaled = reach / (most - least) / (share * (1 - share))
    low, high = special.expit(special.logit(share) + np.array([-scaled, scaled]))
    return Interval(
        value,
        least + (most - least) * float(low),
        least + (most - least) * float(high),
        error,
        level,
        method,
    )


def average(each: Sequence[Interval]) -> Interval:
    """Average the intervals of several repeats, which see the same patients again.

    Parameters
    ----------
    each : sequence of Interval
        Of one level and method.

    Returns
    -------
    Interval
        The means of values, bounds and standard errors.
    """
    bounds = np.mean([(i.value, i.low, i.high, i.standard_error) for i in each], axis=0)
    value, low, high, error = map(float, bounds)
    return Interval(value, low, high, error, each[0].level, each[0].method)


def check_level(level: float) -> float:
    """Return a confidence level.

    Raises
    ------
    UsageError
        If it is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise UsageError(f"the confidence level must lie between 0 and 1, not be {level}")
    return level


def holds_level(
    smaller_class: int, larger_class: int, metric: str = "auroc", n_folds: int = 1
) -> bool:
    """Tell whether the interval and tests of a figure can be trusted with so few patients.

    Where they cannot, show "estimate only: k patients in the smaller class".

    Parameters
    ----------
    smaller_class, larger_class : int
        Patients with samples of each class.
    metric : str
        By the names in ``metrics.METRICS``.
    n_folds : int
        Test folds a repeat.

    Returns
    -------
    bool
        True from 40 patients in the smaller class on, or from 10 where the other class has
        at most four times as many. In ``benchmarks/coverage.md``, for AUROCs up to 0.97,
        the 95 % intervals then cover 93 % or more and the tests at the 5 % level reject up
        to 7 % of true hypotheses, both to within the error of the simulation. Below that
        coverage drops to 89 %, and DeLong's test rejects up to 10 %. Over folds the AUPRC
        needs 20 patients of the smaller class in each: the average precision of few
        positive samples is too high, and its interval covers down to 86 %.
    """
    if metric == "auprc" and n_folds > 1 and smaller_class < 20 * n_folds:
        return False
    return smaller_class >= 40 or (smaller_class >= 10 and larger_class <= 4 * smaller_class)
