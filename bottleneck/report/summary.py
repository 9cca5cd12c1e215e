"""The summary of a comparison for the page, and values for its sections."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bottleneck.evaluation.analyses.best_arm import best_arm
from bottleneck.evaluation.metrics.metric_values import Metric, OperatingPoint
from bottleneck.evaluation.results.comparison_results import Comparison, Evaluation, External
from bottleneck.evaluation.results.result_parts import Drop
from bottleneck.report.wording.labels import metric_label, metric_names
from bottleneck.statistics.probabilities.calibration_curves import CalibrationCurve

__all__ = [
    "MOST_CLASSES",
    "Missed",
    "Summary",
    "curve_points",
    "frequent_choices",
    "frequent_confusions",
    "interval_methods",
    "missed_by_all",
    "summarise",
    "targets",
]

_LEVEL = 0.05
#: Confusion matrices of more classes are not drawn: their cells grow with the square.
MOST_CLASSES = 30


@dataclasses.dataclass(frozen=True)
class Summary:
    """Values of the first paragraph of the page.

    Attributes
    ----------
    n_arms : int
        Number of arms that use images, without human readers unless there are only these.
    best : Evaluation or None
        That of them which has the highest AUROC.
    auroc : Metric or None
        AUROC of ``best``, with an interval that allows for the choice among three arms or more.
    prior, metadata : Evaluation or None
        The arms that use no images.
    chance : bool
        Whether the interval of ``auroc`` includes 0.5.
    tested, significant : int
        Number of other arms whose AUROC was tested against the highest one, and how many
        of these differ with an adjusted p below 0.05.
    design : str
        The protocol in a few words.
    tested_on : str
        Numbers of test samples and patients, in words.
    external : list of (External, Drop)
        External cohorts, and the drop of the AUROC of the best arm.
    readers : str
        How the human readers compare with the best arm, in words; "" without them.
    """

    n_arms: int
    best: Evaluation | None
    auroc: Metric | None
    prior: Evaluation | None
    metadata: Evaluation | None
    chance: bool
    tested: int
    significant: int
    design: str
    tested_on: str
    external: list[tuple[External, Drop]]
    readers: str


@dataclasses.dataclass(frozen=True)
class Missed:
    """A sample misclassified by every arm, and the classes that were predicted."""

    id: str
    group: str
    label: str
    predicted: tuple[str, ...]


def summarise(comparison: Comparison) -> Summary:
    """Summarise a comparison: the arm with the highest AUROC and how it compares."""
    ranked = [e for e in comparison.evaluations if e.uses_images]
    arms = [e for e in ranked if not e.is_reader] or ranked
    blind = {e.head: e for e in comparison.evaluations if not e.uses_images}
    best = best_arm(arms)
    choice = comparison.choice
    auroc = choice.of_best if choice else best.metrics["auroc"] if best else None
    low = auroc.low if auroc else None
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
        auroc=auroc,
        prior=blind.get("prior"),
        metadata=blind.get("metadata"),
        chance=low is not None and low <= 0.5,
        tested=len(p_values),
        significant=sum(p < _LEVEL for p in p_values),
        design=_design(comparison.protocol, unnamed=comparison.dataset["n_unnamed"]),
        tested_on=_count_tested(comparison),
        external=[
            (cohort, drop)
            for cohort in comparison.external
            for drop in cohort.drops
            if best and drop.arm == best.name and drop.metric == "auroc"
        ],
        readers=_describe_readers(comparison, best) if len(arms) < len(ranked) else "",
    )


def _describe_readers(comparison: Comparison, best: Evaluation | None) -> str:
    """Return how the human readers compare with an arm, in one sentence."""
    readers = [e for e in comparison.evaluations if e.is_reader and "auroc" in e.metrics]
    if best is None or not readers:
        return ""
    names = {e.name for e in readers}
    higher = [e.name for e in readers if e.metrics["auroc"].value > best.metrics["auroc"].value]
    p_values = [
        d.p_adjusted
        for d in comparison.differences
        if d.metric == "auroc" and d.p_adjusted is not None
        if best.name in (d.a, d.b) and {d.a, d.b} & names
    ]
    listed = f" ({', '.join(higher)})" if higher else ""
    n_different = sum(p < _LEVEL for p in p_values)
    one = len(readers) == 1
    return (
        f"Of {len(readers)} arm{'' if one else 's'} of human readers, {len(higher) or 'none'}"
        f"{listed} {'has' if len(higher) < 2 else 'have'} a higher AUROC; the difference is "
        f"significant for {n_different or 'none'} (adjusted p < 0.05)."
    )


def _count_tested(comparison: Comparison) -> str:
    """Return the numbers of test samples and patients; a fixed split tests only some."""
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


def targets(
    evaluations: Sequence[Evaluation],
) -> list[tuple[str, float, list[tuple[Evaluation, OperatingPoint]]]]:
    """Group operating points by their target: the metric, its target, and the arms."""
    points = [(e, point) for e in evaluations for point in e.operating_points]
    kinds = dict.fromkeys((point.held, point.target) for _, point in points)
    return [
        (held, target, [(e, p) for e, p in points if (p.held, p.target) == (held, target)])
        for held, target in kinds
    ]


def curve_points(curve: CalibrationCurve, every: int = 10) -> list[tuple[float, Metric]]:
    """Return some points of a calibration curve, where it is known, with their intervals."""
    columns = (curve.predicted, curve.observed, curve.low, curve.high)
    rows = zip(*(column[::every].tolist() for column in columns), strict=True)
    return [(at, Metric(value, low, high)) for at, value, low, high in rows if np.isfinite(value)]


def interval_methods(evaluations: Sequence[Evaluation]) -> list[tuple[str, str]]:
    """Return the methods of the intervals, each with the metrics that it is for.

    Returns
    -------
    list of (str, str)
        Method, and its metrics in words. Where a metric has several methods, the arms are named;
        more than two arms with its most frequent method are "the other arms".
    """
    methods: dict[str, dict[str, list[str]]] = {}
    for name in metric_names(e.metrics for e in evaluations):
        of_metric: dict[str, list[str]] = {}
        for e in evaluations:
            metric = e.metrics.get(name)
            if metric is not None and metric.method and metric.low is not None:
                of_metric.setdefault(metric.method, []).append(e.name)
        most = max(map(len, of_metric.values()), default=0)
        for method, arms in of_metric.items():
            others = len(arms) == most > 2 and method == next(
                key for key, value in of_metric.items() if len(value) == most
            )
            who = "the other arms" if others else " and ".join(arms)
            of_arms = "" if len(of_metric) == 1 else f" of {who}"
            methods.setdefault(method, {}).setdefault(of_arms, []).append(metric_label(name))
    return [
        (method, ", ".join(", ".join(names) + of_arms for of_arms, names in uses.items()))
        for method, uses in methods.items()
    ]


def frequent_choices(evaluation: Evaluation) -> list[tuple[str, int]]:
    """Return the chosen sets of hyperparameters, the most frequent first, with their counts."""
    counts: dict[str, int] = {}
    for chosen in evaluation.chosen:
        text = ", ".join(f"{name} = {_value_text(value)}" for name, value in chosen.items())
        counts[text] = counts.get(text, 0) + 1
    return sorted(counts.items(), key=lambda item: -item[1])


def frequent_confusions(
    confusion: NDArray[np.int64], classes: Sequence[str], most: int = 30
) -> list[tuple[str, str, int, float]]:
    """Return the cells of wrong predictions with the most samples, in order.

    Returns
    -------
    list of (str, str, int, float)
        True and predicted class, number of samples, and their share of the true class.
    """
    wrong = confusion * ~np.eye(len(confusion), dtype=bool)
    largest = np.argsort(-wrong, axis=None, kind="stable")[:most]
    rows, columns = np.unravel_index(largest, wrong.shape)
    totals = confusion.sum(axis=1)
    return [
        (classes[i], classes[j], int(wrong[i, j]), float(wrong[i, j] / totals[i]))
        for i, j in zip(rows.tolist(), columns.tolist(), strict=True)
        if wrong[i, j]
    ]


def missed_by_all(comparison: Comparison) -> list[Missed]:
    """Return the samples that every arm with images misclassified in every repeat."""
    predicted: dict[str, set[str]] = {}
    label: dict[str, str] = {}
    group: dict[str, str] = {}
    for e in comparison.evaluations:
        if not e.uses_images:
            continue
        p = e.predictions
        ids = p.ids.tolist()
        label.update(zip(ids, p.labels.tolist(), strict=True))
        if p.groups is not None:
            group.update(zip(ids, p.groups.tolist(), strict=True))
        for sample, name in zip(ids, p.predicted.tolist(), strict=True):
            predicted.setdefault(sample, set()).add(name)
    missed = (i for i in label if label[i] not in predicted[i])
    return [
        Missed(i, group.get(i, ""), label[i], tuple(sorted(predicted[i])))
        for i in sorted(missed, key=lambda i: (label[i], i))
    ]


def _design(protocol: Mapping[str, Any], *, unnamed: int) -> str:
    words = {
        "cross-validation": f"{protocol['folds']}‑fold cross-validation",
        "given folds": f"{protocol['folds']} given folds",
        "centres": f"{protocol['folds']} centres, each tested with heads trained on the others",
    }
    design = words.get(protocol["kind"], f"a {protocol['kind']}")
    repeats = protocol["repeats"]
    common = protocol.get("common_repeats", repeats)
    if common > 1:
        design += f", repeated {common} times"
    if repeats > common:
        design += f" (for heads on features, {repeats} times)"
    if not protocol["grouped"]:
        return design
    known = ", as far as patients are known" if unnamed else ""
    return f"{design}, with no patient in both the training set and the test fold{known}"


def _value_text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
