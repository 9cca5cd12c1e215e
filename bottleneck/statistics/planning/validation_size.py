"""Patients for the test set of a model, or for the cross-validation that measures it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import special

from bottleneck.errors import UsageError
from bottleneck.statistics.arguments import check_level
from bottleneck.statistics.planning.sample_size import (
    Clustering,
    SampleSize,
    SizeCriterion,
    check_number,
    fold_factor,
    fold_note,
    least_patients,
)
from bottleneck.statistics.planning.score_distribution import (
    RiskDistribution,
    placement_correlation,
)
from bottleneck.text.short_repr import shorten

__all__ = ["read_risks", "validation_size"]

# A mean risk this far from the prevalence, in its units, is another prevalence.
_UNLIKE = 0.1


def validation_size(
    auroc: float,
    prevalence: float,
    *,
    width: float = 0.1,
    slope_width: float = 0.2,
    ratio_width: float = 0.2,
    images_per_patient: int = 1,
    icc: float | None = None,
    folds: int | None = None,
    threshold: float | None = None,
    benefit_width: float = 0.2,
    log_odds: Sequence[float] | None = None,
    risks: Sequence[float] | None = None,
    level: float = 0.95,
) -> SampleSize:
    """Plan how many patients measure a model precisely enough.

    The criteria are those of Riley et al. (2021, Statistics in Medicine 40:4230; 2024, BMJ
    384:e074821): the width of the confidence intervals of the AUROC, of the calibration slope, of
    the ratio of observed to expected positives, and of the standardised net benefit.

    Parameters
    ----------
    auroc : float
        The AUROC that is expected, between 0.5 and 1.
    prevalence : float
        Share of the patients that are expected to be positive.
    width : float
        Width of the interval of the AUROC. Its variance is that of Newcombe (2006, Statistics in
        Medicine 25:559, method 4).
    slope_width, ratio_width : float
        Widths of the intervals of the calibration slope and of observed / expected, at 1.
    images_per_patient : int
        Images per patient, all of the class of the patient.
    icc : float, optional
        Intraclass correlation of the scores of a patient's images, within a class: 0 if they are
        independent, 1 if further images add nothing.
    folds : int, optional
        Number of folds if the model is measured by cross-validation. The variances are then
        multiplied by 1 + k / (k - 1) for k folds (Nadeau & Bengio 2003, Machine Learning 52:239).
    threshold : float, optional
        The risk from which on action is taken. It adds the criterion of the net benefit.
    benefit_width : float
        Width of the interval of the net benefit divided by the prevalence.
    log_odds : (float, float), optional
        Mean and standard deviation of the log-odds of the risks, if they are normal.
    risks : (float, float), optional
        The two parameters of a beta distribution of the risks. Without ``log_odds`` and ``risks``,
        the log-odds are normal in each class and give the AUROC.
    level : float
        Confidence level.

    Returns
    -------
    SampleSize
        Images of the same patient reduce the variance of the AUROC by the design effect of their
        placement values, that of the net benefit by that of their decisions, and that of the slope
        as in a sandwich variance. They do not help to estimate observed / expected.

    Raises
    ------
    UsageError
        If a number is out of its range, or several images per patient have no ``icc``.

    Examples
    --------
    The example of Riley et al. (2024), who report 423, 949, 347 and 38 patients:

    >>> size = validation_size(0.77, 0.43, risks=(1.33, 1.75), slope_width=0.3, ratio_width=0.22,
    ...                        threshold=0.1)
    >>> size
    SampleSize(949 patients, 409 of them positive, for the calibration slope)
    >>> [one.patients for one in size.criteria]
    [347, 949, 423, 37]
    """
    auroc = check_number("auroc", auroc, 0.5, 1)
    share = check_number("prevalence", prevalence, 0, 1)
    quantile = -float(special.ndtri((1 - check_level(level)) / 2))
    clustering = Clustering.of(images_per_patient, icc)
    factor = fold_factor(folds)
    distribution, notes = read_risks(auroc, share, log_odds, risks)
    words = f"{100 * level:.4g} % interval at most {{:g}} wide"

    def criterion(name: str, wide: float, variance: float, error: float) -> SizeCriterion:
        patients = least_patients(lambda n: factor * variance / n - error**2, f"the {name}", share)
        return SizeCriterion(name, words.format(wide), patients)

    width = check_number("width", width, 0, 1)
    reduced = factor * clustering.reduce(placement_correlation(auroc, clustering.icc))
    patients = least_patients(
        lambda n: 2 * quantile * np.sqrt(reduced * _newcombe_variance(auroc, share, n)) - width,
        "the AUROC",
        share,
    )
    slope = check_number("slope_width", slope_width, 0, 100)
    ratio = check_number("ratio_width", ratio_width, 0, 100)
    criteria = [
        SizeCriterion("AUROC", words.format(width), patients),
        criterion(
            "calibration slope",
            slope,
            distribution.slope_variance(clustering),
            slope / 2 / quantile,
        ),
        # Bounds exp(± z SE) are 2 sinh(z SE) apart.
        criterion(
            "observed / expected", ratio, (1 - share) / share, np.arcsinh(ratio / 2) / quantile
        ),
    ]
    if threshold is not None:
        at = check_number("threshold", threshold, 0, 1)
        wide = check_number("benefit_width", benefit_width, 0, 100)
        variance = _benefit_variance(distribution, share, at, clustering)
        criteria.append(criterion(f"net benefit at {at:g}", wide, variance, wide / 2 / quantile))
    return SampleSize(tuple(criteria), share, (*notes, *fold_note(folds)))


def read_risks(
    auroc: float,
    prevalence: float,
    log_odds: Sequence[float] | None,
    risks: Sequence[float] | None,
) -> tuple[RiskDistribution, tuple[str, ...]]:
    """Return the distribution of the risks, and what is to be said of it."""
    if log_odds is not None and risks is not None:
        raise UsageError("give log_odds or risks, not both: they describe the same distribution")
    if log_odds is None and risks is None:
        return RiskDistribution.from_auroc(auroc, prevalence), ()
    name, pair = ("log_odds", log_odds) if log_odds is not None else ("risks", risks)
    if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
        raise UsageError(f"{name} must be two numbers, not {shorten(pair)}")
    first, second = pair
    second = check_number(f"the second number of {name}", second, 0, 1000)
    if log_odds is not None:
        first = check_number("the mean of the log-odds", first, -30, 30)
        made = RiskDistribution.from_normal(first, second)
    else:
        made = RiskDistribution.from_beta(
            check_number("the first number of risks", first, 0, 1000), second
        )
    mean = made.mean_risk
    if abs(mean - prevalence) <= _UNLIKE * prevalence:
        return made, ()
    return made, (
        f"The risks have a mean of {mean:.3g}, unlike the prevalence of {prevalence:g}: they come "
        "from other patients, or the model is not calibrated for these.",
    )


def _newcombe_variance(auroc: float, prevalence: float, n: float) -> float:
    """Return the variance of the AUROC of n patients (Newcombe 2006, method 4)."""
    others = n / 2 - 1
    odds = (1 - auroc) / (2 - auroc) + auroc / (1 + auroc)
    return auroc * (1 - auroc) * (1 + others * odds) / (n**2 * prevalence * (1 - prevalence))


def _benefit_variance(
    distribution: RiskDistribution, prevalence: float, threshold: float, clustering: Clustering
) -> float:
    """Return the variance of the standardised net benefit, times the number of patients."""
    hit, spared = distribution.rates(threshold)
    cost = (1 - prevalence) / prevalence * threshold / (1 - threshold)

    def binomial(rate: float) -> float:
        variance = rate * (1 - rate)
        if not variance:
            return 0.0
        at = float(special.ndtri(rate))
        slope = np.sqrt((1 - clustering.icc) / (1 + clustering.icc))
        together = float(special.ndtr(at) - 2 * special.owens_t(at, slope))
        return variance * clustering.reduce((together - rate**2) / variance)

    return (
        binomial(hit) / prevalence
        + cost**2 * binomial(spared) / (1 - prevalence)
        + (cost * (1 - spared)) ** 2 / (prevalence * (1 - prevalence))
    )
