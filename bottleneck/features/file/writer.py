"""Writes a feature file whole or not at all."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from bottleneck.data.dataset import ImageDataset
from bottleneck.features.file.format import FAILURE, OPTIONAL_FIELDS, TEXT, THUMBNAIL
from bottleneck.features.rows import ImageRow
from bottleneck.files import replacing

__all__ = ["write_features"]


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
    with replacing(path, locked=True) as beside, _created(beside) as file:
        _create_members(file, dataset, *shape)
        start = 0
        for rows, features in blocks:
            stop = start + len(rows)
            file["embeddings"][start:stop] = features
            _write_columns(file, slice(start, stop), rows)
            start = stop
        file["failures"] = np.array([tuple(f) for f in failures], FAILURE)
        file.attrs["provenance"] = json.dumps(provenance)


class _Sink(io.FileIO):
    """A file that accepts every byte, and keeps the first error for later.

    HDF5 cannot close a file after a failed write: it raises, and tries again until the process
    ends.
    """

    error: OSError | None = None

    def write(self, data: Any, /) -> int:
        left = memoryview(data).cast("B")
        size = len(left)
        try:
            while left and self.error is None:
                left = left[super().write(left) :]
        except OSError as error:
            self.error = error
        return size


@contextlib.contextmanager
def _created(path: Path) -> Iterator[h5py.File]:
    with _Sink(path, "w+") as sink:
        try:
            with h5py.File(sink, "w") as file:
                yield file
        finally:
            if sink.error is not None:
                raise sink.error


def _create_members(file: h5py.File, dataset: ImageDataset, n: int, width: int) -> None:
    # Contiguous, so that readers can map it into memory; floats hardly compress.
    file.create_dataset("embeddings", (n, width), "<f4")
    for member in ("ids", "labels", "sources"):
        file.create_dataset(member, (n,), TEXT)
    for member, field in OPTIONAL_FIELDS.items():
        if dataset.names(field):
            file.create_dataset(member, (n,), TEXT)
    if dataset.names("region"):
        file.create_dataset("regions", (n, 4), "<i4")
    for member in ("sha256", "pixels"):
        file.create_dataset(member, (n,), "S64")
    file.create_dataset("size", (n, 2), "<i4")
    file.create_dataset("brightness", (n,), "<f4")
    file.create_dataset("thumbnails", (n, *THUMBNAIL), "u1")
    file.create_dataset("stamps", (n, 2), "<i8")


def _write_columns(file: h5py.File, place: slice, rows: Sequence[ImageRow]) -> None:
    samples = [row.sample for row in rows]
    facts = [row.facts for row in rows if row.facts is not None]
    columns: dict[str, Any] = {
        "ids": np.array([s.id for s in samples], TEXT),
        "labels": np.array([s.label for s in samples], TEXT),
        "sources": np.array([s.source for s in samples], TEXT),
        "sha256": np.array([row.sha256 for row in rows], "S64"),
        "pixels": np.array([fact.pixels for fact in facts], "S64"),
        "size": np.array([fact.size for fact in facts], np.int32),
        "brightness": np.array([fact.brightness for fact in facts], np.float32),
        "stamps": np.array([row.stamp for row in rows], np.int64),
    }
    for member, field in OPTIONAL_FIELDS.items():
        if member in file:
            columns[member] = np.array([getattr(s, field) or "" for s in samples], TEXT)
    if "regions" in file:
        columns["regions"] = np.array([s.region or (-1,) * 4 for s in samples], np.int32)
    thumbnails = b"".join(fact.thumbnail for fact in facts)
    columns["thumbnails"] = np.frombuffer(thumbnails, np.uint8).reshape(-1, *THUMBNAIL)
    for member, values in columns.items():
        file[member][place] = values
