"""Stored values of DICOM files: from the element PixelData to one unsigned word per value.

PS3.5, 8.1.1: a value is in the BitsStored bits up to HighBit, and nothing can be assumed of the
other bits. This module keeps the bits of the value.
"""

from __future__ import annotations

import dataclasses
import io
import itertools
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import uid
from pydicom.encaps import generate_fragments
from pydicom.pixels.decoders.base import get_decoder

from bottleneck.data.images.dicom import dicom_codecs
from bottleneck.data.images.dicom.dicom_elements import Elements
from bottleneck.data.images.size_limits import refuse_size
from bottleneck.errors import DecodeError

__all__ = ["SYNTAXES", "StoredFormat", "read_format", "read_words"]

# Each encoding always has the same decoder, whatever other packages are installed.
_NATIVE = (uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian)
_PYDICOM = {uid.RLELossless: "pydicom", uid.JPEG2000Lossless: "pillow", uid.JPEG2000: "pillow"}
SYNTAXES = (*_NATIVE, *_PYDICOM, *dicom_codecs.SYNTAXES)

# The first bytes of JPEG and JPEG-LS, and of JPEG 2000.
_STARTS = (b"\xff\xd8", b"\xff\x4f")
_COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
# In bytes, of any value, behind uncompressed pixels; more are of one value.
_MAX_PADDING = 64
_ADVICE = "save it as RGB with 8 bits"
_NATIVE_COLOURS = ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", *_COLOURS[:3])


@dataclasses.dataclass(frozen=True)
class StoredFormat:
    """How an image is stored (C.7.6.3).

    Attributes
    ----------
    rows, columns, samples : int
        Size in pixels, and values per pixel.
    allocated, bits, high_bit : int
        BitsAllocated, BitsStored and HighBit.
    is_signed : bool
        Whether values are in two's complement.
    colours : str
        PhotometricInterpretation.
    planar : int
        PlanarConfiguration.
    """

    rows: int
    columns: int
    samples: int
    allocated: int
    bits: int
    high_bit: int
    is_signed: bool
    colours: str
    planar: int

    def values(self) -> NDArray[np.int64]:
        """Return the value of each possible word, from word 0 on."""
        values = np.arange(1 << self.bits)
        if self.is_signed:
            values[1 << (self.bits - 1) :] -= 1 << self.bits
        return values


def read_format(elements: Elements, notes: list[str]) -> StoredFormat:
    """Return how an image is stored.

    Parameters
    ----------
    elements : Elements
        The header.
    notes : list of str
        Notes for the user are appended to it.

    Raises
    ------
    DecodeError
        If a required element is missing or not a number, or the image is not supported.
    """
    rows, columns = elements.whole("Rows"), elements.whole("Columns")
    if not rows or not columns:
        raise DecodeError(f"damaged image: its header states {columns}×{rows} pixels")
    refuse_size(columns, rows)
    samples = elements.whole("SamplesPerPixel")
    colours = elements.text("PhotometricInterpretation").upper()[:20]
    if not colours:
        raise DecodeError("the DICOM header has no PhotometricInterpretation")
    allocated = elements.whole("BitsAllocated")
    bits = elements.whole("BitsStored", 0)
    if "BitsStored" not in elements:
        bits = elements.whole("HighBit", allocated - 1) + 1
        notes.append(f"DICOM without BitsStored: read as {bits}")
    if not (1 <= bits <= allocated and allocated in (1, 8, 16)):
        raise DecodeError(
            f"{bits} of {allocated} bits per value: 1 to 16 are supported, in 1, 8 or 16 bits"
        )
    planar = elements.whole("PlanarConfiguration", 0)
    if planar > 1:
        raise DecodeError(f"PlanarConfiguration is {planar}, but the standard has only 0 and 1")
    representation = elements.whole("PixelRepresentation")
    if representation > 1:
        raise DecodeError(
            f"PixelRepresentation is {representation}, but the standard has only 0 and 1"
        )
    if representation and samples > 1:
        raise DecodeError(f"PixelRepresentation is 1, but colours have no sign: {_ADVICE}")
    return StoredFormat(
        rows=rows,
        columns=columns,
        samples=samples,
        allocated=allocated,
        bits=bits,
        high_bit=elements.whole("HighBit", bits - 1),
        is_signed=representation == 1,
        colours=colours,
        planar=planar,
    )


