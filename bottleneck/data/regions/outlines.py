"""Outlines of regions in pixels of the upright image, and the pixels that they enclose."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.samples.sample_table import Box

__all__ = ["Outlines", "Polygon", "fill_polygon", "rectangle"]

#: Corners (x, y); the first pixel of an image reaches from 0 to 1.
Polygon = tuple[tuple[float, float], ...]


@dataclasses.dataclass(frozen=True)
class Outlines:
    """Regions of an image that polygons enclose.

    Attributes
    ----------
    polygons : tuple of polygons
        The corners (x, y) of each, in pixels of the upright image.
    """

    polygons: tuple[Polygon, ...]

    @classmethod
    def of(cls, polygons: Iterable[Polygon]) -> Self | None:
        """Return these outlines; None if there are none."""
        kept = tuple(polygons)
        return cls(kept) if kept else None

    def fill(self, size: tuple[int, int], box: Box | None) -> NDArray[np.bool_]:
        """Return the pixels that any of the polygons encloses.

        Parameters
        ----------
        size : tuple of int
            Width and height of the image that was decoded, after it was cut to the box.
        box : tuple of int or None
            Left, top, right and bottom of what was cut out of the upright image.

        Returns
        -------
        ndarray of bool, shape (height, width)
        """
        # A box may begin outside the image; ``decode`` clips it.
        left, top = (max(0, box[0]), max(0, box[1])) if box else (0, 0)
        mask = np.zeros((size[1], size[0]), bool)
        for polygon in self.polygons:
            mask |= fill_polygon([(x - left, y - top) for x, y in polygon], size)
        return mask


def rectangle(box: Sequence[float]) -> Polygon:
    """Return the corners of a box of left, top, right and bottom."""
    left, top, right, bottom = box
    return ((left, top), (right, top), (right, bottom), (left, bottom))


def fill_polygon(
    corners: Sequence[tuple[float, float]], size: tuple[int, int]
) -> NDArray[np.bool_]:
    """Return the pixels with a centre inside a polygon.

    Inside is what the outline goes around, in whichever direction: freehand outlines cross
    themselves where they are closed (the nonzero rule, as in SVG).

    Parameters
    ----------
    corners : sequence of (float, float)
        Corners (x, y) in pixels; the last is joined to the first.
    size : tuple of int
        Width and height of the image.

    Returns
    -------
    ndarray of bool, shape (height, width)

    Examples
    --------
    >>> fill_polygon([(1, 0), (3, 0), (3, 2), (1, 2)], (4, 3)).astype(int)
    array([[0, 1, 1, 0],
           [0, 1, 1, 0],
           [0, 0, 0, 0]])
    """
    width, height = size
    winding = np.zeros((height, width + 1), np.int32)
    xs, ys = np.array(corners, float).T
    for x, y, next_x, next_y in zip(xs, ys, np.roll(xs, -1), np.roll(ys, -1), strict=True):
        low, high = sorted((y, next_y))
        # The rows with a centre between the ends: each edge has its lower end and not its upper.
        first, last = np.clip(np.ceil([low - 0.5, high - 0.5]).astype(int), 0, height)
        if first == last:
            continue
        rows = np.arange(first, last)
        crossings = x + (rows + 0.5 - y) * (next_x - x) / (next_y - y)
        columns = np.clip(np.ceil(crossings - 0.5), 0, width).astype(int)
        winding[rows, columns] += 1 if next_y > y else -1
    return np.cumsum(winding, axis=1)[:, :width] != 0
