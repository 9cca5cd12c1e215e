"""This machine's engine: batches of one shape through a network on a device."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bottleneck.backbones.backbone import Backbone, embed_together
from bottleneck.errors import UsageError
from bottleneck.features.recipe import Precision
from bottleneck.features.stages import Clock

__all__ = ["Runner"]


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
        Images a batch. Where the memory is too small it is halved, and the run goes on.
    clock : Clock
        Counts the time.
    """

    def __init__(
        self,
        backbones: Sequence[Backbone],
        device: torch.device,
        precision: Precision,
        batch_size: int,
        clock: Clock,
    ) -> None:
        self.backbones = [backbone.to(device) for backbone in backbones]
        self.precision = precision
        self.batch_size = batch_size
        self._clock = clock

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
        while True:
            try:
                blocks = [
                    self._batch(images[start : start + self.batch_size], precision)
                    for start in range(0, len(images), self.batch_size)
                ]
                return [np.concatenate(features) for features in zip(*blocks, strict=True)]
            except RuntimeError as error:
                # On a CPU, torch has no class of its own for it.
                if not isinstance(error, torch.OutOfMemoryError) and (
                    "can't allocate memory" not in str(error)
                ):
                    raise
            if self.batch_size == 1:
                raise UsageError(
                    "the memory of the device is too small for a single image; choose another "
                    "--device, or a smaller backbone"
                )
            # Out here, where the exception no longer holds on to the tensors.
            self.batch_size //= 2
            if torch.cuda.is_available():
                torch.cuda.empty_cache()

    def _batch(
        self, images: Sequence[NDArray[Any]], precision: Precision
    ) -> list[NDArray[np.float32]]:
        device = self.backbones[0].device
        with self._clock.stage("copy"):
            batch = np.zeros((self.batch_size, *images[0].shape), images[0].dtype)
            np.stack(images, out=batch[: len(images)])
            pixels = torch.from_numpy(batch).to(device)
        with self._clock.stage("forward"):
            each = embed_together(self.backbones, pixels, precision)
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
