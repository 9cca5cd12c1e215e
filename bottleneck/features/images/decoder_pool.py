"""Decoding of images, in the calling thread or in separate processes.

Decoding holds the interpreter's lock for about a third of its time, and the threads that drive
the networks need that lock as well: beyond three or four cores, threads alone cannot keep a GPU
busy.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bottleneck.data.images.decode import PixelFacts, codec, decode_with_notes, pixel_facts
from bottleneck.data.images.display import Display
from bottleneck.data.images.pixel_cache import PixelCache
from bottleneck.data.images.preparation import Preparation
from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.data.samples.sample_table import Box
from bottleneck.errors import DecodeError, UsageError, first_line
from bottleneck.features.rows import Framing, ImageRow
from bottleneck.features.timing import Clock
from bottleneck.files.temporary import own_folder
from bottleneck.processes import worker_processes

if TYPE_CHECKING:
    from loky import ProcessPoolExecutor

__all__ = ["DecoderPool"]

_Pixels = dict[Framing, NDArray[np.uint8 | np.float32]]
# Encoded bytes, their sha256, region, preprocessings.
_Task = tuple[bytes, str, Box | None, Sequence[Preprocessing]]
# A small image that every decoder process must decode before it gets another: 8×8 grey pixels.
_FIRST = b"P5 8 8 255\n" + bytes(64)
# One thread per process; and loky must not end one that grew with the size of its images.
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "LOKY_MAX_MEMORY_LEAK_SIZE": "1e15"}


class DecoderPool:
    """Decodes images for any number of threads.

    Parameters
    ----------
    clock : Clock
        Adds up the time per stage.
    cache : PixelCache, optional
        Cache of decoded images.
    processes : bool
        Whether each thread that asks has a decoder process. A process takes a second or two to
        start, and 40 MB of memory, or 400 MB if torchvision resizes.
    """

    def __init__(
        self, clock: Clock, cache: PixelCache | None = None, *, processes: bool = False
    ) -> None:
        self._clock, self._cache, self._processes = clock, cache, processes
        # Executors of one process each: if a process dies, only one image can have caused it.
        self._idle: list[ProcessPoolExecutor] = []

    def decode(self, row: ImageRow, data: bytes, preprocessings: Sequence[Preprocessing]) -> None:
        """Decode, describe and resize an image: set ``facts`` and ``pixels`` of its row.

        Parameters
        ----------
        row : ImageRow
            Its hash and the region of its sample are read.
        data : bytes
            The encoded image.
        preprocessings : sequence of Preprocessing
            How its pixels are needed; all of them have one preparation.

        Raises
        ------
        DecodeError
            If the image cannot be used, or crashed two decoder processes.
        UsageError
            If no process can be started, or the pixel cache cannot be used.
        """
        task = data, row.sha256, row.sample.region, preprocessings
        if self._processes:
            row.pixels, row.facts, seconds = self._decode_in_process(task)
            self._clock.add(seconds)
        else:
            row.pixels, row.facts = _decode(task, self._clock, self._cache)

    def _decode_in_process(self, task: _Task) -> tuple[_Pixels, PixelFacts, dict[str, float]]:
        from loky import BrokenProcessPool

        folder = None if self._cache is None else self._cache.folder
        crashes = 0
        while crashes < 2:
            try:
                process, is_new = self._idle.pop(), False
            except IndexError:
                process, is_new = _start_process(task[3]), True
            try:
                result = process.submit(_run_task, task, folder).result()
            except BrokenProcessPool:
                process.shutdown()
                crashes += is_new  # An idle process may have been dead already.
                continue
            except Exception:
                self._idle.append(process)
                raise
            self._idle.append(process)
            return result
        raise DecodeError(
            "two decoder processes ended while they decoded it: it crashes the decoder, or the "
            "memory is too small for it"
        )

    def close(self) -> None:
        """End the processes."""
        with ThreadPoolExecutor() as threads:  # Each waits a second until its process has ended.
            list(threads.map(lambda process: process.shutdown(), self._idle))
        self._idle.clear()


def _start_process(preprocessings: Sequence[Preprocessing]) -> ProcessPoolExecutor:
    from loky import BrokenProcessPool, ProcessPoolExecutor

    made: list[ProcessPoolExecutor] = []
    # A mask would not fit the small image.
    plain = [dataclasses.replace(p, preparation=Preparation()) for p in preprocessings]

    def start() -> Future[Any]:
        who = (os.getpid(), own_folder())
        made.append(
            ProcessPoolExecutor(1, initializer=_set_up_process, initargs=who, env=_ENVIRONMENT)
        )
        return made[0].submit(_run_task, (_FIRST, "", None, plain), None)

    try:
        worker_processes.started(start).result()
    # Without shared memory or file descriptors, the executor itself cannot be made.
    except (OSError, NotImplementedError, BrokenProcessPool) as error:
        for process in made:
            process.shutdown()
        raise UsageError(
            f"a decoder process cannot be started ({first_line(error)}): use --workers 1, which "
            "needs no such process"
        ) from None
    return made[0]


def _set_up_process(parent: int, folder: Path) -> None:
    """Prepare a decoder process, which runs this first."""
    worker_processes.enter(parent, folder, thread_stays=True)
    import bottleneck.backbones.inputs.resizing  # noqa: F401  # Adds torchvision's resize.

    os.dup2(2, 1)  # What a library prints does not belong into the output of the command.


_child_clock = Clock(1)
_open_cache = functools.cache(PixelCache)


def _run_task(
    task: _Task, cache_folder: Path | None
) -> tuple[_Pixels, PixelFacts, dict[str, float]]:
    """Decode an image in a decoder process."""
    cache = None if cache_folder is None else _open_cache(cache_folder)
    pixels, facts = _decode(task, _child_clock, cache)
    return pixels, facts, _child_clock.take()


def _decode(task: _Task, clock: Clock, cache: PixelCache | None) -> tuple[_Pixels, PixelFacts]:
    data, sha256, region, preprocessings = task
    preparation = next((each.preparation for each in preprocessings), Preparation())
    image, rgb, facts = _load_or_decode(data, sha256, region, preparation.display, clock, cache)
    with clock.stage("preprocess"):
        prepared, notes = preparation.prepared_with_notes(image)
        if notes:
            facts = dataclasses.replace(facts, notes=(*facts.notes, *notes))
        array = rgb if prepared is image else None
        return {each: each.framed(prepared, array) for each in preprocessings}, facts


def _load_or_decode(
    data: bytes,
    sha256: str,
    region: Box | None,
    display: Display,
    clock: Clock,
    cache: PixelCache | None,
) -> tuple[Image.Image, NDArray[np.uint8] | None, PixelFacts]:
    if cache is not None:
        with clock.stage("read"):
            cached = cache.find(sha256, region, codec(data), display)
        if cached is not None:
            return cached[0], None, cached[1]
    with clock.stage("decode"):
        image, notes = decode_with_notes(data, region, display)
    with clock.stage("describe"):
        # Pillow copies its pixels each time, so they are fetched once.
        rgb = np.asarray(image)
        facts = pixel_facts(image, rgb, notes)
        if cache is not None:
            cache.keep(sha256, region, image, facts, codec(data), display)
    return image, rgb, facts
