"""A comparison as tables: for programs, for a manuscript, for a terminal."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bottleneck import __version__
from bottleneck.evaluation.results import Comparison, Evaluation, Metric
from bottleneck.report.provenance import plain, visible, without_paths

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

__all__ = [
    "METRICS",
    "csv_table",
    "format_metric",
    "markdown_table",
    "metric_label",
    "metric_names",
    "n_samples",
    "predictions_frame",
    "results",
    "summary_table",
]

#: The usual metrics in the order in which tables show them.
METRICS = {
    "auroc": "AUROC",
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "ppv": "PPV",
    "npv": "NPV",
    "f1": "F1",
}


def metric_names(comparison: Comparison) -> tuple[str, ...]:
    """Return the metrics that any arm has: the usual ones first, then the others."""
    found = dict.fromkeys(name for e in comparison.evaluations for name in e.metrics)
    return (*(n for n in METRICS if n in found), *(n for n in found if n not in METRICS))


def metric_label(name: str) -> str:
    """Return the name of a metric as a reader expects it."""
    return METRICS.get(name, name.replace("_", " ").capitalize())


def n_samples(evaluation: Evaluation) -> int:
    """Count the samples an arm was tested on; repeats do not count twice."""
    return len(np.unique(evaluation.predictions.ids))


def format_metric(metric: Metric | None) -> str:
    """Write a figure with three decimals, and its interval where there is one."""
    if metric is None or math.isnan(metric.value):
        return "n/a"
    if metric.low is None or metric.high is None:
        return f"{metric.value:.3f}"
    return f"{metric.value:.3f} [{metric.low:.3f}, {metric.high:.3f}]"


def results(comparison: Comparison) -> dict[str, Any]:
    """Return all figures as strict JSON can hold them.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    dict
        ``format`` is 1. Undefined figures are None. Holds neither samples nor absolute paths.
    """
    arms = [
        {
            "name": e.name,
            "backbone": e.backbone,
            "weights": e.weights,
            "head": e.head,
            "n": n_samples(e),
            "metrics": {
                name: {"value": m.value, "low": m.low, "high": m.high, "method": m.method}
                for name, m in e.metrics.items()
            },
            "confusion": e.confusion,
            "chosen": e.chosen,
            "seconds": e.seconds,
        }
        for e in comparison.evaluations
    ]
    differences = [
        {
            "a": d.a,
            "b": d.b,
            "metric": d.metric,
            "difference": d.value,
            "low": d.low,
            "high": d.high,
            "p": d.p,
            "p_adjusted": d.p_adjusted,
            "method": d.method,
        }
        for d in comparison.differences
    ]
    return plain(
        {
            "format": 1,
            "bottleneck": __version__,
            "dataset": comparison.dataset,
            "protocol": comparison.protocol,
            "classes": comparison.classes,
            "positive": comparison.positive,
            "warnings": plain(comparison.warnings, without_paths),
            "arms": arms,
            "comparisons": differences,
            "features": plain(comparison.features, without_paths),
        }
    )


def predictions_frame(comparison: Comparison) -> pd.DataFrame:
    """Stack the predictions of all arms: arm, then the columns of ``Predictions.to_frame``."""
    import pandas as pd

    frames = [e.predictions.to_frame() for e in comparison.evaluations]
    for frame, evaluation in zip(frames, comparison.evaluations, strict=True):
        frame.insert(0, "arm", evaluation.name)
    return pd.concat(frames, ignore_index=True)


def csv_table(comparison: Comparison) -> str:
    """Write one line an arm with three decimals, and bounds in columns of their own.

    Warnings come first, each a line that begins with ``#``: read the table with
    ``pandas.read_csv(path, comment="#")``.
    """
    names = metric_names(comparison)
    bounded = [n for n in names if any(_bounds(e, n) for e in comparison.evaluations)]
    out = io.StringIO()
    for warning in comparison.warnings:
        out.write(f"# {_one_line(warning)}\n")
    writer = csv.writer(out, lineterminator="\n")
    header = ["arm", "n", "positive"]
    for name in names:
        header += [name, f"{name}_low", f"{name}_high"] if name in bounded else [name]
    writer.writerow(header)
    for e in comparison.evaluations:
        row = [e.name, str(n_samples(e)), comparison.positive or ""]
        for name in names:
            metric = e.metrics.get(name)
            row.append("" if metric is None or math.isnan(metric.value) else f"{metric.value:.3f}")
            if name in bounded:
                row += [f"{bound:.3f}" for bound in _bounds(e, name)] or ["", ""]
        writer.writerow(row)
    return out.getvalue()


def markdown_table(comparison: Comparison) -> str:
    """Write one line an arm for a README or a manuscript; warnings come first."""
    names = metric_names(comparison)
    lines = [f"> **{_markdown(_one_line(w))}**\n>" for w in comparison.warnings]
    if lines:
        lines[-1] = lines[-1].removesuffix("\n>")
        lines.append("")
    lines.append("| " + " | ".join(["Arm", "n", *(metric_label(n) for n in names)]) + " |")
    lines.append("| --- |" + " ---: |" * (len(names) + 1))
    for e in comparison.evaluations:
        cells = [_markdown(visible(e.name)), str(n_samples(e))]
        cells += [format_metric(e.metrics.get(n)) for n in names]
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", _markdown(_caption(comparison)), ""]
    return "\n".join(lines)


def summary_table(comparison: Comparison) -> Table:
    """Make the table that a terminal of 80 columns shows.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    rich.table.Table
        Arm, n and at most four metrics, each with its interval below it where there is one;
        long arm names fold, figures are never cut.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    binary = ("auroc", "accuracy", "sensitivity", "specificity")
    wanted = binary if comparison.positive else ("auroc", "accuracy", "balanced_accuracy", "f1")
    names = [n for n in wanted if n in metric_names(comparison)]
    table = Table(
        box=box.SIMPLE_HEAD,
        caption=Text(_caption(comparison)),
        caption_justify="left",
        pad_edge=False,
    )
    table.add_column("Arm", overflow="fold", min_width=12)
    table.add_column("n", justify="right", no_wrap=True)
    for name in names:
        table.add_column(
            metric_label(name).replace("Balanced", "Bal."), justify="right", no_wrap=True
        )
    for e in comparison.evaluations:
        figures = (e.metrics.get(n) for n in names)
        table.add_row(
            Text(visible(e.name)),
            str(n_samples(e)),
            *(Text(_over_two_lines(m)) for m in figures),
        )
    return table


def _over_two_lines(metric: Metric | None) -> str:
    figure = format_metric(None if metric is None else Metric(metric.value))
    if metric is None or metric.low is None or metric.high is None:
        return figure
    return f"{figure}\n{metric.low:.2f}–{metric.high:.2f}"


def _caption(comparison: Comparison) -> str:
    """Say what the figures of a table are about: data set, samples, positive class."""
    patients = comparison.dataset["n_patients"]
    parts = [
        f"Data set {comparison.dataset['name']}",
        f"{comparison.dataset['n_samples']} samples",
        *([f"{patients} patients"] if patients else []),
        f"positive class: {comparison.positive}"
        if comparison.positive
        else f"{len(comparison.classes)} classes",
    ]
    return visible(", ".join(parts)) + "."


def _bounds(evaluation: Evaluation, name: str) -> Sequence[float]:
    metric = evaluation.metrics.get(name)
    if metric is None or metric.low is None or metric.high is None:
        return ()
    return metric.low, metric.high


def _one_line(text: str) -> str:
    return visible(" ".join(without_paths(text).split()))


def _markdown(text: str) -> str:
    return re.sub(r"([\\`*\[\]<>|])", r"\\\1", text)
