"""Figures of a comparison: what they show; ``drawing`` says how."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bottleneck.evaluation.metrics.metric_values import Difference, Metric
from bottleneck.evaluation.results import Evaluation
from bottleneck.predictions import Predictions

__all__ = [
    "Curve",
    "Span",
    "Style",
    "arm_styles",
    "banded",
    "best_arm",
    "difference_spans",
    "mean_roc_curve",
    "row_shares",
]

#: False and true positive rates, from (0, 0) to (1, 1).
Curve = tuple[NDArray[np.float64], NDArray[np.float64]]

N_HUES = 8
#: Bands of more arms than these hide each other.
MOST_BANDS = 3
_DASHES = ("none", "5 2.5", "1.5 2.5", "7 2.5 1.5 2.5")


@dataclasses.dataclass(frozen=True)
class Style:
    """How an arm is drawn.

    Attributes
    ----------
    hue : int or None
        Number of a colour of the page, from 0; None for the arms that see no image.
    dash : str
        An SVG ``stroke-dasharray``.
    """

    hue: int | None
    dash: str


@dataclasses.dataclass(frozen=True)
class Span:
    """Where a difference and its interval lie on the axis of a forest plot, 0 to 1.

    Zero difference is at 0.5.
    """

    low: float
    value: float
    high: float


def mean_roc_curve(predictions: Predictions, positive: str | None) -> Curve | None:
    """Average the ROC curves of the test folds.

    Scores of different folds come from different models, so every fold (of every repeat)
    has a curve of its own, and these are averaged vertically: the mean true positive rate
    at each false positive rate (Fawcett 2006, "An introduction to ROC analysis"). The
    common grid holds every rate at which a curve bends, with both limits where it jumps,
    so that the area below the mean is the mean of the areas: the AUROC of the tables.

    Parameters
    ----------
    predictions : Predictions
        Of one arm.
    positive : str or None
        The positive class; None averages one-vs-rest curves over the classes of each fold.

    Returns
    -------
    tuple of ndarray, or None
        False and true positive rates; None where a fold lacks a class, which leaves
        the AUROC undefined too.
    """
    from sklearn.metrics import roc_curve

    classes = predictions.classes if positive is None else (positive,)
    folds = np.column_stack([predictions.repeats, predictions.folds])
    averages = []
    for fold in np.unique(folds, axis=0):
        rows = (folds == fold).all(axis=1)
        curves = []
        for name in classes:
            truth = predictions.labels[rows] == name
            if truth.all() or not truth.any():
                return None
            column = predictions.classes.index(name)
            curves.append(roc_curve(truth, predictions.scores[rows, column])[:2])
        averages.append(_average(curves))
    return _average(averages)


def row_shares(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return each cell's share of its row; 0 in the row of a class without samples."""
    totals = confusion.sum(axis=1, keepdims=True)
    return confusion / np.maximum(totals, 1)


def difference_spans(differences: Sequence[Difference | Metric]) -> tuple[float, list[Span | None]]:
    """Place differences on one axis that is symmetric about zero.

    Parameters
    ----------
    differences : sequence of Difference or Metric
        Of one metric.

    Returns
    -------
    limit : float
        The axis reaches from minus to plus this; 0 where no difference has an interval.
    spans : list of Span or None
        None for a difference without an interval.
    """
    bounds = [(d.low, d.value, d.high) for d in differences]
    known = [abs(x) for b in bounds if None not in b for x in b if x is not None]
    if not known or not np.isfinite(known).all():
        return 0.0, [None] * len(bounds)
    limit = max(0.05, np.ceil(max(known) * 20) / 20)
    return limit, [
        None
        if low is None or high is None
        else Span(*(0.5 + x / (2 * limit) for x in (low, value, high)))
        for low, value, high in bounds
    ]


def arm_styles(evaluations: Sequence[Evaluation]) -> list[Style]:
    """Give every arm a line: one colour per features, one dash per head.

    Where all arms share their features, the colour tells the heads apart.
    """
    arms = [e for e in evaluations if e.sees_images]
    sources = list(dict.fromkeys(map(_source, arms)))
    heads = list(dict.fromkeys(e.head for e in arms))
    styles = []
    for e in evaluations:
        if not e.sees_images:
            styles.append(Style(hue=None, dash=_DASHES[1 if e.head == "prior" else 2]))
        elif len(sources) > 1:
            dash = _DASHES[heads.index(e.head) % len(_DASHES)]
            styles.append(Style(sources.index(_source(e)) % N_HUES, dash))
        else:
            styles.append(Style(heads.index(e.head) % N_HUES, _DASHES[0]))
    return styles


def _source(evaluation: Evaluation) -> str:
    """What an arm's colour stands for: its features, or predictions made elsewhere."""
    return evaluation.name.removesuffix(f" + {evaluation.head}")


def banded(evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    """Choose the arms whose ROC curves get a band: all of few, else the one of highest AUROC."""
    arms = [e for e in evaluations if e.sees_images]
    if len(arms) <= MOST_BANDS:
        return arms
    return [best] if (best := best_arm(arms)) else []


def best_arm(evaluations: Sequence[Evaluation]) -> Evaluation | None:
    """Return the arm with images of the highest AUROC; None where no AUROC is known."""
    arms = [
        e
        for e in evaluations
        if e.sees_images and "auroc" in e.metrics and not math.isnan(e.metrics["auroc"].value)
    ]
    return max(arms, key=lambda e: e.metrics["auroc"].value, default=None)


def _average(curves: Sequence[Curve]) -> Curve:
    """Average curves vertically, exactly: each grid point comes with both of its limits."""
    grid = np.unique(np.concatenate([fpr for fpr, _ in curves]))
    # np.interp takes the last of several equal abscissae; mirrored, that is the first.
    left = [np.interp(-grid, -fpr[::-1], tpr[::-1]) for fpr, tpr in curves]
    right = [np.interp(grid, fpr, tpr) for fpr, tpr in curves]
    limits = np.stack([np.mean(left, axis=0), np.mean(right, axis=0)], axis=1)
    return np.repeat(grid, 2), limits.ravel()
