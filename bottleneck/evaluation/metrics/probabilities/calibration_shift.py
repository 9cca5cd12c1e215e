"""Logistic recalibration: one slope for the log-odds of all classes, and an intercept per class."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from bottleneck.errors import ProtocolError, UsageError
from bottleneck.statistics.probabilities.calibration_lines import (
    LEAST_PROBABILITY,
)
from bottleneck.text.short_repr import show_fields

__all__ = ["CalibrationShift", "fit_shift"]

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class CalibrationShift:
    """A change of calibrated probabilities, which keeps the order of the log-odds of two classes.

    The new probabilities are proportional to exp(slope * log p + intercept), with the p and the
    intercept of each class. With two classes this is logistic recalibration of the log-odds (Cox
    1958, Biometrika 45:562; Steyerberg et al. 2004, Statistics in Medicine 23:2567).

    Attributes
    ----------
    slope : float
        Below 1 where the probabilities were too extreme, and below 0 where they order cases the
        wrong way.
    intercepts : tuple of float
        One per class, in the order of the sorted labels; that of the first class is 0.

    Raises
    ------
    UsageError
        If a number is not finite.

    Examples
    --------
    >>> CalibrationShift(1.0, (0.0, np.log(3.0))).apply(np.array([[0.5, 0.5]])).round(3).tolist()
    [[0.25, 0.75]]
    """

    slope: float
    intercepts: tuple[float, ...]

    __repr__ = show_fields

    def __post_init__(self) -> None:
        if not np.isfinite([self.slope, *self.intercepts]).all():
            raise UsageError("a recalibration needs finite numbers")

    def apply(self, probabilities: Floats) -> Floats:
        """Return the new probabilities, of shape (n, n_classes)."""
        odds = _log(probabilities) * self.slope + np.array(self.intercepts)
        return np.asarray(special.softmax(odds, axis=1))

    def after(self, first: CalibrationShift | None) -> CalibrationShift:
        """Return the change that applies another one first."""
        if first is None:
            return self
        pairs = zip(self.intercepts, first.intercepts, strict=True)
        return CalibrationShift(
            self.slope * first.slope, tuple(a + self.slope * b for a, b in pairs)
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as plain values."""
        return {"slope": self.slope, "intercepts": list(self.intercepts)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> CalibrationShift:
        """Return the change of ``to_dict``."""
        return cls(float(content["slope"]), tuple(map(float, content["intercepts"])))


def fit_shift(
    probabilities: Floats, labels: NDArray[np.str_], classes: tuple[str, ...]
) -> CalibrationShift:
    """Estimate the change that fits probabilities to the classes of new cases.

    Parameters
    ----------
    probabilities : ndarray of float64, shape (n, n_classes)
        Probabilities of cases that the model was not trained on.
    labels : ndarray of str, shape (n,)
        Their classes.
    classes : tuple of str
        All labels, in the order of the columns.

    Returns
    -------
    CalibrationShift
        The maximum of the multinomial likelihood. As in Platt scaling (Platt 1999, Advances in
        Large Margin Classifiers, p. 61), a case of a class with n cases counts as (n + 1) / (n + C)
        of it and as 1 / (n + C) of each of the C - 1 others, so that the estimate is finite where
        the probabilities separate the classes. With two classes it is the sigmoid of
        scikit-learn's ``CalibratedClassifierCV`` on the log-odds.

    Raises
    ------
    ProtocolError
        If a class has no case, or all cases have the same probabilities.
    """
    columns = np.array(classes)
    truth = labels[:, np.newaxis] == columns
    counts = truth.sum(axis=0)
    if not counts.all():
        lacking = classes[int(counts.argmin())]
        raise ProtocolError(f"recalibration needs cases of every class, but none is '{lacking}'")
    odds = _log(probabilities)
    odds = odds - odds.mean(axis=1, keepdims=True)
    if np.ptp(odds, axis=0).max() < 1e-12:
        raise ProtocolError(
            "all cases have the same probabilities, so a slope cannot be estimated: the model "
            "does not distinguish these cases"
        )
    smoothed = counts[truth.argmax(axis=1)][:, np.newaxis] + len(classes)
    target = (truth * counts + 1) / smoothed

    def loss(numbers: Floats) -> tuple[float, Floats]:
        shifted = special.log_softmax(numbers[0] * odds + np.append(0, numbers[1:]), axis=1)
        rest = np.exp(shifted) - target
        slopes = np.append((rest * odds).sum(), rest[:, 1:].sum(axis=0))
        return -float((target * shifted).sum()) / len(odds), slopes / len(odds)

    start = np.append(1.0, np.zeros(len(classes) - 1))
    options = {"gtol": 1e-9, "maxiter": 1000}
    fitted = optimize.minimize(loss, start, jac=True, method="BFGS", options=options)
    slope, *intercepts = map(float, fitted.x)
    return CalibrationShift(slope, (0.0, *intercepts))


def _log(probabilities: Floats) -> Floats:
    return np.log(np.clip(probabilities, LEAST_PROBABILITY, 1))