def read_words(
    elements: Elements, stored: StoredFormat, syntax: str, notes: list[str]
) -> tuple[NDArray[np.uint8 | np.uint16], str]:
    """Return the stored values of an image as words, and their photometric interpretation.

    Parameters
    ----------
    elements : Elements
        The header.
    stored : StoredFormat
        How the image is stored.
    syntax : str
        The UID of the transfer syntax.
    notes : list of str
        Notes for the user are appended to it.

    Returns
    -------
    ndarray of uint8 or uint16, shape (height, width) or (height, width, 3)
        The lowest BitsStored bits of each value; the others are 0.
    str
        The photometric interpretation.

    Raises
    ------
    DecodeError
        If the pixel data are damaged, or do not fit the header.
    """
    if stored.samples not in (1, 3):
        raise DecodeError(f"{stored.samples} samples per pixel: 1 and 3 are supported")
    data, vr, _ = elements.data("PixelData")
    is_native = syntax in _NATIVE
    if elements.is_encapsulated("PixelData") == is_native:
        raise DecodeError(
            "damaged image: its pixel data are "
            + ("compressed" if is_native else "not compressed")
            + f", and its transfer syntax is {uid.UID(syntax).name}"
        )
    try:
        if is_native:
            if stored.samples > 1 and "PlanarConfiguration" not in elements:
                notes.append("DICOM without PlanarConfiguration: read as 0, colour by pixel")
            pixels, colours = _read_native(data, vr, stored, syntax)
        else:
            pixels, colours = _read_compressed(data, stored, syntax, notes)
    except (DecodeError, MemoryError):
        raise
    # Damaged bytes may make the decoders raise any exception, in words that explain nothing.
    except Exception:  # noqa: BLE001
        name = uid.UID(syntax).name
        raise DecodeError(f"damaged image: its pixel data cannot be decoded as {name}") from None
    unsigned = pixels.view(f"{pixels.dtype.byteorder}u{pixels.itemsize}")
    is_shifted = is_native or syntax == uid.RLELossless
    return _keep_value(unsigned, stored, elements.has_embedded_overlay(), is_shifted), colours


def _read_native(data: bytes, vr: str, stored: StoredFormat, syntax: str) -> tuple[NDArray, str]:
    colours = stored.colours
    if colours not in _NATIVE_COLOURS:
        raise DecodeError(f"'{colours}' without compression is not supported: {_ADVICE}")
    n_values = stored.rows * stored.columns * stored.samples
    n_bytes = (n_values * stored.allocated + 7) // 8
    if colours == "YBR_FULL_422" and len(data) - n_bytes in (0, n_bytes % 2):
        colours = "YBR_FULL"  # It is not subsampled, whatever it is called.
    if colours == "YBR_FULL_422":
        if stored.columns % 2 or (stored.samples, stored.allocated, stored.planar) != (3, 8, 0):
            raise DecodeError(
                "YBR_FULL_422 needs 3 samples of 8 bits, PlanarConfiguration 0 and an even number "
                f"of columns: {_ADVICE}"
            )
        n_bytes = n_bytes // 3 * 2
    if len(data) < n_bytes:
        raise DecodeError(f"damaged image: {len(data):,} of {n_bytes:,} bytes of pixel data")
    surplus = data[n_bytes:]
    is_padding = len(surplus) <= _MAX_PADDING or not surplus.strip(surplus[-1:])
    if len(surplus) >= n_bytes or not is_padding:
        raise DecodeError(
            f"{len(data):,} bytes of pixel data, where the header describes {n_bytes:,}: there "
            "may be several frames, or values of another size"
        )
    data = data[: n_bytes + n_bytes % 2]
    if stored.allocated == 1 and vr == "OW" and syntax == uid.ExplicitVRBigEndian:
        data = np.frombuffer(data, "<u2").byteswap().tobytes()  # pydicom does so for 8 bits.
    pixels = _decode(data, stored, syntax, vr, colours)
    return pixels, "YBR_FULL" if colours == "YBR_FULL_422" else colours


