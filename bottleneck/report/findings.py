"""What the page says in words: the summary, the cohort, the differences, the samples missed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from bottleneck.evaluation.results import Comparison, Difference, Evaluation
from bottleneck.report.figures import Span, difference_spans
from bottleneck.report.tables import metric_names

__all__ = [
    "Cohort",
    "DifferenceTable",
    "Missed",
    "Summary",
    "choices",
    "cohort",
    "difference_tables",
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
        Arms with features.
    best, prior : Evaluation or None
        The arm with features of the highest AUROC, and the arm without features.
    chance : bool
        Whether the interval of the best AUROC reaches down to 0.5.
    tested, apart : int
        Other arms whose AUROC was tested against the best one's, and how many of these
        differ at an adjusted p below 0.05.
    design : str
        The protocol in a few words.
    """

    n_arms: int
    best: Evaluation | None
    prior: Evaluation | None
    chance: bool
    tested: int
    apart: int
    design: str


@dataclasses.dataclass(frozen=True)
class Cohort:
    """How many samples came, went and stayed.

    Attributes
    ----------
    found, unreadable, used : int
    excluded : mapping of str to int
        Reasons, and how many samples each left out.
    classes : list of (label, samples, share, patients)
        Patients are None where the data set names none.
    """

    found: int
    unreadable: int
    used: int
    excluded: Mapping[str, int]
    classes: list[tuple[str, int, float, int | None]]


@dataclasses.dataclass(frozen=True)
class DifferenceTable:
    """All pairs of arms for one metric.

    Attributes
    ----------
    metric : str
    limit : float
        The axis of the forest plot reaches from minus to plus this; 0 without intervals.
    groups : list of list of (Difference, Span or None)
        One list for each run of pairs with the same first arm.
    tested : bool
        Whether any pair has a p-value.
    methods : tuple of str
        How the intervals and p-values were computed.
    """

    metric: str
    limit: float
    groups: list[list[tuple[Difference, Span | None]]]
    tested: bool
    methods: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Missed:
    """A sample that every arm got wrong."""

    id: str
    group: str
    label: str
    predicted: tuple[str, ...]


def summarise(comparison: Comparison) -> Summary:
    """Find the arm of the highest AUROC, and what can be said of it."""
    arms = [e for e in comparison.evaluations if e.backbone is not None]
    ranked = [e for e in arms if "auroc" in e.metrics and not math.isnan(e.metrics["auroc"].value)]
    best = max(ranked, key=lambda e: e.metrics["auroc"].value, default=None)
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
        prior=next((e for e in comparison.evaluations if e.backbone is None), None),
        chance=low is not None and low <= 0.5,
        tested=len(p_values),
        apart=sum(p < _LEVEL for p in p_values),
        design=_design(comparison.protocol),
    )


def cohort(comparison: Comparison) -> Cohort:
    """Count the samples from the folder to the folds."""
    dataset = comparison.dataset
    used, unreadable, excluded = dataset["n_samples"], dataset["failures"], dataset["excluded"]
    patients = dataset["patients"] or {}
    return Cohort(
        found=used + unreadable + sum(excluded.values()),
        unreadable=unreadable,
        used=used,
        excluded=excluded,
        classes=[(c, n, n / used, patients.get(c)) for c, n in dataset["classes"].items()],
    )


def difference_tables(differences: Sequence[Difference]) -> list[DifferenceTable]:
    """Sort the differences by metric, and place them on the axes of their forest plots."""
    found = []
    for metric in dict.fromkeys(d.metric for d in differences):
        pairs = [d for d in differences if d.metric == metric]
        limit, spans = difference_spans(pairs)
        methods = tuple(dict.fromkeys(d.method for d in pairs if d.method))
        runs = groupby(zip(pairs, spans, strict=True), key=lambda row: row[0].a)
        tested = any(d.p is not None for d in pairs)
        groups = [list(run) for _, run in runs]
        found.append(DifferenceTable(metric, limit, groups, tested, methods))
    return found


def interval_methods(comparison: Comparison) -> list[tuple[str, list[str]]]:
    """List the methods behind the intervals, each with the metrics that it served."""
    methods: dict[str, dict[str, None]] = {}
    for name in metric_names(comparison):
        for e in comparison.evaluations:
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
    """Find the samples that every arm with features got wrong, in every repeat."""
    predicted: dict[str, set[str]] = {}
    label: dict[str, str] = {}
    group: dict[str, str] = {}
    for e in comparison.evaluations:
        if e.backbone is None:
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


def _design(protocol: Mapping[str, Any]) -> str:
    words = {
        "cross-validation": f"{protocol['folds']}‑fold cross-validation",
        "given folds": f"{protocol['folds']} given folds",
    }
    design = words.get(protocol["kind"], f"a {protocol['kind']}")
    if protocol["repeats"] > 1:
        design += f", repeated {protocol['repeats']} times"
    return design + (", with no patient on both sides of a split" if protocol["grouped"] else "")


def _say(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
