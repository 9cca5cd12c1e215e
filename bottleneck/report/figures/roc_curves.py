"""ROC curves averaged over test folds, and their confidence bands."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from bottleneck.evaluation.metrics.inference.row_groups import (
    encode_folds,
    encode_patients,
    remember,
)
from bottleneck.predictions import Predictions
from bottleneck.statistics.inference.patient_variance import overlap_factor

__all__ = [
    "Band",
    "Curve",
    "mean_roc_curve",
    "roc_band",
]

Floats = NDArray[np.float64]

#: False positive rates and true positive rates, from (0, 0) to (1, 1).
Curve = tuple[NDArray[np.float64], NDArray[np.float64]]

#: Number of bootstrap samples of a band: its bounds are the 13th value from either end.
DRAWS = 500
_GRID = np.linspace(0.0, 1.0, 101)


@dataclasses.dataclass(frozen=True)
class Band:
    """A pointwise confidence band of a ROC curve.

    Attributes
    ----------
    fpr : ndarray of float64, shape (101,)
        False positive rates.
    low, high : ndarray of float64, shape (101,)
        Bounds of the sensitivity at each false positive rate.
    """

    fpr: Floats
    low: Floats
    high: Floats


@remember
def mean_roc_curve(predictions: Predictions, positive: str | None) -> Curve | None:
    """Average the ROC curves of the test folds.

    Scores of different folds come from different models, so every fold of every repeat has a
    curve of its own. The curves are averaged vertically: the mean true positive rate at each
    false positive rate (Fawcett 2006, Pattern Recognition Letters 27:861). The common grid
    contains every vertex of the curves, with both limits of each jump, so that the area
    under the mean curve is the mean of the areas: the AUROC of the tables.

    Parameters
    ----------
    predictions : Predictions
        Predictions of one arm.
    positive : str or None
        The positive class; None averages one-vs-rest curves over the classes of each fold.

    Returns
    -------
    tuple of ndarray, or None
        False and true positive rates; None if a fold lacks a class, so that the AUROC is not
        defined either.
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


