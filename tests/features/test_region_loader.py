"""Regions of volumes are read in threads, and each volume is opened once for all of them."""

from __future__ import annotations

import dataclasses
import errno
import gc
import os
import threading
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from made_regions import MadeVolumes, made_volume, region_dataset
from numpy.typing import NDArray

from bottleneck.data.dataset import ImageDataset
from bottleneck.data.volumes.region_voxels import read_region
from bottleneck.data.volumes.volume import Volume
from bottleneck.data.volumes.volume_preprocessing import VolumePreprocessing
from bottleneck.errors import DataError, MissingExtraError, StorageError
from bottleneck.features.images.region_loader import load_regions, order_by_volume
from bottleneck.features.rows import Framing, ImageRow
from bottleneck.features.timing import Clock

HOW = VolumePreprocessing(size=(6, 6, 6))


def load(dataset: ImageDataset, numbers: Sequence[int] | None = None, **how: Any) -> list[ImageRow]:
    def needed(key: str) -> list[Framing]:
        return how.get("needed", [HOW])

    chosen = range(len(dataset)) if numbers is None else numbers
    clock = Clock(how.get("threads", 3))
    return list(load_regions(dataset, chosen, HOW, needed, clock, ahead=how.get("ahead", 9)))


def source_of(dataset: ImageDataset) -> MadeVolumes:
    assert isinstance(dataset.images, MadeVolumes)
    return dataset.images


@pytest.mark.parametrize("ahead", [1, 3, 100])
def test_every_region_comes_in_order_as_it_is_read_alone(ahead: int) -> None:
    dataset = region_dataset(3, 11)
    rows = load(dataset, ahead=ahead)
    assert [row.number for row in rows] == list(range(33))
    assert source_of(dataset).opened == {"scan0": 1, "scan1": 1, "scan2": 1}
    for row in rows:
        volume = source_of(dataset).volumes[row.sample.source]
        alone = read_region(volume, row.sample.volume_region, HOW)
        assert row.sha256 == alone.sha256
        assert row.facts == alone.facts()
        np.testing.assert_array_equal(row.pixels[HOW], alone.patch)


def test_regions_in_mixed_order_are_brought_together() -> None:
    dataset = region_dataset(3, 4, mixed=True)
    order = order_by_volume(dataset, range(len(dataset)))
    assert [dataset.samples[n].source for n in order] == [f"scan{n // 4}" for n in range(12)]
    assert list(order_by_volume(dataset, [11, 0, 3])) == [0, 3, 11]
    load(dataset, order)
    assert set(source_of(dataset).opened.values()) == {1}


def test_known_regions_are_hashed_alone() -> None:
    (row, *_) = load(region_dataset(1, 2), needed=[])
    assert len(row.sha256) == 64
    assert (row.facts, dict(row.pixels)) == (None, {})


def test_a_volume_that_cannot_be_opened_fails_with_all_its_regions() -> None:
    dataset = region_dataset(3, 3)
    volumes = {name: v for name, v in source_of(dataset).volumes.items() if name != "scan1"}
    dataset = dataclasses.replace(dataset, images=MadeVolumes(volumes))
    rows = load(dataset)
    failures = {row.sample.source: row.failure for row in rows}
    assert failures == {
        "scan0": None,
        "scan1": "cannot be read: No such file or directory",
        "scan2": None,
    }
    assert source_of(dataset).opened["scan1"] == 1


def test_a_region_outside_fails_alone() -> None:
    dataset = region_dataset(1, 3)
    region = dataset.samples[1].volume_region
    assert region is not None
    outside = dataclasses.replace(dataset.samples[1], volume_region=region._replace(x=500.0))
    samples = (dataset.samples[0], outside, dataset.samples[2])
    rows = load(dataclasses.replace(dataset, samples=samples))
    assert [row.failure is None for row in rows] == [True, False, True]
    assert "lies outside" in str(rows[1].failure)


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (OSError(errno.EIO, "Input/output error"), StorageError),
        (MissingExtraError("reading it needs a package"), MissingExtraError),
    ],
)
def test_what_says_nothing_about_a_volume_ends_the_run(
    raised: Exception, expected: type[Exception]
) -> None:
    class Failing(MadeVolumes):
        def open_volume(self, source: str) -> Volume:
            raise raised

    with pytest.raises(expected):
        load(dataclasses.replace(region_dataset(), images=Failing({})))


