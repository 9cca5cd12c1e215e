"""Metrics as functions of sample weights, and their derivatives.

A bootstrap changes the weights. The influence of a sample is the derivative with respect to
its weight (Efron 1982, The Jackknife, the Bootstrap and Other Resampling Plans, chapter 6:
the infinitesimal jackknife).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bottleneck.evaluation.metrics.row_groups import encode_folds
from bottleneck.predictions import Predictions

__all__ = [
    "CONFUSION_METRICS",
    "WeightedMetrics",
    "average_precision",
    "confusion_metrics",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Metrics of a confusion matrix.
CONFUSION_METRICS = (
    "accuracy",
    "balanced_accuracy",
    "sensitivity",
    "specificity",
    "ppv",
    "npv",
    "f1",
    "mcc",
)


def confusion_metrics(tables: NDArray, chosen: Sequence[int]) -> NDArray:
    """Compute ``CONFUSION_METRICS`` from confusion matrices.

    Parameters
    ----------
    tables : ndarray, shape (..., n_classes, n_classes)
        Rows are true classes, columns predicted classes; counts, sums of weights, or complex
        numbers.
    chosen : sequence of int
        Index of the positive class, or indices of all classes. Sensitivity, specificity,
        PPV, NPV and F1 are averaged over them. The Matthews correlation coefficient is that
        of the positive class against the rest; for all classes it is that of Gorodkin (2004,
        Computational Biology and Chemistry 28:367), which is the same for two.

    Returns
    -------
    ndarray, shape (..., len(CONFUSION_METRICS))
        NaN for a metric that is not defined.
    """
    hits = np.diagonal(tables, axis1=-2, axis2=-1)
    true, predicted, total = tables.sum(-1), tables.sum(-2), tables.sum((-2, -1))
    rest = total[..., None] - true - predicted + hits
    recall = _divide(hits, true)
    by_class = [
        recall,
        _divide(rest, total[..., None] - true),
        _divide(hits, predicted),
        _divide(rest, total[..., None] - predicted),
        _divide(2 * hits, true + predicted),
    ]
    means = [metric[..., list(chosen)].mean(-1) for metric in by_class]
    accuracy = _divide(hits.sum(-1), total)
    if len(chosen) == 1:
        (one,) = chosen
        hits, true, predicted = (
            np.stack([a[..., one], b], -1)
            for a, b in (
                (hits, rest[..., one]),
                (true, total - true[..., one]),
                (predicted, total - predicted[..., one]),
            )
        )
    spread = (total**2 - (true**2).sum(-1)) * (total**2 - (predicted**2).sum(-1))
    correlation = _divide(total * hits.sum(-1) - (true * predicted).sum(-1), np.sqrt(spread))
    return np.stack([accuracy, recall.mean(-1), *means, correlation], -1)


def average_precision(true: NDArray[np.bool_], score: Floats, weights: Floats) -> Floats:
    """Compute the average precision for several sets of sample weights.

    Parameters
    ----------
    true : ndarray of bool, shape (n_samples,)
        Mask of the positive samples.
    score : ndarray of float64, shape (n_samples,)
        Larger scores mean more of the positive class.
    weights : ndarray of float64, shape (..., n_samples)
        Weights of the samples; ones for the unweighted metric.

    Returns
    -------
    ndarray of float64, shape (...)
        Sum over the distinct scores, from the highest, of the increase in sensitivity times
        the precision at that score; NaN without positive samples.
    """
    last, positive, everyone, _ = _sweep(true, score, weights)
    gained = np.diff(positive[..., last], prepend=0)
    precision = _divide(positive[..., last], everyone[..., last], empty=0.0)
    return _divide((gained * precision).sum(-1), positive[..., -1])


def _sweep(
    true: NDArray[np.bool_], score: Floats, weights: Floats
) -> tuple[Ints, Floats, Floats, Ints]:
    """Return the last index of each score, cumulative weights, and the order of the scores."""
    order = np.argsort(-score, kind="stable")
    last = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    sorted_weights = weights[..., order]
    positive = np.cumsum(sorted_weights * true[order], axis=-1)
    return last, positive, np.cumsum(sorted_weights, axis=-1), order


def _precision_gradient(true: NDArray[np.bool_], score: Floats) -> Floats:
    """Return the derivatives of the average precision with respect to the weights, at 1."""
    if not true.any():
        return np.full(len(score), np.nan)
    last, positive, everyone, order = _sweep(true, score, np.ones(len(score)))
    precision = positive[last] / everyone[last]
    gained = np.diff(positive[last], prepend=0)
    n_positive = positive[-1]
    value = (gained * precision).sum() / n_positive
    # A sample contributes to the precision at its own score and at every lower one.
    step = np.searchsorted(last, np.arange(len(score)))
    below, precise = (
        np.cumsum((gained * part / everyone[last])[::-1])[::-1][step] for part in (1.0, precision)
    )
    y = true[order]
    gradient = np.empty(len(score))
    gradient[order] = (y * (precision[step] - value) + y * below - precise) / n_positive
    return gradient


class WeightedMetrics:
    """The metrics of an arm for any sample weights, and the influence of each sample.

    Parameters
    ----------
    predictions : Predictions
        One row per test sample and repeat.
    positive : str or None
        The positive class; None for the average over classes.

    Attributes
    ----------
    names : tuple of str
        ``CONFUSION_METRICS``, then "auprc", then "brier" if there are probabilities.
    """

    def __init__(self, predictions: Predictions, positive: str | None) -> None:
        classes = np.array(predictions.classes)
        self._chosen = [n for n, name in enumerate(classes) if positive in (None, name)]
        self._repeats = np.unique(predictions.repeats, return_inverse=True)[1]
        self._n_repeats = int(self._repeats.max()) + 1
        self._shape = (self._n_repeats, len(classes), len(classes))
        codes = (np.searchsorted(classes, v) for v in (predictions.labels, predictions.predicted))
        self._cells = np.ravel_multi_index((self._repeats, *codes), self._shape)
        truth = predictions.labels[:, None] == classes[self._chosen]
        folds = encode_folds(predictions)
        fold_rows = [np.flatnonzero(folds == fold) for fold in range(folds.max() + 1)]
        self._ranked = [
            (rows, truth[rows, column], predictions.scores[rows, chosen])
            for rows in fold_rows
            for column, chosen in enumerate(self._chosen)
        ]
        self._errors = None
        self.names: tuple[str, ...] = (*CONFUSION_METRICS, "auprc")
        if predictions.probabilities is not None:
            shares = predictions.probabilities[:, self._chosen]
            self._errors = ((shares - truth) ** 2).mean(axis=1)
            self.names += ("brier",)

    def evaluate(self, weights: Floats | None = None) -> Floats:
        """Compute the metrics.

        Parameters
        ----------
        weights : ndarray of float64, shape (..., n_samples), optional
            Weights of the samples; by default 1.

        Returns
        -------
        ndarray of float64, shape (len(names), ...)
            Means over repeats, and for auprc over folds; NaN for a metric that is not defined.
        """
        w = np.ones(len(self._cells)) if weights is None else weights
        tables = self._sum(w, self._cells, self._shape)
        values = list(np.moveaxis(confusion_metrics(tables, self._chosen).mean(-2), -1, 0))
        values.append(
            np.mean([average_precision(t, s, w[..., rows]) for rows, t, s in self._ranked], axis=0)
        )
        if self._errors is not None:
            shape = (self._n_repeats,)
            errors = self._sum(w * self._errors, self._repeats, shape)
            values.append((errors / self._sum(w, self._repeats, shape)).mean(-1))
        return np.array(values)

    @staticmethod
    def _sum(weights: Floats, codes: Ints, shape: tuple[int, ...]) -> Floats:
        size = int(np.prod(shape))
        rows = weights.reshape(-1, len(codes))
        sums = np.array([np.bincount(codes, row, size) for row in rows], dtype=np.float64)
        return sums.reshape(*weights.shape[:-1], *shape)

    def gradient(self) -> Floats:
        """Compute the influence of every sample on every metric.

        Returns
        -------
        ndarray of float64, shape (len(names), n_samples)
            Derivatives with respect to the weights, at weights of 1.
        """
        counts = np.bincount(self._cells, minlength=int(np.prod(self._shape)))
        counts = counts.reshape(self._shape)
        size = self._shape[1] * self._shape[2]
        # Complex-step differentiation has no rounding error.
        step = 1e-20j * np.eye(size).reshape(size, 1, *self._shape[1:])
        slopes = confusion_metrics(counts + step, self._chosen).imag / 1e-20 / self._n_repeats
        by_cell = np.moveaxis(slopes, 0, 1).reshape(-1, len(CONFUSION_METRICS))
        precision = np.zeros(len(self._cells))
        for rows, true, score in self._ranked:
            precision[rows] += _precision_gradient(true, score) / len(self._ranked)
        gradients = [*by_cell[self._cells].T, precision]
        if self._errors is not None:
            size_of = np.bincount(self._repeats)[self._repeats]
            means = np.bincount(self._repeats, self._errors) / np.bincount(self._repeats)
            gradients.append((self._errors - means[self._repeats]) / size_of / self._n_repeats)
        return np.array(gradients)


def _divide(part: NDArray, whole: NDArray, empty: float = np.nan) -> NDArray:
    part, whole = np.broadcast_arrays(part, whole)
    kind = np.result_type(part, whole, float)
    return np.divide(part, whole, out=np.full(part.shape, empty, kind), where=whole != 0)
