"""A picture of a patch: three orthogonal planes through its centre."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["Plane", "draw_planes", "fill_with_planes"]

# Of the values that are shown as grey, without a window; the others are black or white.
_PERCENTILES = (0.5, 99.5)
# The direction in which rows and columns grow, as radiologists look at images; rows first.
_DOWN = ("I", "P", "L")
# Axial, coronal and sagittal: the column and the row of each in the picture.
_TILES = {"PL": (0, 0), "IL": (0, 1), "IP": (1, 1)}
_OPPOSITE = {"S": "I", "A": "P", "R": "L"}


class Plane(NamedTuple):
    """One plane of a patch.

    Attributes
    ----------
    values : ndarray of float32, shape (a, b)
        Its values.
    letters : str
        The direction of the patient in which the index of each axis grows, such as "LP".
    lengths : tuple of float
        Length of each axis in mm.
    """

    values: NDArray[np.float32]
    letters: str
    lengths: tuple[float, float]


def draw_planes(
    planes: Iterable[Plane], window: tuple[float, float] | None = None, side: int = 256
) -> Image.Image:
    """Return a picture of three orthogonal planes, at one scale.

    The axial plane is on the left above, the coronal one below it, and the sagittal one on the
    right of that: the same places are below and beside each other. Each is drawn as radiologists
    look at it: from the feet, from the front, from the left.

    Parameters
    ----------
    planes : iterable of Plane
        The planes, in any order.
    window : tuple of float or None
        The values that become black and white; None for a range that nearly all values are in.
    side : int
        Width and height of the picture in pixels, an even number.

    Returns
    -------
    PIL.Image.Image
        Mode "L". What no plane fills is black.
    """
    upright, (low, high) = _arrange(planes, window)
    half = side // 2
    tile = half - 1  # A line of two pixels divides the planes.
    scale = tile / max(max(plane.lengths) for plane in upright.values())
    picture = Image.new("L", (side, side))
    for letters, (column, row) in _TILES.items():
        plane = upright[letters]
        height, width = (max(1, round(length * scale)) for length in plane.lengths)
        left = column * (half + 1) + (tile - width) // 2
        top = row * (half + 1) + (tile - height) // 2
        picture.paste(_draw(plane.values, low, high, (width, height)), (left, top))
    return picture


def fill_with_planes(
    planes: Iterable[Plane], window: tuple[float, float] | None, side: int
) -> Image.Image:
    """Return a picture like that of ``draw_planes`` without black places.

    Each plane fills a quarter, and the sagittal one, turned to fit to the axial one, the last
    quarter. With black places, pictures of all patches would look alike to a search for copies.
    """
    upright, (low, high) = _arrange(planes, window)
    half = side // 2
    picture = Image.new("L", (side, side))
    tiles = {tile: upright[letters].values for letters, tile in _TILES.items()}
    tiles[1, 0] = upright["IP"].values.T
    for (column, row), values in tiles.items():
        picture.paste(_draw(values, low, high, (half, half)), (column * half, row * half))
    return picture


def _arrange(
    planes: Iterable[Plane], window: tuple[float, float] | None
) -> tuple[dict[str, Plane], tuple[float, float]]:
    """Return the planes by their letters, upright, and the values that are black and white."""
    upright = {plane.letters: plane for plane in map(_turn, planes)}
    if window is None:
        everything = np.concatenate([plane.values.ravel() for plane in upright.values()])
        low, high = np.percentile(everything, _PERCENTILES).tolist()
        return upright, (low, high)
    return upright, window


def _draw(
    values: NDArray[np.float32], low: float, high: float, size: tuple[int, int]
) -> Image.Image:
    levels = ((values - low) * (255 / max(high - low, 1e-6))).clip(0, 255)
    return Image.fromarray(levels.astype(np.uint8)).resize(size, Image.Resampling.BILINEAR)


def _turn(plane: Plane) -> Plane:
    """Return a plane with the rows and columns in the order of ``_DOWN``."""
    values, letters, lengths = plane
    first, second = (_OPPOSITE.get(letter, letter) for letter in letters)
    if letters[0] != first:
        values = values[::-1]
    if letters[1] != second:
        values = values[:, ::-1]
    if _DOWN.index(first) > _DOWN.index(second):
        return Plane(values.T, second + first, lengths[::-1])
    return Plane(values, first + second, lengths)
