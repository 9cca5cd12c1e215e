"""Results of a comparison, searched for the arm that a fit repeats."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from bottleneck.checks.check_warnings import CheckWarning, warn
from bottleneck.checks.ignored_checks import describe_ignored
from bottleneck.data.splits.folds import has_fixed_split
from bottleneck.deploy.models.evaluated_arm import (
    EvaluatedArm,
    MeasuredCohort,
    MeasuredFigure,
    MeasuredPoint,
)
from bottleneck.deploy.models.results_file import read_results
from bottleneck.errors import UsageError
from bottleneck.evaluation.metrics.metric_values import Metric
from bottleneck.evaluation.results.arm_origin import head_digest, samples_digest
from bottleneck.evaluation.results.comparison_results import Comparison, Evaluation
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.heads.head import Head
from bottleneck.schemas.json_schemas import json_format
from bottleneck.settings.schema import Field, from_table, schema
from bottleneck.text.plain_text import without_paths
from bottleneck.text.plurals import counted
from bottleneck.text.short_repr import shorten

__all__ = ["find_evaluation"]


@schema(closed=False)
class _Origin:
    recipe_hash: str
    samples: str
    head: str


@schema(closed=False)
class _Arm:
    name: str
    head: str
    metrics: Mapping[str, MeasuredFigure]
    operating_points: tuple[MeasuredPoint, ...] = ()
    origin: _Origin | None = None


@schema(closed=False)
class _Dataset:
    name: str
    n_samples: int
    n_patients: int | None
    selection: Mapping[str, Any] = Field(default_factory=dict)


@schema(closed=False)
class _Protocol:
    kind: str
    folds: int
    repeats: int
    seed: int
    grouped: bool
    unit: Literal["image", "patient"]
    aggregate: str | None
    allow_leakage: bool
    conflicts: str
    inner_splits: int
    words: str


@schema(closed=False)
class _Cohort:
    dataset: _Dataset
    arms: tuple[_Arm, ...]


@schema(closed=False)
class _Choice:
    auroc: Mapping[str, MeasuredFigure]


@schema(closed=False)
class _Warning:
    code: str
    text: str


@schema(closed=False)
class _Results:
    """The parts of ``results.json`` that a model needs."""

    format: str
    bottleneck: str
    dataset: _Dataset
    protocol: _Protocol
    classes: tuple[str, ...]
    positive: str | None
    warnings: tuple[_Warning, ...]
    ignored: Mapping[str, int]
    arms: tuple[_Arm, ...]
    external: tuple[_Cohort, ...] = ()
    choice: _Choice | None = None


def find_evaluation(
    comparison: Comparison | str | os.PathLike[str],
    features: FeatureSet,
    head: Head,
    *,
    positive: str | None,
    unit: str,
    aggregate: str,
    seed: int,
    inner_splits: int,
    conflicts: str,
    target: tuple[str, float] | None,
) -> EvaluatedArm:
    """Return what a comparison measured of the arm that a fit repeats.

    Parameters
    ----------
    comparison : Comparison or path
        Result of ``compare``, the folder of its report, or the ``results.json`` in it.
    features : FeatureSet
        The features of the fit, after a selection.
    head : Head
        Its head.
    positive, unit, aggregate, seed, inner_splits, conflicts
        As for ``fit``, with the positive class that it chose.
    target : (str, float) or None
        Metric and target of the model's threshold.

    Returns
    -------
    EvaluatedArm

    Raises
    ------
    UsageError
        If it is not a comparison, its file cannot be read, or it evaluated something else.
    """
    results, digest = _read(comparison)
    arm = _find_arm(results, features, head)
    protocol = results.protocol
    settings: list[tuple[str, Any, Any]] = [
        ("positive", results.positive, None if positive is None else without_paths(positive)),
        ("unit", protocol.unit, unit),
        ("seed", protocol.seed, seed),
        ("inner_splits", protocol.inner_splits, inner_splits),
    ]
    if protocol.unit == "patient":
        settings.append(("aggregate", protocol.aggregate, aggregate))
    if protocol.conflicts != "stop":  # There are none.
        settings.append(("conflicts", protocol.conflicts, conflicts))
    for name, evaluated, fitted in settings:
        if evaluated != fitted:
            option = name if name == "inner_splits" else f"--{name}"
            raise UsageError(
                f"this comparison evaluated the arm with {option} {evaluated}, but this model has "
                f"{option} {fitted}: fit it as it was evaluated, or compare again"
            )
    ranked = [one for one in results.arms if one.head not in ("prior", "metadata")]
    values = [one.metrics["auroc"].value for one in ranked if "auroc" in one.metrics]
    auroc = arm.metrics.get("auroc", MeasuredFigure(value=None))
    if any(not 0 <= one <= 1 for one in (auroc.value, auroc.low, auroc.high) if one is not None):
        raise UsageError(
            f"this comparison evaluated an AUROC of {auroc.text}, which is impossible: were its "
            "results changed? Compare again"
        )
    known = [value for value in values if value is not None]
    warnings = [CheckWarning(one.code, one.text) for one in results.warnings]
    return EvaluatedArm(
        arm=arm.name,
        dataset=results.dataset.name,
        positive=results.positive,
        auroc=auroc,
        design=_describe_design(protocol),
        protocol=protocol.words,
        unit=protocol.unit,
        n_samples=results.dataset.n_samples,
        n_patients=results.dataset.n_patients,
        n_arms=len(ranked),
        is_best=auroc.value is not None and auroc.value == max(known),
        of_choice=results.choice.auroc.get(arm.name) if results.choice else None,
        operating_point=_find_point(arm, target),
        external=tuple(
            MeasuredCohort(
                dataset=cohort.dataset.name,
                n_samples=cohort.dataset.n_samples,
                n_patients=cohort.dataset.n_patients,
                auroc=one.metrics["auroc"],
                operating_point=_find_point(one, target),
            )
            for cohort in results.external
            for one in cohort.arms
            if one.name == arm.name and "auroc" in one.metrics
        ),
        warnings=(
            *(one.with_code for one in (*_warn_of_parts(protocol, features), *warnings)),
            *filter(None, [describe_ignored(results.ignored)]),
        ),
        bottleneck=results.bottleneck,
        date=datetime.now(UTC).date().isoformat(),
        results_sha256=digest,
    )


def _warn_of_parts(protocol: _Protocol, features: FeatureSet) -> tuple[CheckWarning, ...]:
    """Return a warning where the comparison trained on samples that the fit leaves out."""
    if protocol.kind == "fixed split" or not has_fixed_split(features.splits):
        return ()
    text = (
        "the comparison also trained on the test set of the data set, but the model did not; "
        "compare with --protocol split evaluates the model's own training set"
    )
    return warn("BF406", [text])


def _describe_design(protocol: _Protocol) -> str:
    words = {
        "cross-validation": f"{protocol.folds}-fold cross-validation",
        "given folds": f"{protocol.folds} given folds",
        "centres": f"{protocol.folds} centres, each left out in turn",
    }.get(protocol.kind, f"a {protocol.kind}")
    if protocol.repeats > 1:
        words += f", repeated {protocol.repeats} times,"
    if protocol.grouped:
        words += " by patient"
    if protocol.unit == "patient":
        words += ", each patient counted once"
    if protocol.allow_leakage:
        words += ", with leakage allowed"
    return words


def _find_point(arm: _Arm, target: tuple[str, float] | None) -> MeasuredPoint | None:
    same = (one for one in arm.operating_points if (one.held, one.target) == target)
    return next(same, None)


def _find_arm(results: _Results, features: FeatureSet, head: Head) -> _Arm:
    """Return the arm of these features and this head, or say what was evaluated instead."""
    known = [(arm, arm.origin) for arm in results.arms if arm.origin and arm.origin.samples]
    dataset, samples = results.dataset, samples_digest(features)
    if not known:
        raise UsageError(
            "this comparison has no arm with features and a head, so fit cannot repeat what it "
            "evaluated: compare features"
        )
    if not any(origin.samples == samples for _, origin in known):
        evaluated = str(dataset.selection.get("words") or "all samples")
        chosen = str(features.selection.get("words") or "all samples")
        if without_paths(features.dataset) == dataset.name and evaluated != chosen:
            raise UsageError(
                f"this comparison evaluated a selection of {dataset.name} ({evaluated}), but this "
                f"model has another ({chosen}): give fit the same --exclude, --merge and --classes"
            )
        raise UsageError(
            f"this comparison evaluated {counted(dataset.n_samples, 'sample')} of {dataset.name}, "
            f"but the {counted(len(features), 'sample')} of {features.dataset} that this model is "
            "for have other ids, labels or patients: compare these features, and name that report"
        )
    same = [(arm, origin) for arm, origin in known if origin.recipe_hash == features.recipe_hash]
    if not same:
        names = ", ".join(f"'{arm.name}'" for arm, _ in known[:5])
        raise UsageError(
            f"this comparison evaluated {names}, but this model is for features of another "
            f"recipe, from {features.title}: name the feature file that was compared"
        )
    digest = head_digest(head.record)
    fitting = [arm for arm, origin in same if origin.head == digest]
    if not fitting:
        heads = dict.fromkeys(arm.head for arm, _ in same)
        other = " with other parameters" if head.name in heads else ""
        raise UsageError(
            f"this comparison evaluated {', '.join(heads)} on these features, but this model has "
            f"the head {head.name}{other}: fit the evaluated head, or compare again"
        )
    return next((arm for arm in fitting if arm.head == head.name), fitting[0])


def _read(comparison: Any) -> tuple[_Results, str | None]:
    """Return the results of a comparison in memory, or of a report, with the sha256 of its file."""
    if isinstance(comparison, Comparison):
        return from_table(_Results, _results_of(comparison), "the comparison"), None
    if not isinstance(comparison, str | os.PathLike):
        raise UsageError(
            "comparison must be the folder of a report, its results.json, or what compare "
            f"returns, not {shorten(comparison)}"
        )
    read = read_results(comparison)
    return from_table(_Results, read.content, str(read.path)), read.sha256


def _results_of(comparison: Comparison) -> dict[str, Any]:
    """Return the parts of a comparison in memory under the names of ``results.json``."""
    from bottleneck import __version__

    content = {
        "format": json_format("compare"),
        "bottleneck": __version__,
        "dataset": dict(comparison.dataset),
        "protocol": dict(comparison.protocol),
        "classes": list(comparison.classes),
        "positive": comparison.positive,
        "warnings": [one.to_dict() for one in comparison.warnings],
        "ignored": dict(comparison.ignored),
        "arms": [_arm_of(one) for one in comparison.evaluations],
        "external": [
            {"dataset": dict(one.dataset), "arms": [_arm_of(e) for e in one.evaluations]}
            for one in comparison.external
        ],
        "choice": comparison.choice and {"auroc": _figures(comparison.choice.auroc)},
    }
    made: dict[str, Any] = _without_paths(content)
    return made


def _without_paths(value: Any) -> Any:
    """Return a value with all texts in it as a report has them: without absolute paths."""
    if isinstance(value, Mapping):
        return {key: _without_paths(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_paths(inner) for inner in value]
    return without_paths(value) if isinstance(value, str) else value


def _arm_of(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "name": evaluation.name,
        "head": evaluation.head,
        "metrics": _figures(evaluation.metrics),
        "operating_points": [
            {"held": one.held, "target": one.target, "metrics": _figures(one.metrics)}
            for one in evaluation.operating_points
        ],
        "origin": None if evaluation.origin is None else dataclasses.asdict(evaluation.origin),
    }


def _figures(metrics: Mapping[str, Metric]) -> dict[str, dict[str, Any]]:
    return {
        name: {
            **dataclasses.asdict(metric),
            "value": metric.value if math.isfinite(metric.value) else None,
        }
        for name, metric in metrics.items()
    }
