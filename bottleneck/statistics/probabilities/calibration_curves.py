"""Smooth calibration curves, with pointwise confidence intervals by patient."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from bottleneck.statistics.accuracy.proportions import overlap_over, wilson_bounds
from bottleneck.statistics.inference.patient_variance import degrees_of_freedom
from bottleneck.statistics.probabilities.reliability_curves import read_probabilities

__all__ = ["SPAN", "CalibrationCurve", "calibration_curve"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Share of the samples that the smoother uses at each probability.
SPAN = 0.75
_N_POINTS = 61
# The curve is known where so many patients have a probability that is no farther.
_LEAST_NEAR, _NEAR = 5, 0.1
# Of fewer probabilities or patients, a curve would show noise.
_LEAST = 20


@dataclasses.dataclass(frozen=True, eq=False)
class CalibrationCurve:
    """Observed frequency of the positive class by predicted probability.

    Attributes
    ----------
    predicted : ndarray of float64, shape (61,)
        Probabilities, from the 1st to the 99th percentile of those that were predicted.
    observed : ndarray of float64, shape (61,)
        Smoothed frequency at each of them.
    low, high : ndarray of float64, shape (61,)
        Pointwise bounds of it.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> probability = rng.random(200)
    >>> calibration_curve(rng.random(200) < probability, probability)
    CalibrationCurve(61 probabilities from 0.00992 to 0.995)
    """

    predicted: Floats
    observed: Floats
    low: Floats
    high: Floats

    def __repr__(self) -> str:
        at = self.predicted
        known = "" if np.isfinite(self.observed).any() else ", not known anywhere"
        return f"CalibrationCurve({len(at)} probabilities from {at[0]:.3g} to {at[-1]:.3g}{known})"


def calibration_curve(
    y_true: ArrayLike,
    probability: ArrayLike,
    groups: ArrayLike | None = None,
    folds: ArrayLike | None = None,
    *,
    positive: object = None,
    level: float = 0.95,
) -> CalibrationCurve:
    """Smooth the observed frequencies by predicted probability, with pointwise intervals.

    The smoother is a local line with tricube weights and a span of 0.75 (Cleveland 1979, Journal
    of the American Statistical Association 74:829), as Austin & Steyerberg (2014, Statistics in
    Medicine 33:517) and Van Calster et al. (2016, Journal of Clinical Epidemiology 74:167) use it
    for calibration. Rows of all folds are smoothed together.

    Parameters
    ----------
    y_true : array-like of int, bool or str, shape (n_samples,)
        Classes of the samples.
    probability : array-like of float, shape (n_samples,)
        Predicted probabilities of the positive class.
    groups : array-like, shape (n_samples,), optional
        Patients; without them every sample is a patient of its own.
    folds : array-like, shape (n_samples,), optional
        Test fold of every row; the variance is then multiplied by ``overlap_factor``.
    positive : int, bool or str, optional
        The positive class; the others are negative. By default 1 of 0 and 1, or True.
    level : float
        Confidence level of each point.

    Returns
    -------
    CalibrationCurve
        The value of a local line is a weighted mean of the outcomes. Its variance is the sandwich
        estimate from the weighted residuals summed by patient, and its bounds are Wilson's with
        the number of independent samples of this variance, as in ``proportion_interval``. They
        take the smoother's bias as 0. NaN where fewer than five patients have a probability
        within 0.1, and everywhere with fewer than 20 patients or 20 different probabilities, or
        where more than half of the probabilities are equal.

    Raises
    ------
    UsageError
        If an array has the wrong shape, type or values, a probability is not between 0 and 1,
        the positive class is not known, or the level is not between 0 and 1.

    Examples
    --------
    Probabilities that are too extreme:

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> odds = rng.normal(size=400)
    >>> y_true = rng.random(400) < 1 / (1 + np.exp(-odds))
    >>> curve = calibration_curve(y_true, 1 / (1 + np.exp(-2 * odds)))
    >>> bool(curve.high[-1] < curve.predicted[-1])
    True
    """
    true, share, patients = read_probabilities(y_true, probability, groups, folds, positive, level)
    overlap = overlap_over(folds, patients)
    first, last = np.quantile(share, [0.01, 0.99]).tolist()
    at = np.linspace(first, last, _N_POINTS)
    points = np.full((3, _N_POINTS), np.nan)
    if min(len(np.unique(share)), int(patients.max()) + 1) >= _LEAST:
        for n, one in enumerate(at.tolist()):
            points[:, n] = _point(one, true, share, patients, overlap, level)
    return CalibrationCurve(at, *points)


def _point(
    at: float,
    true: NDArray[np.bool_],
    share: Floats,
    patients: Ints,
    overlap: float,
    level: float,
) -> tuple[float, float, float]:
    """Return the smoothed frequency at one probability, and its bounds."""
    unknown = np.nan, np.nan, np.nan
    distance = share - at
    near = np.abs(distance)
    if len(np.unique(patients[near <= _NEAR])) < _LEAST_NEAR:
        return unknown
    nearest = int(SPAN * len(share)) - 1
    reach = np.partition(near, nearest)[nearest]
    if not reach > 0:
        return unknown
    scaled = distance / reach
    kernel = np.clip(1 - np.abs(scaled) ** 3, 0, None) ** 3
    s0, s1, s2 = (float((kernel * scaled**power).sum()) for power in range(3))
    if not s0 * s2 - s1**2 > 1e-12 * s0 * s2:
        return unknown
    weights = kernel * (s2 - s1 * scaled) / (s0 * s2 - s1**2)
    slopes = kernel * (s0 * scaled - s1) / (s0 * s2 - s1**2)
    value, slope = float(weights @ true), float(slopes @ true)
    residual: Floats = weights * (true - value - slope * scaled)
    sums = np.bincount(patients, residual).astype(np.float64)
    kish = 1 / float((np.bincount(patients, weights) ** 2).sum())
    value = min(1.0, max(0.0, value))
    size = _independent(value, sums, kish, level) / overlap
    return value, *wilson_bounds(value, size, level)


def _independent(value: float, sums: Floats, kish: float, level: float) -> float:
    """Return the number of independent samples that would estimate the value as precisely.

    As in ``effective_sample_size``, it is reduced for the degrees of freedom of the variance, but
    not below Kish's number of patients, its value if the samples of each were copies.
    """
    squares = sums**2
    variance = float(squares.sum()) * len(sums) / (len(sums) - 1)
    if not variance > 1e-12 or not 0 < value < 1:
        return kish
    size = value * (1 - value) / variance
    tail = (1 - level) / 2
    degrees = degrees_of_freedom([squares])
    reduced = size * float(special.ndtri(tail) / special.stdtrit(degrees, tail)) ** 2
    return min(size, max(kish, reduced))
