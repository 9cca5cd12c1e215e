"""Operating points: thresholds chosen in training, and what they came to in the test."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import numpy as np

from bottleneck.errors import ProtocolError, UsageError, unknown_name
from bottleneck.evaluation.metrics.metric_intervals import proportion
from bottleneck.evaluation.metrics.metric_values import Metric, OperatingPoint, as_metric
from bottleneck.evaluation.metrics.row_groups import split_folds
from bottleneck.predictions import Predictions
from bottleneck.statistics.intervals import Interval

__all__ = ["Held", "at_prevalence", "choose_thresholds", "operate"]

Held = Literal["sensitivity", "specificity"]


def choose_thresholds(
    inner: Sequence[Predictions], positive: str, held: Held, target: float
) -> tuple[float, ...]:
    """Choose the threshold of every fold on the scores that its training part gave itself.

    Parameters
    ----------
    inner : sequence of Predictions
        For every test fold and repeat, the out-of-fold predictions of its training part.
    positive : str
        The positive class. A sample is called positive where its score is at least the
        threshold.
    held : {"sensitivity", "specificity"}
        Which of the two is to reach the target.
    target : float
        Between 0 and 1.

    Returns
    -------
    tuple of float
        For a sensitivity the highest score, for a specificity the lowest number halfway
        between two scores, that reaches at least the target on the samples of ``inner``;
        equal scores are all on one side. A target can always be reached, if need be by
        calling everybody positive, or nobody: then the threshold lies just above the
        highest score.

    Raises
    ------
    UsageError
        If ``held`` or ``target`` is not what it should be.
    ProtocolError
        If one of ``inner`` lacks the positive class or all others.
    """
    _check(held, target)
    return tuple(_choose(training, positive, held, target) for training in inner)


def _check(held: str, target: float) -> None:
    if held not in get_args(Held):
        raise unknown_name("figure to hold", held, get_args(Held))
    if not 0 < target <= 1:
        raise UsageError(f"a target {held} must lie above 0 and be at most 1, not be {target}")


def _choose(training: Predictions, positive: str, held: Held, target: float) -> float:
    score = training.scores[:, training.classes.index(positive)]
    true = training.labels == positive
    if true.all() or not true.any():
        raise ProtocolError(
            f"a threshold needs out-of-fold scores of '{positive}' and of other classes; one "
            f"training part has only {'the first' if true.all() else 'the others'}"
        )
    # How many must be on the right side; a product such as 0.95 * 20 is not exact.
    needed = math.ceil(target * np.count_nonzero(true == (held == "sensitivity")) - 1e-9)
    if held == "sensitivity":
        return float(np.sort(score[true])[-needed])
    highest = np.sort(score[~true])[needed - 1]
    above = score[score > highest]
    if not len(above):
        return float(np.nextafter(highest, np.inf))
    middle = (highest + above.min()) / 2
    return float(middle if middle > highest else above.min())


def operate(
    test: Predictions, thresholds: Sequence[float], *, positive: str, held: Held, target: float
) -> OperatingPoint:
    """Apply thresholds to test samples.

    Parameters
    ----------
    test : Predictions
        One row a test sample and repeat.
    thresholds : sequence of float
        From ``choose_thresholds``: one a fold and repeat, in order of first appearance.
    positive, held, target
        As for ``choose_thresholds``.

    Returns
    -------
    OperatingPoint
        Sensitivity, specificity, PPV and NPV as they came out, with the intervals that
        ``inference.intervals`` gives proportions; NaN without an interval where there is
        nothing to count in a repeat. The intervals take the thresholds as given.

    Raises
    ------
    UsageError
        If there is not one threshold a fold and repeat, or an argument is not what it
        should be.
    """
    _check(held, target)
    parts = split_folds(test)
    if len(parts) != len(thresholds):
        raise UsageError(f"{len(parts)} test folds need as many thresholds, not {len(thresholds)}")
    limit = np.empty(len(test))
    for rows, threshold in zip(parts, thresholds, strict=True):
        limit[rows] = threshold
    said = test.scores[:, test.classes.index(positive)] >= limit
    true = test.labels == positive
    counted = {"sensitivity": true, "specificity": ~true, "ppv": said, "npv": ~said}
    found = {name: proportion(test, true == said, of) for name, of in counted.items()}
    metrics = {
        name: as_metric(np.nan if interval is None else interval.value, interval)
        for name, interval in found.items()
    }
    return OperatingPoint(held, target, tuple(map(float, thresholds)), metrics)


def at_prevalence(
    sensitivity: Metric | Interval, specificity: Metric | Interval, prevalence: float
) -> Mapping[str, Metric]:
    """Compute the predictive values that a test would have at another prevalence.

    Parameters
    ----------
    sensitivity, specificity : Metric or Interval
        With their intervals, of patients of different classes.
    prevalence : float
        Between 0 and 1.

    Returns
    -------
    mapping of str to Metric
        ppv and npv. By Bayes' theorem both depend on the data through a ratio of two
        independent proportions, sensitivity / (1 - specificity) and (1 - sensitivity) /
        specificity. Its interval joins those of the two (Donner & Zou 2012, Statistical
        Methods in Medical Research 21:347, "MOVER-R") and is mapped. Thus patients with
        several images, folds, and proportions of 0 and 1, at which the logit intervals of
        Mercaldo, Lau & Zhou (2007, Statistics in Medicine 26:2170) do not exist, are
        allowed for as far as the given intervals do. NaN where the ratio is 0 / 0; no
        interval where one of the two has none.

    Raises
    ------
    UsageError
        If the prevalence is not between 0 and 1.
    """
    if not 0 < prevalence < 1:
        raise UsageError(f"a prevalence must lie between 0 and 1, not be {prevalence}")
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
    """Return a ratio of two independent proportions and its bounds."""
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
