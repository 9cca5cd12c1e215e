"""Decision curves: the net benefit of acting on predicted probabilities."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bottleneck.evaluation.metrics.calibration import positive_probability
from bottleneck.evaluation.metrics.row_groups import encode_folds, encode_patients
from bottleneck.predictions import Predictions
from bottleneck.statistics.intervals import mean_interval
from bottleneck.statistics.net_benefit import DecisionCurve, decision_curve
from bottleneck.statistics.proportions import overlap_over

__all__ = ["compute_decision_curve", "decision_band"]


def compute_decision_curve(
    predictions: Predictions, positive: str, thresholds: ArrayLike | None = None
) -> DecisionCurve:
    """Compute the decision curve of predictions.

    Parameters
    ----------
    predictions : Predictions
        Predictions with probabilities.
    positive : str
        The class that calls for action, such as a biopsy.
    thresholds : array-like of float, optional
        Threshold probabilities for action, between 0 and 1; by default 0.01 to 0.99 in steps
        of 0.01.

    Returns
    -------
    DecisionCurve
        That of ``bottleneck.statistics.decision_curve`` over all folds, averaged over repeats.

    Raises
    ------
    UsageError
        If the predictions have no probabilities, or a threshold is not between 0 and 1.
    """
    # Every repeat has the same samples, so the mean over rows is the mean over repeats.
    share, true = positive_probability(predictions, positive)
    return decision_curve(true, share, thresholds)


def decision_band(
    predictions: Predictions,
    positive: str,
    thresholds: NDArray[np.float64],
    *,
    level: float = 0.95,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute the pointwise confidence band of a decision curve.

    Parameters
    ----------
    predictions : Predictions
        Predictions with probabilities.
    positive : str
        The class that calls for action.
    thresholds : ndarray of float64, shape (n,)
        Threshold probabilities, between 0 and 1.
    level : float
        Pointwise confidence level.

    Returns
    -------
    low, high : ndarray of float64, shape (n,)
        Bounds of ``bottleneck.statistics.net_benefit`` over all folds and repeats. NaN where all
        patients have the same net benefit.

    Raises
    ------
    UsageError
        If the predictions have no probabilities.
    """
    share, true = positive_probability(predictions, positive)
    patients, folds = encode_patients(predictions), encode_folds(predictions)
    overlap = overlap_over(folds if folds.any() else None, patients)
    bounds = []
    for at in thresholds.tolist():
        acted = share >= at
        gain = (true & acted) - (~true & acted) * at / (1 - at)
        value = float(gain.mean())
        influence = (gain - value) / len(gain)
        interval = mean_interval(value, influence, patients, overlap, level, bounds=None)
        bounds.append((interval.low, interval.high))
    low, high = np.array(bounds).T
    return low, high