def _read_compressed(
    data: bytes, stored: StoredFormat, syntax: str, notes: list[str]
) -> tuple[NDArray, str]:
    n_offsets = int.from_bytes(data[4:8], "little") // 4
    fragments = list(generate_fragments(data[8 + 4 * n_offsets :]))
    # A frame of RLE is one fragment, one of JPEG may be several (PS3.5, A.4).
    n_starts = sum(syntax == uid.RLELossless or f.startswith(_STARTS) for f in fragments)
    if max(n_offsets, n_starts) > 1:
        raise DecodeError(
            f"{max(n_offsets, n_starts)} frames in one file: save each frame as an image of its own"
        )
    frame = b"".join(fragments)
    if syntax in dicom_codecs.SYNTAXES:
        refuse_size(stored.columns, stored.rows, frame.count(b"\xff\xda"))
        shape = (stored.rows, stored.columns, *((3,) * (stored.samples == 3)))
        values, colours = dicom_codecs.decode_jpeg(frame, shape, stored.colours, notes)
        _refuse_lost_sign(values, dicom_codecs.find_precision(frame), stored)
        return values, colours
    if syntax == uid.RLELossless:
        _refuse_runs(frame, stored.columns * stored.rows)
        return _decode(data, stored, syntax), stored.colours
    _refuse_jpeg_2000(frame, stored)
    values = _decode(data, stored, syntax)
    if not frame[42] & 0x80:  # Otherwise the stream itself is signed (ISO/IEC 15444-1, A.5.1).
        _refuse_lost_sign(values, frame[42] + 1, stored)
    return values, _find_colours(frame, stored.colours)


def _refuse_lost_sign(values: NDArray, precision: int, stored: StoredFormat) -> None:
    """Raise an error if signed values may have their sign in the highest bit of a shorter stream.

    JPEG and JPEG-LS have no sign: the highest of 12 bits in 16 may be one, or a large value.
    """
    if stored.is_signed and precision < stored.bits and (values >> (precision - 1)).any():
        raise DecodeError(
            f"the DICOM header states signed values of {stored.bits} bits, the compressed stream "
            f"has {precision} bits, so the sign is unclear: save it as Explicit VR Little "
            "Endian"
        )


def _decode(
    data: bytes, stored: StoredFormat, syntax: str, vr: str = "OB", colours: str = ""
) -> NDArray:
    """Return the values that pydicom or its plugin for Pillow decodes."""
    is_jpeg_2000 = syntax in uid.JPEG2000TransferSyntaxes
    options: dict[str, Any] = {
        "rows": stored.rows,
        "columns": stored.columns,
        "samples_per_pixel": stored.samples,
        "bits_allocated": stored.allocated,
        "bits_stored": stored.bits,
        "pixel_representation": int(stored.is_signed) if is_jpeg_2000 else 0,
        "photometric_interpretation": colours or ("MONOCHROME2" if stored.samples == 1 else "RGB"),
        "planar_configuration": 0 if is_jpeg_2000 else stored.planar,
        "number_of_frames": 1,
        "pixel_keyword": "PixelData",
        "pixel_vr": vr,
        "correct_unused_bits": False,
        "view_only": True,  # Avoids a fourth copy of a large image.
    }
    plugin = _PYDICOM.get(uid.UID(syntax), "")
    decoder = get_decoder(syntax)
    return decoder.as_array(data, index=0, raw=True, decoding_plugin=plugin, **options)[0]


def _keep_value(
    words: NDArray, stored: StoredFormat, has_overlay: bool, is_shifted: bool
) -> NDArray[np.uint8 | np.uint16]:
    """Return words without the bits that do not belong to the value."""
    bits, shift = stored.bits, stored.high_bit + 1 - stored.bits
    if shift and is_shifted:
        is_possible = shift > 0 and stored.high_bit < stored.allocated
        if not is_possible or (words & ((1 << shift) - 1)).any():
            raise DecodeError(
                f"HighBit {stored.high_bit} with {bits} bits stored, where the standard requires "
                f"{bits - 1}: save it with its values in the lowest bits"
            )
        words = words >> shift
    container = 8 * words.itemsize
    if bits >= container:
        return words
    top = (1 << bits) - 1
    largest = int(words.max())
    if largest <= top:
        return words
    if not has_overlay:
        if not stored.is_signed:
            raise DecodeError(f"values of up to {largest}, but {bits} bits can hold {top}")
        # Either all zero, or copies of the sign.
        copies = (1 << (container - bits + 1)) - 1
        if ((words > top) & (words >> (bits - 1) != copies)).any():
            raise DecodeError(
                f"signed values of {bits} bits, with bits above them that are not their sign"
            )
    return words & np.array(top, words.dtype)


