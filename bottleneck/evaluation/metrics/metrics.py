"""Performance metrics of predictions.

Metrics of the confusion matrix come from one matrix per repeat, over all its folds, and are
averaged over repeats. AUROC and AUPRC (average precision) rank scores. Scores of different
folds come from different models, so both are computed within each fold and averaged over
folds and repeats, never over pooled scores, which are biased (Airola et al. 2011,
doi:10.1016/j.csda.2010.11.018; LeDell et al. 2015, doi:10.1214/15-EJS1035). Calibrated
probabilities are on one scale; their metrics are pooled over the folds of a repeat and
averaged over repeats.

With a positive class, sensitivity, specificity, PPV, NPV, F1 and AUROC are those of this
class against the rest. Without one, they are computed for each class against the rest and
averaged with equal weights (macro average): sensitivity is then the mean recall, and the
Brier score the sum of squares over the classes divided by their number. Accuracy, balanced
accuracy and MCC have one value over all classes (MCC: ``confusion_metrics``).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from bottleneck.errors import unknown_name
from bottleneck.evaluation.metrics.inference.row_groups import encode_folds
from bottleneck.evaluation.metrics.inference.weighted_metrics import (
    CONFUSION_METRICS,
    WeightedMetrics,
)
from bottleneck.evaluation.metrics.probabilities.calibration import (
    calibration_error,
    calibration_line,
    observed_expected,
)
from bottleneck.predictions import Predictions

__all__ = [
    "METRICS",
    "PROBABILITY_METRICS",
    "compute_metrics",
    "compute_metrics_of_class",
    "compute_spreads",
    "count_confusion",
    "fold_aurocs",
    "positive_classes",
]

# Metrics of calibrated probabilities; absent from predictions without them.
PROBABILITY_METRICS = (
    "brier",
    "calibration_slope",
    "calibration_intercept",
    "observed_expected",
    "ece",
)
METRICS = (*CONFUSION_METRICS, "auroc", "auprc", *PROBABILITY_METRICS)


def compute_metrics(predictions: Predictions, *, positive: str | None = None) -> dict[str, float]:
    """Compute all metrics of ``METRICS`` that the predictions allow.

    Parameters
    ----------
    predictions : Predictions
        One row per test sample and repeat.
    positive : str or None
        The positive class; None for the macro average over one-vs-rest classes.

    Returns
    -------
    dict of str to float
        Values by name, in the order of ``METRICS``, without ``PROBABILITY_METRICS`` if there
        are not calibrated probabilities. NaN if a metric is not defined: a ratio with a
        denominator of zero in any repeat or class of the average, the AUROC of a fold that
        lacks a class, the slope of probabilities that are all the same.

    Raises
    ------
    UsageError
        If the positive class is not a class of the predictions.
    """
    chosen = positive_classes(predictions, positive)
    weighted = WeightedMetrics(predictions, positive)
    values = dict(zip(weighted.names, map(float, weighted.evaluate()), strict=True))
    values["auroc"] = float(np.mean(fold_aurocs(predictions, positive=positive)))
    if predictions.probabilities is not None:
        lines = [calibration_line(predictions, name) for name in chosen]
        slopes, intercepts = zip(*lines, strict=True)
        values["calibration_slope"] = float(np.mean([s.value for s in slopes]))
        values["calibration_intercept"] = float(np.mean([i.value for i in intercepts]))
        ratios = [observed_expected(predictions, name).value for name in chosen]
        values["observed_expected"] = float(np.mean(ratios))
        errors = [calibration_error(predictions, name) for name in chosen]
        values["ece"] = float(np.mean(errors))
    return {name: values[name] for name in METRICS if name in values}


def compute_spreads(
    predictions: Predictions, *, positive: str | None = None
) -> dict[str, tuple[float, float]]:
    """Return the lowest and the highest value of each metric over the repeats.

    Parameters
    ----------
    predictions, positive
        As for ``compute_metrics``, whose values are the means over the repeats.

    Returns
    -------
    dict of str to (float, float)
        Without metrics that are not defined in a repeat; empty for a single repeat.
    """
    repeats = np.unique(predictions.repeats)
    if len(repeats) < 2:
        return {}
    parts = (predictions.take(predictions.repeats == repeat) for repeat in repeats)
    values = [compute_metrics(part, positive=positive) for part in parts]
    each = {name: [one[name] for one in values] for name in values[0]}
    return {name: (min(them), max(them)) for name, them in each.items() if np.isfinite(them).all()}


def compute_metrics_of_class(predictions: Predictions, name: str) -> dict[str, float]:
    """Compute the metrics of one class of several against the rest.

    Parameters
    ----------
    predictions : Predictions
        One row per test sample and repeat.
    name : str
        The class.

    Returns
    -------
    dict of str to float
        The result of ``compute_metrics`` without accuracy and balanced accuracy, which have
        one value over all classes.
    """
    values = compute_metrics(predictions, positive=name)
    return {m: v for m, v in values.items() if m not in ("accuracy", "balanced_accuracy")}


def count_confusion(predictions: Predictions, repeat: int = 0) -> NDArray[np.int64]:
    """Return the confusion matrix of one repeat, over all its folds.

    Parameters
    ----------
    predictions : Predictions
        One row per test sample and repeat.
    repeat : int
        Number of the repeat.

    Returns
    -------
    ndarray of int64, shape (n_classes, n_classes)
        Rows are true classes, columns predicted classes, in the order of the classes.
    """
    from sklearn.metrics import confusion_matrix

    rows = predictions.repeats == repeat
    return confusion_matrix(
        predictions.labels[rows], predictions.predicted[rows], labels=list(predictions.classes)
    )


def fold_aurocs(predictions: Predictions, *, positive: str | None = None) -> NDArray[np.float64]:
    """Compute the AUROC of every fold and repeat.

    Parameters
    ----------
    predictions : Predictions
        One row per test sample and repeat.
    positive : str or None
        The positive class; None for the mean of each class against the rest.

    Returns
    -------
    ndarray of float64, shape (n_repeats * n_folds,)
        In order of repeats and folds; NaN for a fold that lacks a class.
    """
    names = positive_classes(predictions, positive)
    chosen = np.isin(predictions.classes, names)
    folds = encode_folds(predictions)
    aurocs = []
    for fold in range(folds.max() + 1):
        rows = folds == fold
        truth = predictions.labels[rows, np.newaxis] == np.array(names)
        n_true = truth.sum(axis=0)
        pairs = n_true * (len(truth) - n_true)
        if not pairs.all():
            aurocs.append(np.nan)
            continue
        # The statistic of Mann & Whitney, with the mean rank of equal scores.
        ranks = rankdata(predictions.scores[rows][:, chosen], axis=0)
        above = (ranks * truth).sum(axis=0) - n_true * (n_true + 1) / 2
        aurocs.append(float((above / pairs).mean()))
    return np.array(aurocs)


def positive_classes(predictions: Predictions, positive: str | None) -> tuple[str, ...]:
    """Return the classes to compare with the rest: the positive one, or all.

    Raises
    ------
    UsageError
        If the positive class is not a class of the predictions.
    """
    if positive is None:
        return predictions.classes
    if positive not in predictions.classes:
        raise unknown_name("positive label", positive, predictions.classes)
    return (positive,)
