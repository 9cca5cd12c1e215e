"""Figures of merit as functions of how much each sample weighs.

A bootstrap changes the weights; the influence of a sample is the derivative by its weight
(Efron 1982, The Jackknife, the Bootstrap and Other Resampling Plans, chapter 6: the
infinitesimal jackknife). One description of a figure serves both.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bottleneck.evaluation.metrics.row_groups import number_folds
from bottleneck.predictions import Predictions

__all__ = [
    "COUNTED",
    "Functionals",
    "average_precision",
    "count_figures",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Figures of one table of truth against prediction.
COUNTED = (
    "accuracy",
    "balanced_accuracy",
    "sensitivity",
    "specificity",
    "ppv",
    "npv",
    "f1",
    "mcc",
)


def count_figures(tables: NDArray, chosen: Sequence[int]) -> NDArray:
    """Compute the figures of ``COUNTED`` from tables of truth against prediction.

    Parameters
    ----------
    tables : ndarray, shape (..., n_classes, n_classes)
        Rows the truth, columns the prediction; counts, weights, or complex numbers.
    chosen : sequence of int
        The positive class, or all classes. Sensitivity, specificity, PPV, NPV and F1 are
        averaged over them. Matthews's correlation is that of the positive class against
        the rest, or with all classes that of Gorodkin (2004, Computational Biology and
        Chemistry 28:367), which is the same for two.

    Returns
    -------
    ndarray, shape (..., len(COUNTED))
        NaN where a figure is not defined.
    """
    hits = np.diagonal(tables, axis1=-2, axis2=-1)
    true, said, total = tables.sum(-1), tables.sum(-2), tables.sum((-2, -1))
    rest = total[..., None] - true - said + hits
    recall = _divide(hits, true)
    by_class = [
        recall,
        _divide(rest, total[..., None] - true),
        _divide(hits, said),
        _divide(rest, total[..., None] - said),
        _divide(2 * hits, true + said),
    ]
    means = [figure[..., list(chosen)].mean(-1) for figure in by_class]
    accuracy = _divide(hits.sum(-1), total)
    if len(chosen) == 1:
        (one,) = chosen
        hits, true, said = (
            np.stack([a[..., one], b], -1)
            for a, b in (
                (hits, rest[..., one]),
                (true, total - true[..., one]),
                (said, total - said[..., one]),
            )
        )
    spread = (total**2 - (true**2).sum(-1)) * (total**2 - (said**2).sum(-1))
    correlation = _divide(total * hits.sum(-1) - (true * said).sum(-1), np.sqrt(spread))
    return np.stack([accuracy, recall.mean(-1), *means, correlation], -1)


def average_precision(true: NDArray[np.bool_], score: Floats, weights: Floats) -> Floats:
    """Compute the average precision for many sets of weights.

    Parameters
    ----------
    true : ndarray of bool, shape (n_samples,)
        Which samples are positive.
    score : ndarray of float64, shape (n_samples,)
        Larger means more of the positive class.
    weights : ndarray of float64, shape (..., n_samples)
        Of the samples; ones for the plain figure.

    Returns
    -------
    ndarray of float64, shape (...)
        The sum over distinct scores, from the highest, of the gain in sensitivity times
        the precision there; NaN without positive samples.
    """
    last, positive, everyone, _ = _sweep(true, score, weights)
    gained = np.diff(positive[..., last], prepend=0)
    precision = _divide(positive[..., last], everyone[..., last], empty=0.0)
    return _divide((gained * precision).sum(-1), positive[..., -1])


def _sweep(
    true: NDArray[np.bool_], score: Floats, weights: Floats
) -> tuple[Ints, Floats, Floats, Ints]:
    """Sum weights from the highest score down; where equal scores end; the order."""
    order = np.argsort(-score, kind="stable")
    last = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    sorted_weights = weights[..., order]
    positive = np.cumsum(sorted_weights * true[order], axis=-1)
    return last, positive, np.cumsum(sorted_weights, axis=-1), order


def _precision_gradient(true: NDArray[np.bool_], score: Floats) -> Floats:
    """Derivatives of the average precision by the weights, at weights of one."""
    if not true.any():
        return np.full(len(score), np.nan)
    last, positive, everyone, order = _sweep(true, score, np.ones(len(score)))
    precision = positive[last] / everyone[last]
    gained = np.diff(positive[last], prepend=0)
    n_positive = positive[-1]
    value = (gained * precision).sum() / n_positive
    # A sample counts in the precision at its own score and at every lower one.
    step = np.searchsorted(last, np.arange(len(score)))
    below, precise = (
        np.cumsum((gained * part / everyone[last])[::-1])[::-1][step] for part in (1.0, precision)
    )
    y = true[order]
    gradient = np.empty(len(score))
    gradient[order] = (y * (precision[step] - value) + y * below - precise) / n_positive
    return gradient


class Functionals:
    """The figures of one arm that have no closed interval, for any weights of its samples.

    Parameters
    ----------
    predictions : Predictions
        One row a test sample and repeat.
    positive : str or None
        The positive class; None for the average over classes.

    Attributes
    ----------
    names : tuple of str
        ``COUNTED``, then auprc, then brier where there are probabilities.
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
        folds = number_folds(predictions)
        parts = [np.flatnonzero(folds == fold) for fold in range(folds.max() + 1)]
        self._ranked = [
            (rows, truth[rows, column], predictions.scores[rows, chosen])
            for rows in parts
            for column, chosen in enumerate(self._chosen)
        ]
        self._errors = None
        self.names: tuple[str, ...] = (*COUNTED, "auprc")
        if predictions.probabilities is not None:
            shares = predictions.probabilities[:, self._chosen]
            self._errors = ((shares - truth) ** 2).mean(axis=1)
            self.names += ("brier",)

    def evaluate(self, weights: Floats | None = None) -> Floats:
        """Compute the figures.

        Parameters
        ----------
        weights : ndarray of float64, shape (..., n_samples), optional
            One a sample; by default 1 for each.

        Returns
        -------
        ndarray of float64, shape (len(names), ...)
            Means over repeats, and for auprc over folds; NaN where not defined.
        """
        w = np.ones(len(self._cells)) if weights is None else weights
        tables = self._sum(w, self._cells, self._shape)
        figures = list(np.moveaxis(count_figures(tables, self._chosen).mean(-2), -1, 0))
        figures.append(
            np.mean([average_precision(t, s, w[..., rows]) for rows, t, s in self._ranked], axis=0)
        )
        if self._errors is not None:
            shape = (self._n_repeats,)
            errors = self._sum(w * self._errors, self._repeats, shape)
            figures.append((errors / self._sum(w, self._repeats, shape)).mean(-1))
        return np.array(figures)

    @staticmethod
    def _sum(weights: Floats, codes: Ints, shape: tuple[int, ...]) -> Floats:
        size = int(np.prod(shape))
        rows = weights.reshape(-1, len(codes))
        sums = np.array([np.bincount(codes, row, size) for row in rows], dtype=np.float64)
        return sums.reshape(*weights.shape[:-1], *shape)

    def gradient(self) -> Floats:
        """Compute the influence of every sample on every figure.

        Returns
        -------
        ndarray of float64, shape (len(names), n_samples)
            Derivatives by the weight of the sample, where all weigh 1.
        """
        counts = np.bincount(self._cells, minlength=int(np.prod(self._shape)))
        counts = counts.reshape(self._shape)
        size = self._shape[1] * self._shape[2]
        # A step in the imaginary direction gives the derivative without rounding.
        step = 1e-20j * np.eye(size).reshape(size, 1, *self._shape[1:])
        slopes = count_figures(counts + step, self._chosen).imag / 1e-20 / self._n_repeats
        by_cell = np.moveaxis(slopes, 0, 1).reshape(-1, len(COUNTED))
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
