"""The members of a feature file, checked before use; ``features/README.md`` specifies them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from bottleneck.data.images.decode import THUMBNAIL_SIDE
from bottleneck.errors import BottleneckError, FeatureFileError, describe_os_error
from bottleneck.features.file.hdf5_guard import TEXT_BYTES, WatchedFile, measure_texts
from bottleneck.features.file.provenance_record import read_format, read_record
from bottleneck.features.sets.failed_samples import FailedSample
from bottleneck.files.small_files import open_regular

__all__ = [
    "FAILED",
    "FAILURE",
    "FORMAT",
    "IMAGE_MEMBERS",
    "OPTIONAL_FIELDS",
    "TEXT",
    "THUMBNAIL",
    "Members",
    "are_boxes",
    "take",
]

# It grows with what a file holds, and with how rows follow from a recipe.
FORMAT = 3
TEXT = h5py.string_dtype("utf-8")
FAILURE = np.dtype([("id", TEXT), ("reason", TEXT)])
FAILED = np.dtype([(name, TEXT) for name in ("id", "label", "patient", "split")])
THUMBNAIL = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
# Members that exist only if some sample has a value in the field.
OPTIONAL_FIELDS = {
    "groups": "group",
    "splits": "split",
    "folds": "fold",
    "centres": "centre",
    "lesions": "lesion",
    "examinations": "examination",
}
# Members that describe images. A file that lacks one says so in its provenance.
IMAGE_MEMBERS = ("sources", "sha256", "pixels", "size", "brightness", "thumbnails")

HASHES, HASH = ("sha256", "pixels"), "S64"
_TEXT = h5py.check_string_dtype(TEXT)
_BLOCK = 65_536
# Bytes: of the provenance; of an id, a path or a label of 1,000 characters; of a reason.
_MAX_TEXT, _MAX_NAME, _MAX_REASON = 4_194_304, 4_000, 65_536


class Members:
    """The members of an open feature file.

    Parameters
    ----------
    path : Path
        Path of the file, for messages.
    file : h5py.File
        Open for reading.
    source : WatchedFile
        The bytes of the same file.
    """

    def __init__(self, path: Path, file: h5py.File, source: WatchedFile) -> None:
        self.path = path
        self._file = file
        self._source = source

    @classmethod
    @contextlib.contextmanager
    def opened(cls, path: Path) -> Iterator[Members]:
        """Open a file for the block, and raise FeatureFileError for whatever HDF5 raises."""
        if path.is_dir():
            raise FeatureFileError(
                f"{path} is a folder, where a feature file (.h5) was expected: name a file in it, "
                "or extract its images with `bottleneck extract`"
            )
        if not os.path.lexists(path):
            raise FeatureFileError(f"feature file {path} does not exist")
        opened = open_regular(path, "feature file", FeatureFileError)
        source: WatchedFile | None = None
        try:
            with (
                opened,
                WatchedFile(opened.fileno()) as source,
                h5py.File(source, "r") as file,
            ):
                yield cls(path, file, source)
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
            if path.suffix == ".skops":
                raise FeatureFileError(
                    f"{path} is a model, where a feature file (.h5) was expected: name the file "
                    "that `bottleneck extract` wrote"
                ) from None
            cause = raised or str(error).partition("(")[2].rstrip(")") or error
            raise FeatureFileError(
                f"{path} is damaged, or no HDF5 file ({cause}); "
                "move it away and extract the features again"
            ) from None

    def __contains__(self, name: str) -> bool:
        return name in self._file

    def __getitem__(self, name: str) -> h5py.Dataset:
        """Return a member after checking that it is stored as the format says."""
        return self._plain(name)

    def provenance(self) -> Mapping[str, Any]:
        """Return the provenance."""
        try:
            # HDF5 crashes if it reads a value of a damaged text type; asking for the type is safe.
            attribute = self._file.attrs.get_id("provenance")
            kind, size = attribute.get_type(), attribute.get_storage_size()
            if not isinstance(kind, h5py.h5t.TypeStringID) or attribute.shape or size > _MAX_TEXT:
                raise ValueError("not text of a usual size")
            text = self._file.attrs["provenance"]
            if len(text) > _MAX_TEXT:
                raise ValueError(f"more than {_MAX_TEXT:,} characters")
            version = read_format(text)
        except (KeyError, RecursionError, TypeError, ValueError) as error:
            reason = "" if isinstance(error, KeyError) else f" ({error})"
            raise FeatureFileError(
                f"{self.path} is not a feature file of bottleneck: it has no valid "
                f"provenance{reason}"
            ) from None
        if version != FORMAT:
            raise FeatureFileError(
                f"{self.path} has format {version}, and this version of bottleneck reads format "
                f"{FORMAT}: move it away and extract again"
            )
        return read_record(text, self.path)

    def member(
        self,
        name: str,
        n: int | None = None,
        *,
        ndim: int = 1,
        kind: Any = TEXT,
        columns: int | None = None,
    ) -> h5py.Dataset:
        """Return a member after checking its rows, dimensions, type and columns."""
        member = self._plain(name)
        if (
            member.ndim != ndim
            or member.dtype != np.dtype(kind)
            or (kind is TEXT and h5py.check_string_dtype(member.dtype) != _TEXT)
            or (n is not None and len(member) != n)
            or (columns is not None and member.shape[1] != columns)
        ):
            raise self.malformed(name)
        return member

    def _plain(self, name: str) -> h5py.Dataset:
        """Return a member that lies in the file as it will be in memory, in one piece.

        All else can only be made to mislead: a link to another file, a size that the file does not
        have, compressed or shared chunks.
        """
        link = self._file.get(name, getlink=True) if name in self else None
        member = self._file[name] if isinstance(link, h5py.HardLink) else None
        if not isinstance(member, h5py.Dataset):
            raise self.malformed(name)
        how, place = member.id.get_create_plist(), member.id.get_offset() or 0
        n_texts = len(member.dtype.names or "1") if member.dtype.hasobject else 0
        size = (member.size or 0) * (n_texts * TEXT_BYTES or member.dtype.itemsize)
        if (
            how.get_layout() != h5py.h5d.CONTIGUOUS
            or how.get_nfilters()
            or how.get_external_count()
            or member.shape is None
            or (size and (not place or member.id.get_storage_size() != size))
            or place + size > self._source.size
        ):
            raise self.malformed(name)
        self._source.allow(place, size)
        return member

    def malformed(self, name: str) -> FeatureFileError:
        """Return the error for a member that failed its check."""
        return FeatureFileError(
            f"{self.path} is not a valid feature file: '{name}' is missing or malformed; "
            "move it away and extract the features again"
        )

    def thumbnails(self, n: int) -> h5py.Dataset:
        """Return the thumbnails after checking their shape."""
        member = self.member("thumbnails", n, ndim=3, kind="u1")
        if member.shape[1:] != THUMBNAIL:
            raise FeatureFileError(
                f"{self.path} is not a valid feature file: 'thumbnails' has the shape "
                f"{member.shape}, not ({n}, {THUMBNAIL_SIDE}, {THUMBNAIL_SIDE}); move it away and "
                "extract the features again"
            )
        return member

    def longest(self, member: h5py.Dataset) -> int:
        """Return the length in bytes of the longest text of a member, if it is safe to read."""
        longest = measure_texts(self._source, self._file, member)
        most = _MAX_REASON if member.dtype.names else _MAX_NAME
        if longest is None or longest > most:
            raise self.malformed(member.name)
        return longest

    def texts(self, name: str, n: int | None = None) -> NDArray[np.str_]:
        """Return all texts of a member."""
        if name in HASHES:
            return self.member(name, n, kind=HASH)[:].astype(str)
        member = self.member(name, n)
        # By blocks: a million texts at once would be a million objects.
        texts = np.empty(len(member), f"U{max(1, self.longest(member))}")
        for start in range(0, len(member), _BLOCK):
            texts[start : start + _BLOCK] = member.asstr()[start : start + _BLOCK]
        return texts

    def failures(self) -> Iterator[tuple[str, str]]:
        """Yield id and reason of the samples without a row."""
        if "failures" in self:
            member = self.member("failures", kind=FAILURE)
            self.longest(member)
            for row in member[:]:
                yield row["id"].decode(), row["reason"].decode()

    def failed_samples(self) -> tuple[FailedSample, ...]:
        """Return what the data set states of these samples; nothing if it was not recorded."""
        if "failed_samples" not in self:
            return ()
        member = self.member("failed_samples", kind=FAILED)
        self.longest(member)
        samples = tuple(
            FailedSample(*(text.decode() for text in row)) for row in member[:].tolist()
        )
        if not {one.id for one in samples} <= {identity for identity, _ in self.failures()}:
            raise self.malformed("failed_samples")
        return samples


def are_boxes(boxes: NDArray[np.float64]) -> bool:
    """Return whether rows are least and largest coordinates of boxes, in mm."""
    return bool(np.isfinite(boxes).all() and (boxes[:, :3] <= boxes[:, 3:]).all())


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
