"""The fastest way to compute a network on this machine: measured, not believed, and remembered.

What is compared are precisions (where the user leaves that open), memory formats, batch sizes and
compiling. A measurement may cost a twentieth of the run that it is for; what a short run does
not measure, a longer one will. Results are kept in ``.bottleneck/tuning.json`` in the home
folder, by network, device, number of threads and version of torch.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image

from bottleneck.backbones.backbone import Backbone
from bottleneck.features import engine
from bottleneck.features.engine import Lanes, Plan, Runner, can_compile
from bottleneck.features.recipe import Precision
from bottleneck.features.stages import Clock
from bottleneck.files import write_whole

__all__ = ["TUNINGS", "Setting", "Speed", "Tuning", "measure_speed", "memory_path", "tune"]

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
_LARGEST_BATCH = {"cpu": 32, "cuda": 1024}


@dataclasses.dataclass(frozen=True)
class Setting:
    """What is chosen: the arithmetic, which the recipe names, and the rest, which it does not."""

    precision: Precision
    plan: Plan


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


def measure_speed(backbones: Sequence[Backbone], device: torch.device, setting: Setting) -> Speed:
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
    batch = [preprocessing.pixels(Image.fromarray(noise))] * setting.plan.batch_size
    ids = [""] * len(batch)
    cpu = device.type == "cpu"
    clock, share = (time.process_time, torch.get_num_threads()) if cpu else (time.perf_counter, 1)
    lanes = Lanes(device)
    try:
        runner = Runner(backbones, device, setting.precision, setting.plan, Clock(1))

        def work() -> None:
            runner.run(batch, ids)

        started = time.perf_counter()
        lanes.submit(work).result()
        first = time.perf_counter() - started
        each = float("inf")
        for _ in range(_TIMED + 1):
            before = clock()
            _drain([lanes.submit(work) for _ in range(lanes.number)])
            each = min(each, (clock() - before) / share)
    # No compiler, one that fails, a precision in which noise gives no finite features: whatever
    # it is, this is not the way to compute the network.
    except Exception:  # noqa: BLE001
        return Speed(0.0, 0.0)
    finally:
        lanes.close()
    if runner.plan != setting.plan:  # The memory was too small.
        return Speed(0.0, 0.0)
    return Speed(lanes.number * len(batch) / each, max(0.0, first - each))


def _drain(futures: Iterable[Future[None]]) -> None:
    for future in futures:
        future.result()


Measure = Callable[[Sequence[Backbone], torch.device, Setting], Speed]


def tune(
    backbones: Sequence[Backbone],
    device: torch.device,
    precision: Precision | Literal["auto"],
    batch_size: int | Literal["auto"],
    n_images: int,
    *,
    tuning: Tuning = "auto",
    memory: Path | None = None,
    measure: Measure = measure_speed,
) -> Setting:
    """Choose how to compute a network.

    Parameters
    ----------
    backbones : sequence of Backbone
        Layers of one network, computed in one pass.
    device : torch.device
        Where.
    precision, batch_size
        "auto" for those that are open.
    n_images : int
        Of the run.
    tuning : {"auto", "always", "never"}
        "auto" measures what a twentieth of the run has room for; "always" measures all,
        whatever it takes; "never" takes what usually does well.
    memory : Path, optional
        File in which measurements are kept; ``memory_path`` where none is given.
    measure : callable, optional
        Takes a measurement of a setting.

    Returns
    -------
    Setting
    """
    size = engine.default_batch_size(device) if batch_size == "auto" else batch_size
    chosen = engine.native_precision(device) if precision == "auto" else precision
    best = Setting(chosen, Plan(size))
    if tuning == "never":
        return best
    table = _Table(memory or memory_path(), _key(backbones, device))
    room = float("inf") if tuning == "always" else _SHARE * n_images

    def known(setting: Setting) -> Speed | None:
        nonlocal room
        if setting not in table.speeds:
            cost: float = engine.lanes_of(device) * (1 + _TIMED) * setting.plan.batch_size
            if setting.plan.compiled:
                cost += _COMPILING * table.speeds[best].rate
            if cost > room:
                return None
            room -= cost
            table.add(setting, measure(backbones, device, setting))
        return table.speeds[setting]

    if known(best) is None:
        return best
    steps: list[Callable[[Setting], Setting | None]] = [_other_layout]
    if can_compile(backbones):
        steps.append(_compiled)
    if batch_size == "auto":
        largest = _LARGEST_BATCH[device.type]
        steps.insert(1, functools.partial(_larger_batch, largest=largest))
    if precision == "auto":
        steps.insert(0, _exact)
    for step in steps:
        while (candidate := step(best)) is not None and (found := known(candidate)) is not None:
            if found.seconds(n_images) * _BETTER > table.speeds[best].seconds(n_images):
                break
            best = candidate
    return best


def _exact(setting: Setting) -> Setting | None:
    return None if setting.precision == "fp32" else dataclasses.replace(setting, precision="fp32")


def _other_layout(setting: Setting) -> Setting | None:
    return None if setting.plan.layout == "contiguous" else _with(setting, layout="contiguous")


def _larger_batch(setting: Setting, largest: int) -> Setting | None:
    size = 2 * setting.plan.batch_size
    return None if size > largest else _with(setting, batch_size=size)


def _compiled(setting: Setting) -> Setting | None:
    return None if setting.plan.compiled else _with(setting, compiled=True)


def _with(setting: Setting, **changes: Any) -> Setting:
    return dataclasses.replace(setting, plan=dataclasses.replace(setting.plan, **changes))


def memory_path() -> Path:
    """Return the file in which measurements are kept."""
    return Path.home() / ".bottleneck" / "tuning.json"


def _key(backbones: Sequence[Backbone], device: torch.device) -> str:
    first = backbones[0]
    parts = [
        first.architecture,
        "+".join(backbone.layer or "last" for backbone in backbones),
        f"{first.preprocessing.crop} pixels",
        engine.describe_device(device),
        f"{torch.get_num_threads()} threads",
        f"torch {torch.__version__}",
    ]
    return ", ".join(parts)


class _Table:
    """What was measured of one network on one device; on the disk, that of all."""

    def __init__(self, path: Path, key: str) -> None:
        self._path, self._key = path, key
        self.speeds: dict[Setting, Speed] = {}
        # A file that cannot be read is only slower: what it held is measured again.
        with contextlib.suppress(LookupError, TypeError, ValueError, AttributeError):
            for row in self._read()[key]:
                speed = Speed(float(row.pop("rate")), float(row.pop("setup")))
                self.speeds[Setting(row.pop("precision"), Plan(**row))] = speed

    def _read(self) -> dict[str, Any]:
        try:
            return dict(json.loads(self._path.read_text()))
        except (OSError, TypeError, ValueError):
            return {}

    def add(self, setting: Setting, speed: Speed) -> None:
        """Keep a measurement; on the disk, where the home folder can be written."""
        self.speeds[setting] = speed
        rows = [
            {"precision": s.precision, **dataclasses.asdict(s.plan), **dataclasses.asdict(v)}
            for s, v in self.speeds.items()
        ]
        whole = {**self._read(), self._key: rows}
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._path, json.dumps(whole, indent=1).encode())
