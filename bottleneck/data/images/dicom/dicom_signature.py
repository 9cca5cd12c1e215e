"""Recognition of DICOM files, with and without the preamble and the file meta of PS3.10.

Old scanners and some exports write the elements of a DICOM file without what PS3.10 puts before
them. Such a file is recognised by its first two elements: the first has group 0002 or 0008, both
have a plausible length, and their tags ascend (PS3.5, 7.1).
"""

from __future__ import annotations

import struct

__all__ = ["SIGNATURE_BYTES", "find_encoding", "has_preamble", "is_dicom"]

# Enough of a file's beginning to recognise it.
SIGNATURE_BYTES = 4096

_FIRST_GROUPS = (0x0002, 0x0008)
_LAST_GROUP = 0x7FE0
_LONGEST = 4096  # Bytes of the first values: character sets, dates, UIDs.
_UNDEFINED = 0xFFFFFFFF
_SHORT_VRS = b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split()
_LONG_VRS = b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split()


def is_dicom(data: bytes) -> bool:
    """Return whether bytes begin like a DICOM file, with or without a preamble.

    Parameters
    ----------
    data : bytes
        The file, or its first ``SIGNATURE_BYTES``.

    Examples
    --------
    >>> is_dicom(bytes(128) + b"DICM")
    True
    >>> is_dicom(b"\\x89PNG\\r\\n\\x1a\\n" + bytes(200))
    False
    """
    return has_preamble(data) or find_encoding(data) is not None


def has_preamble(data: bytes) -> bool:
    """Return whether bytes have "DICM" after 128 others (PS3.10, 7.1)."""
    return data[128:132] == b"DICM"


def find_encoding(data: bytes) -> tuple[bool, bool] | None:
    """Return how the elements of a data set are encoded, from the first two of them.

    Parameters
    ----------
    data : bytes
        The beginning of the data set; its first element has group 0002 or 0008.

    Returns
    -------
    tuple of bool or None
        Whether VRs are implicit, and whether the byte order is little-endian; None if the bytes do
        not begin like a data set.
    """
    for implicit, little in ((False, True), (True, True), (False, False)):
        first = _read_element(data, 0, implicit, little)
        if first is None or first[0] >> 16 not in _FIRST_GROUPS:
            continue
        second = _read_element(data, first[1], implicit, little)
        if second is not None and first[0] < second[0] and second[0] >> 16 <= _LAST_GROUP:
            return implicit, little
    return None


def _read_element(data: bytes, at: int, implicit: bool, little: bool) -> tuple[int, int] | None:
    """Return the tag of an element and where the next begins; None if it is not plausible."""
    order = "<" if little else ">"
    if len(data) < at + 8:
        return None
    group, element = struct.unpack_from(order + "HH", data, at)
    vr = data[at + 4 : at + 6]
    if implicit:
        start, length = at + 8, struct.unpack_from(order + "I", data, at + 4)[0]
    elif vr in _SHORT_VRS:
        start, length = at + 8, struct.unpack_from(order + "H", data, at + 6)[0]
    elif vr in _LONG_VRS and data[at + 6 : at + 8] == b"\0\0" and len(data) >= at + 12:
        start, length = at + 12, struct.unpack_from(order + "I", data, at + 8)[0]
    else:
        return None
    if length == _UNDEFINED and (implicit or vr in (b"SQ", b"UN")):  # A sequence; items follow.
        length = 0
        if data[start : start + 4] != struct.pack(order + "HH", 0xFFFE, 0xE000):
            return None
    if length % 2 or length > _LONGEST:
        return None
    return group << 16 | element, start + length
