"""Messages about changed or damaged DICOM files have no words of Python or of a library."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

import numpy as np
import pytest
from made_dicom import WIDE
from pydicom import uid
from raw_dicom import (
    COLOUR,
    JPEG,
    PALETTE,
    PLAIN,
    TABLE,
    WINDOW,
    Raw,
    file_of,
    image,
    us,
)

from bottleneck.data.images.decode import decode
from bottleneck.errors import DecodeError

RNG = np.random.default_rng(3)
WORDS = re.compile(
    r"NoneType|object|unsupported operand|attribute|index out|reshape|invalid literal|Traceback|"
    r"could not convert|subscriptable|Errno|struct|unpack|dtype|ufunc|broadcast|<class|\bint\b|"
    r"float\(|Exception|Error|argument|iterable|bytes-like|buffer|exceptions|codec can"
)
ENHANCED: Raw = image(WIDE, 12) | {
    "SharedFunctionalGroupsSequence": (
        "SQ",
        [{"FrameVOILUTSequence": ("SQ", [WINDOW])}],
    )
}
PADDED: Raw = PLAIN | {
    "RescaleSlope": ("DS", b"2 "),
    "RescaleIntercept": ("DS", b"-10 "),
    "VOILUTFunction": ("CS", b"SIGMOID "),
    "PixelPaddingValue": us(0),
    "PixelPaddingRangeLimit": us(5),
    "PresentationLUTShape": ("CS", b"IDENTITY"),
    "PixelPresentation": ("CS", b"MONOCHROME"),
    "SOPClassUID": ("UI", b"1.2.3 "),
}
TABLES: Raw = image(WIDE, 12) | {
    "ModalityLUTSequence": ("SQ", [TABLE]),
    "VOILUTSequence": ("SQ", [TABLE]),
}
BASES = [
    (PADDED, uid.ExplicitVRLittleEndian),
    (TABLES, uid.ExplicitVRLittleEndian),
    (PALETTE, uid.ExplicitVRLittleEndian),
    (COLOUR, uid.ExplicitVRLittleEndian),
    (JPEG, uid.JPEGBaseline8Bit),
    (ENHANCED, uid.ExplicitVRLittleEndian),
]
VALUES = [
    b"",
    b"  ",
    b"\0\0",
    b"\1",
    b"abc ",
    b"1,5 ",
    b"1\\2\\3 ",
    b"\\5",
    b"-1",
    b"1e999 ",
    b"\xff\xff",
    b"\xff" * 6,
    b"9" * 200,
    bytes(range(256)),
    b"\xfe\xff\x00\xe0\xff\xff\xff\xff",
    [{}],
    [TABLE, {}],
]
VRS = ("US", "SS", "DS", "IS", "CS", "LO", "OB", "OW", "UN", "SQ", "FD", "FL", "UL")


def mutated() -> Iterator[bytes]:
    for (base, syntax), value, vr in itertools.product(BASES, VALUES, ("", *VRS)):
        for name, (own, content) in base.items():
            yield file_of(base | {name: (vr or own, value)}, syntax)
            if isinstance(content, list) and not vr:
                for inner in content[0]:
                    for kind in (content[0][inner][0], *VRS):
                        item = content[0] | {inner: (kind, value)}
                        yield file_of(base | {name: ("SQ", [item])}, syntax)


def reason(data: bytes) -> str:
    """Return why a file is refused; "" if it is not."""
    try:
        decode(data)
    except DecodeError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(("base", "syntax"), BASES)
def test_the_base_of_the_mutations_is_shown(base: Raw, syntax: str) -> None:
    assert decode(file_of(base, syntax)).size[0] >= 16


def test_no_message_has_words_of_python() -> None:
    for data in itertools.islice(mutated(), 0, None, 29):
        assert not WORDS.search(reason(data)), reason(data)


@pytest.mark.slow
def test_no_message_has_words_of_python_whatever_is_changed() -> None:
    for data in mutated():
        assert not WORDS.search(reason(data)), reason(data)


def test_no_message_has_words_of_python_if_bytes_are_damaged() -> None:
    for base, syntax in BASES:
        whole = np.frombuffer(file_of(base, syntax), np.uint8)
        n_header = min(whole.size, 900)
        for _ in range(60):
            data = whole.copy()
            at = RNG.integers(132, n_header, RNG.integers(1, 5))
            data[at] = RNG.integers(0, 256, at.size)
            for damaged in (data[: RNG.integers(140, data.size + 1)], data):
                assert not WORDS.search(reason(damaged.tobytes())), reason(damaged.tobytes())
