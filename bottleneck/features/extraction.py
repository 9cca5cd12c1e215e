"""Extraction: images through a frozen network into a feature file."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from bottleneck import cluster
from bottleneck.backbones.backbone import Backbone, load_backbone
from bottleneck.backbones.recipe import Decoding, Precision, Recipe
from bottleneck.data.dataset import ImageDataset
from bottleneck.data.images.pixel_cache import PixelCache
from bottleneck.errors import FeatureFileError, UsageError, unknown_name
from bottleneck.features.compute.autotune import TUNINGS, Tuning
from bottleneck.features.compute.engine import BatchPlan, Engine
from bottleneck.features.compute.local_engine import LocalEngine
from bottleneck.features.devices import default_workers
from bottleneck.features.file_update import Run, log_path
from bottleneck.features.options import check_choices, choose_recipe, explain_decoding
from bottleneck.features.output import lock, make_folder
from bottleneck.features.shared_pass import Progress, execute
from bottleneck.features.timing import Stage, advise, find_bottleneck

__all__ = ["Extraction", "extract", "extract_all", "extract_layers"]


@dataclasses.dataclass(frozen=True)
class Extraction:
    """What a run did.

    Attributes
    ----------
    path : Path
        The feature file.
    n_samples : int
        Of the data set.
    n_extracted, n_known, n_copies : int
        Rows computed in this run, rows taken over from before, and rows of images that are
        copies of one of these, byte by byte.
    failures : tuple of (str, str)
        Id and reason of the samples without a row.
    seconds, images_per_second : float
        Of this run.
    width : int
        Length of a feature vector.
    stages : tuple of Stage
        Where the time of this run went; those of one call are extracted together and share it.
    bottleneck, advice : str
        Name of the stage that the others waited for, and the option that would widen it.
    notes : tuple of str
        What the user should hear.
    provenance : mapping
        As the file holds it.
    """

    path: Path
    n_samples: int
    n_extracted: int
    n_known: int
    n_copies: int
    failures: tuple[tuple[str, str], ...]
    seconds: float
    images_per_second: float
    width: int
    stages: tuple[Stage, ...]
    bottleneck: str
    advice: str
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
    decoding: Decoding | Literal["auto"] = "auto",
    device: str = "auto",
    batch_size: int | Literal["auto"] = "auto",
    workers: int | Literal["auto"] = "auto",
    tuning: Tuning = "auto",
    engine: str = "local",
    address: str | None = None,
    pixel_cache: str | Path | None = None,
    verify: bool = False,
    output: str | Path = "features",
    progress: Progress | None = None,
) -> Extraction:
    """Run a data set through a frozen network and store one row of features a sample.

    Rows answer to the sha256 of their image, so a second run computes only what is new or
    changed; it does not even read a file of which size and modification time are those
    recorded. Finished batches go into a log beside the feature file, and into the file when
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
    decoding : {"auto", "reference", "fast"}
        Whose resize: Pillow's, or torchvision's, which takes a fifth to a third of the time
        and differs by one level in a few pixels of a thousand. "auto" keeps that of a run to be
        continued; else it is the reference in fp32, which takes no other, and fast in reduced
        precision.
    device : str
        "auto", "cpu", "cuda" or "cuda:N".
    batch_size : int or "auto"
        Images a batch. A file keeps the batch size that it was begun with.
    workers : int or "auto"
        Threads that read and decode; as many as there are cores, 24 at most. With Ray, those
        of one actor.
    tuning : {"auto", "always", "never"}
        Whether to measure which memory format and batch size are fastest here, and whether
        compiling pays: as far as a twentieth of the run has room for it, all of it, or not at
        all. With Ray nothing is measured.
    engine : {"local", "ray"}
        Where to compute: in this process, or in actors of a Ray cluster, which must see the
        images under the same path. Both make the same file, and each continues the other's.
    address : str, optional
        Of the Ray cluster; by default the one that the environment names (``RAY_ADDRESS``),
        else Ray is started on this machine, with all its cores and GPUs.
    pixel_cache : str or Path, optional
        Folder that keeps decoded images, for networks that are run later: where decoding takes
        the time, as with PNG. It holds the pictures themselves.
    verify : bool
        Read and hash every image, also where size and modification time are those recorded.
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
    MissingExtraError
        If it needs a package that is not installed.
    WeightsError
        If the weights cannot be had or do not fit.
    DataError
        If no image at all can be used.
    FeatureFileError
        If the target is damaged, another data set's, or being written by another run.
    """
    (extraction,) = extract_all(
        dataset,
        [backbone],
        layers=[layer] if isinstance(backbone, str) else [],
        weights=weights,
        pooling=pooling,
        preprocessing=preprocessing,
        precision=precision,
        decoding=decoding,
        device=device,
        batch_size=batch_size,
        workers=workers,
        tuning=tuning,
        engine=engine,
        address=address,
        pixel_cache=pixel_cache,
        verify=verify,
        output=output,
        progress=progress,
    )
    return extraction


def extract_layers(
    dataset: ImageDataset,
    backbone: str | Backbone = "vgg16",
    *,
    layers: Sequence[str | None],
    **options: Any,
) -> list[Extraction]:
    """Do the same for several layers of one network, in one forward pass an image.

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
    return extract_all(dataset, [backbone], layers=layers, **options)


