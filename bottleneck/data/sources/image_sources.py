"""Sources of images: files in a folder or an archive, and images in memory."""

from __future__ import annotations

import dataclasses
import functools
import os
import stat
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeVar

import numpy as np

from bottleneck.data.sources.source_names import SEPARATOR, prefixed
from bottleneck.data.volumes.volume import Volume, VolumeSource
from bottleneck.errors import (
    BottleneckError,
    DataError,
    StorageError,
    UsageError,
    is_of_storage,
    one_line,
    storage_failure,
)

__all__ = [
    "ArchiveSource",
    "CombinedSource",
    "CombinedVolumes",
    "FileSource",
    "ImageSource",
    "MemorySource",
    "combine_sources",
    "open_volume",
    "read_bytes",
    "read_stamp",
    "read_twice",
]

_T = TypeVar("_T")

# More than the largest accepted image takes without compression. A sparse file can claim any size,
# and all its zeros would be read.
_MAX_BYTES = 1 << 30

# Archives that are kept open.
_N_ARCHIVES = 8
# Modes of PIL images with pixels that are grey or colour levels.
_MODES = ("L", "RGB", "I;16")


class ImageSource(Protocol):
    """Anything that returns the encoded bytes of an image by its name."""

    def read(self, source: str) -> bytes:
        """Return the encoded image; raise OSError or DataError if it cannot be read."""
        ...


@dataclasses.dataclass(frozen=True)
class FileSource:
    """Images stored as files; their sources are absolute or relative to one folder."""

    root: Path

    def read(self, source: str) -> bytes:
        """Return the bytes of a file; raise the same errors as ``open``."""
        with self.open(source) as file:
            data = file.read(_MAX_BYTES + 1)  # It may grow while it is read.
        if len(data) > _MAX_BYTES:
            raise DataError(f"it exceeds the limit for an image, {_MAX_BYTES:,} bytes")
        return data

    def open(self, source: str) -> BinaryIO:
        """Return a file that is open for reading.

        Raises
        ------
        OSError
            If the file cannot be read.
        DataError
            If it is not a regular file, or is larger than any image that can be decoded.
        """
        # Opening a named pipe would wait until another program writes. What is opened is checked,
        # not what had the name before.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        path = os.path.join(self.root, source)  # noqa: PTH118  # As in ``stamp``.
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116  # A socket cannot be opened.
            raise DataError("a folder or special file, not an image")
        file = os.fdopen(os.open(path, flags), "rb")
        status = os.fstat(file.fileno())
        if stat.S_ISREG(status.st_mode) and status.st_size <= _MAX_BYTES:
            return file
        file.close()
        raise DataError(f"{status.st_size:,} bytes: no image has more than {_MAX_BYTES:,}")

    def stamp(self, source: str) -> tuple[int, int]:
        """Return the size in bytes and the modification time in nanoseconds of a file.

        Raises
        ------
        OSError
            If there is no such file.
        """
        # Called for every image of a data set: building a Path takes longer than the stat itself.
        status = os.stat(os.path.join(self.root, source))  # noqa: PTH116, PTH118
        return status.st_size, status.st_mtime_ns


@dataclasses.dataclass(frozen=True)
class MemorySource:
    """Images in memory, by name.

    Attributes
    ----------
    images : mapping of str to bytes, array or PIL image
        The encoded bytes of each image; or its pixels: an array of shape (height, width) with
        8 or 16 bits, or (height, width, 3) with 8 bits, or a PIL image of mode L, RGB or I;16.
    """

    images: Mapping[str, Any]

    def read(self, source: str) -> bytes:
        """Return the bytes of an image; pixels as binary netpbm, which loses nothing.

        Raises
        ------
        DataError
            If there is no such image, or it is neither bytes nor pixels of these types.
        """
        try:
            image = self.images[source]
        except KeyError:
            raise DataError("no image in memory has this name") from None
        if isinstance(image, bytes | bytearray | memoryview):
            return bytes(image)
        mode = getattr(image, "mode", None)  # That of a tensor is a method.
        if isinstance(mode, str) and mode not in _MODES:
            raise DataError(
                f"a PIL image of mode {mode}; expected one of {', '.join(_MODES)}: convert it with "
                "image.convert('RGB')"
            )
        return _encode(image)


@dataclasses.dataclass(frozen=True)
class ArchiveSource:
    """Images in a zip archive, which every process opens for itself.

    Attributes
    ----------
    path : Path
        The archive.
    """

    path: Path

    def read(self, source: str) -> bytes:
        """Return the bytes of a file in the archive.

        Raises
        ------
        DataError
            If there is no such file, or it is larger than any image that can be decoded.
        OSError, BadZipFile
            If the archive cannot be read.
        """
        archive = _open_archive(self.path, os.getpid())
        try:
            entry = archive.getinfo(source)
        except KeyError:
            raise DataError("the archive has no file of this name") from None
        if entry.file_size > _MAX_BYTES:
            raise DataError(f"{entry.file_size:,} bytes: no image has more than {_MAX_BYTES:,}")
        return archive.read(entry)

    @property
    def names(self) -> frozenset[str]:
        """The names of all files in the archive."""
        return frozenset(_open_archive(self.path, os.getpid()).namelist())


@functools.lru_cache(_N_ARCHIVES)
def _open_archive(path: Path, process: int) -> zipfile.ZipFile:
    """Return an open archive. After a fork, two processes would move one position in the file."""
    return zipfile.ZipFile(path)


