"""AUROC with and without copies that have different labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.splits.protocol import Conflicts
from bottleneck.duplicates.fold_plan import FoldPlan
from bottleneck.duplicates.label_conflicts import LabelConflicts, resolve_conflicts
from bottleneck.errors import ProtocolError
from bottleneck.evaluation.cross_validation.arms import Arm, ArmPredictions, match_rows
from bottleneck.evaluation.cross_validation.evaluate_arm import auroc_metric
from bottleneck.evaluation.cross_validation.labelled_samples import LabelledSamples
from bottleneck.evaluation.cross_validation.nested_cv import InnerPlan, RunOptions, run_arms
from bottleneck.evaluation.metrics.metric_values import Metric
from bottleneck.evaluation.metrics.patient_aggregation import Aggregation
from bottleneck.evaluation.results.result_parts import ConflictEffect, ConflictSummary
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.predictions import Predictions

__all__ = [
    "add_dropped",
    "decide_conflicts",
    "measure_conflicts",
    "run_with_dropped",
    "take_rows",
    "take_used",
]


def decide_conflicts(features: FeatureSet, how: Conflicts) -> LabelConflicts:
    """Return the copies of a feature set with different labels, and what is done with them.

    Raises
    ------
    ProtocolError
        As ``resolve_conflicts`` does.
    """
    return resolve_conflicts(features.leak_safe_groups, features.y, features.ids, how)


def take_rows(arms: Sequence[Arm], rows: NDArray[np.intp]) -> list[Arm]:
    """Return arms with some of their rows, in this order; arms of one feature set share them."""
    if all(np.array_equal(rows, np.arange(len(arm.X))) for arm in arms):
        return list(arms)
    taken = {id(X): X[rows] for X in {id(arm.X): arm.X for arm in arms}.values()}
    return [replace(arm, X=taken[id(arm.X)]) for arm in arms]


def take_used(sets: Sequence[FeatureSet], plan: FoldPlan) -> list[FeatureSet]:
    """Return feature sets of the samples that are used, with the labels that are used.

    They are in the order of the first feature set, unless all samples are used as they are.
    """
    conflicts = plan.conflicts
    if not len(conflicts.dropped) and not len(conflicts.relabelled):
        return list(sets)
    return [one.take(match_rows(sets[0], one)[plan.rows], y=plan.y) for one in sets]


def run_with_dropped(
    arms: Sequence[Arm],
    features: FeatureSet,
    plan: FoldPlan,
    options: RunOptions,
    inner: InnerPlan | None,
) -> tuple[list[ArmPredictions], dict[str, Predictions]]:
    """Train and test every arm, and test it on the copies that are left out as well.

    No model is trained on these copies, so that the other predictions do not depend on them.

    Parameters
    ----------
    arms : sequence of Arm
        Arms with one row per sample of ``features``.
    features : FeatureSet
        Features of all samples.
    plan : FoldPlan
        The samples that are used, and their folds.
    options, inner
        As for ``run_arms``.

    Returns
    -------
    list of ArmPredictions
        Arms with predictions of the samples that are used.
    dict of str to Predictions
        Test predictions of each arm, with those of the copies that are left out.
    """
    if not arms:
        return [], {}
    dropped = plan.conflicts.dropped
    rows = np.concatenate([plan.rows, dropped])
    place = np.empty(len(rows), np.intp)
    place[rows] = np.arange(len(rows))
    folds = [
        replace(fold, test=np.concatenate([fold.test, place[extra]])) if len(extra) else fold
        for fold, extra in zip(plan.folds, plan.dropped_tests, strict=True)
    ]
    groups = None if plan.all_groups is None else plan.all_groups[rows]
    samples = LabelledSamples(features.ids[rows], plan.conflicts.y[rows], groups)
    wider = replace(plan.folds, folds=tuple(folds))
    predicted = run_arms(take_rows(arms, rows), wider, samples, options, inner)
    tested = {arm.name: arm.test for arm in predicted}
    if not len(dropped):
        return predicted, tested
    lost = features.ids[dropped]
    used = [replace(a, test=a.test.take(~np.isin(a.test.ids, lost))) for a in predicted]
    return used, tested


def add_dropped(
    used: Predictions, theirs: Predictions, features: FeatureSet, plan: FoldPlan
) -> Predictions:
    """Return imported predictions of the samples that are used, and of the copies left out.

    Parameters
    ----------
    used : Predictions
        Predictions of the samples that are used, from ``align``.
    theirs : Predictions
        Predictions as they were imported; copies that they do not hold stay missing.
    features, plan
        Features of all samples, and the samples that are used.
    """
    dropped = plan.conflicts.dropped
    extra = theirs.take(np.isin(theirs.ids, features.ids[dropped]))
    if not len(extra):
        return used
    if plan.all_groups is not None:
        ids = features.ids[dropped].tolist()
        group = dict(zip(ids, plan.all_groups[dropped].tolist(), strict=True))
        extra = replace(extra, groups=np.array([group[i] for i in extra.ids.tolist()]))
    elif used.groups is None:
        extra = replace(extra, groups=None)
    return Predictions.concatenate([used, extra])


def measure_conflicts(
    arms: Sequence[tuple[str, Predictions]],
    features: FeatureSet,
    conflicts: LabelConflicts,
    count: Aggregation,
    positive: str | None,
    plan: FoldPlan | None = None,
) -> ConflictSummary | None:
    """Measure the AUROC of every arm with and without copies that have different labels.

    Parameters
    ----------
    arms : sequence of (str, Predictions)
        Names of the arms, and predictions of the samples that are used and of those that are
        left out, as far as there are any.
    features : FeatureSet
        Features of all samples, with the labels of the data set.
    conflicts : LabelConflicts
        Copies with different labels.
    count : callable
        Turns predictions of images into those of the protocol's unit; see ``unit_aggregation``.
    positive : str or None
        The positive class.
    plan : FoldPlan or None
        The folds, which may not test all samples; by default all are tested.

    Returns
    -------
    ConflictSummary or None
        None where no copies have different labels.
    """
    if not conflicts.sets:
        return None
    ids = features.ids[conflicts.rows]
    stated = dict(zip(ids.tolist(), features.y[conflicts.rows].tolist(), strict=True))
    needed = set(ids.tolist() if plan is None else features.ids[_tested(plan)].tolist())
    needed &= stated.keys()
    effects = []
    for name, predictions in arms:
        among = np.isin(predictions.ids, ids)
        whole = bool(needed) and needed <= set(predictions.ids.tolist())
        pairs = zip(predictions.ids.tolist(), predictions.labels.tolist(), strict=True)
        labels = np.array([stated.get(i, label) for i, label in pairs], str)
        everyone = replace(predictions, labels=labels)
        effects.append(
            ConflictEffect(
                arm=name,
                without=_auroc(predictions.take(~among), count, positive),
                with_them=_auroc(everyone, count, positive) if whole else None,
            )
        )
    return ConflictSummary(
        how=conflicts.how,
        sets=len(conflicts.sets),
        images=len(conflicts.rows),
        dropped=len(conflicts.dropped),
        relabelled=len(conflicts.relabelled),
        words=conflicts.words,
        auroc=tuple(effects),
    )


def _tested(plan: FoldPlan) -> NDArray[np.intp]:
    """Return the rows that some fold tests, or would test if they were not left out."""
    used = (plan.rows[fold.test] for fold in plan.folds)
    return np.unique(np.concatenate([*used, *plan.dropped_tests]))


def _auroc(predictions: Predictions, count: Aggregation, positive: str | None) -> Metric | None:
    """Return the AUROC; None where it is not defined, such as for patients of several classes."""
    try:
        metric = auroc_metric(count(predictions), positive)
    except ProtocolError:
        return None
    return None if np.isnan(metric.value) else metric
