"""Differences laid out for the page: between arms, and between inside and outside."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from itertools import groupby

from bottleneck.evaluation.metrics.metric_values import Difference, Metric
from bottleneck.evaluation.results import Drop
from bottleneck.report.figures import Span, difference_spans
from bottleneck.report.labels import metric_names

__all__ = ["DifferenceTable", "DropTable", "difference_tables", "drop_tables"]


@dataclasses.dataclass(frozen=True)
class DifferenceTable:
    """All pairs of arms for one metric.

    Attributes
    ----------
    metric : str
    primary : bool
        Whether its p-values are those that the protocol named beforehand.
    limit : float
        The axis of the forest plot reaches from minus to plus this; 0 without intervals.
    groups : list of list of (Difference, Span or None)
        One list for each run of pairs with the same first arm.
    tested, adjusted : bool
        Whether any pair has a p-value, and an adjusted one.
    methods : tuple of str
        How the intervals and p-values were computed.
    """

    metric: str
    primary: bool
    limit: float
    groups: list[list[tuple[Difference, Span | None]]]
    tested: bool
    adjusted: bool
    methods: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class DropTable:
    """One metric of all arms, inside and outside.

    Attributes
    ----------
    metric : str
    limit : float
        The axis of the forest plot reaches from minus to plus this; 0 without intervals.
    rows : list of (Drop, Span or None)
    methods : tuple of str
        How the intervals of the differences were computed.
    """

    metric: str
    limit: float
    rows: list[tuple[Drop, Span | None]]
    methods: tuple[str, ...]


def difference_tables(differences: Sequence[Difference]) -> list[DifferenceTable]:
    """Sort differences by role and metric, the primary ones first, and place them on axes."""
    found = []
    kinds = dict.fromkeys((d.role, d.metric) for d in differences)
    for role, metric in sorted(kinds, key=lambda kind: kind[0] != "primary"):
        pairs = [d for d in differences if (d.role, d.metric) == (role, metric)]
        limit, spans = difference_spans(pairs)
        runs = groupby(zip(pairs, spans, strict=True), key=lambda row: row[0].a)
        found.append(
            DifferenceTable(
                metric=metric,
                primary=role == "primary",
                limit=limit,
                groups=[list(run) for _, run in runs],
                tested=any(d.p is not None for d in pairs),
                adjusted=any(d.p_adjusted is not None for d in pairs),
                methods=_methods(pairs),
            )
        )
    return found


def drop_tables(drops: Sequence[Drop]) -> list[DropTable]:
    """Sort drops by metric, and place them on the axes of their forest plots."""
    found = []
    for metric in metric_names({d.metric: d.inside} for d in drops):
        rows = [d for d in drops if d.metric == metric]
        limit, spans = difference_spans([d.difference for d in rows])
        pairs = list(zip(rows, spans, strict=True))
        found.append(DropTable(metric, limit, pairs, _methods(d.difference for d in rows)))
    return found


def _methods(figures: Iterable[Difference | Metric]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(f.method for f in figures if f.method))
