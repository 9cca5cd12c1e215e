"""Decision curves: the net benefit of acting on predicted probabilities."""

from __future__ import annotations

from numpy.typing import ArrayLike

from bottleneck.evaluation.metrics.calibration import positive_probability
from bottleneck.predictions import Predictions
from bottleneck.statistics.net_benefit import DecisionCurve, decision_curve

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
        That of ``bottleneck.statistics.decision_curve`` over all folds, averaged over repeats.

    Raises
    ------
    UsageError
        If the predictions have no probabilities, or a threshold is not between 0 and 1.
    """
    # Every repeat has the same samples, so the mean over rows is the mean over repeats.
    share, true = positive_probability(predictions, positive)
    return decision_curve(true, share, thresholds)
