"""Batches of one shape through a network, several at a time."""

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

from bottleneck.backbones.backbone import Backbone
from bottleneck.backbones.layers.embedding import embed_together, tapped, without_tf32
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
# Pixels of shape (crop, crop, 3).
_Pixels = NDArray[np.uint8 | np.float32]
_COMPILING = threading.Lock()


class Lanes:
    """Threads that each compute whole batches.

    On a CPU, a lane has one thread, or a few on a machine of many cores, so that no thread waits
    for another in the middle of a layer. On a GPU there are two lanes with a stream each: one
    copies while the other computes.

    Parameters
    ----------
    device : torch.device
        Device of the networks.
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
            # For every thread that has not computed yet, among them those that load images.
            torch.set_num_threads(self._each)
        if device.type == "cuda":
            self._settings.enter_context(without_tf32())
        self._pool = ThreadPoolExecutor(self.number, thread_name_prefix="forward")
        self._own = threading.local()

    def submit(self, work: Callable[[], _T]) -> Future[_T]:
        """Run a function in the next free lane."""
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
        """Finish what has begun, and end the threads."""
        try:
            self._pool.shutdown(cancel_futures=True)
        finally:
            self._settings.close()
            torch.set_num_threads(self._threads)


class BatchRunner:
    """Runs a network over batches of one fixed shape, in any number of threads.

    The last bits of a network's output depend on the shape of the batch. Every batch is therefore
    padded to the same size, so that a row depends only on its image and the settings of the run.

    Parameters
    ----------
    backbones : sequence of Backbone
        Layers of one network, computed in one pass. They are moved to the device.
    device : torch.device
        Device of the network.
    precision : {"fp32", "bf16", "fp16"}
        Arithmetic of the network.
    plan : BatchPlan
        How to compute it. If the memory is too small for a batch, the batch size is halved.
    clock : Clock
        Adds up the time per stage.

    Attributes
    ----------
    plan : BatchPlan
        The plan in use.
    """

    def __init__(
        self,
        backbones: Sequence[Backbone],
        device: torch.device,
        precision: Precision,
        plan: BatchPlan,
        clock: Clock,
    ) -> None:
        self.backbones = [backbone.to(device) for backbone in backbones]
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
        """Remove the hooks from the network."""
        self._taps.close()

    @property
    def batch_size(self) -> int:
        """Images per batch."""
        return self.plan.batch_size

    def run(self, images: Sequence[_Pixels], ids: Sequence[str]) -> list[NDArray[np.float32]]:
        """Return the features of up to a batch of images.

        Parameters
        ----------
        images : sequence of ndarray, shape (crop, crop, 3)
            Pixels of uint8, or of float32 in the range of 0 to 255.
        ids : sequence of str
            Ids of the samples, for the message.

        Returns
        -------
        list of ndarray of float32, shape (len(images), width)
            One array for each backbone.

        Raises
        ------
        UsageError
            If a feature is not finite in this precision, or the memory is too small for one
            image.
        DeviceError
            If the GPU failed.
        """
        features = self.compute(images, self.precision)
        for each in features:
            broken = ~np.isfinite(each).all(axis=1)
            if broken.any():
                advice = "use --precision fp32"
                if self.precision == "fp32":
                    advice = "check that weights and preprocessing belong together"
                raise UsageError(
                    f"the features of '{ids[int(broken.argmax())]}' are not finite in "
                    f"{self.precision}; {advice}"
                )
        return features

    def drift(
        self, images: Sequence[_Pixels], exact: Sequence[_Pixels]
    ) -> list[dict[str, float] | None]:
        """Return the error of the reduced precision, measured on some images.

        Parameters
        ----------
        images : sequence of ndarray
            As ``run`` takes them.
        exact : sequence of ndarray
            The same images as the reference decoding makes them.

        Returns
        -------
        list of dict or None
            For each backbone ``images``, their number; ``cosine``, the smallest cosine between a
            row and the same row in fp32; ``relative``, the largest distance between the two,
            divided by the norm of the latter. None in fp32.
        """
        if self.precision == "fp32":
            return [None] * len(self.backbones)
        pairs = zip(self.compute(images, self.precision), self.compute(exact, "fp32"), strict=True)
        return [_drift(*pair) for pair in pairs]

    def compute(self, images: Sequence[_Pixels], precision: Precision) -> list[NDArray[np.float32]]:
        """Return the features in any precision, finite or not."""
        device = self.backbones[0].device
        while True:
            size = self.batch_size
            try:
                blocks = [
                    self._batch(images[start : start + size], size, precision)
                    for start in range(0, len(images), size)
                ]
                return [np.concatenate(features) for features in zip(*blocks, strict=True)]
            except Exception as error:  # noqa: BLE001  # A network of one's own may raise anything.
                if not isinstance(error, RuntimeError) or not is_out_of_memory(error):
                    if isinstance(error, RuntimeError):
                        report_failure(error, device)
                    raise self.backbones[0].explain(error) from None
            if size == 1:
                raise UsageError(
                    "the memory of the device is too small for a single image; choose another "
                    "--device, or a smaller backbone"
                )
            # Out here, where the exception no longer keeps the tensors in memory.
            with self._lock:
                if self.batch_size == size:  # Otherwise another thread has halved it.
                    self.plan = dataclasses.replace(self.plan, batch_size=size // 2)
                    self._warm = not self.plan.compiled
            if device.type == "cuda":
                torch.cuda.synchronize(device)
                torch.cuda.empty_cache()

    def _batch(
        self, images: Sequence[_Pixels], size: int, precision: Precision
    ) -> list[NDArray[np.float32]]:
        with self._clock.stage("copy"):
            pixels = _to_device(images, size, self.backbones[0].device)
        with self._clock.stage("forward"):
            if precision == self.precision:
                if not self._warm:
                    self._compile(pixels)
                features = self._embed(pixels)
            else:  # The reference for the drift.
                features = embed_together(
                    self.backbones, pixels, precision, feature_map, self._taps
                )
            return [each[: len(images)].cpu().numpy() for each in features]

    def _embed(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        return embed_together(self.backbones, pixels, self.precision, self._forward, self._taps)

    def _compile(self, pixels: torch.Tensor) -> None:
        # In one thread: a second one would compile once more, and older versions of torch set
        # ``constant_weights`` for the whole process.
        with _COMPILING, self._lock:
            # Another thread may have compiled or halved the batch in the meantime.
            if self._warm or len(pixels) != self.batch_size:
                return
            try:
                with constant_weights():
                    self._embed(pixels)
                if pixels.device.type == "cuda":
                    # The other lane's stream does not wait for weights packed in this one.
                    torch.cuda.synchronize(pixels.device)
            # There may be no compiler, or one that fails in any way. The values are the same but
            # for the last bits, and the provenance says how they were computed.
            except Exception as error:
                if isinstance(error, RuntimeError) and is_out_of_memory(error):
                    raise
                self._forward = feature_map
                self.plan = dataclasses.replace(self.plan, compiled=False)
            self._warm = True


def _to_device(images: Sequence[_Pixels], size: int, device: torch.device) -> torch.Tensor:
    kind = torch.uint8 if images[0].dtype == np.uint8 else torch.float32
    # From pinned memory, a copy to a GPU goes on while the network computes.
    batch = torch.zeros((size, *images[0].shape), dtype=kind, pin_memory=device.type == "cuda")
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
