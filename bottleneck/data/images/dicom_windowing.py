"""From the stored values of a DICOM file to 8-bit pixels, by the policy of ``data.images.dicom``.

There are at most 65,536 possible stored values. pydicom's arithmetic is applied once to each of
them, and pixels are then looked up.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset
from pydicom.pixels.processing import (
    apply_color_lut,
    apply_modality_lut,
    apply_voi,
    apply_windowing,
    convert_color_space,
)

from bottleneck.data.images.size_limits import strips
from bottleneck.errors import DecodeError

__all__ = ["render"]

_GREY = ("MONOCHROME1", "MONOCHROME2")
_YBR = ("YBR_FULL", "YBR_FULL_422")
_ADVICE = "write a window (WindowCenter, WindowWidth) into it, or scale it to the full range"


def render(header: Dataset, stored: NDArray, colours: str) -> Image.Image:
    """Return the image that a DICOM header and its stored values describe.

    Parameters
    ----------
    header : pydicom.Dataset
        The header of the file.
    stored : ndarray of int, shape (height, width) or (height, width, 3)
        The decompressed values of the file.
    colours : str
        The photometric interpretation of the values (PS3.3, C.7.6.3.1.2).

    Returns
    -------
    PIL.Image.Image
        An image in mode RGB.

    Raises
    ------
    DecodeError
        If the policy refuses the file.
    """
    with np.errstate(all="ignore"):  # NaN and infinity are refused in _finite.
        first, levels = _find_levels(header, stored, colours)
    height, width = stored.shape[:2]
    result = Image.new("RGB", (width, height))
    for box in strips(width, height):
        part = levels[stored[box[1] : box[3]].astype(np.intp) - first]
        if colours in _YBR:
            part = convert_color_space(part, "YBR_FULL", "RGB")
        result.paste(Image.fromarray(part).convert("RGB"), box)
    return result


def _find_levels(header: Dataset, stored: NDArray, colours: str) -> tuple[int, NDArray[np.uint8]]:
    """Return the smallest possible stored value, and the 8-bit level of it and of each above."""
    bits = int(header.BitsStored)
    first = -(1 << (bits - 1)) if header.PixelRepresentation else 0
    last = first + (1 << bits) - 1
    used = int(stored.min()), int(stored.max())
    if used[0] < first or used[1] > last:
        raise DecodeError(f"values {used[0]}–{used[1]}, but {bits} bits can hold {first}–{last}")
    values = np.arange(first, last + 1)
    n_samples = 1 if stored.ndim == 2 else stored.shape[2]
    match colours, n_samples:
        case (("MONOCHROME1" | "MONOCHROME2"), 1):
            levels = _grey_levels(header, values, stored)
            return first, _rounded(255 - levels if colours == "MONOCHROME1" else levels)
        case "PALETTE COLOR", 1:
            return first, _palette_levels(header, values)
        case "RGB", 3:
            return first, _rounded(_declared_levels(values, *used))
        case (("YBR_FULL" | "YBR_FULL_422"), 3) if bits == 8:
            return first, _rounded(_declared_levels(values, *used))
    raise DecodeError(f"'{colours}' with {n_samples} samples of {bits} bits is not supported")


def _grey_levels(header: Dataset, values: NDArray, stored: NDArray) -> NDArray[np.float64]:
    _flatten_functional_groups(header)
    measured = _finite(apply_modality_lut(values, header))
    if tables := header.get("VOILUTSequence"):
        table = tables[0]
        entries, first, bits = table.LUTDescriptor
        # pydicom counts the entries in the bits of an entry; there may be more than 256 of them.
        table.LUTDescriptor = [entries, first, 16]
        last = first + (entries or 1 << 16) - 1
        measured = np.clip(np.rint(measured), first, last).astype(np.int64)
        return apply_voi(measured, header) * (255 / ((1 << bits) - 1))
    # A header of its own, so that pydicom does not map the window to the range of stored values.
    window = Dataset()
    for name in ("WindowCenter", "WindowWidth", "VOILUTFunction"):
        if header.get(name) not in (None, ""):
            window[name] = header[name]
    if "WindowCenter" in window and "WindowWidth" in window:
        window.PhotometricInterpretation = "MONOCHROME2"
        window.BitsStored, window.PixelRepresentation = 8, 0
        return apply_windowing(measured, window)
    if tables := header.get("ModalityLUTSequence"):
        return measured * (255 / ((1 << tables[0].LUTDescriptor[2]) - 1))
    return _declared_levels(measured, *_find_used(header, values, stored))


def _flatten_functional_groups(header: Dataset) -> None:
    """Copy the frame's attributes of an enhanced image (C.7.6.16.2) to the top of the header."""
    for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for group in (header.get(groups) or [])[:1]:
            for macro in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
                for item in (group.get(macro) or [])[:1]:
                    header.update(item)


def _find_used(header: Dataset, values: NDArray, stored: NDArray) -> tuple[int, int]:
    """Return the smallest and the largest value of a grey image, without padding."""
    occurs = np.zeros(len(values), bool)
    for _, top, _, bottom in strips(stored.shape[1], stored.shape[0]):
        occurs[stored[top:bottom].astype(np.intp) - values[0]] = True
    padding = header.get("PixelPaddingValue")
    if padding is not None:
        limit = header.get("PixelPaddingRangeLimit")
        low, high = sorted((padding, padding if limit is None else limit))
        occurs &= (values < low) | (values > high)
    used = values[occurs] if occurs.any() else values[:1]
    return int(used[0]), int(used[-1])


def _declared_levels(values: NDArray, bottom: int, top: int) -> NDArray[np.float64]:
    if len(values) > 256 and 0 < top - bottom < len(values) // 16:
        raise DecodeError(
            f"{len(values).bit_length() - 1}-bit image without a window that uses only "
            f"{bottom}–{top} and would become a uniform grey: {_ADVICE}"
        )
    return np.interp(values, (values.min(), values.max()), (0, 255))


def _palette_levels(header: Dataset, values: NDArray) -> NDArray[np.uint8]:
    if "SegmentedRedPaletteColorLookupTableData" in header or not header.original_encoding[1]:
        raise DecodeError("a palette in segments or in big-endian order: save the image as RGB")
    entries, first, _ = header.RedPaletteColorLookupTableDescriptor
    entries = entries or 1 << 16
    looked_up = apply_color_lut(np.clip(values, first, first + entries - 1), header)[..., :3]
    if looked_up.dtype == np.uint8:
        if entries > 256:  # pydicom counts 8-bit entries in 8 bits.
            raise DecodeError(f"a palette of {entries} entries with 8 bits: save the image as RGB")
        return looked_up
    return _rounded(looked_up * (255 / 65535))


def _rounded(levels: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.clip(np.rint(_finite(levels)), 0, 255).astype(np.uint8)


def _finite(values: NDArray) -> NDArray:
    if not np.isfinite(values).all():
        raise DecodeError("its window or rescaling is not a finite number")
    return values
