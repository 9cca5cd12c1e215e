"""Metrics as functions of sample weights, and their derivatives.

A bootstrap changes the weights. The influence of a sample is the derivative with respect to
its weight (Efron 1982, The Jackknife, the Bootstrap and Other Resampling Plans, chapter 6:
the infinitesimal jackknife).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bottleneck.evaluation.metrics.inference.row_groups import encode_folds
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
    counts = _Counts(
        np.diagonal(tables, axis1=-2, axis2=-1),
        tables.sum(-1),
        tables.sum(-2),
        tables.sum((-2, -1)),
    )
    return _measure(counts, chosen)


class _Counts(NamedTuple):
    """What the metrics need of a confusion matrix: its diagonal and sums, not its cells."""

    hits: NDArray
    """Diagonal, shape (..., n_classes)."""
    true: NDArray
    """Sums of the rows, shape (..., n_classes)."""
    predicted: NDArray
    """Sums of the columns, shape (..., n_classes)."""
    total: NDArray
    """Sum of all cells, shape (...)."""

    def against_rest(self, one: int) -> _Counts:
        """Return the counts of one class and the rest."""
        hits, true, predicted = (a[..., one] for a in self[:3])
        rest = self.total - true - predicted + hits
        return _Counts(
            np.stack([rest, hits], -1),
            np.stack([self.total - true, true], -1),
            np.stack([self.total - predicted, predicted], -1),
            self.total,
        )

    def ratios(self) -> dict[str, tuple[NDArray, NDArray]]:
        """Return numerators and denominators of the metrics of each class against the rest."""
        whole = self.total[..., None]
        rest = whole - self.true - self.predicted + self.hits
        return {
            "sensitivity": (self.hits, self.true),
            "specificity": (rest, whole - self.true),
            "ppv": (self.hits, self.predicted),
            "npv": (rest, whole - self.predicted),
            "f1": (2 * self.hits, self.true + self.predicted),
        }

    def correlation(self) -> tuple[NDArray, NDArray, NDArray]:
        """Return the numerator of the MCC, and the two factors below its square root."""
        return (
            self.total * self.hits.sum(-1) - (self.true * self.predicted).sum(-1),
            self.total**2 - (self.true**2).sum(-1),
            self.total**2 - (self.predicted**2).sum(-1),
        )


def _measure(counts: _Counts, chosen: Sequence[int]) -> NDArray:
    """Compute ``CONFUSION_METRICS``, shape (..., len(CONFUSION_METRICS))."""
    by_class = [_divide(part, whole) for part, whole in counts.ratios().values()]
    joint = counts if len(chosen) > 1 else counts.against_rest(chosen[0])
    covariance, true, predicted = joint.correlation()
    return np.stack(
        [
            _divide(counts.hits.sum(-1), counts.total),
            by_class[0].mean(-1),
            *(metric[..., list(chosen)].mean(-1) for metric in by_class),
            _divide(covariance, np.sqrt(true * predicted)),
        ],
        -1,
    )


def _differentiate(
    counts: _Counts, chosen: Sequence[int], repeats: Ints, labels: Ints, predicted: Ints
) -> Floats:
    """Return the derivatives of ``CONFUSION_METRICS`` with respect to the sample weights.

    Parameters
    ----------
    counts : _Counts
        Numbers of samples, shape (n_repeats, n_classes).
    chosen : sequence of int
        As for ``confusion_metrics``.
    repeats, labels, predicted : ndarray of int64, shape (n_samples,)
        Repeat of each sample, and its place in the confusion matrix of that repeat.

    Returns
    -------
    ndarray of float64, shape (len(CONFUSION_METRICS), n_samples)
        For a metric that is the mean of ratios a / b, that of (a' - (a / b) b') / b, where a'
        and b' are 1 or 0, or 2 for the hits in F1. A class of a sample changes the ratios of
        that class, or of all others; their sum is that of all classes without it. NaN where
        the metric is not defined.
    """
    hit = (labels == predicted).astype(float)
    total = counts.total[repeats]
    shares = np.zeros(counts.hits.shape[-1])
    shares[list(chosen)] = 1 / len(chosen)

    def terms(name: str, share: Floats | float) -> tuple[tuple[Floats, Floats, Floats], ...]:
        part, whole = counts.ratios()[name]
        of_part = _divide(np.asarray(share), whole, empty=0.0)
        both = (of_part, of_part * _divide(part, whole, empty=0.0))
        return tuple((a[repeats, labels], a[repeats, predicted], a.sum(-1)[repeats]) for a in both)

    def recall(share: Floats | float) -> Floats:
        (own, _, _), (lost, _, _) = terms("sensitivity", share)
        return hit * own - lost

    def precision() -> Floats:
        (_, own, _), (_, lost, _) = terms("ppv", shares)
        return hit * own - lost

    def of_the_rest(name: str, side: int) -> Floats:
        (one, other, every), lost = terms(name, shares)
        return every - one - other + hit * one - (lost[2] - lost[side])

    def f1() -> Floats:
        (own, _, _), (one, other, _) = terms("f1", shares)
        return 2 * hit * own - one - other

    slopes = [
        (hit - (counts.hits.sum(-1) / counts.total)[repeats]) / total,
        recall(1 / len(shares)),
        recall(shares),
        of_the_rest("specificity", 0),
        precision(),
        of_the_rest("npv", 1),
        f1(),
        _differentiate_correlation(counts, chosen, repeats, labels, predicted),
    ]
    undefined = 0 * _measure(counts, chosen)[repeats].T
    return np.array(slopes) + undefined


def _differentiate_correlation(
    counts: _Counts, chosen: Sequence[int], repeats: Ints, labels: Ints, predicted: Ints
) -> Floats:
    """Return the derivatives of the Matthews correlation coefficient."""
    if len(chosen) == 1:
        counts = counts.against_rest(chosen[0])
        labels, predicted = ((a == chosen[0]).astype(np.int64) for a in (labels, predicted))
    total, hits = counts.total[repeats], counts.hits.sum(-1)[repeats]
    covariance, *squares = (a[repeats] for a in counts.correlation())
    value = _divide(covariance, np.sqrt(squares[0] * squares[1]))
    rise = (
        hits
        + total * (labels == predicted)
        - counts.predicted[repeats, labels]
        - counts.true[repeats, predicted]
    )
    spread = _divide(total - counts.true[repeats, labels], squares[0])
    spread += _divide(total - counts.predicted[repeats, predicted], squares[1])
    return _divide(rise, np.sqrt(squares[0] * squares[1])) - value * spread


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
        self._shape = (self._n_repeats, len(classes))
        self._labels = np.searchsorted(classes, predictions.labels)
        self._predicted = np.searchsorted(classes, predictions.predicted)
        truth = self._labels[:, None] == self._chosen
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
        w = np.ones(len(self._labels)) if weights is None else weights
        values = list(np.moveaxis(_measure(self._count(w), self._chosen).mean(-2), -1, 0))
        values.append(
            np.mean([average_precision(t, s, w[..., rows]) for rows, t, s in self._ranked], axis=0)
        )
        if self._errors is not None:
            shape = (self._n_repeats,)
            errors = self._sum(w * self._errors, self._repeats, shape)
            values.append((errors / self._sum(w, self._repeats, shape)).mean(-1))
        return np.array(values)

    def _count(self, weights: Floats) -> _Counts:
        labels, predicted = (
            self._repeats * self._shape[1] + codes for codes in (self._labels, self._predicted)
        )
        return _Counts(
            self._sum(weights * (self._labels == self._predicted), labels, self._shape),
            self._sum(weights, labels, self._shape),
            self._sum(weights, predicted, self._shape),
            self._sum(weights, self._repeats, self._shape[:1]),
        )

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
        n = len(self._labels)
        slopes = _differentiate(
            self._count(np.ones(n)), self._chosen, self._repeats, self._labels, self._predicted
        )
        precision = np.zeros(n)
        for rows, true, score in self._ranked:
            precision[rows] += _precision_gradient(true, score) / len(self._ranked)
        gradients = [*slopes / self._n_repeats, precision]
        if self._errors is not None:
            size_of = np.bincount(self._repeats)[self._repeats]
            means = np.bincount(self._repeats, self._errors) / np.bincount(self._repeats)
            gradients.append((self._errors - means[self._repeats]) / size_of / self._n_repeats)
        return np.array(gradients)


def _divide(part: NDArray, whole: NDArray, empty: float = np.nan) -> NDArray:
    part, whole = np.broadcast_arrays(part, whole)
    kind = np.result_type(part, whole, float)
    return np.divide(part, whole, out=np.full(part.shape, empty, kind), where=whole != 0)
