"""JPEG and JPEG-LS in DICOM files, decoded by imagecodecs as pydicom asks its plugins for it.

GDCM ends the whole process at some damaged streams, and the other plugins for lossless and 12-bit
JPEG are under the GPL. libjpeg-turbo and CharLS, which imagecodecs holds, are told beforehand how
many pixels may come.
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
# Markers that begin a frame: SOF0–15, of which three are others, and JPEG-LS's SOF55.
_FRAMES = ({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}) | {0xF7}


def is_available(syntax: str) -> bool:
    """Tell whether a transfer syntax is decoded here."""
    return syntax in SYNTAXES


def decode_frame(src: bytes, runner: DecodeRunner) -> bytes:
    """Decode one frame.

    Parameters
    ----------
    src : bytes
        A JPEG or JPEG-LS stream.
    runner : pydicom.pixels.decoders.base.DecodeRunner
        What the header says; it is told how the values lie.

    Returns
    -------
    bytes
        The stored values; in RGB where the stream says what its colours are.

    Raises
    ------
    Exception
        If the stream is damaged, or of another size than the header says.
    """
    src = src.rstrip(b"\0")  # Fragments are padded to even lengths.
    colours = (runner.samples_per_pixel,) if runner.samples_per_pixel > 1 else ()
    dtype = np.uint8 if _read_precision(src) <= 8 else np.uint16
    # imagecodecs compares it with the stream's header before it decodes.
    out = np.empty((runner.rows, runner.columns, *colours), dtype)
    if runner.transfer_syntax in uid.JPEGLSTransferSyntaxes:
        if not src.endswith(_END):  # CharLS would look for it without end.
            raise ValueError("the JPEG-LS stream is cut off")
        imagecodecs.jpegls_decode(src, out=out)
    elif not colours:
        imagecodecs.jpeg8_decode(src, out=out)
    elif _ADOBE in src:
        imagecodecs.jpeg8_decode(src, outcolorspace="RGB", out=out)
        runner.set_option("photometric_interpretation", "RGB")
    else:  # As they are: the header says what they are.
        imagecodecs.jpeg8_decode(src, colorspace="RGB", outcolorspace="RGB", out=out)
    runner.set_option("bits_allocated", 8 * out.itemsize)
    if colours:
        runner.set_option("planar_configuration", 0)
    return out.tobytes()


def _read_precision(src: bytes) -> int:
    """Return the bits of a value, from the header of the frame (ISO/IEC 10918-1, B.2.2)."""
    at = 2
    while src[at + 1] not in _FRAMES:
        if src[at] != 0xFF:
            raise ValueError("a JPEG stream without a header")
        at += 1 if src[at + 1] == 0xFF else 2 + int.from_bytes(src[at + 2 : at + 4], "big")
    return src[at + 4]


for _syntax in SYNTAXES:
    if NAME not in get_decoder(_syntax).available_plugins:
        get_decoder(_syntax).add_plugin(NAME, (__name__, "decode_frame"))