def _find_colours(frame: bytes, colours: str) -> str:
    """Return the colours of decoded JPEG 2000: RGB, if the stream has a colour transform.

    The transform is the fifth byte of the marker COD (ISO/IEC 15444-1, A.6.1). OpenJPEG reverses
    it. YBR_ICT and YBR_RCT are that transform: without it, the values are RGB.
    """
    at = 2
    while at + 4 <= len(frame) and frame[at] == 0xFF:
        if frame[at + 1] == 0x52 and len(frame) > at + 8:
            if frame[at + 8] and colours in _COLOURS:
                return "RGB"
            break
        at += 2 + int.from_bytes(frame[at + 2 : at + 4], "big")
    return "RGB" if colours in ("YBR_ICT", "YBR_RCT") else colours


def _refuse_jpeg_2000(frame: bytes, stored: StoredFormat) -> None:
    # PS3.5, 8.2.4. pydicom might otherwise search the boxes of a JP2 file endlessly.
    if not frame.startswith(b"\xff\x4f\xff\x51"):
        raise DecodeError("damaged image: not a JPEG 2000 codestream")
    with Image.open(io.BytesIO(frame), formats=["JPEG2000"]) as opened:
        if opened.size != (stored.columns, stored.rows):
            raise DecodeError(
                f"the DICOM header states {stored.columns}×{stored.rows} pixels, "
                f"the JPEG 2000 stream {opened.width}×{opened.height}"
            )
    n_components = int.from_bytes(frame[40:42], "big")  # ISO/IEC 15444-1, A.5.1.
    if n_components != stored.samples:
        raise DecodeError(
            f"the DICOM header states {stored.samples} samples per pixel, the JPEG 2000 stream "
            f"{n_components}"
        )
    sampling = {frame[43 + 3 * n : 45 + 3 * n] for n in range(n_components)}
    if sampling != {b"\1\1"}:
        raise DecodeError(f"JPEG 2000 with subsampled components is not supported: {_ADVICE}")
    if n_components > 1 and frame[42] & 0x7F >= 8:  # Pillow would return 8 bits of them.
        raise DecodeError(f"JPEG 2000 in colour with more than 8 bits is not supported: {_ADVICE}")


def _refuse_runs(frame: bytes, n_pixels: int) -> None:
    """Raise an error if an RLE segment does not have one byte per pixel (PS3.5, G.3 to G.5).

    pydicom expands each segment completely before it takes the bytes that it needs; a malicious
    segment grows a hundredfold.
    """
    if len(frame) < 64:
        raise DecodeError("damaged image: RLE without its header")
    n_segments, *starts = struct.unpack("<16I", frame[:64])
    for at, end in itertools.pairwise((*starts[:n_segments], len(frame))):
        n_bytes = 0
        while at < end and n_bytes <= n_pixels + 1:
            head = frame[at]
            if head < 128:  # head + 1 literal bytes follow.
                n_bytes += min(head + 1, end - at - 1)
                at += head + 2
            else:  # The next byte is repeated 257 − head times; 128 means nothing.
                n_bytes += 257 - head if head > 128 and at + 1 < end else 0
                at += 1 + (head > 128)
        # Some encoders pad the pixels, instead of the segment, to an even number of bytes.
        if not n_pixels <= n_bytes <= n_pixels + 1:
            decoded = "more" if n_bytes > n_pixels else f"{n_bytes:,}"
            raise DecodeError(
                f"the DICOM header states {n_pixels:,} pixels, an RLE segment has {decoded}"
            )
