"""Checks the heaps in which HDF5 keeps text, as HDF5 reads them.

HDF5 trusts what a file states about its texts: that a million rows share one long text, or that
an entry of a heap has no size, which makes HDF5 loop forever.
"""

from __future__ import annotations

import io
import os
import struct
from typing import Any

import h5py
import numpy as np

__all__ = ["TEXT_BYTES", "WatchedFile", "measure_texts"]

# The first bytes of a heap, and the size of its head and of each entry's head (HDF5 format
# specification, III.E, the global heap).
_HEAP, _HEAD = b"GCOL\x01", 16
# Number of an entry of a heap, and its length.
_ENTRY = struct.Struct("<H6xQ")
# A row of text is a length and an address.
_ROW = np.dtype([("length", "<u4"), ("address", "<u8"), ("index", "<u4")])
TEXT_BYTES = _ROW.itemsize
# Bytes that the texts of a member may take in every file, each as long as the longest.
_SMALL = 4_194_304
# HDF5 reads at most so many bytes at once, except for numbers and for a long text.
_MOST_METADATA, _MOST_HEAP = 1_048_576, 16_777_216
# Rows that are checked together.
_ROWS = 65_536


def measure_texts(source: WatchedFile, file: h5py.File, member: h5py.Dataset) -> int | None:
    """Return the length of the longest text of a member in bytes.

    None if the texts are not stored as this package stores them, or would take more memory than
    the file has bytes: numpy gives every row of an array the width of the longest.
    """
    if len(member) == 0:
        return 0
    place, texts = member.id.get_offset(), len(member.dtype.names or "1")
    sizes = file.id.get_create_plist().get_sizes()
    is_text = member.dtype.names or h5py.check_string_dtype(member.dtype)
    if place is None or sizes[0] != 8 or not is_text:
        return None
    total = longest = 0
    for start in range(0, texts * len(member), _ROWS):
        n = min(_ROWS, texts * len(member) - start)
        raw = source.bytes_at(place + start * _ROW.itemsize, _ROW.itemsize * n)
        lengths = np.frombuffer(raw, _ROW)["length"]
        total += int(lengths.sum(dtype=np.int64))
        longest = max(longest, int(lengths.max()))
    size = source.size
    # Failures are not read into an array of one width: a long reason makes the others no longer.
    wide = 0 if member.dtype.names else longest * len(member)
    return None if total > size or wide > max(size, _SMALL) else longest


class WatchedFile(io.FileIO):
    """A file for HDF5 to read that refuses endless heaps.

    Heaps are checked when HDF5 reads them, so that it does not matter where the file says they
    are, and only those that are read are checked.

    Attributes
    ----------
    error : BaseException or None
        What ended a read; HDF5 replaces it by an error of its own.
    size : int
        Size of the file in bytes.
    """

    error: BaseException | None = None

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, closefd=False)
        self.size = os.fstat(descriptor).st_size
        self._numbers: set[tuple[int, int]] = set()

    def allow(self, place: int, size: int) -> None:
        """Allow long reads of a member."""
        self._numbers.add((place, place + size))

    def bytes_at(self, place: int, n: int) -> bytes:
        """Return bytes of the file without checking them; fewer at its end."""
        self.seek(place)
        return self.read(n)

    def readinto(self, buffer: Any, /) -> int | None:
        """Read bytes; raise OSError if they contain an endless heap."""
        try:
            place, wanted = self.tell(), memoryview(buffer).nbytes
            if wanted > _MOST_HEAP and not any(
                start <= place and place + wanted <= end for start, end in self._numbers
            ):
                raise OSError(f"a part of {wanted:,} bytes does not belong to its members")
            n = super().readinto(buffer)
            # Longer reads are of numbers: HDF5 reads a heap from its beginning, 4096 bytes first.
            if n and n <= _MOST_METADATA:
                self._check(place, n)
                self.seek(place + n)
        except BaseException as error:
            self.error = error
            raise
        return n

    def _check(self, place: int, n: int) -> None:
        # HDF5 may have read the first bytes of a heap in the read before.
        first = max(0, place - len(_HEAP) + 1)
        data = self.bytes_at(first, place + n - first)
        start = data.find(_HEAP)
        while start >= 0:
            if self._is_endless(first + start):
                raise OSError("a heap of its text does not end")
            start = data.find(_HEAP, start + 1)

    def _is_endless(self, place: int) -> bool:
        """Return whether HDF5 would never reach the end of a heap."""
        size = int.from_bytes(self.bytes_at(place + 8, 8), "little")
        if size > _MOST_HEAP:
            raise OSError(f"a heap of its texts has {size:,} bytes")
        heap = self.bytes_at(place, size)
        entry, unpack = _HEAD, _ENTRY.unpack_from
        while entry + _HEAD <= len(heap):
            number, length = unpack(heap, entry)
            # Entry 0 is the free space; its length includes its own head.
            step = length if number == 0 else _HEAD + (length + 7 & ~7)
            if not _HEAD <= step <= size - entry:
                return True
            entry += step
        return False
