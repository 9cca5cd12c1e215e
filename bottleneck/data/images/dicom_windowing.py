"""Stored values of DICOM files as 8-bit pictures, by the policy of ``data.images.dicom``.

There are 65,536 stored values at most. Each is taken through pydicom's arithmetic once, and then
looked up for every pixel that has it.
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

__all__ = ["show"]

_GREY = ("MONOCHROME1", "MONOCHROME2")
_YBR = ("YBR_FULL", "YBR_FULL_422")
_ADVICE = "write a window (WindowCenter, WindowWidth) into it, or scale it to the full range"


def show(header: Dataset, stored: NDArray, colours: str) -> Image.Image:
    """Make the picture that a header describes.

    Parameters
    ----------
    header : pydicom.Dataset
        What belongs to the pixels.
    stored : ndarray of int, shape (height, width) or (height, width, 3)
        The values that the file holds, decompressed.
    colours : str
        Their photometric interpretation (PS3.3, C.7.6.3.1.2).

    Returns
    -------
    PIL.Image.Image
        Mode RGB.

    Raises
    ------
    DecodeError
        If the policy refuses it.
    """
    with np.errstate(all="ignore"):  # What is no number is refused below.
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
    """Return the smallest value that can be stored, and what it and those above become."""
    bits = int(header.BitsStored)
    first = -(1 << (bits - 1)) if header.PixelRepresentation else 0
    last = first + (1 << bits) - 1
    used = int(stored.min()), int(stored.max())
    if used[0] < first or used[1] > last:
        raise DecodeError(f"values {used[0]}–{used[1]}, of which {bits} bits hold {first}–{last}")
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
    raise DecodeError(f"'{colours}' with {n_samples} samples of {bits} bits is not read")


def _grey_levels(header: Dataset, values: NDArray, stored: NDArray) -> NDArray[np.float64]:
    _gather(header)
    measured = _finite(apply_modality_lut(values, header))
    if tables := header.get("VOILUTSequence"):
        table = tables[0]
        entries, first, bits = table.LUTDescriptor
        # pydicom counts entries in as many bits as they have, and there may be more than 256.
        table.LUTDescriptor = [entries, first, 16]
        last = first + (entries or 1 << 16) - 1
        measured = np.clip(np.rint(measured), first, last).astype(np.int64)
        return apply_voi(measured, header) * (255 / ((1 << bits) - 1))
    # By itself, so that the window is not mapped to the range of the stored values.
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


def _gather(header: Dataset) -> None:
    """Bring what an enhanced image says of its frame (C.7.6.16.2) where others say it."""
    for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for group in (header.get(groups) or [])[:1]:
            for macro in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
                for item in (group.get(macro) or [])[:1]:
                    header.update(item)


def _find_used(header: Dataset, values: NDArray, stored: NDArray) -> tuple[int, int]:
    """Return the smallest and the largest value of a grey image that are no padding."""
    seen = np.zeros(len(values), bool)
    for _, top, _, bottom in strips(stored.shape[1], stored.shape[0]):
        seen[stored[top:bottom].astype(np.intp) - values[0]] = True
    padding = header.get("PixelPaddingValue")
    if padding is not None:
        limit = header.get("PixelPaddingRangeLimit")
        low, high = sorted((padding, padding if limit is None else limit))
        seen &= (values < low) | (values > high)
    used = values[seen] if seen.any() else values[:1]
    return int(used[0]), int(used[-1])


def _declared_levels(values: NDArray, bottom: int, top: int) -> NDArray[np.float64]:
    if len(values) > 256 and 0 < top - bottom < len(values) // 16:
        raise DecodeError(
            f"{len(values).bit_length() - 1}-bit image without a window that uses only "
            f"{bottom}–{top} and would come out as one grey: {_ADVICE}"
        )
    return np.interp(values, (values.min(), values.max()), (0, 255))


def _palette_levels(header: Dataset, values: NDArray) -> NDArray[np.uint8]:
    if "SegmentedRedPaletteColorLookupTableData" in header or not header.original_encoding[1]:
        raise DecodeError("a palette in segments, or in big-endian order: save the image as RGB")
    entries, first, _ = header.RedPaletteColorLookupTableDescriptor
    entries = entries or 1 << 16
    looked_up = apply_color_lut(np.clip(values, first, first + entries - 1), header)[..., :3]
    if looked_up.dtype == np.uint8:
        if entries > 256:  # pydicom counts them in 8 bits.
            raise DecodeError(f"a palette of {entries} entries with 8 bits: save the image as RGB")
        return looked_up
    return _rounded(looked_up * (255 / 65535))


def _rounded(levels: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.clip(np.rint(_finite(levels)), 0, 255).astype(np.uint8)


def _finite(values: NDArray) -> NDArray:
    if not np.isfinite(values).all():
        raise DecodeError("its window or rescaling is no number")
    return values
