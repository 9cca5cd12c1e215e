"""Metrics of the user's own: functions of labels or scores, with intervals by patient.

A function of labels has one value per repeat, over all its folds, as the accuracy has. A function
of scores has one value per fold, as the AUROC has, since scores of different folds come from
different models. A function of calibrated probabilities has one value per repeat, as the Brier
score has. The values are averaged with equal weights.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import numbers
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bottleneck.errors import UsageError, one_line
from bottleneck.evaluation.metrics.inference.row_groups import encode_folds, encode_patients
from bottleneck.evaluation.metrics.metrics import positive_classes
from bottleneck.predictions import Predictions
from bottleneck.statistics.arguments import as_codes
from bottleneck.statistics.inference.bootstrap import resample_patients
from bottleneck.statistics.inference.patient_variance import overlap_factor
from bottleneck.text.short_repr import shorten

__all__ = [
    "N_DRAWS",
    "MetricFailure",
    "MetricFunction",
    "OwnMetric",
    "Resampled",
    "call",
    "check_callable",
    "on_probabilities",
    "on_scores",
    "resample_metric",
]

#: Draws of patients.
N_DRAWS = 2_000
_NO_LIMITS = (-math.inf, math.inf)

Kind = Literal["labels", "scores", "probabilities"]


@dataclasses.dataclass(frozen=True)
class OwnMetric:
    """A function that measures predictions.

    Attributes
    ----------
    function : callable
        Takes two arrays and returns a number.
    kind : {"labels", "scores", "probabilities"}
        Whether the arrays are true and predicted classes; or, for the positive class, whether each
        sample has it (0 or 1), and its scores or calibrated probabilities.
    """

    function: Callable[..., Any]
    kind: Kind = "labels"


Pairs: TypeAlias = list[tuple[NDArray[Any], NDArray[Any]]]
MetricFunction: TypeAlias = Callable[..., Any] | OwnMetric


class MetricFailure(Exception):
    """A function that gave no number; the message says what it gave."""


def on_scores(function: Callable[..., Any]) -> OwnMetric:
    """Mark a metric as a function of scores, such as ``average_precision_score``.

    Parameters
    ----------
    function : callable
        Takes whether each sample has the positive class (ndarray of int64, 0 or 1) and the score
        of this class (ndarray of float64; larger means more likely), and returns a number. Scores
        have no common scale: the function is called for each fold, and must use their order
        only. Without a positive class, it is called for each class against the rest.

    Returns
    -------
    OwnMetric
        For ``metrics`` of ``compare`` and ``evaluate``.

    Raises
    ------
    UsageError
        If it cannot be called.

    Examples
    --------
    >>> from sklearn.metrics import average_precision_score
    >>> on_scores(average_precision_score).kind
    'scores'
    """
    return OwnMetric(check_callable("on_scores", function), "scores")


def on_probabilities(function: Callable[..., Any]) -> OwnMetric:
    """Mark a metric as a function of calibrated probabilities, such as ``log_loss``.

    Parameters
    ----------
    function : callable
        Takes whether each sample has the positive class (ndarray of int64, 0 or 1) and its
        calibrated probability (ndarray of float64), and returns a number. It is called for each
        repeat, over all folds. Without a positive class, it is called for each class against the
        rest. Arms without probabilities do not have the metric.

    Returns
    -------
    OwnMetric
        For ``metrics`` of ``compare`` and ``evaluate``.

    Raises
    ------
    UsageError
        If it cannot be called.

    Examples
    --------
    >>> from sklearn.metrics import log_loss
    >>> on_probabilities(log_loss).kind
    'probabilities'
    """
    return OwnMetric(check_callable("on_probabilities", function), "probabilities")


def check_callable(what: str, function: Any) -> Callable[..., Any]:
    """Return what was given as a function; refuse it if it cannot be called."""
    if isinstance(function, OwnMetric):
        raise UsageError(f"{what} got {shorten(function)}; pass the function itself")
    if isinstance(function, type) or not callable(function):
        raise UsageError(
            f"{what} needs a function that takes two arrays and returns a number, not "
            f"{shorten(function)}"
        )
    return function


def call(metric: OwnMetric, first: NDArray[Any], second: NDArray[Any]) -> float:
    """Return the value of a function for two arrays, which it may change; NaN if not defined.

    Raises
    ------
    MetricFailure
        If it raises an error, or returns no real number.
    """
    try:
        value = metric.function(first, second)
    # The function is the user's, and may raise anything.
    except (Exception, SystemExit) as error:
        raise MetricFailure(f"raised {type(error).__name__}: {one_line(error)}") from error
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if not isinstance(value, numbers.Real) or isinstance(value, bool | np.bool_):
        raise MetricFailure(f"returned {shorten(value)} ({type(value).__name__}), not a number")
    return float(value) if math.isfinite(value) else math.nan


@dataclasses.dataclass(frozen=True)
class Resampled:
    """A metric of one arm, with its values on draws of patients.

    Attributes
    ----------
    value : float
        The metric; NaN if it is not defined.
    draws, jackknife : ndarray of float64
        As ``resample_patients`` returns them; empty if the metric is not defined.
    overlap : float
        Factor of the variance for overlapping training sets.
    limits : tuple of float
        The values of perfect and of reversed predictions, the smaller one first; infinite where
        there is none.
    failure : str
        Why there is no value; empty if there is one.
    warned : tuple of str
        Warnings of the function on the value.
    """

    value: float
    draws: NDArray[np.float64]
    jackknife: NDArray[np.float64]
    overlap: float
    limits: tuple[float, float] = _NO_LIMITS
    failure: str = ""
    warned: tuple[str, ...] = ()


def resample_metric(
    metric: OwnMetric,
    predictions: Predictions,
    positive: str | None,
    *,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> Resampled:
    """Compute a metric, and its values on draws of patients.

    Parameters
    ----------
    metric : OwnMetric
        The metric.
    predictions : Predictions
        Predictions of one arm, with probabilities if the metric needs them.
    positive : str or None
        The positive class; None for the mean over all classes against the rest.
    seed : int
        Seed of the draws: arms with the same patients have the same ones.
    progress : callable or None
        Called with the number of values computed and their total.
    """
    folds, patients = encode_folds(predictions), encode_patients(predictions)
    by_fold = metric.kind == "scores"
    strata = folds if by_fold else as_codes("repeats", predictions.repeats, len(predictions))
    cells = [np.flatnonzero(strata == code) for code in range(int(strata.max()) + 1)]
    overlap = overlap_factor(folds, patients, by_fold=by_fold)
    nothing = np.empty(0)
    pairs = _pairs(metric.kind, predictions, positive)

    def compute(parts: Sequence[NDArray[np.intp]], arrays: Pairs = pairs) -> float:
        values = []
        for rows in parts:
            for first, second in arrays:
                # A scikit-learn metric returns 0 or warns where a class is absent.
                if not len(rows) or (by_fold and len(np.unique(first[rows])) < 2):
                    return np.nan
                values.append(call(metric, first[rows], second[rows]))
        return float(np.mean(values))

    def of_draw(counts: NDArray[np.int64]) -> float:
        try:
            return compute([np.repeat(rows, counts[patients[rows]]) for rows in cells])
        except MetricFailure:  # A draw may lack a class.
            return np.nan

    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            value = compute(cells)
    except MetricFailure as failure:
        return Resampled(np.nan, nothing, nothing, overlap, failure=str(failure))
    warned = tuple(dict.fromkeys(" ".join(str(one.message).split()) for one in caught))
    if np.isnan(value):
        why = "is not defined: it returned NaN or infinity, or a fold lacks a class"
        return Resampled(np.nan, nothing, nothing, overlap, failure=why)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        draws, jackknife = resample_patients(
            of_draw, int(patients.max()) + 1, n_draws=N_DRAWS, seed=seed, progress=progress
        )
        ends = []
        for arrays in _extremes(metric.kind, pairs, predictions.classes):
            with contextlib.suppress(MetricFailure):
                ends.append(compute(cells, arrays))
    limits = (min(ends), max(ends)) if len(ends) == 2 and not np.isnan(ends).any() else _NO_LIMITS
    return Resampled(value, draws, jackknife, overlap, limits, warned=warned)


def _extremes(kind: Kind, pairs: Pairs, classes: Sequence[str]) -> tuple[Pairs, Pairs]:
    """Return the arrays of perfect predictions, and of those that are wrong as far as possible."""
    if kind == "labels":
        others = dict(zip(classes, (*classes[1:], classes[0]), strict=True))
        wrong = [np.array([others[name] for name in true.tolist()]) for true, _ in pairs]
        right = [true for true, _ in pairs]
    else:
        right = [true.astype(np.float64) for true, _ in pairs]
        wrong = [1 - true for true in right]
    if kind == "scores":  # Scores that are tied are not wrong as far as possible.
        untied = np.linspace(0, 0.5, len(right[0])) if right else 0.0
        right, wrong = [r + untied for r in right], [w + untied for w in wrong]
    firsts = [true for true, _ in pairs]
    return list(zip(firsts, right, strict=True)), list(zip(firsts, wrong, strict=True))


def _pairs(kind: Kind, predictions: Predictions, positive: str | None) -> Pairs:
    """Return the two arrays of a metric, one pair per class that is compared with the rest."""
    if kind == "labels":
        return [(predictions.labels, predictions.predicted)]
    values = predictions.scores if kind == "scores" else predictions.probabilities
    if values is None:
        return []
    return [
        (
            (predictions.labels == name).astype(np.int64),
            values[:, predictions.classes.index(name)],
        )
        for name in positive_classes(predictions, positive)
    ]
