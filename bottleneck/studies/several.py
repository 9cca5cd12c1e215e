"""A study on several data sets: on each of them, and on all of them as one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bottleneck.backbones.recipe import slug
from bottleneck.checks.ignored_checks import describe_ignored
from bottleneck.data.dataset import ImageDataset
from bottleneck.errors import UsageError
from bottleneck.evaluation.metrics.metric_values import Metric
from bottleneck.report.result_files import claim_folder, write_files
from bottleneck.report.terminal import WIDTH, make_table
from bottleneck.report.wording.labels import metric_label
from bottleneck.report.wording.number_format import format_metric
from bottleneck.schemas.json_schemas import JsonRecord
from bottleneck.studies.figure_table import as_json as study_json
from bottleneck.studies.figure_table import (
    blocks,
    contradictions,
    describe,
    markdown,
    metric_names,
    over_lines,
    short_label,
)
from bottleneck.studies.overrides import Overrides
from bottleneck.studies.runner import run_study
from bottleneck.studies.study import Study
from bottleneck.studies.study_results import StudyArmResult, StudyResult
from bottleneck.studies.subset import take_patients
from bottleneck.text.plain_text import json_text

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["combined_json", "combined_lines", "combined_tables", "run_on_each", "write_combined"]

Results = Mapping[str, StudyResult]

# Number of metrics that fit into a terminal next to the names of arm and data set.
_AT_ONCE = 3
_ABOUT = (
    "Each data set was used alone, and all of them as one (last). Published figures are those of "
    "the publication's own data."
)


def run_on_each(
    study: Study,
    datasets: Sequence[ImageDataset],
    *,
    overrides: Overrides = Overrides(),
    output: str | Path = "study",
    overwrite: bool = False,
    **options: Any,
) -> dict[str, StudyResult]:
    """Run a study on each of several data sets, and on all of them as one.

    Each has a folder of its own, with one report for each protocol. Features are shared: those of
    the combination are taken from the files of its parts. The same call continues an interrupted
    run.

    Parameters
    ----------
    study : Study
        The study.
    datasets : sequence of ImageDataset
        At least two, with different names. A limit of patients applies to each of them.
    overrides, overwrite, options
        As for ``run_study``.
    output : str or Path
        Folder of features, and of a folder for each data set.

    Returns
    -------
    dict of str to StudyResult
        By the name of the data set; the combination comes last.

    Raises
    ------
    UsageError
        If names are equal, or the data sets cannot be combined.
    BottleneckError
        As ``run_study`` does.
    """
    output = Path(output)
    parts = list(datasets)
    if overrides.limit is not None:
        parts = [take_patients(one, overrides.limit) for one in parts]
    combined = ImageDataset.concatenate(parts)
    folders = {slug(one.name).casefold(): one.name for one in (*parts, combined)}
    if len(folders) <= len(parts):
        raise UsageError(
            "the names of the data sets differ only in characters that a folder's name cannot "
            "have: give each another name, as NAME=PATH"
        )
    plan = dataclasses.replace(overrides, limit=None)
    results = {}
    with claim_folder(output, ("study.json",), "study", overwrite=overwrite):
        for one in (*parts, combined):
            result = run_study(
                study,
                one,
                overrides=plan,
                output=output / slug(one.name),
                features=output / "features",
                overwrite=True,
                **options,
            )
            if overrides.limit is not None:
                limit = f"at most {overrides.limit} patients of each data set"
                result = dataclasses.replace(result, changes=(limit, *result.changes))
            results[one.name] = result
    return results


def combined_tables(results: Results) -> Iterator[Table]:
    """Yield a table of each protocol: for every arm the published figures and those of each set."""
    from rich.text import Text

    last = list(results.values())[-1]
    for title, arms in _arms(results):
        names = metric_names([one for each in arms.values() for one in each.values()])
        for start in range(0, len(names), _AT_ONCE):
            shown = names[start : start + _AT_ONCE]
            about = f"{title}: published, and ours on each data set"
            table = make_table(last.first_line, about, width=WIDTH)
            table.add_column("Arm", overflow="fold", min_width=18)
            table.add_column("Data set", overflow="fold")
            for name in shown:
                table.add_column(short_label(name), justify="right")
            for arm, each in arms.items():
                for n, (source, cells) in enumerate(_rows(each, shown, over_lines)):
                    table.add_row("" if n else arm, source, *map(Text, cells))
            yield table


def _arms(results: Results) -> Iterator[tuple[str, dict[str, dict[str, StudyArmResult]]]]:
    """Yield the title of each block, and for every arm its results by data set."""
    titles: dict[str, dict[str, dict[str, StudyArmResult]]] = {}
    for source, result in results.items():
        for protocol in result.protocols:
            for title, arms in blocks(protocol):
                for arm in arms:
                    titles.setdefault(title, {}).setdefault(arm.name, {})[source] = arm
    yield from titles.items()


def _rows(
    each: Mapping[str, StudyArmResult],
    names: Sequence[str],
    form: Callable[[Metric | None], str] = format_metric,
) -> Iterator[tuple[str, list[str]]]:
    """Yield the published figures of an arm, and its own on each data set."""
    published = next(iter(each.values())).published
    if any(name in published for name in names):
        yield "published", [published[n].text if n in published else "" for n in names]
    for source, arm in each.items():
        yield source, [form(arm.metrics.get(name)) for name in names]


def combined_lines(results: Results) -> Iterator[str]:
    """Yield what the table shows, the splits and warnings of each data set, and contradictions."""
    yield _ABOUT
    for source, result in results.items():
        for protocol in result.protocols:
            yield f"{source}, {protocol.protocol.name}: {protocol.words}"
            for warning in protocol.comparison.warnings:
                yield f"{source}, {protocol.protocol.name}: {warning.with_code}"
            if words := describe_ignored(protocol.comparison.ignored):
                yield f"{source}, {protocol.protocol.name}: {words}"
    first = next(iter(results.values()))
    yield from contradictions(first.study, first.contradictions)


def combined_json(results: Results) -> JsonRecord:
    """Return all figures of every data set in types of strict JSON."""
    first = next(iter(results.values()))
    each = {source: study_json(result) for source, result in results.items()}
    return JsonRecord("reproduce-datasets", {"study": first.study.name, "datasets": each})


def write_combined(results: Results, folder: Path) -> Path:
    """Write ``study.md`` and ``study.json``, and return the path of the former.

    Raises
    ------
    UsageError
        If the folder cannot be written.
    ReportError
        If a file could not be made.
    """
    write_files(
        folder,
        {
            "study.json": lambda: json_text(combined_json(results)) + "\n",
            "study.md": lambda: "\n".join(_markdown(results)) + "\n",
        },
    )
    return folder / "study.md"


def _markdown(results: Results) -> Iterator[str]:
    last = list(results.values())[-1]
    yield f"> **{markdown(last.first_line)}**"
    for line in describe(last.study):
        mark = "- " if line.startswith("- ") else ""
        yield from ([] if mark else [""])
        yield mark + markdown(line.removeprefix(mark), links=True)
    for title, arms in _arms(results):
        names = metric_names([one for each in arms.values() for one in each.values()])
        yield from ("", f"**{markdown(title)}**", "")
        yield f"| Arm | Data set | {' | '.join(map(metric_label, names))} |"
        yield "| --- | --- |" + " ---: |" * len(names)
        for arm, each in arms.items():
            for n, (source, cells) in enumerate(_rows(each, names)):
                texts = [markdown("" if n else arm), markdown(source), *map(markdown, cells)]
                yield f"| {' | '.join(texts)} |"
    for line in combined_lines(results):
        yield from ("", markdown(line))
