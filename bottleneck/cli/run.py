"""``bottleneck run``: run a study of your own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bottleneck.cli.reading import SampleOptions
from bottleneck.cli.reproduce import StudyOptions, show_study, takes_study


@takes_study
def run(
    file: Annotated[Path, typer.Argument(help="Your own study as a TOML file.")],
    data: Annotated[
        str | None,
        typer.Option(help="Data set, as for `bottleneck extract`.", show_default="the file's"),
    ] = None,
    *,
    options: StudyOptions,
    numbers: dict[str, Any],
    reading: SampleOptions,
) -> None:
    """Run your own study: data, protocols, arms, and published figures for comparison.

    The files of the published studies are examples; `bottleneck reproduce` lists them.

    Example: `bottleneck run study.toml --epochs 2`
    """
    from bottleneck.studies.study import read_study

    show_study(read_study(file), data, options, options.overrides(numbers), reading)
