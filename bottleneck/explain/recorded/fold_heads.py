"""The head of each fold, fitted again, with the score that the comparison recorded."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.splits.protocol import Fold, Folds
from bottleneck.duplicates.fold_plan import FoldPlan, plan_folds
from bottleneck.errors import UsageError
from bottleneck.evaluation.cross_validation.imported_predictions import ImportedArm, take_folds
from bottleneck.evaluation.cross_validation.labelled_samples import LabelledSamples
from bottleneck.evaluation.metrics.patient_aggregation import unit_aggregation
from bottleneck.evaluation.results.arm_origin import head_digest
from bottleneck.explain.recorded.recorded_comparison import RecordedArm, RecordedComparison
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.heads.head import Head
from bottleneck.heads.head_catalogue import HEADS, get_head
from bottleneck.heads.refit import refit
from bottleneck.heads.search import score_classes
from bottleneck.predictions import Predictions, join_scores

__all__ = ["TOLERANCE", "FoldHead", "find_head", "fit_fold", "plan_recorded"]

#: Largest difference of a score from the recorded one, relative to the largest recorded score of
#: the fold, or to 1 where that is smaller.
TOLERANCE = 1e-6

Progress = Callable[[int, int, str], None]


@dataclasses.dataclass(frozen=True, eq=False)
class FoldHead:
    """The head of a fold, as it made the recorded predictions.

    Attributes
    ----------
    repeat, fold : int
        Numbers of the repeat and of the fold within it, from 0.
    estimator : estimator
        The fitted estimator.
    scores : Predictions
        Its scores of the test images.
    difference : float
        Largest difference from a recorded score, relative as ``TOLERANCE`` is.
    """

    repeat: int
    fold: int
    estimator: Any
    scores: Predictions
    difference: float


def find_head(arm: RecordedArm, heads: Iterable[Any] = ()) -> Head:
    """Return the head of an arm.

    Parameters
    ----------
    arm : RecordedArm
        The arm.
    heads : iterable of str, estimator or Head
        Heads that are not built in.

    Raises
    ------
    UsageError
        If none of them is the head of the arm.
    """
    assert arm.origin is not None
    named = [arm.head] if arm.head in HEADS else []
    if arm.origin.head_name is not None:
        named = [arm.origin.head_name]
    for one in (*heads, *named):
        made = get_head(one)
        if head_digest(made.record) == arm.origin.head:
            return made
    if arm.head in HEADS:
        raise UsageError(
            f"the head {arm.head} of this version has other parameters than that of '{arm.name}': "
            "compare again"
        )
    raise UsageError(
        f"the head {arm.head} of '{arm.name}' is not built in: name it with --head "
        "package.module:Class (in Python: heads=[...]), with the parameters that it was compared "
        "with"
    )


def plan_recorded(
    comparison: RecordedComparison,
    arm: RecordedArm,
    features: FeatureSet,
    progress: Progress | None = None,
) -> FoldPlan:
    """Return the folds of a comparison, drawn again from its features.

    Parameters
    ----------
    comparison : RecordedComparison
        The comparison.
    arm : RecordedArm
        An arm with recorded predictions of every fold.
    features : FeatureSet
        The features, in the order of the comparison.
    progress : callable or None
        As for ``compare``.

    Raises
    ------
    UsageError
        If these folds do not test what was recorded.
    """
    protocol = comparison.protocol
    is_given = comparison.has_imported and comparison.split in ("given folds", "fixed split")
    if is_given and protocol.unit == "patient":
        raise UsageError(
            "the folds of this comparison come from imported predictions, and its report records "
            "patients instead of images: compare with --unit image to explain it"
        )

    def given(ids: NDArray[np.str_], y: NDArray[np.str_], groups: NDArray[np.str_] | None) -> Folds:
        recorded = ImportedArm(arm.name, arm.predictions, None)
        return take_folds([recorded], LabelledSamples(ids, y, groups), protocol)

    plan = plan_folds(
        features,
        protocol,
        lambda: features.join_duplicates(progress),
        given=given if is_given else None,
    )
    if _tested(arm.predictions) != _planned(plan, features, protocol.unit):
        raise UsageError(
            f"the folds of '{arm.name}' cannot be drawn again: this version draws folds with "
            "other test samples than predictions.csv records; compare again"
        )
    return plan


def _tested(predictions: Predictions) -> set[tuple[int, int, str]]:
    columns = (predictions.repeats, predictions.folds, predictions.ids)
    return set(zip(*(column.tolist() for column in columns), strict=True))


def _planned(plan: FoldPlan, features: FeatureSet, unit: str) -> set[tuple[int, int, str]]:
    names = features.ids
    if unit == "patient" and features.patients is not None:
        names = features.patients
    return {
        (fold.repeat, fold.index, name)
        for fold in plan.folds
        for name in names[plan.rows[fold.test]].tolist()
    }


def fit_fold(
    comparison: RecordedComparison,
    arm: RecordedArm,
    head: Head,
    features: FeatureSet,
    plan: FoldPlan,
    number: int,
) -> FoldHead:
    """Fit the head of a fold again, and compare its scores with the recorded ones.

    Parameters
    ----------
    comparison, arm, head
        The comparison, the arm and its head.
    features : FeatureSet
        Features of all samples, in the order of the plan.
    plan : FoldPlan
        From ``plan_recorded``.
    number : int
        Number of the fold among those of all repeats.

    Raises
    ------
    UsageError
        If a score differs from the recorded one by more than ``TOLERANCE``.
    """
    fold = plan.folds.folds[number]
    chosen = arm.chosen[number] if arm.chosen else {}
    y = plan.conflicts.y
    train, test = plan.rows[fold.train], plan.rows[fold.test]
    estimator = refit(head, chosen, features.X, y, train, seed=fold.seed)
    scores = score_classes(head, estimator, features.X[test], comparison.classes)
    made = dataclasses.replace(
        join_scores(
            scores,
            comparison.classes,
            head.kind,
            ids=features.ids[test],
            labels=y[test],
            groups=None if plan.all_groups is None else plan.all_groups[test],
        ),
        repeats=np.full(len(test), fold.repeat),
        folds=np.full(len(test), fold.index),
    )
    counted = unit_aggregation(comparison.protocol, comparison.positive, features)(made)
    difference = _compare(counted, arm.predictions, fold)
    if difference > TOLERANCE:
        raise UsageError(
            f"the head of fold {fold.index + 1} of '{arm.name}', fitted again, gives other scores "
            f"than predictions.csv records (by {difference:.2g} of the largest, and "
            f"{TOLERANCE:g} is allowed): it is not the head that made these predictions; compare "
            "again with this version and on this machine"
        )
    return FoldHead(fold.repeat, fold.index, estimator, made, difference)


def _compare(made: Predictions, recorded: Predictions, fold: Fold) -> float:
    """Return the largest difference of scores, relative to the largest recorded one."""
    there = (recorded.repeats == fold.repeat) & (recorded.folds == fold.index)
    part = recorded.take(there)
    order = np.argsort(part.ids)
    rows = order[np.searchsorted(part.ids, made.ids, sorter=order)]
    scale = max(1.0, float(np.abs(part.scores).max()))
    return float(np.abs(made.scores - part.scores[rows]).max()) / scale
