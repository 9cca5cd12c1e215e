"""Data sets of regions of volumes that are made in memory."""

from __future__ import annotations

import dataclasses
import threading
from collections import Counter
from collections.abc import Mapping

import numpy as np

from bottleneck.data.dataset import ImageDataset
from bottleneck.data.samples.sample_table import Sample
from bottleneck.data.volumes.geometry import VolumeGeometry
from bottleneck.data.volumes.volume import Volume
from bottleneck.data.volumes.volume_region import VolumeRegion
from bottleneck.errors import DataError

SPACING = (1.0, 1.0, 2.0)


def made_volume(seed: int, side: int = 16, spacing: tuple[float, ...] = SPACING) -> Volume:
    """Return noise around water; its first voxel is at (−10, −20, 30) mm."""
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -10, -20, 30
    values = np.random.default_rng(seed).integers(-200, 200, (side,) * 3, np.int16)
    return Volume(VolumeGeometry((side,) * 3, affine), values, format="made")


@dataclasses.dataclass
class MadeVolumes:
    """A source of volumes in memory that counts how often each is opened."""

    volumes: Mapping[str, Volume]
    opened: Counter[str] = dataclasses.field(default_factory=Counter)
    stamps: dict[str, tuple[int, int]] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def __getstate__(self) -> object:
        return {**self.__dict__, "_lock": None}

    def open_volume(self, source: str) -> Volume:
        with self._lock:
            self.opened[source] += 1
        if source not in self.volumes:
            raise FileNotFoundError(2, "No such file or directory", source)
        return self.volumes[source]

    def stamp(self, source: str) -> tuple[int, int] | None:
        return self.stamps.get(source)

    def read(self, source: str) -> bytes:
        raise DataError(f"'{source}' is a volume")


def region_of(number: int, side: int = 16) -> VolumeRegion:
    """Return a region around a voxel that follows from a number, in LPS mm."""
    i, j, k = (number * 7 % side, number * 5 % side, number * 3 % side)
    return VolumeRegion(-10.0 + i, -20.0 + j, 30.0 + 2 * k, "lps")


def region_dataset(
    n_volumes: int = 3, n_regions: int = 4, *, name: str = "regions", mixed: bool = False
) -> ImageDataset:
    """Return regions of volumes: of one volume after the other, or mixed."""
    volumes = {f"scan{n}": made_volume(n) for n in range(n_volumes)}
    pairs = [(v, r) for v in range(n_volumes) for r in range(n_regions)]
    if mixed:
        pairs.sort(key=lambda pair: pair[1])
    samples = [
        Sample(
            id=f"{v}-{r}",
            source=f"scan{v}",
            label=("benign", "malignant")[r % 2],
            group=f"P{v}",
            lesion=f"lesion {v}-{r}" if r % 2 else None,
            volume_region=region_of(v + 5 * r),
        )
        for v, r in pairs
    ]
    return ImageDataset(name, tuple(samples), MadeVolumes(volumes))
