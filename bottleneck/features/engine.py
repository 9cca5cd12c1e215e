"""This machine's pipeline: threads decode ahead while the network computes."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bottleneck.backbones.backbone import Backbone, embed_together
from bottleneck.data.dataset import ImageDataset, Sample
from bottleneck.data.decode import PixelFacts, decode, pixel_facts
from bottleneck.data.preprocessing import Preprocessing
from bottleneck.errors import DataError, UsageError
from bottleneck.features.recipe import Precision
from bottleneck.features.store import row_key

__all__ = ["Picture", "Prepared", "Runner", "prepare"]


@dataclasses.dataclass(frozen=True, slots=True)
class Picture:
    """What the network sees, of shape (crop, crop, 3), and what is recorded of it."""

    pixels: NDArray[np.uint8 | np.float32]
    facts: PixelFacts


@dataclasses.dataclass(frozen=True, slots=True)
class Prepared:
    """A sample on its way to the network.

    Attributes
    ----------
    sample : Sample
        The sample.
    sha256 : str
        Of its image's bytes; "" where they could not be read.
    picture : Picture or None
        None where the row is known already, or the image failed.
    failure : str or None
        Why there is no picture.
    """

    sample: Sample
    sha256: str = ""
    picture: Picture | None = None
    failure: str | None = None

    @property
    def key(self) -> str:
        """What the row's values answer to."""
        return row_key(self.sha256, self.sample)


def prepare(
    dataset: ImageDataset,
    preprocessing: Preprocessing,
    is_known: Callable[[str], bool],
    *,
    workers: int,
    ahead: int,
) -> Iterator[Prepared]:
    """Read, hash, decode and crop every sample, in the order of the data set.

    Parameters
    ----------
    dataset : ImageDataset
        What to read.
    preprocessing : Preprocessing
        How pixels reach the network.
    is_known : callable
        Whether a key has a row already; its image is read and hashed, and not decoded.
    workers : int
        Threads.
    ahead : int
        How many samples may be under way, which bounds the memory.

    Yields
    ------
    Prepared
    """

    def work(sample: Sample) -> Prepared:
        sha256 = ""
        try:
            data = dataset.read(sample)
            sha256 = hashlib.sha256(data).hexdigest()
            if is_known(row_key(sha256, sample)):
                return Prepared(sample, sha256)
            image = decode(data, sample.region)
            picture = Picture(preprocessing.pixels(image), pixel_facts(image))
            return Prepared(sample, sha256, picture)
        except OSError as error:
            return Prepared(sample, failure=f"cannot be read: {error.strerror or error}")
        except DataError as error:
            return Prepared(sample, sha256, failure=str(error))

    # Threads suffice: Pillow lets go of the interpreter's lock while it decodes and resizes.
    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    waiting: collections.deque[Future[Prepared]] = collections.deque()
    try:
        for sample in dataset.samples:
            waiting.append(pool.submit(work, sample))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


class Runner:
    """Runs a backbone over batches of one fixed shape.

    A network's last bits depend on the shape of the batch. Every batch is therefore padded
    to the same size, so that a row's values depend on its image and the run's settings alone.

    Parameters
    ----------
    backbones : sequence of Backbone
        Layers of one network, computed in one pass; moved to the device.
    device : torch.device
        Where to compute.
    precision : {"fp32", "bf16", "fp16"}
        Arithmetic of the network.
    batch_size : int
        Images a batch.
    """

    def __init__(
        self,
        backbones: Sequence[Backbone],
        device: torch.device,
        precision: Precision,
        batch_size: int,
    ) -> None:
        self.backbones = [backbone.to(device) for backbone in backbones]
        self.precision = precision
        self.batch_size = batch_size

    def run(self, images: Sequence[NDArray[Any]], ids: Sequence[str]) -> list[NDArray[np.float32]]:
        """Compute the features of up to a batch of images.

        Returns
        -------
        list of ndarray of float32, shape (len(images), width)
            One for each backbone.

        Raises
        ------
        UsageError
            If a feature is not finite in this precision, or the device's memory is too small.
        """
        each = self._embed(images, self.precision)
        for features in each:
            broken = ~np.isfinite(features).all(axis=1)
            if broken.any():
                raise UsageError(
                    f"the features of '{ids[int(broken.argmax())]}' are not finite in "
                    f"{self.precision}; use --precision fp32"
                )
        return each

    def drift(self, images: Sequence[NDArray[Any]]) -> list[dict[str, float] | None]:
        """Measure what the reduced precision costs on a sample of images.

        Returns
        -------
        list of dict or None
            One for each backbone, None in fp32: ``images``; ``cosine``, the smallest cosine
            between a row and its fp32 twin; ``relative``, the largest distance between the two
            over the norm of the latter.
        """
        if self.precision == "fp32":
            return [None] * len(self.backbones)
        reduced, exact = self._embed(images, self.precision), self._embed(images, "fp32")
        return [_drift(*pair) for pair in zip(reduced, exact, strict=True)]

    def _embed(
        self, images: Sequence[NDArray[Any]], precision: Precision
    ) -> list[NDArray[np.float32]]:
        batch = np.zeros((self.batch_size, *images[0].shape), images[0].dtype)
        batch[: len(images)] = np.stack(images)
        try:
            each = embed_together(self.backbones, torch.from_numpy(batch), precision)
        except torch.OutOfMemoryError:
            raise UsageError(
                f"the device's memory is too small for batches of {self.batch_size}; "
                f"use --batch-size {max(1, self.batch_size // 2)}"
            ) from None
        return [features[: len(images)].cpu().numpy() for features in each]


def _drift(reduced: NDArray[np.float32], exact: NDArray[np.float32]) -> dict[str, float]:
    norm = np.linalg.norm(exact, axis=1)
    cosine = (reduced * exact).sum(1) / np.maximum(norm * np.linalg.norm(reduced, axis=1), 1e-30)
    relative = np.linalg.norm(reduced - exact, axis=1) / np.maximum(norm, 1e-30)
    return {
        "images": len(exact),
        "cosine": float(cosine.min()),
        "relative": float(relative.max()),
    }


def resolve_device(name: str) -> torch.device:
    """Turn "auto", "cpu", "cuda" or "cuda:N" into a device that exists.

    Raises
    ------
    UsageError
        If there is no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda") or (number and not number.isdecimal()):
        raise UsageError(f"unknown device '{name}'. Known: auto, cpu, cuda, cuda:N")
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        raise UsageError(
            f"there is no device '{name}': this machine has {torch.cuda.device_count()} CUDA "
            "devices. `bottleneck doctor` says what torch sees"
        )
    return torch.device(name)


def native_precision(device: torch.device) -> Precision:
    """Return bf16 where the hardware computes in it, else fp32."""
    if device.type == "cuda":
        return "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "fp32"
    # The functions are private in torch, and absent from some of its versions.
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return "bf16" if any(getattr(torch.cpu, p, bool)() for p in probes) else "fp32"


def default_batch_size(device: torch.device) -> int:
    """Return a batch size that fills the device and fits most."""
    return 128 if device.type == "cuda" else 16


def default_workers() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def describe_device(device: torch.device) -> str:
    """Name a device for the record."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"cpu ({torch.backends.cpu.get_cpu_capability()})"
