"""Proportions, over the images of several patients, with their intervals."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from bottleneck.errors import UsageError
from bottleneck.statistics.auroc_influence import degrees_of_freedom, encode, zeros_and_ones
from bottleneck.statistics.intervals import CORRECTED, Interval, check_level

__all__ = ["clustered_proportion_interval", "effective_number", "wilson_interval"]


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
        (``placements.find_overlap``), for the reason told in
        ``auroc.cv_auc_interval``.

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
    n: samples that agree less than chance would have them gain nothing. A patient with
    many of the samples draws the mean to its own, so that its term is too small: it is
    divided by ((1 - n_i / n) / (1 - 1 / I))², as the jackknife does (Bell & McCaffrey
    2002, Survey Methodology 28:169), which is 1 where all have as many. As V is itself
    an estimate, it is multiplied by (z / t)² with the degrees of freedom of V (Korn &
    Graubard 1998, Survey Methodology 24:193), which takes it not below Kish's n² / sum_i n_i²,
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
    sizes = np.bincount(patients)
    copies = n**2 / float((sizes**2).sum())
    if len(sizes) == 1:
        return copies
    centred = values - values.mean()
    drawn = (1 - sizes / n) / (1 - 1 / len(sizes))
    squares = (np.bincount(patients, centred) / drawn) ** 2
    within, between = float(centred @ centred), float(squares.sum())
    if between <= 1e-12 * within:
        return copies
    tail = (1 - check_level(level)) / 2
    found = n * min(1.0, within / between)
    degrees = degrees_of_freedom([squares])
    shrunk = found * float(special.ndtri(tail) / special.stdtrit(degrees, tail)) ** 2
    return min(found, max(copies, shrunk))
