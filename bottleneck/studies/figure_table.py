"""Tables of a study: ours and the published figures, for a terminal, in Markdown and as JSON."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bottleneck import __version__
from bottleneck.checks.ignored_checks import describe_ignored
from bottleneck.evaluation.metrics.metric_values import Metric
from bottleneck.report.redaction import plain
from bottleneck.report.result_files import write_files
from bottleneck.report.terminal import WIDTH, make_table
from bottleneck.report.wording.labels import metric_label
from bottleneck.report.wording.number_format import dagger, duration, format_metric, p_value
from bottleneck.schemas.json_schemas import JsonRecord
from bottleneck.studies.consistency.check import Contradiction
from bottleneck.studies.published_figures import METRICS
from bottleneck.studies.study import Study
from bottleneck.studies.study_results import (
    Spread,
    StudyArmResult,
    StudyProtocolResult,
    StudyResult,
    TestResult,
)
from bottleneck.studies.training_table import training_json, training_markdown, training_table
from bottleneck.text.plain_text import json_text, without_paths
from bottleneck.text.table_text import markdown_text

if TYPE_CHECKING:
    from rich.table import Table

__all__ = [
    "as_json",
    "blocks",
    "contradictions",
    "describe",
    "lines",
    "markdown",
    "metric_names",
    "over_lines",
    "short_label",
    "tables",
    "write",
]

_USUAL = ("auroc", "accuracy", "sensitivity", "specificity")
_SHORT = {"sensitivity": "Sens.", "specificity": "Spec."}
_ARM_WIDTH = 20
# Number of columns that fit into a terminal next to the arm's name.
_AT_ONCE = 4


def tables(result: StudyResult) -> Iterator[Table]:
    """Yield tables for a terminal of 80 columns, protocol by protocol.

    Each arm has a line with the published figures, and below it ours with their intervals. The
    first line of every table states the changes of the study.
    """
    for protocol in result.protocols:
        for title, arms in blocks(protocol):
            names = metric_names(arms)
            at_once = _AT_ONCE - _has_daggers(arms, names)
            for start in range(0, len(names), at_once):
                yield _figures(result, title, arms, names[start : start + at_once])
            for spread, what in (("over_seeds", "seeds"), ("over_folds", "folds")):
                held = [arm for arm in arms if getattr(arm, spread)]
                if held and protocol.protocol.seeds > 1:
                    yield _spreads(result, f"{title}: mean ± SD over {what}", held, spread, names)
        shown = training_table(result.first_line, protocol.protocol.name, protocol.arms)
        if shown is not None:
            yield shown
        yield _costs(result, protocol)


def lines(result: StudyResult) -> Iterator[str]:
    """Yield sentences about the splits, the tests, and contradictions of published figures."""
    for protocol in result.protocols:
        yield f"{protocol.protocol.name}: {protocol.words}"
        for warning in protocol.comparison.warnings:
            yield f"{protocol.protocol.name}: {warning.with_code}"
        if words := describe_ignored(protocol.comparison.ignored):
            yield f"{protocol.protocol.name}: {words}"
        for test in protocol.tests:
            yield f"{protocol.protocol.name}: {_describe_test(test)}"
    yield from contradictions(result.study, result.contradictions)


def contradictions(study: Study, contradicting: Sequence[Contradiction]) -> Iterator[str]:
    """Yield a sentence for each contradiction of published figures, or one that there is none."""
    for one in contradicting:
        yield f"Published figures of the {one.published} set contradict each other: {one.words}."
    if not contradicting:
        yield f"No contradiction was found in the published figures of {study.name}."


def describe(study: Study) -> Iterator[str]:
    """Yield title, reference, data and notes of a study."""
    yield f"{study.name}: {study.title}"
    if study.reference:
        yield f"Published: {study.reference}"
    if study.needs:
        yield f"Data: {study.needs}"
    for note in study.notes:
        yield f"- {note}"


def write(result: StudyResult, folder: Path) -> Path:
    """Write ``study.md`` and ``study.json``, and return the path of the former.

    Raises
    ------
    UsageError
        If the folder cannot be written.
    ReportError
        If a file could not be made.
    """
    files: dict[str, Callable[[], str]] = {
        "study.json": lambda: json_text(as_json(result)) + "\n",
        "study.md": lambda: "\n".join(_markdown(result)) + "\n",
    }
    write_files(folder, files)
    return folder / "study.md"


def as_json(result: StudyResult) -> JsonRecord:
    """Return all figures in types of strict JSON."""

    def arm(one: StudyArmResult) -> dict[str, Any]:
        return {
            "arm": one.name,
            "published": {name: figure.text for name, figure in one.published.items()},
            "ours": {name: _metric(metric) for name, metric in one.metrics.items()},
            "over_seeds": {name: vars(spread) for name, spread in one.over_seeds.items()},
            "over_folds": {name: vars(spread) for name, spread in one.over_folds.items()},
            "cost": dict(one.cost),
            "training": training_json(one),
        }

    facts = {
        "bottleneck": __version__,
        "study": result.study.name,
        "reference": result.study.reference,
        "notes": list(result.study.notes),
        "changes": list(result.changes),
        "first_line": result.first_line,
        "seconds": result.seconds,
        "contradictions": [vars(one) for one in result.contradictions],
        "protocols": [
            {
                "name": one.protocol.name,
                "words": one.words,
                "warnings": [warning.to_dict() for warning in one.comparison.warnings],
                "ignored": dict(one.comparison.ignored),
                "dataset": dict(one.comparison.dataset),
                "arms": [arm(a) for a in one.arms],
                "external": [arm(a) for a in one.external],
                "explanations": {name: page_name(page) for name, page in one.explanations.items()},
                "tests": [
                    {
                        **vars(test.published),
                        "ours": None if test.ours is None else vars(test.ours),
                    }
                    for test in one.tests
                ],
            }
            for one in result.protocols
        ],
    }
    return JsonRecord("reproduce", plain(facts, without_paths))


def page_name(page: Path) -> str:
    """Return the path of a page with maps within the folder of the study."""
    return "/".join(page.parts[-4:])


def _metric(metric: Metric) -> dict[str, Any]:
    return {"value": metric.value, "low": metric.low, "high": metric.high, "method": metric.method}


def blocks(protocol: StudyProtocolResult) -> Iterator[tuple[str, Sequence[StudyArmResult]]]:
    """Yield title and arms: on the study's data, and on the external cohort if there is one."""
    yield protocol.protocol.name, protocol.arms
    if protocol.external:
        yield f"{protocol.protocol.name}, external cohort", protocol.external


