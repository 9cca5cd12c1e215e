"""Course of a comparison: audit, folds, predictions, metrics and tests of given inputs."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from bottleneck.audit.audit import leave_out_findings
from bottleneck.checks.ignored_checks import separate
from bottleneck.data.dataset import ImageDataset
from bottleneck.data.labels.positive_class import choose_positive
from bottleneck.data.splits.protocol import Protocol
from bottleneck.errors import UsageError
from bottleneck.evaluation.analyses.arm_choice import allow_for_choice
from bottleneck.evaluation.analyses.conflict_effect import (
    add_dropped,
    decide_conflicts,
    measure_conflicts,
    run_with_dropped,
    take_rows,
    take_used,
)
from bottleneck.evaluation.analyses.ensemble import add_ensemble, describe_ensemble
from bottleneck.evaluation.analyses.feature_embedding import embed_features
from bottleneck.evaluation.analyses.margin_tests import find_margin_results
from bottleneck.evaluation.analyses.non_diagnoses import add_non_diagnoses, find_failed
from bottleneck.evaluation.cases.case_search import CaseSamples
from bottleneck.evaluation.cases.comparison_cases import compare_cases
from bottleneck.evaluation.cases.shown_images import (
    make_thumbnails,
    name_images,
    rows_of_audit,
    rows_of_cases,
)
from bottleneck.evaluation.cross_validation.evaluate_arm import evaluate_arm, pairwise_differences
from bottleneck.evaluation.cross_validation.imported_predictions import (
    align,
    leave_out,
)
from bottleneck.evaluation.cross_validation.learning_curve import add_learning_curves
from bottleneck.evaluation.cross_validation.nested_cv import (
    Progress,
    RunOptions,
    plan_inner_folds,
)
from bottleneck.evaluation.cross_validation.split_plan import plan_split
from bottleneck.evaluation.external.cohorts import refuse_leaking_cohorts
from bottleneck.evaluation.external.validation import validate_externally
from bottleneck.evaluation.human_readers.reader_arms import folds_of_readers, make_reader_arms
from bottleneck.evaluation.human_readers.reader_words import describe_readers, warn_of_readers
from bottleneck.evaluation.inputs.comparison_inputs import ComparisonInputs
from bottleneck.evaluation.measures import Measures
from bottleneck.evaluation.metrics.lesion_detection import add_detection, count_candidates
from bottleneck.evaluation.metrics.own.metric_trial import check_metrics
from bottleneck.evaluation.metrics.own.own_intervals import measure_own
from bottleneck.evaluation.metrics.own.own_metrics import MetricFunction
from bottleneck.evaluation.metrics.patient_aggregation import aggregate_columns, unit_aggregation
from bottleneck.evaluation.results.comparison_results import Comparison
from bottleneck.evaluation.results.methods_text import (
    describe_dataset,
    describe_protocol,
    find_warnings,
)
from bottleneck.features.sets.feature_set import FeatureSet

__all__ = ["run_comparison"]


def run_comparison(
    inputs: ComparisonInputs,
    *,
    protocol: Protocol,
    measures: Measures,
    metrics: Mapping[str, MetricFunction] | None,
    dataset: ImageDataset | None,
    n_jobs: int | None,
    progress: Progress | None,
    note: Callable[[str], None] | None,
    ignore: Sequence[str],
) -> Comparison:
    """Audit and split the samples, fit and test every arm, and return the comparison.

    Parameters
    ----------
    inputs : ComparisonInputs
        Feature sets, arms, imported predictions, external cohorts, and the positive class.
    protocol, measures, metrics, dataset, n_jobs, progress, note, ignore
        As for ``compare``, which also lists the errors.
    """
    options = RunOptions(protocol.inner_splits, n_jobs, progress)
    sets, arms, imported, cohorts = inputs.sets, inputs.arms, inputs.imported, inputs.cohorts
    first = sets[0]
    positive = _choose_positive(first, inputs.positive, measures)
    chosen_metrics = check_metrics(metrics, first.classes, positive)
    if measures.learning_curve and not arms:
        raise UsageError("learning curves need features on which heads are trained")
    refuse_leaking_cohorts(first, cohorts, protocol)
    decided = [decide_conflicts(cohort[0], protocol.conflicts) for cohort in cohorts]

    # Audit and folds
    given = imported
    if not (imported or arms):
        given = [folds_of_readers(inputs.readers, first)]
    split = plan_split(
        first,
        protocol,
        imported=given,
        dataset=dataset,
        progress=progress,
        note=note,
        ignore=ignore,
    )
    plan, folds, samples = split.plan, split.folds, split.samples
    inner = plan_inner_folds(samples, folds, options) if arms else None

    # Predictions; copies with different labels that are left out are tested too, for one figure
    used = [leave_out(arm, (first.ids, first.y), (samples.ids, samples.y)) for arm in imported]
    common = split.common
    aligned = [align(arm, common, samples, allow_leakage=protocol.allow_leakage) for arm in used]
    predicted, tested = run_with_dropped(arms, first, plan, options, inner)
    for arm, theirs in zip(aligned, imported, strict=True):
        tested[arm.name] = add_dropped(arm.test, theirs.test, first, plan)
    n_with_images = sum(arm.features is not None for arm in arms)
    with_images = [*predicted[:n_with_images], *aligned]
    if inputs.ensemble is not None:
        with_images = add_ensemble(with_images, inputs.ensemble)
        tested[inputs.ensemble] = with_images[-1].test
    read = make_reader_arms(
        inputs.readers, folds, samples, positive, measures, mean=inputs.reader_mean
    )
    tested |= {arm.name: arm.test for arm in read.arms}
    in_order = [*read.reduce([*with_images, *read.arms, *predicted[n_with_images:]])]

    # Metrics and tests
    all_samples, all_arms, sets = first, arms, take_used(sets, plan)
    first = sets[0]
    if measures.learning_curve or cohorts:
        arms = take_rows(arms, plan.rows)
    count = unit_aggregation(protocol, positive, all_samples)
    columns = aggregate_columns(protocol, measures.subgroups, all_samples)
    measures = dataclasses.replace(measures, subgroups=columns)
    counted = [arm.map(test=count, inner=count) for arm in in_order]
    names = () if first.centres is None else np.unique(first.centres).tolist()
    centres = names if folds.kind == "centres" else ()
    evaluations = []
    for n, arm in enumerate(counted):
        if progress is not None:
            progress(n, len(counted), f"metrics of {arm.name}")
        evaluations.append(
            evaluate_arm(arm, positive, measures, centres=centres, progress=progress)
        )
    evaluations = add_detection(evaluations, first, protocol, positive, progress)
    measured = measure_own(
        evaluations, chosen_metrics, positive, seed=protocol.seed, progress=progress
    )
    evaluations = list(measured.evaluations)
    failed = find_failed(sets, protocol, fixed_split=folds.kind == "fixed split")
    evaluations = add_non_diagnoses(evaluations, failed, first, samples.groups, positive)
    conflicts = measure_conflicts(
        [(arm.name, tested[arm.name]) for arm in in_order],
        all_samples,
        plan.conflicts,
        count,
        positive,
        plan,
    )
    if measures.learning_curve:
        evaluations = add_learning_curves(
            evaluations, arms, folds, samples, count=count, positive=positive, options=options
        )
    differences = (
        *pairwise_differences(evaluations, positive, progress),
        *measured.differences,
    )
    noninferiority = find_margin_results(evaluations, differences, positive, measures)
    choice = allow_for_choice(evaluations, positive)
    # Cases
    if progress is not None:
        progress(0, 1, "searching for the nearest images")
    training = CaseSamples.of(all_samples, split.plan)
    cases = compare_cases(
        evaluations, in_order, all_arms, training, by_patient=protocol.unit == "patient"
    )
    if progress is not None:
        progress(1, 1, "searching for the nearest images")

    # External cohorts
    external_results = [
        validate_externally(
            cohort,
            sets,
            arms,
            samples,
            evaluations,
            protocol=protocol,
            positive=positive,
            measures=measures,
            metrics=chosen_metrics,
            options=options,
            conflicts=own,
            training=training,
            used=plan.rows,
            ensemble=None if imported else inputs.ensemble,
        )
        for cohort, own in zip(cohorts, decided, strict=True)
    ]

    # Report
    near = (row for one in external_results for row in rows_of_cases(one.cases, own=False))
    shown = [*rows_of_audit(split.audit), *rows_of_cases(cases), *near]
    heads_used = [arm.head for arm in arms]
    n_inner = [len(part) for part in inner.folds] if inner else [0]
    described = describe_protocol(
        protocol,
        folds,
        (min(n_inner), max(n_inner)),
        measures,
        heads_used,
        differences,
        choice,
        uses=_name_uses(sets),
        has_models=bool(arms or imported),
        common=split.common,
    )
    if failed:
        described["words"] += (
            " In a sensitivity analysis, samples that could not be read counted as errors."
        )
    described["words"] += describe_readers(evaluations, inputs.readers, measures)
    if inputs.ensemble is not None:
        n = len(with_images) - 1
        described["words"] += describe_ensemble(
            evaluations[n],
            has_inner=bool(counted[n].inner),
            left_out=bool(cohorts) and bool(imported),
        )
    comparison = Comparison(
        dataset=describe_dataset(first, positive, plan.conflicts),
        protocol=described,
        classes=first.classes,
        positive=positive,
        evaluations=tuple(evaluations),
        differences=differences,
        noninferiority=noninferiority,
        warnings=(
            *warn_of_readers(inputs.readers, evaluations, read),
            *find_warnings(sets, split, protocol, predicted, conflicts, evaluations),
            *measured.warnings,
        ),
        features=tuple(count_candidates(s.provenance) for s in sets if s.has_columns),
        audit=split.audit,
        thumbnails=make_thumbnails(all_samples, shown, dataset),
        image_names=name_images(all_samples, shown),
        cases=cases,
        external=tuple(external_results),
        conflicts=conflicts,
        inner={arm.name: arm.inner for arm in counted},
        selection=inputs.selection,
        embeddings=embed_features(
            all_arms, plan.rows, samples.ids, samples.y, evaluations, seed=protocol.seed
        ),
        choice=choice,
    )
    return _leave_out(comparison, ignore)


def _leave_out(comparison: Comparison, codes: Sequence[str]) -> Comparison:
    """Return a comparison without the findings and warnings of ignored checks."""
    if not codes:
        return comparison
    audit, external = comparison.audit, comparison.external
    found = [] if audit is None else [(one.code, one.text) for one in audit.findings]
    warnings = [*comparison.warnings, *(text for one in external for text in one.warnings)]
    # A warning of the audit is among those of the comparison too.
    found += [(one.code, str(one)) for one in warnings]
    counts = Counter(code for code, _ in dict.fromkeys(found))
    return dataclasses.replace(
        comparison,
        warnings=separate(comparison.warnings, codes)[0],
        audit=None if audit is None else leave_out_findings(audit, codes),
        external=tuple(
            dataclasses.replace(one, warnings=separate(one.warnings, codes)[0]) for one in external
        ),
        ignored={code: counts[code] for code in codes},
    )


def _name_uses(sets: list[FeatureSet]) -> str:
    if any(one.has_images for one in sets):
        return "images"
    return "features" if sets[0].has_columns else ""


def _choose_positive(
    first: FeatureSet, positive: str | int | None, measures: Measures
) -> str | None:
    chosen = choose_positive(first.classes, first.positive if positive is None else positive)
    if chosen is None and measures.prevalence is not None:
        raise UsageError(
            f"PPV and NPV at a prevalence need a positive class among {len(first.classes)} "
            f"classes: name it with --positive LABEL (in Python: positive=LABEL)"
        )
    return chosen
