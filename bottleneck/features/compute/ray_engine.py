"""The other engine: the same work in actors of a Ray cluster, streamed back as it is finished.

The samples that must be looked at are cut into chunks, a row of a Ray dataset each. An actor
does with a chunk what the local engine does with all samples, and hands back one row: what
became of every sample, and the finished batches. A chunk arrives whole or not at all, so one
whose actor died is simply done again, by whichever actor is next.
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
from bottleneck import cluster
from bottleneck.backbones.backbone import Backbone
from bottleneck.backbones.recipe import Precision
from bottleneck.data.dataset import ImageDataset, ImageSource, Sample
from bottleneck.data.images.pixel_cache import PixelCache
from bottleneck.errors import BottleneckError, ClusterError, DataError, UsageError
from bottleneck.features import devices
from bottleneck.features.compute.engine import (
    BatchPlan,
    ExtractionJob,
    FeatureBatch,
    ForwardPass,
)
from bottleneck.features.compute.worker import Worker
from bottleneck.features.rows import ImageRow
from bottleneck.features.timing import Clock

if TYPE_CHECKING:
    import pyarrow

__all__ = ["RayEngine"]

# Of a chunk, in batches: what a kill loses, and how far apart results arrive.
_MAX_BATCHES = 8


@dataclasses.dataclass(frozen=True)
class _Errand:
    """What every actor of a pass is told."""

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
    """Samples of a data set, their numbers there, and rows of theirs that are known."""

    numbers: Sequence[int]
    samples: Sequence[Sample]
    known: frozenset[tuple[int, str]]


@dataclasses.dataclass(frozen=True)
class _Outcome:
    """What became of a chunk: of its samples, without their pictures, and rows of theirs."""

    node: str
    device: str
    busy: dict[str, float]
    items: Sequence[ImageRow | FeatureBatch]
    error: BottleneckError | None


class _Actor:
    """A worker on a machine of the cluster, with networks of its own."""

    def __init__(self, errand: Any) -> None:
        told: _Errand = cluster.get(errand)
        self._version = told.version
        # Paths of a data set may be relative to the folder that the command was given in.
        with contextlib.suppress(OSError):
            os.chdir(told.folder)
        self._images = told.images
        self._device = torch.device(told.device)
        if self._device.type == "cpu":
            torch.set_num_threads(told.workers)
        self._clock = Clock(told.workers)
        self._worker = Worker(told.forwards, self._device, self._clock, told.cache, told.n_images)

    def __call__(self, table: pyarrow.Table) -> pyarrow.Table:
        import pyarrow

        outcomes = [pickle.dumps(self._work(pickle.loads(cell.as_py()))) for cell in table["chunk"]]
        return pyarrow.table({"outcome": pyarrow.array(outcomes, pyarrow.large_binary())})

    def _work(self, chunk: _Chunk) -> _Outcome:
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
                    items.append(item)
                else:
                    number = chunk.numbers[item.number]
                    items.append(dataclasses.replace(item, number=number, pixels={}))
        # Ray would wrap it, and every word that the user should read, in its own traceback.
        except BottleneckError as raised:
            error = raised
        device = devices.describe_device(self._device)
        return _Outcome(socket.gethostname(), device, self._clock.take(), items, error)


class RayEngine:
    """Actors of a Ray cluster: one a GPU, or one for every few cores.

    Use as a context manager.

    Parameters
    ----------
    device : str
        "cuda" for an actor on every GPU of the cluster, "cpu" for actors on its cores; "auto"
        takes the GPUs where there are some.
    workers : int or "auto"
        Cores that an actor sets aside: for as many threads that read and decode, and on CPUs
        for as many that compute. By default a GPU's share of the cores of its machine, 24 at
        most, or four.
    address : str or None
        Of the cluster, as ``bottleneck.cluster.connect`` takes it.

    Raises
    ------
    MissingExtraError
        If Ray is not installed.
    ClusterError
        If the cluster cannot be reached, or its workers cannot do the job.
    UsageError
        If no machine of the cluster has such a device, or as many cores.
    """

    name = "ray"

    def __init__(self, device: str, workers: int | Literal["auto"], address: str | None) -> None:
        if device not in ("auto", "cpu", "cuda"):
            raise UsageError(
                f"--device {device} with --engine ray: say auto, cpu or cuda; Ray gives every "
                "actor a GPU of its own"
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
            raise UsageError("there is no GPU in the Ray cluster; say --device cpu")
        self.device = torch.device("cuda" if gpus and device != "cpu" else "cpu")
        if self.device.type == "cuda":
            fits = [machine for machine in machines if machine.gpus]
            share = min(max(1, machine.cores // machine.gpus) for machine in fits)
            cores = min(share, devices.MOST_WORKERS)
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
                "name fewer with --workers"
            )
        self._gpus = int(self.device.type == "cuda")
        self.clock = Clock(self._cores, self._actors)
        self.clock.lanes = devices.lanes_of(self.device, self._cores)

    def tune(
        self,
        backbones: Sequence[Backbone],
        precision: Precision,
        batch_size: int | Literal["auto"],
        n_images: int,
        report: Callable[[], None],
    ) -> BatchPlan:
        """Take what usually does well: nothing is measured on machines that may differ."""
        default = devices.default_batch_size(self.device)
        return BatchPlan(default if batch_size == "auto" else batch_size)

    def native_precision(self) -> Precision:
        """Return bf16 where the hardware of a worker computes in it, else fp32."""
        return self._ask(devices.native_precision)

    def describe(self) -> dict[str, str]:
        """Name engine and devices for the record."""
        used = self._devices or {self._ask(devices.describe_device)}
        return {"engine": self.name, "device": ", ".join(sorted(used))}

    def _ask(self, question: Callable[[torch.device], Any]) -> Any:
        return cluster.call(question, self.device, num_cpus=1, num_gpus=self._gpus)

    def run(self, job: ExtractionJob) -> Generator[ImageRow | FeatureBatch]:
        """Compute in the cluster; samples come in the order in which chunks are finished.

        Raises
        ------
        ClusterError
            If a machine cannot read an image that this one can, or actors keep dying.
        """
        errand = _Errand(
            job.forwards,
            job.dataset.images,
            job.cache,
            self.device.type,
            self._cores,
            len(job.numbers) // self._actors,
            str(Path.cwd()),
        )
        outcomes = cluster.stream(
            _Actor,
            errand,
            map(pickle.dumps, self._cut(job)),
            actors=self._actors,
            num_cpus=self._cores,
            num_gpus=self._gpus,
        )
        with contextlib.closing(outcomes):
            for data in outcomes:
                outcome: _Outcome = pickle.loads(data)
                self._devices.add(outcome.device)
                self.clock.add(outcome.busy)
                for item in outcome.items:
                    if isinstance(item, ImageRow) and item.failure and not item.sha256:
                        _refuse_blind(outcome.node, job.dataset, item)
                    yield item
                # After what was finished before it, so that this is not lost.
                if outcome.error is not None:
                    raise outcome.error

    def _cut(self, job: ExtractionJob) -> Iterator[_Chunk]:
        batch = max(forward.plan.batch_size for forward in job.forwards)
        # Several chunks an actor, so that all end at about the same time.
        share = -(-len(job.numbers) // (8 * self._actors * batch))
        size = batch * min(max(share, 1), _MAX_BATCHES)
        samples = job.dataset.samples
        for start in range(0, len(job.numbers), size):
            numbers = [int(number) for number in job.numbers[start : start + size]]
            known = frozenset(job.recorded(numbers))
            yield _Chunk(numbers, [samples[number] for number in numbers], known)


def _refuse_blind(node: str, dataset: ImageDataset, item: ImageRow) -> None:
    # A machine without the folder would make failures of all its images. A failure is an image
    # that this machine cannot read either.
    sample = dataset.samples[item.number]
    try:
        dataset.read(sample)
    except (OSError, DataError):
        return
    raise ClusterError(
        f"'{sample.id}' {item.failure} on the machine {node} of the Ray cluster, and can be read "
        "here: every machine needs the folder of the images under the same path (a shared file "
        "system). Mount it there, or take the machine out of the cluster, and repeat the command; "
        "what was finished is kept"
    )
