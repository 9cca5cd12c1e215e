"""DICOM files of chosen elements, valid or not."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from made_dicom import RAMP, WIDE, encoded
from PIL import Image
from pydicom import uid
from pydicom.datadict import tag_for_keyword
from pydicom.encaps import encapsulate

# Explicit VR Little Endian, written byte by byte: pydicom would not write what is not valid.
Raw = dict[str, tuple[str, Any]]


def element(name: str, vr: str, value: Any) -> bytes:
    tag = tag_for_keyword(name)
    assert tag is not None
    if isinstance(value, list):  # Items of a sequence.
        value = b"".join(
            struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item for item in map(elements, value)
        )
    length = len(value)
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr.encode()
    if vr in ("OB", "OW", "SQ", "UN", "UT"):
        undefined = name == "PixelData" and value[:4] == b"\xfe\xff\x00\xe0"
        head += struct.pack("<HI", 0, 0xFFFFFFFF if undefined else length)
        return head + value + (b"\xfe\xff\xdd\xe0\0\0\0\0" if undefined else b"")
    return head + struct.pack("<H", length) + value


def elements(made: Raw) -> bytes:
    return b"".join(
        element(name, *made[name]) for name in sorted(made, key=lambda n: tag_for_keyword(n) or 0)
    )


def file_of(made: Raw, syntax: str = uid.ExplicitVRLittleEndian) -> bytes:
    coded = syntax.encode() + b"\0" * (len(syntax) % 2)
    return bytes(128) + b"DICM" + element("TransferSyntaxUID", "UI", coded) + elements(made)


def us(*values: int) -> tuple[str, bytes]:
    return "US", np.array(values, "<u2").tobytes()


def image(pixels: np.ndarray, bits: int = 0, colours: str = "MONOCHROME2") -> Raw:
    return {
        "SamplesPerPixel": us(1),
        "PhotometricInterpretation": ("CS", colours.encode() + b" " * (len(colours) % 2)),
        "NumberOfFrames": ("IS", b"1 "),
        "Rows": us(pixels.shape[0]),
        "Columns": us(pixels.shape[1]),
        "BitsAllocated": us(8 * pixels.itemsize),
        "BitsStored": us(bits or 8 * pixels.itemsize),
        "HighBit": us((bits or 8 * pixels.itemsize) - 1),
        "PixelRepresentation": us(0),
        "PixelData": ("OW", pixels.tobytes()),
    }


TABLE: Raw = {
    "LUTDescriptor": us(4096, 0, 12),
    "LUTData": ("OW", np.arange(4096, dtype="<u2").tobytes()),
}
WINDOW: Raw = {"WindowCenter": ("DS", b"2048"), "WindowWidth": ("DS", b"4096")}
PLAIN = image(WIDE, 12) | WINDOW
PALETTE: Raw = image(RAMP, colours="PALETTE COLOR") | {
    f"{colour}PaletteColorLookupTable{what}": value
    for colour in ("Red", "Green", "Blue")
    for what, value in (
        ("Descriptor", us(256, 0, 8)),
        ("Data", ("OW", np.arange(256, dtype=np.uint8).tobytes())),
    )
}
COLOURS = np.stack([RAMP, RAMP.T, 255 - RAMP], -1)
JPEG: Raw = image(RAMP, colours="YBR_FULL_422") | {
    "SamplesPerPixel": us(3),
    "PlanarConfiguration": us(0),
    "PixelData": ("OB", encapsulate([encoded(Image.fromarray(COLOURS), "JPEG")])),
}
COLOUR: Raw = image(RAMP, colours="RGB") | {
    "SamplesPerPixel": us(3),
    "PlanarConfiguration": us(0),
    "PixelData": ("OB", COLOURS.tobytes()),
}
