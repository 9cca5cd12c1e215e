"""DICOM files, shown as their own headers say; with the extra ``medical``.

The policy, beside that of ``bottleneck.data.images.decode``; sections are those of DICOM PS3.3:

- Stored values become what they measure by the modality LUT, or by rescale slope and intercept
  (C.11.1); and grey by the first VOI LUT, or the first window where there is none, LINEAR,
  LINEAR_EXACT or SIGMOID (C.11.2). MONOCHROME1 is inverted (C.7.6.3.1.2). The result has 8 bits.
- Without either, the range that BitsStored and PixelRepresentation declare is scaled to 0–255:
  8-bit values stay as they are. An image of more bits that uses less than a sixteenth of the
  range would reach the network as one grey; it is refused, not guessed at. Padding
  (PixelPaddingValue, PixelPaddingRangeLimit, C.7.5.1.1.2) is shown like any other value, but
  does not count as used: it lies outside of what was measured.
- A palette is looked up (C.7.6.3.1.5), YBR_FULL and YBR_FULL_422 become RGB (C.7.6.3.1.2).
- Pixels are uncompressed, RLE, JPEG (8 and 12 bits, lossless), JPEG-LS or JPEG 2000. Each of them
  has one decoder, whatever else is installed.
- Refused are files of several frames or without pixels, more than 16 bits, floating point,
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

from bottleneck.data.images.size_limits import refuse_size
from bottleneck.errors import DecodeError, MissingExtraError

try:
    import imagecodecs  # noqa: F401  # What dicom_jpeg imports, named here for the message.
    from pydicom import Dataset, dcmread, uid
    from pydicom.encaps import get_frame
    from pydicom.filereader import read_dataset
    from pydicom.multival import MultiValue
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.tag import BaseTag
except ImportError as error:
    raise MissingExtraError(
        f"the data set holds DICOM files, and what reads them is not installed ({error}). Install "
        "it with\n  pip install 'bottleneck-features[medical]'"
    ) from None

from bottleneck.data.images import dicom_codecs
from bottleneck.data.images.dicom_windowing import show

__all__ = ["CODEC", "read_patient", "read_picture"]

# Of pixels: other versions may make others of the same bytes.
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
_DECODED = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_PATIENT_ID = 0x00100020
# What pydicom finds odd in a file and reads all the same; the list of failures names the others.
warnings.filterwarnings("ignore", module=r"pydicom\.")


def read_picture(data: bytes) -> Image.Image:
    """Decode a DICOM file under the policy of this module.

    Parameters
    ----------
    data : bytes
        The file.

    Returns
    -------
    PIL.Image.Image
        Mode RGB.

    Raises
    ------
    DecodeError
        If the policy refuses it. Damaged files raise other exceptions as well.
    """
    file = io.BytesIO(data)
    syntax = _find_syntax(file)
    if syntax not in _DECODERS:
        name = "none" if syntax is None else f"'{uid.UID(syntax).name}'"
        raise DecodeError(
            f"the DICOM file names {name} as its transfer syntax, which is not read: save it as "
            "Explicit VR Little Endian"
        )
    file.seek(0)
    header = dcmread(file)
    _refuse_by_header(header)
    return show(header, *_read_stored(header, syntax))


def read_patient(file: BinaryIO) -> str | None:
    """Read the PatientID (C.7.1.1) of a DICOM file, and nothing that follows it.

    Parameters
    ----------
    file : binary file
        A DICOM file, at its beginning.

    Returns
    -------
    str or None
        None where the file names none, or cannot be read. It has one value (PS3.6): a backslash,
        which pydicom parts values at, is of the name.
    """

    def is_beyond(tag: BaseTag, vr: str | None, length: int) -> bool:
        return tag > _PATIENT_ID

    try:
        syntax = _find_syntax(file)
        if syntax not in _DECODERS:  # Deflated files would be inflated whole.
            return None
        header = read_dataset(
            file,
            uid.UID(syntax).is_implicit_VR,
            uid.UID(syntax).is_little_endian,
            stop_when=is_beyond,
            specific_tags=[_PATIENT_ID],
        )
        found = header.get("PatientID") or ""
        parts = found if isinstance(found, MultiValue) else [found]
        return "\\".join(filter(None, (str(part).strip() for part in parts))) or None
    # Of damaged bytes pydicom may raise anything.
    except Exception:  # noqa: BLE001
        return None


def _find_syntax(file: BinaryIO) -> str | None:
    """Return what the file meta information names (PS3.10, 7.1); the file is read up to its end."""
    file.seek(132)
    meta = read_dataset(
        file,
        is_implicit_VR=False,
        is_little_endian=True,
        stop_when=lambda tag, vr, length: tag.group != 2,
    )
    return meta.get("TransferSyntaxUID")


def _refuse_by_header(header: Dataset) -> None:
    found = [name for name in _DECODED if name in header]
    if not found:
        kind = header.get("SOPClassUID")
        raise DecodeError(
            f"a DICOM file without pixels ({'of no known kind' if kind is None else kind.name})"
        )
    if found != ["PixelData"]:
        raise DecodeError("floating-point pixels have no declared range: save it with 8 or 16 bits")
    frames = int(header.get("NumberOfFrames") or 1)
    if frames > 1:
        raise DecodeError(f"{frames} frames in one file: save each frame as an image of its own")
    refuse_size(header.Columns, header.Rows)
    if not 1 <= header.BitsStored <= header.BitsAllocated <= 16:
        raise DecodeError(
            f"{header.BitsStored} of {header.BitsAllocated} bits a value: 1 to 16 of 16 are read"
        )
    highest = header.BitsStored - 1
    if header.get("HighBit", highest) != highest:
        raise DecodeError(
            f"HighBit {header.HighBit} with {header.BitsStored} bits stored, where the standard "
            f"demands {highest}: save it with its values in the lowest bits"
        )


def _read_stored(header: Dataset, syntax: str) -> tuple[NDArray, str]:
    """Return stored values, of shape (height, width) or (height, width, 3), and their colours."""
    if uid.UID(syntax).is_encapsulated:
        _refuse_frame(get_frame(header.PixelData, 0, number_of_frames=1), header, syntax)
    try:
        stored, facts = get_decoder(syntax).as_array(
            header,
            index=0,
            raw=True,
            # A copy would be the fourth of a large image. pydicom annotates options as all of them.
            view_only=True,  # type: ignore[arg-type]
            decoding_plugin=_DECODERS[uid.UID(syntax)],
        )
    except RuntimeError as error:  # It lists the decoders that failed; here there is one.
        raise DecodeError(f"damaged image: {str(error).splitlines()[-1].strip()}") from None
    return stored, str(facts["photometric_interpretation"])


def _refuse_frame(frame: bytes, header: Dataset, syntax: str) -> None:
    """Refuse what a compressed frame says of itself; dicom_jpeg compares the sizes of others."""
    if syntax in dicom_codecs.SYNTAXES:
        refuse_size(header.Columns, header.Rows, frame.count(b"\xff\xda"))
    elif syntax in uid.JPEG2000TransferSyntaxes:
        # PS3.5, 8.2.4. In the boxes of a JP2 file pydicom could look for it without end.
        if not frame.startswith(b"\xff\x4f\xff\x51"):
            raise DecodeError("damaged image: not a JPEG 2000 codestream")
        with Image.open(io.BytesIO(frame), formats=["JPEG2000"]) as opened:
            if opened.size != (header.Columns, header.Rows):
                raise DecodeError(
                    f"its header says {header.Columns}×{header.Rows} pixels, "
                    f"and its JPEG 2000 {opened.width}×{opened.height}"
                )
    elif syntax == uid.RLELossless:
        _refuse_runs(frame, header.Columns * header.Rows)


def _refuse_runs(frame: bytes, n_pixels: int) -> None:
    """Refuse RLE whose segments hold other than a byte a pixel (PS3.5, G.3 to G.5).

    pydicom expands each segment to its end, a hundredfold where it is made to be large, and then
    takes as much as it needs.
    """
    n_segments, *starts = struct.unpack("<16I", frame[:64])
    for at, end in itertools.pairwise((*starts[:n_segments], len(frame))):
        n_bytes = 0
        while at < end and n_bytes <= n_pixels + 1:
            head = frame[at]
            if head < 128:  # As many bytes follow, and one.
                n_bytes += min(head + 1, end - at - 1)
                at += head + 2
            else:  # The next byte is repeated; 128 says nothing.
                n_bytes += 257 - head if head > 128 and at + 1 < end else 0
                at += 1 + (head > 128)
        # Some encoders pad the pixels to an even number, and not the segment.
        if not n_pixels <= n_bytes <= n_pixels + 1:
            found = "more" if n_bytes > n_pixels else f"{n_bytes:,}"
            raise DecodeError(
                f"its header says {n_pixels:,} pixels, and a segment of its RLE holds {found}"
            )
