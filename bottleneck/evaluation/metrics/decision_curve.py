"""What acting on predictions is worth: decision curves."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from bottleneck.errors import UsageError
from bottleneck.evaluation.metrics.metric_values import DecisionCurve
from bottleneck.predictions import Predictions

__all__ = ["trace_net_benefit"]


def trace_net_benefit(
    predictions: Predictions, positive: str, thresholds: ArrayLike | None = None
) -> DecisionCurve:
    """Compute the decision curve of an arm.

    Parameters
    ----------
    predictions : Predictions
        With probabilities.
    positive : str
        The class on which one would act.
    thresholds : array-like of float, optional
        Probabilities between 0 and 1 from which on one would act; by default 0.01 to 0.99
        in steps of 0.01.

    Returns
    -------
    DecisionCurve
        Vickers & Elkin (2006, Medical Decision Making 26:565): of n samples, (true
        positives - false positives t / (1 - t)) / n at the threshold t, over all folds,
        averaged over repeats.

    Raises
    ------
    UsageError
        If the predictions have no probabilities, or a threshold is not between 0 and 1.
    """
    if predictions.probabilities is None:
        raise UsageError("these predictions have no calibrated probabilities: calibrate them first")
    at = np.linspace(0.01, 0.99, 99) if thresholds is None else np.array(thresholds, dtype=float)
    if at.ndim != 1 or not ((at > 0) & (at < 1)).all():
        raise UsageError("thresholds of a decision curve must lie between 0 and 1")
    share = predictions.probabilities[:, predictions.classes.index(positive)]
    true = predictions.labels == positive
    cost = at / (1 - at)
    # Every repeat holds the same samples, so that the mean over rows is that over repeats.
    hits, alarms = (
        1 - np.searchsorted(np.sort(share[rows]), at) / max(1, rows.sum()) for rows in (true, ~true)
    )
    prevalence = true.mean()
    return DecisionCurve(
        thresholds=at,
        model=prevalence * hits - (1 - prevalence) * cost * alarms,
        everyone=prevalence - (1 - prevalence) * cost,
    )
