"""Batches of one shape through a network on a device, several at a time."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bottleneck.backbones.backbone import (
    Backbone,
    embed_together,
    tapped,
    without_tf32,
)
from bottleneck.backbones.networks import feature_map
from bottleneck.backbones.recipe import Precision
from bottleneck.errors import UsageError
from bottleneck.features.compute.compile import can_compile, compiled, constant_weights
from bottleneck.features.compute.engine import BatchPlan
from bottleneck.features.compute.malloc import kept_memory
from bottleneck.features.devices import is_out_of_memory, lanes_of, report_failure
from bottleneck.features.timing import Clock

__all__ = ["BatchRunner", "Lanes"]

_T = TypeVar("_T")
# Of shape (crop, crop, 3).
Image = NDArray[np.uint8 | np.float32]
_COMPILING = threading.Lock()


class Lanes:
    """Threads that each run whole batches.

    On a CPU a lane has one thread, or a few on a machine of many cores, so that no thread waits
    for another in the middle of a layer. On a GPU there are two, each with a stream of its own:
    while one computes, the other copies.

    Parameters
    ----------
    device : torch.device
        What the batches are computed on.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._threads = torch.get_num_threads()
        self._each = self._threads
        self.number = lanes_of(device)
        self._settings = contextlib.ExitStack()
        if device.type == "cpu":
            self._settings.enter_context(kept_memory())
            self._each = self._threads // self.number
            # Of every thread that has not computed yet, those of the decoders among them.
            torch.set_num_threads(self._each)
        if device.type == "cuda":
            self._settings.enter_context(without_tf32())
        self._pool = ThreadPoolExecutor(self.number, thread_name_prefix="forward")
        self._own = threading.local()

    def submit(self, work: Callable[[], _T]) -> Future[_T]:
        """Have work done in a lane."""
        return self._pool.submit(self._run, work)

    def _run(self, work: Callable[[], _T]) -> _T:
        if self._device.type == "cpu":
            torch.set_num_threads(self._each)
            return work()
        if not hasattr(self._own, "stream"):
            self._own.stream = torch.cuda.Stream(self._device)
        with torch.cuda.device(self._device), torch.cuda.stream(self._own.stream):
            return work()

    def close(self) -> None:
        """End the threads, after what they have begun."""
        try:
            self._pool.shutdown(cancel_futures=True)
        finally:
            self._settings.close()
            torch.set_num_threads(self._threads)


