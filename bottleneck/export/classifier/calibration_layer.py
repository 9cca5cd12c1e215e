"""From the scores of a head to calibrated probabilities, as a torch module."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bottleneck.evaluation.metrics.probabilities.calibration_shift import CalibrationShift
from bottleneck.evaluation.metrics.probabilities.sigmoids import Sigmoids
from bottleneck.predictions import Kind
from bottleneck.statistics.probabilities.calibration_lines import (
    LEAST_PROBABILITY,
)

__all__ = ["CalibrationLayer"]


class CalibrationLayer(nn.Module):
    """The calibration of scores, as ``Sigmoids.apply`` computes it.

    Parameters
    ----------
    sigmoids : Sigmoids or None
        The calibration. None keeps scores that are probabilities.
    kind : {"decision", "probability"}
        What the scores are.

    Examples
    --------
    >>> calibrate = CalibrationLayer(Sigmoids((1.5,), (0.0,)), "decision")
    >>> calibrate(torch.tensor([[-2.0, 2.0]]).double()).numpy().round(3).tolist()
    [[0.047, 0.953]]
    """

    slopes: Tensor
    intercepts: Tensor
    bounds: Tensor

    def __init__(self, sigmoids: Sigmoids | None, kind: Kind) -> None:
        super().__init__()
        self.kind = kind
        self.is_kept = sigmoids is None
        slopes, intercepts = (
            ((), ()) if sigmoids is None else (sigmoids.slopes, sigmoids.intercepts)
        )
        self.register_buffer("slopes", torch.tensor(slopes, dtype=torch.float64))
        self.register_buffer("intercepts", torch.tensor(intercepts, dtype=torch.float64))
        self.register_buffer("bounds", _bounds(1.0 - LEAST_PROBABILITY))
        shift = None if sigmoids is None else sigmoids.shift
        self.shift = nn.Identity() if shift is None else _ShiftLayer(shift)

    def forward(self, scores: Tensor) -> Tensor:
        """Return probabilities, of shape (n, n_classes), in float64 as the scores."""
        if self.is_kept:
            return scores.clamp(0.0, 1.0)
        if self.kind == "probability":
            scores = scores.clamp(*self.bounds)
            scores = torch.log(scores / (1.0 - scores))
        n = len(self.slopes)
        shares = torch.sigmoid(self.slopes * scores[:, -n:] + self.intercepts)
        if n == 1:
            shares = torch.cat([1.0 - shares, shares], 1)
        else:
            sums = shares.sum(1, keepdim=True)
            even = torch.ones_like(shares) / n
            shares = torch.where(sums > 0.0, shares / torch.where(sums > 0.0, sums, 1.0), even)
            shares = shares.clamp(0.0, 1.0)
        return self.shift(shares)


class _ShiftLayer(nn.Module):
    """A recalibration, as ``CalibrationShift.apply`` computes it."""

    slope: Tensor
    intercepts: Tensor
    bounds: Tensor

    def __init__(self, shift: CalibrationShift) -> None:
        super().__init__()
        self.register_buffer("slope", torch.tensor(shift.slope, dtype=torch.float64))
        self.register_buffer("intercepts", torch.tensor(shift.intercepts, dtype=torch.float64))
        self.register_buffer("bounds", _bounds(1.0))

    def forward(self, probabilities: Tensor) -> Tensor:
        odds = probabilities.clamp(*self.bounds).log() * self.slope
        return torch.softmax(odds + self.intercepts, 1)


def _bounds(most: float) -> Tensor:
    # As tensors: numbers of Python become float32 in ONNX, which would round 1 - 1e-12 to 1.
    return torch.tensor([LEAST_PROBABILITY, most], dtype=torch.float64)
