"""Smooth calibration curves, and their confidence bands from a bootstrap of patients."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from bottleneck.evaluation.metrics.calibration import positive_probability
from bottleneck.evaluation.metrics.row_groups import independent_units, remember
from bottleneck.predictions import Predictions
from bottleneck.report.figures.roc_curves import DRAWS, draw_patients, widened

__all__ = ["SPAN", "CalibrationCurve", "calibration_curve"]

Floats = NDArray[np.float64]

#: Share of the samples that the smoother uses at each probability.
SPAN = 0.75
_N_POINTS = 61
# The curve is drawn where so many patients have a probability that is no farther.
_LEAST_NEAR, _NEAR = 5, 0.1
# Of fewer probabilities or patients, a curve would show noise.
_LEAST = 20
_ROWS = 4096  # Rows whose weights are in memory at a time.


@dataclasses.dataclass(frozen=True)
class CalibrationCurve:
    """Observed frequency of the positive class by predicted probability.

    Attributes
    ----------
    predicted : ndarray of float64, shape (61,)
        Probabilities, from the 1st to the 99th percentile of those that were predicted.
    observed : ndarray of float64, shape (61,)
        Smoothed frequency at each of them; NaN where fewer than five patients have a probability
        within 0.1, here and in the band.
    low, high : ndarray of float64, shape (61,)
        Pointwise confidence band.
    """

    predicted: Floats
    observed: Floats
    low: Floats
    high: Floats


@remember
def calibration_curve(
    predictions: Predictions, positive: str, *, level: float = 0.95, seed: int = 0
) -> CalibrationCurve | None:
    """Smooth the observed frequencies by loess, with a band from a bootstrap of patients.

    The smoother is a local line with tricube weights and a span of 0.75 (Cleveland 1979, Journal
    of the American Statistical Association 74:829), as Austin & Steyerberg (2014, Statistics in
    Medicine 33:517) use it for calibration. All folds and repeats are pooled, as for the
    calibration slope. Patients are drawn with replacement, each with all of its images and
    repeats, while the neighbourhoods stay the same. As for the ROC band, the models are not
    refitted, and over folds the band is widened by the root of ``overlap_factor``.

    Parameters
    ----------
    predictions : Predictions
        Predictions with probabilities.
    positive : str
        The positive class.
    level : float
        Pointwise confidence level.
    seed : int
        Seed of the bootstrap.

    Returns
    -------
    CalibrationCurve or None
        None with fewer than 20 patients or different probabilities, or if too many bootstrap
        samples have no curve.

    Raises
    ------
    UsageError
        If the predictions have no probabilities.
    """
    share, true = positive_probability(predictions, positive)
    units = independent_units(predictions)
    if min(len(np.unique(share)), len(np.unique(units))) < _LEAST:
        return None
    first, last = (float(np.quantile(share, q)) for q in (0.01, 0.99))
    at = np.linspace(first, last, _N_POINTS)
    reach = np.partition(np.abs(share - at[:, None]), int(SPAN * len(share)) - 1, axis=1)
    reach = reach[:, int(SPAN * len(share)) - 1]
    if not (reach > 0).all():
        return None
    drawn = draw_patients(units, np.zeros(len(share), np.int64), seed)
    weights = np.vstack([np.ones(len(share)), drawn])
    moments = np.zeros((5, DRAWS + 1, _N_POINTS))
    for start in range(0, len(share), _ROWS):
        rows = slice(start, start + _ROWS)
        distance = (share[rows, None] - at) / reach
        kernel = np.clip(1 - np.abs(distance) ** 3, 0, None) ** 3
        terms = (kernel, kernel * distance, kernel * distance**2)
        hits = true[rows, None]
        for number, term in enumerate((*terms, terms[0] * hits, terms[1] * hits)):
            moments[number] += weights[:, rows] @ term
    s0, s1, s2, t0, t1 = moments
    with np.errstate(invalid="ignore", divide="ignore"):
        curves = np.clip((s2 * t0 - s1 * t1) / (s0 * s2 - s1**2), 0, 1)
    curves[:, ~_is_supported(share, units, at)] = 0  # They are NaN in the end.
    whole = np.asarray(np.isfinite(curves).all(axis=1))
    if not whole[0] or whole.mean() < level:
        return None
    low, high = widened(curves[1:][whole[1:]], predictions, level, by_fold=False)
    unknown = ~_is_supported(share, units, at)
    observed, low, high = (np.where(unknown, np.nan, part) for part in (curves[0], low, high))
    return CalibrationCurve(at, observed, low, high)


def _is_supported(share: Floats, units: NDArray[np.str_], at: Floats) -> NDArray[np.bool_]:
    """Return where enough patients have a probability nearby, so that no gap is bridged."""
    codes = np.unique(units, return_inverse=True)[1]
    near = [len(np.unique(codes[np.abs(share - one) <= _NEAR])) for one in at.tolist()]
    return np.array(near) >= _LEAST_NEAR
