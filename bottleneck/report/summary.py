"""What the page says in words: the summary, what was aimed at, the samples missed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bottleneck.evaluation.metrics.metric_values import OperatingPoint
from bottleneck.evaluation.results import Comparison, Drop, Evaluation, External
from bottleneck.report.figures.arm_styles import best_arm
from bottleneck.report.labels import metric_names

__all__ = [
    "Missed",
    "Summary",
    "aims",
    "benefits",
    "choices",
    "interval_methods",
    "missed_by_all",
    "summarise",
]

_LEVEL = 0.05


@dataclasses.dataclass(frozen=True)
class Summary:
    """What the first paragraph needs.

    Attributes
    ----------
    n_arms : int
        Arms that see images.
    best : Evaluation or None
        The arm of these with the highest AUROC.
    prior, metadata : Evaluation or None
        The arms that see no image.
    chance : bool
        Whether the interval of the best AUROC reaches down to 0.5.
    tested, apart : int
        Other arms whose AUROC was tested against the best one's, and how many of these
        differ at an adjusted p below 0.05.
    design : str
        The protocol in a few words.
    tested_on : str
        How many samples and patients the arms were tested on.
    outside : list of (External, Drop)
        How the best arm's AUROC fared elsewhere.
    """

    n_arms: int
    best: Evaluation | None
    prior: Evaluation | None
    metadata: Evaluation | None
    chance: bool
    tested: int
    apart: int
    design: str
    tested_on: str
    outside: list[tuple[External, Drop]]


@dataclasses.dataclass(frozen=True)
class Missed:
    """A sample that every arm got wrong."""

    id: str
    group: str
    label: str
    predicted: tuple[str, ...]


def summarise(comparison: Comparison) -> Summary:
    """Find the arm of the highest AUROC, and what can be said of it."""
    arms = [e for e in comparison.evaluations if e.sees_images]
    blind = {e.head: e for e in comparison.evaluations if not e.sees_images}
    best = best_arm(arms)
    low = best.metrics["auroc"].low if best else None
    rivals = {e.name for e in arms if e is not best}
    p_values = [
        d.p_adjusted
        for d in comparison.differences
        if best and d.metric == "auroc" and d.p_adjusted is not None
        if (d.a == best.name and d.b in rivals) or (d.b == best.name and d.a in rivals)
    ]
    return Summary(
        n_arms=len(arms),
        best=best,
        prior=blind.get("prior"),
        metadata=blind.get("metadata"),
        chance=low is not None and low <= 0.5,
        tested=len(p_values),
        apart=sum(p < _LEVEL for p in p_values),
        design=_design(comparison.protocol, unnamed=comparison.dataset["n_unnamed"]),
        tested_on=_count_tested(comparison),
        outside=[
            (external, drop)
            for external in comparison.external
            for drop in external.drops
            if best and drop.arm == best.name and drop.metric == "auroc"
        ],
    )


def _count_tested(comparison: Comparison) -> str:
    """Count what the arms were tested on: with a fixed split, that is not all there is."""
    dataset, tested = comparison.dataset, comparison.evaluations[0].predictions
    n = len(np.unique(tested.ids))
    if comparison.protocol.get("unit") == "patient":
        return f"{n:,} patients"
    counted = f"{n:,} samples"
    if not dataset["n_patients"] or tested.groups is None:
        return counted
    everyone = n == dataset["n_samples"]
    patients = dataset["n_patients"] if everyone else len(np.unique(tested.groups))
    return f"{counted} of {patients:,} patients"


def aims(
    evaluations: Sequence[Evaluation],
) -> list[tuple[str, float, list[tuple[Evaluation, OperatingPoint]]]]:
    """Sort operating points by what was aimed at: the figure, its target, and the arms."""
    points = [(e, point) for e in evaluations for point in e.operating_points]
    kinds = dict.fromkeys((point.held, point.target) for _, point in points)
    return [
        (held, target, [(e, p) for e, p in points if (p.held, p.target) == (held, target)])
        for held, target in kinds
    ]


def benefits(
    evaluations: Sequence[Evaluation], most: int = 6
) -> tuple[list[float], list[tuple[str, list[float]]]]:
    """Read decision curves at a few probabilities: these, and net benefits by what one does."""
    curves = [(e.name, e.decision_curve) for e in evaluations if e.decision_curve]
    if not curves:
        return [], []
    first = curves[0][1]
    places = np.unique(np.linspace(0, len(first.thresholds) - 1, most).round().astype(int))
    at = first.thresholds[places]
    rows = [(name, np.interp(at, c.thresholds, c.model).tolist()) for name, c in curves]
    rows.append(("acting on everyone", first.everyone[places].tolist()))
    return at.tolist(), rows


def interval_methods(evaluations: Sequence[Evaluation]) -> list[tuple[str, list[str]]]:
    """List the methods behind the intervals, each with the metrics that it served."""
    methods: dict[str, dict[str, None]] = {}
    for name in metric_names(e.metrics for e in evaluations):
        for e in evaluations:
            metric = e.metrics.get(name)
            if metric is not None and metric.method and metric.low is not None:
                methods.setdefault(metric.method, {})[name] = None
    return [(method, list(names)) for method, names in methods.items()]


def choices(evaluation: Evaluation) -> list[tuple[str, int]]:
    """Count how often the inner search chose each set of hyperparameters."""
    counts: dict[str, int] = {}
    for chosen in evaluation.chosen:
        text = ", ".join(f"{name} = {_say(value)}" for name, value in chosen.items())
        counts[text] = counts.get(text, 0) + 1
    return sorted(counts.items(), key=lambda item: -item[1])


def missed_by_all(comparison: Comparison) -> list[Missed]:
    """Find the samples that every arm with images got wrong, in every repeat."""
    predicted: dict[str, set[str]] = {}
    label: dict[str, str] = {}
    group: dict[str, str] = {}
    for e in comparison.evaluations:
        if not e.sees_images:
            continue
        p = e.predictions
        ids = p.ids.tolist()
        label.update(zip(ids, p.labels.tolist(), strict=True))
        if p.groups is not None:
            group.update(zip(ids, p.groups.tolist(), strict=True))
        for sample, said in zip(ids, p.predicted.tolist(), strict=True):
            predicted.setdefault(sample, set()).add(said)
    missed = (i for i in label if label[i] not in predicted[i])
    return [
        Missed(i, group.get(i, ""), label[i], tuple(sorted(predicted[i])))
        for i in sorted(missed, key=lambda i: (label[i], i))
    ]


def _design(protocol: Mapping[str, Any], *, unnamed: int) -> str:
    words = {
        "cross-validation": f"{protocol['folds']}‑fold cross-validation",
        "given folds": f"{protocol['folds']} given folds",
        "centres": f"{protocol['folds']} centres, each tested by heads trained on the others",
    }
    design = words.get(protocol["kind"], f"a {protocol['kind']}")
    if protocol["repeats"] > 1:
        design += f", repeated {protocol['repeats']} times"
    if not protocol["grouped"]:
        return design
    known = ", as far as patients are named" if unnamed else ""
    return f"{design}, with no patient on both sides of a split{known}"


def _say(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
