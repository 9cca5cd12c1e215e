"""Short texts and pandas tables of the results of a comparison."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from math import isnan, nan
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from bottleneck.errors import unknown_name
from bottleneck.evaluation.analyses.best_arm import arms_to_choose, best_arm
from bottleneck.evaluation.metrics.metric_values import Difference, Metric, SubgroupDifference
from bottleneck.text.plurals import counted
from bottleneck.text.short_repr import describe, shortened
from bottleneck.text.table_text import text_frame

if TYPE_CHECKING:
    import pandas as pd

    from bottleneck.evaluation.results.comparison_results import Comparison, Evaluation, External
    from bottleneck.evaluation.results.result_parts import Drop, MarginTest

__all__ = [
    "Part",
    "arms_frame",
    "differences_frame",
    "drops_frame",
    "evaluation_frame",
    "records_frame",
    "show_comparison",
    "show_evaluation",
    "show_external",
    "subgroup_frame",
]

Part = Literal["metrics", "classes", "subgroups", "operating points", "centres"]

# Metrics in the text of an evaluation, as far as it has them.
_SHOWN = ("auroc", "balanced_accuracy", "sensitivity", "specificity")
_COLUMNS = (
    *("metric", "value", "low", "high", "n", "method", "estimate_only"),
    *("lowest_repeat", "highest_repeat"),
)
_OF_PART: Mapping[str, tuple[str, ...]] = {
    "metrics": (),
    "classes": ("class",),
    "subgroups": ("column", "level"),
    "operating points": ("held", "target"),
    "centres": ("centre",),
}
_NUMBERS = ("value", "low", "high", "lowest_repeat", "highest_repeat")
_TYPES = dict.fromkeys(_NUMBERS, float) | {"n": int, "estimate_only": bool}


def show_evaluation(evaluation: Evaluation) -> str:
    """Return the text of an evaluation: its main metrics with their intervals."""
    shown = [f"{m} {evaluation.metrics[m].text}" for m in _SHOWN if m in evaluation.metrics]
    return describe(
        evaluation, evaluation.name, *shown, counted(evaluation.predictions.n_samples, "sample")
    )


def show_comparison(comparison: Comparison) -> str:
    """Return the text of a comparison: its size, its best arm and the number of warnings."""
    c = comparison
    audit = "" if c.audit is None else f"leak audit: {c.audit.verdict}"
    positive = f"positive class {shortened(c.positive)}" if c.positive else ""
    kind = str(c.protocol.get("kind", ""))
    facts = _arms_text(c)
    return describe(c, str(c.dataset.get("name", "")), *facts, kind, positive, audit, _warned(c))


def show_external(external: External) -> str:
    """Return the text of an external cohort: its size, the arm chosen inside, and its warnings.

    The interval on the cohort allows for the choice, since the cohort took no part in it.
    """
    name = str(external.dataset.get("name", ""))
    inside = {d.arm: d.inside.value for d in external.drops if d.metric == "auroc"}
    arms = [e for e in arms_to_choose(external.evaluations) if not isnan(inside.get(e.name, nan))]
    chosen = max(arms, key=lambda e: inside[e.name], default=None)
    auroc = (
        ""
        if chosen is None
        else f"auroc {chosen.metrics['auroc'].text} of {shortened(chosen.name)}"
        + (", the highest inside" if len(arms) > 1 else "")
    )
    return describe(external, name, _size_text(external), auroc, _warned(external))


def _size_text(result: Comparison | External) -> str:
    size = counted(result.dataset.get("n_samples", 0), "sample")
    if patients := result.dataset.get("n_patients"):
        size += f" of {counted(patients, 'patient')}"
    return f"{counted(len(result.evaluations), 'arm')} on {size}"


def _arms_text(comparison: Comparison) -> list[str]:
    arms, choice = comparison.evaluations, comparison.choice
    facts = [_size_text(comparison)]
    if choice is not None:
        allowing = f"allowing for the choice among {choice.n_arms}"
        facts.append(f"highest auroc {choice.of_best.text} of {shortened(choice.best)}, {allowing}")
    elif (best := best_arm(arms)) is not None:
        facts.append(f"highest auroc {best.metrics['auroc'].text} of {shortened(best.name)}")
    return facts


def _warned(result: Comparison | External) -> str:
    return counted(len(result.warnings), "warning") if result.warnings else ""


def evaluation_frame(evaluation: Evaluation, part: Part) -> pd.DataFrame:
    """Return the table of ``Evaluation.to_frame``."""
    return _make_frame(list(_rows(evaluation, part)), [], part)


def arms_frame(result: Comparison | External, part: Part) -> pd.DataFrame:
    """Return the table of ``Comparison.to_frame`` and ``External.to_frame``."""
    about = ["dataset", "arm", "backbone", "weights", "head", "positive"]
    positive = result.dataset.get("positive")
    rows = [
        {
            "dataset": result.dataset.get("name"),
            "arm": e.name,
            "backbone": e.backbone,
            "weights": e.weights,
            "head": e.head,
            "positive": positive,
            **row,
        }
        for e in result.evaluations
        for row in _rows(e, part)
    ]
    return _make_frame(rows, about, part)


def differences_frame(differences: Sequence[Difference]) -> pd.DataFrame:
    """Return differences as a table: the attributes of ``Difference`` as columns."""
    return records_frame(differences, Difference)


def records_frame(
    records: Sequence[Difference] | Sequence[MarginTest],
    kind: type[Difference] | type[MarginTest],
) -> pd.DataFrame:
    """Return records of differences as a table: the attributes of their class as columns."""
    names = [field.name for field in dataclasses.fields(kind)]
    frame = _frame([{name: getattr(d, name) for name in names} for d in records], names)
    return frame.astype(dict.fromkeys(("value", "low", "high", "p", "p_adjusted"), float))


def subgroup_frame(tests: Sequence[SubgroupDifference]) -> pd.DataFrame:
    """Return the table of ``Evaluation.subgroup_frame``."""
    own = ("column", "metric", "levels", "difference", "low", "high")
    columns = [*own, "p", "p_adjusted", "fewest", "method"]
    rows = []
    for test in tests:
        found = test.difference or Metric(np.nan)
        numbers = {"difference": found.value, "low": found.low, "high": found.high}
        rest = {name: getattr(test, name) for name in columns if name not in numbers}
        rows.append({**rest, "levels": ", ".join(test.levels), **numbers})
    floats = dict.fromkeys(("difference", "low", "high", "p", "p_adjusted"), float)
    return _frame(rows, columns).astype(floats | {"fewest": int})


def drops_frame(drops: Sequence[Drop]) -> pd.DataFrame:
    """Return the table of ``External.drops_frame``."""
    values = ("inside", "outside", "difference")
    columns = [f"{value}{bound}" for value in values for bound in ("", "_low", "_high")]
    rows = []
    for drop in drops:
        metrics: list[Metric] = [getattr(drop, value) for value in values]
        numbers = [number for m in metrics for number in (m.value, m.low, m.high)]
        row = dict(zip(columns, numbers, strict=True))
        rows.append({"arm": drop.arm, "metric": drop.metric, **row})
    return _frame(rows, ["arm", "metric", *columns]).astype(dict.fromkeys(columns, float))


def _rows(evaluation: Evaluation, part: Part) -> Iterator[dict[str, Any]]:
    if part not in get_args(Part):
        raise unknown_name("part of the results", str(part), get_args(Part))
    n = evaluation.predictions.n_samples
    of_part = _OF_PART[part]
    for keys, metrics, counts in _of_part(evaluation, part):
        for name, metric in metrics.items():
            values = (
                name,
                metric.value,
                metric.low,
                metric.high,
                counts.get(name, counts.get("", n)),
                metric.method,
                metric.estimate_only,
                *(metric.spread or (None, None)),
            )
            yield dict(zip((*of_part, *_COLUMNS), (*keys, *values), strict=True))


def _of_part(
    e: Evaluation, part: Part
) -> Iterator[tuple[tuple[Any, ...], Mapping[str, Metric], Mapping[str, int]]]:
    """Yield what metrics are of, the metrics, and their numbers of samples ("" for the others)."""
    if part == "metrics":
        yield (), e.metrics, {}
    elif part == "classes":
        for name, metrics in e.per_class.items():
            yield (name,), metrics, {}
    elif part == "subgroups":
        for s in e.subgroups:
            yield (s.column, s.value), s.metrics, {"auroc": s.n_samples, "": s.n_all}
    elif part == "operating points":
        for point in e.operating_points:
            yield (point.held, point.target), point.metrics, {}
    else:
        for centre in e.centres.each if e.centres else ():
            yield (centre.name,), {"auroc": centre.auroc}, {"": centre.n_samples}


def _make_frame(rows: list[dict[str, Any]], about: list[str], part: Part) -> pd.DataFrame:
    types = _TYPES | ({"target": float} if part == "operating points" else {})
    return _frame(rows, [*about, *_OF_PART[part], *_COLUMNS]).astype(types)


def _frame(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    frame = text_frame(
        {name: np.array([row[name] for row in rows], dtype=object) for name in columns}
    )
    return frame if rows else frame.astype(str)  # As columns of texts with rows are.
