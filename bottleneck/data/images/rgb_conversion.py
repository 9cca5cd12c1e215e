"""From pixels of any kind to 8-bit RGB, by the policy of ``bottleneck.data.images.decode``."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bottleneck.data.images.display import (
    AS_STORED,
    Conversion,
    Display,
    levels_in_range,
    windowed,
)
from bottleneck.data.images.size_limits import strips
from bottleneck.errors import DecodeError

__all__ = ["conversion_of", "flattened", "grey_image", "level_table", "looked_up"]


_ALPHA_MODES = ("LA", "La", "PA", "RGBA", "RGBa")


def conversion_of(image: Image.Image) -> Conversion | None:
    """Return how a loaded 8-bit image got its levels; None for plain grey and RGB."""
    if image.mode == "CMYK":
        return Conversion("a CMYK image", "save it as 8-bit RGB")
    if _is_transparent(image) or "transparency" in image.info:
        return Conversion("an image with transparency", "save it without an alpha channel")
    if image.mode in ("P", "PA"):
        return Conversion.of_palette()
    return None


def grey_image(
    values: NDArray,
    declared: tuple[int, int] | None,
    display: Display = AS_STORED,
    *,
    inverted: bool = False,
) -> Image.Image:
    """Return a grey image of values with more than 8 bits, or of another type than unsigned.

    Parameters
    ----------
    values : ndarray of int or float, shape (height, width)
        The stored values.
    declared : tuple of int, optional
        The smallest and largest value that the file declares; None if it declares no range.
    display : Display
        A window or rescaling that replaces the declared range.
    inverted : bool
        Whether the smallest value is white.

    Returns
    -------
    PIL.Image.Image
        Mode L.

    Raises
    ------
    DecodeError
        If no range is declared or stated, or values are not finite.
    """
    if declared is None and display == AS_STORED:
        raise DecodeError(
            f"{values.dtype} pixels have no declared range: save the image with 8 or 16 bits, or "
            "state how its values become grey levels (--window CENTRE,WIDTH or --rescale)"
        )
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise DecodeError(f"{values.dtype} pixels that are not finite: save it with 8 or 16 bits")
    if values.dtype.itemsize > 2 or values.dtype.kind == "f":
        levels = np.empty(values.shape, np.uint8)
        to_levels = _conversion(values, declared, display)
        for _, top, _, bottom in strips(values.shape[1], values.shape[0]):
            levels[top:bottom] = np.rint(to_levels(values[top:bottom]))
    elif declared is not None and display == AS_STORED:
        levels = looked_up(values, level_table(declared, values.dtype))
    else:
        limits = np.iinfo(values.dtype)
        every = np.arange(limits.min, limits.max + 1)
        table = np.rint(_conversion(values, declared, display)(every))
        levels = looked_up(values, table.astype(np.uint8))
    return Image.fromarray(255 - levels if inverted else levels)


@functools.lru_cache(maxsize=8)
def level_table(declared: tuple[int, int], kind: np.dtype) -> NDArray[np.uint8]:
    """Return the 8-bit levels of all integers of a type, for ``looked_up``.

    Parameters
    ----------
    declared : tuple of int
        The smallest and largest value that a file declares.
    kind : dtype
        An integer type of 8 or 16 bits.

    Examples
    --------
    >>> level_table((0, 4095), np.dtype(np.uint16))[[0, 16, 2048, 4095]].tolist()
    [0, 1, 128, 255]
    """
    limits = np.iinfo(kind)
    levels = levels_in_range(np.arange(limits.min, limits.max + 1), *declared)
    return np.rint(levels).astype(np.uint8)


def looked_up(values: NDArray, table: NDArray) -> NDArray:
    """Return the entries of a table for integers; its first is that of the type's smallest."""
    lowest = int(np.iinfo(values.dtype).min)
    result = np.empty((*values.shape, *table.shape[1:]), table.dtype)
    for _, top, _, bottom in strips(values.shape[1], values.shape[0]):
        part = values[top:bottom]
        result[top:bottom] = table[part.astype(np.int32) - lowest if lowest else part]
    return result


def flattened(image: Image.Image) -> Image.Image:
    """Return an 8-bit image of any mode as RGB, with transparency composited over black."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    result = Image.new("RGB", image.size)
    for box in strips(*image.size):
        result.paste(_strip_rgb(image.crop(box)), box)
    return result


def _is_transparent(image: Image.Image) -> bool:
    if image.mode not in _ALPHA_MODES:
        return False
    opacity = image.getchannel(image.getbands()[-1])
    return sum(opacity.histogram()[:255]) > 0


def _strip_rgb(strip: Image.Image) -> Image.Image:
    if strip.mode in _ALPHA_MODES or "transparency" in strip.info:
        strip = strip.convert("RGBA")
        black = Image.new("RGBA", strip.size, (0, 0, 0, 255))
        strip = Image.alpha_composite(black, strip)
    return strip.convert("RGB")


def _conversion(
    values: NDArray, declared: tuple[int, int] | None, display: Display
) -> Callable[[NDArray], NDArray[np.float64]]:
    """Return the function from stored values to levels, 0 to 255."""
    if display.window is not None:
        return functools.partial(windowed, window=display.window, exact=values.dtype.kind == "f")
    low, high = declared or (0, 0)
    if display.rescale:  # The 0.5th and the 99.5th percentile, as ``used_range`` counts them.
        tail = values.size // 200
        ordered = np.partition(values, (tail, values.size - 1 - tail), axis=None)
        low, high = ordered[tail], ordered[-1 - tail]
    return functools.partial(levels_in_range, low=low, high=high)
