"""The engine of this process: one device of this machine."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import Literal

from bottleneck.backbones.recipe import Precision
from bottleneck.features import devices
from bottleneck.features.compute.engine import ExtractionJob, FeatureBatch
from bottleneck.features.compute.worker import Worker
from bottleneck.features.rows import ImageRow
from bottleneck.features.timing import Clock

__all__ = ["LocalEngine"]


class LocalEngine:
    """An engine that computes in this process.

    Parameters
    ----------
    device : str
        "auto", "cpu", "cuda" or "cuda:N".
    workers : int or "auto"
        Number of threads that load images; "auto" is one per core, 24 at most.

    Raises
    ------
    UsageError
        If there is no such device.
    """

    name = "local"

    def __init__(self, device: str, workers: int | Literal["auto"]) -> None:
        self.device = devices.resolve_device(device)
        self.clock = Clock(devices.default_workers() if workers == "auto" else workers)

    def run(self, job: ExtractionJob) -> Generator[ImageRow | FeatureBatch]:
        """Yield every image once, in order, and batches as they are finished."""
        worker = Worker(job.forwards, self.device, self.clock, job.cache, len(job.numbers))
        with contextlib.closing(worker):
            yield from worker.run(job.dataset, job.numbers, job.has)

    def native_precision(self) -> Precision:
        """Return "bf16" if the hardware computes in it, else "fp32"."""
        return devices.native_precision(self.device)

    def describe(self) -> dict[str, str]:
        """Return engine and device for the provenance."""
        return {"engine": self.name, "device": devices.describe_device(self.device)}