def extract_all(
    dataset: ImageDataset,
    backbones: Sequence[str | Backbone],
    *,
    layers: Sequence[str | None] = (None,),
    weights: str = "imagenet",
    pooling: str = "avg",
    preprocessing: str | None = None,
    precision: Precision | Literal["auto"] = "auto",
    decoding: Decoding | Literal["auto"] = "auto",
    device: str = "auto",
    batch_size: int | Literal["auto"] = "auto",
    workers: int | Literal["auto"] = "auto",
    tuning: Tuning = "auto",
    engine: str = "local",
    address: str | None = None,
    pixel_cache: str | Path | None = None,
    verify: bool = False,
    output: str | Path = "features",
    progress: Progress | None = None,
) -> list[Extraction]:
    """Do the same for several networks, in one pass over the images.

    Each image is read and decoded once, whatever the number of networks, layers and input
    sizes. All networks are in memory together.

    Parameters
    ----------
    backbones : sequence of str or Backbone
        Names, to each of which ``weights``, ``pooling`` and ``preprocessing`` go, or backbones
        at hand.
    layers : sequence of str or None
        Of each of them: names of layers, None for the last feature map; empty for a backbone as
        it is. Each gets a feature file of its own, as if it had been extracted alone.

    Other parameters, and what is raised, as in :func:`extract`.

    Returns
    -------
    list of Extraction
        One for each backbone and layer, the layers of a backbone side by side. Those of one
        recipe are extracted once, and have one feature file.
    """
    check_choices(precision, decoding)
    if tuning not in TUNINGS:
        raise unknown_name("tuning", tuning, TUNINGS)
    for option, number in (("batch size", batch_size), ("number of workers", workers)):
        if number != "auto" and number < 1:
            raise UsageError(f"the {option} must be at least 1, not {number}")
    tell = progress or _silent
    folder = make_folder(Path(output))
    cache = None if pixel_cache is None else PixelCache(Path(pixel_cache))
    with contextlib.ExitStack() as stack:
        chosen_engine = stack.enter_context(_open_engine(engine, address, device, workers, tuning))
        planned: dict[Path, tuple[Backbone, Recipe, BatchPlan]] = {}
        files: dict[str | Backbone, list[Path]] = {}
        for one in dict.fromkeys(backbones):
            taps = _tapped(one, layers, weights, pooling, preprocessing)
            exact, how, begun = choose_recipe(
                folder, dataset.name, taps, precision, decoding, chosen_engine.native_precision
            )
            say = functools.partial(tell, 0, len(dataset), f"measuring {taps[0].name}")
            plan = chosen_engine.tune(taps, exact, batch_size, 0 if begun else len(dataset), say)
            for tap in taps:
                recipe = tap.recipe(exact, how)
                path = folder / recipe.file_name(dataset.name)
                planned.setdefault(path, (tap, recipe, plan))
                files.setdefault(one, []).append(path)
        for path in planned:
            stack.enter_context(lock(path))
        try:
            runs = [Run(dataset, *how, path, chosen_engine.device) for path, how in planned.items()]
            said: set[str] = set()  # Once for each network, with the first of its layers.
            for run in runs:
                notes = [n for n in explain_decoding(run.recipe, decoding) if n not in said]
                run.notes += notes
                said.update(notes)
            stages = execute(
                runs,
                batch_size,
                chosen_engine,
                tell,
                cache=cache,
                verify=verify,
            )
        except OSError as error:
            first = next(iter(planned))
            kept = log_path(first).exists()
            raise FeatureFileError(
                f"{first} cannot be written: {error.strerror or error}. What was finished is "
                f"{'kept' if kept else 'gone with its folder'}; mend the cause and repeat the "
                "command"
            ) from None
        results = {run.path: _extraction(run, stages, chosen_engine, cache) for run in runs}
        return [results[path] for one in backbones for path in files[one]]


@contextlib.contextmanager
def _open_engine(
    name: str,
    address: str | None,
    device: str,
    workers: int | Literal["auto"],
    tuning: Tuning,
) -> Iterator[Engine]:
    if not cluster.choose(name, address):
        yield LocalEngine(device, workers, tuning)
        return
    if tuning == "always":
        raise UsageError(
            "the machines of a cluster may differ, and nothing is measured there: leave --tune "
            "out with --engine ray"
        )
    from bottleneck.features.compute.ray_engine import RayEngine

    with RayEngine(device, workers, address) as engine:
        yield engine


def _tapped(
    backbone: str | Backbone,
    layers: Sequence[str | None],
    weights: str,
    pooling: str,
    preprocessing: str | None,
) -> list[Backbone]:
    chosen = list(dict.fromkeys(layers))
    if not isinstance(backbone, str):
        return [backbone.at(layer) for layer in chosen] or [backbone]
    first = chosen[0] if chosen else None
    loaded = load_backbone(
        backbone, weights=weights, layer=first, pooling=pooling, preprocessing=preprocessing
    )
    return [loaded, *(loaded.at(layer) for layer in chosen[1:])]


def _extraction(
    run: Run, stages: tuple[Stage, ...], engine: Engine, cache: PixelCache | None
) -> Extraction:
    seconds = run.seconds
    bottleneck = find_bottleneck(stages)
    return Extraction(
        path=run.path,
        n_samples=len(run.dataset),
        n_extracted=run.n_extracted,
        n_known=run.n_rows - run.n_extracted - run.n_copies,
        n_copies=run.n_copies,
        failures=tuple(run.failures),
        seconds=seconds,
        images_per_second=run.n_extracted / seconds,
        width=run.backbone.width,
        stages=stages,
        bottleneck=bottleneck,
        advice=advise(
            bottleneck,
            workers=engine.clock.workers,
            cores=default_workers(),
            device=run.device.type,
            precision=run.recipe.precision,
            many=engine.name == "ray",
            cached=cache is not None,
        ),
        notes=tuple(run.notes),
        provenance=run.provenance,
    )


def _silent(done: int, total: int, text: str) -> None:
    """Stand in for a progress display."""
