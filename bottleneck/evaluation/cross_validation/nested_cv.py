"""Nested cross-validation: every arm is searched, fitted and tested in every fold."""

from __future__ import annotations

import dataclasses
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import joblib
import numpy as np
from numpy.typing import NDArray

from bottleneck.data.splits.patients import inner_folds, shared_inner_folds
from bottleneck.data.splits.protocol import Fold, Folds
from bottleneck.evaluation.cross_validation.arms import Arm, ArmPredictions
from bottleneck.evaluation.cross_validation.labelled_samples import LabelledSamples
from bottleneck.heads.estimators.running import add_notes
from bottleneck.heads.head import LARGE, Head
from bottleneck.heads.search import score_classes, search
from bottleneck.predictions import Predictions, predicted_classes
from bottleneck.processes.worker_processes import joblib_options, joblib_workers
from bottleneck.settings.ranges import FoldCount, Jobs
from bottleneck.settings.schema import validate

__all__ = ["InnerFolds", "InnerPlan", "Progress", "RunOptions", "plan_inner_folds", "run_arms"]

Strings = NDArray[np.str_]
Progress = Callable[[int, int, str], None]
#: Rows to fit on and rows to score on, within a training set.
InnerFolds = Sequence[tuple[NDArray[np.intp], NDArray[np.intp]]]


class InnerPlan(NamedTuple):
    """The inner folds of every training set."""

    folds: Sequence[InnerFolds]
    """One element per training set."""
    shared: bool
    """Whether the inner folds of all training sets of a repeat divide the patients alike."""


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """Options for running arms.

    Attributes
    ----------
    inner_splits : int
        Number of inner folds; fewer are used where a class has fewer patients.
    n_jobs : int or None
        Number of processes, as in joblib.
    progress : callable or None
        Called with the number of folds done, their total over all arms, and the arm's name.
    needs_scores : bool
        Whether heads with one candidate are fitted to the inner folds too, for the out-of-fold
        scores of calibration and thresholds.

    Raises
    ------
    UsageError
        If a number is out of range.
    """

    inner_splits: int
    n_jobs: int | None = None
    progress: Progress | None = None
    needs_scores: bool = True

    def __post_init__(self) -> None:
        validate(FoldCount, self.inner_splits, "the number of inner folds")
        validate(Jobs, self.n_jobs, "the number of processes")


class _FoldResult(NamedTuple):
    """Predictions of one arm in one fold."""

    scores: NDArray[np.float64]
    chosen: Mapping[str, Any]
    converged: bool
    seconds: float
    inner_scores: NDArray[np.float64] | None
    jackknife: NDArray[np.float64] | None
    notes: tuple[str, ...]


def plan_inner_folds(samples: LabelledSamples, folds: Folds, options: RunOptions) -> InnerPlan:
    """Return the inner folds of every training set, which all arms share.

    Where there are several training sets, those of a repeat divide the patients alike if the
    patients suffice for it, so that each part of them can be left out of all training sets.

    Raises
    ------
    ProtocolError
        If a training set allows none; the check comes before any fitting.
    """
    by_repeat = [
        [fold for fold in folds if fold.repeat == repeat]
        for repeat in dict.fromkeys(fold.repeat for fold in folds)
    ]
    if all(len(some) > 1 for some in by_repeat):
        shared: list[InnerFolds] = []
        for some in by_repeat:
            if options.progress is not None:
                options.progress(len(shared), len(folds), "dividing the training sets")
            tested = np.full(len(samples.y), -1)
            for fold in some:
                tested[fold.test] = fold.index
            found = shared_inner_folds(
                samples.y,
                samples.groups,
                [fold.train for fold in some],
                tested,
                options.inner_splits,
                some[0].seed,
            )
            if found is None:
                break
            shared += found
        else:
            return InnerPlan(shared, True)
    inner: list[InnerFolds] = []
    for n, fold in enumerate(folds):
        if options.progress is not None:
            options.progress(n, len(folds), "dividing the training sets")
        y, groups = samples.y[fold.train], samples.groups_of(fold.train)
        inner.append(inner_folds(y, groups, options.inner_splits, fold.seed))
    return InnerPlan(inner, False)


