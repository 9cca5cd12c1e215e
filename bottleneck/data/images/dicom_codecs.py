"""A pydicom plugin that decodes JPEG and JPEG-LS in DICOM files with imagecodecs.

Some damaged streams make GDCM end the whole process, and other plugins for lossless and 12-bit
JPEG are under the GPL. libjpeg-turbo and CharLS, which imagecodecs contains, are given the expected
number of pixels before they decode.
"""

from __future__ import annotations

import imagecodecs
import numpy as np
from pydicom import uid
from pydicom.pixels.decoders.base import DecodeRunner, get_decoder

__all__ = ["DECODER_DEPENDENCIES", "NAME", "SYNTAXES", "decode_frame", "is_available"]

NAME = "imagecodecs"
SYNTAXES = (
    uid.JPEGBaseline8Bit,
    uid.JPEGExtended12Bit,
    uid.JPEGLossless,
    uid.JPEGLosslessSV1,
    uid.JPEGLSLossless,
    uid.JPEGLSNearLossless,
)
DECODER_DEPENDENCIES = dict.fromkeys(SYNTAXES, ("imagecodecs",))

_ADOBE = b"\xff\xee\x00\x0eAdobe"
_END = b"\xff\xd9"
# Markers that begin a frame: SOF0–15 without DHT, JPG and DAC, and SOF55 of JPEG-LS.
_FRAMES = ({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}) | {0xF7}


def is_available(syntax: str) -> bool:
    """Return whether this plugin decodes a transfer syntax."""
    return syntax in SYNTAXES


def decode_frame(src: bytes, runner: DecodeRunner) -> bytes:
    """Return the decoded values of one frame.

    Parameters
    ----------
    src : bytes
        A JPEG or JPEG-LS stream.
    runner : pydicom.pixels.decoders.base.DecodeRunner
        The facts from the DICOM header; options of the result are set on it.

    Returns
    -------
    bytes
        The stored values; colours are converted to RGB if the stream declares its colour space.

    Raises
    ------
    Exception
        If the stream is damaged, or differs in size from the DICOM header.
    """
    src = src.rstrip(b"\0")  # Fragments are padded to an even length.
    colours = (runner.samples_per_pixel,) if runner.samples_per_pixel > 1 else ()
    dtype = np.uint8 if _read_precision(src) <= 8 else np.uint16
    # imagecodecs compares the shape with the stream's header before it decodes.
    out = np.empty((runner.rows, runner.columns, *colours), dtype)
    if runner.transfer_syntax in uid.JPEGLSTransferSyntaxes:
        if not src.endswith(_END):  # CharLS would search for the end marker endlessly.
            raise ValueError("the JPEG-LS stream is cut off")
        imagecodecs.jpegls_decode(src, out=out)
    elif not colours:
        imagecodecs.jpeg8_decode(src, out=out)
    elif _ADOBE in src:
        imagecodecs.jpeg8_decode(src, outcolorspace="RGB", out=out)
        runner.set_option("photometric_interpretation", "RGB")
    else:  # Unconverted: the DICOM header states the colour space.
        imagecodecs.jpeg8_decode(src, colorspace="RGB", outcolorspace="RGB", out=out)
    runner.set_option("bits_allocated", 8 * out.itemsize)
    if colours:
        runner.set_option("planar_configuration", 0)
    return out.tobytes()


def _read_precision(src: bytes) -> int:
    """Return the number of bits per value from the frame header (ISO/IEC 10918-1, B.2.2)."""
    at = 2
    while src[at + 1] not in _FRAMES:
        if src[at] != 0xFF:
            raise ValueError("a JPEG stream without a frame header")
        at += 1 if src[at + 1] == 0xFF else 2 + int.from_bytes(src[at + 2 : at + 4], "big")
    return src[at + 4]


for _syntax in SYNTAXES:
    if NAME not in get_decoder(_syntax).available_plugins:
        get_decoder(_syntax).add_plugin(NAME, (__name__, "decode_frame"))
