"""Batches of one shape through a network on a device, several at a time."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import math
import os
import threading
import types
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bottleneck.backbones.backbone import (
    Backbone,
    Layout,
    embed_together,
    tapped,
    without_tf32,
)
from bottleneck.backbones.networks import feature_map
from bottleneck.errors import DeviceError, UsageError
from bottleneck.features.recipe import Precision
from bottleneck.features.stages import Clock
from bottleneck.plurals import counted

__all__ = ["Lanes", "Plan", "Runner"]

_T = TypeVar("_T")
# On more cores than this, lanes of one thread each would need more memory than they are worth.
_MOST_LANES = 8
# Each may have a process, which takes memory; and so many make 7,000 pictures a second.
MOST_WORKERS = 24
_COMPILING = threading.Lock()
_COMPILED: weakref.WeakKeyDictionary[object, Callable[[nn.Module, torch.Tensor], torch.Tensor]] = (
    weakref.WeakKeyDictionary()
)


@dataclasses.dataclass(frozen=True)
class Plan:
    """How a network is computed: what moves its speed, and of its values the last bits alone.

    Attributes
    ----------
    batch_size : int
        Images a batch.
    layout : {"channels_last", "contiguous"}
        Memory format of the network and its input.
    compiled : bool
        Whether the network is compiled.
    """

    batch_size: int
    layout: Layout = "channels_last"
    compiled: bool = False

    def __post_init__(self) -> None:
        size = self.batch_size
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise UsageError(f"the batch size must be a whole number above 0, not {size!r}")
        if self.layout not in ("channels_last", "contiguous") or not isinstance(
            self.compiled, bool
        ):
            raise UsageError(
                f"a network can be computed channels_last or contiguous, and compiled or not, "
                f"not {self.layout!r} and {self.compiled!r}"
            )


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
        if device.type == "cpu":
            self._each = self._threads // self.number
            # Of every thread that has not computed yet, those of the decoders among them.
            torch.set_num_threads(self._each)
        self._exact = contextlib.ExitStack()
        if device.type == "cuda":
            self._exact.enter_context(without_tf32())
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
        self._pool.shutdown(cancel_futures=True)
        self._exact.close()
        torch.set_num_threads(self._threads)


class Runner:
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
    plan : Plan
        How. Where the memory is too small for the batch it is halved, and the run goes on.
    clock : Clock
        Counts the time.

    Attributes
    ----------
    plan : Plan
        The one in force.
    """

    def __init__(
        self,
        backbones: Sequence[Backbone],
        device: torch.device,
        precision: Precision,
        plan: Plan,
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
            self.plan = dataclasses.replace(plan, compiled=False)
        self._taps = tapped(backbones)
        self._clock = clock
        self._lock = threading.Lock()
        self._warm = self._forward is feature_map

    def close(self) -> None:
        """Take the hooks off the network."""
        self._taps.close()

    @property
    def batch_size(self) -> int:
        """Images a batch."""
        return self.plan.batch_size

    def run(self, images: Sequence[NDArray[Any]], ids: Sequence[str]) -> list[NDArray[np.float32]]:
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
        self, images: Sequence[NDArray[Any]], exact: Sequence[NDArray[Any]]
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

    def compute(
        self, images: Sequence[NDArray[Any]], precision: Precision
    ) -> list[NDArray[np.float32]]:
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
                if not _is_out_of_memory(error):
                    _report(error, self.backbones[0].device)
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
                    self._warm = self._forward is feature_map  # It was compiled for that shape.
            if torch.cuda.is_available():
                torch.cuda.empty_cache()

    def _batch(
        self, images: Sequence[NDArray[Any]], size: int, precision: Precision
    ) -> list[NDArray[np.float32]]:
        device = self.backbones[0].device
        with self._clock.stage("copy"):
            # From pinned memory, a copy to the device goes on while the network computes.
            kind = torch.uint8 if images[0].dtype == np.uint8 else torch.float32
            shape = (size, *images[0].shape)
            batch = torch.zeros(shape, dtype=kind, pin_memory=device.type == "cuda")
            np.stack(images, out=batch.numpy()[: len(images)])
            pixels = batch.to(device, non_blocking=True)
        with self._clock.stage("forward"):
            # Its twin in fp32 is for comparison.
            if precision == self.precision and not self._warm:
                self._compile(pixels)
            forward = self._forward if precision == self.precision else feature_map
            each = embed_together(self.backbones, pixels, precision, forward, self._taps)
            return [features[: len(images)].cpu().numpy() for features in each]

    def _compile(self, pixels: torch.Tensor) -> None:
        # One thread compiles: a second one beside it would do so once more, and what
        # ``constant_weights`` sets was the whole process's in older versions of torch.
        with _COMPILING, self._lock:
            if self._warm:
                return
            try:
                with constant_weights():
                    embed_together(
                        self.backbones, pixels, self.precision, self._forward, self._taps
                    )
                if pixels.device.type == "cuda":
                    # The other lane's stream does not wait for what was packed in this one.
                    torch.cuda.synchronize(pixels.device)
            # No compiler here, or one that fails, in whatever way. Without it the network has
            # the same values but for the last bits, and the file will say so.
            except Exception as error:
                if isinstance(error, RuntimeError) and _is_out_of_memory(error):
                    raise
                self._forward = feature_map
                self.plan = dataclasses.replace(self.plan, compiled=False)
            self._warm = True


def compiled(owner: object) -> Callable[[nn.Module, torch.Tensor], torch.Tensor]:
    """Return ``feature_map``, to be compiled by its first call inside ``constant_weights``.

    Parameters
    ----------
    owner : object
        Of weights that do not change: a Backbone. It gets the same function each time.
    """
    if owner not in _COMPILED:
        # It looks for a CUDA compiler, also where none is needed, and warns.
        logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
        # torch keeps what it compiles with a function's code, as long as that is there, and not
        # for more than eight networks: each has code of its own.
        own = types.FunctionType(feature_map.__code__.replace(), feature_map.__globals__)
        _COMPILED[owner] = torch.compile(own, dynamic=False, fullgraph=True)
    return _COMPILED[owner]


def constant_weights() -> contextlib.AbstractContextManager[object]:
    """Have what is compiled here take the weights for constants.

    Normalisation is folded into the convolutions, and weights are cast and packed once: a fifth
    faster for ResNet-50 and Swin-T.
    """
    # As an option of torch.compile it has no effect.
    from torch._inductor import config

    return config.patch(freezing=True)


def _is_out_of_memory(error: RuntimeError) -> bool:
    # On a CPU, and in the libraries of a GPU, torch has no class of its own for it.
    said = ("out of memory", "can't allocate memory", "not enough memory", "_ALLOC_FAILED")
    return isinstance(error, torch.OutOfMemoryError) or any(text in str(error) for text in said)


def _report(error: RuntimeError, device: torch.device) -> None:
    # torch has had a class for it since 2.8; its libraries' messages begin with their names.
    kind = getattr(torch, "AcceleratorError", ())
    if isinstance(error, kind) or str(error).startswith(("CUDA", "cuDNN", "CUBLAS", "NVRTC")):
        raise DeviceError(
            f"the device {device} failed: {str(error).strip().splitlines()[0]}. What was finished "
            "is kept, and the same command goes on from there; `nvidia-smi` says whether the "
            "device still answers, and --device names another one"
        ) from None


def can_compile(backbones: Sequence[Backbone]) -> bool:
    """Return whether a forward pass has one output: a tap in the middle ends it early."""
    return len(backbones) == 1 and not backbones[0].layer


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
            f"there is no device '{name}': this machine has "
            f"{counted(torch.cuda.device_count(), 'CUDA device')}. `bottleneck doctor` says what "
            "torch sees"
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
    """Return how many threads decode: one for each core of this process, 24 at most."""
    if hasattr(os, "sched_getaffinity"):
        return min(len(os.sched_getaffinity(0)), MOST_WORKERS)
    return min(os.cpu_count() or 1, MOST_WORKERS)


def lanes_of(device: torch.device, threads: int | None = None) -> int:
    """Return how many batches are computed at a time, on a CPU by as many threads in all."""
    if device.type == "cuda":
        return 2
    threads = threads or torch.get_num_threads()
    return threads // math.ceil(threads / _MOST_LANES)


def describe_device(device: torch.device) -> str:
    """Name a device for the record."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"cpu ({torch.backends.cpu.get_cpu_capability()})"
