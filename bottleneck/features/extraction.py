"""Extraction: images through a frozen network into a feature file."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import filelock

from bottleneck.backbones.backbone import Backbone, load_backbone
from bottleneck.data.dataset import ImageDataset
from bottleneck.errors import FeatureFileError, UsageError, unknown_name
from bottleneck.features import engine
from bottleneck.features.passes import Progress, execute
from bottleneck.features.recipe import PRECISIONS, Precision
from bottleneck.features.run import Run, log_path

__all__ = ["Extraction", "extract", "extract_layers"]


@dataclasses.dataclass(frozen=True)
class Extraction:
    """What a run did.

    Attributes
    ----------
    path : Path
        The feature file.
    n_samples : int
        Of the data set.
    n_extracted, n_known : int
        Rows computed in this run, and rows taken over from before.
    failures : tuple of (str, str)
        Id and reason of the samples without a row.
    seconds, images_per_second : float
        Of this run.
    width : int
        Length of a feature vector.
    notes : tuple of str
        What the user should hear.
    provenance : mapping
        As the file holds it.
    """

    path: Path
    n_samples: int
    n_extracted: int
    n_known: int
    failures: tuple[tuple[str, str], ...]
    seconds: float
    images_per_second: float
    width: int
    notes: tuple[str, ...]
    provenance: Mapping[str, Any]


def extract(
    dataset: ImageDataset,
    backbone: str | Backbone = "vgg16",
    *,
    weights: str = "imagenet",
    layer: str | None = None,
    pooling: str = "avg",
    preprocessing: str | None = None,
    precision: Precision | Literal["auto"] = "auto",
    device: str = "auto",
    batch_size: int | Literal["auto"] = "auto",
    workers: int | Literal["auto"] = "auto",
    output: str | Path = "features",
    progress: Progress | None = None,
) -> Extraction:
    """Run a data set through a frozen network and store one row of features a sample.

    Rows answer to the sha256 of their image, so a second run computes only what is new or
    changed. Finished batches go into a log beside the feature file, and into the file when
    the run ends; a run that was killed is continued by the same call.

    Parameters
    ----------
    dataset : ImageDataset
        What to run.
    backbone : str or Backbone
        A name for ``load_backbone``, to which ``weights``, ``layer``, ``pooling`` and
        ``preprocessing`` go as well, or a backbone at hand.
    precision : {"auto", "fp32", "bf16", "fp16"}
        "auto" keeps the precision of a run to be continued; else it is bf16 where the
        hardware computes in it, and fp32 elsewhere.
    device : str
        "auto", "cpu", "cuda" or "cuda:N".
    batch_size : int or "auto"
        Images a batch. A file keeps the batch size that it was begun with.
    workers : int or "auto"
        Threads that read and decode; as many as there are cores.
    output : str or Path
        Folder of the feature file, created where absent.
    progress : callable, optional
        Called with samples done, samples in all, and a text.

    Returns
    -------
    Extraction

    Raises
    ------
    UsageError
        If an option cannot be.
    WeightsError
        If the weights cannot be had or do not fit.
    DataError
        If no image at all can be used.
    FeatureFileError
        If the target is damaged, another data set's, or being written by another run.
    """
    (extraction,) = extract_layers(
        dataset,
        backbone,
        layers=[layer] if isinstance(backbone, str) else [],
        weights=weights,
        pooling=pooling,
        preprocessing=preprocessing,
        precision=precision,
        device=device,
        batch_size=batch_size,
        workers=workers,
        output=output,
        progress=progress,
    )
    return extraction


def extract_layers(
    dataset: ImageDataset,
    backbone: str | Backbone = "vgg16",
    *,
    layers: Sequence[str | None],
    weights: str = "imagenet",
    pooling: str = "avg",
    preprocessing: str | None = None,
    precision: Precision | Literal["auto"] = "auto",
    device: str = "auto",
    batch_size: int | Literal["auto"] = "auto",
    workers: int | Literal["auto"] = "auto",
    output: str | Path = "features",
    progress: Progress | None = None,
) -> list[Extraction]:
    """Do the same for several layers of one network, in one pass over the images.

    Parameters
    ----------
    layers : sequence of str or None
        Names of layers, None for the last feature map; empty for a backbone as it is. Each
        gets a feature file of its own, as if it had been extracted alone.

    Other parameters, and what is raised, as in :func:`extract`.

    Returns
    -------
    list of Extraction
        One for each layer.
    """
    if precision != "auto" and precision not in PRECISIONS:
        raise unknown_name("precision", precision, ("auto", *PRECISIONS))
    for option, number in (("batch size", batch_size), ("number of workers", workers)):
        if number != "auto" and number < 1:
            raise UsageError(f"the {option} must be at least 1, not {number}")
    target = engine.resolve_device(device)
    folder = _writable(Path(output))
    chosen = list(dict.fromkeys(layers))
    if isinstance(backbone, str):
        first = chosen[0] if chosen else None
        backbone = load_backbone(
            backbone, weights=weights, layer=first, pooling=pooling, preprocessing=preprocessing
        )
        chosen = chosen[1:]
        taps = [backbone, *(backbone.at(layer) for layer in chosen)]
    else:
        taps = [backbone.at(layer) for layer in chosen] or [backbone]
    if precision == "auto":
        precision = _begun(folder, dataset, taps) or engine.native_precision(target)
    paths = [folder / tap.recipe(precision).file_name(dataset.name) for tap in taps]
    with contextlib.ExitStack() as stack:
        for path in paths:
            _lock(stack, path)
        try:
            runs = [
                Run(dataset, tap, precision, path, target)
                for tap, path in zip(taps, paths, strict=True)
            ]
            threads = engine.default_workers() if workers == "auto" else workers
            execute(runs, batch_size, threads, progress or _silent)
        except OSError as error:
            kept = log_path(paths[0]).exists()
            raise FeatureFileError(
                f"{paths[0]} cannot be written: {error.strerror or error}. What was finished is "
                f"{'kept' if kept else 'gone with its folder'}; mend the cause and repeat the "
                "command"
            ) from None
    return [_extraction(run) for run in runs]


def _lock(stack: contextlib.ExitStack, path: Path) -> None:
    try:
        stack.enter_context(filelock.FileLock(path.with_name(f".{path.name}.lock"), timeout=0))
    except filelock.Timeout:
        raise FeatureFileError(
            f"{path} is being written by another extraction; wait for it, or choose another "
            "--output"
        ) from None


def _extraction(run: Run) -> Extraction:
    seconds = run.seconds
    return Extraction(
        path=run.path,
        n_samples=len(run.dataset),
        n_extracted=run.n_extracted,
        n_known=len(run.rows) - run.n_extracted,
        failures=tuple(run.failures),
        seconds=seconds,
        images_per_second=run.n_extracted / seconds,
        width=run.backbone.width,
        notes=tuple(run.notes),
        provenance=run.provenance,
    )


def _silent(done: int, total: int, text: str) -> None:
    """Stand in for a progress display."""


def _writable(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UsageError(
            f"the output folder {folder} cannot be written: {error.strerror or error}; "
            "choose another with --output"
        ) from None
    return folder


def _begun(folder: Path, dataset: ImageDataset, taps: Sequence[Backbone]) -> Precision | None:
    found = []
    for precision in PRECISIONS:
        paths = [folder / tap.recipe(precision).file_name(dataset.name) for tap in taps]
        if any(path.exists() or log_path(path).exists() for path in paths):
            found.append(precision)
    return found[0] if len(found) == 1 else None
