"""``bottleneck compare``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from bottleneck.cli.console import Json, Quiet, progress, show, show_json
from bottleneck.cli.inputs import choose_features

if TYPE_CHECKING:
    from bottleneck.data.protocol import Protocol
    from bottleneck.evaluation.results import Comparison


def compare(
    features: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Feature files of one data set. Default: those in features/.", show_default=False
        ),
    ] = None,
    head: Annotated[
        list[str], typer.Option(help="svm, logistic or mlp; may be given several times.")
    ] = ["svm", "logistic", "mlp"],  # noqa: B006
    output: Annotated[Path, typer.Option(help="Folder of the report.")] = Path("report"),
    protocol: Annotated[
        str,
        typer.Option(
            help="cv (cross-validation, patients kept together), split (the data set's own), "
            "folds (its published folds), or auto: the first of split, folds, cv that there is."
        ),
    ] = "auto",
    folds: Annotated[int, typer.Option(help="Folds of the cross-validation.")] = 5,
    repeats: Annotated[int, typer.Option(help="Repeats of the cross-validation.")] = 1,
    seed: Annotated[int, typer.Option(help="Seed of folds and heads.")] = 0,
    positive: Annotated[
        str | None, typer.Option(help="Label of the positive class.", show_default=False)
    ] = None,
    with_ids: Annotated[
        bool, typer.Option("--with-ids", help="Let the report name samples and patients.")
    ] = False,
    jobs: Annotated[int, typer.Option(help="Processes; -1 for one a core.")] = -1,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Hold features × heads against each other on the same patients, and write a report.

    Every head is trained anew in each fold; the models of `bottleneck fit` take no part.

    Example: `bottleneck compare --head svm --head logistic --output report/`
    """
    from bottleneck.data.splits import Protocol

    files = choose_features(features or [], "compare")
    plan = Protocol(kind=cast(Any, protocol), n_splits=folds, repeats=repeats, seed=seed)
    comparison, page = run(
        files,
        head,
        output,
        plan,
        positive=positive,
        with_ids=with_ids,
        jobs=jobs,
        quiet=quiet,
    )
    if as_json:
        from bottleneck.report.tables import results

        show_json(results(comparison))
        return
    print_result(comparison, page)


def run(
    files: list[Path],
    heads: list[str],
    output: Path,
    protocol: Protocol,
    *,
    positive: str | None = None,
    with_ids: bool = False,
    jobs: int = -1,
    quiet: bool = False,
) -> tuple[Comparison, Path]:
    """Compare and write the report; returns the comparison and the page's path."""
    from bottleneck.evaluation.comparison import compare as compare_arms
    from bottleneck.report.page import prepare_folder, write_report

    prepare_folder(output)
    with progress(quiet=quiet, unit="") as move:
        comparison = compare_arms(
            files, tuple(heads), protocol=protocol, positive=positive, n_jobs=jobs, progress=move
        )
    return comparison, write_report(comparison, output, with_ids=with_ids)


def print_result(comparison: Comparison, page: Path) -> None:
    """Print warnings, the table, and where the report is."""
    from bottleneck.report.tables import summary_table

    for warning in comparison.warnings:
        show(warning)
    show(summary_table(comparison))
    show(f"Report: {page}")
