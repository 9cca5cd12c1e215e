"""Images with a heat map over them, in one scale of colours for all maps of a model."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.errors import UsageError
from bottleneck.explain.maps.heat_map import HeatMap
from bottleneck.text.short_repr import shorten

__all__ = ["colour_bar", "common_limit", "displayed", "legend", "overlay", "resized"]

# Blue for negative and red for positive values, of equal lightness on both sides, so that readers
# with any colour vision tell the sides apart (Moreland 2009).
_COLOURS = "coolwarm"
# Share of the colour at the limit; the rest is the image.
_STRONGEST = 0.65
_GREY = 128
# Share of the values that are within the limit.
_SHARE = 0.99


def overlay(pixels: NDArray[np.uint8], heat_map: HeatMap, limit: float) -> NDArray[np.uint8]:
    """Return an image with a heat map over it.

    Red places speak for the class and blue ones against it. The further a value is from 0, the
    less of the image shows through; values beyond the limit have the colour of the limit.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (height, width, 3) or (height, width, 1)
        The image after resizing and cropping, in RGB or grey, at any scale; see ``displayed``.
    heat_map : HeatMap
        Its map. Between the centres of its cells, values are interpolated bilinearly.
    limit : float
        The value of the strongest colour. Use the same for all maps of a model, such as that of
        ``common_limit``, so that their colours can be compared.

    Returns
    -------
    ndarray of uint8, shape (height, width, 3)

    Raises
    ------
    UsageError
        If the image has another shape or type, or the limit is not a positive number.

    Examples
    --------
    >>> image = np.full((64, 64, 3), 128, np.uint8)
    >>> values = np.array([[-1, 0], [0, 1]], np.float32)
    >>> one = HeatMap(values, "malignant", "occlusion", 0.5)
    >>> shown = overlay(image, one, limit=1)
    >>> shown[0, 0].tolist(), shown[-1, -1].tolist()
    ([83, 94, 170], [162, 47, 70])
    """
    image = np.asarray(pixels)
    if image.ndim != 3 or image.shape[2] not in (1, 3) or not image.size or image.dtype != np.uint8:
        raise UsageError(
            "an image to draw on has the shape (height, width, 3) and the type uint8, not "
            f"{image.shape} and {image.dtype}: convert it with displayed(pixels, preprocessing)"
        )
    height, width = image.shape[:2]
    return _blend(image, resized(heat_map, height, width), limit)


def resized(heat_map: HeatMap, height: int, width: int) -> NDArray[np.float32]:
    """Return the values of a heat map at each pixel of an image.

    Parameters
    ----------
    heat_map : HeatMap
        The map. The value of a cell is at its centre.
    height, width : int
        Size of the image.

    Returns
    -------
    ndarray of float32, shape (height, width)
        Interpolated bilinearly, and constant beyond the outermost centres.
    """
    values = Image.fromarray(np.ascontiguousarray(heat_map.values, dtype=np.float32))
    return np.asarray(values.resize((width, height), Image.Resampling.BILINEAR))


def common_limit(heat_maps: Iterable[HeatMap]) -> float:
    """Return a limit for several heat maps: the 99th percentile of their absolute values.

    Values beyond it have the colour of the limit: one place of one image does not take the colour
    from all others. The limit is 1 if there is no value, or it would be 0.

    Examples
    --------
    >>> maps = [HeatMap(np.full((2, 2), n, np.float32), "a", "occlusion", 0) for n in (-3, 2)]
    >>> common_limit(maps)
    3.0
    """
    values = [abs(one.values).ravel() for one in heat_maps]
    if not values:
        return 1.0
    joined = np.concatenate(values)
    return float(np.quantile(joined, _SHARE, method="higher")) or float(joined.max()) or 1.0


def displayed(pixels: NDArray[Any], preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """Return preprocessed images as they are shown: in RGB, as uint8.

    Parameters
    ----------
    pixels : ndarray of uint8 or float32, shape (..., height, width, n_channels)
        Images as ``preprocessing.pixels`` returns them.
    preprocessing : Preprocessing
        It says in which order their channels are.

    Returns
    -------
    ndarray of uint8, shape (..., height, width, 3)
    """
    rounded = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    if preprocessing.channels == "BGR":
        rounded = rounded[..., ::-1]
    return np.ascontiguousarray(np.broadcast_to(rounded, (*rounded.shape[:-1], 3)))


def colour_bar(limit: float, width: int = 256, height: int = 12) -> NDArray[np.uint8]:
    """Return the colours of the values from -limit to limit, over a grey image.

    Parameters
    ----------
    limit : float
        As for ``overlay``.
    width, height : int
        Size in pixels.

    Returns
    -------
    ndarray of uint8, shape (height, width, 3)
    """
    values = np.broadcast_to(np.linspace(-1, 1, width) * limit, (height, width))
    return _blend(np.full((height, width, 1), _GREY, np.uint8), values, limit)


def legend(limit: float, towards: str, classes: Sequence[str] = ()) -> tuple[str, str, str]:
    """Return what the left end, the middle and the right end of a colour bar mean.

    Parameters
    ----------
    limit : float
        As for ``overlay``.
    towards : str
        The class of the maps.
    classes : sequence of str
        All classes; of two, the left end is named after the other one.

    Examples
    --------
    >>> legend(1.234, "malignant", ["benign", "malignant"])
    ('−1.23: for benign', '0', '+1.23: for malignant')
    >>> legend(0.5, "b", ["a", "b", "c"])[0]
    '−0.5: against b'
    """
    others = [name for name in classes if name != towards]
    left = f"for {others[0]}" if len(classes) == 2 and len(others) == 1 else f"against {towards}"
    return f"−{limit:.3g}: {left}", "0", f"+{limit:.3g}: for {towards}"


def _blend(
    image: NDArray[np.uint8], values: NDArray[np.floating], limit: float
) -> NDArray[np.uint8]:
    is_number = isinstance(limit, int | float | np.number) and not isinstance(limit, bool)
    if not (is_number and np.isfinite(limit) and limit > 0):
        given = limit if is_number else shorten(limit)
        raise UsageError(f"the limit of the colours must be a positive number, not {given}")
    if not np.isfinite(values).all():
        raise UsageError("the heat map has values that are not finite (NaN or infinity)")
    strength = np.clip(values / limit, -1, 1)
    colours = _table()[np.rint((strength + 1) / 2 * (len(_table()) - 1)).astype(int)]
    # Weak values have a pale colour already: in proportion, they could not be told from none.
    opacity = _STRONGEST * (1 - (1 - abs(strength)) ** 2)[..., np.newaxis]
    return np.rint((1 - opacity) * image + opacity * colours).astype(np.uint8)


@functools.cache
def _table() -> NDArray[np.float64]:
    """Return the colours from the most negative to the most positive value, of shape (n, 3)."""
    import matplotlib

    return matplotlib.colormaps[_COLOURS](np.linspace(0, 1, 257))[:, :3] * 255
