"""Value objects of the evaluation: metrics with their intervals, curves and differences."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bottleneck.statistics.inference.intervals import Interval
from bottleneck.statistics.probabilities.calibration_curves import (
    CalibrationCurve,
)
from bottleneck.text.short_repr import shortened, show_fields

__all__ = [
    "Bin",
    "Calibration",
    "Centre",
    "Centres",
    "Difference",
    "Metric",
    "NetBenefit",
    "OperatingPoint",
    "Subgroup",
    "SubgroupDifference",
    "as_metric",
]

Floats: TypeAlias = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Metric:
    """A metric, with its confidence interval if one was computed.

    Attributes
    ----------
    value : float
        NaN if the metric is not defined, such as a precision without predicted positives.
    low, high : float or None
        Bounds of the interval; None without one.
    method : str or None
        Name of the method of the interval; None without one.
    spread : tuple of (float, float), or None
        Lowest and highest value of a single repeat of the cross-validation, which is not a
        confidence interval; None for one repeat, and where it was not computed.
    """

    value: float
    low: float | None = None
    high: float | None = None
    method: str | None = None
    spread: tuple[float, float] | None = None

    @property
    def estimate_only(self) -> bool:
        """Whether there are too few patients for the interval to hold its level."""
        return self.low is not None and "estimate only" in (self.method or "")

    @property
    def text(self) -> str:
        """The value with its interval, such as "0.853 [0.801, 0.905]"; "n/a" for NaN."""
        if math.isnan(self.value):
            return "n/a"
        if self.low is None or self.high is None:
            return f"{self.value:.3f}"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"

    def __repr__(self) -> str:
        method = f", {shortened(self.method)}" if self.method else ""
        caution = ", estimate only" if self.estimate_only else ""
        return f"Metric({self.text}{method}{caution})"


def as_metric(
    value: float, interval: Interval | None, spread: tuple[float, float] | None = None
) -> Metric:
    """Return a metric from its value, and its interval and spread over repeats, if any."""
    if interval is None or math.isnan(value):  # A mean of repeats that one leaves undefined.
        return Metric(value, spread=spread)
    method = f"{interval.method}, {interval.level:.0%}"
    return Metric(value, interval.low, interval.high, method, spread)


@dataclasses.dataclass(frozen=True)
class OperatingPoint:
    """The performance at a target sensitivity or specificity.

    The threshold of each fold was chosen on out-of-fold scores of its training set. The metrics are
    those of the test samples, on which the target may be missed.

    Attributes
    ----------
    held : {"sensitivity", "specificity"}
        Metric of the target.
    target : float
        Minimum of this metric on the training set.
    thresholds : tuple of float
        Thresholds on the score of the positive class, one per fold and repeat.
    metrics : mapping of str to Metric
        sensitivity, specificity, ppv and npv on the test samples.
    """

    held: Literal["sensitivity", "specificity"]
    target: float
    thresholds: tuple[float, ...]
    metrics: Mapping[str, Metric]

    __repr__ = show_fields


@dataclasses.dataclass(frozen=True)
class Bin:
    """Samples of similar predicted probability.

    Attributes
    ----------
    n : int
        Number of samples.
    predicted : float
        Mean predicted probability.
    observed : Metric
        Observed frequency of the positive class.
    """

    n: int
    predicted: float
    observed: Metric

    __repr__ = show_fields


@dataclasses.dataclass(frozen=True)
class Calibration:
    """Predicted probabilities compared with observed frequencies.

    Attributes
    ----------
    bins : tuple of Bin
        The bins of the expected calibration error, with equally many samples each, in order
        of probability.
    source : str
        Origin of the probabilities, in words.
    curve : CalibrationCurve or None
        Smoothed frequencies of all folds and repeats, with pointwise bounds; None where there are
        too few patients for a curve.
    """

    bins: tuple[Bin, ...]
    source: str
    curve: CalibrationCurve | None = None

    __repr__ = show_fields


@dataclasses.dataclass(frozen=True)
class NetBenefit:
    """The net benefit of acting from one threshold probability on, in true positives per sample.

    Attributes
    ----------
    threshold : float
        The probability of the positive class from which on action is taken.
    model, everyone : Metric
        Net benefit of acting on the predictions, and of acting on everyone; that of acting on
        nobody is 0.
    over_everyone : Metric
        ``model`` minus ``everyone``.
    stated : bool
        Whether the threshold is ``Measures.act_at``.
    """

    threshold: float
    model: Metric
    everyone: Metric
    over_everyone: Metric
    stated: bool = False

    __repr__ = show_fields

    @property
    def avoided(self) -> Metric:
        """Needless actions that the predictions avoid, of 100 samples, compared with everyone.

        It is the difference to acting on everyone in units of false positives, at the same
        number of true positives (Vickers & Elkin 2006, Medical Decision Making 26:565).
        """
        scale = 100 * (1 - self.threshold) / self.threshold
        over = self.over_everyone
        low, high = (None if bound is None else bound * scale for bound in (over.low, over.high))
        return Metric(over.value * scale, low, high, over.method)


@dataclasses.dataclass(frozen=True)
class Subgroup:
    """The metrics of an arm on the samples with one value of a column.

    Attributes
    ----------
    column, value : str
        Name of the column, and the value.
    n_samples : int
        Number of samples from which the AUROC was computed. Over folds, those in which the
        subgroup lacks a class are left out.
    n_patients : int or None
        Number of their patients; None if no patients are known.
    n_all : int
        Number of all samples, from which the other metrics were computed.
    metrics : mapping of str to Metric
        Metrics by name.
    """

    column: str
    value: str
    n_samples: int
    n_patients: int | None
    n_all: int
    metrics: Mapping[str, Metric]

    __repr__ = show_fields


@dataclasses.dataclass(frozen=True)
class SubgroupDifference:
    """The test of whether a metric of an arm is the same in all subgroups of a column.

    Attributes
    ----------
    column, metric : str
        Name of the column and of the metric.
    levels : tuple of str
        The subgroups that were compared.
    left_out : tuple of str
        Subgroups for which the metric, or its standard error, is not defined.
    difference : Metric or None
        First minus second of two subgroups, with its interval; None for three or more.
    p, p_adjusted : float
        p value of the hypothesis that all are equal, and the p value adjusted by Holm's method
        over the columns.
    fewest : int
        Number of patients of the smallest class in the smallest of ``levels``; samples where no
        patients are known. With few, only large differences are found.
    method : str
        Name of the intervals and of the test.
    """

    column: str
    metric: str
    levels: tuple[str, ...]
    left_out: tuple[str, ...]
    difference: Metric | None
    p: float
    p_adjusted: float
    fewest: int
    method: str

    __repr__ = show_fields


@dataclasses.dataclass(frozen=True)
class Centre:
    """The AUROC of an arm in one centre, whose samples were not in the training set.

    Attributes
    ----------
    name : str
        Name of the centre.
    n_samples : int
        Number of samples.
    n_patients : int or None
        Number of patients; None if no patients are known.
    auroc : Metric
        The AUROC, with an interval for patients of this centre.
    """

    name: str
    n_samples: int
    n_patients: int | None
    auroc: Metric

    __repr__ = show_fields


@dataclasses.dataclass(frozen=True)
class Centres:
    """The AUROC of an arm in each centre, and what to expect of a new one.

    Attributes
    ----------
    each : tuple of Centre
        The centres, in the order of the folds.
    new_centre : Metric or None
        Mean AUROC over centres, with a prediction interval for the AUROC of a new centre.
    note : str
        Why there is no prediction interval; empty if there is one.
    """

    each: tuple[Centre, ...]
    new_centre: Metric | None
    note: str

    __repr__ = show_fields


@dataclasses.dataclass(frozen=True)
class Difference:
    """The difference of one metric between two arms, ``a`` minus ``b``.

    Attributes
    ----------
    a, b : str
        Names of the arms.
    metric : str
        Name of the metric.
    value : float
        The difference.
    low, high : float or None
        Bounds of its interval; None without one.
    p, p_adjusted : float or None
        Two-sided p value, and the p value adjusted by Holm's method over the primary pairs.
    method : str or None
        Name of the interval and test.
    role : {"primary", "secondary"}
        The protocol has one primary metric and test; all other p values are secondary.
    repeats : int
        Number of repeats that it was computed in: those that both arms were tested in, and for
        the accuracy the first one alone.
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
    repeats: int = 1

    __repr__ = show_fields
