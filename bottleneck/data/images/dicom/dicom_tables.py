"""Lookup tables of DICOM files, by the words of PS3.3 (C.7.6.3.1.5, C.7.9.2, C.11.1.1, C.11.2.1.1).

- The first value of a descriptor counts the entries; 0 means 65,536. The second is the value of the
  first entry. The third is the number of bits of an entry.
- Values below the first entry have the first, values above the last entry have the last.
- Entries of up to 8 bits are bytes, two in a word, or one in the lower half of each word. In
  big-endian files, words are swapped, except those of VR OB.
- Segmented palettes are expanded.

Tables that contradict their descriptors are read where only one reading is possible, with a note:

- Entries of 16 bits where 8 are declared are scaled by 16 bits. Other entries that exceed the
  declared bits are refused.
- If a table, scaled by its declared bits, could only show an image that ``refuse_faint`` refuses,
  the declared bits are wrong: some devices declare 16 bits for entries of 12. The table is scaled
  by the bits that its largest entry needs, at least 8.
- The first value is signed or unsigned as the standard requires. If the table then lies outside all
  possible values, and does not with the other sign, it has the other sign.
"""

from __future__ import annotations

import dataclasses
import struct

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.images.dicom.dicom_elements import Elements
from bottleneck.data.images.display import FAINT
from bottleneck.errors import DecodeError

__all__ = ["LookupTable", "find_depth", "read_palette", "read_table"]

_MAX_ENTRIES = 1 << 16
_COLOURS = ("Red", "Green", "Blue")


@dataclasses.dataclass(frozen=True)
class LookupTable:
    """A lookup table.

    Attributes
    ----------
    entries : ndarray of uint16, shape (n_entries,)
        The values that the table returns.
    first : int
        The value to which the first entry belongs.
    bits : int
        The number of bits of an entry, as declared.
    """

    entries: NDArray[np.uint16]
    first: int
    bits: int

    def look_up(self, values: NDArray) -> NDArray[np.uint16]:
        """Return the entries of values; fractions are rounded."""
        positions = np.clip(np.rint(values) - self.first, 0, len(self.entries) - 1)
        return self.entries[positions.astype(np.intp)]


def read_table(item: Elements, signed: bool, values: NDArray, notes: list[str]) -> LookupTable:
    """Return the table in an item of a Modality or VOI LUT Sequence.

    Parameters
    ----------
    item : Elements
        The item, with LUTDescriptor and LUTData.
    signed : bool
        Whether the value of the first entry is signed, by the standard.
    values : ndarray, shape (n_values,)
        All values that may be looked up.
    notes : list of str
        Notes for the user are appended to it.

    Raises
    ------
    DecodeError
        If the table contradicts its descriptor.
    """
    return _read("LUTDescriptor", "LUTData", item, signed, values, notes)


def read_palette(
    elements: Elements, signed: bool, values: NDArray, notes: list[str]
) -> list[LookupTable]:
    """Return the tables for red, green and blue of a palette; parameters as in ``read_table``."""
    return [
        _read(
            f"{colour}PaletteColorLookupTableDescriptor",
            f"{colour}PaletteColorLookupTableData",
            elements,
            signed,
            values,
            notes,
        )
        for colour in _COLOURS
    ]


def find_depth(tables: list[LookupTable], notes: list[str]) -> int:
    """Return by how many bits the entries of tables are scaled (see the module's description)."""
    declared = max(max(table.bits for table in tables), 8)
    largest = max(int(table.entries.max()) for table in tables)
    span = max(int(np.ptp(table.entries)) for table in tables)
    needed = max(largest.bit_length(), 8)
    depth = declared
    if needed > declared == 8:
        depth = 16
    elif needed > declared:
        raise DecodeError(
            f"a lookup table with entries of up to {largest}, and {declared} bits can hold "
            f"{(1 << declared) - 1}"
        )
    elif span * 255 <= FAINT * ((1 << declared) - 1):
        depth = needed
    if depth != declared:
        _note(
            f"a lookup table declares {declared} bits, its largest entry needs {needed}: scaled by "
            f"{depth} bits",
            notes,
        )
    return depth


def _note(note: str, notes: list[str]) -> None:
    if note not in notes:
        notes.append(note)


