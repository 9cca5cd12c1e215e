"""Tables of a comparison: for a manuscript, for a spreadsheet and for the terminal."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bottleneck.evaluation.best_arm import best_arm
from bottleneck.evaluation.methods_text import describe_target
from bottleneck.evaluation.metrics.metric_values import Metric
from bottleneck.evaluation.result_parts import ArmChoice
from bottleneck.evaluation.results import Comparison, Evaluation, External
from bottleneck.report.json_record import results
from bottleneck.report.wording.labels import (
    METRICS,
    accuracy_note,
    caveats,
    metric_label,
    metric_names,
    n_samples,
)
from bottleneck.report.wording.number_format import bounds, dagger, signed, tenth, three
from bottleneck.text.plain_text import visible, without_paths
from bottleneck.text.plurals import counted
from bottleneck.text.table_text import csv_text, markdown_text

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

__all__ = [
    "benefit_table",
    "centres_table",
    "csv_table",
    "external_predictions_frame",
    "external_table",
    "format_metric",
    "inner_frame",
    "markdown_table",
    "own_tables",
    "predictions_frame",
    "results",
    "row_shares",
    "summary_table",
]

# Metrics in a table for the terminal.
_N_COLUMNS = 4
_NEW_CENTRE = " For a new centre: the mean and a 95 % prediction interval, which is approximate."


def format_metric(metric: Metric | None) -> str:
    """Format a metric with three decimals, and its interval if it has one."""
    if metric is None or math.isnan(metric.value):
        return "n/a"
    return f"{metric.text}{dagger(metric)}"


def predictions_frame(evaluations: Sequence[Evaluation]) -> pd.DataFrame:
    """Return the predictions of all arms: "arm", then the columns of ``Predictions.to_frame``."""
    import pandas as pd

    frames = [e.predictions.to_frame() for e in evaluations]
    for frame, evaluation in zip(frames, evaluations, strict=True):
        frame.insert(0, "arm", evaluation.name)
    return pd.concat(frames, ignore_index=True)


def external_predictions_frame(comparison: Comparison) -> pd.DataFrame:
    """Return the predictions on all external cohorts: "cohort", then as ``predictions_frame``."""
    import pandas as pd

    frames = [predictions_frame(external.evaluations) for external in comparison.external]
    for frame, external in zip(frames, comparison.external, strict=True):
        frame.insert(0, "cohort", external.dataset["name"])
    return pd.concat(frames, ignore_index=True)


def inner_frame(comparison: Comparison) -> pd.DataFrame:
    """Return the scores on which thresholds and calibrations are set.

    Parameters
    ----------
    comparison : Comparison
        Result of ``compare``.

    Returns
    -------
    DataFrame
        Columns arm, repeat, fold, id, group, label and score_<class> for every class. The rows of
        a repeat and fold are the training set of that test fold, with the out-of-fold scores of
        its inner folds; for a trained network they are its validation set. Arms without inner
        scores have no rows. With ``unit`` "patient", a row is a patient.
    """
    import pandas as pd

    frames = [
        part.to_frame().drop(columns="predicted").assign(arm=name)
        for name, parts in comparison.inner.items()
        for part in parts
    ]
    named = ["arm", "repeat", "fold", "id", "group", "label"]
    scores = [f"score_{name}" for name in comparison.classes]
    if not frames:
        return pd.DataFrame(columns=[*named, *scores])
    return pd.concat(frames, ignore_index=True)[[*named, *scores]]


def csv_table(comparison: Comparison) -> str:
    """Return the table as CSV: one line per arm, three decimals, bounds in their own columns.

    The last column repeats the warnings, so that a row that is copied keeps them. The text begins
    with a byte order mark, without which Excel does not read UTF-8.
    """
    names = metric_names(e.metrics for e in comparison.evaluations)
    bounded = [n for n in names if any(_bounds(e, n) for e in comparison.evaluations)]
    warnings = " | ".join(map(_one_line, comparison.warnings))
    repeated = any(_spread(e) for e in comparison.evaluations)
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
            row += [f"{value:.3f}" for value in _spread(e)] or ["", ""]
        rows.append([*row, warnings])
    return csv_text(rows, bom=True)


def markdown_table(comparison: Comparison) -> str:
    """Return the table as Markdown: one line per arm, after the warnings.

    Each external cohort has a table of its own below.
    """
    lines = [f"> **{markdown_text(_one_line(w))}**\n>" for w in comparison.warnings]
    if lines:
        lines[-1] = lines[-1].removesuffix("\n>")
        lines.append("")
    lines += _markdown_rows(comparison.evaluations)
    every = [e.metrics for e in comparison.evaluations]
    note = _repeats_note(comparison.evaluations, "In parentheses")
    lines += ["", markdown_text(_caption(comparison) + note + _dagger_note(every)), ""]
    for external in comparison.external:
        lines += [
            *_markdown_rows(external.evaluations),
            "",
            markdown_text(
                _external_caption(external)
                + _dagger_note([e.metrics for e in external.evaluations])
            ),
            "",
        ]
    return "\n".join(lines)


def summary_table(comparison: Comparison) -> Table:
    """Return the table for a terminal of 80 columns.

    Parameters
    ----------
    comparison : Comparison
        Result of ``compare``.

    Returns
    -------
    rich.table.Table
        Arm, n and at most four metrics, with their intervals below them. Long names of arms
        are folded; numbers are never cut.
    """
    return _terminal_table(comparison.evaluations, comparison.positive, _caption(comparison))


def external_table(external: External) -> Table:
    """Return the table of an external cohort for a terminal of 80 columns.

    Parameters
    ----------
    external : External
        Evaluation on an external cohort.

    Returns
    -------
    rich.table.Table
        As for ``summary_table``.
    """
    return _terminal_table(
        external.evaluations, external.dataset["positive"], _external_caption(external)
    )


def centres_table(comparison: Comparison) -> Table | None:
    """Return the table of the centres for a terminal: AUROCs of the best arm.

    Parameters
    ----------
    comparison : Comparison
        Result of ``compare``.

    Returns
    -------
    rich.table.Table or None
        One row per centre, and one for a new centre; None if no centres were left out.
    """

    from bottleneck.report.terminal import WIDTH, make_table

    best = best_arm(comparison.evaluations)
    if best is None or best.centres is None:
        return None
    found = best.centres
    caption = f"AUROC of {visible(best.name)} in each centre, trained on the others."
    caption += f" There is {found.note}." if found.note else _NEW_CENTRE
    table = make_table(caption=caption + _dagger_note(found.each), min_width=WIDTH)
    table.add_column("Centre", overflow="fold")
    for name in ("n", "Patients", "AUROC"):
        table.add_column(name, justify="right", no_wrap=True)
    for centre in found.each:
        patients = "–" if centre.n_patients is None else str(centre.n_patients)
        row = (str(centre.n_samples), patients, format_metric(centre.auroc))
        table.add_row(centre.name, *row)
    if found.new_centre is not None:
        table.add_row("a new centre", "", "", format_metric(found.new_centre))
    return table


def benefit_table(evaluations: Sequence[Evaluation]) -> Table | None:
    """Return the net benefit at the stated threshold for a terminal; None if none was stated."""
    from rich.text import Text

    from bottleneck.report.terminal import make_table

    known = [(e, one) for e in evaluations for one in e.net_benefits if one.stated]
    if not known:
        return None
    at = known[0][1].threshold
    everyone = known[0][1].everyone
    caption = (
        f"Net benefit of acting from a probability of {at:.4g} on, in true positives per sample. "
        f"That of acting on everyone is {signed(everyone.value)}, and that of acting on nobody 0."
    )
    shown = [(one.model, one.over_everyone, one.avoided) for _, one in known]
    table = make_table(caption=caption + _dagger_note(shown))
    table.add_column("Arm", overflow="fold", min_width=12)
    for name in ("Net benefit", "Above everyone", "Needless actions\navoided of 100"):
        table.add_column(name, justify="right")
    for (e, _), (model, over, avoided) in zip(known, shown, strict=True):
        cells = [_change(model), _change(over), _change(avoided, tenth)]
        table.add_row(e.name, *map(Text, cells))
    return table


def _change(metric: Metric, number: Callable[[float], str] = signed) -> str:
    """Return a value that can be negative, and its bounds on a second line."""
    if metric.low is None or metric.high is None:
        return number(metric.value)
    bounds = f"{number(metric.low)} to {number(metric.high)}"
    return f"{number(metric.value)}\n{bounds}{dagger(metric)}"


def row_shares(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return each cell of a confusion matrix as a share of its row; 0 in a row without samples."""
    totals = confusion.sum(axis=1, keepdims=True)
    return confusion / np.maximum(totals, 1)


