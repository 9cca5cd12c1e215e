"""Where the time of a run goes, stage by stage, and which option would save most of it."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from collections.abc import Iterator, Mapping

from bottleneck.text.short_repr import show_fields

__all__ = ["STAGES", "Clock", "Stage", "advise", "find_bottleneck"]

# Stages of the threads that load images, of those that compute, and of the one that writes.
_LOADING = ("read", "decode", "describe", "preprocess")
_COMPUTING = ("copy", "forward")
_WRITING = ("write",)
STAGES = (*_LOADING, *_COMPUTING, *_WRITING)


@dataclasses.dataclass(frozen=True)
class Stage:
    """Time of one stage of a run.

    Attributes
    ----------
    name : str
        "read" (and hash), "decode", "describe" (hash and thumbnail of the pixels, and writing
        them to the pixel cache), "preprocess", "copy" (to the device), "forward" or "write" (to
        the log, until it is on the disk).
    busy : float
        Seconds in which it worked, summed over its threads.
    waiting : float
        Seconds in which its threads waited for other stages, likewise. The four loading stages
        share their threads and therefore this number, and so do "copy" and "forward".
    """

    name: str
    busy: float
    waiting: float

    __repr__ = show_fields


class Clock:
    """Adds up the time of each stage, whichever thread it runs in.

    Parameters
    ----------
    workers : int
        Number of loading threads per actor.
    actors : int
        Number of actors of a cluster; 1 without a cluster.

    Attributes
    ----------
    lanes : int
        Number of computing threads per actor.
    """

    def __init__(self, workers: int, actors: int = 1) -> None:
        self.workers = workers
        self.lanes = 1
        self._actors = actors
        self._busy = dict.fromkeys(STAGES, 0.0)
        self._lock = threading.Lock()
        self._started = time.perf_counter()

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time inside the context to a stage."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.add({name: time.perf_counter() - started})

    def start(self) -> None:
        """Start the clock of the run; earlier time does not count as waiting."""
        self._started = time.perf_counter()

    def add(self, busy: Mapping[str, float]) -> None:
        """Add seconds by stage, as another clock's ``take`` returns them."""
        with self._lock:
            for name, seconds in busy.items():
                self._busy[name] += seconds

    def take(self) -> dict[str, float]:
        """Return the busy seconds of each stage since the last call, and reset them."""
        with self._lock:
            busy, self._busy = self._busy, dict.fromkeys(STAGES, 0.0)
        return busy

    def stages(self) -> tuple[Stage, ...]:
        """Return the time of each stage since the start."""
        wall = time.perf_counter() - self._started
        stages = []
        for names, threads in (
            (_LOADING, self._actors * self.workers),
            (_COMPUTING, self._actors * self.lanes),
            (_WRITING, 1),
        ):
            waiting = max(0.0, threads * wall - sum(self._busy[name] for name in names))
            stages += [Stage(name, round(self._busy[name], 6), round(waiting, 6)) for name in names]
        return tuple(stages)


def find_bottleneck(stages: tuple[Stage, ...]) -> str:
    """Return the name of the stage that the others wait for.

    It is the longest stage of the group of threads with the largest share of busy time.
    """
    groups = [[s for s in stages if s.name in names] for names in (_LOADING, _COMPUTING, _WRITING)]

    busy = [sum(stage.busy for stage in group) for group in groups]
    shares = [b / max(b + group[0].waiting, 1e-9) for b, group in zip(busy, groups, strict=True)]
    fullest = groups[shares.index(max(shares))]
    return max(fullest, key=lambda stage: stage.busy).name


def advise(
    bottleneck: str,
    *,
    workers: int,
    cores: int,
    device: str,
    precision: str,
    on_cluster: bool = False,
    cached: bool = False,
) -> str:
    """Return the option, or the hardware, that would speed up a stage.

    Parameters
    ----------
    bottleneck : str
        Name of the stage.
    workers, cores : int
        Number of loading threads, and of cores of the machine.
    device, precision : str
        Type of the device, and precision of the network.
    on_cluster : bool
        Whether actors of a cluster computed.
    cached : bool
        Whether a pixel cache is in use.
    """
    if bottleneck == "write":
        return "--output on a faster disk"
    if on_cluster:
        where = "storage that can serve more machines, or " if bottleneck == "read" else ""
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
        return "more cores" + ("" if cached else ", or --pixel-cache if further networks follow")
    return "more cores, or images stored closer to the input size of the network"
