"""Voxels behind a header: read by box, or decompressed, with exactly the expected length."""

from __future__ import annotations

import io
import math
import os
import stat
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from bottleneck.errors import DecodeError

__all__ = [
    "CHANGED",
    "FileVoxels",
    "InflatedStream",
    "find_sibling",
    "inflate_voxels",
    "open_file",
    "stamp_of",
]

# Decompressed voxels are in memory: 1,000 slices of 1,024 × 1,024 voxels with four bytes.
_MOST_BYTES = 2**32
# Bytes that one byte of a deflate stream can become.
_MOST_INFLATION = 1032
_CHUNK = 2**20
_GZIP = b"\x1f\x8b"
CHANGED = "its file was changed while it was read: repeat the command"


def open_file(path: Path) -> tuple[BinaryIO, int]:
    """Return an open file and its size in bytes.

    Raises
    ------
    OSError
        If the file cannot be read.
    DecodeError
        If it is a named pipe, or another file that is not regular.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise DecodeError("a folder or special file, not a file with a volume")
    return path.open("rb"), status.st_size


def find_sibling(header: Path, name: str) -> Path:
    """Return the file with the voxels of a header, which lies beside it.

    Parameters
    ----------
    header : Path
        The header.
    name : str
        The name that the header states.

    Raises
    ------
    DecodeError
        If the name leads to another folder, or there is no such file.
    """
    if not name or name in (".", "..") or any(mark in name for mark in "/\\:\0"):
        raise DecodeError(
            f"its header says that the voxels are in '{name}': expected the name of a file beside "
            "the header, without a folder"
        )
    path = header.parent / name
    if not path.exists():
        raise DecodeError(f"its voxels are missing: there is no file '{name}' beside the header")
    return path


class FileVoxels:
    """Voxels that are stored without compression, the first axis fastest, of which boxes are read.

    They are read like any file, and not mapped into memory: where a mapped file is cut off, or its
    storage fails, the system ends the process.

    Parameters
    ----------
    path : Path
        The file. It is open only while a box is read.
    start : int
        Number of bytes before the voxels.
    shape : tuple of int
        Number of voxels along each axis.
    dtype : dtype
        Type of a voxel, with its byte order.

    Raises
    ------
    OSError
        If the file cannot be read; so does reading a box.
    DecodeError
        If the file does not end with the last voxel.
    """

    def __init__(
        self, path: Path, start: int, shape: tuple[int, int, int], dtype: np.dtype[Any]
    ) -> None:
        file, size = open_file(path)
        with file:
            self._stamp = stamp_of(file)
        expected = start + _n_bytes(shape, dtype)
        if size != expected:
            raise _wrong_length(size - start, shape, dtype)
        self._path, self._start, self._shape, self._dtype = path, start, shape, dtype

    def __getitem__(self, box: tuple[slice, slice, slice], /) -> NDArray[Any]:
        """Return a box.

        Raises
        ------
        DecodeError
            If the file was changed after it was opened first.
        """
        columns, rows, planes = (range(n)[axis] for n, axis in zip(self._shape, box, strict=True))
        out = np.empty((len(planes), len(rows), len(columns)), self._dtype)
        # The rows of a plane follow each other in the file.
        whole = np.empty((len(rows), self._shape[0]), self._dtype)
        with self._path.open("rb", buffering=0) as file:
            for values, plane in zip(out, planes, strict=True):
                at = (plane * self._shape[1] + rows.start) * self._shape[0]
                file.seek(self._start + at * self._dtype.itemsize)
                if not _fill(file, whole.view(np.uint8).reshape(-1).data):
                    raise DecodeError(CHANGED)
                values[:] = whole[:, columns.start : columns.stop]
            if stamp_of(file) != self._stamp:
                raise DecodeError(CHANGED)
        return out.transpose(2, 1, 0)


def stamp_of(file: BinaryIO | io.FileIO) -> tuple[int, int]:
    """Return the size in bytes and the modification time in nanoseconds of an open file."""
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns


def _fill(file: io.FileIO, memory: memoryview) -> bool:
    """Return whether a file has as many bytes as a memory, which receives them."""
    while memory and (n := file.readinto(memory)):
        memory = memory[n:]
    return not memory


def inflate_voxels(
    path: Path, start: int, shape: tuple[int, int, int], dtype: np.dtype[Any]
) -> NDArray[Any]:
    """Return voxels that are stored as a gzip or zlib stream to the end of a file.

    Parameters are those of ``FileVoxels``.

    Raises
    ------
    OSError
        If the file cannot be read.
    DecodeError
        If the stream is refused by ``InflatedStream.read_voxels``.
    """
    file, size = open_file(path)
    with file:
        file.seek(start)
        return InflatedStream(file, size - start).read_voxels(shape, dtype)


class InflatedStream:
    """A gzip or zlib stream that is read to its end, where its checksum stands.

    Parameters
    ----------
    file : BinaryIO
        A file at the start of the stream.
    n_compressed : int
        Number of bytes from there to the end of the file.

    Notes
    -----
    Several gzip members one after the other are one stream, as gzip defines it.
    """

    def __init__(self, file: BinaryIO, n_compressed: int) -> None:
        self._file, self._n_compressed = file, n_compressed
        self._inflate = zlib.decompressobj(zlib.MAX_WBITS | 32)
        self._rest = b""

    def read(self, n_bytes: int) -> bytearray:
        """Return so many bytes; fewer at the end of the stream.

        Raises
        ------
        DecodeError
            If the stream is cut off or damaged.
        """
        out = bytearray()
        while len(out) < n_bytes:
            if len(self._rest) < len(_GZIP):
                self._rest += self._file.read(_CHUNK)
            if self._inflate.eof:
                if not self._rest.startswith(_GZIP):
                    break
                self._inflate = zlib.decompressobj(zlib.MAX_WBITS | 32)
            elif not self._rest:
                raise DecodeError("its compressed voxels are cut off: copy or download it again")
            try:
                out += self._inflate.decompress(self._rest, n_bytes - len(out))
            except zlib.error as error:
                raise DecodeError(
                    f"its compressed voxels are damaged ({str(error).rpartition(': ')[2]}): copy "
                    "or download it again"
                ) from None
            self._rest = self._inflate.unconsumed_tail or self._inflate.unused_data
        return out

    def read_voxels(self, shape: tuple[int, int, int], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return the voxels, which are the rest of the stream; the first axis is fastest.

        Raises
        ------
        DecodeError
            If the stream is cut off or damaged, ends before or after the last voxel, or has more
            than 4 GiB.
        """
        n_bytes = _n_bytes(shape, dtype)
        if n_bytes > _MOST_BYTES:
            raise DecodeError(
                f"its voxels need {n_bytes:,} bytes in memory, and the limit is {_MOST_BYTES:,}: "
                "store it without compression, so that only regions are read"
            )
        if n_bytes > self._n_compressed * _MOST_INFLATION:
            raise _wrong_length(None, shape, dtype)
        data = self.read(n_bytes)
        # The checksum comes after the last voxel.
        if len(data) != n_bytes or self.read(1):
            raise _wrong_length(len(data) if len(data) < n_bytes else None, shape, dtype)
        if self._rest.strip(b"\0") or self._file.read(_CHUNK).strip(b"\0"):
            raise DecodeError("there are further bytes after its compressed voxels")
        return np.frombuffer(data, dtype).reshape(shape, order="F")


def _n_bytes(shape: tuple[int, int, int], dtype: np.dtype[Any]) -> int:
    if min(shape) < 1:
        raise DecodeError(f"its header states the shape {_times(shape)}, without voxels")
    return math.prod(shape) * dtype.itemsize


def _wrong_length(
    n_bytes: int | None, shape: tuple[int, int, int], dtype: np.dtype[Any]
) -> DecodeError:
    expected = math.prod(shape) * dtype.itemsize
    has = "another number" if n_bytes is None else f"{max(n_bytes, 0):,}"
    return DecodeError(
        f"its header states {_times(shape)} voxels of {dtype.itemsize} bytes, which are "
        f"{expected:,} bytes, and the file has {has}: it is cut off, or its header is wrong"
    )


def _times(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))
