"""The heaps in which HDF5 keeps text, checked as HDF5 reads them.

HDF5 believes what a file says of its texts: that a million rows share one long text, or that an
entry of a heap has no size, at which it walks on without end.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np

__all__ = ["WatchedFile", "measure_texts"]

# How a heap begins, and the size of its head and of each entry's (HDF5's format specification,
# III.E, the global heap).
_HEAP, _HEAD = b"GCOL\x01", 16
# What a row of text is: a length and an address.
_ROW = np.dtype([("length", "<u4"), ("address", "<u8"), ("index", "<u4")])
# In bytes, of text that any file may hold.
_SMALL = 16_777_216
# Bytes that HDF5 reads at once of anything but numbers.
_MOST_METADATA = 1_048_576
# Rows that are looked at together.
_ROWS = 65_536


def measure_texts(path: Path, file: h5py.File, member: h5py.Dataset) -> int | None:
    """Return the length of the longest text of a member in bytes.

    None where the texts are not as we write them, or take more memory than the file has bytes:
    numpy gives every row the width of the longest.
    """
    if len(member) == 0:
        return 0
    place, texts = member.id.get_offset(), len(member.dtype.names or "1")
    sizes = file.id.get_create_plist().get_sizes()
    is_text = member.dtype.names or h5py.check_string_dtype(member.dtype)
    if place is None or sizes[0] != 8 or not is_text:
        return None
    total = longest = 0
    with path.open("rb") as raw:
        raw.seek(place)
        for start in range(0, texts * len(member), _ROWS):
            n = min(_ROWS, texts * len(member) - start)
            lengths = np.frombuffer(raw.read(_ROW.itemsize * n), _ROW)["length"]
            total += int(lengths.sum(dtype=np.int64))
            longest = max(longest, int(lengths.max()))
    size = path.stat().st_size
    return None if total > size or longest * len(member) > max(size, _SMALL) else longest


class WatchedFile(io.FileIO):
    """A file for HDF5 to read, that does not let it into a heap without end.

    Heaps are checked as HDF5 comes to them, so that it does not matter what a file says of where
    they are, and none is looked at that is not read.

    Attributes
    ----------
    error : BaseException or None
        What ended a reading; HDF5 puts an error of its own in its place.
    """

    error: BaseException | None = None

    def readinto(self, buffer: Any, /) -> int | None:
        """Read, and refuse what contains an endless heap; OSError."""
        try:
            place = self.tell()
            n = super().readinto(buffer)
            # What is longer is numbers: HDF5 reads a heap from its beginning, 4096 bytes at first.
            if n and n <= _MOST_METADATA:
                self._check(place, n)
                self.seek(place + n)
        except BaseException as error:
            self.error = error
            raise
        return n

    def _check(self, place: int, n: int) -> None:
        # HDF5 may have the first bytes of it already, from the reading before.
        first = max(0, place - len(_HEAP) + 1)
        data = self._bytes(first, place + n - first)
        found = data.find(_HEAP)
        while found >= 0:
            if self._is_endless(first + found):
                raise OSError("a heap of its texts has no end")
            found = data.find(_HEAP, found + 1)

    def _is_endless(self, place: int) -> bool:
        """Walk through one heap as HDF5 does."""
        size = int.from_bytes(self._bytes(place + 8, 8), "little")
        heap = self._bytes(place, min(size, os.fstat(self.fileno()).st_size))
        entry = _HEAD
        while entry + _HEAD <= len(heap):
            number = int.from_bytes(heap[entry : entry + 2], "little")
            length = int.from_bytes(heap[entry + 8 : entry + 16], "little")
            # Entry 0 is the space that is left, and counts its own head.
            step = length if number == 0 else _HEAD + -(-length // 8) * 8
            if not _HEAD <= step <= size - entry:
                return True
            entry += step
        return False

    def _bytes(self, place: int, n: int) -> bytes:
        self.seek(place)
        return self.read(n)
