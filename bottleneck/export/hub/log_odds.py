"""A binary head with its calibration, folded into one weighted sum of the features."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from bottleneck.errors import UsageError
from bottleneck.evaluation.metrics.probabilities.sigmoids import Sigmoids
from bottleneck.explain.maps.exact.linear_decision import LinearDecision

__all__ = ["LogOdds", "NoPlainCheckpointError", "fold_head"]


# With a smaller slope, log-odds in float32 do not give the decision value back.
_LEAST_SLOPE = 1e-6


class NoPlainCheckpointError(UsageError):
    """A model that is not a frozen network of timm with one linear layer."""


@dataclasses.dataclass(frozen=True, eq=False)
class LogOdds:
    """The log-odds of the second of two classes, as a weighted sum of features.

    Attributes
    ----------
    weights : ndarray of float64, shape (n_features,)
        Weights of the features as the network gives them.
    intercept : float
        Log-odds for features that are all 0.
    of_score : tuple of float
        Slope and intercept that give the log-odds from the decision value of the second class.
    """

    weights: NDArray[np.float64]
    intercept: float
    of_score: tuple[float, float] = (1.0, 0.0)


def fold_head(linear: LinearDecision, sigmoids: Sigmoids | None) -> LogOdds:
    """Return the log-odds of the calibrated probability of a binary head.

    With the decision value d of the second class, the probability is that of the log-odds
    slope * d + intercept. A recalibration changes these log-odds by a slope and an intercept again.

    Parameters
    ----------
    linear : LinearDecision
        The decision function of the head.
    sigmoids : Sigmoids or None
        Its calibration; None where the decision values are log-odds already.

    Raises
    ------
    NoPlainCheckpointError
        If there are more than two classes, or the probability does not depend on the decision.

    Examples
    --------
    >>> weights = np.array([[-1.0, -2.0], [1.0, 2.0]])
    >>> linear = LinearDecision(weights, np.array([-0.5, 0.5]), np.zeros(2))
    >>> folded = fold_head(linear, Sigmoids((2.0,), (1.0,)))
    >>> folded.weights.tolist(), folded.intercept
    ([2.0, 4.0], 2.0)
    """
    if (n := len(linear.weights)) != 2:
        raise NoPlainCheckpointError(
            f"there are {n} classes, and the probabilities of more than two classes are sigmoids "
            "divided by their sum, which no linear layer gives"
        )
    slope, intercept = 1.0, 0.0
    if sigmoids is not None:
        (slope,), (intercept,) = sigmoids.slopes, sigmoids.intercepts
        if (shift := sigmoids.shift) is not None:
            slope *= shift.slope
            intercept = intercept * shift.slope + shift.intercepts[1] - shift.intercepts[0]
    if abs(slope) < _LEAST_SLOPE:
        raise NoPlainCheckpointError(
            "its probability is the same for all pictures, so it does not determine the decision"
        )
    return LogOdds(
        slope * linear.weights[1],
        float(slope * linear.intercepts[1] + intercept),
        (float(slope), float(intercept)),
    )
