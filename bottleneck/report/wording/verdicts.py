"""Verdicts on non-inferiority, in words and as a table for the terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from bottleneck.evaluation.result_parts import MarginResults
from bottleneck.report.wording.number_format import p_value, signed
from bottleneck.text.plain_text import visible
from bottleneck.text.plurals import counted

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["LEVEL", "VERDICTS", "count_verdicts", "explain_verdicts", "margin_table"]

#: Level of the one-sided tests.
LEVEL = 0.025
#: Verdicts and what they mean, in the order of a sentence.
VERDICTS = {
    "superior": "the AUROC is higher than that of the reference.",
    "non-inferior": "if the AUROC is lower at all, then by less than the margin.",
    "lower within the margin": "the AUROC is lower, but by less than the margin, which was "
    "accepted.",
    "inconclusive": "neither a loss of less than the margin nor one of more is shown: the arm may "
    "be as good, or worse.",
    "inferior": "the AUROC is lower by more than the margin.",
}
_MOST_NAMES = 4


def explain_verdicts(results: MarginResults) -> list[tuple[str, str]]:
    """Return the verdicts that occur, with their meaning."""
    given = {test.verdict for test in results.tests}
    return [(name, meaning) for name, meaning in VERDICTS.items() if name in given]


def count_verdicts(results: MarginResults) -> str:
    """Return which arms got which verdict, in one sentence.

    Returns
    -------
    str
        Such as "Compared with A, with a margin of 0.05 of the AUROC: B is non-inferior; C and D
        are inconclusive."
    """
    parts = []
    for verdict in VERDICTS:
        arms = [test.arm for test in results.tests if test.verdict == verdict]
        if arms:
            parts.append(f"{_join(arms)} {'is' if len(arms) == 1 else 'are'} {verdict}")
    return (
        f"Compared with {results.reference}, with a margin of {results.margin:g} of the AUROC: "
        f"{'; '.join(parts)}."
    )


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
            f"the arm is non-inferior.{' † estimate only.' if doubtful else ''}"
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


def _join(names: Iterable[str]) -> str:
    listed = list(names)
    if len(listed) > _MOST_NAMES:
        return counted(len(listed), "arm")
    return listed[0] if len(listed) == 1 else f"{', '.join(listed[:-1])} and {listed[-1]}"