def _markdown_rows(evaluations: Sequence[Evaluation]) -> list[str]:
    names = metric_names(e.metrics for e in evaluations)
    lines = ["| " + " | ".join(["Arm", "n", *(metric_label(n) for n in names)]) + " |"]
    lines.append("| --- |" + " ---: |" * (len(names) + 1))
    for e in evaluations:
        cells = [markdown_text(e.name), str(n_samples(e))]
        cells += [
            format_metric(e.metrics.get(n)) + _in_parentheses(_spread(e) if n == "auroc" else ())
            for n in names
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _terminal_table(evaluations: Sequence[Evaluation], positive: str | None, caption: str) -> Table:
    binary = ("auroc", "accuracy", "sensitivity", "specificity")
    wanted = binary if positive else ("auroc", "accuracy", "balanced_accuracy", "f1")
    names = [n for n in wanted if n in metric_names(e.metrics for e in evaluations)]
    return _arms_table(evaluations, names, caption)


def own_tables(evaluations: Sequence[Evaluation]) -> list[Table]:
    """Return the tables of the user's own metrics for a terminal, with four metrics each."""
    names = [n for n in metric_names(e.metrics for e in evaluations) if n not in METRICS]
    parts = [names[n : n + _N_COLUMNS] for n in range(0, len(names), _N_COLUMNS)]
    return [_arms_table(evaluations, part, "Metrics of your own.") for part in parts]


def _arms_table(evaluations: Sequence[Evaluation], names: Sequence[str], caption: str) -> Table:
    from rich.text import Text

    from bottleneck.report.terminal import make_table

    shown = [e.metrics.get(n) for e in evaluations for n in names]
    note = _repeats_note(evaluations, "Third line") if "auroc" in names else ""
    table = make_table(caption=caption + note + _dagger_note(shown))
    table.add_column("Arm", overflow="fold", min_width=12)
    table.add_column("n", justify="right", no_wrap=True)
    for name in names:
        label = visible(metric_label(name)).replace("Balanced", "Bal.")
        table.add_column(Text(label), justify="right", no_wrap=name in METRICS)
    for e in evaluations:
        cells = [_over_lines(e.metrics.get(n), _spread(e) if n == "auroc" else ()) for n in names]
        table.add_row(e.name, str(n_samples(e)), *map(Text, cells))
    return table


def _over_lines(metric: Metric | None, spread: Sequence[float]) -> str:
    lines = [format_metric(None if metric is None else Metric(metric.value))]
    if metric is not None and metric.low is not None and metric.high is not None:
        lines.append(f"{metric.low:.2f}–{metric.high:.2f}{dagger(metric)}")
    if spread:
        lines.append("–".join(f"{value:.2f}" for value in spread))
    return "\n".join(lines)


def _in_parentheses(spread: Sequence[float]) -> str:
    return f" ({'–'.join(f'{value:.3f}' for value in spread)})" if spread else ""


def _spread(evaluation: Evaluation) -> tuple[float, ...]:
    """Return the lowest and the highest AUROC of the repeats; none where they do not differ."""
    metric = evaluation.metrics.get("auroc")
    if metric is None or metric.spread is None or metric.spread[0] == metric.spread[1]:
        return ()
    return metric.spread


def _repeats_note(evaluations: Sequence[Evaluation], where: str) -> str:
    n = max(e.predictions.n_repeats for e in evaluations)
    if not any(map(_spread, evaluations)):
        return ""
    return (
        f" Values are means over {n} repeats. {where}: the lowest and the highest AUROC of one "
        "repeat."
    )


def _caption(comparison: Comparison) -> str:
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


def _choice_note(choice: ArmChoice | None) -> str:
    """Return the interval of the highest AUROC that allows for the choice."""
    if choice is None:
        return ""
    return (
        f" The highest AUROC is {three(choice.of_best.value)}, with an interval of "
        f"{bounds(choice.of_best)} that allows for the choice among {choice.n_arms} arms."
    )


def _external_caption(external: External) -> str:
    cohort = visible(_cohort(external.dataset))
    caption = (
        f"External cohort {cohort}: tested once, with heads trained on all of the first cohort."
    )
    return caption + _accuracy_note(external.evaluations)


def _accuracy_note(evaluations: Sequence[Evaluation]) -> str:
    note = accuracy_note(evaluations)
    return f" {visible(note)}" if note else ""


def _dagger_note(shown: Any) -> str:
    """Return what the dagger in a table means, for the metrics that it shows."""
    texts = caveats(shown)
    return f" † estimate only: {'; '.join(texts)}." if texts else ""


def _cohort(dataset: Mapping[str, Any]) -> str:
    patients = dataset["n_patients"]
    parts = [dataset["name"], counted(dataset["n_samples"], "sample")]
    return ", ".join([*parts, counted(patients, "patient")] if patients else parts)


def _bounds(evaluation: Evaluation, name: str) -> Sequence[float]:
    metric = evaluation.metrics.get(name)
    if metric is None or metric.low is None or metric.high is None:
        return ()
    return metric.low, metric.high


def _one_line(text: str) -> str:
    return visible(" ".join(without_paths(text).split()))
