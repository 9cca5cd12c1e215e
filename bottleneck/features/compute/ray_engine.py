"""The engine of a Ray cluster: actors compute chunks of a job and send them back.

A chunk of samples is a row of a Ray dataset. An actor does with it what the local engine does
with all samples, and returns one row: the images, without their pixels, and the batches. A chunk
arrives whole or not at all, so the next actor repeats one that was lost with its actor.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pickle
import socket
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import torch

import bottleneck
from bottleneck.backbones.recipe import Precision
from bottleneck.data.dataset import FileSource, ImageDataset, ImageSource, Sample
from bottleneck.data.images.pixel_cache import PixelCache
from bottleneck.data.volumes.volume_preprocessing import VolumePreprocessing
from bottleneck.errors import BottleneckError, ClusterError, DataError, UsageError, one_line
from bottleneck.features import devices
from bottleneck.features.compute.engine import ExtractionJob, FeatureBatch, ForwardPass
from bottleneck.features.compute.worker import Worker
from bottleneck.features.images.region_loader import load_regions
from bottleneck.features.rows import ImageRow
from bottleneck.features.timing import Clock
from bottleneck.processes import cluster

if TYPE_CHECKING:
    import pyarrow

__all__ = ["RayEngine"]

# The largest chunk, in batches: what a kill loses, and how far apart results arrive.
_MAX_BATCHES = 8


@dataclasses.dataclass(frozen=True)
class _ActorSettings:
    """What every actor of a job needs to know."""

    forwards: Sequence[ForwardPass]
    images: ImageSource
    cache: PixelCache | None
    device: str
    workers: int
    n_images: int
    folder: str
    version: str = bottleneck.__version__


@dataclasses.dataclass(frozen=True)
class _Chunk:
    """Some samples, their numbers in the data set, and the rows that exist already."""

    numbers: Sequence[int]
    samples: Sequence[Sample]
    known: frozenset[tuple[int, str]]


@dataclasses.dataclass(frozen=True)
class _ChunkResult:
    """The images of a chunk, without their pixels, and their features."""

    node: str
    device: str
    busy: dict[str, float]
    items: Sequence[ImageRow | FeatureBatch]
    error: BottleneckError | None


class _Actor:
    """A worker on a machine of the cluster, with its own networks."""

    def __init__(self, reference: Any) -> None:
        settings: _ActorSettings = cluster.get(reference)
        self._version = settings.version
        # Paths of a data set may be relative to the folder in which the command runs.
        with contextlib.suppress(OSError):
            os.chdir(settings.folder)
        self._images = settings.images
        self._device = torch.device(settings.device)
        if self._device.type == "cpu":
            torch.set_num_threads(settings.workers)
        self._clock = Clock(settings.workers)
        self._worker = Worker(
            settings.forwards, self._device, self._clock, settings.cache, settings.n_images
        )

    def __call__(self, table: pyarrow.Table) -> pyarrow.Table:
        import pyarrow

        results = [
            pickle.dumps(self._compute(pickle.loads(cell.as_py()))) for cell in table["chunk"]
        ]
        return pyarrow.table({"result": pyarrow.array(results, pyarrow.large_binary())})

    def _compute(self, chunk: _Chunk) -> _ChunkResult:
        dataset = ImageDataset("chunk", tuple(chunk.samples), self._images)
        items: list[ImageRow | FeatureBatch] = []
        done: set[tuple[int, str]] = set()
        error = None

        def has(forward: int, key: str) -> bool:
            return (forward, key) in chunk.known or (forward, key) in done

        try:
            if self._version != bottleneck.__version__:
                raise ClusterError(
                    f"bottleneck-features is {bottleneck.__version__} on the machine "
                    f"{socket.gethostname()} of the Ray cluster, and {self._version} here; "
                    "install one version on all"
                )
            for item in self._worker.run(dataset, range(len(dataset)), has):
                if isinstance(item, FeatureBatch):
                    done.update((item.forward, row.key) for row in item.rows)
                    for row in item.rows:
                        row.number = chunk.numbers[row.number]
                    items.append(item)
                else:
                    number = chunk.numbers[item.number]
                    items.append(dataclasses.replace(item, number=number, pixels={}))
        # Ray would wrap it in a traceback of its own, and hide the message.
        except BottleneckError as raised:
            error = raised
        device = devices.describe_device(self._device)
        return _ChunkResult(socket.gethostname(), device, self._clock.take(), items, error)


class RayEngine:
    """An engine of actors in a Ray cluster, one per GPU or one for every few cores.

    Use it as a context manager.

    Parameters
    ----------
    device : str
        "cuda" for an actor on every GPU of the cluster, "cpu" for actors on its cores; "auto"
        uses the GPUs if there are any.
    workers : int or "auto"
        Cores per actor: the number of its loading threads and, on CPUs, of its computing
        threads. "auto" is a GPU's share of the cores of its machine, 24 at most; on CPUs, 4.
    address : str or None
        Address of the cluster, as ``bottleneck.processes.cluster.connect`` takes it.

    Raises
    ------
    MissingExtraError
        If Ray is not installed.
    ClusterError
        If the cluster cannot be reached, or its machines cannot do the work.
    UsageError
        If no machine of the cluster has such a device, or enough cores.
    """

    name = "ray"

    def __init__(self, device: str, workers: int | Literal["auto"], address: str | None) -> None:
        if device not in ("auto", "cpu", "cuda"):
            raise UsageError(
                f"--device must be auto, cpu or cuda with --engine ray, not {device}: Ray gives "
                "every actor a GPU of its own"
            )
        self._stack = contextlib.ExitStack()
        self._stack.enter_context(cluster.connect(address))
        try:
            self._plan(device, workers)
        except BaseException:
            self._stack.close()
            raise
        self._devices: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _plan(self, device: str, workers: int | Literal["auto"]) -> None:
        machines = cluster.machines()
        gpus = sum(machine.gpus for machine in machines)
        if device == "cuda" and not gpus:
            raise UsageError("there is no GPU in the Ray cluster; use --device cpu")
        self.device = torch.device("cuda" if gpus and device != "cpu" else "cpu")
        if self.device.type == "cuda":
            fits = [machine for machine in machines if machine.gpus]
            share = min(max(1, machine.cores // machine.gpus) for machine in fits)
            cores = min(share, devices.MAX_WORKERS)
        else:
            fits = [machine for machine in machines if machine.cores]
            cores = min([4, *(machine.cores for machine in fits)])
        self._cores = cores if workers == "auto" else workers
        per_machine = (
            min(machine.cores // self._cores, machine.gpus if self.device.type == "cuda" else 10**6)
            for machine in fits
        )
        self._actors = sum(per_machine)
        if not self._actors:
            raise UsageError(
                f"no machine of the Ray cluster has {self._cores} cores for one actor; "
                "set a smaller number with --workers"
            )
        self._gpus = int(self.device.type == "cuda")
        self.clock = Clock(self._cores, self._actors)
        self.clock.lanes = devices.lanes_of(self.device, self._cores)

    def native_precision(self) -> Precision:
        """Return "bf16" if the hardware of a machine computes in it, else "fp32"."""
        return self._ask(devices.native_precision)

    def describe(self) -> dict[str, str]:
        """Return engine and devices for the provenance."""
        used = self._devices or {self._ask(devices.describe_device)}
        return {"engine": self.name, "device": ", ".join(sorted(used))}

    def _ask(self, question: Callable[[torch.device], Any]) -> Any:
        return cluster.call(question, self.device, num_cpus=1, num_gpus=self._gpus)

    def run(self, job: ExtractionJob) -> Generator[ImageRow | FeatureBatch]:
        """Yield images and batches in the order in which chunks are finished.

        Raises
        ------
        ClusterError
            If a machine cannot read an image that this one can, or actors keep dying.
        """
        _check_source(job.dataset.images)
        settings = _ActorSettings(
            job.forwards,
            job.dataset.images,
            job.cache,
            self.device.type,
            self._cores,
            len(job.numbers) // self._actors,
            str(Path.cwd()),
        )
        results = cluster.stream(
            _Actor,
            settings,
            map(pickle.dumps, self._cut(job)),
            actors=self._actors,
            num_cpus=self._cores,
            num_gpus=self._gpus,
        )
        with contextlib.closing(results):
            for data in results:
                result: _ChunkResult = pickle.loads(data)
                self._devices.add(result.device)
                self.clock.add(result.busy)
                for item in result.items:
                    if isinstance(item, ImageRow) and item.failure and not item.sha256:
                        _check_unreadable(result.node, job, item)
                    yield item
                # Last, so that what the actor finished before the error is not lost.
                if result.error is not None:
                    raise result.error

    def _cut(self, job: ExtractionJob) -> Iterator[_Chunk]:
        batch = max(forward.plan.batch_size for forward in job.forwards)
        # Several chunks per actor, so that all actors end at about the same time.
        share = -(-len(job.numbers) // (8 * self._actors * batch))
        size = batch * min(max(share, 1), _MAX_BATCHES)
        samples = job.dataset.samples
        for start in range(0, len(job.numbers), size):
            numbers = [int(number) for number in job.numbers[start : start + size]]
            known = frozenset(job.recorded(numbers))
            yield _Chunk(numbers, [samples[number] for number in numbers], known)


def _check_source(images: ImageSource) -> None:
    """Refuse a source of images that other processes cannot have."""
    if isinstance(images, FileSource):
        return
    try:
        pickle.dumps(images)
    except Exception as error:
        raise ClusterError(
            f"the source of the images cannot be sent to the machines of the Ray cluster "
            f"({type(error).__name__}: {one_line(error)}): make it an object that can be pickled, "
            "or leave out --engine ray"
        ) from error


def _check_unreadable(node: str, job: ExtractionJob, row: ImageRow) -> None:
    # On a machine without the folder every image would fail. Only images that cannot be read on
    # this machine either are failures.
    dataset, framing = job.dataset, job.forwards[0].framing
    sample = dataset.samples[row.number]
    if isinstance(framing, VolumePreprocessing):
        (here,) = load_regions(dataset, [row.number], framing, lambda _: (), Clock(1), ahead=1)
        if here.failure is not None:
            return
    else:
        try:
            dataset.read(sample)
        except (OSError, DataError):
            return
    raise ClusterError(
        f"'{sample.id}' {row.failure} on the machine {node} of the Ray cluster, but it can be read "
        "here: every machine needs the folder of the images under the same path (a shared file "
        "system). Mount it there, or remove the machine from the cluster, and repeat the command; "
        "finished work is kept"
    )
