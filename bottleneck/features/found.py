"""What became of the images of a data set in a run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bottleneck.data.dataset import ImageDataset
from bottleneck.disk_backed import DiskArray
from bottleneck.features.rows import Stamp

__all__ = ["Found"]

_IMAGE = np.dtype([("sha256", "S64"), ("stamp", np.int64, 2)])


class Found:
    """What became of the images of a data set, on the disk.

    Parameters
    ----------
    dataset : ImageDataset
        Whose images.

    Attributes
    ----------
    failures : list of (str, str)
        Id and reason of the samples without a row.
    """

    def __init__(self, dataset: ImageDataset) -> None:
        self.dataset = dataset
        self.failures: list[tuple[str, str]] = []
        self._images = DiskArray(len(dataset), _IMAGE)

    def add(self, start: int, images: Sequence[tuple[str, Stamp]]) -> None:
        """Record the images of samples, of which ``start`` is the first: hashes and stamps."""
        self._images.write(start, images)

    def images(self, start: int, stop: int) -> list[tuple[str, Stamp]]:
        """Return what was recorded of the images of samples; the hash is empty where nothing."""
        images = self._images.read(start, stop)
        return [
            (sha256.decode(), (size, time))
            for sha256, (size, time) in zip(
                images["sha256"].tolist(), images["stamp"].tolist(), strict=True
            )
        ]
