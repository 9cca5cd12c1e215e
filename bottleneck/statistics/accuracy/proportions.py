"""Confidence intervals of proportions, also over several images per patient."""

from __future__ import annotations

import dataclasses
import numbers
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from bottleneck.errors import UsageError
from bottleneck.statistics.arguments import (
    as_booleans,
    as_codes,
    as_patients,
    check_level,
    check_same_rows,
)
from bottleneck.statistics.inference.intervals import CORRECTED, Interval, with_counts
from bottleneck.statistics.inference.patient_variance import degrees_of_freedom, overlap_factor
from bottleneck.text.short_repr import shorten

__all__ = [
    "clustered_intervals",
    "clustered_proportion_interval",
    "counted_proportion",
    "effective_sample_size",
    "effective_sizes",
    "overlap_over",
    "proportion_interval",
    "wilson_bounds",
    "wilson_interval",
]


def wilson_interval(successes: int, n: int, level: float = 0.95) -> Interval:
    """Estimate a proportion with Wilson's score interval.

    Parameters
    ----------
    successes, n : int
        Number of successes and of trials.
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
        If they are not whole numbers with 0 <= successes <= n and n >= 1, or the level is not
        between 0 and 1.

    Examples
    --------
    >>> wilson_interval(45, 50)
    Interval(0.9, 95 % 0.786 to 0.957, n=50, Wilson)
    """
    counts = [
        isinstance(count, numbers.Real) and count == count // 1 and not isinstance(count, bool)
        for count in (successes, n)
    ]
    if not all(counts) or not 0 <= successes <= n or n < 1:
        raise UsageError(
            "a proportion needs two whole numbers, n >= 1 and 0 <= successes <= n, not "
            f"successes = {shorten(successes)} and n = {shorten(n)}: for arrays, "
            "use proportion_interval"
        )
    return dataclasses.replace(_wilson(successes / n, n, level, "Wilson"), n=int(n))


def proportion_interval(
    correct: ArrayLike,
    groups: ArrayLike | None = None,
    folds: ArrayLike | None = None,
    *,
    level: float = 0.95,
) -> Interval:
    """Estimate a proportion, such as the accuracy, also over several images per patient.

    Parameters
    ----------
    correct : array-like of {0, 1} or bool, shape (n_samples,)
        1 marks the samples to count, such as ``y_true == y_pred``.
    groups : array-like, shape (n_samples,), optional
        Patients; without them every sample is a patient of its own.
    folds : array-like, shape (n_samples,), optional
        Test fold of every row; the folds of different repeats need different numbers. The
        effective sample size is then divided by ``overlap_factor``, because the training sets
        of the folds overlap.
    level : float
        Confidence level.

    Returns
    -------
    Interval
        Wilson's score interval; if patients have several samples, with the effective sample
        size in place of the number of images (Rao & Scott 1992, Biometrics 48:577; Saha,
        Miller & Wang 2016, doi:10.1515/ijb-2015-0024).

    Raises
    ------
    UsageError
        If an array has the wrong shape, type or values, or the level is not between 0 and 1.

    Examples
    --------
    >>> correct = [1, 1, 1, 0, 1, 1, 0, 0]
    >>> proportion_interval(correct, groups=[1, 1, 2, 2, 3, 3, 4, 4])
    Interval(0.625, 95 % 0.219 to 0.908, n=8 of 4 groups, clustered Wilson)
    """
    check_level(level)
    check_same_rows(correct=correct, groups=groups, folds=folds)
    counted = as_booleans("correct", correct)
    patients = as_patients(groups, len(counted))
    overlap = overlap_over(folds, patients)
    interval = clustered_proportion_interval(counted, patients, level, overlap)
    return with_counts(interval, len(counted), None if groups is None else patients)


def overlap_over(folds: ArrayLike | None, patients: NDArray[np.int64]) -> float:
    """Return the ``overlap_factor`` of a metric of all samples; 1 without folds.

    Examples
    --------
    >>> overlap_over([0, 0, 1, 1], np.arange(4))
    3.0
    """
    return (
        1.0 if folds is None else overlap_factor(as_codes("folds", folds, len(patients)), patients)
    )


