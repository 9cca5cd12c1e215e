"""From the words of a DICOM file to 8-bit pixels, by the policy of ``data.images.dicom``.

There are at most 65,536 possible words. The level of each is computed once, and pixels are then
looked up.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.pixels.processing import convert_color_space

from bottleneck.data.images.dicom_elements import Elements
from bottleneck.data.images.dicom_frames import StoredFormat
from bottleneck.data.images.dicom_tables import find_depth, read_palette
from bottleneck.data.images.dicom_windowing import ADVICE, grey_levels
from bottleneck.data.images.display import Display, levels_in_range, refuse_faint
from bottleneck.data.images.size_limits import strips
from bottleneck.errors import DecodeError

__all__ = ["render"]

_COLOUR_ADVICE = "save it as RGB with 8 bits, scaled to the full range"
_YBR = ("YBR_FULL", "YBR_FULL_422")


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
    with np.errstate(all="ignore"):  # What is not finite is refused.
        match colours, stored.samples:
            case (("MONOCHROME1" | "MONOCHROME2"), 1):
                levels = _grey(elements.of_frame(), words, stored, colours, display, notes)
            case "PALETTE COLOR", 1:
                levels = _palette(elements, words, stored, notes)
            case "RGB", 3:
                levels = _colour(words, stored)
            case (("YBR_FULL" | "YBR_FULL_422"), 3) if stored.bits == 8:
                levels = _colour(words, stored)
            case _:
                raise DecodeError(
                    f"'{colours}' with {stored.samples} samples of {stored.bits} bits is not "
                    "supported: save it as RGB with 8 bits"
                )
    height, width = words.shape[:2]
    boxes = list(strips(width, height))
    if len(boxes) == 1:
        return _look_up(levels, words, colours).convert("RGB")
    result = Image.new("RGB", (width, height))
    for box in boxes:
        result.paste(_look_up(levels, words[box[1] : box[3]], colours), box)
    return result


def _look_up(levels: NDArray[np.uint8], words: NDArray, colours: str) -> Image.Image:
    shown = levels.take(words, axis=0)
    if colours in _YBR:
        shown = convert_color_space(shown, "YBR_FULL", "RGB")
    return Image.fromarray(shown)


def _grey(
    elements: Elements,
    words: NDArray,
    stored: StoredFormat,
    colours: str,
    display: Display,
    notes: list[str],
) -> NDArray[np.uint8]:
    values = stored.values()

    def count() -> NDArray[np.int64]:
        counts = _count(words, len(values))
        padding = _find_padding(elements, stored.is_signed)
        if padding is not None:
            counts[(values >= padding[0]) & (values <= padding[1])] = 0
        return counts

    is_deep = stored.bits > 8
    shown, kind = grey_levels(elements, values, count, display if is_deep else Display(), notes)
    levels = _rounded(255 - shown if _is_inverted(elements, colours, notes) else shown)
    # An image of few bits that no table and no window changes may be black.
    if is_deep or not _is_declared(values, shown):
        counts = _count_levels(levels, count())
        refuse_faint(counts, f"a {stored.bits}-bit DICOM image {kind}", ADVICE)
    _refuse_supplemental_palette(elements, values, count, stored, notes)
    return levels


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


def _count(words: NDArray, n_values: int) -> NDArray[np.int64]:
    """Return how many values are each word."""
    counts = np.zeros(n_values, np.int64)
    for _, top, _, bottom in strips(words.shape[1], words.shape[0]):
        counts += np.bincount(words[top:bottom].ravel(), minlength=n_values)
    return counts


def _count_levels(levels: NDArray[np.uint8], counts: NDArray[np.int64]) -> NDArray:
    """Return how many values have each level, from how many are each word."""
    used = counts.nonzero()[0]
    return np.bincount(levels[used], weights=counts[used], minlength=256)


def _is_declared(values: NDArray, shown: NDArray) -> bool:
    """Return whether levels are the declared range of values, or its inverse."""
    declared = levels_in_range(values, values.min(), values.max())
    return np.allclose(shown, declared) or np.allclose(shown, 255 - declared)


def _find_padding(elements: Elements, is_signed: bool) -> tuple[int, int] | None:
    """Return the smallest and the largest value that is padding (C.7.5.1.1.2)."""
    padding = elements.words("PixelPaddingValue", is_signed)[:1]
    if not padding:
        return None
    limit = elements.words("PixelPaddingRangeLimit", is_signed)[:1] or padding
    return min(padding + limit), max(padding + limit)


def _palette(
    elements: Elements, words: NDArray, stored: StoredFormat, notes: list[str]
) -> NDArray[np.uint8]:
    values = stored.values()
    tables = read_palette(elements, stored.is_signed, values, notes)
    top = (1 << find_depth(tables, notes)) - 1
    levels = np.stack([_rounded(table.look_up(values) * (255 / top)) for table in tables], -1)
    counts = _count(words, len(values))
    shown = [_count_levels(channel, counts) for channel in levels.T]
    refuse_faint(np.array(shown), "a DICOM image with a palette", _COLOUR_ADVICE)
    return levels


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
        raise DecodeError(
            "a grey DICOM image that a supplemental palette colours in part: save it as RGB"
        )


def _colour(words: NDArray, stored: StoredFormat) -> NDArray[np.uint8]:
    values = stored.values()
    levels = _rounded(levels_in_range(values, values.min(), values.max()))
    if stored.bits > 8:
        counts = [_count(words[..., channel], len(values)) for channel in range(3)]
        shown = [_count_levels(levels, c) for c in counts]
        refuse_faint(np.array(shown), f"a {stored.bits}-bit DICOM image in colour", _COLOUR_ADVICE)
    return levels


def _rounded(levels: NDArray) -> NDArray[np.uint8]:
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)
