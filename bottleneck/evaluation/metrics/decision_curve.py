"""Decision curves: the net benefit of acting on predicted probabilities."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from bottleneck.errors import UsageError
from bottleneck.evaluation.metrics.calibration import positive_probability
from bottleneck.evaluation.metrics.metric_values import DecisionCurve
from bottleneck.predictions import Predictions

__all__ = ["compute_decision_curve"]


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
        Net benefit at the threshold t: (true positives - false positives * t / (1 - t)) / n
        for n samples, over all folds, averaged over repeats (Vickers & Elkin 2006, Medical
        Decision Making 26:565).

    Raises
    ------
    UsageError
        If the predictions have no probabilities, or a threshold is not between 0 and 1.
    """
    share, true = positive_probability(predictions, positive)
    at = np.linspace(0.01, 0.99, 99) if thresholds is None else np.array(thresholds, dtype=float)
    if at.ndim != 1 or not ((at > 0) & (at < 1)).all():
        raise UsageError("the thresholds of a decision curve must be numbers between 0 and 1")
    cost = at / (1 - at)
    # Every repeat has the same samples, so the mean over rows is the mean over repeats.
    hits, alarms = (
        1 - np.searchsorted(np.sort(share[rows]), at) / max(1, rows.sum()) for rows in (true, ~true)
    )
    prevalence = true.mean()
    return DecisionCurve(
        thresholds=at,
        model=prevalence * hits - (1 - prevalence) * cost * alarms,
        everyone=prevalence - (1 - prevalence) * cost,
    )