def clustered_proportion_interval(
    correct: ArrayLike, groups: ArrayLike, level: float = 0.95, overlap: float = 1.0
) -> Interval:
    """Estimate a proportion over several images per patient.

    The interval is Wilson's with the effective sample size in place of the number of images,
    as Rao & Scott (1992, Biometrics 48:577) do for counts and Saha, Miller & Wang (2016,
    International Journal of Biostatistics, doi:10.1515/ijb-2015-0024) for this interval.

    Parameters
    ----------
    correct : array-like of {0, 1} or bool, shape (n_samples,)
        1 marks the samples to count.
    groups : array-like, shape (n_samples,)
        Patients.
    level : float
        Confidence level.
    overlap : float
        Divisor of the effective sample size, for proportions over cross-validation folds:
        ``overlap_factor``, for the reason given in ``roc_auc_interval``.

    Returns
    -------
    Interval
        That of ``wilson_interval`` if every patient has one image and ``overlap`` is 1.

    Raises
    ------
    UsageError
        If an array has the wrong shape, type or values, or the level is not between 0 and 1.

    Examples
    --------
    >>> correct = [1, 1, 1, 0, 1, 1, 0, 0]
    >>> interval = clustered_proportion_interval(correct, groups=[1, 1, 2, 2, 3, 3, 4, 4])
    >>> f"{interval.value:.3f} ({interval.low:.3f} to {interval.high:.3f})"
    '0.625 (0.219 to 0.908)'
    """
    return clustered_intervals(correct, groups, overlap)(level)


def clustered_intervals(
    correct: ArrayLike, groups: ArrayLike, overlap: float = 1.0
) -> Callable[[float], Interval]:
    """Return the interval of ``clustered_proportion_interval`` as a function of its level.

    What does not depend on the level is computed once, for a test that inverts the interval.

    Examples
    --------
    >>> at = clustered_intervals([1, 1, 1, 0, 1, 1, 0, 0], groups=[1, 1, 2, 2, 3, 3, 4, 4])
    >>> at(0.95)
    Interval(0.625, 95 % 0.219 to 0.908, clustered Wilson)
    """
    successes = as_booleans("correct", correct).astype(float)
    patients = as_codes("groups", groups, len(successes))
    name = "clustered Wilson" if int(patients.max()) + 1 < len(successes) else "Wilson"
    if overlap > 1:
        name += CORRECTED
    share, size = float(successes.mean()), effective_sizes(successes, patients)
    return lambda level: _wilson(share, size(level) / overlap, level, name)


def wilson_bounds(p: float, n: float, level: float = 0.95) -> tuple[float, float]:
    """Return Wilson's bounds of a proportion of n independent samples, any number above 0.

    Examples
    --------
    >>> low, high = wilson_bounds(0.9, 50)
    >>> f"{low:.3f} to {high:.3f}"
    '0.786 to 0.957'
    """
    z = -float(special.ndtri((1 - check_level(level)) / 2))
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    margin = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    low = 0.0 if p == 0 else float(centre - margin)
    high = 1.0 if p == 1 else float(centre + margin)
    return low, high


def _wilson(p: float, n: float, level: float, method: str) -> Interval:
    low, high = wilson_bounds(p, n, level)
    return Interval(p, low, high, float(np.sqrt(p * (1 - p) / n)), level, method)


