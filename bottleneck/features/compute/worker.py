"""The computing side of a pass: samples in, what became of them and finished batches out.

It knows no feature file. The same worker runs inside the process that writes the files, and
inside the actors of a cluster.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from bottleneck.backbones.backbone import Backbone
from bottleneck.backbones.recipe import Precision, framing
from bottleneck.data.dataset import ImageDataset
from bottleneck.data.images.decode import PixelFacts
from bottleneck.data.images.pixel_cache import PixelCache
from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.features import devices
from bottleneck.features.compute import batch_runner as engine
from bottleneck.features.compute.autotune import Tuning, tune
from bottleneck.features.images.decoder_pool import Decoders, Picture
from bottleneck.features.images.loader import Prepared, prepare
from bottleneck.features.rows import row_key
from bottleneck.features.timing import Clock

__all__ = ["Batch", "Engine", "Forward", "Has", "LocalEngine", "Work", "Worker"]

# From so many threads that decode, and images, they have processes of their own: on a CPU, where
# fewer have no trouble to feed the network, and before a GPU.
_CPU_THREADS, _GPU_THREADS, _LONG = 5, 2, 4096

# Whether the row of a key is known to a forward pass, by its number.
Has = Callable[[int, str], bool]


@dataclasses.dataclass(frozen=True)
class Forward:
    """A forward pass, and the layers tapped in it.

    Attributes
    ----------
    backbones : tuple of Backbone
        One network, tapped at different layers.
    precision : {"fp32", "bf16", "fp16"}
        Arithmetic of the network.
    framing : Preprocessing
        How its pixels are made.
    plan : Plan
        How it is computed.
    drift : bool
        Whether to measure on the first batch what the reduced precision costs.
    """

    backbones: tuple[Backbone, ...]
    precision: Precision
    framing: Preprocessing
    plan: engine.Plan
    drift: bool


@dataclasses.dataclass(frozen=True)
class Batch:
    """Finished rows of a forward pass.

    Attributes
    ----------
    forward : int
        Number of the forward pass.
    keys, facts : list
        Of each row.
    features : list of ndarray of float32, shape (len(keys), width)
        One for each tapped layer.
    drift : list of dict or None, or None
        For each layer what ``Runner.drift`` returns; None where it was not measured.
    plan : Plan
        Its batches are smaller than asked for where the memory was too small.
    """

    forward: int
    keys: list[str]
    facts: list[PixelFacts]
    features: list[NDArray[np.float32]]
    drift: list[dict[str, float] | None] | None
    plan: engine.Plan


@dataclasses.dataclass(frozen=True)
class Work:
    """What a pass has to do.

    Attributes
    ----------
    dataset : ImageDataset
        Where the samples are from.
    numbers : sequence of int
        Samples that must be looked at.
    forwards : sequence of Forward
        What to compute.
    has : callable
        Whether the row of a key is known to a forward pass, by its number; for any thread.
    recorded : callable
        Returns the rows, as forward pass and key, that are known of samples if their images
        are what they were; takes the numbers of the samples.
    cache : PixelCache or None
        Keeps what is decoded.
    """

    dataset: ImageDataset
    numbers: Sequence[int]
    forwards: Sequence[Forward]
    has: Has
    recorded: Callable[[Sequence[int]], set[tuple[int, str]]]
    cache: PixelCache | None


class Engine(Protocol):
    """Where work is done.

    Attributes
    ----------
    name : str
        For the record.
    device : torch.device
        What the networks are computed on.
    clock : Clock
        Counts the time.
    """

    name: str
    device: torch.device
    clock: Clock

    def run(self, work: Work) -> Generator[Prepared | Batch]:
        """Yield every sample once, in any order, and batches as they are finished.

        Samples come without their pictures where these stay on another machine. A sample's
        row may come before it, or after.
        """
        ...

    def tune(
        self,
        backbones: Sequence[Backbone],
        precision: Precision,
        batch_size: int | Literal["auto"],
        n_images: int,
        say: Callable[[], None],
    ) -> engine.Plan:
        """Choose how to compute layers of one network, as the function of that name.

        Calls ``say`` before each measurement.
        """
        ...

    def native_precision(self) -> Precision:
        """Return bf16 where the hardware computes in it, else fp32."""
        ...

    def describe(self) -> dict[str, str]:
        """Name engine and device for the record."""
        ...


class LocalEngine:
    """This process, on one device of this machine.

    Parameters
    ----------
    device : str
        "auto", "cpu", "cuda" or "cuda:N".
    workers : int or "auto"
        Threads that read and decode; as many as there are cores, and 24 at most.
    tuning : {"auto", "always", "never"}
        Whether to measure how a network is computed best, as ``tune`` takes it.
    """

    name = "local"

    def __init__(self, device: str, workers: int | Literal["auto"], tuning: Tuning) -> None:
        self._tuning = tuning
        self.device = devices.resolve_device(device)
        self.clock = Clock(devices.default_workers() if workers == "auto" else workers)

    def run(self, work: Work) -> Generator[Prepared | Batch]:
        """Compute in this process."""
        worker = Worker(work.forwards, self.device, self.clock, work.cache, len(work.numbers))
        with contextlib.closing(worker):
            yield from worker.run(work.dataset, work.numbers, work.has)

    def tune(
        self,
        backbones: Sequence[Backbone],
        precision: Precision,
        batch_size: int | Literal["auto"],
        n_images: int,
        say: Callable[[], None],
    ) -> engine.Plan:
        """Choose how to compute layers of one network, as the function of that name."""
        return tune(
            backbones, self.device, precision, batch_size, n_images, tuning=self._tuning, say=say
        )

    def native_precision(self) -> Precision:
        """Return bf16 where the hardware computes in it, else fp32."""
        return devices.native_precision(self.device)

    def describe(self) -> dict[str, str]:
        """Name engine and device for the record."""
        return {"engine": self.name, "device": devices.describe_device(self.device)}


class Worker:
    """Prepares pictures ahead of the networks, and computes in batches of one fixed shape.

    Parameters
    ----------
    forwards : sequence of Forward
        What to compute.
    device : torch.device
        Where.
    clock : Clock
        Counts the time, and knows the number of threads that decode.
    cache : PixelCache or None
        Keeps what is decoded.
    n_images : int
        That it will have to work through, about.
    """

    def __init__(
        self,
        forwards: Sequence[Forward],
        device: torch.device,
        clock: Clock,
        cache: PixelCache | None,
        n_images: int,
    ) -> None:
        self._clock = clock
        few = clock.workers < (_GPU_THREADS if device.type == "cuda" else _CPU_THREADS)
        self._decoders = Decoders(clock, cache, processes=n_images >= _LONG and not few)
        self._streams = [_Stream(*each, device, clock) for each in enumerate(forwards)]
        self._lanes = engine.Lanes(device)
        clock.lanes = self._lanes.number

    def run(
        self, dataset: ImageDataset, numbers: Sequence[int], has: Has
    ) -> Generator[Prepared | Batch]:
        """Work through samples; in several threads at once, if need be.

        Parameters
        ----------
        dataset : ImageDataset
            Where they are from.
        numbers : sequence of int
            Which samples, in the order in which they are read.
        has : callable
            Rows that it knows, by forward pass and key, are not computed. Called in any thread.

        Yields
        ------
        Prepared or Batch
            Every sample, in order; and batches, as they are finished.
        """
        streams, lanes = self._streams, self._lanes
        collected: list[dict[str, tuple[str, Picture]]] = [{} for _ in streams]
        under_way: dict[Future[Batch], tuple[int, list[str]]] = {}
        computing: list[set[str]] = [set() for _ in streams]

        def wanted(key: str) -> list[Preprocessing]:
            lacking = [s for s in streams if not has(s.number, key)]
            return list(dict.fromkeys(each for s in lacking for each in s.framings()))

        def compute(stream: _Stream) -> None:
            pictures, collected[stream.number] = collected[stream.number], {}
            computing[stream.number].update(pictures)
            future = lanes.submit(stream.task(pictures))
            under_way[future] = stream.number, list(pictures)

        def finished(at_most: int) -> Generator[Batch]:
            # One batch waits for each that is being computed, so that no lane is idle.
            # In the order in which they are finished: a first batch, of which the drift is
            # measured, and those of a large network take longer than others after them.
            while len(under_way) > at_most or any(future.done() for future in under_way):
                wait(under_way, return_when=FIRST_COMPLETED)
                for future in [each for each in under_way if each.done()]:
                    number, keys = under_way.pop(future)
                    yield future.result()
                    computing[number].difference_update(keys)

        largest = max(stream.batch_size for stream in streams)
        ahead = (2 + lanes.number) * largest + self._clock.workers
        preparing = prepare(
            dataset, numbers, wanted, self._clock, ahead=ahead, decoders=self._decoders
        )
        with contextlib.closing(preparing):
            for item in preparing:
                yield item
                if item.picture is None:
                    continue
                sample = dataset.samples[item.number]
                key = row_key(item.sha256, sample)
                for stream in streams:
                    # A copy of it may be in this batch or under way, its row known by now.
                    pictures = collected[stream.number]
                    if (
                        stream.framing in item.picture.pixels
                        and key not in pictures
                        and key not in computing[stream.number]
                        and not has(stream.number, key)
                    ):
                        pictures[key] = (sample.id, item.picture)
                        if len(pictures) >= stream.batch_size:
                            compute(stream)
                yield from finished(2 * lanes.number)
        for stream in streams:
            if collected[stream.number]:
                compute(stream)
        yield from finished(0)

    def close(self) -> None:
        """End the threads that compute, after what they have begun."""
        self._lanes.close()
        for stream in self._streams:
            stream.close()
        self._decoders.close()


class _Stream:
    """One forward pass, for batch after batch."""

    def __init__(self, number: int, forward: Forward, device: torch.device, clock: Clock) -> None:
        self.number = number
        self.framing = forward.framing
        self._reference = framing(forward.backbones[0].preprocessing)
        self._drift = forward.drift
        self._runner = engine.Runner(
            forward.backbones, device, forward.precision, forward.plan, clock
        )

    @property
    def batch_size(self) -> int:
        return self._runner.batch_size

    def close(self) -> None:
        self._runner.close()

    def framings(self) -> list[Preprocessing]:
        """Return what it needs of a picture: twice, while the drift is not measured."""
        return [self.framing, self._reference] if self._drift else [self.framing]

    def task(self, pictures: dict[str, tuple[str, Picture]]) -> Callable[[], Batch]:
        """Return what computes a batch, full or not."""
        measure, self._drift = self._drift, False
        images = [picture.pixels[self.framing] for _, picture in pictures.values()]
        exact = [picture.pixels[self._reference] for _, picture in pictures.values() if measure]
        ids = [identity for identity, _ in pictures.values()]
        facts = [picture.facts for _, picture in pictures.values()]

        def work() -> Batch:
            features = self._runner.run(images, ids)
            drift = self._runner.drift(images, exact) if measure else None
            plan = self._runner.plan
            return Batch(self.number, list(pictures), facts, features, drift, plan)

        return work
