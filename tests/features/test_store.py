"""A store by itself: rows appended without a network, and what another program reads then."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from made import dataset_of, make_images
from PIL import Image

from bottleneck.data.dataset import ImageDataset
from bottleneck.data.images.decode import pixel_facts
from bottleneck.errors import DataError, FeatureFileError
from bottleneck.features.file import hdf5_guard, journal
from bottleneck.features.file.format import Members
from bottleneck.features.file.reader import load_features
from bottleneck.features.file.store import FeatureStore, log_path
from bottleneck.features.file.write_queue import WriteQueue
from bottleneck.features.rows import ImageRow, ImageTable
from bottleneck.features.timing import Clock
from bottleneck.testing import tiny_backbone

WIDTH, SETTINGS = 3, {"batch_size": 4}
RECIPE = tiny_backbone().recipe("fp32", "reference")
RNG = np.random.default_rng(0)


@contextlib.contextmanager
def opened(dataset: ImageDataset, path: Path) -> Iterator[FeatureStore]:
    queue = WriteQueue(Clock(1), 2)
    with FeatureStore(path, dataset, RECIPE, WIDTH, SETTINGS, queue) as store:
        yield store


def load(dataset: ImageDataset) -> list[ImageRow]:
    rows = []
    for number, sample in enumerate(dataset.samples):
        data = dataset.read(sample)
        row = ImageRow(number, sample, hashlib.sha256(data).hexdigest(), (len(data), 10**18))
        assert isinstance(dataset.images.root, Path)
        with Image.open(dataset.images.root / sample.source) as image:
            row.facts = pixel_facts(image.convert("RGB"))
        rows.append(row)
    return rows


@pytest.fixture
def dataset(tmp_path: Path) -> ImageDataset:
    make_images(tmp_path / "images", 6)
    return dataset_of(tmp_path / "images")


def table_of(rows: list[ImageRow]) -> ImageTable:
    table = ImageTable(len(rows))
    for row in rows:
        table.add(row)
    return table


def test_appended_rows_are_in_the_finished_file(dataset: ImageDataset, tmp_path: Path) -> None:
    path, rows = tmp_path / "x.h5", load(dataset)
    features = RNG.normal(size=(6, WIDTH)).astype(np.float32)
    # The first store is left after one batch, as a kill would leave it.
    with opened(dataset, path) as store:
        store.append(rows[:4], features[:4])
        assert rows[0].key in store
        assert rows[4].key not in store
    assert not path.exists()
    with opened(dataset, path) as store:
        assert [row.key in store for row in rows] == [True] * 4 + [False] * 2
        # What is known already is not replaced.
        store.append(rows, np.concatenate([features[:4] + 1, features[4:]]))
        store.finish(table_of(rows), lambda: {"weights": "none"})
        assert (store.n_rows, store.n_extracted, store.n_copies) == (6, 2, 0)
    assert not log_path(path).exists()
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["embeddings"][:], features)
        assert [digest.decode() for digest in file["sha256"][:]] == [row.sha256 for row in rows]
        images = [Image.open(tmp_path / "images" / s.source) for s in dataset.samples]
        small = [
            np.asarray(p.convert("L").resize((32, 32), Image.Resampling.LANCZOS)) for p in images
        ]
        np.testing.assert_array_equal(file["thumbnails"][:], small)
        provenance = json.loads(file.attrs["provenance"])
    assert provenance["weights"] == "none"
    assert provenance["batch_size"] == 4
    assert provenance["images_extracted"] == 6


def test_a_file_that_does_not_change_is_not_written(dataset: ImageDataset, tmp_path: Path) -> None:
    path, rows = tmp_path / "x.h5", load(dataset)
    with opened(dataset, path) as store:
        store.append(rows, np.zeros((6, WIDTH), np.float32))
        store.finish(table_of(rows), dict)
    before = path.stat().st_ino, path.read_bytes()
    with opened(dataset, path) as store:
        assert [in_file for in_file, _ in store.records(0, dataset.samples)] == [
            (row.key, row.stamp) for row in rows
        ]
        store.finish(table_of(rows), lambda: pytest.fail("the file is written"))
    assert (path.stat().st_ino, path.read_bytes()) == before


def test_failures_are_in_the_order_of_the_data_set(dataset: ImageDataset, tmp_path: Path) -> None:
    path, rows = tmp_path / "x.h5", load(dataset)
    for number in (5, 2):
        rows[number].failure = f"reason {number}"
    table = ImageTable(6)
    for row in reversed(rows):  # As a cluster may return them.
        table.add(row)
    with opened(dataset, path) as store:
        good = [row for row in rows if row.failure is None]
        store.append(good, np.zeros((4, WIDTH), np.float32))
        store.finish(table, dict)
    with h5py.File(path) as file:
        assert [row["id"].decode() for row in file["failures"][:]] == ["002.png", "005.png"]
        failed = [row["label"].decode() for row in file["failed_samples"][:]]
        assert failed == [dataset.samples[number].label for number in (2, 5)]
        assert file["ids"].asstr()[:].tolist() == [row.sample.id for row in good]


def test_no_row_at_all(dataset: ImageDataset, tmp_path: Path) -> None:
    rows = load(dataset)
    for row in rows:
        row.failure = "broken"
    with (
        opened(dataset, tmp_path / "x.h5") as store,
        pytest.raises(DataError, match=r"none of the 6 images can be used.*000.png: broken"),
    ):
        store.finish(table_of(rows), dict)


def test_rows_of_another_format_are_not_taken(
    dataset: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, rows = tmp_path / "x.h5", load(dataset)
    with monkeypatch.context() as older:
        older.setattr(journal, "FORMAT", journal.FORMAT - 1)
        with opened(dataset, path) as store:
            store.append(rows[:1], np.zeros((1, WIDTH), np.float32))
    with pytest.raises(FeatureFileError, match=r"another version of\s+bottleneck; move it away"):
        FeatureStore(path, dataset, RECIPE, WIDTH, SETTINGS, WriteQueue(Clock(1), 2))


def test_a_log_of_another_recipe(dataset: ImageDataset, tmp_path: Path) -> None:
    path, rows = tmp_path / "x.h5", load(dataset)
    with opened(dataset, path) as store:
        store.append(rows[:1], np.zeros((1, WIDTH), np.float32))
    other = dataclasses.replace(RECIPE, pooling="max")
    with pytest.raises(FeatureFileError, match="belongs to another recipe"):
        FeatureStore(path, dataset, other, WIDTH, SETTINGS, WriteQueue(Clock(1), 2))


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE])
@pytest.mark.parametrize("after", [0, 5])
def test_a_disk_that_fails_is_not_called_a_damaged_file(
    dataset: ImageDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    after: int,
) -> None:
    path, rows = tmp_path / "x.h5", load(dataset)
    with opened(dataset, path) as store:
        store.append(rows, np.zeros((6, WIDTH), np.float32))
        store.finish(table_of(rows), dict)
    reads = itertools.count()
    read = hdf5_guard.WatchedFile.readinto

    def failing(self: hdf5_guard.WatchedFile, buffer: Any) -> int | None:
        if next(reads) >= after:
            self.error = OSError(code, os.strerror(code))
            raise self.error
        return read(self, buffer)

    monkeypatch.setattr(hdf5_guard.WatchedFile, "readinto", failing)
    with pytest.raises(FeatureFileError, match=r"cannot be read: .* storage") as caught:
        load_features(path)
    assert "damaged" not in str(caught.value)


def test_a_long_reason_among_many_is_read(dataset: ImageDataset, tmp_path: Path) -> None:
    path, rows = tmp_path / "x.h5", load(dataset)
    with opened(dataset, path) as store:
        store.append(rows, np.zeros((6, WIDTH), np.float32))
        store.finish(table_of(rows), dict)
    failures = [(f"image {n}", "damaged " * (1 if n else 500)) for n in range(5_000)]
    with h5py.File(path, "r+") as file:
        kind = file["failures"].dtype
        del file["failures"]
        file["failures"] = np.array(failures, kind)
    with Members.opened(path) as members:
        assert list(members.failures()) == failures
