"""Interface of an engine: a job goes in, images and batches of features come out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator, Sequence
from typing import Protocol

import torch
from numpy.typing import NDArray

from bottleneck.backbones.backbone import Backbone
from bottleneck.backbones.recipe import Precision
from bottleneck.data.dataset import ImageDataset
from bottleneck.data.images.pixel_cache import PixelCache
from bottleneck.errors import UsageError
from bottleneck.features.rows import Framing, ImageRow
from bottleneck.features.timing import Clock
from bottleneck.settings.ranges import BatchSize
from bottleneck.settings.schema import validate

__all__ = ["BatchPlan", "Engine", "ExtractionJob", "FeatureBatch", "ForwardPass", "HasRow"]

# Whether a forward pass, by its number, has the row of a key already.
HasRow = Callable[[int, str], bool]


@dataclasses.dataclass(frozen=True)
class BatchPlan:
    """How a network is computed: what changes its speed, and only the last bits of its values.

    Attributes
    ----------
    batch_size : int
        Images per batch.
    compiled : bool
        Whether torch compiles the network.

    Raises
    ------
    UsageError
        If a value is not one of these.
    """

    batch_size: int
    compiled: bool = False

    def __post_init__(self) -> None:
        validate(BatchSize, self.batch_size, "the batch size")
        if not isinstance(self.compiled, bool):
            raise UsageError(f"'compiled' must be true or false, not {self.compiled!r}")


@dataclasses.dataclass(frozen=True)
class ForwardPass:
    """One network, and the layers that are read in one pass through it.

    Attributes
    ----------
    backbones : tuple of Backbone
        The network, once for each layer.
    precision : {"fp32", "bf16", "fp16"}
        Arithmetic of the network.
    framing : Preprocessing or VolumePreprocessing
        How its pixels are made.
    plan : BatchPlan
        How it is computed.
    drift : bool
        Whether to measure, on the first batch, the error of the reduced precision.
    """

    backbones: tuple[Backbone, ...]
    precision: Precision
    framing: Framing
    plan: BatchPlan
    drift: bool


@dataclasses.dataclass(frozen=True)
class FeatureBatch:
    """Finished features of one forward pass.

    Attributes
    ----------
    forward : int
        Number of the forward pass.
    rows : list of ImageRow
        The images, without their pixels.
    features : list of ndarray of float32, shape (len(rows), width)
        One array for each layer.
    drift : list of dict or None, or None
        What ``BatchRunner.drift`` returned; None where it was not measured.
    plan : BatchPlan
        The plan in use. Its batch size is below the one asked for if the memory was too small.
    """

    forward: int
    rows: list[ImageRow]
    features: list[NDArray]
    drift: list[dict[str, float] | None] | None
    plan: BatchPlan


@dataclasses.dataclass(frozen=True)
class ExtractionJob:
    """Images to load, and the forward passes that need them.

    Attributes
    ----------
    dataset : ImageDataset
        The data set.
    numbers : sequence of int
        Numbers of the samples to load.
    forwards : sequence of ForwardPass
        The forward passes.
    has : callable
        Tells whether a forward pass has the row of a key already. May be called in any thread.
    recorded : callable
        Takes numbers of samples. Returns the rows, as number of a forward pass and key, that
        exist already if the images have not changed.
    cache : PixelCache or None
        Cache of decoded images.
    """

    dataset: ImageDataset
    numbers: Sequence[int]
    forwards: Sequence[ForwardPass]
    has: HasRow
    recorded: Callable[[Sequence[int]], set[tuple[int, str]]]
    cache: PixelCache | None


class Engine(Protocol):
    """A place where jobs are computed.

    Attributes
    ----------
    name : str
        Name in the provenance.
    device : torch.device
        Device of the networks.
    clock : Clock
        Time per stage.
    """

    name: str
    device: torch.device
    clock: Clock

    def run(self, job: ExtractionJob) -> Generator[ImageRow | FeatureBatch]:
        """Yield every image once, in any order, and batches as they are finished.

        The features of an image may come before it or after it.
        """
        ...

    def native_precision(self) -> Precision:
        """Return "bf16" if the hardware computes in it, else "fp32"."""
        ...

    def describe(self) -> dict[str, str]:
        """Return engine and device for the provenance."""
        ...
