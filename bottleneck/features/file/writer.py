"""Writes a feature file whole or not at all."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
from numpy.typing import NDArray

from bottleneck.data.dataset import ImageDataset
from bottleneck.errors import FeatureFileError
from bottleneck.features.file.format import FAILED, FAILURE, HASH, OPTIONAL_FIELDS, TEXT, THUMBNAIL
from bottleneck.features.rows import ImageRow, region_text
from bottleneck.features.sets.failed_samples import FailedSample
from bottleneck.files.writing import replacing

__all__ = ["MEMBERS", "write_features", "write_members"]

# Type of a member, and shape of its rows.
MemberType = tuple[Any, tuple[int, ...]]
_EMBEDDINGS = "embeddings"
MEMBERS: Mapping[str, MemberType] = {
    "ids": (TEXT, ()),
    "labels": (TEXT, ()),
    "sources": (TEXT, ()),
    "sha256": (HASH, ()),
    "pixels": (HASH, ()),
    "size": ("<i4", (2,)),
    "brightness": ("<f4", ()),
    "thumbnails": ("u1", THUMBNAIL),
    "stamps": ("<i8", (2,)),
    "regions": ("<i4", (4,)),
    "volume_regions": (TEXT, ()),
    "boxes": ("<f8", (6,)),
    **dict.fromkeys(OPTIONAL_FIELDS, (TEXT, ())),
}


def write_features(
    path: Path,
    dataset: ImageDataset,
    blocks: Iterable[tuple[Sequence[ImageRow], NDArray[np.float32]]],
    *,
    shape: tuple[int, int],
    failures: Sequence[tuple[str, str]],
    failed_samples: Sequence[FailedSample],
    provenance: Mapping[str, Any],
) -> None:
    """Write the feature file of a data set: whole or not at all.

    Parameters
    ----------
    path : Path
        The feature file; replaced if it exists.
    dataset : ImageDataset
        Its samples decide which optional members the file has.
    blocks : iterable of (sequence of ImageRow, ndarray of float32)
        Rows in the order of the data set, some at a time, and their features.
    shape, failures, failed_samples, provenance
        As for ``write_members``.

    Raises
    ------
    OSError
        If the folder cannot be written or the disk is full. The target is untouched.
    """
    values = _values(dataset)
    members = (
        {name: [value(row) for row in rows] for name, value in values.items()}
        | {_EMBEDDINGS: features}
        for rows, features in blocks
    )
    write_members(
        path,
        tuple(values),
        members,
        shape=shape,
        failures=failures,
        failed_samples=failed_samples,
        provenance=provenance,
    )


def write_members(
    path: Path,
    names: Sequence[str],
    blocks: Iterable[Mapping[str, Any]],
    *,
    shape: tuple[int, int],
    failures: Sequence[tuple[str, str]],
    failed_samples: Sequence[FailedSample],
    provenance: Mapping[str, Any],
) -> None:
    """Write a feature file from the values of its members: whole or not at all.

    The bytes go into a temporary file next to the target, which replaces the target when the
    disk has all of them.

    Parameters
    ----------
    path : Path
        The feature file; replaced if it exists.
    names : sequence of str
        Members of ``MEMBERS`` that the file has, apart from features and failures.
    blocks : iterable of mapping of str to array_like
        Values of these members and of ``embeddings``, some rows at a time.
    shape : tuple of int
        Number of all rows, and length of a feature vector.
    failures : sequence of (str, str)
        Id and reason of the samples without a row.
    failed_samples : sequence of FailedSample
        What the data set states of them, as far as it is known.
    provenance : mapping
        JSON-serialisable.

    Raises
    ------
    OSError
        If the folder cannot be written or the disk is full. The target is untouched.
    """
    types = {_EMBEDDINGS: ("<f4", (shape[1],))} | {name: MEMBERS[name] for name in names}
    with replacing(path) as target, _hdf5(target) as (file, check):
        # Contiguous, so that readers can map them into memory; floats hardly compress.
        for name, (dtype, of_row) in types.items():
            file.create_dataset(name, (shape[0], *of_row), dtype)
        start = 0
        for block in blocks:
            _write_rows(file, start, block, types)
            start += len(block[_EMBEDDINGS])
            check()
        file["failures"] = np.array([tuple(f) for f in failures], FAILURE)
        if failed_samples:
            rows = [dataclasses.astuple(one) for one in failed_samples]
            file["failed_samples"] = np.array(rows, FAILED)
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


def _values(dataset: ImageDataset) -> dict[str, Callable[[ImageRow], Any]]:
    """Return the members of a data set's file, but for features and failures, as functions."""
    values: dict[str, Callable[[Any], Any]] = {
        "ids": lambda row: row.sample.id,
        "labels": lambda row: row.sample.label,
        "sources": lambda row: row.sample.source,
        "sha256": lambda row: row.sha256,
        "pixels": lambda row: row.facts.pixels,
        "size": lambda row: row.facts.size,
        "brightness": lambda row: row.facts.brightness,
        "thumbnails": lambda row: _square(row.facts.thumbnail),
        "stamps": lambda row: row.stamp,
    }
    for member, field in OPTIONAL_FIELDS.items():
        if dataset.names(field):
            values[member] = _text_of(field)
    if dataset.names("region"):
        values["regions"] = lambda row: row.sample.region or (-1,) * 4
    if dataset.names("volume_region"):
        values["volume_regions"] = lambda row: region_text(row.sample.volume_region)
    if dataset.holds_volumes:
        values["boxes"] = _box
    return values


def _text_of(field: str) -> Callable[[ImageRow], str]:
    return lambda row: getattr(row.sample, field) or ""


def _box(row: ImageRow) -> tuple[float, ...]:
    if row.facts is None or row.facts.box is None:
        raise FeatureFileError(
            f"the row of '{row.sample.id}' in the feature file, or in its log, is not that of a "
            "volume: move both away and repeat"
        )
    return row.facts.box


def _square(thumbnail: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(thumbnail, np.uint8).reshape(THUMBNAIL)


def _write_rows(
    file: h5py.File, start: int, block: Mapping[str, Any], types: Mapping[str, MemberType]
) -> None:
    stop = start + len(block[_EMBEDDINGS])
    for name, (dtype, _) in types.items():
        file[name][start:stop] = np.asarray(block[name], dtype)
