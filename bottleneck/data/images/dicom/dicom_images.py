"""Pixels of DICOM files, displayed as their headers specify (needs the extra ``medical``).

This policy adds to that of ``bottleneck.data.images.decode``; sections refer to DICOM PS3.3:

- The modality LUT, or rescale slope and intercept, converts stored values to measured values
  (C.11.1). The first VOI LUT, or else the first window (LINEAR, LINEAR_EXACT or SIGMOID), converts
  these to grey levels (C.11.2). MONOCHROME1 is inverted (C.7.6.3.1.2), and so is MONOCHROME2 with
  PresentationLUTShape INVERSE (C.11.6), with a note. The result has 8 bits.
- RescaleSlope or RescaleIntercept alone is ignored with a note; an intercept alone is refused where
  a VOI LUT or a window would show the difference.
- Without a VOI LUT and a window, the range that BitsStored and PixelRepresentation declare, or that
  the modality LUT declares, is scaled to 0–255; 8-bit values are unchanged.
- ``Display.window`` and ``Display.rescale`` replace the VOI LUTs and windows of grey images with
  more than 8 bits. They apply to measured values.
- An image with more than 8 bits, or one that a table, a window or a palette changes, is refused by
  ``refuse_faint`` if it would show almost nothing. Padding (PixelPaddingValue,
  PixelPaddingRangeLimit, C.7.5.1.1.2) is displayed like any other value, but is not counted there
  and not used by ``Display.rescale``, since it is not a measurement.
- Palettes are looked up (C.7.6.3.1.5); ``dicom_tables`` states how tables are read. YBR_FULL and
  YBR_FULL_422 become RGB (C.7.6.3.1.2).
- Pixels may be uncompressed, RLE, JPEG (8 and 12 bits, lossless), JPEG-LS or JPEG 2000. Each
  encoding always has the same decoder, whatever other packages are installed. The colours of lossy
  JPEG are those that the stream states (``dicom_codecs.decode_jpeg``); those of JPEG 2000 are RGB
  if the stream has a colour transform.
- Optional elements that are present and empty count as absent; of several values, the first that is
  not empty counts. A value that is not valid is refused with the name of its element.
- Signed values in a JPEG, JPEG-LS or unsigned JPEG 2000 stream of fewer bits than BitsStored are
  refused if one of them may be negative.
- Bits above BitsStored are ignored if they are an overlay or a sign, and refused otherwise. A
  HighBit other than BitsStored − 1 is read if the bits below the value are unused (C.7.6.3.1).
- A file without a preamble, or without a transfer syntax, is read as Implicit VR Little Endian, or
  as explicit VR if its first elements have one; compressed pixels then cannot be read.
- Refused are files with several frames or without pixels, more than 16 bits, floating point,
  supplemental palettes, other transfer syntaxes, and sizes that
  ``bottleneck.data.images.size_limits`` refuses, before a pixel is decoded. Overlays, shutters and
  presentation states are not applied.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from importlib import metadata
from typing import Any, BinaryIO

from PIL import Image

from bottleneck.data.images.dicom.dicom_signature import (
    SIGNATURE_BYTES,
    find_encoding,
    has_preamble,
)
from bottleneck.data.images.display import Display
from bottleneck.errors import DecodeError, MissingExtraError

try:
    import imagecodecs  # noqa: F401  # Used by dicom_codecs; imported here for the message.
    from pydicom import Dataset, uid
    from pydicom.filereader import read_dataset
    from pydicom.multival import MultiValue
    from pydicom.tag import BaseTag, Tag
except ImportError as error:
    raise MissingExtraError(
        f"the data set contains DICOM files, and a package that reads them is missing ({error}). "
        "Install it with",
        "  pip install 'bottleneck-features[medical]'",
    ) from None

from bottleneck.data.images.dicom.dicom_elements import Elements
from bottleneck.data.images.dicom.dicom_frames import SYNTAXES, read_format, read_words
from bottleneck.data.images.dicom.dicom_rendering import render

__all__ = ["CODEC", "find_syntax", "has_frames", "read_examination", "read_image", "read_patient"]

# The decoders, with versions: another version may decode the same bytes to other pixels.
CODEC = "-".join(f"{name}-{metadata.version(name)}" for name in ("pydicom", "imagecodecs"))

_PIXEL_ELEMENTS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
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
        If the policy refuses the file, or the file is damaged.
    """
    try:
        return _read(data, display, notes)
    except (DecodeError, MemoryError):
        raise
    # Damaged bytes may make the libraries raise any exception, in words that explain nothing.
    except Exception:  # noqa: BLE001
        raise DecodeError("damaged image: its DICOM elements contradict each other") from None


def read_patient(file: BinaryIO) -> str | None:
    """Return the PatientID (C.7.1.1) of a DICOM file, without reading what follows it.

    Parameters
    ----------
    file : binary file
        A DICOM file.

    Returns
    -------
    str or None
        None if the file has no PatientID, or cannot be read. A PatientID has one value (PS3.6):
        a backslash, at which pydicom splits values, belongs to it.
    """
    value = _read_first(file, "PatientID") or ""
    parts = value if isinstance(value, MultiValue) else [value]
    return "\\".join(filter(None, (str(part).strip() for part in parts))) or None


