"""The share of a heat map inside a region, and a centred blob that is spread as widely."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import ndtr

from bottleneck.errors import UsageError
from bottleneck.explain.maps.heat_map import HeatMap

__all__ = ["Part", "as_mask", "centred_blob", "share_inside"]

Floats = NDArray[np.float64]
#: Whether the positive values of a map count, or all by their magnitude.
Part = Literal["positive", "absolute"]

# Standard deviations of a Gaussian in the unit of the side: from one point to flat.
_SHARPEST, _FLATTEST = 1e-3, 1e2


def share_inside(heat_map: HeatMap | ArrayLike, mask: ArrayLike, part: Part = "positive") -> float:
    """Return the share of a heat map that is inside a region.

    Each value of the map counts with the share of its cell that is in the region: the map is
    not interpolated.

    Parameters
    ----------
    heat_map : HeatMap, or array of shape (n_rows, n_columns)
        The map, on a grid over the input of the network.
    mask : array of bool or float, shape (height, width)
        The region on the input: for each pixel the share that is inside, from 0 to 1.
    part : {"positive", "absolute"}
        Whether the positive values count, or all by their magnitude.

    Returns
    -------
    float
        From 0 to 1; NaN for a map without such values.

    Raises
    ------
    UsageError
        If an argument has another shape, or the mask has other values.

    Examples
    --------
    >>> mask = np.zeros((4, 4), bool)
    >>> mask[:2] = True
    >>> share_inside(np.array([[3.0, 0.0], [1.0, -4.0]]), mask)
    0.75
    >>> share_inside(np.array([[3.0, 0.0], [1.0, -4.0]]), mask, "absolute")
    0.375
    """
    values = _values_of(heat_map, part)
    total = values.sum()
    inside = (values * _cell_shares(as_mask(mask), values.shape)).sum()
    return float(inside / total) if total > 0 else np.nan


def centred_blob(heat_map: HeatMap | ArrayLike, part: Part = "positive") -> Floats:
    """Return a Gaussian in the centre of the input that is spread as widely as a heat map.

    It knows nothing of the image but that the subject is often in its centre. In each direction
    it has the variance of the map around the map's own centre of mass, on the same grid; it is
    flat in a direction in which the map is spread at least as widely as a flat one.

    Parameters
    ----------
    heat_map, part
        As for ``share_inside``.

    Returns
    -------
    ndarray of float64, shape (n_rows, n_columns)
        Sums to 1; NaN for a map without such values.

    Examples
    --------
    >>> one = np.zeros((3, 3))
    >>> one[0] = (0, 3, 1)  # In the upper right corner.
    >>> centred_blob(one).round(2)
    array([[0.  , 0.  , 0.  ],
           [0.09, 0.81, 0.09],
           [0.  , 0.  , 0.  ]])
    """
    values = _values_of(heat_map, part)
    if not values.sum() > 0:
        return np.full(values.shape, np.nan)
    return np.outer(_profile(values.sum(1)), _profile(values.sum(0)))


def as_mask(mask: ArrayLike) -> Floats:
    """Return a region on the input as shares of pixels, checked.

    Raises
    ------
    UsageError
        If it is not a matrix of values from 0 to 1.
    """
    values = np.asarray(mask)
    if values.ndim != 2 or not values.size or values.dtype.kind not in "buif":
        raise UsageError(
            "a mask must be an array of shape (height, width), of bool or of shares from 0 to 1, "
            f"not of shape {values.shape} and type {values.dtype}"
        )
    values = values.astype(np.float64)
    if not (values.min() >= 0 and values.max() <= 1):  # False for NaN.
        raise UsageError(
            f"a mask must be of bool or of shares from 0 to 1, not of values from {values.min():g} "
            f"to {values.max():g}: for an image of a mask, pass mask > 0"
        )
    return values


def _values_of(heat_map: HeatMap | ArrayLike, part: Part) -> Floats:
    """Return how much each cell of a map counts."""
    if part not in ("positive", "absolute"):
        raise UsageError(f"part must be positive or absolute, not {part!r}")
    given = heat_map.values if isinstance(heat_map, HeatMap) else heat_map
    values = np.asarray(given, dtype=np.float64)
    if values.ndim != 2 or not values.size or not np.isfinite(values).all():
        raise UsageError(
            f"a heat map must be a matrix of finite numbers, not of shape {values.shape}"
        )
    return np.abs(values) if part == "absolute" else np.maximum(values, 0)


def _cell_shares(mask: Floats, shape: tuple[int, ...]) -> Floats:
    """Return the share of each cell of a grid over the mask that is inside."""
    rows, columns = (_overlap(n, side) for n, side in zip(shape, mask.shape, strict=True))
    return rows @ mask @ columns.T


def _overlap(n_cells: int, n_pixels: int) -> Floats:
    """Return the share of each cell that each pixel covers; a cell may begin within a pixel."""
    edges = np.linspace(0, n_pixels, n_cells + 1)[:, None]
    pixels = np.arange(n_pixels)
    shared = np.minimum(edges[1:], pixels + 1) - np.maximum(edges[:-1], pixels)
    return np.maximum(shared, 0) * n_cells / n_pixels


def _profile(values: Floats) -> Floats:
    """Return a centred Gaussian on the cells of a grid with the variance of some values there.

    The cells are of equal length and reach from -1/2 to 1/2, where the Gaussian is cut off.
    """
    edges = np.linspace(-0.5, 0.5, len(values) + 1)
    centres, weights = (edges[1:] + edges[:-1]) / 2, values / values.sum()
    variance = weights @ centres**2 - (weights @ centres) ** 2

    def cut_off(deviation: float) -> Floats:
        mass = np.diff(ndtr(edges / deviation))
        return np.asarray(mass / mass.sum())

    def excess(deviation: float) -> float:
        return float(cut_off(deviation) @ centres**2 - variance)

    # On an even number of cells, the narrowest one in the centre covers two of them.
    if excess(_SHARPEST) >= 0:
        return cut_off(_SHARPEST)
    if excess(_FLATTEST) <= 0:
        return np.full(len(values), 1 / len(values))
    return cut_off(brentq(excess, _SHARPEST, _FLATTEST))
