"""The fastest way to compute a network on this machine, measured and remembered.

Memory formats, batch sizes and compiling are compared, which move only the last bits of a row.
Precision is not: it is part of the recipe, which must not depend on a stopwatch. A measurement
costs about a twentieth of the run that it is for, so a long run measures more than a short one.
Results are kept in ``tuning.json`` in the user's cache folder, by network, precision, device,
number of threads and versions of this package and torch.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image

from bottleneck import __version__
from bottleneck.backbones.backbone import Backbone
from bottleneck.backbones.recipe import Precision
from bottleneck.config import cache_folder
from bottleneck.errors import BottleneckError, UsageError
from bottleneck.features import devices
from bottleneck.features.compute.batch_runner import BatchRunner, Lanes
from bottleneck.features.compute.compile import can_compile
from bottleneck.features.compute.engine import BatchPlan
from bottleneck.features.timing import Clock
from bottleneck.files import write_whole

__all__ = ["TUNINGS", "Speed", "Tuning", "measure_speed", "memory_path", "tune"]

Tuning = Literal["auto", "always", "never"]
TUNINGS: tuple[Tuning, ...] = ("auto", "always", "never")

# Batches of each lane: one to warm up, and those of which the fastest counts.
_TIMED = 2
# The share of a run that its measurement may take.
_SHARE = 1 / 20
# What compiling is expected to take before it was tried, in seconds.
_COMPILING = 60.0
# Less than this is noise.
_BETTER = 1.03
# On a CPU smaller ones than usual can pay: feature maps above 64 MiB are mapped in every batch.
_BATCH_SIZES = {"cpu": (4, 8, 16, 32), "cuda": (128, 256, 512, 1024)}


@dataclasses.dataclass(frozen=True)
class Speed:
    """What was measured of a setting.

    Attributes
    ----------
    rate : float
        Images a second, the pictures being at hand; 0 where it does not work.
    setup : float
        Seconds before the first batch is done at that rate: compiling, for the most part.
    """

    rate: float
    setup: float

    def seconds(self, n_images: int) -> float:
        """Return what a run would take."""
        return self.setup + n_images / self.rate if self.rate else float("inf")


_NEVER = Speed(0.0, 0.0)


def measure_speed(
    backbones: Sequence[Backbone], device: torch.device, precision: Precision, plan: BatchPlan
) -> Speed:
    """Time a few batches of noise, in as many lanes as a run has.

    On a CPU it is the processor's time that counts, so that what other programs take of the
    machine in that moment does not.

    Returns
    -------
    Speed
        Of rate 0 where the memory is too small, or the network cannot be compiled here.
    """
    preprocessing = backbones[0].preprocessing
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    batch = [preprocessing.pixels(Image.fromarray(noise))] * plan.batch_size
    cpu = device.type == "cpu"
    clock, share = (time.process_time, torch.get_num_threads()) if cpu else (time.perf_counter, 1)
    runner = BatchRunner(backbones, device, precision, plan, Clock(1))
    lanes = Lanes(device)
    try:
        started = time.perf_counter()
        lanes.submit(lambda: runner.compute(batch, precision)).result()
        first = time.perf_counter() - started
        each = float("inf")
        for _ in range(_TIMED + 1):
            before = clock()
            futures = [
                lanes.submit(lambda: runner.compute(batch, precision)) for _ in range(lanes.number)
            ]
            for future in futures:
                future.result()
            each = min(each, (clock() - before) / share)
    except UsageError:  # The memory is too small for a single image.
        return _NEVER
    finally:
        lanes.close()
        runner.close()
    if runner.plan != plan:  # The memory was too small, or there is no compiler.
        return _NEVER
    return Speed(lanes.number * len(batch) / each, max(0.0, first - each))


Measure = Callable[[Sequence[Backbone], torch.device, Precision, BatchPlan], Speed]


def tune(
    backbones: Sequence[Backbone],
    device: torch.device,
    precision: Precision,
    batch_size: int | Literal["auto"],
    n_images: int,
    *,
    tuning: Tuning = "auto",
    memory: Path | None = None,
    measure: Measure = measure_speed,
    report: Callable[[], None] = lambda: None,
) -> BatchPlan:
    """Choose how to compute a network.

    Parameters
    ----------
    backbones : sequence of Backbone
        Layers of one network, computed in one pass.
    device : torch.device
        Where.
    precision : {"fp32", "bf16", "fp16"}
        Arithmetic of the network.
    batch_size : int or "auto"
        "auto" leaves it open.
    n_images : int
        Of the run; 0 for one that goes on with the plan of a file, and needs no other.
    tuning : {"auto", "always", "never"}
        "auto" measures what a twentieth of the run has room for; "always" measures all anew,
        whatever it takes; "never" takes what usually does well.
    memory : Path, optional
        File in which measurements are kept; ``memory_path`` where none is given.
    measure : callable, optional
        Takes a measurement of a plan.
    report : callable, optional
        Called before each measurement, which takes a while.

    Returns
    -------
    BatchPlan
    """
    best = BatchPlan(devices.default_batch_size(device) if batch_size == "auto" else batch_size)
    if tuning == "never" or not n_images:
        return best
    if memory is None:
        with contextlib.suppress(UsageError):  # Without a home folder, nothing is remembered.
            memory = memory_path()
    table = _Table(memory, _key(backbones, device, precision))
    if tuning == "always":
        table.speeds.clear()
    room = float("inf") if tuning == "always" else _SHARE * n_images

    def known(plan: BatchPlan) -> Speed | None:
        nonlocal room
        if plan not in table.speeds:
            cost: float = devices.lanes_of(device) * (1 + _TIMED) * plan.batch_size
            if plan.compiled:
                cost += _COMPILING * table.speeds[best].rate
            if cost > room:
                return None
            room -= cost
            report()
            found = measure(backbones, device, precision, plan)
            table.add(plan, found)
        return table.speeds[plan]

    usual = known(best)
    if usual is None or not usual.rate:  # The run itself finds the batch that fits.
        return best
    steps: list[Callable[[BatchPlan], BatchPlan | None]] = [_other_layout]
    if batch_size == "auto":
        sizes = _BATCH_SIZES[device.type]
        steps += [functools.partial(_next_batch, sizes=each) for each in (sizes[::-1], sizes)]
    if can_compile(backbones):
        steps.append(_compiled)
    for step in steps:
        while (candidate := step(best)) is not None and (found := known(candidate)) is not None:
            if found.seconds(n_images) * _BETTER > table.speeds[best].seconds(n_images):
                break
            best = candidate
    return best


def _other_layout(plan: BatchPlan) -> BatchPlan | None:
    if plan.layout == "contiguous":
        return None
    return dataclasses.replace(plan, layout="contiguous")


def _next_batch(plan: BatchPlan, sizes: Sequence[int]) -> BatchPlan | None:
    later = sizes[sizes.index(plan.batch_size) + 1 :]
    return dataclasses.replace(plan, batch_size=later[0]) if later else None


def _compiled(plan: BatchPlan) -> BatchPlan | None:
    return None if plan.compiled else dataclasses.replace(plan, compiled=True)


def memory_path() -> Path:
    """Return the file in which measurements are kept."""
    return cache_folder() / "tuning.json"


def _key(backbones: Sequence[Backbone], device: torch.device, precision: Precision) -> str:
    first = backbones[0]
    parts = [
        first.architecture,
        "+".join(backbone.layer or "last" for backbone in backbones),
        f"{first.preprocessing.crop} pixels",
        precision,
        devices.describe_device(device),
        f"{torch.get_num_threads()} threads",
        f"bottleneck {__version__}",
        f"torch {torch.__version__}",
    ]
    return ", ".join(parts)


class _Table:
    """What was measured of one network on one device; on the disk, that of all."""

    def __init__(self, path: Path | None, key: str) -> None:
        self._path, self._key = path, key
        self.speeds: dict[BatchPlan, Speed] = {}
        # A file that cannot be read is only slower: what it held is measured again.
        with contextlib.suppress(
            AttributeError, BottleneckError, LookupError, TypeError, ValueError
        ):
            for row in self._read()[key]:
                speed = Speed(float(row.pop("rate")), float(row.pop("setup")))
                self.speeds[BatchPlan(**row)] = speed

    def _read(self) -> dict[str, Any]:
        if self._path is None:
            return {}
        try:
            return dict(json.loads(self._path.read_text()))
        except (OSError, TypeError, ValueError):
            return {}

    def add(self, plan: BatchPlan, speed: Speed) -> None:
        """Keep a measurement; on the disk, where the home folder can be written."""
        self.speeds[plan] = speed
        if self._path is None:
            return
        # What did not work may work the next time: the memory may have been another program's.
        rows = [
            dataclasses.asdict(p) | dataclasses.asdict(s) for p, s in self.speeds.items() if s.rate
        ]
        whole = {**self._read(), self._key: rows}
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._path, json.dumps(whole, indent=1).encode())
