"""Operating points: thresholds chosen on training sets, and their performance on test sets."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np

from bottleneck.errors import ProtocolError, UsageError, unknown_name
from bottleneck.evaluation.metrics.inference.metric_intervals import proportion_interval
from bottleneck.evaluation.metrics.inference.row_groups import split_folds
from bottleneck.evaluation.metrics.metric_values import Metric, OperatingPoint, as_metric
from bottleneck.predictions import Predictions
from bottleneck.statistics.accuracy.diagnostic_accuracy import diagnostic_masks
from bottleneck.statistics.inference.intervals import Interval

__all__ = [
    "Held",
    "OperatingThreshold",
    "adjust_to_prevalence",
    "apply_thresholds",
    "choose_thresholds",
    "fit_threshold",
]

Held = Literal["sensitivity", "specificity"]


@dataclasses.dataclass(frozen=True)
class OperatingThreshold:
    """A threshold on the score of the positive class, chosen on out-of-fold scores.

    Attributes
    ----------
    held : {"sensitivity", "specificity"}
        Metric that reaches the target on the out-of-fold scores.
    target : float
        Its target value, above 0 and at most 1.
    threshold : float
        A score of at least this is decided as the positive class.
    sensitivity, specificity : float
        Shares of these out-of-fold scores on the right side. Since the threshold was chosen on
        them, they are not estimates of performance.

    Raises
    ------
    UsageError
        If ``held`` is unknown, or a number is not finite or out of range.
    """

    held: Held
    target: float
    threshold: float
    sensitivity: float
    specificity: float

    def __post_init__(self) -> None:
        _check(self.held, self.target)
        shares = (self.sensitivity, self.specificity)
        if not (math.isfinite(self.threshold) and all(0 <= share <= 1 for share in shares)):
            raise UsageError(
                "an operating point needs a finite threshold, and a sensitivity and a specificity "
                "from 0 to 1"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> OperatingThreshold:
        """Return the operating point of ``to_dict``."""
        numbers = ("target", "threshold", "sensitivity", "specificity")
        return cls(content["held"], *(float(content[name]) for name in numbers))


def fit_threshold(
    training: Predictions, positive: str, held: Held, target: float
) -> OperatingThreshold:
    """Choose a threshold on the out-of-fold predictions of a training set.

    Parameters
    ----------
    training : Predictions
        Out-of-fold predictions.
    positive, held, target
        As for ``choose_thresholds``, which also lists the errors.
    """
    (threshold,) = choose_thresholds([training], positive, held, target)
    decided = training.scores[:, training.classes.index(positive)] >= threshold
    true = training.labels == positive
    return OperatingThreshold(
        held, target, threshold, float(decided[true].mean()), float((~decided[~true]).mean())
    )


def choose_thresholds(
    inner: Sequence[Predictions], positive: str, held: Held, target: float
) -> tuple[float, ...]:
    """Choose the threshold of every fold from the out-of-fold scores of its training set.

    Parameters
    ----------
    inner : sequence of Predictions
        For every test fold and repeat, the out-of-fold predictions of its training set.
    positive : str
        The positive class. A sample is predicted positive if its score is at least the
        threshold.
    held : {"sensitivity", "specificity"}
        Metric that must reach the target.
    target : float
        Target value, between 0 and 1.

    Returns
    -------
    tuple of float
        For a sensitivity the highest score, for a specificity the lowest midpoint of two
        scores, that reaches the target on the samples of ``inner``; equal scores are on the
        same side. Every target can be reached, if necessary by predicting all samples
        positive, or none: the threshold is then just above the highest score.

    Raises
    ------
    UsageError
        If ``held`` is unknown, or ``target`` is not above 0 and at most 1.
    ProtocolError
        If an element of ``inner`` has only the positive class or only other classes.
    """
    _check(held, target)
    return tuple(_choose(training, positive, held, target) for training in inner)


def _check(held: str, target: float) -> None:
    if held not in get_args(Held):
        raise unknown_name("metric of an operating point", held, get_args(Held))
    if not 0 < target <= 1:
        raise UsageError(f"the target {held} must be above 0 and at most 1, not {target}")


def _choose(training: Predictions, positive: str, held: Held, target: float) -> float:
    score = training.scores[:, training.classes.index(positive)]
    true = training.labels == positive
    if true.all() or not true.any():
        raise ProtocolError(
            f"a threshold needs out-of-fold scores of '{positive}' and of other classes, but one "
            f"training set has only {'the former' if true.all() else 'the latter'}"
        )
    # Number of samples that must be correct; a product such as 0.95 * 20 is not exact.
    needed = math.ceil(target * np.count_nonzero(true == (held == "sensitivity")) - 1e-9)
    if held == "sensitivity":
        return float(np.sort(score[true])[-needed])
    highest = np.sort(score[~true])[needed - 1]
    above = score[score > highest]
    if not len(above):
        return float(np.nextafter(highest, np.inf))
    middle = (highest + above.min()) / 2
    return float(middle if middle > highest else above.min())


def apply_thresholds(
    test: Predictions, thresholds: Sequence[float], *, positive: str, held: Held, target: float
) -> OperatingPoint:
    """Evaluate an operating point: apply thresholds to test samples.

    Parameters
    ----------
    test : Predictions
        One row per test sample and repeat.
    thresholds : sequence of float
        From ``choose_thresholds``: one per fold and repeat, in order of first appearance.
    positive, held, target
        As for ``choose_thresholds``.

    Returns
    -------
    OperatingPoint
        Sensitivity, specificity, PPV and NPV on the test samples, with the intervals of
        ``compute_intervals`` for proportions. A metric with a denominator of 0 in a repeat is
        NaN, without an interval. The intervals take the thresholds as given.

    Raises
    ------
    UsageError
        If there is not one threshold per fold and repeat, ``held`` is unknown, or
        ``target`` is not above 0 and at most 1.
    """
    _check(held, target)
    folds = split_folds(test)
    if len(folds) != len(thresholds):
        raise UsageError(
            f"{len(folds)} test folds need {len(folds)} thresholds, not {len(thresholds)}"
        )
    limit = np.empty(len(test))
    for rows, threshold in zip(folds, thresholds, strict=True):
        limit[rows] = threshold
    predicted = test.scores[:, test.classes.index(positive)] >= limit
    true = test.labels == positive
    intervals = {
        name: proportion_interval(test, true == predicted, of, positive=positive)
        for name, of in diagnostic_masks(true, predicted).items()
    }
    metrics = {
        name: as_metric(np.nan if interval is None else interval.value, interval)
        for name, interval in intervals.items()
    }
    return OperatingPoint(held, target, tuple(map(float, thresholds)), metrics)


def adjust_to_prevalence(
    sensitivity: Metric | Interval, specificity: Metric | Interval, prevalence: float
) -> Mapping[str, Metric]:
    """Compute the predictive values of a test at another prevalence.

    Parameters
    ----------
    sensitivity, specificity : Metric or Interval
        Estimates with their intervals, from patients of different classes.
    prevalence : float
        Proportion of positive samples, between 0 and 1.

    Returns
    -------
    mapping of str to Metric
        "ppv" and "npv". By Bayes' theorem both are functions of a ratio of two independent
        proportions: sensitivity / (1 - specificity) and (1 - sensitivity) / specificity. The
        interval of the ratio combines those of the proportions (MOVER-R: Donner & Zou 2012,
        Statistical Methods in Medical Research 21:347). It accounts for several images per
        patient and for folds as far as the given intervals do, and exists for proportions of
        0 and 1, unlike the logit intervals of Mercaldo, Lau & Zhou (2007, Statistics in
        Medicine 26:2170). NaN if the ratio is 0 / 0; no interval if a proportion has none.

    Raises
    ------
    UsageError
        If the prevalence is not between 0 and 1.
    """
    if not 0 < prevalence < 1:
        raise UsageError(f"the prevalence must lie between 0 and 1, not be {prevalence}")
    a, b = _bounds(sensitivity), _bounds(specificity)
    method = "MOVER-R at a stated prevalence"
    odds = prevalence / (1 - prevalence)
    positive = _join(a, _complement(b))
    negative = _join(_complement(a), b)
    ppv = [_share(odds * ratio) for ratio in positive]
    npv = [_share(ratio * odds) for ratio in negative]
    npv = [1 - npv[0], 1 - npv[2], 1 - npv[1]]
    return {
        name: Metric(value, low, high, method)
        if np.isfinite([value, low, high]).all()
        else Metric(value)
        for name, (value, low, high) in (("ppv", ppv), ("npv", npv))
    }


Bounds = tuple[float, float, float]


def _bounds(metric: Metric | Interval) -> Bounds:
    if metric.low is None or metric.high is None:
        return metric.value, np.nan, np.nan
    return metric.value, metric.low, metric.high


def _complement(bounds: Bounds) -> Bounds:
    value, low, high = bounds
    return 1 - value, 1 - high, 1 - low


def _share(odds: float) -> float:
    return 1.0 if odds == np.inf else odds / (1 + odds)


def _join(a: Bounds, b: Bounds) -> Bounds:
    """Return the ratio of two independent proportions and its bounds."""
    (p, p_low, p_high), (q, q_low, q_high) = a, b
    if p == q == 0 or np.isnan(p + q):
        return np.nan, np.nan, np.nan
    product = p * q

    def bound(near: float, far: float, sign: int) -> float:
        scale = far * (2 * q - far)
        spread = product**2 - near * (2 * p - near) * scale
        part = product + sign * math.sqrt(max(spread, 0.0))
        return np.inf if scale == 0 else part / scale

    value = np.inf if q == 0 else p / q
    return value, bound(p_low, q_high, -1), bound(p_high, q_low, 1)
