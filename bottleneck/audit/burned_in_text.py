"""Detection of text burned into images, without reading it.

A letter drawn by a scanner or a person is a thin bright stroke on a dark background, next to or
above other letters of its height. Speckle, calcifications and fasciae have some of these
properties, but not all. Letters on bright tissue, and fewer than three together, are not detected.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from scipy.sparse.csgraph import connected_components

__all__ = ["find_text"]

Boxes: TypeAlias = NDArray[np.intp]

_LIGHT = 140
_BRIGHT = 170
_GROUND = 0.4
_LETTERS = 3


def find_text(image: Image.Image) -> Boxes:
    """Return the letters of an image that form lines of text.

    Parameters
    ----------
    image : PIL.Image.Image
        Mode RGB; the brightest channel is used, so that coloured letters are detected.

    Returns
    -------
    ndarray of int, shape (n_letters, 4)
        Left, top, right and bottom, in pixels; touching letters count as one.
    """
    letters = _find_strokes(np.asarray(image.convert("RGB")).max(-1))
    if len(letters) < _LETTERS:
        return letters[:0]
    height = letters[:, 3] - letters[:, 1]
    least = np.minimum(height[:, None], height)
    same_height = np.maximum(height[:, None], height) <= 1.4 * least
    across, down = _gap(letters, 0, 2), _gap(letters, 1, 3)
    next_to = (down <= -0.7 * least) & (across <= least)
    above = (across < 0) & (down <= 2 * least)
    _, text = connected_components(same_height & (next_to | above), directed=False)
    return letters[np.bincount(text)[text] >= _LETTERS]


def _find_strokes(grey: NDArray[np.uint8]) -> Boxes:
    """Return boxes of thin bright shapes on dark background, with the proportions of letters."""
    shapes, _ = ndimage.label(grey >= _LIGHT, np.ones((3, 3)))
    areas = np.bincount(shapes.ravel())
    boxes = []
    for number, (rows, columns) in enumerate(ndimage.find_objects(shapes), 1):
        height, width = rows.stop - rows.start, columns.stop - columns.start
        if areas[number] < 10 or not 6 <= height <= len(grey) / 2 or not 2 <= width <= 3 * height:
            continue
        window = tuple(slice(max(s.start - 3, 0), s.stop + 3) for s in (rows, columns))
        shape = shapes[window] == number
        stroke = 2 * ndimage.distance_transform_edt(np.pad(shape, 1)).max()
        if stroke > max(0.4 * height, 3):
            continue
        # In a resized image the pixels next to a stroke belong half to it.
        halo = ndimage.binary_dilation(shape)
        ground = grey[window][ndimage.binary_dilation(shape, iterations=3) & ~halo]
        light = np.quantile(grey[window][shape], 0.75)
        if light >= _BRIGHT and len(ground) and np.quantile(ground, 0.75) <= _GROUND * light:
            boxes.append((columns.start, rows.start, columns.stop, rows.stop))
    return np.array(boxes, np.intp).reshape(-1, 4)


def _gap(boxes: Boxes, low: int, high: int) -> Boxes:
    """Return the distance of any two boxes along one axis, negative where they overlap."""
    start = np.maximum(boxes[:, None, low], boxes[:, low])
    return start - np.minimum(boxes[:, None, high], boxes[:, high])
