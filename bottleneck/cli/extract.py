"""``bottleneck extract``: run images through a frozen network."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bottleneck.checks.check_warnings import RANDOM_WEIGHTS
from bottleneck.cli.console import (
    Json,
    Quiet,
    announce_weights_folder,
    note_readers,
    progress,
    say,
    say_paragraph,
    say_warnings,
    show,
    show_json,
    show_warnings,
)
from bottleneck.cli.defaults import fill_defaults
from bottleneck.cli.fields import Options, takes_fields
from bottleneck.cli.reading import DatasetOptions, ImageKind, LabelSource
from bottleneck.errors import UsageError
from bottleneck.features.options import ExtractionOptions
from bottleneck.schemas.json_schemas import JsonRecord

if TYPE_CHECKING:
    from bottleneck.data.dataset import ImageDataset
    from bottleneck.features.extraction_result import Extraction

LAST: list[str | None] = [None]  # Names the last feature map.
_MOST_FAILURES = 5  # Shown on the terminal.


@takes_fields(Options(ExtractionOptions), DatasetOptions)
def extract(
    dataset: Annotated[
        str | None,
        typer.Argument(
            help="Folder with one subfolder of images or volumes per class, table (CSV, .xlsx), "
            "DDTI, TN5000 or LUNA16 folder, MedMNIST .npz, or `phantom`. Default: the one named in "
            "bottleneck.toml, else `phantom`.",
            show_default=False,
        ),
    ] = None,
    backbone: Annotated[
        list[str] | None,
        typer.Option(
            help="Frozen network. May be given several times; the images are then read once.",
            show_default="vgg16",
        ),
    ] = None,
    layer: Annotated[
        list[str] | None,
        typer.Option(
            help="Layer whose output is used. May be given several times.",
            show_default="last feature map",
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="Only the first N patients.", show_default=False)
    ] = None,
    unlabelled: Annotated[
        bool,
        typer.Option(
            "--unlabelled",
            help="Images for a fitted model: a file, a folder or a table. Folders are not read as "
            "classes, and a table needs no labels.",
        ),
    ] = False,
    label_source: LabelSource = None,
    image_kind: ImageKind = None,
    quiet: Quiet = False,
    as_json: Json = False,
    *,
    how: dict[str, Any],
    options: DatasetOptions,
) -> None:
    """Run images or volumes through a frozen network and cache its features.

    A second run computes only what is new or changed. The same command continues a run that was
    interrupted.

    Example: `bottleneck extract photos/ --backbone vgg16 --patient-pattern '(P\\d+)_'`
    """
    named = fill_defaults({"backbone": backbone, "weights": how.get("weights")}, quiet=quiet)
    networks = named["backbone"] or ["vgg16"]
    if named["weights"]:
        how["weights"] = named["weights"]
    ExtractionOptions(**how)  # Refused before the data set is read.
    stated = {"labels": label_source, "images": image_kind}
    description = {field: text for field, text in stated.items() if text}
    if unlabelled:
        data = _load_unlabelled(dataset, options, quiet=quiet)
        data = dataclasses.replace(data, description=description)
        data = data if limit is None else data.limited(limit)
    else:
        data = options.load(dataset, quiet=quiet, limit=limit, description=description)
    how["layers"] = layer or LAST
    results = run(data, list(dict.fromkeys(networks)), how, quiet=quiet, as_json=as_json)
    written = [result.path for result in results if result.n_extracted]
    note_readers(results[0].path.parent, written, quiet=quiet)
    if as_json:
        files = [
            {**dataclasses.asdict(result), "failures": dict(result.failures)} for result in results
        ]
        show_json(JsonRecord("extract", {"files": files}))


def _load_unlabelled(dataset: str | None, options: DatasetOptions, *, quiet: bool) -> ImageDataset:
    if dataset is None:
        raise UsageError("--unlabelled needs the path of the images: a file, a folder or a table")
    if options.positive is not None:
        raise UsageError(
            "--positive names a class, and --unlabelled images need none: leave one of them out"
        )
    return options.load_new(dataset, quiet=quiet)


def run(
    data: ImageDataset, backbones: list[str], options: dict[str, Any], *, quiet: bool, as_json: bool
) -> list[Extraction]:
    """Extract several backbones and layers in one pass, and print what was done."""
    if not quiet:
        say_paragraph(data.summary)
        say(f"loading {', '.join(backbones)} …")
    announce_weights_folder(options.get("weights", "imagenet"), quiet=quiet)
    from bottleneck.features.extraction import extract_all

    unit = f"{data.noun}s"
    with progress(quiet=quiet, unit=unit) as show_progress:
        results = extract_all(data, backbones, progress=show_progress, **options)
    if any(result.provenance["recipe"]["weights"] == "random" for result in results):
        (say_warnings if as_json else show_warnings)([RANDOM_WEIGHTS])
    for number, result in enumerate(results):
        if not quiet:
            for note in result.notes[len(data.notes) :]:  # The others were printed on loading.
                say_paragraph(note, "note: ")
        if not quiet and number == 0:
            _print_failures(result)
        if not as_json:
            show(*_summary(result, unit))
    if not quiet and any(result.n_extracted for result in results):
        _print_stages(results[0])
    return results


def _print_stages(result: Extraction) -> None:
    for stage in result.stages:
        say(f"{stage.name:>10}: {stage.busy:.1f} s busy, {stage.waiting:.1f} s waiting")
    say_paragraph(f"slowest stage: {result.bottleneck}; faster with {result.advice}")


def _print_failures(result: Extraction) -> None:
    shown = dict(result.failures)
    if len(shown) > _MOST_FAILURES:
        # One for each reason: all regions of a damaged volume have the same.
        first: dict[str, str] = {}
        for identity, reason in result.failures:
            first.setdefault(reason, identity)
        shown = {identity: reason for reason, identity in list(first.items())[:_MOST_FAILURES]}
    for identity, reason in shown.items():
        # The reason may have a command on a line of its own.
        reason = " ".join(reason.split())
        say_paragraph(f"{identity}: {reason}", "left out: ", whole=[identity])
    if more := len(result.failures) - len(shown):
        say_paragraph(f"… and {more} more; `bottleneck inspect {result.path}` lists all")


def _summary(result: Extraction, unit: str) -> tuple[str, str]:
    new, known, copies = result.n_extracted, result.n_known, result.n_copies
    done = f"{new} new, {known} known"
    if copies:
        done += f", {copies} {'copy' if copies == 1 else 'copies'} of these"
    if new:
        done += f", {result.images_per_second:.1f} {unit}/s from start to end"
    elif not copies:
        done = f"nothing to do: all {known} {unit} are known"
    failed = f", {len(result.failures)} left out" if result.failures else ""
    return str(result.path), f"  {new + known + copies} × {result.width} ({done}{failed})"
