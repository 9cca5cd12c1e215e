"""Tables of a comparison as CSV and as Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bottleneck.evaluation.results.comparison_results import Comparison, Evaluation
from bottleneck.report.tables.table_captions import (
    dagger_note,
    describe_cohort,
    describe_comparison,
    repeats_note,
    repeats_spread,
)
from bottleneck.report.wording.labels import metric_label, metric_names, n_samples
from bottleneck.report.wording.number_format import format_metric
from bottleneck.text.plain_text import visible, without_paths
from bottleneck.text.table_text import csv_text, markdown_text

__all__ = ["csv_table", "markdown_table"]


def csv_table(comparison: Comparison) -> str:
    """Return the table as CSV: one line per arm, three decimals, bounds in their own columns.

    The last column repeats the warnings, so that a row that is copied keeps them. The text begins
    with a byte order mark, without which Excel does not read UTF-8.
    """
    names = metric_names(e.metrics for e in comparison.evaluations)
    bounded = [n for n in names if any(_bounds(e, n) for e in comparison.evaluations)]
    warnings = " | ".join(_one_line(one.with_code) for one in comparison.warnings)
    repeated = any(repeats_spread(e) for e in comparison.evaluations)
    header = ["arm", "n", "positive"]
    for name in names:
        header += [name, f"{name}_low", f"{name}_high"] if name in bounded else [name]
    header += ["auroc_lowest_repeat", "auroc_highest_repeat"] if repeated else []
    rows = [[*header, "warnings"]]
    for e in comparison.evaluations:
        row = [e.name, str(n_samples(e)), comparison.positive or ""]
        for name in names:
            metric = e.metrics.get(name)
            row.append("" if metric is None or math.isnan(metric.value) else f"{metric.value:.3f}")
            if name in bounded:
                row += [f"{bound:.3f}" for bound in _bounds(e, name)] or ["", ""]
        if repeated:
            row += [f"{value:.3f}" for value in repeats_spread(e)] or ["", ""]
        rows.append([*row, warnings])
    return csv_text(rows, bom=True)


def markdown_table(comparison: Comparison) -> str:
    """Return the table as Markdown: one line per arm, after the warnings.

    Each external cohort has a table of its own below.
    """
    lines = [f"> **{markdown_text(_one_line(w.with_code))}**\n>" for w in comparison.warnings]
    if lines:
        lines[-1] = lines[-1].removesuffix("\n>")
        lines.append("")
    lines += _markdown_rows(comparison.evaluations)
    every = [e.metrics for e in comparison.evaluations]
    note = repeats_note(comparison.evaluations, "In parentheses")
    lines += ["", markdown_text(describe_comparison(comparison) + note + dagger_note(every)), ""]
    for external in comparison.external:
        lines += [
            *_markdown_rows(external.evaluations),
            "",
            markdown_text(
                describe_cohort(external) + dagger_note([e.metrics for e in external.evaluations])
            ),
            "",
        ]
    return "\n".join(lines)


def _markdown_rows(evaluations: Sequence[Evaluation]) -> list[str]:
    names = metric_names(e.metrics for e in evaluations)
    lines = ["| " + " | ".join(["Arm", "n", *(metric_label(n) for n in names)]) + " |"]
    lines.append("| --- |" + " ---: |" * (len(names) + 1))
    for e in evaluations:
        cells = [markdown_text(e.name), str(n_samples(e))]
        cells += [
            format_metric(e.metrics.get(n))
            + _in_parentheses(repeats_spread(e) if n == "auroc" else ())
            for n in names
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _in_parentheses(spread: Sequence[float]) -> str:
    return f" ({'–'.join(f'{value:.3f}' for value in spread)})" if spread else ""


def _bounds(evaluation: Evaluation, name: str) -> Sequence[float]:
    metric = evaluation.metrics.get(name)
    if metric is None or metric.low is None or metric.high is None:
        return ()
    return metric.low, metric.high


def _one_line(text: str) -> str:
    return visible(" ".join(without_paths(text).split()))
