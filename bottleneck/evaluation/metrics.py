"""Figures of merit of predictions.

Counting figures come from one confusion matrix a repeat, over all its folds, and are
averaged over repeats. AUROC ranks scores, and scores of different folds come from
different models: it is computed within each fold and averaged over folds and repeats,
never over pooled scores, which are biased (Airola et al. 2011,
doi:10.1016/j.csda.2010.11.018; LeDell et al. 2015, doi:10.1214/15-EJS1035).

With a positive class, sensitivity and its kin are those of this class against the rest.
Without one, they are computed for each class against the rest and averaged with equal
weights ("macro"), so that sensitivity is then the mean recall.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bottleneck.errors import unknown_name
from bottleneck.predictions import Predictions

__all__ = ["METRICS", "confuse", "fold_aurocs", "measure"]

METRICS = (
    "accuracy",
    "balanced_accuracy",
    "sensitivity",
    "specificity",
    "ppv",
    "npv",
    "f1",
    "auroc",
)


def measure(predictions: Predictions, *, positive: str | None = None) -> dict[str, float]:
    """Compute every figure of ``METRICS``.

    Parameters
    ----------
    predictions : Predictions
        One row a test sample and repeat.
    positive : str or None
        The positive class; None for the average of each class against the rest.

    Returns
    -------
    dict of str to float
        NaN where a figure is not defined: a ratio whose denominator is zero in one of
        the repeats or classes that are averaged, an AUROC of a fold that lacks a class.

    Raises
    ------
    UsageError
        If there is no such class.
    """
    chosen = _columns(predictions, positive)
    rows = [_count(confuse(predictions, r), chosen) for r in np.unique(predictions.repeats)]
    figures = np.mean(rows, axis=0)
    auroc = np.mean(fold_aurocs(predictions, positive=positive))
    return dict(zip(METRICS, [*map(float, figures), float(auroc)], strict=True))


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

    chosen = _columns(predictions, positive)
    aurocs = []
    for repeat, fold in np.unique(np.stack([predictions.repeats, predictions.folds]), axis=1).T:
        rows = (predictions.repeats == repeat) & (predictions.folds == fold)
        truth = predictions.labels[rows, np.newaxis] == np.array(predictions.classes)[chosen]
        defined = truth.any(axis=0) & ~truth.all(axis=0)
        scores = predictions.scores[rows][:, chosen]
        aurocs.append(
            np.mean([roc_auc_score(t, s) for t, s in zip(truth.T, scores.T, strict=True)])
            if defined.all()
            else np.nan
        )
    return np.array(aurocs)


def _columns(predictions: Predictions, positive: str | None) -> list[int]:
    """Which classes are held against the rest."""
    if positive is None:
        return list(range(len(predictions.classes)))
    if positive not in predictions.classes:
        raise unknown_name("positive label", positive, predictions.classes)
    return [predictions.classes.index(positive)]


def _count(table: NDArray[np.int64], chosen: list[int]) -> list[float]:
    """All figures but the AUROC, in the order of ``METRICS``."""
    hits = np.diag(table)
    misses, false_alarms = table.sum(axis=1) - hits, table.sum(axis=0) - hits
    rejections = table.sum() - hits - misses - false_alarms
    recall = _divide(hits, hits + misses)
    per_class = [
        recall,
        _divide(rejections, rejections + false_alarms),
        _divide(hits, hits + false_alarms),
        _divide(rejections, rejections + misses),
        _divide(2 * hits, 2 * hits + misses + false_alarms),
    ]
    accuracy = float(_divide(hits.sum(), table.sum()))
    return [accuracy, float(recall.mean()), *(float(f[chosen].mean()) for f in per_class)]


def _divide(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        return np.true_divide(part, whole)
