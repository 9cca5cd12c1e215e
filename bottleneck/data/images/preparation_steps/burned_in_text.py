"""Detection and masking of text burned into images, without reading it.

A letter drawn by a scanner or a person is a thin bright stroke on a dark background, next to or
above other letters of its height. Speckle, calcifications and fasciae have some of these
properties, but not all. Not detected, and not masked, are letters on bright tissue, dim and bold
ones, those lower than 6 pixels, several that touch, and fewer than three together.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage, sparse
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

__all__ = ["find_text", "mask_text"]

Boxes: TypeAlias = NDArray[np.intp]

_LIGHT = 140
_BRIGHT = 170
_GROUND = 0.4
_LETTERS = 3
# Largest ratio of the heights of neighbouring letters.
_ALIKE = 1.4
# Masking may reveal letters that touched others; more passes than this were never needed.
_PASSES = 5
_OUTWARDS = np.array([-1, -1, 1, 1])


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
    a, b = _pairs(letters)
    height, other = _height(letters[a]), _height(letters[b])
    least = np.minimum(height, other)
    same_height = np.maximum(height, other) <= _ALIKE * least
    across, down = _gap(letters[a], letters[b], 0, 2), _gap(letters[a], letters[b], 1, 3)
    next_to = (down <= -0.7 * least) & (across <= least)
    above = (across < 0) & (down <= 2 * least)
    linked = same_height & (next_to | above)
    links = sparse.coo_array((linked[linked], (a[linked], b[linked])), (len(letters),) * 2)
    _, text = connected_components(links, directed=False)
    return letters[np.bincount(text)[text] >= _LETTERS]


def _pairs(letters: Boxes) -> tuple[Boxes, Boxes]:
    """Return the pairs of letters that are near enough to be neighbours in a line or a column."""
    centres = (letters[:, :2] + letters[:, 2:]) / 2
    # A letter is at most three times as wide as high, and its neighbour has nearly its height.
    reach = (1.5 + 1.5 * _ALIKE + 1) * _height(letters)
    near = cKDTree(centres).query_ball_point(centres, reach, p=np.inf)
    numbers = np.repeat(np.arange(len(letters)), [len(others) for others in near])
    return numbers, np.concatenate(near).astype(np.intp)


def mask_text(image: Image.Image) -> Image.Image:
    """Return an image with its burned-in text filled with the ground that it stands on.

    Masked are the letters that ``find_text`` detects; smaller or cut bright strokes on dark ground
    that lead to them in steps of at most 1.5 times the letters' height; and the gaps of a line that
    are at most twice as wide as its letters are high, where letters may be that were not detected.
    Each is filled together with a margin of half its height, at least 2 pixels, for its blurred
    edge. The fill is the median of the dark pixels around it, in each channel. This is repeated
    until no text is detected, at most five times.

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
    boxes = _with_gaps(_with_strokes_nearby(letters, pixels.max(-1)))
    margin = np.maximum(_height(boxes) // 2, 2)[:, None] * _OUTWARDS
    limits = [pixels.shape[1], pixels.shape[0]] * 2
    grounds = []
    for left, top, right, bottom in (boxes + 3 * _OUTWARDS).clip(0, limits):
        around = pixels[top:bottom, left:right].reshape(-1, 3)
        dark = around.max(-1) <= _GROUND * _BRIGHT
        grounds.append(np.median(around[dark], axis=0) if dark.any() else np.zeros(3))
    filled = pixels.copy()
    for (left, top, right, bottom), ground in zip(
        (boxes + margin).clip(0, limits), grounds, strict=True
    ):
        filled[top:bottom, left:right] = ground
    return filled


def _with_strokes_nearby(letters: Boxes, grey: NDArray[np.uint8]) -> Boxes:
    """Return letters, and strokes of any size that lead to them in steps of limited length."""
    usual = int(np.median(_height(letters)))
    strokes = _find_strokes(grey, area=2, height=1, width=1)
    strokes = strokes[_height(strokes) <= 2 * usual]
    boxes = np.concatenate([letters, strokes])
    reach = np.full(len(boxes), 0.75 * usual)
    reach[: len(letters)] = 0.75 * _height(letters)
    grown = boxes + np.ceil(reach).astype(int)[:, None] * _OUTWARDS
    joined = np.zeros(grey.shape, bool)
    for left, top, right, bottom in grown.clip(0, [grey.shape[1], grey.shape[0]] * 2):
        joined[top:bottom, left:right] = True
    areas, _ = ndimage.label(joined)
    area = areas[boxes[:, 1], boxes[:, 0]]
    return boxes[np.isin(area, area[: len(letters)])]


def _with_gaps(boxes: Boxes) -> Boxes:
    """Return boxes, and the gaps between neighbours in a line."""
    a, b = (boxes[numbers] for numbers in _pairs(boxes))
    least = np.minimum(_height(a), _height(b))
    gap = _gap(a, b, 0, 2)
    is_gap = (a[:, 0] < b[:, 0]) & (gap > 0) & (gap <= 2 * least)
    is_gap &= _gap(a, b, 1, 3) <= -0.5 * least
    a, b = a[is_gap], b[is_gap]
    top, bottom = np.minimum(a[:, 1], b[:, 1]), np.maximum(a[:, 3], b[:, 3])
    return np.concatenate([boxes, np.stack([a[:, 2], top, b[:, 0], bottom], axis=1)])


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


def _height(boxes: Boxes) -> Boxes:
    return boxes[:, 3] - boxes[:, 1]


def _gap(boxes: Boxes, others: Boxes, low: int, high: int) -> Boxes:
    """Return the distance between two boxes along one axis, negative where they overlap."""
    return np.maximum(boxes[:, low], others[:, low]) - np.minimum(boxes[:, high], others[:, high])
