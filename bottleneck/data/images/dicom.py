"""Pixels of DICOM files, displayed as their headers specify (needs the extra ``medical``).

This policy adds to that of ``bottleneck.data.images.decode``; sections refer to DICOM PS3.3:

- The modality LUT, or rescale slope and intercept, converts stored values to measured values
  (C.11.1). The first VOI LUT, or else the first window (LINEAR, LINEAR_EXACT or SIGMOID), converts
  these to grey levels (C.11.2). MONOCHROME1 is inverted (C.7.6.3.1.2). The result has 8 bits.
- Without a VOI LUT and a window, the range that BitsStored and PixelRepresentation declare is
  scaled to 0–255; 8-bit values are unchanged. An image with more bits that uses less than a
  sixteenth of this range would become a uniform grey; it is refused, because its true range is
  unknown. Padding (PixelPaddingValue, PixelPaddingRangeLimit, C.7.5.1.1.2) is displayed like any
  other value, but does not count as used, since it is not a measurement.
- Palettes are looked up (C.7.6.3.1.5); YBR_FULL and YBR_FULL_422 become RGB (C.7.6.3.1.2).
- Pixels may be uncompressed, RLE, JPEG (8 and 12 bits, lossless), JPEG-LS or JPEG 2000. Each
  encoding always has the same decoder, whatever other packages are installed.
- Refused are files with several frames or without pixels, more than 16 bits, floating point,
  segmented palettes, other transfer syntaxes, a HighBit other than BitsStored − 1 (C.7.6.3.1),
  and sizes that ``bottleneck.data.images.size_limits`` refuses, before a pixel is decoded.
  Overlays, shutters and presentation states are not applied.
"""

from __future__ import annotations

import io
import itertools
import struct
import warnings
from importlib import metadata
from typing import BinaryIO

from numpy.typing import NDArray
from PIL import Image

from bottleneck.data.images.display import Display
from bottleneck.data.images.size_limits import refuse_size
from bottleneck.errors import DecodeError, MissingExtraError

try:
    import imagecodecs  # noqa: F401  # Used by dicom_codecs; imported here for the message.
    from pydicom import Dataset, dcmread, uid
    from pydicom.encaps import get_frame
    from pydicom.filereader import read_dataset
    from pydicom.multival import MultiValue
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.tag import BaseTag
except ImportError as error:
    raise MissingExtraError(
        f"the data set contains DICOM files, and a package that reads them is missing ({error}). "
        "Install it with\n  pip install 'bottleneck-features[medical]'"
    ) from None

from bottleneck.data.images import dicom_codecs
from bottleneck.data.images.dicom_windowing import render

__all__ = ["CODEC", "read_image", "read_patient"]

# The decoders, with versions: another version may decode the same bytes to other pixels.
CODEC = "-".join(f"{name}-{metadata.version(name)}" for name in ("pydicom", "imagecodecs"))

_DECODERS = {
    uid.ImplicitVRLittleEndian: "",
    uid.ExplicitVRLittleEndian: "",
    uid.ExplicitVRBigEndian: "",
    uid.RLELossless: "pydicom",
    uid.JPEG2000Lossless: "pillow",
    uid.JPEG2000: "pillow",
    **dict.fromkeys(dicom_codecs.SYNTAXES, dicom_codecs.NAME),
}
_PIXEL_ELEMENTS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_PATIENT_ID = 0x00100020
# pydicom warns about irregular files that it can read. Unreadable ones are listed as failures.
warnings.filterwarnings("ignore", module=r"pydicom\.")


def read_image(data: bytes, display: Display, notes: list[str]) -> Image.Image:
    """Return the image in a DICOM file, under the policy of this module.

    Parameters
    ----------
    data : bytes
        The content of the file.
    display : Display
        How values of more than 8 bits become levels, if not as the file states.
    notes : list of str
        Notes for the user are appended to it.

    Returns
    -------
    PIL.Image.Image
        An image in mode RGB.

    Raises
    ------
    DecodeError
        If the policy refuses the file. A damaged file may raise any other exception.
    """
    file = io.BytesIO(data)
    syntax = _find_syntax(file)
    if syntax not in _DECODERS:
        name = "none" if syntax is None else f"'{uid.UID(syntax).name}'"
        raise DecodeError(
            f"the transfer syntax of the DICOM file is {name}, which is not supported: save it as "
            "Explicit VR Little Endian"
        )
    file.seek(0)
    header = dcmread(file)
    _refuse_by_header(header)
    return render(header, *_read_stored(header, syntax))


