"""Captions of tables: the data set, the positive class, and what marks mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bottleneck.evaluation.results.comparison_results import Comparison, Evaluation, External
from bottleneck.evaluation.results.methods_text import describe_target
from bottleneck.evaluation.results.result_parts import ArmChoice
from bottleneck.report.wording.labels import accuracy_note, caveats
from bottleneck.report.wording.number_format import bounds, three
from bottleneck.text.plain_text import visible
from bottleneck.text.plurals import counted

__all__ = [
    "dagger_note",
    "describe_cohort",
    "describe_comparison",
    "repeats_note",
    "repeats_spread",
]


def describe_comparison(comparison: Comparison) -> str:
    """Return the caption of a table: data set, number of samples, positive class."""
    classes = (
        f"positive class: {comparison.positive}"
        if comparison.positive
        else f"{len(comparison.classes)} classes"
    )
    caption = visible(f"Data set {_cohort(comparison.dataset)}, {classes}") + "."
    if comparison.protocol["kind"] == "centres":
        caption += f" {describe_target(comparison.protocol['folds'])}"
    return caption + _choice_note(comparison.choice) + _accuracy_note(comparison.evaluations)


def describe_cohort(external: External) -> str:
    """Return the caption of the table of an external cohort."""
    cohort = visible(_cohort(external.dataset))
    caption = (
        f"External cohort {cohort}: tested once, with heads trained on all of the first cohort."
    )
    return caption + _accuracy_note(external.evaluations)


def dagger_note(shown: Any) -> str:
    """Return what the dagger in a table means, for the metrics that it shows."""
    texts = caveats(shown)
    return f" † estimate only: {'; '.join(texts)}." if texts else ""


def repeats_note(evaluations: Sequence[Evaluation], where: str) -> str:
    """Return where a table shows the AUROCs of single repeats; "" where repeats do not differ."""
    if not any(map(repeats_spread, evaluations)):
        return ""
    # Imported predictions have fewer repeats than heads on features; human readers have none.
    counts = {e.predictions.n_repeats for e in evaluations if not e.is_reader}
    fewer = "" if len(counts) == 1 else f", and of some arms over {min(counts)}"
    return (
        f" Values are means over {max(counts)} repeats{fewer}. {where}: the lowest and the highest "
        "AUROC of one repeat."
    )


def repeats_spread(evaluation: Evaluation) -> tuple[float, ...]:
    """Return the lowest and the highest AUROC of the repeats; none where they do not differ."""
    metric = evaluation.metrics.get("auroc")
    if metric is None or metric.spread is None or metric.spread[0] == metric.spread[1]:
        return ()
    return metric.spread


def _choice_note(choice: ArmChoice | None) -> str:
    """Return the interval of the highest AUROC that allows for the choice."""
    if choice is None:
        return ""
    return (
        f" The highest AUROC is {three(choice.of_best.value)}, with an interval of "
        f"{bounds(choice.of_best)} that allows for the choice among {choice.n_arms} arms."
    )


def _accuracy_note(evaluations: Sequence[Evaluation]) -> str:
    note = accuracy_note(evaluations)
    return f" {visible(note)}" if note else ""


def _cohort(dataset: Mapping[str, Any]) -> str:
    patients = dataset["n_patients"]
    parts = [dataset["name"], counted(dataset["n_samples"], "sample")]
    return ", ".join([*parts, counted(patients, "patient")] if patients else parts)
