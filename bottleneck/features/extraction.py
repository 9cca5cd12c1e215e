"""Extraction: images through frozen networks into feature files.

An image takes six steps:

1. sample: ``unread_images.py`` selects the samples whose images must be read;
2. load: ``images/loader.py`` reads, hashes, decodes and crops them, ahead of the networks;
3. batch: ``compute/worker.py`` collects them until a batch is full;
4. network: ``compute/batch_runner.py`` computes the batch;
5. append: ``file/store.py`` adds the rows to the log of each feature file;
6. finish: ``file/writer.py`` writes the whole file.

Steps 2 to 4 are those of an engine: in this process, or in the actors of a Ray cluster.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Unpack

from bottleneck.backbones.backbone import Backbone
from bottleneck.backbones.licences import require_licence
from bottleneck.backbones.recipe import Recipe
from bottleneck.backbones.weights.stated_licences import require_named_licence
from bottleneck.data.dataset import ImageDataset
from bottleneck.data.images.pixel_cache import PixelCache
from bottleneck.errors import FeatureFileError, describe_os_error
from bottleneck.features.compute.engine import BatchPlan, Engine, FeatureBatch
from bottleneck.features.compute.local_engine import LocalEngine
from bottleneck.features.compute.tapped_networks import group_by_input, load_named, tap
from bottleneck.features.devices import default_workers
from bottleneck.features.extraction_result import Extraction
from bottleneck.features.file.neighbour_files import Arithmetic
from bottleneck.features.file.store import FeatureStore, log_path
from bottleneck.features.file.write_queue import WriteQueue
from bottleneck.features.images.region_loader import order_by_volume
from bottleneck.features.options import ExtractionKeywords, ExtractionOptions
from bottleneck.features.provenance import describe_run
from bottleneck.features.rows import ImageRow, ImageTable
from bottleneck.features.run_settings import choose_plan, choose_recipe, explain_decoding
from bottleneck.features.shared_pass import SharedPass, make_job, share_passes
from bottleneck.features.timing import Stage, advise, find_bottleneck
from bottleneck.features.unread_images import select_unread
from bottleneck.files.locks import lock
from bottleneck.files.writing import make_folder
from bottleneck.processes import cluster
from bottleneck.processes.progress_bar import Progress, show_nothing
from bottleneck.processes.work_steps import shows_progress

__all__ = ["extract", "extract_all"]

_OTHER_FOLDER = "another folder (--output; of predict, --features)"


@shows_progress("images")
def extract(
    dataset: ImageDataset,
    backbone: str | Backbone = "vgg16",
    *,
    layer: str | None = None,
    progress: Progress | None = None,
    quiet: bool = False,
    **options: Unpack[ExtractionKeywords],
) -> Extraction:
    """Run a data set through a frozen network and store one row of features per sample.

    Rows are identified by the sha256 of their image: a second run, also of a data set that was
    copied or renamed, computes only what no feature file of the recipe in the folder has. Files
    of recorded size and modification time are not even read. The same call continues a killed run.

    Parameters
    ----------
    dataset : ImageDataset
        The images.
    backbone : str or Backbone
        A name for ``load_backbone``, or a loaded backbone.
    layer : str, optional
        Layer to tap, for a backbone given by name; by default the last feature map.
    progress : callable, optional
        Called with samples done, samples in all, and a text.
    quiet : bool
        Whether no progress bar is shown; by default, one is on a terminal and in a notebook.
    **options
        Fields of ``bottleneck.features.options.ExtractionOptions``, for example
        ``weights``, ``precision`` and ``output``.

    Returns
    -------
    Extraction

    Raises
    ------
    UsageError
        If an option has no such value.
    MissingExtraError
        If an option needs a package that is not installed.
    WeightsError
        If the weights are not available or do not fit.
    LicenceError
        If the policy refuses the licence of the weights.
    DataError
        If not one image can be used.
    FeatureFileError
        If the feature file is damaged, belongs to another data set, or is being written by
        another run.

    Examples
    --------
    Here with a network of one convolution, in place of a name such as "resnet18":

    >>> from bottleneck import load_dataset
    >>> from bottleneck.testing import tiny_backbone
    >>> run = extract(load_dataset("phantom", limit=2), tiny_backbone(), output="extracted")
    >>> run.n_extracted, run.width
    (4, 8)
    >>> extract(load_dataset("phantom", limit=2), tiny_backbone(), output="extracted").n_extracted
    0
    """
    layers = [layer] if isinstance(backbone, str) else []
    (extraction,) = extract_all(dataset, [backbone], layers=layers, progress=progress, **options)
    return extraction


@shows_progress("images")
def extract_all(
    dataset: ImageDataset,
    backbones: Sequence[str | Backbone],
    *,
    layers: Sequence[str | None] = (None,),
    progress: Progress | None = None,
    quiet: bool = False,
    **options: Unpack[ExtractionKeywords],
) -> list[Extraction]:
    """Extract several networks in one pass over the images.

    Each image is read and decoded once, whatever the number of networks, layers and input
    sizes. All networks are in memory together. Loaded backbones that need images in several
    preparations take one pass for each of these.

    Parameters
    ----------
    backbones : sequence of str or Backbone
        Names for ``load_backbone``, or loaded backbones.
    layers : sequence of str or None
        Layers of each of them: names, None for the last feature map; empty for a backbone as it
        is. Each gets a feature file of its own, as if it had been extracted alone.

    Other parameters, and what is raised, as in :func:`extract`.

    Returns
    -------
    list of Extraction
        One for each backbone and layer, the layers of a backbone next to each other. Those of
        one recipe are extracted once, and have one feature file.

    Examples
    --------
    >>> from bottleneck import load_dataset
    >>> from bottleneck.testing import tiny_backbone
    >>> networks = [tiny_backbone(), tiny_backbone(width=16)]
    >>> runs = extract_all(load_dataset("phantom", limit=2), networks, output="features")
    >>> [run.width for run in runs]
    [8, 16]
    """
    chosen = ExtractionOptions(**options)
    for backbone in backbones:
        if isinstance(backbone, str):
            require_named_licence(backbone, chosen.weights, chosen.licence_policy)
        else:
            require_licence(backbone.weights.to_dict(), chosen.licence_policy)
    backbones = load_named(dataset, backbones, layers, chosen)
    groups = group_by_input(backbones, chosen)
    if len(groups) > 1:
        done: dict[str | Backbone, list[Extraction]] = {}
        for group in groups:
            made = extract_all(dataset, group, layers=layers, progress=progress, **options)
            each = len(made) // len(group)
            done |= {one: made[each * n : each * (n + 1)] for n, one in enumerate(group)}
        return [extraction for backbone in backbones for extraction in done[backbone]]
    show = progress or show_nothing
    folder = make_folder(Path(chosen.output))
    cache = None if chosen.pixel_cache is None else PixelCache(Path(chosen.pixel_cache))
    with contextlib.ExitStack() as stack:
        engine = stack.enter_context(_open_engine(chosen))
        targets: dict[Path, tuple[Backbone, Recipe, BatchPlan]] = {}
        paths: dict[str | Backbone, list[Path]] = {}
        for backbone in dict.fromkeys(backbones):
            taps = tap(dataset, backbone, layers, chosen)
            precision, decoding, begun = choose_recipe(
                chosen, dataset.name, taps, engine.native_precision
            )
            plan = choose_plan(chosen, taps, engine, 0 if begun else len(dataset))
            for tapped in taps:
                recipe = tapped.recipe(precision, decoding)
                path = folder / recipe.file_name(dataset.name)
                targets.setdefault(path, (tapped, recipe, plan))
                paths.setdefault(backbone, []).append(path)
        for path in targets:  # All of them, before anything is begun.
            stack.enter_context(lock(path, "extraction", FeatureFileError, other=_OTHER_FOLDER))
        with _explained_errors(list(targets)), contextlib.ExitStack() as opened:
            queue = opened.enter_context(WriteQueue(engine.clock, 2 * len(targets)))
            members = []
            for path, (tapped, recipe, plan) in targets.items():
                settings = {**dataclasses.asdict(plan), "drift": None}
                like = None
                if chosen.compile != "auto" and recipe.precision != "fp32":
                    like = Arithmetic(plan.compiled, engine.device.type)
                store = FeatureStore(path, dataset, recipe, tapped.width, settings, queue, like)
                members.append((tapped, opened.enter_context(store)))
            _note_options([store for _, store in members], chosen)
            stages = _extract(members, engine, queue, cache, verify=chosen.verify, progress=show)
        results = {
            store.path: _summarise(store, stages, engine, cached=cache is not None)
            for _, store in members
        }
        return [results[path] for backbone in backbones for path in paths[backbone]]


def _extract(
    members: Sequence[tuple[Backbone, FeatureStore]],
    engine: Engine,
    queue: WriteQueue,
    cache: PixelCache | None,
    *,
    verify: bool,
    progress: Progress,
) -> tuple[Stage, ...]:
    """Bring all stores of one data set up to date in one pass; return where the time went."""
    stores = [store for _, store in members]
    dataset, clock = stores[0].dataset, engine.clock
    clock.start()
    passes = share_passes(members)
    images = ImageTable(len(dataset), dataset.noun)

    # 1. sample
    every = range(len(dataset))
    unread = every if verify else select_unread(stores, images, clock.workers)
    unread = order_by_volume(dataset, unread)

    # 2. load, 3. batch, 4. network
    job = make_job(passes, dataset, unread, cache)
    compiling = any(forward.plan.compiled for forward in job.forwards)
    names = ", ".join(dict.fromkeys(backbone.name for backbone, _ in members))
    total, done = len(dataset), len(dataset) - len(unread)
    progress(done, total, names)
    with (
        contextlib.closing(engine.run(job) if len(unread) else _nothing()) as results,
        _kept_batches(results, passes),
    ):
        for result in results:
            if isinstance(result, FeatureBatch):
                # 5. append
                passes[result.forward].append(result)
                if compiling:
                    compiling = False
                    progress(done, total, names)
                continue
            images.add(result)
            for store in stores:
                store.note_read(result)
            done += 1
            progress(done, total, f"compiling {names}" if compiling and result.pixels else names)

    # 6. finish
    queue.finish()
    stages = clock.stages()
    for backbone, store in members:
        store.finish(images, functools.partial(describe_run, backbone, stages, engine))
    return stages


@contextlib.contextmanager
def _kept_batches(
    results: Generator[ImageRow | FeatureBatch], passes: Sequence[SharedPass]
) -> Iterator[None]:
    """Append the batches that are being computed when the block is interrupted."""
    try:
        yield
    except KeyboardInterrupt as interruption:
        with contextlib.suppress(StopIteration):
            result = results.throw(interruption)  # The engine raises it after its last batch.
            while True:
                if isinstance(result, FeatureBatch):
                    passes[result.forward].append(result)
                result = next(results)
        raise


def _nothing() -> Generator[ImageRow | FeatureBatch]:
    """Yield nothing, where every image is known and no network need be prepared."""
    yield from ()


@contextlib.contextmanager
def _open_engine(options: ExtractionOptions) -> Iterator[Engine]:
    if not cluster.choose(options.engine, options.address):
        yield LocalEngine(options.device, options.workers)
        return
    from bottleneck.features.compute.ray_engine import RayEngine

    with RayEngine(options.device, options.workers, options.address) as engine:
        yield engine


def _note_options(stores: Sequence[FeatureStore], options: ExtractionOptions) -> None:
    """Note the options that had no effect."""
    noted: set[str] = set()  # Once for each network, with the first of its layers.
    for store in stores:
        notes = [n for n in explain_decoding(store.recipe, options.decoding) if n not in noted]
        noted.update(notes)
        store.notes += notes
        kept = store.settings["batch_size"]
        if options.batch_size not in ("auto", kept):
            store.notes.append(
                f"batch size {kept}, not {options.batch_size}: a file keeps the batch size of its "
                "first run"
            )


@contextlib.contextmanager
def _explained_errors(paths: Sequence[Path]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        kept = any(path.exists() or log_path(path).exists() for path in paths)
        raise FeatureFileError(
            f"{paths[0]} cannot be written: {describe_os_error(error)}. Finished work is "
            f"{'kept' if kept else 'gone with its folder'}; fix the cause and repeat the "
            "command"
        ) from None


def _summarise(
    store: FeatureStore,
    stages: tuple[Stage, ...],
    engine: Engine,
    *,
    cached: bool,
) -> Extraction:
    seconds, bottleneck = store.seconds, find_bottleneck(stages)
    return Extraction(
        path=store.path,
        n_samples=len(store.dataset),
        n_extracted=store.n_extracted,
        n_known=store.n_rows - store.n_extracted - store.n_copies,
        n_copies=store.n_copies,
        taken=store.taken,
        failures=tuple(store.failures),
        seconds=seconds,
        images_per_second=store.n_extracted / seconds,
        width=store.width,
        stages=stages,
        bottleneck=bottleneck,
        advice=advise(
            bottleneck,
            workers=engine.clock.workers,
            cores=default_workers(),
            device=engine.device.type,
            precision=store.recipe.precision,
            on_cluster=engine.name == "ray",
            cached=cached,
        ),
        notes=(*store.dataset.notes, *store.notes),
        provenance=store.provenance,
    )