class BatchRunner:
    """Runs a backbone over batches of one fixed shape, in any number of threads.

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
    plan : BatchPlan
        How. Where the memory is too small for the batch it is halved, and the run goes on.
    clock : Clock
        Counts the time.

    Attributes
    ----------
    plan : BatchPlan
        The one in force.
    """

    def __init__(
        self,
        backbones: Sequence[Backbone],
        device: torch.device,
        precision: Precision,
        plan: BatchPlan,
        clock: Clock,
    ) -> None:
        self.backbones = [backbone.to(device, plan.layout) for backbone in backbones]
        if device.type == "cuda":
            torch.cuda.synchronize(device)  # The lanes' streams do not wait for the copies.
        self.precision = precision
        self.plan = plan
        self._forward: Callable[[nn.Module, torch.Tensor], torch.Tensor] = feature_map
        if plan.compiled and can_compile(backbones):
            self._forward = compiled(backbones[0])
        else:
            self.plan = dataclasses.replace(self.plan, compiled=False)
        self._taps = tapped(backbones)
        self._clock = clock
        self._lock = threading.Lock()
        self._warm = not self.plan.compiled

    def close(self) -> None:
        """Take the hooks off the network."""
        self._taps.close()

    @property
    def batch_size(self) -> int:
        """Images a batch."""
        return self.plan.batch_size

    def run(self, images: Sequence[Image], ids: Sequence[str]) -> list[NDArray[np.float32]]:
        """Compute the features of up to a batch of images.

        Returns
        -------
        list of ndarray of float32, shape (len(images), width)
            One for each backbone.

        Raises
        ------
        UsageError
            If a feature is not finite in this precision, or the memory too small for one image.
        """
        each = self.compute(images, self.precision)
        for features in each:
            broken = ~np.isfinite(features).all(axis=1)
            if broken.any():
                raise UsageError(
                    f"the features of '{ids[int(broken.argmax())]}' are not finite in "
                    f"{self.precision}; use --precision fp32"
                )
        return each

    def drift(
        self, images: Sequence[Image], exact: Sequence[Image]
    ) -> list[dict[str, float] | None]:
        """Measure what the reduced precision costs on a sample of images.

        Parameters
        ----------
        images : sequence of ndarray
            As ``run`` takes them.
        exact : sequence of ndarray
            The same pictures as the reference decoding makes them.

        Returns
        -------
        list of dict or None
            One for each backbone, None in fp32: ``images``; ``cosine``, the smallest cosine
            between a row and its fp32 twin; ``relative``, the largest distance between the two
            over the norm of the latter.
        """
        if self.precision == "fp32":
            return [None] * len(self.backbones)
        pairs = zip(self.compute(images, self.precision), self.compute(exact, "fp32"), strict=True)
        return [_drift(*pair) for pair in pairs]

    def compute(self, images: Sequence[Image], precision: Precision) -> list[NDArray[np.float32]]:
        """Return the features, whatever they are, in any precision."""
        while True:
            size = self.batch_size
            try:
                blocks = [
                    self._batch(images[start : start + size], size, precision)
                    for start in range(0, len(images), size)
                ]
                return [np.concatenate(features) for features in zip(*blocks, strict=True)]
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    report_failure(error, self.backbones[0].device)
                    raise
            if size == 1:
                raise UsageError(
                    "the memory of the device is too small for a single image; choose another "
                    "--device, or a smaller backbone"
                )
            # Out here, where the exception no longer holds on to the tensors.
            with self._lock:
                if self.batch_size == size:  # Else another thread has halved it.
                    self.plan = dataclasses.replace(self.plan, batch_size=size // 2)
                    self._warm = not self.plan.compiled
            if self.backbones[0].device.type == "cuda":
                torch.cuda.synchronize(self.backbones[0].device)
                torch.cuda.empty_cache()

    def _batch(
        self, images: Sequence[Image], size: int, precision: Precision
    ) -> list[NDArray[np.float32]]:
        device = self.backbones[0].device
        with self._clock.stage("copy"):
            pixels = _gather(images, size, device)
        with self._clock.stage("forward"):
            # Its twin in fp32 is for comparison.
            if precision != self.precision:
                each = embed_together(self.backbones, pixels, precision, feature_map, self._taps)
            else:
                if not self._warm:
                    self._warm_up(pixels)
                each = self._embed(pixels)
            return [features[: len(images)].cpu().numpy() for features in each]

    def _embed(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        return embed_together(self.backbones, pixels, self.precision, self._forward, self._taps)

    def _warm_up(self, pixels: torch.Tensor) -> None:
        # One thread compiles: a second one beside it would do so once more, and what
        # ``constant_weights`` sets was the whole process's in older versions of torch.
        with _COMPILING, self._lock:
            # Another thread may have halved the batch since this one began.
            if self._warm or len(pixels) != self.batch_size:
                return
            try:
                with constant_weights():
                    self._embed(pixels)
                if pixels.device.type == "cuda":
                    # The other lane's stream does not wait for what was packed in this one.
                    torch.cuda.synchronize(pixels.device)
            # Without a compiler, or with one that fails in whatever way, the network has the
            # same values but for the last bits, and the file says so.
            except Exception as error:
                if isinstance(error, RuntimeError) and is_out_of_memory(error):
                    raise
                self._forward = feature_map
                self.plan = dataclasses.replace(self.plan, compiled=False)
            self._warm = True


def _gather(images: Sequence[Image], size: int, device: torch.device) -> torch.Tensor:
    shape = (size, *images[0].shape)  # The last batch is filled up.
    kind = torch.uint8 if images[0].dtype == np.uint8 else torch.float32
    # From pinned memory, a copy to the device goes on while the network computes.
    batch = torch.zeros(shape, dtype=kind, pin_memory=device.type == "cuda")
    np.stack(images, out=batch.numpy()[: len(images)])
    return batch.to(device, non_blocking=True)


def _drift(reduced: NDArray[np.float32], exact: NDArray[np.float32]) -> dict[str, float]:
    norm = np.linalg.norm(exact, axis=1)
    cosine = (reduced * exact).sum(1) / np.maximum(norm * np.linalg.norm(reduced, axis=1), 1e-30)
    relative = np.linalg.norm(reduced - exact, axis=1) / np.maximum(norm, 1e-30)
    return {
        "images": len(exact),
        "cosine": float(cosine.min()),
        "relative": float(relative.max()),
    }
