"""The reading side of a run: threads that read, decode and crop ahead of the network."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import itertools
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from bottleneck.data.dataset import ImageDataset
from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.data.samples import Sample
from bottleneck.errors import DataError
from bottleneck.features.images.decoder_pool import Decoders, Picture
from bottleneck.features.rows import NO_STAMP, Stamp, row_key
from bottleneck.features.timing import Clock

__all__ = ["Prepared", "prepare", "read_stamps"]

_BLOCK = 256
# A file may change twice within one tick of a file system's clock, the coarsest of which takes
# two seconds. The stamp of a younger file would not tell.
_SETTLED = 2 * 10**9


@dataclasses.dataclass(frozen=True, slots=True)
class Prepared:
    """A sample on its way to the networks.

    Attributes
    ----------
    number : int
        Of the sample in its data set.
    sha256 : str
        Of its image's bytes; "" where they could not be read.
    stamp : tuple of int
        Size and modification time of its file, or ``NO_STAMP``.
    picture : Picture or None
        None where the row is known already, or the image failed.
    failure : str or None
        Why there is no picture.
    """

    number: int
    sha256: str = ""
    stamp: Stamp = NO_STAMP
    picture: Picture | None = None
    failure: str | None = None


def read_stamps(
    dataset: ImageDataset, samples: Sequence[Sample], pool: ThreadPoolExecutor
) -> list[Stamp]:
    """Return size and modification time of the files of samples, without reading them.

    Parameters
    ----------
    dataset : ImageDataset
        Whose samples.
    samples : sequence of Sample
        What to look at.
    pool : ThreadPoolExecutor
        Its threads look.

    Returns
    -------
    list of (int, int)
        ``NO_STAMP`` where there is no file.
    """

    def look(start: int) -> list[Stamp]:
        return [dataset.stamp(s) or NO_STAMP for s in samples[start : start + _BLOCK]]

    # Exceptions come up here.
    return list(itertools.chain(*pool.map(look, range(0, len(samples), _BLOCK))))


def prepare(
    dataset: ImageDataset,
    numbers: Iterable[int],
    wanted: Callable[[str], Sequence[Preprocessing]],
    clock: Clock,
    *,
    ahead: int,
    decoders: Decoders | None = None,
) -> Generator[Prepared]:
    """Read, hash, decode and crop samples, in their order; each is read and decoded once.

    Parameters
    ----------
    dataset : ImageDataset
        What to read.
    numbers : iterable of int
        Which samples.
    wanted : callable
        Returns the framings in which a key's image is needed: none where every network has
        its row already. Such an image is read and hashed, and not decoded.
    clock : Clock
        Counts the time, and knows the number of threads.
    ahead : int
        How many samples may be under way, which bounds the memory.
    decoders : Decoders, optional
        Where; by default in the threads of this process.

    Yields
    ------
    Prepared
    """
    decoders = decoders or Decoders(clock)

    def work(number: int) -> Prepared:
        sample, sha256 = dataset.samples[number], ""
        try:
            with clock.stage("read"):
                stamp = _settled(dataset, sample)
                data = _read(dataset, sample)
                sha256 = hashlib.sha256(data).hexdigest()
            framings = wanted(row_key(sha256, sample))
            if not framings:
                return Prepared(number, sha256, stamp)
            picture = decoders.picture(data, sha256, sample.region, framings)
            return Prepared(number, sha256, stamp, picture)
        except OSError as error:
            return Prepared(number, failure=f"cannot be read: {error.strerror or error}")
        except DataError as error:
            return Prepared(number, sha256, failure=str(error))
        except MemoryError:
            return Prepared(number, sha256, failure="the memory was too small for it")

    pool = ThreadPoolExecutor(clock.workers, thread_name_prefix="decode")
    waiting: collections.deque[Future[Prepared]] = collections.deque()
    try:
        for number in numbers:
            waiting.append(pool.submit(work, number))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _read(dataset: ImageDataset, sample: Sample) -> bytes:
    try:
        return dataset.read(sample)
    except (OSError, DataError, MemoryError):
        raise
    # A source of somebody's own may raise anything, and one bad image must not end a run.
    except Exception as error:  # noqa: BLE001
        raise DataError(f"cannot be read: {type(error).__name__}: {error}") from None


def _settled(dataset: ImageDataset, sample: Sample) -> Stamp:
    # Before the bytes are read: a change in between makes the stamp an old one, never the
    # hash.
    stamp = dataset.stamp(sample)
    if stamp is None or time.time_ns() - stamp[1] < _SETTLED:
        return NO_STAMP
    return stamp
