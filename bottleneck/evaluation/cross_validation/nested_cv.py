"""Nested cross-validation: every arm searched, fitted and tested in every fold."""

from __future__ import annotations

import dataclasses
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import joblib
import numpy as np
from numpy.typing import NDArray

from bottleneck.data.splits.folds import Fold, Folds
from bottleneck.data.splits.patients import inner_folds, name_patients
from bottleneck.errors import UsageError
from bottleneck.evaluation.cross_validation.arms import Arm
from bottleneck.features.file.feature_set import FeatureSet
from bottleneck.heads.registry import Head
from bottleneck.heads.search import score_classes, search
from bottleneck.predictions import Predictions

__all__ = ["ArmResult", "Progress", "Work", "count_inner_folds", "run_arms"]

Strings = NDArray[np.str_]
Progress = Callable[[int, int, str], None]


@dataclasses.dataclass(frozen=True)
class Work:
    """How the work of every arm and fold is done.

    Attributes
    ----------
    inner_splits : int
        Number of inner folds, fewer where a class has fewer patients.
    n_jobs : int or None
        Processes, as joblib counts them.
    progress : callable or None
        Called with the number of folds done, their number over all arms, and the arm.

    Raises
    ------
    UsageError
        If there is no process.
    """

    inner_splits: int
    n_jobs: int | None = None
    progress: Progress | None = None

    def __post_init__(self) -> None:
        if self.n_jobs == 0:
            raise UsageError("0 processes cannot work; ask for 1 or more, or -1 for one a core")


@dataclasses.dataclass(frozen=True, eq=False)
class ArmResult:
    """What came of one arm.

    Attributes
    ----------
    predictions : Predictions
        Of every test part.
    chosen : tuple of mapping
        Hyperparameters, one a fold; empty for a head that has none.
    unconverged : int
        In how many folds the solver stopped at its limit.
    seconds : float
        Time of all folds together, as if one were run after the other.
    inner : tuple of Predictions
        One a fold and repeat: what the training part made of itself out of fold, with the
        hyperparameters chosen. Empty for a head that has none.
    """

    predictions: Predictions
    chosen: tuple[Mapping[str, Any], ...]
    unconverged: int
    seconds: float
    inner: tuple[Predictions, ...] = ()


class _Outcome(NamedTuple):
    """One arm in one fold."""

    predicted: Strings
    scores: NDArray[np.float64]
    chosen: Mapping[str, Any]
    converged: bool
    seconds: float
    inner_scores: NDArray[np.float64] | None


def count_inner_folds(
    y: Strings, groups: Strings | None, folds: Folds, inner_splits: int
) -> tuple[int, int]:
    """Return the least and the largest number of inner folds that training parts allow.

    Raises
    ------
    ProtocolError
        If one does not allow any; it is better heard of before hours of fitting.
    """
    counts = [
        len(inner_folds(y[f.train], _take(groups, f.train), inner_splits, f.seed)) for f in folds
    ]
    return min(counts), max(counts)


def run_arms(arms: Sequence[Arm], folds: Folds, samples: FeatureSet, work: Work) -> list[ArmResult]:
    """Test every arm in every fold.

    Parameters
    ----------
    arms : sequence of Arm
        Their rows are those of ``samples``.
    folds : Folds
        Training and test parts.
    samples : FeatureSet
        Names, labels and patients of the rows.
    work : Work

    Returns
    -------
    list of ArmResult
        One an arm.
    """
    groups = name_patients(samples.groups, samples.ids)
    # Folds are the better unit of work; where there is but one, its search is shared out.
    outer, inner = (work.n_jobs, None) if len(folds) > 1 else (None, work.n_jobs)
    tasks = [(arm, fold) for arm in arms for fold in folds]
    outcomes = joblib.Parallel(n_jobs=outer, return_as="generator")(
        joblib.delayed(_test)(arm.head, arm.X, samples.y, groups, fold, work.inner_splits, inner)
        for arm, fold in tasks
    )
    done: list[_Outcome] = []
    try:
        for (arm, _), outcome in zip(tasks, outcomes, strict=True):
            done.append(outcome)
            if work.progress is not None:
                work.progress(len(done), len(tasks), arm.name)
    finally:
        # After an interruption joblib would warn of the work that is thrown away.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            outcomes.close()
    return [
        _join(arm, done[i * len(folds) : (i + 1) * len(folds)], folds, samples, groups)
        for i, arm in enumerate(arms)
    ]


def _test(
    head: Head,
    X: NDArray[np.float32],
    y: Strings,
    groups: Strings | None,
    fold: Fold,
    inner_splits: int,
    n_jobs: int | None,
) -> _Outcome:
    began = time.perf_counter()
    found = search(
        head,
        X[fold.train],
        y[fold.train],
        _take(groups, fold.train),
        inner_splits=inner_splits,
        seed=fold.seed,
        n_jobs=n_jobs,
    )
    predicted = found.estimator.predict(X[fold.test].astype(np.float64))
    scores = score_classes(head, found.estimator, X[fold.test])
    seconds = time.perf_counter() - began
    return _Outcome(predicted, scores, found.chosen, found.converged, seconds, found.inner_scores)


def _join(
    arm: Arm,
    outcomes: Sequence[_Outcome],
    folds: Folds,
    samples: FeatureSet,
    groups: Strings | None,
) -> ArmResult:
    def describe(
        fold: Fold, rows: NDArray[np.intp], scores: NDArray[np.float64], predicted: Strings
    ) -> Predictions:
        return Predictions(
            ids=samples.ids[rows],
            groups=_take(groups, rows),
            repeats=np.full(len(rows), fold.repeat),
            folds=np.full(len(rows), fold.index),
            labels=samples.y[rows],
            predicted=predicted,
            scores=scores,
            classes=samples.classes,
            kind=arm.head.kind,
        )

    named = np.array(samples.classes)
    parts, inner = [], []
    for fold, outcome in zip(folds, outcomes, strict=True):
        parts.append(describe(fold, fold.test, outcome.scores, outcome.predicted))
        if (scores := outcome.inner_scores) is not None:
            inner.append(describe(fold, fold.train, scores, named[scores.argmax(axis=1)]))
    return ArmResult(
        predictions=Predictions.concatenate(parts),
        chosen=tuple(o.chosen for o in outcomes if o.chosen),
        unconverged=sum(not o.converged for o in outcomes),
        seconds=sum(o.seconds for o in outcomes),
        inner=tuple(inner),
    )


def _take(groups: Strings | None, rows: NDArray[np.intp]) -> Strings | None:
    return None if groups is None else groups[rows]