@remember
def roc_band(
    predictions: Predictions,
    positive: str | None,
    *,
    level: float = 0.95,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Band | None:
    """Compute a confidence band of the mean ROC curve by a bootstrap of patients.

    Patients are drawn with replacement within their class, as pROC's ``ci.se`` draws samples
    (Robin et al. 2011, doi:10.1186/1471-2105-12-77), each with all of its images and repeats.
    The curves of all test folds and repeats are then averaged. The models are not refitted.
    Over folds, the distances from the mean bootstrap curve are therefore multiplied by the
    square root of ``overlap_factor``, like the standard error of the AUROC. Without it, the
    band of a model without skill excluded the diagonal in 6 to 12 % of comparisons with
    permuted labels; with it, the rates are those of ``benchmarks/null.md``.

    Parameters
    ----------
    predictions : Predictions
        Predictions of one arm.
    positive : str or None
        The positive class; None averages one-vs-rest curves over the classes.
    level : float
        Pointwise confidence level.
    seed : int
        Seed of the bootstrap.
    progress : callable or None
        Called with the number of curves resampled, one per fold and class, and their total.

    Returns
    -------
    Band or None
        None if a fold lacks a class, so that the curve is not defined either, or if too many
        bootstrap samples leave every fold without a class.
    """
    p = predictions
    weights = _draw_patients(p.ids if p.groups is None else p.groups, p.labels, seed)
    folds = np.unique(np.stack([p.repeats, p.folds]), axis=1).T
    total, known = np.zeros((DRAWS, len(_GRID))), np.zeros((DRAWS, 1))
    classes = p.classes if positive is None else (positive,)
    done = 0
    for repeat, fold in folds:
        rows = (p.repeats == repeat) & (p.folds == fold)
        drawn_here = weights[:, rows]
        for name in classes:
            truth = p.labels[rows] == name
            if truth.all() or not truth.any():
                return None
            scores = p.scores[rows, p.classes.index(name)]
            curves = _resampled_curves(truth, scores, drawn_here)
            done += 1
            if progress is not None:
                progress(done, len(folds) * len(classes))
            whole = np.isfinite(curves[:, :1])
            known += whole
            total += np.where(whole, curves, 0)
    # A bootstrap sample can leave a fold without a class; its curve is then left out of the
    # mean. If this happens in all folds of more than a few samples, there is no band.
    drawn = known[:, 0] > 0
    if drawn.mean() < level:
        return None
    mean = total[drawn] / known[drawn]
    return Band(_GRID, *_widened(mean, p, level))


def _widened(curves: Floats, predictions: Predictions, level: float) -> tuple[Floats, Floats]:
    """Return the bounds of bootstrap curves, widened for the overlap of the training sets."""
    tail = (1 - level) / 2
    low, high = np.quantile(curves, [tail, 1 - tail], axis=0)
    folds, patients = encode_folds(predictions), encode_patients(predictions)
    overlap = overlap_factor(folds, patients, by_fold=True)
    if overlap > 1:
        centre, reach = curves.mean(axis=0), np.sqrt(overlap)
        low, high = (np.clip(centre + reach * (side - centre), 0, 1) for side in (low, high))
    return low, high


def _draw_patients(
    patients: NDArray[np.str_], labels: NDArray[np.str_], seed: int
) -> NDArray[np.int32]:
    """Return how often each bootstrap sample contains each row, shape (DRAWS, n)."""
    rng = np.random.default_rng(seed)
    names, codes = np.unique(patients, return_inverse=True)
    classes, truth = np.unique(labels, return_inverse=True)
    # Patients with images of several classes form strata of their own.
    in_class = np.zeros((len(names), len(classes)), bool)
    in_class[codes, truth] = True
    _, strata = np.unique(in_class, axis=0, return_inverse=True)
    counts = np.empty((DRAWS, len(names)), np.int32)
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata.ravel() == stratum)
        shares = np.full(len(members), 1 / len(members))
        for part in _in_parts(len(members)):
            counts[part, members] = rng.multinomial(len(members), shares, len(counts[part]))
    return counts[:, codes]


def _resampled_curves(
    truth: NDArray[np.bool_], scores: Floats, weights: NDArray[np.int32]
) -> Floats:
    """Return the sensitivity of each sample at each rate of the grid; NaN if it lacks a class."""
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    truth = truth[order]
    curves = np.full((len(weights), len(_GRID)), np.nan)
    for part in _in_parts(len(scores)):
        drawn = weights[part][:, order]
        positive, everyone = (
            np.pad(np.cumsum(some, axis=1, dtype=np.int32)[:, ends], ((0, 0), (1, 0)))
            for some in (drawn * truth, drawn)
        )
        for draw, (tp, both) in enumerate(zip(positive, everyone, strict=True), part.start):
            fp = both - tp
            if tp[-1] > 0 and fp[-1] > 0:
                curves[draw] = np.interp(_GRID, fp / fp[-1], tp / tp[-1])
    return curves


def _in_parts(n: int) -> list[slice]:
    """Return the bootstrap samples of n rows in parts of a few megabytes."""
    step = max(1, 1_000_000 // n)
    return [slice(start, min(start + step, DRAWS)) for start in range(0, DRAWS, step)]


def _average(curves: Sequence[Curve]) -> Curve:
    """Return the exact vertical average of curves, with both limits at each grid point."""
    grid = np.unique(np.concatenate([fpr for fpr, _ in curves]))
    # np.interp takes the last of several equal abscissae; on mirrored curves, the first.
    left = [np.interp(-grid, -fpr[::-1], tpr[::-1]) for fpr, tpr in curves]
    right = [np.interp(grid, fpr, tpr) for fpr, tpr in curves]
    limits = np.stack([np.mean(left, axis=0), np.mean(right, axis=0)], axis=1)
    return np.repeat(grid, 2), limits.ravel()