def read_bytes(images: ImageSource, source: str, name: str) -> bytes:
    """Return the bytes of an image from any source.

    Parameters
    ----------
    images : ImageSource
        The source.
    source : str
        The image in it.
    name : str
        Id of the sample, for the message.

    Raises
    ------
    OSError, DataError
        If the image cannot be read; DataError for all that the source raises by mistake.
    StorageError
        If the storage failed, which says nothing about the image.
    """
    return read_twice(lambda: _read_once(images, source), name)


def read_stamp(images: ImageSource, source: str) -> tuple[int, int] | None:
    """Return size and modification time of an image, or None if it is not a file of its own.

    Raises
    ------
    OSError
        If there is no such file.
    """
    if isinstance(images, FileSource | CombinedSource | VolumeSource):
        return images.stamp(source)
    return None


def open_volume(images: VolumeSource, source: str, name: str) -> Volume:
    """Return an open volume from any source; parameters and errors are those of ``read_bytes``."""
    return read_twice(lambda: _open_once(images, source), name)


def read_twice(read: Callable[[], _T], name: str) -> _T:
    """Return what a function reads; call it once more if the storage failed.

    Raises
    ------
    StorageError
        If the storage failed again, which says nothing about the image.
    """
    try:
        return read()
    except OSError as error:
        if not is_of_storage(error):
            raise
    # Once more: a file that was replaced on a server is there under its name.
    try:
        return read()
    except OSError as error:
        if not is_of_storage(error):
            raise
        raise storage_failure(name, error) from None


def _read_once(images: ImageSource, source: str) -> bytes:
    try:
        data: Any = images.read(source)
    except (OSError, DataError, MemoryError, StorageError):
        raise
    # One bad image must not end a run.
    except Exception as error:
        raise DataError(f"cannot be read: {type(error).__name__}: {one_line(error)}") from error
    if not isinstance(data, bytes | bytearray | memoryview):
        raise DataError(
            f"cannot be read: its source returned {type(data).__name__}, not the bytes of an "
            "encoded image"
        )
    return bytes(data)


def _open_once(images: VolumeSource, source: str) -> Volume:
    try:
        volume: Any = images.open_volume(source)
    except (BottleneckError, OSError, MemoryError):
        raise
    # One bad volume must not end a run.
    except Exception as error:
        raise DataError(f"cannot be read: {type(error).__name__}: {one_line(error)}") from error
    if not isinstance(volume, Volume):
        raise DataError(f"cannot be read: its source returned {type(volume).__name__}, no Volume")
    return volume


def _encode(image: Any) -> bytes:
    """Return pixels as binary PGM or PPM: the same bytes for the same pixels, always."""
    if not isinstance(image, np.ndarray) and not hasattr(image, "__array_interface__"):
        raise DataError(
            f"{type(image).__name__} in place of an image; expected the bytes of a file, or an "
            "array of pixels"
        )
    pixels = np.asarray(image)
    pixels = pixels[:, :, 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    is_grey, is_colour = pixels.ndim == 2, pixels.ndim == 3 and pixels.shape[2] == 3
    is_whole = pixels.dtype.kind == "u" and pixels.dtype.itemsize <= (2 if is_grey else 1)
    is_masked = isinstance(image, np.ma.MaskedArray)
    if not (is_grey or is_colour) or not is_whole or is_masked or not pixels.size:
        raise DataError(
            f"{'a masked' if is_masked else 'an'} array of type {pixels.dtype} and shape "
            f"{pixels.shape}; expected uint8 or uint16 (height, width), or uint8 (height, width, 3)"
        )
    height, width = pixels.shape[:2]
    most = np.iinfo(pixels.dtype).max
    # Netpbm has the larger byte first.
    data = pixels.astype(pixels.dtype.newbyteorder(">")).tobytes()
    return f"{'P5' if is_grey else 'P6'}\n{width} {height}\n{most}\n".encode() + data


@dataclasses.dataclass(frozen=True)
class CombinedSource:
    """Images of several data sets; the name of the data set goes before a source.

    Attributes
    ----------
    images : mapping of str to ImageSource
        The images of each data set.
    """

    images: Mapping[str, ImageSource]

    def read(self, source: str) -> bytes:
        """Return the bytes of an image; raise what its data set raises."""
        name, inner = self.split(source)
        return self.images[name].read(inner)

    def stamp(self, source: str) -> tuple[int, int] | None:
        """Return size and modification time, or None if the image is not a file of its own."""
        name, inner = self.split(source)
        return read_stamp(self.images[name], inner)

    def split(self, source: str) -> tuple[str, str]:
        """Return the name of the data set of an image, and its source there."""
        name = next(n for n in self.images if source.startswith(prefixed(n, "")))
        return name, source[len(name) + len(SEPARATOR) :]


@dataclasses.dataclass(frozen=True)
class CombinedVolumes(CombinedSource):
    """Volumes of several data sets; the name of the data set goes before a source."""

    def open_volume(self, source: str) -> Volume:
        """Return an open volume; raise what its data set raises."""
        name, inner = self.split(source)
        images: Any = self.images[name]
        volume: Volume = images.open_volume(inner)
        return volume


def combine_sources(images: Mapping[str, ImageSource]) -> CombinedSource:
    """Return the images of several data sets, by their names, as one source.

    Raises
    ------
    UsageError
        If some of them hold images, and others volumes.
    """
    of_volumes = [name for name, one in images.items() if isinstance(one, VolumeSource)]
    if not of_volumes:
        return CombinedSource(images)
    if others := [name for name in images if name not in of_volumes]:
        raise UsageError(
            f"'{of_volumes[0]}' holds volumes, and '{others[0]}' images: take data sets of one kind"
        )
    return CombinedVolumes(images)
