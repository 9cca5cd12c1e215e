"""Threads that read regions of volumes ahead of the network; each volume is opened once."""

from __future__ import annotations

import collections
import itertools
import math
import threading
from array import array
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from bottleneck.data.dataset import ImageDataset
from bottleneck.data.samples.sample_table import Sample, values_of
from bottleneck.data.sources.image_sources import read_twice
from bottleneck.data.volumes.region_voxels import RegionVoxels, read_region
from bottleneck.data.volumes.volume import Volume
from bottleneck.data.volumes.volume_preprocessing import VolumePreprocessing
from bottleneck.errors import DataError, describe_os_error
from bottleneck.features.images.file_stamps import settled_stamp
from bottleneck.features.rows import NO_STAMP, Framing, ImageRow, Stamp
from bottleneck.features.timing import Clock

__all__ = ["load_regions", "order_by_volume"]

# Volumes that are in memory at a time, as compressed ones are.
_MOST_IN_MEMORY = 4
# Bytes of all patches that are under way: axial slices of one volume may take 100 megabytes.
_MOST_BYTES = 2**31
# Regions of one volume that a thread reads one after the other.
_TOGETHER = 8
_NO_MEMORY = "the memory was too small for it"


def load_regions(
    dataset: ImageDataset,
    numbers: Iterable[int],
    preprocessing: VolumePreprocessing,
    needed: Callable[[str], Sequence[Framing]],
    clock: Clock,
    *,
    ahead: int,
) -> Generator[ImageRow]:
    """Read and hash regions of volumes, and make patches of them.

    Parameters
    ----------
    dataset : ImageDataset
        A data set of volumes.
    numbers : iterable of int
        Numbers of the samples. Consecutive samples of one volume share the open volume.
    preprocessing : VolumePreprocessing
        How patches are made.
    needed : callable
        Takes the key of a row. Returns the preprocessings in which its patch is needed: none if
        every network has the row already. Then its voxels are hashed alone.
    clock : Clock
        Adds up the time per stage, and has the number of threads.
    ahead : int
        How many regions may be under way, which limits the memory.

    Yields
    ------
    ImageRow
        Every region, in order. One that cannot be used has a ``failure``.

    Raises
    ------
    StorageError
        If the storage failed.
    MissingExtraError
        If a format needs a package that is not installed.
    """
    patch = 4 * math.prod(preprocessing.input_shape)
    ahead = max(1, min(ahead, _MOST_BYTES // patch))
    together = max(1, min(_TOGETHER, ahead // (clock.workers + 1)))
    places = _Places(_MOST_IN_MEMORY)

    def load(opened: _SharedVolume, chunk: Sequence[int]) -> list[ImageRow]:
        try:
            return [
                _load(opened, ImageRow(n, dataset.samples[n]), preprocessing, needed, clock)
                for n in chunk
            ]
        finally:
            opened.end()

    pool = ThreadPoolExecutor(clock.workers, thread_name_prefix="load")
    waiting: collections.deque[tuple[int, Future[list[ImageRow]]]] = collections.deque()
    under_way = 0
    try:
        for opened, chunk in _chunks(dataset, numbers, together, clock, places):
            while waiting and under_way + len(chunk) > ahead:
                n, future = waiting.popleft()
                yield from future.result()
                under_way -= n
            waiting.append((len(chunk), pool.submit(load, opened, chunk)))
            under_way += len(chunk)
        while waiting:
            yield from waiting.popleft()[1].result()
    finally:
        places.stop()
        pool.shutdown(cancel_futures=True)


def order_by_volume(dataset: ImageDataset, numbers: Sequence[int]) -> Sequence[int]:
    """Return numbers of samples so that those of one volume follow each other."""
    if not dataset.holds_volumes or len(numbers) < 2:
        return numbers
    # Hashes, because the names of many volumes would fill the memory.
    hashes = np.fromiter(map(hash, values_of(dataset.samples, "source")), np.int64, len(dataset))
    _, first, volume = np.unique(hashes, return_index=True, return_inverse=True)
    chosen = np.asarray(numbers, np.int64)
    return array("q", chosen[np.argsort(first[volume[chosen]], kind="stable")].tobytes())


class _Places:
    """Places in memory for volumes: a thread waits until one is free."""

    def __init__(self, n: int) -> None:
        self._free, self._changed = n, threading.Condition()

    def take(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._free > 0)
            self._free -= 1

    def give(self) -> None:
        with self._changed:
            self._free += 1
            self._changed.notify()

    def stop(self) -> None:
        """Let no thread wait any longer, because regions that were to be read are not."""
        with self._changed:
            self._free += 1 << 30
            self._changed.notify_all()


class _SharedVolume:
    """A volume that is opened when the first of its regions is read, and closed after the last.

    Threads take their tasks in order. So a volume that has a place in memory waits for no later
    one, and all but the last that was begun will be closed.
    """

    def __init__(self, dataset: ImageDataset, clock: Clock, places: _Places) -> None:
        self._dataset, self._clock, self._places = dataset, clock, places
        self._opening, self._counting = threading.Lock(), threading.Lock()
        self._opened: tuple[Volume | None, Stamp, str] | None = None
        self._has_place = False
        self._left = 1  # The chunks to be read, and one until all are known.

    def begin(self) -> None:
        """Note that a chunk is to be read."""
        with self._counting:
            self._left += 1

    def end(self) -> None:
        """Note that a chunk was read, or that all are known; close the volume after the last."""
        with self._counting:
            self._left -= 1
            if self._left:
                return
        self._opened = None
        self._leave()

    def _leave(self) -> None:
        if self._has_place:
            self._has_place = False
            self._places.give()

    def open(self, sample: Sample) -> tuple[Volume, Stamp]:
        """Return the volume of a sample, and the stamp of its files before they were read."""
        with self._opening:
            if self._opened is None:
                self._places.take()
                self._has_place = True
                with self._clock.stage("read"):
                    self._opened = self._open(sample)
                if not _is_in_memory(self._opened[0]):
                    self._leave()
            volume, stamp, failure = self._opened
        if volume is None:
            raise DataError(failure)
        return volume, stamp

    def _open(self, sample: Sample) -> tuple[Volume | None, Stamp, str]:
        stamp = settled_stamp(self._dataset, sample)
        try:
            return self._dataset.open_volume(sample), stamp, ""
        except OSError as error:
            return None, NO_STAMP, f"cannot be read: {describe_os_error(error)}"
        except MemoryError:
            return None, NO_STAMP, _NO_MEMORY
        except DataError as error:
            return None, NO_STAMP, str(error)


def _is_in_memory(volume: Volume | None) -> bool:
    stored = None if volume is None else volume.stored
    if isinstance(stored, np.ndarray):
        return not isinstance(stored, np.memmap)
    return getattr(stored, "keeps_voxels", False)


def _chunks(
    dataset: ImageDataset, numbers: Iterable[int], size: int, clock: Clock, places: _Places
) -> Iterator[tuple[_SharedVolume, list[int]]]:
    """Yield some consecutive samples of one volume at a time."""
    for _, of_volume in itertools.groupby(numbers, lambda n: dataset.samples[n].source):
        opened = _SharedVolume(dataset, clock, places)
        while chunk := list(itertools.islice(of_volume, size)):
            opened.begin()
            yield opened, chunk
        opened.end()


def _load(
    opened: _SharedVolume,
    row: ImageRow,
    preprocessing: VolumePreprocessing,
    needed: Callable[[str], Sequence[Framing]],
    clock: Clock,
) -> ImageRow:
    try:
        volume, row.stamp = opened.open(row.sample)
        with clock.stage("decode"):
            voxels = _read(volume, row, preprocessing)
        row.sha256 = voxels.sha256
        if framings := needed(row.key):
            with clock.stage("describe"):
                row.facts = voxels.facts()
            with clock.stage("preprocess"):
                row.pixels = dict.fromkeys(framings, voxels.patch)
    except OSError as error:
        row.failure = f"cannot be read: {describe_os_error(error)}"
    except DataError as error:
        row.failure = str(error)
    except MemoryError:
        row.failure = _NO_MEMORY
    return row


def _read(volume: Volume, row: ImageRow, preprocessing: VolumePreprocessing) -> RegionVoxels:
    return read_twice(
        lambda: read_region(volume, row.sample.volume_region, preprocessing), row.sample.id
    )
