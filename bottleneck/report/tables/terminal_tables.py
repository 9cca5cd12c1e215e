"""Tables of a comparison for a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from bottleneck.evaluation.analyses.best_arm import best_arm
from bottleneck.evaluation.metrics.metric_values import Metric
from bottleneck.evaluation.results.comparison_results import Comparison, Evaluation, External
from bottleneck.evaluation.results.result_parts import MarginResults
from bottleneck.report.tables.table_captions import (
    dagger_note,
    describe_cohort,
    describe_comparison,
    repeats_note,
    repeats_spread,
)
from bottleneck.report.wording.labels import METRICS, metric_label, metric_names, n_samples
from bottleneck.report.wording.number_format import dagger, format_metric, p_value, signed, tenth
from bottleneck.report.wording.verdicts import LEVEL, doubt_reference
from bottleneck.text.plain_text import visible
from bottleneck.text.plurals import counted

if TYPE_CHECKING:
    from rich.table import Table

__all__ = [
    "benefit_table",
    "centres_table",
    "external_table",
    "margin_table",
    "own_tables",
    "summary_table",
]

# Metrics in a table for the terminal.
_N_COLUMNS = 4
_NEW_CENTRE = " For a new centre: the mean and a 95 % prediction interval, which is approximate."


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
    return _terminal_table(
        comparison.evaluations, comparison.positive, describe_comparison(comparison)
    )


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
        external.evaluations, external.dataset["positive"], describe_cohort(external)
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
    table = make_table(caption=caption + dagger_note(found.each), min_width=WIDTH)
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
    table = make_table(caption=caption + dagger_note(shown))
    table.add_column("Arm", overflow="fold", min_width=12)
    for name in ("Net benefit", "Above everyone", "Needless actions\navoided per 100"):
        table.add_column(name, justify="right")
    for (e, _), (model, over, avoided) in zip(known, shown, strict=True):
        cells = [_change(model), _change(over), _change(avoided, tenth)]
        table.add_row(e.name, *map(Text, cells))
    return table


def margin_table(results: MarginResults) -> Table:
    """Return the tests for non-inferiority as a table for a terminal of 80 columns."""
    from bottleneck.report.terminal import WIDTH, make_table

    n = len(results.tests)
    several = f", adjusted for {counted(n, 'arm')}" if n > 1 else ""
    doubtful = any("estimate only" in test.method for test in results.tests)
    table = make_table(
        "",
        f"Non-inferiority to {results.reference}, margin {results.margin:g}",
        caption=(
            f"AUROC minus that of {visible(results.reference)}, with its 95 % interval. "
            f"p: one-sided, of a loss of {results.margin:g} or more{several}; below {LEVEL:g}, "
            f"the arm is non-inferior.{doubt_reference(results, ' ')}"
            f"{' † estimate only.' if doubtful else ''}"
        ),
        min_width=WIDTH,
    )
    table.add_column("Arm", overflow="fold", min_width=12)
    for name in ("Difference", "95 % interval", "p"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("Verdict", overflow="fold", min_width=12)
    for test in results.tests:
        mark = "†" if "estimate only" in test.method else ""
        table.add_row(
            test.arm,
            signed(test.value),
            f"{signed(test.low)} to {signed(test.high)}{mark}",
            p_value(test.p_adjusted, LEVEL),
            test.verdict,
        )
    return table


def own_tables(evaluations: Sequence[Evaluation]) -> list[Table]:
    """Return the tables of the user's own metrics for a terminal, with four metrics each."""
    names = [n for n in metric_names(e.metrics for e in evaluations) if n not in METRICS]
    parts = [names[n : n + _N_COLUMNS] for n in range(0, len(names), _N_COLUMNS)]
    return [_arms_table(evaluations, part, "Metrics of your own.") for part in parts]


def _terminal_table(evaluations: Sequence[Evaluation], positive: str | None, caption: str) -> Table:
    binary = ("auroc", "accuracy", "sensitivity", "specificity")
    wanted = binary if positive else ("auroc", "accuracy", "balanced_accuracy", "f1")
    names = [n for n in wanted if n in metric_names(e.metrics for e in evaluations)]
    return _arms_table(evaluations, names, caption)


def _arms_table(evaluations: Sequence[Evaluation], names: Sequence[str], caption: str) -> Table:
    from rich.text import Text

    from bottleneck.report.terminal import make_table

    shown = [e.metrics.get(n) for e in evaluations for n in names]
    note = repeats_note(evaluations, "Third line") if "auroc" in names else ""
    table = make_table(caption=caption + note + dagger_note(shown))
    table.add_column("Arm", overflow="fold", min_width=12)
    table.add_column("n", justify="right", no_wrap=True)
    for name in names:
        label = visible(metric_label(name)).replace("Balanced", "Bal.")
        table.add_column(Text(label), justify="right", no_wrap=name in METRICS)
    for e in evaluations:
        cells = [
            _over_lines(e.metrics.get(n), repeats_spread(e) if n == "auroc" else ()) for n in names
        ]
        table.add_row(e.name, str(n_samples(e)), *map(Text, cells))
    return table


def _over_lines(metric: Metric | None, spread: Sequence[float]) -> str:
    lines = [format_metric(None if metric is None else Metric(metric.value))]
    if metric is not None and metric.low is not None and metric.high is not None:
        lines.append(f"{metric.low:.2f}–{metric.high:.2f}{dagger(metric)}")
    if spread:
        lines.append("–".join(f"{value:.2f}" for value in spread))
    return "\n".join(lines)


def _change(metric: Metric, number: Callable[[float], str] = signed) -> str:
    """Return a value that can be negative, and its bounds on a second line."""
    if metric.low is None or metric.high is None:
        return number(metric.value)
    bounds = f"{number(metric.low)} to {number(metric.high)}"
    return f"{number(metric.value)}\n{bounds}{dagger(metric)}"