def effective_sample_size(
    values: NDArray[np.float64], patients: NDArray[np.int64], level: float = 0.95
) -> float:
    """Return the number of independent samples that would estimate the mean as precisely.

    It is (variance of the values) / V, at most n, where V = sum_i (sum over patient i of
    (value - mean))² / n² is the linearised variance of the mean of n samples. Two
    corrections are made:

    - A patient with many of the samples pulls the mean towards its own values, which makes
      its term of V too small. The term is divided by ((1 - n_i / n) / (1 - 1 / I))², as in
      the jackknife (Bell & McCaffrey 2002, Survey Methodology 28:169); the divisor is 1 if
      all I patients have as many samples.
    - V is itself an estimate. The size is multiplied by (z / t)² with the degrees of freedom
      of V (Korn & Graubard 1998, Survey Methodology 24:193), but not reduced below Kish's
      ``effective_number``, its value if the samples of a patient were copies. Kish's value is
      also returned if the means of the patients do not vary.

    Parameters
    ----------
    values : ndarray of float64, shape (n_samples,)
        Values to average.
    patients : ndarray of int64, shape (n_samples,)
        Codes of the patients, from 0.
    level : float
        Confidence level of z and t.

    Returns
    -------
    float
        ``n_samples`` if every patient has one sample.

    Raises
    ------
    UsageError
        If the level is not between 0 and 1.

    Examples
    --------
    Five copies of the image of each of four patients count as four images:

    >>> import numpy as np
    >>> effective_sample_size(np.tile([0.0, 1.0, 1.0, 1.0], 5), np.tile(np.arange(4), 5))
    4.0
    """
    return effective_sizes(values, patients)(level)


def effective_sizes(
    values: NDArray[np.float64], patients: NDArray[np.int64]
) -> Callable[[float], float]:
    """Return ``effective_sample_size`` as a function of the level.

    Examples
    --------
    >>> effective_sizes(np.tile([0.0, 1.0, 1.0, 1.0], 5), np.tile(np.arange(4), 5))(0.9)
    4.0
    """
    sums, sizes = np.bincount(patients, values), np.bincount(patients)
    centred = values - values.mean()
    return _sizes_of_sums(sums - values.mean() * sizes, sizes, float(centred @ centred))


def _sizes_of_sums(
    sums: NDArray[np.float64], sizes: NDArray[np.int64], by_sample: float
) -> Callable[[float], float]:
    """Return ``effective_sizes``, from the sums of the deviations by patient.

    Parameters
    ----------
    sums : ndarray of float64, shape (n_patients,)
        Sum of the deviations from the mean over each patient.
    sizes : ndarray of int64, shape (n_patients,)
        Number of samples of each patient.
    by_sample : float
        Sum of the squared deviations over samples.
    """
    n = int(sizes.sum())
    kish = float(n**2 / (sizes @ sizes))
    if len(sizes) == 1:
        return lambda level: kish
    correction = (1 - sizes / n) / (1 - 1 / len(sizes))
    squares = (sums / correction) ** 2
    by_patient = float(squares.sum())
    if by_patient <= 1e-12 * by_sample:
        return lambda level: kish
    size = n * min(1.0, by_sample / by_patient)
    degrees = degrees_of_freedom([squares])

    def at(level: float) -> float:
        tail = (1 - check_level(level)) / 2
        z, quantile = float(special.ndtri(tail)), float(special.stdtrit(degrees, tail))
        # Near a level of 0, SciPy rounds the quantile to 0.
        reduced = size * (z / quantile) ** 2 if quantile else size
        return min(size, max(kish, reduced))

    return at


def counted_proportion(
    hits: NDArray[np.float64], sizes: NDArray[np.int64], level: float = 0.95, overlap: float = 1.0
) -> tuple[float, float, float]:
    """Return a proportion and its bounds from counts by patient.

    They are those of ``clustered_proportion_interval``, which takes samples.

    Parameters
    ----------
    hits : ndarray of float64, shape (n_patients,)
        Number of counted samples of each patient.
    sizes : ndarray of int64, shape (n_patients,)
        Number of all samples of each patient.
    level, overlap
        As for ``clustered_proportion_interval``.

    Examples
    --------
    >>> counts = counted_proportion(np.array([2.0, 1, 2, 0]), np.array([2, 2, 2, 2]))
    >>> [round(bound, 3) for bound in counts]
    [0.625, 0.219, 0.908]
    """
    n = int(sizes.sum())
    share = float(hits.sum() / n)
    size = _sizes_of_sums(hits - share * sizes, sizes, n * share * (1 - share))(level) / overlap
    return share, *wilson_bounds(share, size, level)
