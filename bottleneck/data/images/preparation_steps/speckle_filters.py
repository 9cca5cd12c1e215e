"""Filters against speckle, the grain of coherent imaging such as ultrasound."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bottleneck.errors import MissingExtraError

__all__ = ["FILTERS", "lee_filter", "median_filter", "nlm_filter", "refuse_without_nlm"]

_MEDIAN_SIDE, _LEE_SIDE = 3, 5
_PATCH, _DISTANCE = 5, 6
_BLACK = 1e-3
_LAPLACIAN = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]])[..., None]


def median_filter(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return the medians over windows of 3 × 3 pixels, channel by channel.

    Parameters
    ----------
    pixels : ndarray of uint8 or float32, shape (height, width, channels)
        0 to 255.
    """
    return ndimage.median_filter(pixels, size=(_MEDIAN_SIDE, _MEDIAN_SIDE, 1), mode="nearest")


def lee_filter(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return an image filtered against multiplicative speckle (Lee 1980), channel by channel.

    A pixel x becomes m + k (x − m) with k = (v − m²c²) / (v (1 + c²)), clipped to 0 to 1, where m
    and v are mean and variance of its 5 × 5 window. The squared coefficient of variation c² of the
    speckle is the median of v / m² over all windows that are not black, because most of them lie
    in homogeneous tissue.

    Parameters
    ----------
    pixels : ndarray of uint8 or float32, shape (height, width, channels)
        0 to 255.
    """
    values = pixels.astype(np.float64)
    size = (_LEE_SIDE, _LEE_SIDE, 1)
    mean = ndimage.uniform_filter(values, size, mode="nearest")
    variance = np.maximum(ndimage.uniform_filter(values**2, size, mode="nearest") - mean**2, 0)
    # Sums are rounded, so that the mean of a black window may be slightly above 0.
    positive = mean > _BLACK
    if not positive.any():
        return pixels
    speckle = float(np.median(variance[positive] / mean[positive] ** 2))
    # In a window without variance, the pixel equals the mean.
    excess = variance - mean**2 * speckle
    share = np.divide(excess, variance * (1 + speckle), np.zeros_like(mean), where=variance > 0)
    filtered = mean + share.clip(0, 1) * (values - mean)
    return _as_before(filtered, pixels)


def nlm_filter(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return an image filtered by non-local means (Buades et al. 2005), as scikit-image does.

    Patches of 5 × 5 pixels are compared within 6 pixels around each pixel, all channels together.
    The standard deviation s of the noise is estimated from the differences of neighbouring pixels
    (Immerkær 1996), without black pixels; the strength h is 0.8 s.

    Parameters
    ----------
    pixels : ndarray of uint8 or float32, shape (height, width, channels)
        0 to 255.

    Raises
    ------
    MissingExtraError
        If scikit-image is not installed.
    """
    refuse_without_nlm()
    from skimage.restoration import denoise_nl_means

    values = pixels.astype(np.float32)
    rough = np.abs(ndimage.convolve(values, _LAPLACIAN, mode="nearest"))[values > 0]
    noise = float(rough.mean() * np.sqrt(np.pi / 2) / 6) if rough.size else 0.0
    if noise == 0:
        return pixels
    filtered = denoise_nl_means(
        values,
        patch_size=_PATCH,
        patch_distance=_DISTANCE,
        h=0.8 * noise,
        sigma=noise,
        fast_mode=True,
        channel_axis=-1,
    )
    # scikit-image drops the axis of a single channel.
    return _as_before(filtered.reshape(pixels.shape), pixels)


def refuse_without_nlm() -> None:
    """Raise an error if the library of ``nlm_filter`` is not installed."""
    if find_spec("skimage") is None:
        raise MissingExtraError(
            "non-local means (denoise nlm) need scikit-image, and it is not installed. Install it "
            "with",
            "  pip install 'bottleneck-features[denoise]'",
            "or choose median or lee",
        )


def _as_before(filtered: NDArray[Any], pixels: NDArray[Any]) -> NDArray[Any]:
    """Return filtered values in the type of the pixels."""
    if pixels.dtype == np.uint8:
        return filtered.round().clip(0, 255).astype(np.uint8)
    return filtered.astype(pixels.dtype)


#: The filters by the name of the option.
FILTERS: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "median": median_filter,
    "lee": lee_filter,
    "nlm": nlm_filter,
}
