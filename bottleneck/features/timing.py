"""Where the time of a run goes, stage by stage, and what would widen the narrowest."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from collections.abc import Iterator, Mapping

import numpy as np

__all__ = ["STAGES", "Clock", "Stage", "advise", "find_bottleneck"]

# Those of the threads that prepare pictures, of the one that computes, and of the one that writes.
_PICTURES = ("read", "decode", "describe", "preprocess")
_NETWORK = ("copy", "forward")
STAGES = (*_PICTURES, *_NETWORK, "write")


@dataclasses.dataclass(frozen=True)
class Stage:
    """What one stage of a run took.

    Attributes
    ----------
    name : str
        "read" (and hash), "decode", "describe" (what is recorded of the pixels, and
        with a pixel cache the pixels), "preprocess",
        "copy" (to the device; of a GPU, what the processor has to do with it), "forward" or
        "write" (to the log, until the disk has it).
    busy : float
        Seconds in which it worked, summed over its threads.
    waiting : float
        Seconds in which its threads waited for other stages, likewise. Read, decode, describe
        and preprocess share their threads and therefore this figure, and so do copy and forward.
    """

    name: str
    busy: float
    waiting: float


class Clock:
    """Adds up what each stage takes, whichever thread it runs in.

    Parameters
    ----------
    workers : int
        Threads that prepare pictures, of one actor.
    actors : int
        Of a cluster, each with such threads; 1 where all is in a process.
    """

    def __init__(self, workers: int, actors: int = 1) -> None:
        self.workers = workers
        self.lanes = 1  # Threads that compute, of one actor.
        self._actors = actors
        self._busy = dict.fromkeys(STAGES, 0.0)
        self._lock = threading.Lock()
        self._started = time.perf_counter()

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time inside as work of a stage."""
        started = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - started
            with self._lock:
                self._busy[name] += seconds

    def start(self) -> None:
        """Count waiting from now on: what is loaded before a pass is no part of it."""
        self._started = time.perf_counter()

    def add(self, busy: Mapping[str, float]) -> None:
        """Count what another clock took."""
        with self._lock:
            for name, seconds in busy.items():
                self._busy[name] += seconds

    def take(self) -> dict[str, float]:
        """Return what every stage took since the last call, and begin again at nothing."""
        with self._lock:
            busy, self._busy = self._busy, dict.fromkeys(STAGES, 0.0)
        return busy

    def stages(self) -> tuple[Stage, ...]:
        """Return what every stage took from the clock's making to this call."""
        wall = time.perf_counter() - self._started
        stages = []
        preparing, computing = self._actors * self.workers, self._actors * self.lanes
        for names, threads in (
            (_PICTURES, preparing),
            (_NETWORK, computing),
            (("write",), 1),
        ):
            waiting = max(0.0, threads * wall - sum(self._busy[name] for name in names))
            stages += [Stage(name, round(self._busy[name], 6), round(waiting, 6)) for name in names]
        return tuple(stages)


def find_bottleneck(stages: tuple[Stage, ...]) -> str:
    """Name the stage that the others wait for.

    It is the longest of the threads that are idle for the smallest part of their time.
    """
    groups = [[s for s in stages if s.name in names] for names in (_PICTURES, _NETWORK, ("write",))]
    occupied = [
        busy / max(busy + group[0].waiting, 1e-9)
        for group in groups
        for busy in [sum(stage.busy for stage in group)]
    ]
    return max(groups[int(np.argmax(occupied))], key=lambda stage: stage.busy).name


def advise(
    bottleneck: str,
    *,
    workers: int,
    cores: int,
    device: str,
    precision: str,
    many: bool = False,
    cached: bool = False,
) -> str:
    """Name the option that would widen a stage.

    Parameters
    ----------
    bottleneck : str
        Name of the stage.
    workers, cores : int
        Threads that prepare pictures, and cores of the machine.
    device, precision : str
        What the network computes on and in.
    many : bool
        Whether the actors of a cluster share the work.
    cached : bool
        Whether decoded images are kept.
    """
    if bottleneck == "write":
        return "--output on a faster disk"
    if many:
        where = "storage that serves more machines, or " if bottleneck == "read" else ""
        return f"{where}more machines in the cluster"
    if bottleneck == "read":
        return f"--workers {2 * workers}, so that more files are read at once, or a faster disk"
    if bottleneck == "copy":
        return "larger batches (--batch-size) in a new --output"
    if bottleneck == "forward":
        if device == "cpu":
            return "--device cuda on a machine that has one, or more cores"
        return "--precision bf16" if precision == "fp32" else "a larger --batch-size, or device"
    if workers < cores:
        return f"--workers {cores}"
    if bottleneck in ("decode", "describe"):
        return "more cores" + ("" if cached else ", or --pixel-cache where other networks follow")
    return "more cores, or images stored closer to the size that the network sees"