def read_examination(file: BinaryIO) -> tuple[str, str, str]:
    """Return the UIDs of study, series and instance of a DICOM file (C.7.2.1, C.7.3.1, C.12.1).

    Parameters
    ----------
    file : binary file
        A DICOM file.

    Returns
    -------
    tuple of str
        "" for each that the file does not have, or that cannot be read.
    """
    header = _read_until(file, ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"))
    if header is None:
        return "", "", ""
    names = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    # Damaged bytes may make pydicom raise any exception.
    try:
        study, series, instance = (str(header.get(name) or "").strip(" \0") for name in names)
    except Exception:  # noqa: BLE001
        return "", "", ""
    return study, series, instance


def has_frames(file: BinaryIO) -> bool:
    """Return whether a DICOM file states that it has several frames (C.7.6.6)."""
    value = _read_first(file, "NumberOfFrames")
    return isinstance(value, int) and value > 1


def _read_first(file: BinaryIO, name: str) -> Any:
    """Return the value of an element, without reading what follows it; None if there is none."""
    header = _read_until(file, (name,))
    try:
        return None if header is None else header.get(name)
    # Damaged bytes may make pydicom raise any exception, also when it converts a value.
    except Exception:  # noqa: BLE001
        return None


def _read_until(file: BinaryIO, names: Sequence[str]) -> Dataset | None:
    """Return some elements, without reading what follows the last; None if this fails."""
    wanted: list[BaseTag | int] = [Tag(name) for name in names]

    def is_beyond(tag: BaseTag, vr: str | None, length: int) -> bool:
        return tag > max(wanted)

    try:
        syntax, encoding = find_syntax(file)
        if syntax not in SYNTAXES:  # A deflated file would be decompressed completely.
            return None
        return read_dataset(file, *encoding, stop_when=is_beyond, specific_tags=wanted)
    # Damaged bytes may make pydicom raise any exception.
    except Exception:  # noqa: BLE001
        return None


def _read(data: bytes, display: Display, notes: list[str]) -> Image.Image:
    syntax, header = _read_header(data)
    elements = Elements(header)
    _refuse_by_header(elements)
    stored = read_format(elements, notes)
    words, colours = read_words(elements, stored, syntax, notes)
    return render(elements, words, stored, colours, display, notes)


def find_syntax(file: BinaryIO) -> tuple[str, tuple[bool, bool]]:
    """Return the transfer syntax, and whether VRs are implicit and the order is little-endian.

    The file is then positioned behind its file meta information (PS3.10, 7.1).
    """
    file.seek(0)
    head = file.read(SIGNATURE_BYTES)
    start = 132 if has_preamble(head) else 0
    file.seek(start)
    syntax = ""
    if head[start : start + 2] == b"\x02\0":
        is_implicit = (find_encoding(head[start:]) or (False, True))[0]
        meta = read_dataset(
            file,
            is_implicit,
            is_little_endian=True,
            stop_when=lambda tag, vr, length: tag.group != 2,
        )
        syntax = Elements(meta).text("TransferSyntaxUID")
    if not syntax:
        start = file.tell()
        implicit, little = find_encoding(file.read(SIGNATURE_BYTES)) or (True, True)
        file.seek(start)
        syntax = {
            (True, True): uid.ImplicitVRLittleEndian,
            (False, True): uid.ExplicitVRLittleEndian,
            (False, False): uid.ExplicitVRBigEndian,
        }[implicit, little]
    if syntax not in SYNTAXES:
        return syntax, (False, True)
    return syntax, (uid.UID(syntax).is_implicit_VR, uid.UID(syntax).is_little_endian)


def _read_header(data: bytes) -> tuple[str, Dataset]:
    """Return the transfer syntax and all elements of a file."""
    file = io.BytesIO(data)
    try:
        syntax, encoding = find_syntax(file)
        if syntax in SYNTAXES:
            return syntax, read_dataset(file, *encoding)
    except MemoryError:
        raise
    # Damaged bytes may make pydicom raise any exception, in Python's words.
    except Exception:  # noqa: BLE001
        raise DecodeError("damaged image: its DICOM header cannot be read") from None
    raise DecodeError(
        f"the transfer syntax of the DICOM file is '{uid.UID(syntax[:64]).name}', which is not "
        "supported: save it as Explicit VR Little Endian"
    )


def _refuse_by_header(elements: Elements) -> None:
    present = [name for name in _PIXEL_ELEMENTS if name in elements]
    if not present:
        kind = elements.text("SOPClassUID")[:64]  # The longest UID (PS3.5, 9.1).
        raise DecodeError(
            f"a DICOM file without pixels ({uid.UID(kind).name if kind else 'of unknown kind'})"
        )
    if present != ["PixelData"]:
        raise DecodeError("floating-point pixels have no declared range: save it with 8 or 16 bits")
    frames = elements.whole("NumberOfFrames", 1)
    if frames > 1:
        raise DecodeError(f"{frames} frames in one file: save each frame as an image of its own")
