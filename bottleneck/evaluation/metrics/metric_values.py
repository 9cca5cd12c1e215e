"""Values of metrics, with their intervals, and what is computed from them: no arithmetic here."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bottleneck.statistics.intervals import Interval

__all__ = [
    "Bin",
    "Calibration",
    "DecisionCurve",
    "Difference",
    "Metric",
    "OperatingPoint",
    "Subgroup",
    "as_metric",
]

Floats: TypeAlias = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Metric:
    """A figure, with its interval where one was computed.

    Attributes
    ----------
    value : float
        NaN where the figure is not defined (a precision without predicted positives).
    low, high : float or None
        Bounds of the interval.
    method : str or None
        Name of the method that gave the interval.
    """

    value: float
    low: float | None = None
    high: float | None = None
    method: str | None = None


def as_metric(value: float, interval: Interval | None) -> Metric:
    """Join a figure and its interval, where there is one."""
    if interval is None:
        return Metric(value)
    method = f"{interval.method}, {interval.level:.0%}"
    return Metric(value, interval.low, interval.high, method)


@dataclasses.dataclass(frozen=True)
class OperatingPoint:
    """The sensitivity at a stated specificity, or the reverse.

    The threshold of each fold was chosen on scores that the training part gave itself out of
    fold; it is what the test samples then met that counts.

    Attributes
    ----------
    held : {"sensitivity", "specificity"}
        Which of the two was aimed at.
    target : float
        What it was aimed to be at least, in training.
    thresholds : tuple of float
        One a fold and repeat, on the positive class's score.
    metrics : mapping of str to Metric
        sensitivity, specificity, ppv, npv as they came out on the test samples.
    """

    held: Literal["sensitivity", "specificity"]
    target: float
    thresholds: tuple[float, ...]
    metrics: Mapping[str, Metric]


@dataclasses.dataclass(frozen=True)
class Bin:
    """Samples of similar predicted probability.

    Attributes
    ----------
    n : int
        Samples.
    predicted : float
        Their mean predicted probability.
    observed : Metric
        The share of them that is of the positive class.
    """

    n: int
    predicted: float
    observed: Metric


@dataclasses.dataclass(frozen=True)
class Calibration:
    """How far predicted probabilities are frequencies.

    Attributes
    ----------
    bins : tuple of Bin
        Equally many samples each, by rising probability; those of the expected calibration
        error.
    source : str
        Where the probabilities come from, in words.
    """

    bins: tuple[Bin, ...]
    source: str


@dataclasses.dataclass(frozen=True)
class DecisionCurve:
    """Net benefit of acting on a prediction: Vickers & Elkin (2006).

    Attributes
    ----------
    thresholds : ndarray of float64, shape (n,)
        Probabilities from which on one would act.
    model, everyone : ndarray of float64, shape (n,)
        Net benefit a sample of acting on the model, and on everyone; that of acting on
        nobody is 0.
    """

    thresholds: Floats
    model: Floats
    everyone: Floats


@dataclasses.dataclass(frozen=True)
class Subgroup:
    """One arm on the samples that share a value of a column.

    Attributes
    ----------
    column, value : str
        The column, and what it holds.
    n_samples : int
    n_patients : int or None
    metrics : mapping of str to Metric
    """

    column: str
    value: str
    n_samples: int
    n_patients: int | None
    metrics: Mapping[str, Metric]


@dataclasses.dataclass(frozen=True)
class Difference:
    """The difference of one metric between two arms, ``a`` minus ``b``.

    Attributes
    ----------
    a, b : str
        Names of arms.
    metric : str
    value : float
    low, high : float or None
        Bounds of the interval.
    p, p_adjusted : float or None
        Two-sided, and adjusted by Holm's method over the primary family.
    method : str or None
        Name of the interval and test.
    role : {"primary", "secondary"}
        One metric and test of a protocol are primary; every other p is secondary.
    """

    a: str
    b: str
    metric: str
    value: float
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_adjusted: float | None = None
    method: str | None = None
    role: Literal["primary", "secondary"] = "primary"
