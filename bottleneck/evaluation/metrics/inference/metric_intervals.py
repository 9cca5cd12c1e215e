"""Confidence intervals of the metrics, chosen by metric and protocol."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from bottleneck.errors import UsageError
from bottleneck.evaluation.metrics.inference.reliability import qualify, qualify_all
from bottleneck.evaluation.metrics.inference.row_groups import encode_folds, encode_patients
from bottleneck.evaluation.metrics.inference.weighted_metrics import (
    CONFUSION_METRICS,
    WeightedMetrics,
    confusion_metrics,
)
from bottleneck.evaluation.metrics.metrics import METRICS, positive_classes
from bottleneck.evaluation.metrics.probabilities.calibration import (
    calibration_line,
    observed_expected,
)
from bottleneck.predictions import Predictions
from bottleneck.statistics.accuracy.diagnostic_accuracy import diagnostic_masks
from bottleneck.statistics.accuracy.proportions import clustered_proportion_interval
from bottleneck.statistics.arguments import as_codes
from bottleneck.statistics.inference.intervals import (
    CORRECTED,
    Interval,
    average_intervals,
    influence_interval,
)
from bottleneck.statistics.inference.patient_variance import overlap_factor, patient_variance
from bottleneck.statistics.roc.auroc import rank_parts, roc_auc_interval
from bottleneck.statistics.roc.auroc_multiclass import MacroAuroc, macro_auc_interval
from bottleneck.statistics.roc.auroc_variance import AurocEstimator

__all__ = [
    "auroc_interval",
    "binarise",
    "compute_intervals",
    "compute_intervals_of_class",
    "jackknife_aurocs",
    "jackknife_of",
    "proportion_interval",
]

Bools = NDArray[np.bool_]


def compute_intervals(
    predictions: Predictions,
    *,
    positive: str | None,
    names: Collection[str] = METRICS,
    overlap: float | None = None,
) -> dict[str, Interval]:
    """Compute the confidence intervals of the metrics.

    - auroc: DeLong or Obuchowski, over folds LeDell, on the logit scale.
    - accuracy, sensitivity, specificity, ppv, npv: Wilson, with the effective sample size if
      patients have several images.
    - balanced_accuracy: MOVER (Zou & Donner 2008, Statistics in Medicine 27:1693), which
      combines the Wilson intervals of the recalls; patients of different classes are
      independent.
    - f1, mcc, auprc, brier: t interval from influence values summed by patient, on the logit
      scale (mcc: Fisher's z). In ``benchmarks/coverage.md`` this covers about as well
      as a bootstrap of patients (BCa), at a fraction of its time. At 1, f1 and mcc have no
      influence values; then the intervals of sensitivity and specificity are combined, as for
      balanced_accuracy.
      Patients are sampled, so that the numbers of patients in each class are random. These
      metrics depend on them, and the influence values are not centred within classes.
    - calibration_slope and calibration_intercept: ``calibration_line``; observed_expected:
      ``observed_expected_ratio``.

    Over folds, the variance of the AUROC is raised by that of the training sets, where the
    predictions have a jackknife. Other variances are multiplied and effective sample sizes divided
    by ``overlap_factor``. With repeats, the bounds of proportions and of calibration metrics are
    averaged: repeats test the same patients again and do not narrow the interval.

    Parameters
    ----------
    predictions : Predictions
        Predictions of one arm.
    positive : str or None
        The positive class. With None, the intervals are those of the averages over classes:
        the auroc by the mean influence of the classes; ppv like balanced_accuracy, because a
        class that is seldom predicted has too few influence values; specificity and npv like f1.
        Calibration metrics then have an interval for each class only.
    names : collection of str
        The metrics to compute.
    overlap : float or None
        ``overlap_factor`` of the proportions. By default it is computed from these predictions;
        a subgroup has that of all samples, because its models were trained on others too.

    Returns
    -------
    dict of str to Interval
        By the names in ``METRICS``. ece has no interval; metrics that are not defined or do
        not vary are left out.
    """
    correct = predictions.labels == predictions.predicted
    intervals: dict[str, Interval | None] = {}
    if "accuracy" in names:
        everyone = np.ones_like(correct)
        intervals["accuracy"] = _proportion(predictions, correct, everyone, overlap)
    if positive is not None:
        true, predicted = predictions.labels == positive, predictions.predicted == positive
        correct = true == predicted
        intervals |= {
            name: _proportion(predictions, correct, of, overlap)
            for name, of in diagnostic_masks(true, predicted).items()
        }
    lines = ("calibration_slope", "calibration_intercept")
    if positive and predictions.probabilities is not None and set(lines) & set(names):
        intervals |= dict(zip(lines, calibration_line(predictions, positive), strict=True))
    if positive and predictions.probabilities is not None and "observed_expected" in names:
        intervals["observed_expected"] = observed_expected(predictions, positive)
    if "auroc" in names and _can_be_ranked(predictions, positive):
        intervals["auroc"] = _auroc(predictions, positive)
    if "balanced_accuracy" in names or positive is None:
        intervals["balanced_accuracy"] = _join_recalls(predictions, overlap=overlap)
    if positive is None:
        intervals["sensitivity"] = intervals["balanced_accuracy"]
        intervals["ppv"] = _join_recalls(predictions, metric="ppv", overlap=overlap)
    if rest := set(names) - set(intervals) - {"ece", "auroc", "observed_expected", *lines}:
        linear = _of_influence(predictions, positive, rest)
        intervals = {**linear, **intervals}
        for name in {"f1", "mcc"} & set(linear) if positive is not None else ():
            if not np.isfinite(linear[name].low):
                intervals[name] = _join_recalls(predictions, positive, name)
    known = {
        name: interval
        for name in METRICS
        if name in names
        and (interval := intervals.get(name)) is not None
        and np.isfinite([interval.low, interval.high]).all()
    }
    return qualify_all(known, predictions, positive)


def compute_intervals_of_class(predictions: Predictions, name: str) -> dict[str, Interval]:
    """Compute the confidence intervals of the metrics of one class of several against the rest.

    Parameters
    ----------
    predictions : Predictions
        Predictions of one arm.
    name : str
        The class.

    Returns
    -------
    dict of str to Interval
        The result of ``compute_intervals`` without accuracy and balanced accuracy.
    """
    names = [metric for metric in METRICS if metric not in ("accuracy", "balanced_accuracy")]
    return compute_intervals(predictions, positive=name, names=names)


def proportion_interval(
    predictions: Predictions,
    numerator: Bools,
    denominator: Bools,
    *,
    positive: str | None = None,
) -> Interval | None:
    """Compute the confidence interval of a proportion, averaged over repeats.

    Parameters
    ----------
    predictions : Predictions
        Predictions of one arm.
    numerator, denominator : ndarray of bool, shape (n_samples,)
        Masks of the rows: the proportion is that of ``numerator`` among the rows of
        ``denominator``.
    positive : str or None
        The positive class, as for ``caveat``.

    Returns
    -------
    Interval or None
        None if the denominator is 0 in a repeat.
    """
    interval = _proportion(predictions, numerator, denominator)
    return None if interval is None else qualify(interval, predictions, positive=positive)


def _proportion(
    predictions: Predictions,
    numerator: Bools,
    denominator: Bools,
    overlap: float | None = None,
) -> Interval | None:
    each = []
    patients = encode_patients(predictions)
    if overlap is None:
        overlap = overlap_factor(encode_folds(predictions), patients)
    for repeat in np.unique(predictions.repeats):
        rows = denominator & (predictions.repeats == repeat)
        if not rows.any():
            return None
        each.append(clustered_proportion_interval(numerator[rows], patients[rows], overlap=overlap))
    return average_intervals(each)


def _can_be_ranked(predictions: Predictions, positive: str | None) -> bool:
    """Return whether every fold has the positive class and others, or every class."""
    folds = encode_folds(predictions)
    classes = positive_classes(predictions, positive)
    truth = predictions.labels[:, None] == np.array(classes)
    counts = [np.bincount(folds, column) for column in truth.T]
    return all(((count > 0) & (count < np.bincount(folds))).all() for count in counts)


def auroc_interval(predictions: Predictions, positive: str | None) -> Interval:
    """Compute the confidence interval of the AUROC, as in ``compute_intervals``."""
    return qualify(_auroc(predictions, positive), predictions, positive=positive)


def _auroc(predictions: Predictions, positive: str | None) -> Interval:
    folds = encode_folds(predictions)
    if positive is None:
        patients = encode_patients(predictions)
        return macro_auc_interval(
            predictions.labels,
            predictions.scores,
            patients,
            folds,
            repeats=predictions.repeats,
            jackknife=predictions.jackknife,
        )
    true, score, groups = binarise(predictions, positive)
    return roc_auc_interval(
        true,
        score,
        groups,
        folds,
        repeats=predictions.repeats,
        jackknife=jackknife_of(predictions, positive),
    )


def binarise(
    predictions: Predictions, positive: str
) -> tuple[Bools, NDArray[np.float64], NDArray[np.int64] | None]:
    """Return the true class as booleans, the scores, and the patients if they are known."""
    score = predictions.scores[:, predictions.classes.index(positive)]
    known = predictions.groups is not None or predictions.repeats.any()
    return predictions.labels == positive, score, encode_patients(predictions) if known else None


def jackknife_of(predictions: Predictions, positive: str) -> NDArray[np.float64] | None:
    """Return the jackknife scores of the positive class, shape (n_samples, n_parts)."""
    if predictions.jackknife is None:
        return None
    return predictions.jackknife[:, :, predictions.classes.index(positive)]


def jackknife_aurocs(predictions: Predictions, positive: str | None) -> NDArray[np.float64]:
    """Return the AUROC by models without one part of the patients, shape (n_repeats, n_parts)."""
    folds, repeats = encode_folds(predictions), predictions.repeats
    if positive is None:
        patients = encode_patients(predictions)
        known = MacroAuroc(
            predictions.labels,
            predictions.scores,
            patients,
            folds,
            repeats,
            jackknife=predictions.jackknife,
        ).influence
    else:
        true, score, groups = binarise(predictions, positive)
        estimator = AurocEstimator(true, groups, folds, repeats)
        parts = rank_parts(estimator, jackknife_of(predictions, positive))
        known = estimator.influence(estimator.rank(score), parts)
    if known.jackknife is None:
        raise UsageError("these predictions have no jackknife of the training sets")
    return known.jackknife


def _of_influence(
    predictions: Predictions, positive: str | None, names: Collection[str]
) -> dict[str, Interval]:
    weighted = WeightedMetrics(predictions, positive)
    folds, patients = encode_folds(predictions), encode_patients(predictions)
    repeats = as_codes("repeats", predictions.repeats, len(predictions))
    # One code for all classes: the class counts are random, and these metrics depend on them.
    classes = np.zeros_like(folds)
    intervals = {}
    rows = zip(weighted.names, weighted.evaluate(), weighted.gradient(), strict=True)
    for name, value, influence in rows:
        if name not in names:
            continue
        by_fold = name == "auprc"
        strata = folds if by_fold else repeats
        overlap = overlap_factor(folds, patients, by_fold=by_fold)
        variance, degrees = patient_variance(influence, classes, strata, patients)
        intervals[name] = influence_interval(
            float(value),
            variance * overlap,
            degrees,
            bounds=(-1, 1) if name == "mcc" else (0, 1),
            method="influence by patient" + (CORRECTED if overlap > 1 else ""),
        )
    return intervals


def _join_recalls(
    predictions: Predictions,
    positive: str | None = None,
    metric: str = "balanced_accuracy",
    overlap: float | None = None,
) -> Interval | None:
    """Combine the intervals of the recalls of all classes, or of one class and the rest (MOVER).

    For "ppv" it combines those of the predicted classes in the same way.
    """
    labels, predicted = predictions.labels, predictions.predicted
    if metric == "ppv":
        labels, predicted = predicted, labels
    if positive is not None:
        labels, predicted = labels == positive, predicted == positive
    sides = [labels == name for name in np.unique(labels)]
    recalls = [_proportion(predictions, predicted == labels, of, overlap) for of in sides]
    if len(sides) < (2 if positive is not None else len(predictions.classes)) or None in recalls:
        return None
    share = np.array([of.mean() for of in sides])

    averages = ("balanced_accuracy", "ppv")

    def compute(recall: NDArray[np.float64]) -> float:
        if metric in averages:
            return float(recall.mean())
        # Rows and columns: the rest, the positive class.
        table = share[:, None] * np.array([[recall[0], 1 - recall[0]], [1 - recall[1], recall[1]]])
        return float(confusion_metrics(table, [1])[CONFUSION_METRICS.index(metric)])

    known = [interval for interval in recalls if interval is not None]
    values = np.array([interval.value for interval in known])
    value = compute(values)
    # Change of the metric when one recall moves to its bound.
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
        error if metric in averages else np.nan,
        known[0].level,
        f"{'PPVs' if metric == 'ppv' else 'recalls'} joined ({known[0].method})",
    )
