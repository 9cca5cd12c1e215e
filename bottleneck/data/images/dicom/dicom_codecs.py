"""Decoding of JPEG and JPEG-LS streams in DICOM files with imagecodecs, and their colours.

Some damaged streams make GDCM end the whole process, and other decoders of lossless and 12-bit
JPEG are under the GPL. libjpeg-turbo and CharLS, which imagecodecs contains, are given the expected
number of pixels before they decode.
"""

from __future__ import annotations

import dataclasses

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import uid

from bottleneck.errors import DecodeError

__all__ = ["SYNTAXES", "decode_jpeg", "find_precision"]

SYNTAXES = (
    uid.JPEGBaseline8Bit,
    uid.JPEGExtended12Bit,
    uid.JPEGLossless,
    uid.JPEGLosslessSV1,
    uid.JPEGLSLossless,
    uid.JPEGLSNearLossless,
)

_END = b"\xff\xd9"
# Markers that begin a frame: SOF0–15 without DHT, JPG and DAC, and SOF55 of JPEG-LS.
_FRAMES = ({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}) | {0xF7}
_LOSSLESS = (0xC3, 0xC7, 0xCB, 0xCF)
_JPEG_LS = 0xF7
_SCAN = 0xDA
_RGB_IDS = (b"RGB", b"rgb")


@dataclasses.dataclass(frozen=True)
class StreamHeader:
    """What the markers of a JPEG or JPEG-LS stream state before its first scan.

    Attributes
    ----------
    process : int
        The marker that begins the frame: 0xC0 to 0xCF (JPEG), 0xF7 (JPEG-LS).
    precision : int
        Bits per value.
    height, width : int
        Size in pixels.
    ids : bytes
        The identifiers of the components, one byte each.
    is_subsampled : bool
        Whether the components differ in their sampling factors.
    is_jfif : bool
        Whether there is a JFIF marker, by which the colours are YCbCr.
    adobe : int or None
        The transform of an Adobe marker: 0 is RGB, 1 is YCbCr.
    is_planar : bool
        Whether the first scan has fewer components than the frame.
    """

    process: int
    precision: int
    height: int
    width: int
    ids: bytes
    is_subsampled: bool
    is_jfif: bool
    adobe: int | None
    is_planar: bool


def decode_jpeg(
    frame: bytes, shape: tuple[int, ...], colours: str, notes: list[str]
) -> tuple[NDArray, str]:
    """Return the decoded values of a JPEG or JPEG-LS stream, and their colour space.

    Of three components, the colours are decided by the first of these that applies:

    1. A lossless stream has the colours that the DICOM header states.
    2. Components that are subsampled are YCbCr, since nobody subsamples RGB.
    3. A JFIF marker means YCbCr. An Adobe marker states RGB or YCbCr.
    4. Components that are called R, G and B are RGB.
    5. Otherwise, they are what the DICOM header states, with a note if that is RGB.

    Parameters
    ----------
    frame : bytes
        The stream.
    shape : tuple of int
        Height and width, and 3 if there are three components, as the DICOM header states.
    colours : str
        The photometric interpretation that the DICOM header states.
    notes : list of str
        Notes for the user are appended to it.

    Returns
    -------
    ndarray of uint8 or uint16
        The values; lossy YCbCr is converted to RGB.
    str
        The photometric interpretation of the values.

    Raises
    ------
    DecodeError
        If the stream differs in size from the DICOM header, or is cut off.
    """
    frame = frame.rstrip(b"\0")  # Fragments are padded to an even length.
    stream = _read_header(frame)
    stated = (stream.height, stream.width, *((len(stream.ids),) * (len(stream.ids) > 1)))
    if stated != shape:
        raise DecodeError(
            f"the DICOM header states {_size(shape)}, the JPEG stream {_size(stated)}"
        )
    # imagecodecs compares the shape with the stream's header before it decodes.
    out = np.empty(shape, np.uint8 if stream.precision <= 8 else np.uint16)
    if stream.process == _JPEG_LS:
        if not frame.endswith(_END):  # CharLS would search for the end marker endlessly.
            raise DecodeError("damaged image: the JPEG-LS stream is cut off")
        if stream.is_planar and len(shape) == 3:
            out = np.empty((shape[2], *shape[:2]), out.dtype)
            imagecodecs.jpegls_decode(frame, out=out)
            return np.ascontiguousarray(out.transpose(1, 2, 0)), colours
        return imagecodecs.jpegls_decode(frame, out=out), colours
    if len(shape) == 2:
        return imagecodecs.jpeg8_decode(frame, out=out), colours
    space = _find_colours(stream, colours, notes)
    if space == "YCBCR":
        imagecodecs.jpeg8_decode(frame, colorspace="YCBCR", outcolorspace="RGB", out=out)
        return out, "RGB"
    imagecodecs.jpeg8_decode(frame, colorspace="RGB", outcolorspace="RGB", out=out)
    return out, "RGB" if space == "RGB" else colours


