"""Regions of volumes that features were extracted from, read again."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from bottleneck.data.dataset import ImageDataset, Sample
from bottleneck.data.volumes.region_voxels import RegionVoxels, read_region
from bottleneck.data.volumes.volume_preprocessing import VolumePreprocessing
from bottleneck.errors import DataError
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.settings.schema import from_table

__all__ = ["find_volume_preprocessing", "read_regions"]

T = TypeVar("T")

# A volume is in memory as a whole if it is compressed.
_THREADS = 2
# Of features that other software computed: voxels as they are.
_UNKNOWN = VolumePreprocessing(size=(96, 96, 96), orientation="LPI")


def find_volume_preprocessing(features: FeatureSet) -> VolumePreprocessing:
    """Return the preprocessing of volumes that the recipe of features records.

    Of features that were computed by other software, it is a cube of 96 voxels.

    Raises
    ------
    UsageError
        If the record is damaged.
    """
    record = features.provenance["recipe"].get("preprocessing")
    if not record:
        return _UNKNOWN
    return from_table(VolumePreprocessing, record, "the recorded preprocessing of the volumes")


def read_regions(
    dataset: ImageDataset,
    samples: Iterable[Sample],
    preprocessing: VolumePreprocessing,
    make: Callable[[Sample, RegionVoxels], T],
) -> Iterator[tuple[Sample, T | None]]:
    """Read regions of volumes, each of which is opened once.

    Parameters
    ----------
    dataset : ImageDataset
        A data set of volumes.
    samples : iterable of Sample
        The regions, in any order.
    preprocessing : VolumePreprocessing
        Decides the grid.
    make : callable
        Makes a result from a sample and its voxels, in a thread.

    Yields
    ------
    tuple of (Sample, result or None)
        Volume by volume; None for a region that cannot be read.
    """

    def read(of_volume: list[Sample]) -> list[tuple[Sample, T | None]]:
        made: list[tuple[Sample, T | None]] = []
        try:
            volume = dataset.open_volume(of_volume[0])
        except (OSError, DataError):
            return [(sample, None) for sample in of_volume]
        for sample in of_volume:
            try:
                voxels = read_region(volume, sample.volume_region, preprocessing)
            except (OSError, DataError):
                made.append((sample, None))
                continue
            made.append((sample, make(sample, voxels)))
        return made

    ordered = sorted(samples, key=lambda sample: sample.source)
    volumes = [list(group) for _, group in itertools.groupby(ordered, lambda s: s.source)]
    pool = ThreadPoolExecutor(_THREADS)
    try:
        for made in pool.map(read, volumes):
            yield from made
    finally:
        pool.shutdown(cancel_futures=True)
