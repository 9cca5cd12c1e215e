"""The images to read: those without a row under the same size and time."""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from bottleneck.data.dataset import ImageDataset
from bottleneck.data.samples.sample_table import Sample, blocks_of
from bottleneck.features.file.store import FeatureStore
from bottleneck.features.rows import NO_STAMP, ImageTable, Stamp

__all__ = ["select_unread"]

_BLOCK = 256


def select_unread(
    stores: Sequence[FeatureStore], images: ImageTable, workers: int
) -> Sequence[int]:
    """Return the numbers of the samples that must be read.

    The others are written to the table: size and modification time of their files are those
    recorded, and every store has their rows.

    Parameters
    ----------
    stores : sequence of FeatureStore
        Stores of one data set.
    images : ImageTable
        Receives hash and stamp of the images that are known.
    workers : int
        Threads that look at files.
    """
    dataset = stores[0].dataset
    if all(store.is_new for store in stores):
        return range(len(dataset))
    unread = array("q")
    with ThreadPoolExecutor(workers, thread_name_prefix="stamps") as pool:
        for start, samples in blocks_of(dataset.samples):
            records = list(zip(*(store.records(start, samples) for store in stores), strict=True))
            places = [n for n, each in enumerate(records) if any(map(any, each))]
            stamps = _read_stamps(dataset, [samples[place] for place in places], pool)
            known = [("", NO_STAMP)] * len(samples)
            for place, stamp in zip(places, stamps, strict=True):
                if stamp == NO_STAMP:  # Not even a file that was, and is, without one is known.
                    continue
                # What files recorded comes first: their rows need not be looked up.
                candidates = itertools.chain.from_iterable(zip(*records[place], strict=True))
                key = next((one[0] for one in candidates if one and one[1] == stamp), None)
                if key is not None and all(
                    (in_file is not None and in_file[0] == key) or key in store
                    for (in_file, _), store in zip(records[place], stores, strict=True)
                ):
                    known[place] = key[:64], stamp
            images.write(start, known)
            unread.extend(start + place for place, (sha256, _) in enumerate(known) if not sha256)
    return unread


def _read_stamps(
    dataset: ImageDataset, samples: Sequence[Sample], pool: ThreadPoolExecutor
) -> list[Stamp]:
    """Return size and modification time of the files of samples, without reading them."""

    # A volume may be a folder of many files, and has many samples.
    of_source = {sample.source: sample for sample in samples}
    files = list(of_source.values())

    def look(start: int) -> list[Stamp]:
        return [dataset.stamp(s) or NO_STAMP for s in files[start : start + _BLOCK]]

    # Exceptions come up here.
    stamps = itertools.chain(*pool.map(look, range(0, len(files), _BLOCK)))
    found = dict(zip(of_source, stamps, strict=True))
    return [found[sample.source] for sample in samples]
