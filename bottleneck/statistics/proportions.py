"""Confidence intervals of proportions, also over several images per patient."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from bottleneck.errors import UsageError
from bottleneck.statistics.arguments import as_booleans, as_codes, check_level
from bottleneck.statistics.intervals import CORRECTED, Interval, effective_number
from bottleneck.statistics.patient_variance import degrees_of_freedom

__all__ = ["clustered_proportion_interval", "effective_sample_size", "wilson_interval"]


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
        If not 0 <= successes <= n and n >= 1, or the level is not between 0 and 1.

    Examples
    --------
    >>> interval = wilson_interval(45, 50)
    >>> f"{interval.value:.2f} ({interval.low:.3f} to {interval.high:.3f})"
    '0.90 (0.786 to 0.957)'
    """
    if not 0 <= successes <= n or n < 1:
        raise UsageError(
            f"a proportion needs n >= 1 and 0 <= successes <= n, not successes = {successes} "
            f"and n = {n}"
        )
    return _wilson(successes / n, n, level, "Wilson")


def clustered_proportion_interval(
    correct: ArrayLike, groups: ArrayLike, level: float = 0.95, overlap: float = 1.0
) -> Interval:
    """Estimate a proportion over several images per patient.

    The interval is Wilson's with the effective sample size in place of the number of images,
    as Rao & Scott (1992, Biometrics 48:577) do for counts and Saha, Miller & Wang (2016,
    Journal of Applied Statistics 43:2123) for this interval.

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
        ``overlap_factor``, for the reason given in ``cv_auc_interval``.

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
    successes = as_booleans("correct", correct).astype(float)
    patients = as_codes("groups", groups, len(successes))
    name = "clustered Wilson" if int(patients.max()) + 1 < len(successes) else "Wilson"
    if overlap > 1:
        name += CORRECTED
    size = effective_sample_size(successes, patients, level) / overlap
    return _wilson(float(successes.mean()), size, level, name)


def _wilson(p: float, n: float, level: float, method: str) -> Interval:
    z = -float(special.ndtri((1 - check_level(level)) / 2))
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    margin = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    low = 0.0 if p == 0 else float(centre - margin)
    high = 1.0 if p == 1 else float(centre + margin)
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
    n = len(values)
    sizes = np.bincount(patients)
    kish = effective_number(patients)
    if len(sizes) == 1:
        return kish
    centred = values - values.mean()
    correction = (1 - sizes / n) / (1 - 1 / len(sizes))
    squares = (np.bincount(patients, centred) / correction) ** 2
    by_sample, by_patient = float(centred @ centred), float(squares.sum())
    if by_patient <= 1e-12 * by_sample:
        return kish
    tail = (1 - check_level(level)) / 2
    size = n * min(1.0, by_sample / by_patient)
    degrees = degrees_of_freedom([squares])
    reduced = size * float(special.ndtri(tail) / special.stdtrit(degrees, tail)) ** 2
    return min(size, max(kish, reduced))
