"""What ``compare`` and ``demo`` print of a comparison."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bottleneck.checks.ignored_checks import describe_ignored
from bottleneck.cli.console import show, show_json, show_paragraph, show_table, show_warnings
from bottleneck.errors import BottleneckError

if TYPE_CHECKING:
    from bottleneck.evaluation.results.comparison_results import Comparison


def show_result(
    comparison: Comparison, folder: Path, problem: BottleneckError | None, *, as_json: bool
) -> None:
    """Print the result that ``run`` returned, and raise what went wrong."""
    if as_json:
        from bottleneck.report.json_record import results

        show_json(results(comparison))
    else:
        from bottleneck.report.fit_command import explain_command

        show_tables(comparison)
        if problem is None:
            _show_fit_command(comparison, folder)
            command = explain_command(comparison, folder)
            if command is not None:
                show_paragraph("Which images were wrong, and why:")
                show(*command.lines)
            show(f"Report: {folder / 'report.html'}")
    if problem is not None:
        raise problem


def show_tables(comparison: Comparison) -> None:
    """Print the warnings and the tables."""
    from bottleneck.report.tables.terminal_tables import (
        benefit_table,
        centres_table,
        external_table,
        margin_table,
        own_tables,
        summary_table,
    )

    show_warnings(comparison.warnings)
    if words := describe_ignored(comparison.ignored):
        show_paragraph(f"{words}.")
    show_table(summary_table(comparison))
    for table in own_tables(comparison.evaluations):
        show_table(table)
    if comparison.noninferiority is not None:
        show_table(margin_table(comparison.noninferiority))
    if (centres := centres_table(comparison)) is not None:
        show_table(centres)
    if (benefits := benefit_table(comparison.evaluations)) is not None:
        show_table(benefits)
    for external in comparison.external:
        show_warnings(external.warnings, f"{external.dataset['name']}: ")
        show_table(external_table(external))
        for table in own_tables(external.evaluations):
            show_table(table)
        if external.noninferiority is not None:
            show_table(margin_table(external.noninferiority))
        if (benefits := benefit_table(external.evaluations)) is not None:
            show_table(benefits)


def _show_fit_command(comparison: Comparison, folder: Path) -> None:
    """Print how to keep the arm with the highest AUROC."""
    from bottleneck.report.fit_command import fit_command

    kept = fit_command(comparison, folder)
    show("")
    show_paragraph(" ".join(kept.words))
    if kept.line:
        show(*kept.lines)
    if kept.cautions:
        show_paragraph(" ".join(kept.cautions))
