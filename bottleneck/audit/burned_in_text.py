"""Text-like strokes burned into pictures, found without reading them.

A letter that a scanner or a person drew is a thin bright stroke on ground that is dark
all round it, and it stands beside or above others of its height. Speckle, calcifications
and fasciae are one or the other, not all of it. Letters on bright tissue, and fewer than
three that belong together, are not found.
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
    """Find the letters of an image that stand together as text does.

    Parameters
    ----------
    image : PIL.Image.Image
        Mode RGB; the brightest channel counts, so that coloured letters are seen.

    Returns
    -------
    ndarray of int, shape (n_letters, 4)
        Left, top, right and bottom; touching letters come as one.
    """
    letters = _find_strokes(np.asarray(image.convert("RGB")).max(-1))
    if len(letters) < _LETTERS:
        return letters[:0]
    height = letters[:, 3] - letters[:, 1]
    least = np.minimum(height[:, None], height)
    same_height = np.maximum(height[:, None], height) <= 1.4 * least
    across, down = _gap(letters, 0, 2), _gap(letters, 1, 3)
    beside = (down <= -0.7 * least) & (across <= least)
    above = (across < 0) & (down <= 2 * least)
    _, text = connected_components(same_height & (beside | above), directed=False)
    return letters[np.bincount(text)[text] >= _LETTERS]


def _find_strokes(grey: NDArray[np.uint8]) -> Boxes:
    """Boxes of thin bright shapes on dark ground, with the proportions of letters."""
    shapes, _ = ndimage.label(grey >= _LIGHT, np.ones((3, 3)))
    areas = np.bincount(shapes.ravel())
    found = []
    for number, (rows, columns) in enumerate(ndimage.find_objects(shapes), 1):
        height, width = rows.stop - rows.start, columns.stop - columns.start
        if areas[number] < 10 or not 6 <= height <= len(grey) / 2 or not 2 <= width <= 3 * height:
            continue
        window = tuple(slice(max(s.start - 3, 0), s.stop + 3) for s in (rows, columns))
        shape = shapes[window] == number
        stroke = 2 * ndimage.distance_transform_edt(np.pad(shape, 1)).max()
        if stroke > max(0.4 * height, 3):
            continue
        # The pixel next to a stroke is half stroke where the picture was resized.
        halo = ndimage.binary_dilation(shape)
        ground = grey[window][ndimage.binary_dilation(shape, iterations=3) & ~halo]
        light = np.quantile(grey[window][shape], 0.75)
        if light >= _BRIGHT and len(ground) and np.quantile(ground, 0.75) <= _GROUND * light:
            found.append((columns.start, rows.start, columns.stop, rows.stop))
    return np.array(found, np.intp).reshape(-1, 4)


def _gap(boxes: Boxes, low: int, high: int) -> Boxes:
    """Distance between any two boxes along one axis, negative where they overlap."""
    start = np.maximum(boxes[:, None, low], boxes[:, low])
    return start - np.minimum(boxes[:, None, high], boxes[:, high])