def find_precision(frame: bytes) -> int:
    """Return how many bits per value a JPEG or JPEG-LS stream states."""
    return _read_header(frame).precision


def _find_colours(stream: StreamHeader, colours: str, notes: list[str]) -> str:
    """Return "YCBCR" or "RGB", or "" for values that are as the DICOM header states."""
    if stream.process in _LOSSLESS:
        return ""
    if stream.is_subsampled or stream.is_jfif:
        return "YCBCR"
    if stream.adobe is not None:
        return "YCBCR" if stream.adobe else "RGB"
    if stream.ids in _RGB_IDS:
        return "RGB"
    if colours == "RGB":
        notes.append(
            "JPEG without colour markers and without subsampling: read as RGB, as its header states"
        )
        return "RGB"
    return "YCBCR" if colours in ("YBR_FULL", "YBR_FULL_422") else ""


def _size(shape: tuple[int, ...]) -> str:
    samples = shape[2] if len(shape) > 2 else 1
    return f"{shape[1]}×{shape[0]} pixels of {samples} sample{'s' * (samples > 1)}"


def _read_header(frame: bytes) -> StreamHeader:
    """Return what precedes the first scan (ISO/IEC 10918-1, B.2; JFIF; Adobe's note 5116)."""
    if not frame.startswith(b"\xff\xd8"):
        raise DecodeError("damaged image: the pixel data are not a JPEG stream")
    at, is_jfif, adobe = 2, False, None
    found: tuple[int, bytes] | None = None
    while at + 4 <= len(frame) and frame[at] == 0xFF:
        marker = frame[at + 1]
        if marker == 0xFF:  # Fill byte.
            at += 1
            continue
        content = frame[at + 4 : at + 2 + int.from_bytes(frame[at + 2 : at + 4], "big")]
        at += 4 + len(content)
        if marker == 0xE0 and content.startswith(b"JFIF"):
            is_jfif = True
        elif marker == 0xEE and content.startswith(b"Adobe") and len(content) >= 12:
            adobe = content[11]
        elif marker in _FRAMES:
            found = marker, content
        elif marker == _SCAN and found and content:
            return _parse_frame(*found, is_jfif, adobe, n_in_scan=content[0])
    raise DecodeError("damaged image: a JPEG stream without a frame header")


def _parse_frame(
    process: int, content: bytes, is_jfif: bool, adobe: int | None, n_in_scan: int
) -> StreamHeader:
    components = [content[6 + 3 * n : 9 + 3 * n] for n in range(content[5] if content[5:] else 0)]
    if not components or len(components[-1]) < 3:
        raise DecodeError("damaged image: a JPEG stream without a frame header")
    return StreamHeader(
        process=process,
        precision=content[0],
        height=int.from_bytes(content[1:3], "big"),
        width=int.from_bytes(content[3:5], "big"),
        ids=bytes(component[0] for component in components),
        is_subsampled=len({component[1] for component in components}) > 1,
        is_jfif=is_jfif,
        adobe=adobe,
        is_planar=n_in_scan < len(components),
    )
