"""``bottleneck extract``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bottleneck.cli.console import (
    RANDOM_WEIGHTS,
    Address,
    Engine,
    Json,
    Quiet,
    progress,
    say,
    show,
    show_json,
)
from bottleneck.cli.fields import takes_fields
from bottleneck.cli.reading import DatasetOptions, ImageKind, LabelSource
from bottleneck.errors import UsageError
from bottleneck.report.terminal import wrap

if TYPE_CHECKING:
    from bottleneck.data.dataset import ImageDataset
    from bottleneck.features.extraction import Extraction

LAST: list[str | None] = [None]  # Names the last feature map.


@takes_fields(DatasetOptions)
def extract(
    dataset: Annotated[
        str | None,
        typer.Argument(
            help="Folder with one subfolder a class, CSV manifest, DDTI or TN5000 folder, MedMNIST "
            ".npz, or `phantom`. Default: the one named in bottleneck.toml, else `phantom`.",
            show_default=False,
        ),
    ] = None,
    backbone: Annotated[
        list[str], typer.Option(help="Frozen network; may be given several times, for one pass.")
    ] = ["vgg16"],  # noqa: B006
    weights: Annotated[
        str,
        typer.Option(
            help="imagenet, radimagenet, random, a name in the weights folder, or a weight file."
        ),
    ] = "imagenet",
    layer: Annotated[
        list[str] | None,
        typer.Option(
            help="Layer to tap; may be given several times.", show_default="last feature map"
        ),
    ] = None,
    pooling: Annotated[str, typer.Option(help="avg, max, gem or flatten.")] = "avg",
    preprocessing: Annotated[
        str | None,
        typer.Option(
            help="timm, torchvision, keras, transformers, radimagenet, or a TOML file.",
            show_default="as the weights' publisher states",
        ),
    ] = None,
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16.")] = "auto",
    decode: Annotated[
        str,
        typer.Option(
            help="Whose resize: reference (Pillow), fast (torchvision), or auto: reference in "
            "fp32, else fast."
        ),
    ] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    batch_size: Annotated[str, typer.Option(help="Images a batch, or auto.")] = "auto",
    workers: Annotated[
        str,
        typer.Option(
            help="Threads that decode (in long runs, a process each), or auto; with Ray, cores "
            "of an actor."
        ),
    ] = "auto",
    compile_: Annotated[
        str,
        typer.Option(
            "--compile",
            help="Compile the network with torch: auto (in long runs on a CPU), always or never.",
        ),
    ] = "auto",
    engine: Engine = "local",
    address: Address = None,
    limit: Annotated[
        int | None, typer.Option(help="Only the first N patients.", show_default=False)
    ] = None,
    pixel_cache: Annotated[
        Path | None,
        typer.Option(
            help="Folder that keeps decoded images for networks run later; PNG is slow to decode.",
            show_default=False,
        ),
    ] = None,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Read every image again, also where size and modification time are as recorded.",
        ),
    ] = False,
    output: Annotated[Path, typer.Option(help="Folder of the feature files.")] = Path("features"),
    label_source: LabelSource = None,
    image_kind: ImageKind = None,
    quiet: Quiet = False,
    as_json: Json = False,
    *,
    options: DatasetOptions,
) -> None:
    """Run images through a frozen network and cache its features.

    A second run computes only what is new or changed. The same command continues a run that was
    interrupted.

    Example: `bottleneck extract photos/ --backbone vgg16 --patient-pattern '(P\\d+)_'`
    """
    stated = {"labels": label_source, "images": image_kind}
    description = {field: text for field, text in stated.items() if text}
    data = options.load(dataset, limit=limit, description=description)
    how = {
        "weights": weights,
        "layers": layer or LAST,
        "pooling": pooling,
        "preprocessing": preprocessing,
        "precision": precision,
        "decoding": decode,
        "device": device,
        "batch_size": _number("batch-size", batch_size),
        "workers": _number("workers", workers),
        "compile": compile_,
        "engine": engine,
        "address": address,
        "pixel_cache": pixel_cache,
        "verify": verify,
        "output": output,
    }
    results = run(data, list(dict.fromkeys(backbone)), how, quiet=quiet, as_json=as_json)
    if as_json:
        show_json([dataclasses.asdict(result) for result in results])


def run(
    data: ImageDataset, backbones: list[str], options: dict[str, Any], *, quiet: bool, as_json: bool
) -> list[Extraction]:
    """Extract several backbones and layers in one pass, and print what was done."""
    if not quiet:
        say(wrap(data.summary))
        say(f"loading {', '.join(backbones)} …")
    from bottleneck.features.extraction import extract_all

    with progress(quiet=quiet, unit="images") as show_progress:
        results = extract_all(data, backbones, progress=show_progress, **options)
    if any(result.provenance["recipe"]["weights"] == "random" for result in results):
        (say if as_json else show)(RANDOM_WEIGHTS)
    for number, result in enumerate(results):
        if not quiet:
            for note in result.notes if number == 0 else result.notes[len(data.notes) :]:
                say(wrap(note, "note: "))
        if not quiet and number == 0:
            _print_failures(result)
        if not as_json:
            show(_summary(result))
    if not quiet and any(result.n_extracted for result in results):
        _print_stages(results[0])
    return results


def _print_stages(result: Extraction) -> None:
    for stage in result.stages:
        say(f"{stage.name:>10}: {stage.busy:.1f} s busy, {stage.waiting:.1f} s waiting")
    say(wrap(f"bottleneck: {result.bottleneck}; faster with {result.advice}"))


def _number(option: str, value: str) -> Any:
    if value == "auto" or value.isdecimal():
        return value if value == "auto" else int(value)
    raise UsageError(f"--{option} takes a whole number or auto, not '{value}'")


def _print_failures(result: Extraction) -> None:
    for identity, reason in result.failures[:5]:
        say(wrap(f"{identity}: {reason}", "left out: ", whole=[identity]))
    more = len(result.failures) - 5
    if more > 0:
        say(wrap(f"… and {more} more; `bottleneck inspect {result.path}` lists all"))


def _summary(result: Extraction) -> str:
    new, known, copies = result.n_extracted, result.n_known, result.n_copies
    done = f"{new} new, {known} known"
    if copies:
        done += f", {copies} {'copy' if copies == 1 else 'copies'} of these"
    if new:
        done += f", {result.images_per_second:.1f} images/s from start to end"
    elif not copies:
        done = f"nothing to do: all {known} images are known"
    failed = f", {len(result.failures)} left out" if result.failures else ""
    return f"{result.path}\n  {new + known + copies} × {result.width} ({done}{failed})"
