"""``bottleneck leakage``: measure how much a leak inflates results."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bottleneck.checks.check_warnings import RANDOM_WEIGHTS
from bottleneck.checks.ignored_checks import describe_ignored
from bottleneck.cli import extract as extract_command
from bottleneck.cli.choosing import SelectionOptions, choose
from bottleneck.cli.console import (
    Ignored,
    Json,
    LicencePolicyOption,
    Overwrite,
    Quiet,
    note_readers,
    progress,
    show,
    show_json,
    show_note,
    show_paragraph,
    show_table,
    show_warnings,
)
from bottleneck.cli.defaults import choose_ignored
from bottleneck.cli.fields import Options, takes_fields
from bottleneck.cli.named_heads import get_named
from bottleneck.cli.reading import DatasetOptions
from bottleneck.cli.saving import save
from bottleneck.data.augmented_copies import Augmentation, augment
from bottleneck.data.images.display import AS_STORED, Display
from bottleneck.data.splits.protocol import Protocol
from bottleneck.features.options import ExtractionOptions
from bottleneck.heads.head_catalogue import CHOICES
from bottleneck.report.terminal import WIDTH, make_table
from bottleneck.schemas.json_schemas import JsonRecord
from bottleneck.settings.ranges import Jobs
from bottleneck.settings.schema import validate
from bottleneck.text.plain_text import json_text, without_paths
from bottleneck.text.table_text import frame_csv, markdown_text

if TYPE_CHECKING:
    from rich.table import Table

    from bottleneck.data.dataset import ImageDataset
    from bottleneck.evaluation.leak_experiment.leak_results import LeakExperiment, LeakRow

_COLUMNS = {
    "auroc_pooled": "AUROC\npooled",
    "auroc": "AUROC\nin folds",
    "accuracy": "Accuracy",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
}


@takes_fields(
    Options(Protocol, ("n_splits", "repeats", "seed"), defaults={"repeats": 3}),
    Options(Augmentation, ("copies", "rotation", "noise", "flip")),
    SelectionOptions,
    DatasetOptions,
)
def leakage(
    dataset: Annotated[
        str | None,
        typer.Argument(
            help="As for extract: a folder, a table, a MedMNIST .npz, or `phantom`.",
            show_default="the one named in bottleneck.toml, else phantom",
        ),
    ] = None,
    backbone: Annotated[str, typer.Option(help="Frozen network.")] = "resnet18",
    weights: Annotated[
        str, typer.Option(help="As for extract: imagenet, random, a weight file …")
    ] = "imagenet",
    preprocessing: Annotated[
        str | None,
        typer.Option(
            help="As for extract: timm, torchvision …, or a TOML file.",
            show_default="as the weights' publisher states",
        ),
    ] = None,
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16.")] = "auto",
    batch_size: Annotated[
        int | None, typer.Option(help="Images per batch.", show_default="auto")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="Only the first N patients.", show_default=False)
    ] = None,
    head: Annotated[
        str | None,
        typer.Option(
            help=f"{CHOICES}, or package.module:Class; with a search in every training set.",
            show_default="an SVM with RBF kernel and C 10",
        ),
    ] = None,
    jobs: Annotated[int, typer.Option(help="Number of processes; -1 for one per core.")] = -1,
    output: Annotated[Path, typer.Option(help="Folder for features/ and the table.")] = Path(
        "leakage"
    ),
    ignore: Ignored = None,
    licence_policy: LicencePolicyOption = "any",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    as_json: Json = False,
    *,
    splitting: dict[str, Any],
    changes: dict[str, Any],
    choosing: SelectionOptions,
    options: DatasetOptions,
) -> None:
    """Show how much a leak inflates results: augment before the split, split by image, by patient.

    Features and classifier are the same under each protocol. The features of the images and of
    their altered copies are extracted first. A second run reuses them.

    Example: `bottleneck leakage phantom --weights random --limit 40`
    """
    from bottleneck.backbones.weights.stated_licences import require_named_licence
    from bottleneck.evaluation.leak_experiment.experiment import (
        refuse_large,
        run_leak_experiment,
    )
    from bottleneck.features.file.reader import load_features
    from bottleneck.report.result_files import claim_folder, write_files

    codes = choose_ignored(ignore, quiet=quiet)
    chosen = None if head is None else get_named(head)
    plan = Protocol(kind="cv", **splitting)
    augmentation = Augmentation(**changes, seed=plan.seed)
    validate(Jobs, jobs, "the number of processes")
    how: dict[str, Any] = {
        "weights": weights,
        "preprocessing": preprocessing,
        "precision": precision,
        "batch_size": "auto" if batch_size is None else batch_size,
        "output": output / "features",
        "licence_policy": licence_policy,
    }
    # Refused before the data set is read.
    require_named_licence(backbone, weights, ExtractionOptions(**how).licence_policy)
    how["layers"] = extract_command.LAST
    data = choose(options.load(dataset, quiet=quiet, limit=limit), choosing, quiet=quiet)
    augmented = augment(data, augmentation, _display(preprocessing, backbone))
    refuse_large(len(augmented), chosen)
    _refuse_early(data, plan)
    files: dict[str, Callable[[], str]] = {
        "leakage.json": lambda: json_text(_as_json(experiment)) + "\n",
        "leakage.csv": lambda: _csv(experiment),
        "leakage.md": lambda: _markdown(experiment),
    }
    with claim_folder(output, ("leakage.json",), "leak experiment", overwrite=overwrite):
        (extracted,) = extract_command.run(augmented, [backbone], how, quiet=quiet, as_json=as_json)
        with progress(quiet=quiet, unit="") as move:
            experiment = run_leak_experiment(
                load_features(extracted.path),
                head=chosen,
                ignore=codes,
                protocol=plan,
                n_jobs=jobs,
                progress=move,
                note=show_note(quiet=quiet),
            )
        folder, problem = save(lambda place: write_files(place, files), output)
    note_readers(output, [extracted.path], quiet=quiet)
    if as_json:
        show_json(_as_json(experiment))
    else:
        _print(experiment)
        if problem is None:
            show("", f"Table: {folder / 'leakage.csv'}, .json and .md")
    if problem is not None:
        raise problem


def _print(experiment: LeakExperiment) -> None:
    # The extraction has shown that of random weights.
    show_warnings(one for one in experiment.warnings if one != RANDOM_WEIGHTS)
    if words := describe_ignored(experiment.ignored):
        show_paragraph(f"{words}.")
    show_table(_table(experiment))
    for paragraph in _explain(experiment):
        show()
        show_paragraph(paragraph)


def _display(preprocessing: str | None, backbone: str) -> Display:
    """Return the display that a preprocessing states for images of more than 8 bits."""
    if preprocessing is None:
        return AS_STORED
    from bottleneck.backbones.catalogue import find_encoder
    from bottleneck.backbones.inputs.preprocessing_presets import find_preprocessing

    return find_preprocessing(preprocessing, find_encoder(backbone)).preparation.display


def _refuse_early(data: ImageDataset, protocol: Protocol) -> None:
    """Refuse data and protocols that do not fit, before images are extracted."""
    import numpy as np

    from bottleneck.data.labels.positive_class import choose_positive
    from bottleneck.data.splits.patients import name_patients
    from bottleneck.evaluation.leak_experiment.protocols import split_by_patient

    choose_positive(data.classes, data.positive)
    labels = np.array([sample.label for sample in data.samples])
    patients = name_patients(np.array([s.group or "" for s in data.samples]))
    split_by_patient(protocol, labels, patients)


def _table(experiment: LeakExperiment) -> Table:
    from rich.text import Text

    table = make_table(caption=_caption(experiment), width=WIDTH)
    table.add_column("Protocol", overflow="fold")
    for heading in _COLUMNS.values():
        table.add_column(heading, justify="right", no_wrap=True)
    for row in experiment.rows:
        figures = (Text(_figure(row, figure, "\n")) for figure in _COLUMNS)
        table.add_row(_name(row), *figures)
    return table


def _name(row: LeakRow) -> str:
    return row.name if row.honest else f"{row.name} (leaks)"


def _figure(row: LeakRow, figure: str, between: str = " ") -> str:
    spread = row.spread(figure)
    mean = f"{row.mean(figure):.3f}"
    return mean if spread is None else f"{mean}{between}±{spread:.3f}"


def _caption(experiment: LeakExperiment) -> str:
    recipe = experiment.features["recipe"]
    repeats = len(experiment.rows[0].repeats["auroc"])
    drawn = (
        f"mean of {repeats} repeats of {experiment.n_splits} folds ± standard deviation between "
        "repeats, which is not a confidence interval"
        if repeats > 1
        else f"{experiment.n_splits} folds"
    )
    copies = "1 altered copy" if experiment.copies == 1 else f"{experiment.copies} altered copies"
    class_ = "" if experiment.positive is None else f"; positive class: {experiment.positive}"
    return (
        f"{experiment.dataset}, {experiment.n_images} images of {experiment.n_patients} patients "
        f"with {copies} each; {recipe['backbone']} "
        f"({recipe['weights']}), {experiment.head}{class_}; {drawn}."
    )


def _explain(experiment: LeakExperiment) -> list[str]:
    worst, honest = experiment.rows[0], next(row for row in experiment.rows if row.honest)
    paragraphs = []
    for row in experiment.rows:
        verdict = "Holds for new patients" if row.honest else "Wrong for new patients"
        paragraphs.append(
            f"{row.name}. {verdict}: {row.why} Of {row.n_tested} test images, "
            f"{row.image_known:.0%} have another copy in the training set, and "
            f"{row.patient_known:.0%} another image of the same patient."
        )
    paragraphs.append(
        "The pooled AUROC ranks the scores of all folds together, as published work often does. "
        "These scores come from different models, so the AUROC in folds is the correct one."
    )
    paragraphs.append(
        f"The honest AUROC is {honest.mean('auroc'):.3f}. With the same features, classifier and "
        f"patients, '{worst.name}' reports {worst.mean('auroc'):.3f}."
    )
    return paragraphs


def _as_json(experiment: LeakExperiment) -> JsonRecord:
    from bottleneck import __version__
    from bottleneck.report.redaction import plain

    facts = dataclasses.asdict(experiment)
    for fact, row in zip(facts["rows"], experiment.rows, strict=True):
        fact["figures"] = {
            figure: {"mean": row.mean(figure), "sd": row.spread(figure)} for figure in _COLUMNS
        }
    return JsonRecord("leakage", plain({"bottleneck": __version__} | facts, without_paths))


def _csv(experiment: LeakExperiment) -> str:
    warnings = " | ".join(without_paths(one.with_code) for one in experiment.warnings)
    frame = experiment.to_frame().assign(warnings=warnings)
    return frame_csv(frame, float_format="%.6g", bom=True)


def _markdown(experiment: LeakExperiment) -> str:
    headings = [heading.replace("\n", ", ") for heading in _COLUMNS.values()]
    lines = [
        f"| {' | '.join(['Protocol', *headings])} |",
        "| --- |" + " ---: |" * len(headings),
    ]
    for row in experiment.rows:
        figures = [_figure(row, figure) for figure in _COLUMNS]
        lines.append(f"| {' | '.join([_text(_name(row)), *figures])} |")
    warnings = [f"> **{_text(warning.with_code)}**" for warning in experiment.warnings]
    table = "\n".join(lines)
    ignored = describe_ignored(experiment.ignored)
    below = (_caption(experiment), *([f"{ignored}."] if ignored else []), *_explain(experiment))
    return "\n\n".join([*warnings, table, *map(_text, below)]) + "\n"


def _text(text: str) -> str:
    return markdown_text(without_paths(text))
