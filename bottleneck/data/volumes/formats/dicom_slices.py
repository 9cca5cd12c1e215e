"""Slices of DICOM series: their headers, and the pixels of one of them.

Sections refer to DICOM PS3.3. A file of a single frame is a slice (C.7.6.2); each frame of an
enhanced file is one, described by its functional groups (C.7.6.16). How values are stored and
compressed is read as for single images, by ``bottleneck.data.images.dicom.dicom_frames``.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID

from bottleneck.data.images.dicom.dicom_elements import Elements
from bottleneck.data.images.dicom.dicom_frames import (
    SYNTAXES,
    StoredFormat,
    read_format,
    read_words,
)
from bottleneck.data.images.dicom.dicom_images import find_syntax
from bottleneck.data.sources.image_sources import FileSource
from bottleneck.data.volumes.formats.dicom_pixels import OFFSETS, UNDEFINED, PixelPlace
from bottleneck.data.volumes.formats.stored_voxels import stamp_of
from bottleneck.errors import DecodeError

__all__ = ["DicomSlice", "read_slices"]

_SERIES = (
    *("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"),
    *("EchoTime", "Modality"),
)
# Words of ImageType: magnitude, phase, real and imaginary part (C.8.3.1.1.1).
_COMPONENTS = {"M", "P", "R", "I"}
_PLACE = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
_RESCALE = ("RescaleSlope", "RescaleIntercept")
_PER_FRAME, _SHARED = "PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"
_RESCALING = "PixelValueTransformationSequence"
_MACROS = (
    *("PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence"),
    _RESCALING,
)
_STORED = (
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "NumberOfFrames",
)
# Other elements are not kept: private ones may be larger than the pixels.
_TAGS: list[BaseTag | int] = [
    *map(
        Tag,
        (
            *("SOPClassUID", "ImageType", "ModalityLUTSequence", "DoseGridScaling"),
            *(_PER_FRAME, _SHARED),
            *(*_SERIES, *_PLACE, *_RESCALE, *_STORED, *OFFSETS),
        ),
    ),
    # OverlayBitPosition of each overlay.
    *(Tag(group, 0x0102) for group in range(0x6000, 0x6020, 2)),
]
_FIRST_PIXEL_TAG = Tag("FloatPixelData")
_LONG_VRS = (b"OB", b"OW", b"UN")


@dataclasses.dataclass(frozen=True, eq=False)
class DicomSlice:
    """A slice, whose pixels have not been read.

    Attributes
    ----------
    name : str
        File, and number of the frame, for messages.
    series : tuple of str
        Component of a complex image, PatientID, UIDs of study, series and frame of reference, echo
        time, and modality.
    is_localizer : bool
        Whether its image type says so (C.8.2.1.1.1).
    position : ndarray of float64, shape (3,)
        Centre of the first pixel in LPS coordinates, mm (C.7.6.2.1.1).
    axes : ndarray of float64, shape (2, 3)
        Unit vectors along which the column and the row of a pixel grow.
    spacing : ndarray of float64, shape (2,)
        Distance between neighbouring columns and between neighbouring rows, in mm.
    stored : StoredFormat
        Size and type of the pixels.
    slope, intercept : float
        Of the rescaling (C.11.1).
    is_rescaled : bool
        Whether the header states them.
    pixels : PixelPlace
        Where its pixels are.
    """

    name: str
    series: tuple[str, ...]
    is_localizer: bool
    position: NDArray[np.float64]
    axes: NDArray[np.float64]
    spacing: NDArray[np.float64]
    stored: StoredFormat
    slope: float
    intercept: float
    is_rescaled: bool
    pixels: PixelPlace

    @property
    def modality(self) -> str:
        """The modality, such as "CT"."""
        return self.series[-1]

    @property
    def dtype(self) -> np.dtype[np.integer]:
        """The smallest type of numpy that holds its stored values."""
        kind = "i" if self.stored.is_signed else "u"
        return np.dtype(f"{kind}{1 if self.stored.bits <= 8 else 2}")

    def read(self) -> NDArray[np.integer]:
        """Return the stored values, shape (rows, columns).

        Raises
        ------
        OSError
            If the file cannot be read.
        DecodeError
            If the pixels are damaged, or do not fit the header.
        """
        elements = self.pixels.read(self.stored)
        try:
            words, _ = read_words(elements, self.stored, self.pixels.syntax, [])
        except DecodeError as error:
            raise DecodeError(f"slice '{self.name}': {error}") from None
        if not self.stored.is_signed:
            return words
        sign = 1 << (self.stored.bits - 1)
        return ((words.astype(np.int32) ^ sign) - sign).astype(self.dtype)


def read_slices(root: Path, file: str, notes: list[str]) -> list[DicomSlice]:
    """Return the slices in a file, of which only the header is read; none if it is not an image.

    Parameters
    ----------
    root, file : Path, str
        A folder, and the path of a file in it.
    notes : list of str
        Notes for the user are appended to it.

    Raises
    ------
    OSError
        If the file cannot be read.
    DecodeError
        If it is an image without pixels or without a place, or its header is not valid.
    """
    with FileSource(root).open(file) as opened:
        stamp = stamp_of(opened)
        try:
            syntax, header, pixels = _read_header(opened)
        except (OSError, MemoryError):
            raise
        # Damaged bytes may make pydicom raise any exception, in Python's words.
        except Exception:  # noqa: BLE001
            raise DecodeError(f"'{file}': its DICOM header cannot be read") from None
    try:
        if syntax not in SYNTAXES:
            name = UID(syntax[:64]).name
            raise DecodeError(f"the transfer syntax '{name}' is not supported")
        elements = Elements(header)
        if pixels is None or not pixels[2]:
            if _is_no_image(elements):
                notes.append("reports and other DICOM files that are not images: left out")
                return []
            raise DecodeError(
                "a DICOM file without pixels of whole numbers: remove it from the folder"
            )
        vr, start, length = pixels
        stored = read_format(elements, notes)
        n_frames = elements.whole("NumberOfFrames", 1)
        _refuse_format(stored, elements, n_frames, stamp[0] - start, length)
        return [
            _describe(described, stored, PixelPlace(root, file, elements, syntax, vr, *place))
            for number, described in enumerate(_frames(elements, n_frames))
            for place in [(start, length, stamp, number, n_frames)]
        ]
    except DecodeError as error:
        raise DecodeError(f"'{file}': {error}") from None


def _is_no_image(elements: Elements) -> bool:
    """Return whether a file is of a known kind without pixels, and not an image that lost them."""
    kind = UID(elements.text("SOPClassUID"))
    return kind.name != kind and "Image" not in kind.name


def _read_header(file: BinaryIO) -> tuple[str, Dataset, tuple[str | None, int, int] | None]:
    """Return transfer syntax and header; VR, start and length of PixelData if there is one."""
    syntax, encoding = find_syntax(file)
    if syntax not in SYNTAXES:
        return syntax, Dataset(), None
    header = read_dataset(
        file,
        *encoding,
        stop_when=lambda tag, vr, length: tag >= _FIRST_PIXEL_TAG,
        specific_tags=_TAGS,
    )
    is_implicit, is_little = encoding
    order = "<" if is_little else ">"
    head = file.read(8)
    if len(head) < 8 or struct.unpack(order + "HH", head[:4]) != (0x7FE0, 0x0010):
        return syntax, header, None
    if is_implicit:
        return syntax, header, (None, file.tell(), struct.unpack(order + "I", head[4:])[0])
    if head[4:6] not in _LONG_VRS:
        return syntax, header, None
    length = struct.unpack(order + "I", file.read(4))[0]
    return syntax, header, (head[4:6].decode(), file.tell(), length)


def _refuse_format(
    stored: StoredFormat, elements: Elements, n_frames: int, n_bytes: int, length: int
) -> None:
    if stored.samples != 1 or not stored.colours.startswith("MONOCHROME"):
        raise DecodeError(
            f"'{stored.colours}' with {stored.samples} samples per pixel, but a voxel has one "
            "grey value"
        )
    if stored.allocated == 1:
        raise DecodeError("a mask of one bit per pixel, not an image")
    if length == UNDEFINED:
        return
    needed = n_frames * stored.rows * stored.columns * stored.allocated // 8
    if not needed <= length <= n_bytes:
        raise DecodeError(
            f"cut off: {min(length, n_bytes):,} bytes of pixel data, where its header states "
            f"{max(needed, length):,}"
        )


def _frames(elements: Elements, n_frames: int) -> Iterator[Elements]:
    """Yield the elements that describe each frame."""
    groups = elements.items(_PER_FRAME)
    if not groups:
        if n_frames != 1:
            raise DecodeError(
                f"{n_frames} frames without {_PER_FRAME}, so their positions are unknown"
            )
        yield elements
        return
    if len(groups) != n_frames:
        raise DecodeError(f"{n_frames} frames, of which {_PER_FRAME} describes {len(groups)}")
    shared = _macros(elements.items(_SHARED)[:1])
    for group in groups:
        yield elements.preceded_by([*_macros([group]), *shared])


def _macros(groups: list[Elements]) -> list[Elements]:
    for group in groups:
        for item in group.items(_RESCALING)[:1]:
            # The values of the file around it are not those of this frame.
            if lacking := [name for name in _RESCALE if name not in item]:
                raise DecodeError(
                    f"{_RESCALING} of a frame without {lacking[0]}, which programs interpret "
                    "differently"
                )
    return [item for group in groups for macro in _MACROS for item in group.items(macro)[:1]]


def _describe(elements: Elements, stored: StoredFormat, pixels: PixelPlace) -> DicomSlice:
    position = _numbers(elements, "ImagePositionPatient", 3)
    axes = _numbers(elements, "ImageOrientationPatient", 6).reshape(2, 3)
    rows, columns = _numbers(elements, "PixelSpacing", 2)
    if not (rows > 0 and columns > 0):
        raise DecodeError(f"PixelSpacing is {rows:g}\\{columns:g}, and must be above 0")
    lengths = np.linalg.norm(axes, axis=1)
    # Directions are rounded to few digits.
    if (abs(lengths - 1) > 0.01).any() or abs(axes[0] @ axes[1]) > 0.01:
        raise DecodeError("ImageOrientationPatient does not have two unit vectors at right angles")
    stated = [name in elements for name in _RESCALE]
    if any(stated) and not all(stated):
        one, other = _RESCALE if stated[0] else _RESCALE[::-1]
        raise DecodeError(f"{one} without {other}, which programs interpret differently")
    if elements.items("ModalityLUTSequence"):
        raise DecodeError("a modality LUT: save its values with RescaleSlope and RescaleIntercept")
    if "DoseGridScaling" in elements:
        raise DecodeError("a dose with DoseGridScaling, not an image of the patient")
    slope = elements.number("RescaleSlope", 1.0)
    if slope == 0:
        raise DecodeError("RescaleSlope is 0, which makes all its values the same")
    number = f", frame {pixels.frame + 1}" if pixels.n_frames > 1 else ""
    words = [word.upper() for word in elements.texts("ImageType")]
    component = next((word for word in words if word in _COMPONENTS), "")
    return DicomSlice(
        name=pixels.file + number,
        series=(component, *map(elements.text, _SERIES)),
        is_localizer="LOCALIZER" in words,
        position=position,
        axes=axes / lengths[:, np.newaxis],
        spacing=np.array([columns, rows]),
        stored=stored,
        slope=slope,
        intercept=elements.number("RescaleIntercept", 0.0),
        is_rescaled=all(stated),
        pixels=pixels,
    )


def _numbers(elements: Elements, name: str, n: int) -> NDArray[np.float64]:
    values = [value for value in elements.numbers(name) if value is not None]
    if not values:
        raise DecodeError(f"no {name}, so its place in the patient is unknown")
    if len(values) != n:
        raise DecodeError(f"{name} has {len(values)} values, and needs {n}")
    return np.array(values)
