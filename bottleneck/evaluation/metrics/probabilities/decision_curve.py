"""Decision curves: the net benefit of acting on predicted probabilities."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bottleneck.evaluation.metrics.inference.reliability import qualify
from bottleneck.evaluation.metrics.inference.row_groups import encode_folds, encode_patients
from bottleneck.evaluation.metrics.metric_values import Metric, NetBenefit, as_metric
from bottleneck.evaluation.metrics.probabilities.calibration import positive_probability
from bottleneck.predictions import Predictions
from bottleneck.statistics.probabilities.net_benefit import (
    DecisionCurve,
    decision_curve,
    net_benefit,
)

__all__ = ["compute_decision_curve", "net_benefits"]

# Thresholds of the table, beside the one that was stated.
_SHOWN = (0.05, 0.1, 0.2, 0.3, 0.5)


def compute_decision_curve(
    predictions: Predictions, positive: str, thresholds: ArrayLike | None = None
) -> DecisionCurve:
    """Compute the decision curve of predictions, with pointwise bounds.

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
    patients, folds = encode_patients(predictions), encode_folds(predictions)
    return decision_curve(true, share, patients, folds, thresholds=thresholds)


def net_benefits(
    predictions: Predictions, positive: str, act_at: float | None = None
) -> tuple[NetBenefit, ...]:
    """Compute the net benefit at a few thresholds, and how far it is above acting on everyone.

    Parameters
    ----------
    predictions : Predictions
        Predictions with probabilities.
    positive : str
        The class that calls for action.
    act_at : float or None
        A threshold beside 0.05, 0.1, 0.2, 0.3 and 0.5.

    Returns
    -------
    tuple of NetBenefit
        In order of the thresholds, with the intervals of ``bottleneck.statistics.net_benefit``.

    Raises
    ------
    UsageError
        If the predictions have no probabilities.
    """
    share, true = positive_probability(predictions, positive)
    patients, folds = encode_patients(predictions), encode_folds(predictions)

    def measure(
        probability: NDArray[np.float64], at: float, versus: Literal["nobody", "everyone"]
    ) -> Metric:
        found = net_benefit(true, probability, patients, folds, threshold=at, versus=versus)
        known = found if np.isfinite(found.low) else None
        return as_metric(found.value, known and qualify(known, predictions, positive=positive))

    return tuple(
        NetBenefit(
            at,
            model=measure(share, at, "nobody"),
            everyone=measure(np.ones_like(share), at, "nobody"),
            over_everyone=measure(share, at, "everyone"),
            stated=at == act_at,
        )
        for at in sorted({*_SHOWN, *(() if act_at is None else (act_at,))})
    )
