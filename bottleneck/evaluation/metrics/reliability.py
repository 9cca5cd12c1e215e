"""Which intervals hold their level, and the words that say so where they do not."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.splits.patients import count_by_class
from bottleneck.plurals import counted
from bottleneck.predictions import Predictions
from bottleneck.statistics.intervals import Interval, effective_number, holds_level

__all__ = ["ESTIMATE_ONLY", "caveat", "qualify", "qualify_all", "shortage"]

Strings = NDArray[np.str_]

ESTIMATE_ONLY = "estimate only"
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


def shortage(
    labels: Strings,
    patients: Strings | None,
    ids: Strings | None = None,
    *,
    metric: str = "auroc",
    n_folds: int = 1,
    n_classes: int = 2,
) -> str:
    """Return what there is too little of for an interval to hold its level.

    Parameters
    ----------
    labels : ndarray of str, shape (n_samples,)
        Classes.
    patients : ndarray of str, shape (n_samples,), or None
        Patients; None if none are known, and samples are counted.
    ids : ndarray of str, shape (n_samples,), or None
        Names of the samples, where repeats test them several times.
    metric, n_folds
        As for ``holds_level``.
    n_classes : int
        Number of classes; one that is absent has 0 patients.

    Returns
    -------
    str
        "7 patients", or "effective number of patients 1.5"; empty if ``holds_level`` is true.
    """
    unit = "sample" if patients is None else "patient"
    if patients is None:
        patients = np.arange(len(labels)).astype(str) if ids is None else ids
    counts = count_by_class(labels, patients)
    complete = len(counts) >= n_classes
    few = min(counts.values()) if complete else 0
    effective = min(effective_number(patients[labels == name]) for name in np.unique(labels))
    if holds_level(few, max(counts.values()), metric, n_folds, effective=effective):
        return ""
    # Enough by number, but not by weight.
    if holds_level(few, few) and not holds_level(few, few, effective=effective):
        return f"effective number of {unit}s {effective:.1f}"
    return counted(few, unit)