@pytest.mark.parametrize(
    ("number", "failure"),
    [(errno.EIO, None), (errno.ENOENT, "cannot be read: No such file or directory")],
)
def test_voxels_that_are_read_late_may_fail(number: int, failure: str | None) -> None:
    """As slices of DICOM are, which are read when a region needs them."""

    class Stored:
        def __getitem__(self, box: tuple[slice, slice, slice]) -> NDArray[np.int16]:
            raise OSError(number, os.strerror(number))

    volume = dataclasses.replace(made_volume(0), stored=Stored())
    dataset = dataclasses.replace(region_dataset(1, 2), images=MadeVolumes({"scan0": volume}))
    if failure is None:
        with pytest.raises(StorageError):
            load(dataset)
    else:
        assert [row.failure for row in load(dataset)] == [failure] * 2


def test_any_error_of_a_source_is_a_failure_of_its_volume() -> None:
    class Odd(MadeVolumes):
        def open_volume(self, source: str) -> Any:
            if source == "scan0":
                raise RuntimeError("an odd\nheader")
            return np.zeros((4, 4, 4))

    rows = load(dataclasses.replace(region_dataset(2, 1), images=Odd({})))
    assert rows[0].failure == "cannot be read: RuntimeError: an odd header"
    assert rows[1].failure == "cannot be read: its source returned ndarray, no Volume"


def test_no_more_than_a_few_volumes_are_in_memory() -> None:
    """However many there are: a volume is dropped when its last region was read."""
    alive: set[int] = set()
    most = [0]

    class Fresh(MadeVolumes):
        def open_volume(self, source: str) -> Volume:
            volume = made_volume(int(source[4:]), side=4)
            alive.add(id(volume))
            most[0] = max(most[0], len(alive))
            weakref.finalize(volume, alive.discard, id(volume))
            return volume

    dataset = region_dataset(40, 2)
    samples = [dataclasses.replace(s, volume_region=None) for s in dataset.samples]
    dataset = dataclasses.replace(dataset, samples=tuple(samples), images=Fresh({}))
    for _ in load_regions(dataset, range(80), HOW, lambda _: [HOW], Clock(16), ahead=200):
        pass
    gc.collect()
    assert most[0] <= 6
    assert not alive


def test_volumes_on_the_disk_are_read_in_all_threads() -> None:
    n = 7
    together = threading.Barrier(n)

    @dataclasses.dataclass(frozen=True)
    class Stored:
        """Voxels that nobody gets until regions of n volumes are read at the same time."""

        values: NDArray[np.int16]

        def __getitem__(self, box: tuple[slice, slice, slice]) -> NDArray[np.int16]:
            together.wait(timeout=20)
            return self.values[box]

    class OnDisk(MadeVolumes):
        def open_volume(self, source: str) -> Volume:
            volume = made_volume(int(source[4:]))
            return dataclasses.replace(volume, stored=Stored(volume.stored))

    dataset = dataclasses.replace(region_dataset(n, 1), images=OnDisk({}))
    rows = load(dataset, threads=n, ahead=n)
    assert [row.failure for row in rows] == [None] * n


def test_leaving_early_leaves_no_thread() -> None:
    dataset = region_dataset(3, 4)
    before = threading.active_count()
    loading = load_regions(dataset, range(12), HOW, lambda _: [HOW], Clock(9), ahead=12)
    next(loading)
    loading.close()
    assert threading.active_count() == before


def test_images_of_a_folder_of_volumes_are_no_bytes() -> None:
    dataset = region_dataset(1, 1)
    with pytest.raises(DataError, match="is a volume"):
        dataset.read(dataset.samples[0])