def _read(
    descriptor: str,
    data: str,
    elements: Elements,
    signed: bool,
    values: NDArray,
    notes: list[str],
) -> LookupTable:
    numbers = elements.words(descriptor, signed=False)
    if not numbers:
        raise DecodeError(f"the DICOM header has no {descriptor}")
    if len(numbers) != 3:
        raise DecodeError(f"{descriptor} has {len(numbers)} values, and a table needs 3")
    n_entries, first, bits = numbers
    n_entries = n_entries or _MAX_ENTRIES
    if not (1 <= bits <= 16 and 1 <= n_entries <= _MAX_ENTRIES):
        raise DecodeError(f"{descriptor} is {n_entries}, {first}, {bits}: not a table of 1–16 bits")
    segmented = f"Segmented{data}"
    if "Palette" in data and segmented in elements:
        entries = _expand(_segments(segmented, elements, bits), n_entries)
    else:
        entries = _unpack(data, elements, n_entries, bits)
    return LookupTable(entries, _place(first, n_entries, signed, values, notes), bits)


def _place(first: int, n_entries: int, signed: bool, values: NDArray, notes: list[str]) -> int:
    """Return the value of the first entry, by which the sign of its 16 bits is decided."""
    both = [first if first < 0 else first % _MAX_ENTRIES]
    if first >= _MAX_ENTRIES // 2:
        both.append(first - _MAX_ENTRIES)
    chosen, other = (both[-1], both[0]) if signed else (both[0], both[-1])
    low, high = values.min(), values.max()
    if _overlaps(chosen, n_entries, low, high) or not _overlaps(other, n_entries, low, high):
        return chosen
    _note(f"a lookup table from {chosen} on, where no value can be: taken as {other}", notes)
    return other


def _overlaps(first: int, n_entries: int, low: float, high: float) -> bool:
    return bool(first <= high and low <= first + n_entries - 1)


def _unpack(name: str, elements: Elements, n_entries: int, bits: int) -> NDArray[np.uint16]:
    data, vr, little = elements.data(name)
    if len(data) in (n_entries, n_entries + n_entries % 2):  # Bytes.
        return _bytes(data, vr, little)[:n_entries].astype(np.uint16)
    is_exact = len(data) == 2 * n_entries
    if is_exact or (bits > 8 and len(data) > 2 * n_entries):  # Words.
        words = np.frombuffer(data[: 2 * n_entries], "<u2" if little else ">u2")
        return words.astype(np.uint16)
    raise DecodeError(
        f"{name} has {len(data):,} bytes, which are not the {n_entries:,} entries of {bits} bits "
        "that its descriptor states"
    )


def _bytes(data: bytes, vr: str, little: bool) -> NDArray[np.uint8]:
    """Return the bytes of an element in their order; words of big-endian files are swapped."""
    if little or vr in ("OB", "UN"):
        return np.frombuffer(data, np.uint8)
    return np.frombuffer(data + bytes(len(data) % 2), "<u2").byteswap().view(np.uint8)


def _segments(name: str, elements: Elements, bits: int) -> NDArray:
    data, vr, little = elements.data(name)
    if bits <= 8:
        return _bytes(data, vr, little)
    return np.frombuffer(data[: len(data) // 2 * 2], "<u2" if little else ">u2")


def _expand(segments: NDArray, n_entries: int) -> NDArray[np.uint16]:
    """Return the entries of a segmented palette (C.7.9.2)."""
    entries: list[int] = []
    _append_segments(segments, 0, None, entries, n_entries)
    if len(entries) < n_entries:
        raise DecodeError(
            f"a segmented palette of {len(entries)} entries, where its descriptor states "
            f"{n_entries}"
        )
    return np.array(entries[:n_entries], np.uint16)


def _append_segments(
    segments: NDArray, at: int, n_segments: int | None, entries: list[int], n_entries: int
) -> None:
    """Append the entries of segments, from a position on: all, or a number of them."""
    n_read = 0
    while at + 2 < len(segments) and len(entries) < n_entries and n_read != n_segments:
        kind, length = int(segments[at]), int(segments[at + 1])
        n_read += 1
        if kind == 0:  # Discrete.
            entries.extend(segments[at + 2 : at + 2 + length].tolist())
            at += 2 + length
        elif kind == 1 and entries:  # Linear, from the entry before it.
            line = np.linspace(entries[-1], int(segments[at + 2]), length + 1)[1:]
            entries.extend(np.rint(line).astype(int).tolist())
            at += 3
        elif kind == 2 and n_segments is None:  # Indirect: segments that stand at an offset.
            width = 4 // segments.itemsize
            offset = segments[at + 2 : at + 2 + width]
            if len(offset) < width:
                break
            (start,) = struct.unpack("<I", offset.astype(f"<u{segments.itemsize}").tobytes())
            start //= segments.itemsize  # The offset counts bytes.
            _append_segments(segments, start, length, entries, n_entries)
            at += 2 + width
        else:
            raise DecodeError("a segmented palette with a segment that is not valid here")
