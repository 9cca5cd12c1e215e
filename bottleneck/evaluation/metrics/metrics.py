"""Figures of merit of predictions.

Counting figures come from one confusion matrix a repeat, over all its folds, and are
averaged over repeats. AUROC and AUPRC (average precision) rank scores, and scores of
different folds come from different models: they are computed within each fold and averaged
over folds and repeats, never over pooled scores, which are biased (Airola et al. 2011,
doi:10.1016/j.csda.2010.11.018; LeDell et al. 2015, doi:10.1214/15-EJS1035). Calibrated
probabilities are on one scale, and what is computed from them is pooled over the folds of a
repeat and averaged over repeats.

With a positive class, sensitivity and its kin are those of this class against the rest.
Without one, they are computed for each class against the rest and averaged with equal
weights ("macro"), so that sensitivity is then the mean recall, and the Brier score the sum
of squares over the classes divided by their number. Accuracy, balanced accuracy and MCC have
one value over all classes (MCC: ``functionals.count_figures``).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bottleneck.errors import unknown_name
from bottleneck.evaluation.metrics.calibration import calibration_error, calibration_line
from bottleneck.evaluation.metrics.row_groups import number_folds
from bottleneck.evaluation.metrics.weighted_metrics import COUNTED, Functionals
from bottleneck.predictions import Predictions

__all__ = [
    "METRICS",
    "OF_PROBABILITIES",
    "choose_classes",
    "confuse",
    "fold_aurocs",
    "measure",
    "measure_per_class",
]

# Absent where predictions have no calibrated probabilities.
OF_PROBABILITIES = ("brier", "calibration_slope", "calibration_intercept", "ece")
METRICS = (*COUNTED, "auroc", "auprc", *OF_PROBABILITIES)


def measure(predictions: Predictions, *, positive: str | None = None) -> dict[str, float]:
    """Compute every figure of ``METRICS`` that the predictions allow.

    Parameters
    ----------
    predictions : Predictions
        One row a test sample and repeat.
    positive : str or None
        The positive class; None for the average of each class against the rest.

    Returns
    -------
    dict of str to float
        In the order of ``METRICS``, without those of ``OF_PROBABILITIES`` where there are
        no calibrated probabilities. NaN where a figure is not defined: a ratio whose
        denominator is zero in one of the repeats or classes that are averaged, an AUROC of
        a fold that lacks a class, a slope of probabilities that are all the same.

    Raises
    ------
    UsageError
        If there is no such class.
    """
    chosen = choose_classes(predictions, positive)
    functionals = Functionals(predictions, positive)
    found = dict(zip(functionals.names, map(float, functionals.evaluate()), strict=True))
    found["auroc"] = float(np.mean(fold_aurocs(predictions, positive=positive)))
    if predictions.probabilities is not None:
        lines = [calibration_line(predictions, name) for name in chosen]
        slopes, intercepts = zip(*lines, strict=True)
        found["calibration_slope"] = float(np.mean([s.value for s in slopes]))
        found["calibration_intercept"] = float(np.mean([i.value for i in intercepts]))
        errors = [calibration_error(predictions, name) for name in chosen]
        found["ece"] = float(np.mean(errors))
    return {name: found[name] for name in METRICS if name in found}


def measure_per_class(predictions: Predictions) -> dict[str, dict[str, float]]:
    """Compute the figures of every class against the rest.

    Parameters
    ----------
    predictions : Predictions
        One row a test sample and repeat.

    Returns
    -------
    dict of str to dict of str to float
        By class, then as from ``measure``, without accuracy and balanced accuracy, which
        are those of all classes.
    """
    return {
        name: {
            metric: value
            for metric, value in measure(predictions, positive=name).items()
            if metric not in ("accuracy", "balanced_accuracy")
        }
        for name in predictions.classes
    }


def confuse(predictions: Predictions, repeat: int = 0) -> NDArray[np.int64]:
    """Tabulate truth against prediction over all folds of one repeat.

    Parameters
    ----------
    predictions : Predictions
        One row a test sample and repeat.
    repeat : int
        Which repeat.

    Returns
    -------
    ndarray of int64, shape (n_classes, n_classes)
        Rows the truth, columns the prediction, in the order of the classes.
    """
    from sklearn.metrics import confusion_matrix

    rows = predictions.repeats == repeat
    return confusion_matrix(
        predictions.labels[rows], predictions.predicted[rows], labels=list(predictions.classes)
    )


def fold_aurocs(predictions: Predictions, *, positive: str | None = None) -> NDArray[np.float64]:
    """Compute the AUROC within every fold of every repeat.

    Parameters
    ----------
    predictions : Predictions
        One row a test sample and repeat.
    positive : str or None
        The positive class; None for the mean of each class against the rest.

    Returns
    -------
    ndarray of float64, shape (n_repeats * n_folds,)
        Repeat by repeat; NaN for a fold in which a class has no sample, or all.
    """
    from sklearn.metrics import roc_auc_score

    names = choose_classes(predictions, positive)
    chosen = np.isin(predictions.classes, names)
    folds = number_folds(predictions)
    aurocs = []
    for fold in range(folds.max() + 1):
        rows = folds == fold
        truth = predictions.labels[rows, np.newaxis] == np.array(names)
        defined = truth.any(axis=0) & ~truth.all(axis=0)
        scores = predictions.scores[rows][:, chosen]
        aurocs.append(
            np.mean([roc_auc_score(t, s) for t, s in zip(truth.T, scores.T, strict=True)])
            if defined.all()
            else np.nan
        )
    return np.array(aurocs)


def choose_classes(predictions: Predictions, positive: str | None) -> tuple[str, ...]:
    """Return the classes that are held against the rest: the positive one, or all.

    Raises
    ------
    UsageError
        If there is no such class.
    """
    if positive is None:
        return predictions.classes
    if positive not in predictions.classes:
        raise unknown_name("positive label", positive, predictions.classes)
    return (positive,)