def run_arms(
    arms: Sequence[Arm],
    folds: Folds,
    samples: LabelledSamples,
    options: RunOptions,
    inner: InnerPlan | None = None,
) -> list[ArmPredictions]:
    """Train and test every arm in every fold.

    Parameters
    ----------
    arms : sequence of Arm
        Arms with one row per sample.
    folds : Folds
        Training and test sets.
    samples : LabelledSamples
        Ids, labels and groups of the rows.
    options : RunOptions
        Inner folds, processes and progress.
    inner : InnerPlan or None
        From ``plan_inner_folds``; by default each arm divides the training sets itself.

    Returns
    -------
    list of ArmPredictions
        One per arm. Their test predictions have jackknife scores where the inner folds are shared
        and training sets have at most ``LARGE`` samples.
    """
    # Folds run in parallel; where there is only one, its search does.
    outer, within = (options.n_jobs, None) if len(folds) > 1 else (None, options.n_jobs)
    planned: Sequence[InnerFolds | None] = inner.folds if inner else [None] * len(folds)
    jackknife = inner is not None and inner.shared and options.needs_scores
    jackknife &= all(len(fold.train) <= LARGE for fold in folds)
    tasks = [(arm, *part) for arm in arms for part in zip(folds, planned, strict=True)]
    parallel = joblib.Parallel(outer, return_as="generator", **joblib_options(outer))
    results = parallel(
        joblib.delayed(_test)(
            arm.head,
            arm.X,
            samples.y,
            samples.groups,
            fold,
            part,
            dataclasses.replace(options, n_jobs=within, progress=None),
            jackknife,
        )
        for arm, fold, part in tasks
    )
    done: list[_FoldResult] = []
    if options.progress is not None:
        options.progress(0, len(tasks), arms[0].name)
    try:
        for arm, *_ in tasks:
            with joblib_workers():
                done.append(next(results))
            if options.progress is not None:
                options.progress(len(done), len(tasks), arm.name)
    finally:
        # After an interruption joblib would warn about the results that are discarded.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results.close()
    # Columns that the predictions of all arms share.
    blank = [[_Blank.of(samples, fold, rows) for rows in (fold.test, fold.train)] for fold in folds]
    return [
        _join(arm, done[i * len(folds) : (i + 1) * len(folds)], blank, samples)
        for i, arm in enumerate(arms)
    ]


def _test(
    head: Head,
    X: NDArray[np.float32],
    y: Strings,
    groups: Strings | None,
    fold: Fold,
    inner: InnerFolds | None,
    options: RunOptions,
    jackknife: bool,
) -> _FoldResult:
    began = time.perf_counter()
    fitted = search(
        head,
        X,
        y,
        groups,
        rows=fold.train,
        folds=inner,
        inner_splits=options.inner_splits,
        seed=fold.seed,
        n_jobs=options.n_jobs,
        needs_scores=options.needs_scores,
        beside=fold.test if jackknife else None,
    )
    classes = np.unique(y[fold.train]).tolist()
    scores = score_classes(head, fitted.estimator, X[fold.test], classes)
    seconds = time.perf_counter() - began
    return _FoldResult(
        scores,
        fitted.chosen,
        fitted.converged,
        seconds,
        fitted.inner_scores,
        fitted.jackknife,
        fitted.notes,
    )


class _Blank(NamedTuple):
    """What is known of predictions before they are made."""

    ids: Strings
    groups: Strings | None
    repeats: NDArray[np.int64]
    folds: NDArray[np.int64]
    labels: Strings

    @classmethod
    def of(cls, samples: LabelledSamples, fold: Fold, rows: NDArray[np.intp]) -> _Blank:
        """Return the columns of some rows in a fold."""
        return cls(
            samples.ids[rows],
            samples.groups_of(rows),
            np.full(len(rows), fold.repeat),
            np.full(len(rows), fold.index),
            samples.y[rows],
        )


def _join(
    arm: Arm,
    results: Sequence[_FoldResult],
    blank: Sequence[Sequence[_Blank]],
    samples: LabelledSamples,
) -> ArmPredictions:
    """Join the results of all folds of an arm."""

    def predictions(known: _Blank, scores: NDArray[np.float64]) -> Predictions:
        return Predictions(
            **known._asdict(),
            predicted=predicted_classes(scores, samples.classes),
            scores=scores,
            classes=samples.classes,
            kind=arm.head.kind,
        )

    test, inner = [], []
    for (tested, trained), result in zip(blank, results, strict=True):
        made = predictions(tested, result.scores)
        test.append(dataclasses.replace(made, jackknife=result.jackknife))
        if (scores := result.inner_scores) is not None:
            inner.append(predictions(trained, scores))
    return ArmPredictions(
        name=arm.name,
        head=arm.head.name,
        backbone=None if arm.features is None else arm.features.backbone,
        weights=None if arm.features is None else arm.features.weights,
        test=Predictions.concatenate(test),
        inner=tuple(inner),
        chosen=tuple(r.chosen for r in results if r.chosen),
        classifier=arm.head.record,
        unconverged=sum(not r.converged for r in results),
        notes=add_notes((note for r in results for note in r.notes), ()),
        seconds=sum(r.seconds for r in results),
        origin=arm.origin,
    )
