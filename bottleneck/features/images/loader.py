"""Threads that read, hash, decode and resize images ahead of the network."""

from __future__ import annotations

import collections
import hashlib
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import cast

from bottleneck.data.dataset import ImageDataset
from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.data.samples.sample_table import Sample
from bottleneck.errors import DataError, describe_os_error
from bottleneck.features.images.decoder_pool import DecoderPool
from bottleneck.features.images.file_stamps import settled_stamp
from bottleneck.features.rows import Framing, ImageRow
from bottleneck.features.timing import Clock

__all__ = ["load_images"]


def load_images(
    dataset: ImageDataset,
    numbers: Iterable[int],
    needed: Callable[[str], Sequence[Framing]],
    clock: Clock,
    *,
    ahead: int,
    decoders: DecoderPool | None = None,
) -> Generator[ImageRow]:
    """Read, hash, decode and resize images, each of them once.

    Parameters
    ----------
    dataset : ImageDataset
        The data set.
    numbers : iterable of int
        Numbers of the samples.
    needed : callable
        Takes the key of a row. Returns the preprocessings in which its image is needed: none if
        every network has the row already. Then the image is hashed but not decoded.
    clock : Clock
        Adds up the time per stage, and has the number of threads.
    ahead : int
        How many images may be under way, which limits the memory.
    decoders : DecoderPool, optional
        What decodes; by default the threads that read.

    Yields
    ------
    ImageRow
        Every image, in order. One that cannot be used has a ``failure``.
    """
    decoders = decoders or DecoderPool(clock)

    def load(number: int) -> ImageRow:
        row = ImageRow(number, dataset.samples[number])
        try:
            with clock.stage("read"):
                row.stamp = settled_stamp(dataset, row.sample)
                data = _read(dataset, row.sample)
                row.sha256 = hashlib.sha256(data).hexdigest()
            # Networks of a data set of images take images.
            if preprocessings := cast("Sequence[Preprocessing]", needed(row.key)):
                decoders.decode(row, data, preprocessings)
        except DataError as error:
            row.failure = str(error)
        except MemoryError:
            row.failure = "the memory was too small for it"
        return row

    pool = ThreadPoolExecutor(clock.workers, thread_name_prefix="load")
    waiting: collections.deque[Future[ImageRow]] = collections.deque()
    try:
        for number in numbers:
            waiting.append(pool.submit(load, number))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _read(dataset: ImageDataset, sample: Sample) -> bytes:
    try:
        return dataset.read(sample)
    except OSError as error:
        raise DataError(f"cannot be read: {describe_os_error(error)}") from None
