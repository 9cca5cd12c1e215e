"""Forest plots: differences between arms, and between internal and external performance."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from itertools import groupby

import numpy as np

from bottleneck.evaluation.metrics.metric_values import Difference, Metric
from bottleneck.evaluation.results import Drop
from bottleneck.report.labels import metric_names

__all__ = [
    "DifferenceTable",
    "DropTable",
    "Span",
    "difference_spans",
    "difference_tables",
    "drop_tables",
]


@dataclasses.dataclass(frozen=True)
class Span:
    """Position of a difference and its interval on the axis of a forest plot.

    The axis runs from 0 to 1; a difference of zero is at 0.5.
    """

    low: float
    value: float
    high: float


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
    tables = []
    kinds = dict.fromkeys((d.role, d.metric) for d in differences)
    for role, metric in sorted(kinds, key=lambda kind: kind[0] != "primary"):
        pairs = [d for d in differences if (d.role, d.metric) == (role, metric)]
        limit, spans = difference_spans(pairs)
        runs = groupby(zip(pairs, spans, strict=True), key=lambda row: row[0].a)
        tables.append(
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
    return tables


def drop_tables(drops: Sequence[Drop]) -> list[DropTable]:
    """Sort drops by metric, and place them on the axes of their forest plots."""
    tables = []
    for metric in metric_names({d.metric: d.inside} for d in drops):
        rows = [d for d in drops if d.metric == metric]
        limit, spans = difference_spans([d.difference for d in rows])
        pairs = list(zip(rows, spans, strict=True))
        tables.append(DropTable(metric, limit, pairs, _methods(d.difference for d in rows)))
    return tables


def difference_spans(differences: Sequence[Difference | Metric]) -> tuple[float, list[Span | None]]:
    """Place differences on one axis that is symmetric about zero.

    Parameters
    ----------
    differences : sequence of Difference or Metric
        Differences of one metric.

    Returns
    -------
    limit : float
        The axis runs from -limit to +limit; 0 if no difference has an interval.
    spans : list of Span or None
        One per difference; None for a difference without an interval.
    """
    bounds = [(d.low, d.value, d.high) for d in differences]
    known = [abs(x) for b in bounds if None not in b for x in b if x is not None]
    if not known or not np.isfinite(known).all():
        return 0.0, [None] * len(bounds)
    limit = max(0.05, np.ceil(max(known) * 20) / 20)
    return limit, [
        None
        if low is None or high is None
        else Span(*(0.5 + x / (2 * limit) for x in (low, value, high)))
        for low, value, high in bounds
    ]


def _methods(figures: Iterable[Difference | Metric]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(f.method for f in figures if f.method))
