"""Patients for the comparison of two models on the same images."""

from __future__ import annotations

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
from bottleneck.statistics.planning.score_distribution import auroc_covariance

__all__ = ["comparison_size", "difference_error"]


def comparison_size(
    auroc: float,
    against: float,
    prevalence: float,
    *,
    margin: float | None = None,
    correlation: float = 0.5,
    power: float = 0.8,
    images_per_patient: int = 1,
    icc: float | None = None,
    folds: int | None = None,
    level: float = 0.95,
) -> SampleSize:
    """Plan how many patients show a difference of two AUROCs, or that one is no worse.

    Parameters
    ----------
    auroc, against : float
        The AUROCs that are expected of the new and of the other model, between 0.5 and 1.
    prevalence : float
        Share of the patients that are expected to be positive.
    margin : float, optional
        The largest acceptable loss of AUROC. The size is then that of a test of non-inferiority,
        whose interval must exclude a loss of the margin. By default, that of a test for a
        difference.
    correlation : float
        Correlation of the two models' scores of the same image, within a class. Models of the
        same images often have 0.3 to 0.8; a higher one needs fewer patients.
    power : float
        Probability that the study shows what is true.
    images_per_patient, icc, folds
        As for ``validation_size``.
    level : float
        Confidence level of the two-sided interval; 0.95 for a two-sided test at 5 %, or for a
        one-sided test of non-inferiority at 2.5 %.

    Returns
    -------
    SampleSize
        The variance is that of ``auroc_covariance``, for normal scores with equal variances
        (Obuchowski & McClish 1997, Statistics in Medicine 16:1529, have unequal ones as well).

    Raises
    ------
    UsageError
        If a number is out of its range, several images per patient have no ``icc``, or there is no
        difference to be shown.

    Examples
    --------
    >>> comparison_size(0.85, 0.8, 0.3)
    SampleSize(692 patients, 208 of them positive, for the AUROC of 0.85 against 0.8)
    >>> comparison_size(0.8, 0.8, 0.3, margin=0.05).patients
    773
    """
    first = check_number("auroc", auroc, 0.5, 1)
    second = check_number("against", against, 0.5, 1)
    share = check_number("prevalence", prevalence, 0, 1)
    tail = (1 - check_level(level)) / 2
    chance = check_number("power", power, 0, 1)
    common = check_number("correlation", correlation, 0, 1, closed=True)
    loss = 0.0 if margin is None else check_number("margin", margin, 0, 1)
    distance = first - second + loss if margin is not None else abs(first - second)
    if chance <= tail:
        raise UsageError(f"power must be above {tail:g}, which is reached without a difference")
    if distance <= 0:
        raise UsageError(
            f"the AUROCs {first:g} and {second:g} leave no difference to show: give different "
            "ones, or a margin that is larger than the loss"
        )
    clustering = Clustering.of(images_per_patient, icc)
    factor = fold_factor(folds)
    needed = float(special.ndtri(chance) - special.ndtri(tail))

    def excess(n: float) -> float:
        error = difference_error(first, second, share, n, clustering, common)
        return needed * np.sqrt(factor) * error - distance

    name = f"AUROC of {first:g} against {second:g}"
    what = f"loss below {loss:g}" if margin is not None else "difference"
    criterion = SizeCriterion(
        name,
        f"{what} shown with a power of {chance:g}",
        least_patients(excess, f"the {name}", share),
    )
    return SampleSize((criterion,), share, fold_note(folds))


def difference_error(
    first: float,
    second: float,
    prevalence: float,
    n: float,
    clustering: Clustering,
    correlation: float,
) -> float:
    """Return the standard error of the difference of two AUROCs of n patients."""
    positive, negative = n * prevalence, n * (1 - prevalence)

    def covariance(a: float, b: float, common: float) -> float:
        return auroc_covariance(a, b, positive, negative, clustering, common)

    variances = covariance(first, first, 1.0) + covariance(second, second, 1.0)
    return float(np.sqrt(variances - 2 * covariance(first, second, correlation)))
