"""Which intervals hold their level, and the words that say so where they do not."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from bottleneck.data.splits.shortage import ESTIMATE_ONLY, shortage
from bottleneck.predictions import Predictions
from bottleneck.statistics.inference.intervals import Interval

__all__ = ["caveat", "qualify", "qualify_all"]

# Metrics of all classes, even where one of several is the positive one.
_OF_ALL_CLASSES = ("accuracy", "balanced_accuracy")


def qualify(
    interval: Interval, predictions: Predictions, name: str = "auroc", positive: str | None = None
) -> Interval:
    """Return the interval with the caveat in the name of its method, if there is one."""
    method = interval.method + caveat(predictions, name, positive)
    return dataclasses.replace(interval, method=method)


def qualify_all(
    intervals: Mapping[str, Interval], predictions: Predictions, positive: str | None
) -> dict[str, Interval]:
    """Return the intervals of several metrics, by name, with their caveats."""
    # Metrics with the same rule share one caveat, which is not quick to find.
    rules = {name: (name in _OF_ALL_CLASSES, name == "auprc") for name in intervals}
    names = {rule: name for name, rule in rules.items()}
    cautions = {rule: caveat(predictions, name, positive) for rule, name in names.items()}
    return {
        name: dataclasses.replace(interval, method=interval.method + cautions[rules[name]])
        for name, interval in intervals.items()
    }


def caveat(predictions: Predictions, name: str = "auroc", positive: str | None = None) -> str:
    """Return the suffix of a method's name that says that its level is not reliable.

    Parameters
    ----------
    predictions : Predictions
        Predictions of the samples.
    name : str
        Name of the metric.
    positive : str or None
        The positive class, which is counted against the rest; None counts every class.

    Returns
    -------
    str
        Empty if the method holds its level with these patients.
    """
    labels, n_classes = predictions.labels, len(predictions.classes)
    if positive is not None and name not in _OF_ALL_CLASSES:
        labels, n_classes = (labels == positive).astype(str), 2
    lacking = shortage(
        labels,
        predictions.groups,
        predictions.ids,
        metric=name,
        n_folds=len(np.unique(predictions.folds)),
        n_classes=n_classes,
    )
    return f"; {ESTIMATE_ONLY}: {lacking} in the smaller class" if lacking else ""
