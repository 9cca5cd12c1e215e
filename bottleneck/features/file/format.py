"""The members of a feature file, checked before use; ``features/README.md`` specifies them."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from bottleneck.data.images.decode import THUMBNAIL_SIDE
from bottleneck.errors import BottleneckError, FeatureFileError, describe_os_error
from bottleneck.features.file.hdf5_guard import WatchedFile, measure_texts
from bottleneck.files.small_files import open_regular

__all__ = ["FAILURE", "FORMAT", "OPTIONAL_FIELDS", "TEXT", "THUMBNAIL", "Members", "take"]

FORMAT = 2
TEXT = h5py.string_dtype("utf-8")
FAILURE = np.dtype([("id", TEXT), ("reason", TEXT)])
THUMBNAIL = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
# Members that exist only if some sample has a value in the field.
OPTIONAL_FIELDS = {"groups": "group", "splits": "split", "folds": "fold", "centres": "centre"}

_BLOCK = 65_536


class Members:
    """The members of an open feature file.

    Parameters
    ----------
    path : Path
        Path of the file, for messages.
    file : h5py.File
        Open for reading.
    """

    def __init__(self, path: Path, file: h5py.File) -> None:
        self.path = path
        self._file = file

    @classmethod
    @contextlib.contextmanager
    def opened(cls, path: Path) -> Iterator[Members]:
        """Open a file for the block, and raise FeatureFileError for whatever HDF5 raises."""
        if path.is_dir():
            raise FeatureFileError(
                f"{path} is a folder, where a feature file (.h5) was expected: name a file in it, "
                "or make one of the images in it with `bottleneck extract`"
            )
        if not os.path.lexists(path):
            raise FeatureFileError(f"feature file {path} does not exist")
        opened = open_regular(path, "feature file", FeatureFileError)
        source: WatchedFile | None = None
        try:
            with (
                opened,
                WatchedFile(opened.fileno(), closefd=False) as source,
                h5py.File(source, "r") as file,
            ):
                yield cls(path, file)
        except BottleneckError:
            raise
        # HDF5 notices damage only when a value is read, and raises errors of any type.
        except Exception as error:  # noqa: BLE001
            raised = source.error if source else None
            if raised is not None and not isinstance(raised, Exception):
                raise raised from None  # Ctrl-C
            failed = raised or error
            if isinstance(failed, OSError) and failed.errno is not None:
                raise FeatureFileError(
                    f"{path} cannot be read: {describe_os_error(failed)}; repeat the command when "
                    "it can be read again"
                ) from None
            cause = raised or str(error).partition("(")[2].rstrip(")") or error
            raise FeatureFileError(
                f"{path} is damaged, or no HDF5 file ({cause}); "
                "move it away and extract the features again"
            ) from None

    def __contains__(self, name: str) -> bool:
        return name in self._file

    def __getitem__(self, name: str) -> h5py.Dataset:
        """Return a member without checking it."""
        return self._file[name]

    def provenance(self) -> Mapping[str, Any]:
        """Return the provenance."""
        try:
            # HDF5 crashes if it reads a value of a damaged text type; asking for the type is safe.
            kind = self._file.attrs.get_id("provenance").get_type()
            if not isinstance(kind, h5py.h5t.TypeStringID):
                raise TypeError
            provenance = json.loads(self._file.attrs["provenance"])
            version = provenance["format"]
            dataset, recipe = dict(provenance["dataset"]), dict(provenance["recipe"])
            names = [dataset["name"], recipe["backbone"], recipe["weights"]]
            if not all(isinstance(name, str) for name in (*names, provenance["recipe_hash"])):
                raise TypeError
        except (KeyError, RecursionError, TypeError, ValueError):
            raise FeatureFileError(
                f"{self.path} is no feature file of bottleneck: it has no valid provenance"
            ) from None
        if version != FORMAT:
            raise FeatureFileError(
                f"{self.path} has format {version}; this version of bottleneck reads format "
                f"{FORMAT}"
            )
        return provenance

    def member(
        self,
        name: str,
        n: int | None = None,
        *,
        ndim: int = 1,
        kind: str = "SO",
        columns: int | None = None,
    ) -> h5py.Dataset:
        """Return a member after checking its rows, dimensions, kind of data and columns."""
        # A link to another file, or a size that the file cannot hold, can only be made to mislead.
        link = self._file.get(name, getlink=True) if name in self else None
        member = self._file[name] if isinstance(link, h5py.HardLink) else None
        if (
            not isinstance(member, h5py.Dataset)
            or member.is_virtual
            or member.external
            or member.ndim != ndim
            or member.dtype.kind not in kind
            or (n is not None and len(member) != n)
            or (columns is not None and member.shape[1] != columns)
            or member.size * min(member.dtype.itemsize, 4) > self.path.stat().st_size
        ):
            raise self.malformed(name)
        return member

    def malformed(self, name: str) -> FeatureFileError:
        """Return the error for a member that failed its check."""
        return FeatureFileError(
            f"{self.path} is no valid feature file: '{name}' is missing or malformed; "
            "move it away and extract the features again"
        )

    def thumbnails(self, n: int) -> h5py.Dataset:
        """Return the thumbnails after checking their shape."""
        member = self.member("thumbnails", n, ndim=3, kind="u")
        if member.shape[1:] != THUMBNAIL:
            raise FeatureFileError(
                f"{self.path} is no valid feature file: 'thumbnails' has the shape "
                f"{member.shape}, not ({n}, {THUMBNAIL_SIDE}, {THUMBNAIL_SIDE}); move it away and "
                "extract the features again"
            )
        return member

    def longest(self, member: h5py.Dataset) -> int:
        """Return the length in bytes of the longest text of a member, if it is safe to read."""
        longest = measure_texts(self.path, self._file, member)
        if longest is None:
            raise self.malformed(member.name)
        return longest

    def texts(self, name: str, n: int | None = None) -> NDArray[np.str_]:
        """Return all texts of a member."""
        member = self.member(name, n)
        if member.dtype.kind != "O":
            return np.asarray(member[:]).astype(str)
        # By blocks: a million texts at once would be a million objects.
        texts = np.empty(len(member), f"U{max(1, self.longest(member))}")
        for start in range(0, len(member), _BLOCK):
            texts[start : start + _BLOCK] = member.asstr()[start : start + _BLOCK]
        return texts

    def failures(self) -> Iterator[tuple[str, str]]:
        """Yield id and reason of the samples without a row."""
        if "failures" in self:
            member = self.member("failures", kind="V")
            if member.dtype != FAILURE:
                raise self.malformed("failures")
            self.longest(member)
            for row in member[:]:
                yield row["id"].decode(), row["reason"].decode()


def take(member: h5py.Dataset, numbers: Sequence[int] | NDArray[np.integer[Any]]) -> NDArray[Any]:
    """Return rows of a member by their numbers, in any order."""
    order, inverse = np.unique(numbers, return_inverse=True)
    if not len(order):
        return member[:0]
    # HDF5 reads consecutive rows hundreds of times faster than the same rows one by one.
    low, high = int(order[0]), int(order[-1]) + 1
    if high - low <= 4 * len(order):
        return member[low:high][order - low][inverse]
    return member[order][inverse]
