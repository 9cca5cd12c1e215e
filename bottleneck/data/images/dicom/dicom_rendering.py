"""From the words of a DICOM file to 8-bit pixels, by the policy of ``data.images.dicom``.

There are at most 65,536 possible words. The level of each is computed once, and pixels are then
looked up.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.pixels.processing import convert_color_space

from bottleneck.data.images.dicom.dicom_elements import Elements
from bottleneck.data.images.dicom.dicom_frames import StoredFormat
from bottleneck.data.images.dicom.dicom_tables import find_depth, read_palette
from bottleneck.data.images.dicom.dicom_windowing import advise, grey_levels
from bottleneck.data.images.display import (
    AS_STORED,
    NOT_DISPLAYED,
    Conversion,
    Display,
    levels_in_range,
    refuse_faint,
)
from bottleneck.data.images.size_limits import strips
from bottleneck.errors import DecodeError

__all__ = ["render"]

_COLOUR_ADVICE = "save it as RGB with 8 bits, scaled to the full range"
_YBR = ("YBR_FULL", "YBR_FULL_422")


@dataclasses.dataclass(frozen=True)
class Levels:
    """The level of each possible word, and how an image that consists of them is judged.

    Attributes
    ----------
    table : ndarray of uint8, shape (n_words,) or (n_words, 3)
        Levels of one channel or three.
    conversion : Conversion or None
        What made them, for ``refuse_faint``; None if the image may show nothing.
    is_padding : ndarray of bool, shape (n_words,), optional
        Words that are not counted.
    """

    table: NDArray[np.uint8]
    conversion: Conversion | None
    is_padding: NDArray[np.bool_] | None = None


def render(
    elements: Elements,
    words: NDArray[np.uint8 | np.uint16],
    stored: StoredFormat,
    colours: str,
    display: Display,
    notes: list[str],
) -> Image.Image:
    """Return the image that a DICOM header and its stored values describe.

    Parameters
    ----------
    elements : Elements
        The header.
    words : ndarray of uint8 or uint16, shape (height, width) or (height, width, 3)
        The stored values, as ``read_words`` returns them.
    stored : StoredFormat
        How the image is stored.
    colours : str
        The photometric interpretation of the values (PS3.3, C.7.6.3.1.2).
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
        If the policy refuses the file.
    """
    if display != AS_STORED and (stored.bits <= 8 or not colours.startswith("MONOCHROME")):
        notes.append(NOT_DISPLAYED)
    with np.errstate(all="ignore"):  # What is not finite is refused.
        match colours, stored.samples:
            case (("MONOCHROME1" | "MONOCHROME2"), 1):
                levels = _grey(elements.of_frame(), words, stored, colours, display, notes)
            case "PALETTE COLOR", 1:
                levels = _palette(elements, stored, notes)
            case "RGB", 3:
                levels = _colour(stored)
            case (("YBR_FULL" | "YBR_FULL_422"), 3) if stored.bits == 8:
                levels = _colour(stored)
            case _:
                raise DecodeError(
                    f"'{colours}' with {stored.samples} samples of {stored.bits} bits is not "
                    "supported: save it as RGB with 8 bits"
                )
    height, width = words.shape[:2]
    result = Image.new("RGB", (width, height))
    counts = np.zeros(256 * (1 if levels.table.ndim == stored.samples == 1 else 3), np.int64)
    for box in strips(width, height):
        part = words[box[1] : box[3]]
        shown = levels.table.take(part, axis=0)
        if colours in _YBR:
            shown = convert_color_space(shown, "YBR_FULL", "RGB")
        image = Image.fromarray(shown)
        if levels.conversion is not None:
            counts += _count_levels(image, shown, part, levels.is_padding)
        result.paste(image, box)  # It becomes RGB.
    if levels.conversion is not None:
        refuse_faint(counts, levels.conversion)
    return result


def _count_levels(
    image: Image.Image, shown: NDArray, words: NDArray, is_padding: NDArray[np.bool_] | None
) -> NDArray[np.int64]:
    """Return how many pixels have each level, without padding; channel by channel."""
    counts = np.array(image.histogram())
    if is_padding is not None:
        counts -= np.bincount(shown[is_padding.take(words)], minlength=256)
    return counts


def _grey(
    elements: Elements,
    words: NDArray,
    stored: StoredFormat,
    colours: str,
    display: Display,
    notes: list[str],
) -> Levels:
    values = stored.values()
    is_padding = _find_padding(elements, values, stored.is_signed)

    def count() -> NDArray[np.int64]:
        counts = np.zeros(len(values), np.int64)
        for _, top, _, bottom in strips(words.shape[1], words.shape[0]):
            counts += np.bincount(words[top:bottom].ravel(), minlength=len(values))
        return counts if is_padding is None else np.where(is_padding, 0, counts)

    is_deep = stored.bits > 8
    shown, made_by = grey_levels(elements, values, count, display if is_deep else Display(), notes)
    _refuse_supplemental_palette(elements, values, count, stored, notes)
    conversion = None
    # An image of few bits that no table and no window changes may be black.
    if is_deep or not _is_declared(values, shown):
        kind = f"a DICOM image of {stored.bits} bits {made_by}"
        conversion = Conversion(kind, advise(is_deep), is_deep=is_deep)
    shown = 255 - shown if _is_inverted(elements, colours, notes) else shown
    return Levels(_rounded(shown), conversion, is_padding)


def _is_inverted(elements: Elements, colours: str, notes: list[str]) -> bool:
    """Return whether the largest value is black (C.7.6.3.1.2, C.11.6.1.2)."""
    if elements.items("PresentationLUTSequence"):
        notes.append("PresentationLUTSequence of a DICOM file: not applied")
    if colours == "MONOCHROME1":
        return True
    if elements.text("PresentationLUTShape").upper() == "INVERSE":
        notes.append("PresentationLUTShape INVERSE with MONOCHROME2: inverted")
        return True
    return False


def _is_declared(values: NDArray, shown: NDArray) -> bool:
    """Return whether levels are the declared range of values, or its inverse."""
    declared = levels_in_range(values, values.min(), values.max())
    return np.allclose(shown, declared) or np.allclose(shown, 255 - declared)


def _find_padding(elements: Elements, values: NDArray, is_signed: bool) -> NDArray[np.bool_] | None:
    """Return which values are padding (C.7.5.1.1.2); None if none is declared."""
    padding = elements.words("PixelPaddingValue", is_signed)[:1]
    if not padding:
        return None
    limit = elements.words("PixelPaddingRangeLimit", is_signed)[:1] or padding
    return (values >= min(padding + limit)) & (values <= max(padding + limit))


def _palette(elements: Elements, stored: StoredFormat, notes: list[str]) -> Levels:
    values = stored.values()
    tables = read_palette(elements, stored.is_signed, values, notes)
    top = (1 << find_depth(tables, notes)) - 1
    levels = [_rounded(table.look_up(values) * (255 / top)) for table in tables]
    conversion = Conversion("a DICOM image with a palette", _COLOUR_ADVICE)
    return Levels(np.stack(levels, -1), conversion)


def _refuse_supplemental_palette(
    elements: Elements,
    values: NDArray,
    count: Callable[[], NDArray],
    stored: StoredFormat,
    notes: list[str],
) -> None:
    """Raise an error if a palette colours some of the values of a grey image (C.7.6.19)."""
    if elements.text("PixelPresentation").upper() not in ("COLOR", "MIXED"):
        return
    if "RedPaletteColorLookupTableDescriptor" not in elements:
        return
    first = min(t.first for t in read_palette(elements, stored.is_signed, values, notes))
    if count()[values >= first].any():
        raise DecodeError("a grey DICOM image with a supplemental palette: save it as RGB")


def _colour(stored: StoredFormat) -> Levels:
    values = stored.values()
    levels = _rounded(levels_in_range(values, values.min(), values.max()))
    if stored.bits <= 8:
        return Levels(levels, None)
    kind = f"a DICOM image in colour of {stored.bits} bits"
    return Levels(levels, Conversion(kind, _COLOUR_ADVICE, is_deep=True))


def _rounded(levels: NDArray) -> NDArray[np.uint8]:
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)
