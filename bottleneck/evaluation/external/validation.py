"""External validation: heads trained on all of one data set, and tested once on another."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.splits.protocol import Fold, Folds, Protocol
from bottleneck.duplicates.label_conflicts import LabelConflicts
from bottleneck.evaluation.analyses.conflict_effect import measure_conflicts
from bottleneck.evaluation.analyses.ensemble import add_ensemble
from bottleneck.evaluation.analyses.margin_tests import find_margin_results
from bottleneck.evaluation.analyses.non_diagnoses import add_non_diagnoses, find_failed
from bottleneck.evaluation.cases.case_search import CaseSamples
from bottleneck.evaluation.cases.cohort_cases import find_cohort_cases
from bottleneck.evaluation.cases.shown_images import make_thumbnails, name_images
from bottleneck.evaluation.cross_validation.arms import (
    Arm,
    ArmPredictions,
    match_rows,
)
from bottleneck.evaluation.cross_validation.evaluate_arm import evaluate_arm, pairwise_differences
from bottleneck.evaluation.cross_validation.labelled_samples import LabelledSamples
from bottleneck.evaluation.cross_validation.nested_cv import RunOptions, run_arms
from bottleneck.evaluation.external.cohorts import find_cohort_warnings
from bottleneck.evaluation.external.compatibility import describe_cohorts
from bottleneck.evaluation.external.domain_shift import measure_shift
from bottleneck.evaluation.external.performance_drop import performance_drops
from bottleneck.evaluation.measures import Measures
from bottleneck.evaluation.metrics.lesion_detection import add_detection
from bottleneck.evaluation.metrics.own.own_intervals import measure_own
from bottleneck.evaluation.metrics.own.own_metrics import OwnMetric
from bottleneck.evaluation.metrics.patient_aggregation import unit_aggregation
from bottleneck.evaluation.results.comparison_results import Evaluation, External
from bottleneck.evaluation.results.methods_text import describe_conflicts, describe_dataset
from bottleneck.features.sets.feature_set import FeatureSet

__all__ = ["run_external", "validate_externally"]


def validate_externally(
    cohort: Sequence[FeatureSet],
    sets: Sequence[FeatureSet],
    arms: Sequence[Arm],
    samples: LabelledSamples,
    internal: Sequence[Evaluation],
    *,
    protocol: Protocol,
    positive: str | None,
    measures: Measures,
    metrics: Mapping[str, OwnMetric],
    options: RunOptions,
    conflicts: LabelConflicts,
    training: CaseSamples,
    used: NDArray[np.intp],
    ensemble: str | None = None,
) -> External:
    """Evaluate arms on an external cohort, and compare it with the internal data set.

    Parameters
    ----------
    cohort : sequence of FeatureSet
        Features of one external data set, from ``group_cohorts``.
    sets : sequence of FeatureSet
        Features of the internal data set, by the same recipes.
    arms : sequence of Arm
        Arms on the internal features.
    samples : LabelledSamples
        Samples of the internal data set, with the groups that no inner fold divides.
    internal : sequence of Evaluation
        Evaluations of the arms in the folds of the internal data set.
    protocol, positive, measures, options
        As in ``compare``.
    metrics : mapping of str to OwnMetric
        Own metrics, from ``check_metrics``.
    conflicts : LabelConflicts
        Copies of the cohort with different labels.
    training : CaseSamples
        All samples of the internal data set.
    used : ndarray of int
        Their rows that arms are trained on, to which ``arms`` and ``samples`` are limited.
    ensemble : str or None
        Name of the ensemble of the arms; None if it is not tested.

    Returns
    -------
    External
    """
    external, rows = cohort[0], conflicts.kept
    tested_sets = [
        one.take(match_rows(external, one)[rows], y=conflicts.y[rows]) if conflicts.sets else one
        for one in cohort
    ]
    # Data sets differ in which metadata they have.
    arms = [arm for arm in arms if arm.head.name != "metadata"]
    predicted = run_external(arms, samples, cohort, protocol.seed, options)
    if ensemble is not None:
        n = sum(arm.features is not None for arm in arms)
        predicted = [*add_ensemble(predicted[:n], ensemble), *predicted[n:]]
    tested = [(arm.name, arm.test) for arm in predicted]
    if conflicts.sets:
        # All arms predict the cohort in its own order.
        predicted = [
            dataclasses.replace(
                arm, test=dataclasses.replace(arm.test.take(rows), labels=conflicts.y[rows])
            )
            for arm in predicted
        ]
    count_test, count_inner = (unit_aggregation(protocol, positive, s) for s in (external, sets[0]))
    # The columns of subgroups belong to the internal data set.
    measures = dataclasses.replace(measures, subgroups={})
    evaluations = [
        evaluate_arm(
            arm.map(test=count_test, inner=count_inner),
            positive,
            measures,
            progress=options.progress,
        )
        for arm in predicted
    ]
    evaluations = add_detection(evaluations, tested_sets[0], protocol, positive, options.progress)
    measured = measure_own(
        evaluations, metrics, positive, seed=protocol.seed, progress=options.progress
    )
    evaluations = list(measured.evaluations)
    evaluations = add_non_diagnoses(
        evaluations,
        find_failed(tested_sets, protocol, fixed_split=False),
        tested_sets[0],
        None,
        positive,
    )
    by_recipe = {one.recipe_hash: one for one in cohort}
    with_images = [arm for arm in arms if arm.features is not None]
    cases = find_cohort_cases(
        evaluations,
        predicted,
        with_images,
        {arm.name: _external_rows(arm, external, by_recipe) for arm in with_images},
        training,
        used,
        external,
        by_patient=protocol.unit == "patient",
    )
    own = [case.row for found in cases.values() for case in found]
    summary = measure_conflicts(tested, external, conflicts, count_test, positive)
    warnings = find_cohort_warnings(sets[0], tested_sets, protocol, evaluations)
    differences = (
        *pairwise_differences(evaluations, positive, options.progress),
        *measured.differences,
    )
    return External(
        dataset=describe_dataset(tested_sets[0], positive, conflicts),
        evaluations=tuple(evaluations),
        differences=differences,
        noninferiority=find_margin_results(evaluations, differences, positive, measures),
        drops=performance_drops(internal, evaluations),
        shifts=tuple(map(measure_shift, sets, tested_sets)),
        definitions=describe_cohorts(sets[0], tested_sets[0]),
        warnings=(
            *([describe_conflicts(summary)] if summary else []),
            *warnings,
            *measured.warnings,
        ),
        conflicts=summary,
        thumbnails=make_thumbnails(external, own),
        image_names=name_images(external, own),
        cases=cases,
    )


def run_external(
    arms: Sequence[Arm],
    samples: LabelledSamples,
    cohort: Sequence[FeatureSet],
    seed: int,
    options: RunOptions,
) -> list[ArmPredictions]:
    """Train every arm on all internal samples and test it once on a cohort.

    Parameters
    ----------
    arms : sequence of Arm
        Arms with one row per internal sample.
    samples : LabelledSamples
        Ids, labels and groups of the internal samples.
    cohort : sequence of FeatureSet
        Features of one external data set, from ``group_cohorts``.
    seed : int
        Seed of the inner folds and of the heads.
    options : RunOptions
        Inner folds, processes and progress.

    Returns
    -------
    list of ArmPredictions
        Predictions of the external samples, in the order of the cohort's first feature set.
    """
    external = cohort[0]
    by_recipe = {one.recipe_hash: one for one in cohort}
    # Arms of one feature set share its rows.
    joint = {
        id(arm.X): np.concatenate([arm.X, _external_rows(arm, external, by_recipe)])
        for arm in {id(arm.X): arm for arm in reversed(arms)}.values()
    }
    stacked = [dataclasses.replace(arm, X=joint[id(arm.X)]) for arm in arms]
    n = len(samples)
    both = LabelledSamples(
        ids=np.concatenate([samples.ids, external.ids]),
        y=np.concatenate([samples.y, external.y]),
        groups=_stack_groups(samples, external),
    )
    fold = Fold(0, 0, seed, np.arange(n), np.arange(n, len(both)))
    folds = Folds("fixed split", (fold,), "", both.groups is not None)
    return run_arms(stacked, folds, both, options)


def _external_rows(
    arm: Arm, external: FeatureSet, by_recipe: dict[str, FeatureSet]
) -> NDArray[np.floating]:
    """Return an arm's external features, in the order of the cohort's first feature set."""
    if arm.features is None:  # The prior ignores its features.
        return np.zeros((len(external), arm.X.shape[1]), arm.X.dtype)
    one = by_recipe[arm.features.recipe_hash]
    return one.X[match_rows(external, one)]


def _stack_groups(samples: LabelledSamples, external: FeatureSet) -> NDArray[np.str_] | None:
    """Return the groups of both; if only one side has any, the other's samples are their own."""
    if samples.groups is None and external.patients is None:
        return None
    sides = []
    for ids, groups in ((samples.ids, samples.groups), (external.ids, external.patients)):
        sides.append(np.char.add("sample ", ids) if groups is None else groups)
    return np.concatenate(sides)