def metric_names(arms: Sequence[StudyArmResult]) -> list[str]:
    """Return the metrics that a table of arms shows."""
    published = {name for arm in arms for name in arm.published}
    measured = {name for arm in arms for name in arm.metrics}
    wanted = published | {"auroc"} if published else set(_USUAL)
    return [name for name in METRICS if name in wanted & measured]


def short_label(name: str) -> str:
    """Return the heading of a metric in a narrow table."""
    return _SHORT.get(name) or metric_label(name)


def _table(result: StudyResult, title: str) -> Table:
    table = make_table(result.first_line, title, width=WIDTH)
    table.add_column("Arm", overflow="fold", min_width=_ARM_WIDTH)
    return table


def _figures(
    result: StudyResult, title: str, arms: Sequence[StudyArmResult], names: Sequence[str]
) -> Table:
    from rich.text import Text

    table = _table(result, f"{title}: published and ours")
    table.add_column("")
    for name in names:
        table.add_column(short_label(name), justify="right", no_wrap=True)
    for arm in arms:
        is_published = any(name in arm.published for name in names)
        cells = []
        for name in names:
            figure = arm.published.get(name)
            above = f"{'' if figure is None else figure.text}\n" if is_published else ""
            cells.append(above + over_lines(arm.metrics.get(name)))
        whose = "published\nours" if is_published else "ours"
        table.add_row(arm.name, *map(Text, (whose, *cells)))
    return table


def _has_daggers(arms: Sequence[StudyArmResult], names: Sequence[str]) -> bool:
    """Return whether an interval has a dagger, which makes its column wider."""
    metrics = (arm.metrics[name] for arm in arms for name in names if name in arm.metrics)
    return any(metric.estimate_only for metric in metrics)


