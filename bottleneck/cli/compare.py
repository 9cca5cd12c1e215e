"""``bottleneck compare``: evaluate features and heads on the same patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bottleneck.cli.choosing import SelectionOptions
from bottleneck.cli.comparison_output import show_result
from bottleneck.cli.console import (
    Address,
    Engine,
    Ignored,
    Json,
    LicencePolicyOption,
    Overwrite,
    Quiet,
    note_readers,
    progress,
    show_note,
)
from bottleneck.cli.defaults import choose_ignored, fill_defaults
from bottleneck.cli.fields import Options, takes_fields
from bottleneck.cli.inputs import choose_features, split_arm_names, split_names
from bottleneck.cli.named_heads import HEAD_HELP, get_all_named
from bottleneck.cli.named_metrics import LabelMetrics, ScoreMetrics, get_metrics
from bottleneck.cli.reading import PANEL, ImageOptions, refuse_idle
from bottleneck.cli.saving import save
from bottleneck.data.splits.protocol import Protocol
from bottleneck.errors import BottleneckError, UsageError
from bottleneck.evaluation.measures import MEASURING, READERS, Measures
from bottleneck.processes.cluster import share_out

if TYPE_CHECKING:
    from bottleneck.evaluation.results.comparison_results import Comparison
    from bottleneck.features.sets.feature_set import FeatureSet


@takes_fields(
    Options(
        Protocol,
        (
            "kind",
            "n_splits",
            "repeats",
            "seed",
            "unit",
            "aggregate",
            "allow_leakage",
            "conflicts",
        ),
    ),
    SelectionOptions,
    Options(
        Measures,
        (
            "at_sensitivity",
            "at_specificity",
            "prevalence",
            "act_at",
            "margin",
            "reference",
            "learning_curve",
        ),
    ),
    Options(Measures, ("reader_threshold", "reader_mean", "unread")),
    ImageOptions,
)
def compare(
    features: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Feature files of one data set; NAME=PATH names its arms. Default: those in "
            "features/.",
            show_default=False,
        ),
    ] = None,
    head: Annotated[
        list[str] | None,
        typer.Option(
            help=HEAD_HELP,
            show_default="svm, logistic, mlp",
        ),
    ] = None,
    predictions: Annotated[
        list[str] | None,
        typer.Option(
            help="Imported predictions (CSV), or the folder of a trained network; NAME=PATH "
            "names the arm. May be given several times.",
            show_default=False,
        ),
    ] = None,
    readers: Annotated[
        list[Path] | None,
        typer.Option(
            help="Table (CSV, .xlsx) of human readers' scores: id, reader and score, or id and a "
            "column per reader. Every reader is an arm. May be given several times.",
            show_default=False,
            rich_help_panel=READERS,
        ),
    ] = None,
    no_features: Annotated[
        bool,
        typer.Option(
            "--no-features",
            help="Compare only predictions and readers. This is the default where features/ holds "
            "no feature file.",
        ),
    ] = False,
    external: Annotated[
        list[Path] | None,
        typer.Option(
            help="Features of another data set with the same recipe, for external validation: "
            "heads "
            "trained on all of the first data set are tested on it. May be given several times.",
            show_default=False,
        ),
    ] = None,
    ensemble: Annotated[
        str | None,
        typer.Option(
            help="mean: add an arm with the mean of the other arms' calibrated probabilities.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option(
            help="OLD=NEW: rename an arm. May be given several times.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder of the report.")] = Path("report"),
    overwrite: Overwrite = False,
    positive: Annotated[
        str | None, typer.Option(help="Label of the positive class.", show_default=False)
    ] = None,
    with_ids: Annotated[
        bool, typer.Option("--with-ids", help="Name samples and patients in the report.")
    ] = False,
    with_pictures: Annotated[
        bool,
        typer.Option(
            "--with-pictures",
            help="Show images in the report: wrong predictions, the training images nearest to "
            "them, and copies. With --data the images are larger.",
        ),
    ] = False,
    inner_scores: Annotated[
        bool,
        typer.Option(
            "--inner-scores",
            help="Also write inner_scores.csv, with the scores within each training set. "
            "Thresholds and calibrations are set on them.",
        ),
    ] = False,
    no_figures: Annotated[
        bool,
        typer.Option(
            "--no-figures",
            help="Do not write the figures as files (SVG, PDF, PNG). This saves some seconds.",
        ),
    ] = False,
    ignore: Ignored = None,
    licence_policy: LicencePolicyOption = "any",
    jobs: Annotated[int, typer.Option(help="Number of processes; -1 for one per core.")] = -1,
    engine: Engine = "local",
    address: Address = None,
    subgroup: Annotated[
        list[str] | None,
        typer.Option(
            help="Report results by `centre`, or by a column of --metadata. May be given "
            "several times.",
            show_default=False,
            rich_help_panel=MEASURING,
        ),
    ] = None,
    metadata: Annotated[
        Path | None,
        typer.Option(
            help="Table (CSV, .xlsx) with the samples' ids and columns for --subgroup.",
            show_default=False,
            rich_help_panel=MEASURING,
        ),
    ] = None,
    metric: LabelMetrics = None,
    score_metric: ScoreMetrics = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Data set that the features were extracted from. With it, the leak audit "
            "searches the images for text, and --with-pictures shows them in colour.",
            show_default=False,
            rich_help_panel=PANEL,
        ),
    ] = None,
    quiet: Quiet = False,
    as_json: Json = False,
    *,
    splitting: dict[str, Any],
    choosing: SelectionOptions,
    measuring: dict[str, Any],
    reading: dict[str, Any],
    options: ImageOptions,
) -> None:
    """Compare features and heads on the same patients, and write a report.

    Every head is trained in each fold; models of `bottleneck fit` are not used. A leak audit comes
    first, and duplicate images stay on one side of every split.

    Example: `bottleneck compare --head svm --head logistic --output report/`
    """
    plan = Protocol(**splitting)
    for option, given, needs in (
        ("--metadata", metadata and not subgroup, "--subgroup"),
        ("--reference", "reference" in measuring and "margin" not in measuring, "--margin"),
        ("--aggregate max", plan.aggregate == "max" and plan.unit != "patient", "--unit patient"),
    ):
        if given:
            raise UsageError(f"{option} has no effect without {needs}: add that option")
    heads = fill_defaults({"heads": head}, quiet=quiet)["heads"] or ["svm", "logistic", "mlp"]
    codes = choose_ignored(ignore, quiet=quiet)
    metrics = get_metrics(metric or [], score_metric or [])
    if data is None:
        refuse_idle(options, "without --data: add --data")
    labels, paths = split_names(features or [])
    files: list[Path] = []
    alone = [*(predictions or []), *(readers or [])]
    if not _is_alone(paths, alone, no_features=no_features):
        files = choose_features(paths, "compare")
    cohorts = choose_features(external, "compare --external", several=True) if external else []
    from bottleneck.evaluation.cases.shown_images import NO_IMAGES
    from bottleneck.features.sets.chosen_rows import selectable, take_choice

    first = _read_first(files, predictions or [], readers or [])
    if with_pictures and first.thumbnails is None and data is None:
        raise UsageError(NO_IMAGES)
    if (selection := choosing.read(first.classes)) is not None:
        first = take_choice(first, selection.resolve(selectable(first), positive=positive))
    measures = Measures(
        subgroups=_read_subgroups(first, subgroup or [], metadata, quiet=quiet),
        **measuring,
        **reading,
    )
    with share_out(engine, address):
        comparison, folder, problem = run(
            dict(zip(labels, files, strict=True)) if labels else files or None,
            heads,
            output,
            plan,
            positive=positive,
            selection=selection,
            overwrite=overwrite,
            with_ids=with_ids,
            with_pictures=with_pictures,
            inner_scores=inner_scores,
            figures=not no_figures,
            jobs=jobs,
            quiet=quiet,
            predictions=predictions or [],
            readers=readers or [],
            external=cohorts,
            ensemble=ensemble,
            names=split_arm_names(name or ()),
            measures=measures,
            metrics=metrics,
            ignore=codes,
            licence_policy=licence_policy,
            dataset=None if data is None else options.load(data, quiet=quiet),
        )
    note_readers(folder, list_private(folder), quiet=quiet)
    show_result(comparison, folder, problem, as_json=as_json)


def _is_alone(features: list[Path], others: Sequence[object], *, no_features: bool) -> bool:
    """Return whether predictions and readers are compared alone."""
    from bottleneck.features.file.reader import feature_files

    if no_features and (features or not others):
        needs = "name some with --predictions or --readers"
        needs = "leave out the feature files" if features else needs
        raise UsageError(f"--no-features compares predictions and readers alone: {needs}")
    return no_features or (bool(others) and not features and not feature_files(Path("features")))


def _read_first(files: list[Path], predictions: list[str], readers: list[Path]) -> FeatureSet:
    """Return the features of the samples; those of predictions and readers have none."""
    if files:
        from bottleneck.features.file.reader import load_features

        return load_features(files[0], memory_map=True)
    from bottleneck.evaluation.human_readers.human_reader import samples_of_readers
    from bottleneck.evaluation.human_readers.reader_tables import read_reader_tables
    from bottleneck.evaluation.inputs.prediction_inputs import read_imported, samples_of

    if not predictions:
        return samples_of_readers(read_reader_tables(list(readers)))
    return samples_of(read_imported(predictions))[0]


def list_private(folder: Path) -> list[Path]:
    """Return the files of a report that show images or name samples and patients."""
    names = ("predictions.csv", "predictions_external.csv", "inner_scores.csv", "errors.csv")
    return [folder / name for name in ("report.html", *names)]


def run(
    files: list[Path] | dict[str, Path] | None,
    heads: list[str],
    output: Path,
    protocol: Protocol,
    *,
    overwrite: bool = False,
    with_ids: bool = False,
    with_pictures: bool = False,
    inner_scores: bool = False,
    figures: bool = True,
    jobs: int = -1,
    quiet: bool = False,
    **options: Any,
) -> tuple[Comparison, Path, BottleneckError | None]:
    """Compare and write the report; return the comparison, its folder, and what went wrong."""
    from bottleneck.evaluation.compare import compare as compare_arms
    from bottleneck.report.page import FINISHED, write_report
    from bottleneck.report.result_files import claim_folder

    made = get_all_named(heads)
    with claim_folder(output, FINISHED, "comparison", overwrite=overwrite):
        with progress(quiet=quiet, unit="") as move:
            comparison = compare_arms(
                files,
                made,
                protocol=protocol,
                n_jobs=jobs,
                progress=move,
                note=show_note(quiet=quiet),
                **options,
            )
        how = {
            "with_ids": with_ids,
            "with_pictures": with_pictures,
            "inner_scores": inner_scores,
            "figures": figures,
            "overwrite": True,
        }
        with progress(quiet=quiet, unit="") as move:
            problem = save(
                lambda place: write_report(comparison, place, progress=move, **how), output
            )
        return comparison, *problem


def _read_subgroups(
    loaded: FeatureSet, names: list[str], table: Path | None, *, quiet: bool
) -> dict[str, Mapping[str, str]]:
    if not names:
        return {}
    from bottleneck.data.readers.tables.csv_tables import read_columns

    columns: dict[str, Mapping[str, str]] = {}
    if "centre" in names and loaded.centres is not None:
        centres = zip(loaded.ids.tolist(), loaded.centres.tolist(), strict=True)
        columns["centre"] = {sample: centre or "not recorded" for sample, centre in centres}
    rest = [name for name in names if name not in columns]
    if rest and table is None:
        raise UsageError(
            f"the features hold no column '{rest[0]}': name a table with it (--metadata FILE)"
        )
    notes: list[str] = []
    if table is not None and rest:
        columns |= read_columns(table, rest, loaded.ids.tolist(), notes)
    if (tell := show_note(quiet=quiet)) is not None:
        for note in notes:
            tell(note)
    return columns
