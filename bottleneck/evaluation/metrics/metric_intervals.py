"""Which interval belongs to which figure and protocol."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.splits.patients import count_by_class
from bottleneck.evaluation.metrics.calibration import calibration_line
from bottleneck.evaluation.metrics.metrics import METRICS, choose_classes
from bottleneck.evaluation.metrics.row_groups import name_units, number_folds, number_patients
from bottleneck.evaluation.metrics.weighted_metrics import (
    COUNTED,
    Functionals,
    count_figures,
)
from bottleneck.predictions import Predictions
from bottleneck.statistics.arguments import as_codes
from bottleneck.statistics.auroc import cv_auc_interval, roc_auc_interval
from bottleneck.statistics.auroc_multiclass import macro_auc_interval
from bottleneck.statistics.intervals import (
    CORRECTED,
    Interval,
    average_intervals,
    holds_level,
    influence_interval,
)
from bottleneck.statistics.patient_variance import overlap_factor, patient_variance
from bottleneck.statistics.proportions import clustered_proportion_interval

__all__ = [
    "auroc_interval",
    "binarise",
    "caveat",
    "intervals",
    "intervals_per_class",
    "proportion",
]

Bools = NDArray[np.bool_]


def intervals(
    predictions: Predictions, *, positive: str | None, names: Collection[str] = METRICS
) -> dict[str, Interval]:
    """Compute the interval of every figure that has one.

    - auroc: DeLong or Obuchowski, over folds LeDell, on the logit scale.
    - accuracy, sensitivity, specificity, ppv, npv: Wilson, with the effective number of
      samples where patients have several.
    - balanced_accuracy: the recalls of the classes, each with Wilson's interval, joined by
      the distances to their bounds (MOVER: Zou & Donner 2008, Statistics in Medicine
      27:1693), patients of different classes being independent.
    - f1, mcc, auprc, brier: influence values summed by patient, t, on the logit scale (mcc:
      Fisher's z). In ``benchmarks/coverage.md`` this covers better than a bootstrap of
      patients. An f1 or mcc of 1 varies with no sample: then the bounds of sensitivity and
      specificity are joined, as for balanced_accuracy.
    - calibration_slope and calibration_intercept: ``calibration.calibration_line``.

    Over folds every variance is multiplied by ``overlap_factor``, and every
    effective number divided by it. With repeats, the bounds of proportions and calibration
    figures are averaged over them: they see the same patients again, and are no narrower.

    Parameters
    ----------
    predictions : Predictions
        Of one arm.
    positive : str or None
        The positive class; without one, of the averages over classes: the AUROC by the
        mean of the classes' influences, specificity, ppv and npv like f1. Calibration
        figures then have an interval by class only.
    names : collection of str
        The figures that are asked for.

    Returns
    -------
    dict of str to Interval
        By the names in ``metrics.METRICS``; figures that are not defined or do not vary
        are absent, and so is ece.
    """
    right = predictions.labels == predictions.predicted
    found: dict[str, Interval | None]
    found = {"accuracy": _proportion(predictions, right, np.ones_like(right))}
    if positive is not None:
        true, said = predictions.labels == positive, predictions.predicted == positive
        parts = {"sensitivity": true, "specificity": ~true, "ppv": said, "npv": ~said}
        found |= {name: _proportion(predictions, true == said, of) for name, of in parts.items()}
    lines = ("calibration_slope", "calibration_intercept")
    if positive and predictions.probabilities is not None and set(lines) & set(names):
        found |= dict(zip(lines, calibration_line(predictions, positive), strict=True))
    if "auroc" in names and _can_be_ranked(predictions, positive):
        found["auroc"] = _auroc(predictions, positive)
    found["balanced_accuracy"] = _join_recalls(predictions)
    if positive is None:
        found["sensitivity"] = found["balanced_accuracy"]
    if set(names) - set(found) - {"ece", "auroc", *lines}:
        linear = _of_influence(predictions, positive)
        found = {**linear, **found}
        for name in ("f1", "mcc") if positive is not None else ():
            if not np.isfinite(linear[name].low):
                found[name] = _join_recalls(predictions, positive, name)
    return {
        name: _qualify(interval, predictions, name)
        for name in METRICS
        if name in names
        and (interval := found.get(name)) is not None
        and np.isfinite([interval.low, interval.high]).all()
    }


def intervals_per_class(predictions: Predictions) -> dict[str, dict[str, Interval]]:
    """Compute the intervals of ``metrics.measure_per_class``.

    Parameters
    ----------
    predictions : Predictions
        Of one arm.

    Returns
    -------
    dict of str to dict of str to Interval
        By class, then as from ``intervals``.
    """
    return {
        name: {
            metric: interval
            for metric, interval in intervals(predictions, positive=name).items()
            if metric not in ("accuracy", "balanced_accuracy")
        }
        for name in predictions.classes
    }


def proportion(predictions: Predictions, right: Bools, of: Bools) -> Interval | None:
    """Compute the interval of a proportion.

    Parameters
    ----------
    predictions : Predictions
        Of one arm.
    right, of : ndarray of bool, shape (n_samples,)
        Which rows count, of which; averaged over repeats.

    Returns
    -------
    Interval or None
        None where in some repeat there is nothing to count.
    """
    found = _proportion(predictions, right, of)
    return None if found is None else _qualify(found, predictions)


def _proportion(predictions: Predictions, right: Bools, of: Bools) -> Interval | None:
    each = []
    patients = number_patients(predictions)
    overlap = overlap_factor(number_folds(predictions), patients)
    for repeat in np.unique(predictions.repeats):
        rows = of & (predictions.repeats == repeat)
        if not rows.any():
            return None
        each.append(clustered_proportion_interval(right[rows], patients[rows], overlap=overlap))
    return average_intervals(each)


def _qualify(interval: Interval, predictions: Predictions, name: str = "auroc") -> Interval:
    """Say with an interval that so few patients do not let it hold its level."""
    return dataclasses.replace(interval, method=interval.method + caveat(predictions, name))


def caveat(predictions: Predictions, name: str = "auroc") -> str:
    """Say what is to be added to the name of a method, where it does not hold its level.

    Parameters
    ----------
    predictions : Predictions
        Of the samples that it is used on.
    name : str
        The metric.

    Returns
    -------
    str
        Empty where it does.
    """
    unit = "samples" if predictions.groups is None else "patients"
    counts = count_by_class(predictions.labels, name_units(predictions)).values()
    few = min(counts) if len(counts) == len(predictions.classes) else 0
    if holds_level(few, max(counts), name, len(np.unique(predictions.folds))):
        return ""
    return f"; estimate only: {few} {unit} in the smaller class"


def _can_be_ranked(predictions: Predictions, positive: str | None) -> bool:
    """Return whether every fold holds the positive class and others, or every class."""
    folds = number_folds(predictions)
    classes = choose_classes(predictions, positive)
    truth = predictions.labels[:, None] == np.array(classes)
    counts = [np.bincount(folds, column) for column in truth.T]
    return all(((count > 0) & (count < np.bincount(folds))).all() for count in counts)


def auroc_interval(predictions: Predictions, positive: str | None) -> Interval:
    """Compute the interval of the AUROC, as ``intervals`` does."""
    return _qualify(_auroc(predictions, positive), predictions)


def _auroc(predictions: Predictions, positive: str | None) -> Interval:
    folds = number_folds(predictions)
    if positive is None:
        return macro_auc_interval(
            predictions.labels, predictions.scores, folds, number_patients(predictions)
        )
    true, score, groups = binarise(predictions, positive)
    if not folds.any():
        return roc_auc_interval(true, score, groups)
    return cv_auc_interval(true, score, folds, groups)


def binarise(
    predictions: Predictions, positive: str
) -> tuple[Bools, NDArray[np.float64], NDArray[np.int64] | None]:
    """Hold one class against the rest: the truth, the scores, and patients where any are known."""
    score = predictions.scores[:, predictions.classes.index(positive)]
    known = predictions.groups is not None or predictions.repeats.any()
    return predictions.labels == positive, score, number_patients(predictions) if known else None


def _of_influence(predictions: Predictions, positive: str | None) -> dict[str, Interval]:
    functionals = Functionals(predictions, positive)
    folds, patients = number_folds(predictions), number_patients(predictions)
    repeats = as_codes("repeats", predictions.repeats, len(predictions))
    labels = as_codes("labels", predictions.labels, len(predictions))
    overlap = overlap_factor(folds, patients)
    found = {}
    rows = zip(functionals.names, functionals.evaluate(), functionals.gradient(), strict=True)
    for name, value, influence in rows:
        parts = folds if name == "auprc" else repeats
        variance, degrees = patient_variance(influence, labels, parts, patients)
        found[name] = influence_interval(
            float(value),
            variance * overlap,
            degrees,
            bounds=(-1, 1) if name == "mcc" else (0, 1),
            method="influence by patient" + (CORRECTED if overlap > 1 else ""),
        )
    return found


def _join_recalls(
    predictions: Predictions, positive: str | None = None, figure: str = "balanced_accuracy"
) -> Interval | None:
    """Join the intervals of the recalls of all classes, or of one and the rest."""
    labels, said = predictions.labels, predictions.predicted
    if positive is not None:
        labels, said = labels == positive, said == positive
    sides = [labels == name for name in np.unique(labels)]
    recalls = [proportion(predictions, said == labels, of) for of in sides]
    if len(sides) < (2 if positive is not None else len(predictions.classes)):
        return None
    share = np.array([of.mean() for of in sides])

    def compute(recall: NDArray[np.float64]) -> float:
        if figure == "balanced_accuracy":
            return float(recall.mean())
        # Rows the rest and the positive class.
        table = share[:, None] * np.array([[recall[0], 1 - recall[0]], [1 - recall[1], recall[1]]])
        return float(count_figures(table, [1])[COUNTED.index(figure)])

    known = [interval for interval in recalls if interval is not None]
    values = np.array([interval.value for interval in known])
    value = compute(values)
    # How far the figure moves when one recall goes to its bound.
    down, up = (
        [compute(np.where(np.arange(len(known)) == n, bound, values)) - value for n, bound in each]
        for each in (
            [(n, interval.low) for n, interval in enumerate(known)],
            [(n, interval.high) for n, interval in enumerate(known)],
        )
    )
    error = float(np.sqrt(sum(i.standard_error**2 for i in known))) / len(known)
    return Interval(
        value,
        value - float(np.linalg.norm(down)),
        value + float(np.linalg.norm(up)),
        error if figure == "balanced_accuracy" else np.nan,
        known[0].level,
        f"recalls joined ({known[0].method})",
    )
