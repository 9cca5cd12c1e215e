"""The computing side of a pass: samples in, what became of them and finished batches out.

It knows no feature file. The same worker runs inside the process that writes the files, and
inside the actors of a cluster.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Generator, Sequence
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from bottleneck.backbones.backbone import Backbone
from bottleneck.data.dataset import ImageDataset
from bottleneck.data.decode import PixelFacts
from bottleneck.data.preprocessing import Preprocessing
from bottleneck.features import engine
from bottleneck.features.pictures import Picture, Prepared, framing, prepare
from bottleneck.features.recipe import Precision
from bottleneck.features.stages import Clock
from bottleneck.features.store import row_key

__all__ = ["Batch", "Engine", "Forward", "Has", "LocalEngine", "Work", "Worker"]

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
    batch_size : int
        Images a batch.
    drift : bool
        Whether to measure on the first batch what the reduced precision costs.
    """

    backbones: tuple[Backbone, ...]
    precision: Precision
    batch_size: int
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
    batch_size : int
        Smaller than asked for where the memory was too small.
    """

    forward: int
    keys: list[str]
    facts: list[PixelFacts]
    features: list[NDArray[np.float32]]
    drift: list[dict[str, float] | None] | None
    batch_size: int


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
    """

    dataset: ImageDataset
    numbers: Sequence[int]
    forwards: Sequence[Forward]
    has: Has
    recorded: Callable[[Sequence[int]], set[tuple[int, str]]]


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
        Threads that read and decode; as many as there are cores.
    """

    name = "local"

    def __init__(self, device: str, workers: int | Literal["auto"]) -> None:
        self.device = engine.resolve_device(device)
        self.clock = Clock(engine.default_workers() if workers == "auto" else workers)

    def run(self, work: Work) -> Generator[Prepared | Batch]:
        """Compute in this process."""
        worker = Worker(work.forwards, self.device, self.clock)
        return worker.run(work.dataset, work.numbers, work.has)

    def native_precision(self) -> Precision:
        """Return bf16 where the hardware computes in it, else fp32."""
        return engine.native_precision(self.device)

    def describe(self) -> dict[str, str]:
        """Name engine and device for the record."""
        return {"engine": self.name, "device": engine.describe_device(self.device)}


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
    """

    def __init__(self, forwards: Sequence[Forward], device: torch.device, clock: Clock) -> None:
        self._clock = clock
        self._streams = [_Stream(*each, device, clock) for each in enumerate(forwards)]

    def run(
        self, dataset: ImageDataset, numbers: Sequence[int], has: Has
    ) -> Generator[Prepared | Batch]:
        """Work through samples.

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
            Every sample, in order; and batches as they are finished.
        """
        streams = self._streams

        def wanted(key: str) -> list[Preprocessing]:
            return list(dict.fromkeys(s.framing for s in streams if not has(s.number, key)))

        ahead = 4 * max(stream.batch_size for stream in streams) + self._clock.workers
        waiting: list[dict[str, tuple[str, Picture]]] = [{} for _ in streams]
        for item in prepare(dataset, numbers, wanted, self._clock, ahead=ahead):
            yield item
            if item.picture is None:
                continue
            sample = dataset.samples[item.number]
            key = row_key(item.sha256, sample)
            for stream, pictures in zip(streams, waiting, strict=True):
                # A copy of it may be in this batch or under way, its row known by now.
                if (
                    stream.framing in item.picture.pixels
                    and key not in pictures
                    and not has(stream.number, key)
                ):
                    pictures[key] = (sample.id, item.picture)
                    if len(pictures) >= stream.batch_size:
                        yield stream.compute(pictures)
                        pictures.clear()
        for stream, pictures in zip(streams, waiting, strict=True):
            if pictures:
                yield stream.compute(pictures)


class _Stream:
    """One forward pass, for batch after batch."""

    def __init__(self, number: int, forward: Forward, device: torch.device, clock: Clock) -> None:
        self.number = number
        self.framing = framing(forward.backbones[0].preprocessing)
        self._drift = forward.drift
        self._lock = threading.Lock()
        self._runner = engine.Runner(
            forward.backbones, device, forward.precision, forward.batch_size, clock
        )

    @property
    def batch_size(self) -> int:
        return self._runner.batch_size

    def compute(self, pictures: dict[str, tuple[str, Picture]]) -> Batch:
        """Compute a batch, full or not."""
        images = [picture.pixels[self.framing] for _, picture in pictures.values()]
        # An actor prepares two chunks at once, and computes one of them at a time.
        with self._lock:
            features = self._runner.run(images, [identity for identity, _ in pictures.values()])
            drift = self._runner.drift(images) if self._drift else None
            self._drift = False
        facts = [picture.facts for _, picture in pictures.values()]
        return Batch(self.number, list(pictures), facts, features, drift, self.batch_size)