def _spreads(
    result: StudyResult,
    title: str,
    arms: Sequence[StudyArmResult],
    field: str,
    names: Sequence[str],
) -> Table:
    from rich.text import Text

    table = _table(result, title)
    shown = names[: _AT_ONCE - 1]
    for name in shown:
        table.add_column(metric_label(name), justify="right")
    table.add_column("n", justify="right")
    for arm in arms:
        spread: Mapping[str, Spread] = getattr(arm, field)
        n = next(iter(spread.values())).n
        table.add_row(arm.name, *(Text(_format_spread(spread.get(x))) for x in shown), str(n))
    return table


def _costs(result: StudyResult, protocol: StudyProtocolResult) -> Table:
    from rich.text import Text

    table = _table(result, f"{protocol.protocol.name}: cost of the arms")
    for heading in ("Trained parameters", "Images × epochs", "Memory", "Time"):
        table.add_column(heading, justify="right")
    for arm in protocol.arms:
        if arm.cost:
            table.add_row(arm.name, *map(Text, _format_cost(arm)))
    return table


def _format_cost(arm: StudyArmResult) -> list[str]:
    cost = arm.cost
    parameters, images = (cost.get(name) for name in ("trained_parameters", "images_seen"))
    memory = cost.get("peak_memory_bytes")
    return [
        "" if parameters is None else f"{parameters:,}",
        "" if images is None else f"{images:,}",
        "" if memory is None else f"{memory / 2**30:.1f} GiB",
        duration(cost["seconds"]),
    ]


def _format_spread(spread: Spread | None) -> str:
    if spread is None or math.isnan(spread.mean):
        return "n/a"
    return f"{spread.mean:.3f} ± {spread.sd:.3f}"


def _describe_test(test: TestResult) -> str:
    theirs = test.published
    what = f"{theirs.metric} of {theirs.a} against {theirs.b}"
    published = f"p {theirs.p}" if theirs.p.startswith("<") else f"p = {theirs.p}"
    ours = test.ours
    if ours is None or ours.p is None:
        return f"{what}: {published} published; not tested here"
    shown = p_value(ours.p)
    equals = "" if shown.startswith("<") else "= "
    return (
        f"{what}: {published} published; ours {ours.value:+.3f}, p {equals}{shown} ({ours.method})"
    )


def over_lines(metric: Metric | None) -> str:
    """Return a metric with its interval in a line below it."""
    if metric is None or metric.low is None or metric.high is None:
        return format_metric(metric)
    return f"{metric.value:.3f}\n{metric.low:.2f}–{metric.high:.2f}{dagger(metric)}"


def _markdown(result: StudyResult) -> Iterator[str]:
    yield f"> **{markdown(result.first_line)}**"
    for line in describe(result.study):
        mark = "- " if line.startswith("- ") else ""
        yield from ([] if mark else [""])
        yield mark + markdown(line.removeprefix(mark), links=True)
    for protocol in result.protocols:
        for title, arms in blocks(protocol):
            names = metric_names(arms)
            heads = [f"{metric_label(x)}, {who}" for x in names for who in ("published", "ours")]
            yield from ("", f"**{markdown(title)}**", "")
            yield f"| {' | '.join(['Arm', *heads, 'SD over seeds', 'SD over folds'])} |"
            yield "| --- |" + " ---: |" * (len(heads) + 2)
            for arm in arms:
                cells = [markdown(arm.name)]
                for name in names:
                    figure = arm.published.get(name)
                    cells += [
                        "" if figure is None else markdown(figure.text),
                        format_metric(arm.metrics.get(name)),
                    ]
                for spread in (arm.over_seeds, arm.over_folds):
                    present = [x for x in names if x in spread]
                    cells.append(
                        ", ".join(f"{metric_label(x)} {spread[x].sd:.3f}" for x in present)
                    )
                yield f"| {' | '.join(cells)} |"
        yield from training_markdown(without_paths(protocol.protocol.name), protocol.arms)
        yield from ("", "| Arm | Trained parameters | Images × epochs | Memory | Time |")
        yield "| --- |" + " ---: |" * 4
        for arm in protocol.arms:
            if arm.cost:
                yield f"| {' | '.join([markdown(arm.name), *_format_cost(arm)])} |"
        for name, page in protocol.explanations.items():
            yield from ("", markdown(f"Errors and maps of {name}: {page_name(page)}"))
    for line in lines(result):
        yield from ("", markdown(line))


def markdown(text: str, *, links: bool = False) -> str:
    """Return a text for a Markdown file, without paths."""
    return markdown_text(without_paths(text), links=links)
