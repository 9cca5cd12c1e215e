"""Arms held against each other on the same samples in the same folds."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bottleneck.audit.audit import Audit
from bottleneck.data.dataset import ImageDataset, choose_positive
from bottleneck.data.splits.folds import Protocol
from bottleneck.data.splits.patients import name_patients
from bottleneck.errors import UsageError
from bottleneck.evaluation.cross_validation.arms import METADATA_ONLY, Arm, load_all, make_arms
from bottleneck.evaluation.cross_validation.imported_predictions import Given, align, load_given
from bottleneck.evaluation.cross_validation.learning_curve import run_shares
from bottleneck.evaluation.cross_validation.nested_cv import (
    ArmResult,
    Progress,
    Work,
    count_inner_folds,
    run_arms,
)
from bottleneck.evaluation.cross_validation.split_plan import Plan, make_plan
from bottleneck.evaluation.evaluate_arm import Outcome, assess, rank, subtract
from bottleneck.evaluation.external.compatibility import definitions
from bottleneck.evaluation.external.domain_shift import measure_shift
from bottleneck.evaluation.external.performance_drop import drops
from bottleneck.evaluation.external.validation import (
    find_outside_warnings,
    group_cohorts,
    run_outside,
)
from bottleneck.evaluation.measures import Measures
from bottleneck.evaluation.methods_text import describe_dataset, describe_protocol, find_warnings
from bottleneck.evaluation.metrics.patient_aggregation import (
    Aggregation,
    aggregate_columns,
    unit_aggregation,
)
from bottleneck.evaluation.results import Comparison, Evaluation, External, LearningCurve
from bottleneck.features.file.feature_set import FeatureSet

__all__ = ["compare", "evaluate"]

Features = FeatureSet | str | Path

# So many findings have their pictures shown, and no more.
_SHOWN = 24


def evaluate(
    features: Features,
    head: str = "svm",
    *,
    protocol: Protocol = Protocol(),
    positive: str | None = None,
    measures: Measures = Measures(),
    n_jobs: int | None = None,
) -> Evaluation:
    """Say how well a head does on features.

    Parameters
    ----------
    features : FeatureSet, str or Path
        Features, or the file that holds them.
    head : {"svm", "logistic", "mlp", "prior"}
        The head.
    protocol, positive, measures, n_jobs
        As for ``compare``, which also carries the warnings.

    Returns
    -------
    Evaluation
        One arm.

    Raises
    ------
    BottleneckError
        As ``compare`` does.
    """
    arms = compare(
        features, (head,), protocol=protocol, positive=positive, measures=measures, n_jobs=n_jobs
    ).evaluations
    return arms[-1] if head == "prior" else arms[0]


def compare(
    features: Sequence[Features] | Features,
    heads: Sequence[str] = ("svm", "logistic", "mlp"),
    *,
    predictions: Sequence[str | Path] = (),
    external: Sequence[Features] | Features = (),
    protocol: Protocol = Protocol(),
    positive: str | None = None,
    measures: Measures = Measures(),
    dataset: ImageDataset | None = None,
    n_jobs: int | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Hold features and heads against each other, on the same samples in the same folds.

    A leak audit comes first: pictures that come twice are kept on one side of every split,
    with all that belongs to their patients. Hyperparameters, the scaler, thresholds and the
    calibration are chosen within each training part.

    Parameters
    ----------
    features : FeatureSet, str or Path, or a sequence of these
        Features of the same samples by different recipes.
    heads : sequence of {"svm", "logistic", "mlp"}
        The heads that each of them is tried with. An arm that knows only the class
        frequencies is always added, and one that knows only the metadata, where there are any.
    predictions : sequence of str or Path
        Tables of predictions that were made elsewhere, or folders of trained networks; see
        ``predictions.read_predictions``. With them the protocol "auto" takes their folds.
    external : FeatureSet, str or Path, or a sequence of these
        Features of other data sets by the same recipes. Every arm is trained once more on all
        samples of the first, and tested on these.
    protocol : Protocol
        How samples are split, and whether images or patients are counted.
    positive : str or None
        The positive class; by default the one that extraction was told, or a label that
        is recognised.
    measures : Measures
        Operating points, prevalence, subgroups and learning curves.
    dataset : ImageDataset or None
        The pictures that the features were made of; the audit then looks for text in them.
    n_jobs : int or None
        Processes, as joblib counts them: None for one, -1 for all cores.
    progress : callable or None
        Called with the number of folds done, their number over all arms, and the arm.

    Returns
    -------
    Comparison
        The arms, in the order of features and then heads, then predictions.

    Raises
    ------
    UsageError
        If a head or label is unknown, or the positive class has to be said.
    ProtocolError
        If the features are not of the same samples, or these cannot be split as asked, or a
        given split has the same pictures on both sides.
    FeatureFileError
        If a file cannot be read, or a feature is not finite.
    """
    work = Work(protocol.inner_splits, n_jobs, progress)
    sets = load_all(features)
    arms = make_arms(sets, heads)
    given = [load_given(path) for path in predictions]
    twice = Counter([*(arm.name for arm in arms), *(one.name for one in given)])
    if taken := [name for name, n in twice.items() if n > 1]:
        raise UsageError(
            f"two arms are called '{taken[0]}': name the predictions with --predictions NAME=PATH"
        )
    first = sets[0]
    cohorts = group_cohorts(external, sets, unit=protocol.unit)
    stated = first.positive if positive is None else positive
    positive = choose_positive(first.classes, stated)
    if positive is None and measures.prevalence is not None:
        raise UsageError(
            f"PPV and NPV at a prevalence need a positive class among {len(first.classes)} "
            f"classes: say --positive LABEL (in Python: positive=LABEL)"
        )

    for cohort in cohorts:  # Refused now, not after hours of fitting.
        find_outside_warnings(first, cohort, protocol)
    plan = make_plan(first, protocol, given=given, dataset=dataset, progress=progress)
    samples, folds = plan.samples, plan.folds
    inner = count_inner_folds(first.y, samples.groups, folds, protocol.inner_splits)
    given = [align(one, folds, samples, allow_leakage=protocol.allow_leakage) for one in given]
    results = run_arms(arms, folds, samples, work)
    count = unit_aggregation(protocol, positive, first)
    outcomes = [
        _outcome(arm, result, count, count) for arm, result in zip(arms, results, strict=True)
    ]
    seeing = sum(arm.features is not None for arm in arms)
    outcomes[seeing:seeing] = [_given_outcome(one, count) for one in given]
    columns = aggregate_columns(protocol, measures.subgroups, first)
    measures = dataclasses.replace(measures, subgroups=columns)
    inside = [assess(outcome, positive, measures) for outcome in outcomes]
    if measures.learning_curve:
        inside = _learn(inside, arms, plan, count, positive, work)
    patients = name_patients(first.groups, first.ids)
    differences = subtract(inside, positive)
    return Comparison(
        dataset=describe_dataset(first, patients, positive),
        protocol=describe_protocol(
            protocol, folds, inner, measures, (arm.head for arm in arms), differences
        ),
        classes=first.classes,
        positive=positive,
        evaluations=tuple(inside),
        differences=differences,
        warnings=find_warnings(sets, plan, protocol, arms, results),
        features=tuple(s.provenance for s in sets),
        audit=plan.audit,
        thumbnails=_show(first, plan.audit),
        external=tuple(
            _test_outside(cohort, sets, samples, arms, inside, protocol, positive, measures, work)
            for cohort in cohorts
        ),
    )


