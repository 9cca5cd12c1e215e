"""Keys of the rows that the images of a data set have, without their features."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Generator

from bottleneck.data.dataset import ImageDataset
from bottleneck.data.volumes.volume_preprocessing import VolumePreprocessing
from bottleneck.errors import DataError
from bottleneck.features.images.region_loader import load_regions, order_by_volume
from bottleneck.features.rows import Framing, row_key
from bottleneck.features.timing import Clock

__all__ = ["read_keys"]


def read_keys(dataset: ImageDataset, framing: Framing) -> Generator[str]:
    """Yield the key of every image, or region of a volume, that can be read.

    Parameters
    ----------
    dataset : ImageDataset
        The data set.
    framing : Preprocessing or VolumePreprocessing
        How inputs of the network are made: of a volume, it decides which voxels are read.
    """
    if isinstance(framing, VolumePreprocessing):
        order = order_by_volume(dataset, range(len(dataset)))
        for row in load_regions(dataset, order, framing, lambda _: (), Clock(1), ahead=1):
            if row.failure is None:
                yield row.key
        return
    for sample in dataset.samples:
        with contextlib.suppress(OSError, DataError):
            yield row_key(hashlib.sha256(dataset.read(sample)).hexdigest(), sample)