def read_patient(file: BinaryIO) -> str | None:
    """Return the PatientID (C.7.1.1) of a DICOM file, without reading what follows it.

    Parameters
    ----------
    file : binary file
        A DICOM file, positioned at its beginning.

    Returns
    -------
    str or None
        None if the file has no PatientID, or cannot be read. A PatientID has one value (PS3.6):
        a backslash, at which pydicom splits values, belongs to it.
    """

    def is_beyond(tag: BaseTag, vr: str | None, length: int) -> bool:
        return tag > _PATIENT_ID

    try:
        syntax = _find_syntax(file)
        if syntax not in _DECODERS:  # A deflated file would be decompressed completely.
            return None
        header = read_dataset(
            file,
            uid.UID(syntax).is_implicit_VR,
            uid.UID(syntax).is_little_endian,
            stop_when=is_beyond,
            specific_tags=[_PATIENT_ID],
        )
        value = header.get("PatientID") or ""
        parts = value if isinstance(value, MultiValue) else [value]
        return "\\".join(filter(None, (str(part).strip() for part in parts))) or None
    # Damaged bytes may make pydicom raise any exception.
    except Exception:  # noqa: BLE001
        return None


def _find_syntax(file: BinaryIO) -> str | None:
    """Return the transfer syntax, reading only the file meta information (PS3.10, 7.1)."""
    file.seek(132)
    meta = read_dataset(
        file,
        is_implicit_VR=False,
        is_little_endian=True,
        stop_when=lambda tag, vr, length: tag.group != 2,
    )
    return meta.get("TransferSyntaxUID")


def _refuse_by_header(header: Dataset) -> None:
    present = [name for name in _PIXEL_ELEMENTS if name in header]
    if not present:
        kind = header.get("SOPClassUID")
        raise DecodeError(
            f"a DICOM file without pixels ({'of unknown kind' if kind is None else kind.name})"
        )
    if present != ["PixelData"]:
        raise DecodeError("floating-point pixels have no declared range: save it with 8 or 16 bits")
    frames = int(header.get("NumberOfFrames") or 1)
    if frames > 1:
        raise DecodeError(f"{frames} frames in one file: save each frame as an image of its own")
    refuse_size(header.Columns, header.Rows)
    if not 1 <= header.BitsStored <= header.BitsAllocated <= 16:
        raise DecodeError(
            f"{header.BitsStored} of {header.BitsAllocated} bits per value: 1 to 16 are supported"
        )
    highest = header.BitsStored - 1
    if header.get("HighBit", highest) != highest:
        raise DecodeError(
            f"HighBit {header.HighBit} with {header.BitsStored} bits stored, where the standard "
            f"requires {highest}: save it with its values in the lowest bits"
        )


def _read_stored(header: Dataset, syntax: str) -> tuple[NDArray, str]:
    """Return stored values, shape (height, width[, 3]), and their photometric interpretation."""
    if uid.UID(syntax).is_encapsulated:
        _refuse_frame(get_frame(header.PixelData, 0, number_of_frames=1), header, syntax)
    try:
        stored, facts = get_decoder(syntax).as_array(
            header,
            index=0,
            raw=True,
            # Avoids a fourth copy of a large image. pydicom annotates each option as all of them.
            view_only=True,  # type: ignore[arg-type]
            decoding_plugin=_DECODERS[uid.UID(syntax)],
        )
    except RuntimeError as error:  # Its last line is the error of the only decoder.
        raise DecodeError(f"damaged image: {str(error).splitlines()[-1].strip()}") from None
    return stored, str(facts["photometric_interpretation"])


def _refuse_frame(frame: bytes, header: Dataset, syntax: str) -> None:
    """Raise an error if a compressed frame does not fit the header (JPEG: see dicom_codecs)."""
    if syntax in dicom_codecs.SYNTAXES:
        refuse_size(header.Columns, header.Rows, frame.count(b"\xff\xda"))
    elif syntax in uid.JPEG2000TransferSyntaxes:
        # PS3.5, 8.2.4. pydicom might otherwise search the boxes of a JP2 file endlessly.
        if not frame.startswith(b"\xff\x4f\xff\x51"):
            raise DecodeError("damaged image: not a JPEG 2000 codestream")
        with Image.open(io.BytesIO(frame), formats=["JPEG2000"]) as opened:
            if opened.size != (header.Columns, header.Rows):
                raise DecodeError(
                    f"the DICOM header states {header.Columns}×{header.Rows} pixels, "
                    f"the JPEG 2000 stream {opened.width}×{opened.height}"
                )
    elif syntax == uid.RLELossless:
        _refuse_runs(frame, header.Columns * header.Rows)


def _refuse_runs(frame: bytes, n_pixels: int) -> None:
    """Raise an error if an RLE segment does not have one byte per pixel (PS3.5, G.3 to G.5).

    pydicom expands each segment completely before it takes the bytes that it needs; a malicious
    segment grows a hundredfold.
    """
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