def _outcome(
    arm: Arm, result: ArmResult, count: Aggregation, count_training: Aggregation
) -> Outcome:
    seen = arm.features
    return Outcome(
        name=arm.name,
        head=arm.head.name,
        backbone=None if seen is None else seen.backbone,
        weights=None if seen is None else seen.weights,
        test=count(result.predictions),
        inner=tuple(map(count_training, result.inner)),
        chosen=result.chosen,
        seconds=result.seconds,
    )


def _given_outcome(given: Given, count: Aggregation) -> Outcome:
    return Outcome(
        name=given.name,
        head="predictions",
        test=count(given.test),
        inner=tuple(map(count, given.inner)),
        seconds=float(given.cost.get("seconds", 0.0)),
        cost=given.cost,
    )


def _test_outside(
    cohort: Sequence[FeatureSet],
    sets: Sequence[FeatureSet],
    samples: FeatureSet,
    arms: Sequence[Arm],
    inside: Sequence[Evaluation],
    protocol: Protocol,
    positive: str | None,
    measures: Measures,
    work: Work,
) -> External:
    """Test heads that were trained on all of the first data set on another."""
    outside = cohort[0]
    # What metadata there are differs between data sets.
    able = [arm for arm in arms if arm.name != METADATA_ONLY]
    results = run_outside(able, samples, cohort, protocol.seed, work)
    counts = [unit_aggregation(protocol, positive, cohort) for cohort in (outside, sets[0])]
    outcomes = [_outcome(arm, result, *counts) for arm, result in zip(able, results, strict=True)]
    # What the columns say is known of the first data set's samples.
    measures = dataclasses.replace(measures, subgroups={})
    evaluations = [assess(outcome, positive, measures) for outcome in outcomes]
    patients = name_patients(outside.groups, outside.ids)
    return External(
        dataset=describe_dataset(outside, patients, positive),
        evaluations=tuple(evaluations),
        differences=subtract(evaluations, positive),
        drops=drops(inside, evaluations),
        shifts=tuple(map(measure_shift, sets, cohort)),
        definitions=definitions(sets[0], outside),
        warnings=find_outside_warnings(sets[0], cohort, protocol),
    )


def _learn(
    evaluations: Sequence[Evaluation],
    arms: Sequence[Arm],
    plan: Plan,
    count: Aggregation,
    positive: str | None,
    work: Work,
) -> list[Evaluation]:
    """Give every arm that was trained here its AUROC after training on fewer patients."""
    learnt = [arm for arm in arms if arm.features is not None]
    shares = run_shares(learnt, plan.folds, plan.samples, work)
    units = plan.samples.ids if plan.samples.groups is None else plan.samples.groups
    trained = float(np.mean([len(np.unique(units[fold.train])) for fold in plan.folds]))
    found = {e.name: e for e in evaluations}
    for n, arm in enumerate(learnt):
        fewer = [rank(count(results[n].predictions), positive=positive) for _, results in shares]
        whole = found[arm.name]
        curve = LearningCurve(
            n_patients=(*(patients for patients, _ in shares), trained),
            auroc=(*fewer, whole.metrics["auroc"]),
        )
        found[arm.name] = dataclasses.replace(whole, learning_curve=curve)
    return list(found.values())


def _show(features: FeatureSet, found: Audit) -> dict[int, NDArray[np.uint8]]:
    """Small pictures of what the audit's findings are about, the gravest first."""
    if features.thumbnails is None:
        return {}
    rows = itertools.chain.from_iterable(
        (*itertools.chain.from_iterable(f.pairs[:_SHOWN]), *f.rows[:_SHOWN])
        for f in found.findings
        if f.kind != "shared patients"
    )
    return {row: features.thumbnails[row] for row in itertools.islice(rows, 2 * _SHOWN)}
