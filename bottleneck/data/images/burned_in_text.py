"""Detection and masking of text burned into images, without reading it.

A letter drawn by a scanner or a person is a thin bright stroke on a dark background, next to or
above other letters of its height. Speckle, calcifications and fasciae have some of these
properties, but not all. Letters on bright tissue, bold letters, and fewer than three together are
neither detected nor masked.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from scipy.sparse.csgraph import connected_components

__all__ = ["find_text", "mask_text"]

Boxes: TypeAlias = NDArray[np.intp]

_LIGHT = 140
_BRIGHT = 170
_GROUND = 0.4
_LETTERS = 3
# Masking may reveal letters that touched others; more passes than this were never needed.
_PASSES = 5


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


def mask_text(image: Image.Image) -> Image.Image:
    """Return an image with its burned-in text filled with the ground that it stands on.

    Masked are the letters that ``find_text`` detects, and smaller or cut bright strokes on dark
    ground that are near them, or near each other: within 1.5 times the letters' median height. Each
    is filled together with a margin of half that height, which holds blurred edges, dots, accents
    and the gap to the next letter. The fill is the median of the dark pixels around the stroke, in
    each channel. This is repeated until no text is detected, at most five times.

    Parameters
    ----------
    image : PIL.Image.Image
        Mode RGB.

    Returns
    -------
    PIL.Image.Image
        Mode RGB; the same object if it holds no text.
    """
    for _ in range(_PASSES):
        letters = find_text(image)
        if not len(letters):
            break
        image = Image.fromarray(_filled(np.asarray(image), letters))
    return image


def _filled(pixels: NDArray[np.uint8], letters: Boxes) -> NDArray[np.uint8]:
    """Return pixels with the strokes of text and a margin around each filled with their ground."""
    height = int(np.median(letters[:, 3] - letters[:, 1]))
    grey = pixels.max(-1)
    strokes = _find_strokes(grey, area=2, height=1, width=1)
    strokes = strokes[strokes[:, 3] - strokes[:, 1] <= 2 * height]
    boxes = np.concatenate([letters, strokes])
    near = np.maximum(_gap(boxes, 0, 2), _gap(boxes, 1, 3)) <= 1.5 * height
    _, text = connected_components(near, directed=False)
    boxes = boxes[np.isin(text, text[: len(letters)])]
    margin = max(height // 2, 2) * np.array([-1, -1, 1, 1])
    limits = [pixels.shape[1], pixels.shape[0]] * 2
    grounds = []
    for left, top, right, bottom in (boxes + 3 * np.sign(margin)).clip(0, limits):
        around = pixels[top:bottom, left:right].reshape(-1, 3)
        dark = around.max(-1) <= _GROUND * _BRIGHT
        grounds.append(np.median(around[dark], axis=0) if dark.any() else np.zeros(3))
    filled = pixels.copy()
    for (left, top, right, bottom), ground in zip(
        (boxes + margin).clip(0, limits), grounds, strict=True
    ):
        filled[top:bottom, left:right] = ground
    return filled


def _find_strokes(
    grey: NDArray[np.uint8], *, area: int = 10, height: int = 6, width: int = 2
) -> Boxes:
    """Return boxes of thin bright shapes on dark background, with the proportions of letters.

    They have at least this area, height and width.
    """
    shapes, _ = ndimage.label(grey >= _LIGHT, np.ones((3, 3)))
    areas = np.bincount(shapes.ravel())
    boxes = []
    for number, (rows, columns) in enumerate(ndimage.find_objects(shapes), 1):
        high, wide = rows.stop - rows.start, columns.stop - columns.start
        if areas[number] < area or not height <= high <= len(grey) / 2:
            continue
        if not width <= wide <= 3 * high:
            continue
        window = tuple(slice(max(s.start - 3, 0), s.stop + 3) for s in (rows, columns))
        shape = shapes[window] == number
        stroke = 2 * ndimage.distance_transform_edt(np.pad(shape, 1)).max()
        if stroke > max(0.4 * high, 3):
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
