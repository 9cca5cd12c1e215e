"""The heaps in which HDF5 keeps text, checked before HDF5 reads them.

HDF5 believes what a file says of its texts: that a million rows share one long text, or that an
entry of a heap has no size, at which it walks on without end.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable
from pathlib import Path

import h5py
import numpy as np

__all__ = ["find_endless_heap", "measure_texts"]

# How a heap begins, and the size of its head and of each entry's (HDF5's format specification,
# III.E, the global heap).
_HEAP, _HEAD = b"GCOL\x01", 16
# What a row of text is: a length and an address.
_ROW = np.dtype([("length", "<u4"), ("address", "<u8"), ("index", "<u4")])
# In bytes, of text that any file may hold.
_SMALL = 16_777_216
# Bytes, or rows, that are looked at together.
_STEP = 8_388_608
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


def find_endless_heap(path: Path, numbers: Iterable[h5py.Dataset]) -> bool:
    """Tell whether HDF5 would walk through a heap without end.

    Parameters
    ----------
    path : Path
        Of the file.
    numbers : iterable of h5py.Dataset
        Large members that hold no text, and are passed over.
    """
    start, gaps = 0, []
    for offset, nbytes in sorted((m.id.get_offset() or 0, m.nbytes) for m in numbers):
        gaps.append((start, offset))
        start = max(start, offset + nbytes)
    with path.open("rb") as raw, mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return any(_is_endless(data, begin, end) for begin, end in (*gaps, (start, len(data))))


def _is_endless(data: mmap.mmap, begin: int, end: int) -> bool:
    for first in range(begin, end, _STEP):
        last = min(first + _STEP, end)
        place = data.find(_HEAP, first, min(last + len(_HEAP) - 1, end))
        while place >= 0:
            if not _ends(data, place):
                return True
            place = data.find(_HEAP, place + 1, min(last + len(_HEAP) - 1, end))
        if hasattr(data, "madvise"):
            # What has been looked at need not stay in memory.
            data.madvise(mmap.MADV_DONTNEED)
    return False


def _ends(data: mmap.mmap, place: int) -> bool:
    """Walk through one heap as HDF5 does."""
    stop = place + int.from_bytes(data[place + 8 : place + 16], "little")
    entry = place + _HEAD
    while entry + _HEAD <= min(stop, len(data)):
        number = int.from_bytes(data[entry : entry + 2], "little")
        size = int.from_bytes(data[entry + 8 : entry + 16], "little")
        # Entry 0 is the space that is left, and counts its own head.
        step = size if number == 0 else _HEAD + -(-size // 8) * 8
        if not _HEAD <= step <= stop - entry:
            return False
        entry += step
    return True
