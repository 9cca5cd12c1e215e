"""Sensitivity, specificity and predictive values, with intervals by patient."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bottleneck.statistics.accuracy.proportions import clustered_proportion_interval, overlap_over
from bottleneck.statistics.arguments import as_codes, as_patients, check_level, check_same_rows
from bottleneck.statistics.class_labels import as_labels, as_predicted, as_truth, check_both_classes
from bottleneck.statistics.inference.intervals import Interval, with_counts

__all__ = ["DiagnosticAccuracy", "diagnostic_accuracy", "diagnostic_masks"]

Bools = NDArray[np.bool_]


@dataclasses.dataclass(frozen=True)
class DiagnosticAccuracy:
    """The proportions that describe a diagnostic test.

    Attributes
    ----------
    sensitivity, specificity : Interval
        Proportion of correct predictions among the positive and among the negative samples.
    ppv, npv : Interval
        Proportion of correct predictions among those predicted positive, and negative: for the
        prevalence of these samples only. NaN if there are none.
    accuracy : Interval
        Proportion of correct predictions, of all classes where there are several.

    Examples
    --------
    >>> diagnostic_accuracy([0, 0, 1, 1], [0, 1, 1, 1]).ppv
    Interval(0.667, 95 % 0.208 to 0.939, n=3, Wilson)
    """

    sensitivity: Interval
    specificity: Interval
    ppv: Interval
    npv: Interval
    accuracy: Interval

    def __repr__(self) -> str:
        rows = (f"{field.name}={getattr(self, field.name)!r}" for field in dataclasses.fields(self))
        return "DiagnosticAccuracy(\n  " + ",\n  ".join(rows) + "\n)"


def diagnostic_accuracy(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    groups: ArrayLike | None = None,
    folds: ArrayLike | None = None,
    *,
    positive: object = None,
    level: float = 0.95,
) -> DiagnosticAccuracy:
    """Estimate sensitivity, specificity, predictive values and accuracy with intervals.

    Parameters
    ----------
    y_true : array-like of int, bool or str, shape (n_samples,)
        Classes of the samples.
    y_pred : array-like of int, bool or str, shape (n_samples,)
        Predicted classes.
    groups, folds : array-like, shape (n_samples,), optional
        Patients, and test fold of every row, as for ``proportion_interval``.
    positive : int, bool or str, optional
        The positive class; the others are negative. By default 1 of 0 and 1, or True.
    level : float
        Confidence level.

    Returns
    -------
    DiagnosticAccuracy
        Each proportion has the interval of ``proportion_interval``, by patient. Over folds,
        the factor is that of all samples.

    Raises
    ------
    UsageError
        If an array has the wrong shape, type or values, the positive class is not known, a
        predicted class is not one of ``y_true``, or the level is not between 0 and 1.
    ProtocolError
        If only one class is present.

    Examples
    --------
    >>> y_true = ["healthy", "healthy", "healthy", "ill", "ill", "ill"]
    >>> y_pred = ["healthy", "ill", "healthy", "ill", "ill", "healthy"]
    >>> found = diagnostic_accuracy(y_true, y_pred, positive="ill", groups=[1, 1, 2, 3, 3, 4])
    >>> found.sensitivity
    Interval(0.667, 95 % 0.136 to 0.962, n=3 of 2 groups, clustered Wilson)
    """
    check_level(level)
    check_same_rows(y_true=y_true, y_pred=y_pred, groups=groups, folds=folds)
    labels = as_labels("y_true", y_true)
    truth = as_truth("y_true", labels, positive)
    check_both_classes(truth, "the sensitivity and the specificity")
    predicted = as_predicted("y_pred", y_pred, labels)
    called = predicted == labels[truth][0]
    patients = as_patients(groups, len(labels))
    overlap = overlap_over(folds, patients)
    is_known = groups is not None

    def estimate(correct: Bools, of: Bools) -> Interval:
        if not of.any():
            nan = np.nan
            return Interval(nan, nan, nan, nan, level, "not defined without such samples", n=0)
        own = as_codes("groups", patients[of], int(of.sum()))
        interval = clustered_proportion_interval(correct[of], own, level, overlap)
        return with_counts(interval, len(own), own if is_known else None)

    masks = diagnostic_masks(truth, called)
    return DiagnosticAccuracy(
        **{name: estimate(truth == called, of) for name, of in masks.items()},
        accuracy=estimate(labels == predicted, np.ones_like(truth)),
    )


def diagnostic_masks(truth: Bools, called: Bools) -> dict[str, Bools]:
    """Return the samples among which each proportion counts the correct predictions.

    Parameters
    ----------
    truth, called : ndarray of bool, shape (n_samples,)
        Whether each sample is positive, and whether it is predicted positive.

    Examples
    --------
    >>> list(diagnostic_masks(np.array([True]), np.array([False])))
    ['sensitivity', 'specificity', 'ppv', 'npv']
    """
    return {"sensitivity": truth, "specificity": ~truth, "ppv": called, "npv": ~called}
