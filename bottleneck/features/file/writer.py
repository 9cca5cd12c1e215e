"""Writes a feature file whole or not at all."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
from numpy.typing import NDArray

from bottleneck.data.dataset import ImageDataset
from bottleneck.features.file.format import FAILURE, HASH, OPTIONAL_FIELDS, TEXT, THUMBNAIL
from bottleneck.features.rows import ImageRow
from bottleneck.files.writing import replacing

__all__ = ["write_features"]

# Type of a member, shape of its rows, and the value of an ImageRow.
_Column = tuple[Any, tuple[int, ...], Callable[[Any], Any]]


def write_features(
    path: Path,
    dataset: ImageDataset,
    blocks: Iterable[tuple[Sequence[ImageRow], NDArray[np.float32]]],
    *,
    shape: tuple[int, int],
    failures: Sequence[tuple[str, str]],
    provenance: Mapping[str, Any],
) -> None:
    """Write a feature file: whole or not at all.

    The bytes go into a temporary file next to the target, which replaces the target when the
    disk has all of them.

    Parameters
    ----------
    path : Path
        The feature file; replaced if it exists.
    dataset : ImageDataset
        Its samples decide which optional members the file has.
    blocks : iterable of (sequence of ImageRow, ndarray of float32)
        Rows in the order of the data set, some at a time, and their features.
    shape : tuple of int
        Number of all rows, and length of a feature vector.
    failures : sequence of (str, str)
        Id and reason of the samples without a row.
    provenance : mapping
        JSON-serialisable.

    Raises
    ------
    OSError
        If the folder cannot be written or the disk is full. The target is untouched.
    """
    with replacing(path) as target, _hdf5(target) as (file, check):
        # Contiguous, so that readers can map them into memory; floats hardly compress.
        file.create_dataset("embeddings", shape, "<f4")
        columns = _columns(dataset)
        for name, (dtype, of_row, _) in columns.items():
            file.create_dataset(name, (shape[0], *of_row), dtype)
        start = 0
        for rows, features in blocks:
            _write_rows(file, start, rows, features, columns)
            start += len(rows)
            check()
        file["failures"] = np.array([tuple(f) for f in failures], FAILURE)
        file.attrs["provenance"] = json.dumps(provenance)


class _Sink(io.FileIO):
    """A file that accepts every byte, and keeps the first error for later.

    HDF5 cannot close a file after a failed write: it raises, and tries again until the process
    ends. It also crashes where it reads again what it wrote and the bytes are not there. So what
    the disk did not take stays in memory, until the file is closed.
    """

    error: OSError | None = None

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._rest: list[tuple[int, bytes]] = []

    def write(self, data: Any, /) -> int:
        left = memoryview(data).cast("B")
        size = len(left)
        try:
            while left and self.error is None:
                left = left[super().write(left) :]
        except OSError as error:
            self.error = error
        if left:
            place = self.tell()
            self._rest.append((place, bytes(left)))
            self.seek(place + len(left))
        return size

    def readinto(self, buffer: Any, /) -> int:
        place, whole = self.tell(), memoryview(buffer).cast("B")
        n = super().readinto(whole) or 0
        if not self._rest:
            return n
        whole[n:] = bytes(len(whole) - n)
        for start, data in self._rest:
            first, last = max(start, place), min(start + len(data), place + len(whole))
            if first < last:
                whole[first - place : last - place] = data[first - start : last - start]
        self.seek(place + len(whole))
        return len(whole)


@contextlib.contextmanager
def _hdf5(target: BinaryIO) -> Iterator[tuple[h5py.File, Callable[[], None]]]:
    """Yield an HDF5 file, and a function that raises if the disk has not taken all of it."""
    with _Sink(target.fileno(), "r+", closefd=False) as sink:

        def check() -> None:
            if sink.error is not None:
                raise sink.error

        try:
            with h5py.File(sink, "w") as file:
                yield file, check
        finally:
            check()


def _columns(dataset: ImageDataset) -> dict[str, _Column]:
    """Return the members of a data set's file, but for features and failures."""
    columns: dict[str, _Column] = {
        "ids": (TEXT, (), lambda row: row.sample.id),
        "labels": (TEXT, (), lambda row: row.sample.label),
        "sources": (TEXT, (), lambda row: row.sample.source),
        "sha256": (HASH, (), lambda row: row.sha256),
        "pixels": (HASH, (), lambda row: row.facts.pixels),
        "size": ("<i4", (2,), lambda row: row.facts.size),
        "brightness": ("<f4", (), lambda row: row.facts.brightness),
        "thumbnails": ("u1", THUMBNAIL, lambda row: _square(row.facts.thumbnail)),
        "stamps": ("<i8", (2,), lambda row: row.stamp),
    }
    for member, field in OPTIONAL_FIELDS.items():
        if dataset.names(field):
            columns[member] = TEXT, (), _text_of(field)
    if dataset.names("region"):
        columns["regions"] = "<i4", (4,), lambda row: row.sample.region or (-1,) * 4
    return columns


def _text_of(field: str) -> Callable[[ImageRow], str]:
    return lambda row: getattr(row.sample, field) or ""


def _square(thumbnail: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(thumbnail, np.uint8).reshape(THUMBNAIL)


def _write_rows(
    file: h5py.File,
    start: int,
    rows: Sequence[ImageRow],
    features: NDArray[np.float32],
    columns: Mapping[str, _Column],
) -> None:
    stop = start + len(rows)
    file["embeddings"][start:stop] = features
    for name, (dtype, _, value) in columns.items():
        file[name][start:stop] = np.array([value(row) for row in rows], dtype)
