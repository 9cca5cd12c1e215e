"""Verdicts on non-inferiority in the terminal, on the page and in the paragraphs."""

from __future__ import annotations

import dataclasses
import io
import re

from report.complete import make_margin
from report.reading import Page
from rich.console import Console

from bottleneck.evaluation.results.comparison_results import Comparison
from bottleneck.evaluation.results.result_parts import MarginResults
from bottleneck.report.figures.forest_plots import margin_plot
from bottleneck.report.page import render
from bottleneck.report.tables.terminal_tables import margin_table
from bottleneck.report.terminal import WIDTH
from bottleneck.report.wording.paragraphs import methods_paragraph, results_paragraph
from bottleneck.report.wording.verdicts import VERDICTS, count_verdicts

NAMES = [f"resnet18 (imagenet) + head {n}" for n in range(6)]


def made(n: int = 6) -> MarginResults:
    results = make_margin(NAMES[:n])
    assert results is not None
    return results


def render_table(results: MarginResults) -> str:
    console = Console(width=WIDTH, file=io.StringIO(), color_system=None)
    console.print(margin_table(results))
    return console.file.getvalue()


def test_the_sentence_names_the_arms_of_each_verdict() -> None:
    text = count_verdicts(made())
    assert text.startswith(f"Compared with {NAMES[0]}, with a margin of 0.05 of the AUROC: ")
    for test in made().tests:
        inconclusive = f"for {test.arm}, the result is inconclusive"
        is_inconclusive = test.verdict == "inconclusive"
        assert (inconclusive if is_inconclusive else f"{test.arm} is {test.verdict}") in text
    alike = dataclasses.replace(made(), tests=made().tests[:1] * 6)
    assert count_verdicts(alike).endswith("6 arms are superior.")


def test_the_table_of_the_terminal_has_80_columns_and_whole_numbers() -> None:
    text = render_table(made())
    assert max(map(len, text.splitlines())) <= WIDTH
    for test in made().tests:
        assert f"{test.value:+.3f}".replace("-", "−") in text
        assert f"{test.low:+.3f} to {test.high:+.3f}".replace("-", "−") in text
    assert "adjusted for 5 arms" in text
    assert "adjusted" not in render_table(made(2))


def test_the_margin_is_on_the_axis_of_the_forest_plot() -> None:
    results = dataclasses.replace(made(), margin=0.3)
    plot = margin_plot(results)
    assert plot.limit == 0.3
    assert plot.margin == 0.0
    assert len(plot.spans) == len(results.tests)
    narrow = margin_plot(made())
    assert 0.5 - narrow.margin == 0.05 / (2 * narrow.limit)


def test_page_and_paragraphs_have_verdicts_and_p_values(full: Comparison) -> None:
    results = full.noninferiority
    assert results is not None
    page = Page(render(full))
    text = re.sub(r"\s+", " ", page.text)
    given = {test.verdict for test in results.tests}
    for verdict, meaning in VERDICTS.items():
        assert (meaning in text) is (verdict in given)
    assert "External non-inferiority" in text
    # Of the tests, one lies above the margin and is not significant after adjustment.
    assert "the interval lies above the margin, but the adjusted p is not below 0.025" in text
    assert results.words in methods_paragraph(full)
    written = results_paragraph(full)
    assert count_verdicts(results) in written
    for test in results.tests:
        assert f"{test.arm} {test.value:+.3f}".replace("-", "−") in written
