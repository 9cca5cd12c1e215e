"""Forest plots: differences between arms, and between internal and external performance."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from itertools import groupby

import numpy as np

from bottleneck.evaluation.metrics.metric_values import Difference, Metric
from bottleneck.evaluation.results.result_parts import Drop, MarginResults, MarginTest
from bottleneck.report.wording.labels import metric_names

__all__ = [
    "DifferenceTable",
    "DropTable",
    "MarginPlot",
    "Span",
    "difference_spans",
    "difference_tables",
    "drop_tables",
    "margin_plot",
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
    """The differences of one metric between all pairs of arms.

    Attributes
    ----------
    metric : str
        Name of the metric.
    primary : bool
        Whether this is the primary comparison of the protocol.
    limit : float
        The axis of the forest plot runs from -limit to +limit; 0 without intervals.
    groups : list of list of (Difference, Span or None)
        The pairs, grouped by their first arm.
    tested, adjusted : bool
        Whether any pair has a p value, and an adjusted p value.
    methods : tuple of str
        Names of the intervals and tests.
    varied : bool
        Whether the pairs were compared in different numbers of repeats.
    """

    metric: str
    primary: bool
    limit: float
    groups: list[list[tuple[Difference, Span | None]]]
    tested: bool
    adjusted: bool
    methods: tuple[str, ...]
    varied: bool


@dataclasses.dataclass(frozen=True)
class DropTable:
    """The internal and external performance of all arms in one metric.

    Attributes
    ----------
    metric : str
        Name of the metric.
    limit : float
        The axis of the forest plot runs from -limit to +limit; 0 without intervals.
    rows : list of (Drop, Span or None)
        One per arm.
    methods : tuple of str
        Names of the intervals of the differences.
    """

    metric: str
    limit: float
    rows: list[tuple[Drop, Span | None]]
    methods: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class MarginPlot:
    """Forest plot of tests for non-inferiority.

    Attributes
    ----------
    limit : float
        The axis runs from -limit to +limit.
    margin : float
        Position of -margin on the axis, which runs from 0 to 1.
    spans : list of Span or None
        One per test.
    """

    limit: float
    margin: float
    spans: list[Span | None]


def margin_plot(results: MarginResults) -> MarginPlot:
    """Place the differences to the reference on an axis that shows the margin."""
    # The margin itself takes part in the choice of the axis.
    loss = Metric(-results.margin, -results.margin, -results.margin)
    limit, (own, *spans) = difference_spans([loss, *results.tests])
    return MarginPlot(limit, 0.0 if own is None else own.value, spans)


def difference_tables(differences: Sequence[Difference]) -> list[DifferenceTable]:
    """Return one table per role and metric, the primary ones first."""
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
                varied=len({d.repeats for d in pairs}) > 1,
            )
        )
    return tables


def drop_tables(drops: Sequence[Drop]) -> list[DropTable]:
    """Return one table per metric."""
    tables = []
    for metric in metric_names({d.metric: d.inside} for d in drops):
        rows = [d for d in drops if d.metric == metric]
        limit, spans = difference_spans([d.difference for d in rows])
        pairs = list(zip(rows, spans, strict=True))
        tables.append(DropTable(metric, limit, pairs, _methods(d.difference for d in rows)))
    return tables


def difference_spans(
    differences: Sequence[Difference | Metric | MarginTest],
) -> tuple[float, list[Span | None]]:
    """Place differences on one axis that is symmetric about zero.

    Parameters
    ----------
    differences : sequence of Difference, Metric or MarginTest
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


def _methods(differences: Iterable[Difference | Metric]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(d.method for d in differences if d.method))
