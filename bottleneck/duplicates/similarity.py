"""Similarity of grey thumbnails that does not change with flips, rotations and brightness.

Images are compared as thumbnails of 32 × 32 pixels. A near-duplicate may have been re-encoded,
rescaled, brightened, flipped and rotated by any angle, within its frame or with an enlarged
frame; corners that a rotation uncovers are taken to be black. Crops and shifts are tolerated up
to a few per cent. ``docs/decisions/0003-leak-audit.md`` has the measurements.
"""

from __future__ import annotations

import functools
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.fft import dct

from bottleneck.data.images.decode import THUMBNAIL_SIDE as SIDE

__all__ = ["agree", "flip_free_hash", "round_aspects", "sharpen", "turn", "unit_pixels"]

Floats: TypeAlias = NDArray[np.float32]

_CENTRE = (SIDE - 1) / 2
_ROWS, _COLUMNS = np.mgrid[:SIDE, :SIDE] - _CENTRE
_RADIUS = np.hypot(_ROWS, _COLUMNS) / (SIDE / 2)
# A rotation moves only what lies beyond this disc out of the frame.
_DISC = _RADIUS <= 0.9
_TAPER = np.clip((1 - _RADIUS) / 0.3, 0, 1).astype(np.float32)

_BLUR = ndimage.gaussian_filter1d(np.eye(SIDE), 2, axis=0, mode="nearest").astype(np.float32)
_FREQUENCIES = 20
_U, _V = (i[1:] for i in np.triu_indices(_FREQUENCIES))
_U, _V = (i[_U + _V < _FREQUENCIES] for i in (_U, _V))

# The lowest frequencies of the discrete cosine transform, as rows.
_COSINES = dct(np.eye(SIDE), axis=0, norm="ortho")[:_FREQUENCIES].astype(np.float32)

_BLOCK = 6
_BLOCKS_THAT_AGREE = 2 / 3
# A block with less than this share of the contrast it would have on average holds no detail.
_EMPTY = 0.1


def sharpen(images: NDArray) -> Floats:
    """Remove what is smooth in images, and compress the contrast of the rest.

    This removes brightness and shading, and the overall resemblance of all images of one organ.
    The signed square root keeps a few bright edges from dominating.

    Parameters
    ----------
    images : ndarray, shape (..., 32, 32)

    Returns
    -------
    ndarray of float32, shape (..., 32, 32)
    """
    images = np.asarray(images, np.float32)
    detail = images - _BLUR @ images @ _BLUR.T
    size = np.abs(detail)
    # The square root would turn rounding errors into a pattern.
    size *= size >= 0.1
    return np.copysign(np.sqrt(size, out=size), detail, out=detail)


def round_aspects(sizes: NDArray | None, n: int) -> NDArray[np.float64]:
    """Return width over height of n images, rounded to steps of 5 %; 1 where sizes are unknown."""
    if sizes is None:
        return np.ones(n)
    logarithms = np.log(sizes[:, 0] / sizes[:, 1])
    return np.exp(np.round(logarithms / 0.05) * 0.05)


def turn(thumbnails: NDArray, aspect: float, step: int) -> Floats:
    """Return thumbnails of the rotated images.

    Square images are rotated by -45 to 45 degrees; flips and quarter turns, which the other
    functions handle, cover the other angles. Other images are rotated by -90 to 90 degrees
    within their frame, because a quarter turn cuts off their ends.

    Parameters
    ----------
    thumbnails : ndarray, shape (..., 32, 32)
    aspect : float
        Width over height of the images.
    step : int
        Degrees from one angle to the next.

    Returns
    -------
    ndarray of float32, shape (..., n_turns, 32, 32)
        Every angle within the frame, then every angle but 0 with an enlarged frame.
    """
    flat = np.asarray(thumbnails, np.float32).reshape(-1, SIDE * SIDE)
    turned = (_turns(float(aspect), step) @ flat.T).T
    return turned.reshape(*thumbnails.shape[:-2], -1, SIDE, SIDE)


@functools.lru_cache(maxsize=256)
def _turns(aspect: float, step: int) -> sparse.csr_array:
    reach = 45 if aspect == 1 else 90
    within = [_rotation(a, aspect, False) for a in range(-reach, reach + 1, step)]
    grown = [_rotation(a, aspect, True) for a in range(-45, 46, step) if a]
    return sparse.vstack([*within, *grown], format="csr")


def _rotation(angle: float, aspect: float, grown: bool) -> sparse.csr_array:
    """Return a bilinear rotation as a matrix on the flattened thumbnail."""
    cosine, sine = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    width, height = np.sqrt(aspect), 1 / np.sqrt(aspect)
    x, y = _COLUMNS * width, _ROWS * height
    if grown:
        x = x * (width * abs(cosine) + height * abs(sine)) / width
        y = y * (height * abs(cosine) + width * abs(sine)) / height
    column = (cosine * x - sine * y) / width + _CENTRE
    row = (sine * x + cosine * y) / height + _CENTRE
    target = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)
    matrix = sparse.csr_array((SIDE * SIDE, SIDE * SIDE), dtype=np.float32)
    for down in (0, 1):
        for right in (0, 1):
            r, c = np.floor(row).astype(int) + down, np.floor(column).astype(int) + right
            weight = (1 - np.abs(row - r)) * (1 - np.abs(column - c))
            inside = (r >= 0) & (r < SIDE) & (c >= 0) & (c < SIDE)
            entries = (target[inside], (r * SIDE + c)[inside])
            matrix += sparse.csr_array(
                (weight[inside].astype(np.float32), entries), shape=matrix.shape
            )
    return matrix


def flip_free_hash(images: NDArray) -> Floats:
    """Return a perceptual hash of images that flips and quarter turns do not change.

    Like the usual perceptual hash (Zauner 2010, *Implementation and benchmarking of perceptual
    image hash functions*) it consists of the low frequencies of the discrete cosine transform.
    A flip changes their signs and a quarter turn swaps the axes, so the hash keeps magnitudes,
    the larger of each pair of axes first. It is real-valued.

    Parameters
    ----------
    images : ndarray, shape (..., 32, 32)

    Returns
    -------
    ndarray of float32, shape (..., n_coefficients)
    """
    detail = sharpen(images)
    detail *= _TAPER
    mean = detail.sum((-2, -1), keepdims=True) / _TAPER.sum()
    detail -= mean * _TAPER
    spectrum = np.abs(_COSINES @ detail @ _COSINES.T).reshape(*detail.shape[:-2], -1)
    one = spectrum[..., _U * _FREQUENCIES + _V]
    other = spectrum[..., _V * _FREQUENCIES + _U]
    swapped = np.minimum(one, other)[..., _U < _V]
    return np.sqrt(np.concatenate([np.maximum(one, other), swapped], axis=-1))


def unit_pixels(images: NDArray) -> Floats:
    """Return the sharpened pixels of the central disc, centred and of length 1.

    Parameters
    ----------
    images : ndarray, shape (..., 32, 32)

    Returns
    -------
    ndarray of float32, shape (..., n_pixels)
        Zeros for an image without any detail, which then resembles no other.
    """
    detail = sharpen(images)
    pixels = detail.reshape(*detail.shape[:-2], -1)[..., _DISC.ravel()]
    pixels -= pixels.mean(-1, keepdims=True)
    length = np.linalg.norm(pixels, axis=-1, keepdims=True)
    pixels *= (length > 1e-3) / np.maximum(length, 1e-3)
    return pixels


def agree(thumbnail: NDArray, aspect: float, others: Floats) -> NDArray[np.float64]:
    """Return the agreement of other images with one, at its best flip and rotation.

    Parameters
    ----------
    thumbnail : ndarray, shape (32, 32)
    aspect : float
        Width over height of its image.
    others : ndarray of float32, shape (n, n_pixels)
        From ``unit_pixels``.

    Returns
    -------
    ndarray of float64, shape (n,)
        The correlation that two thirds of the blocks of 6 × 6 pixels reach or exceed, among
        blocks with any detail; 0 if fewer than half of them have any. A near-duplicate agrees
        in all blocks; images of two patients from one scanner agree only in its letters and
        scales.
    """
    turned = unit_pixels(turn(thumbnail, aspect, step=3))
    flipped = others[:, _FLIPS].reshape(-1, others.shape[1])
    match = (flipped @ turned.T).reshape(len(others), -1)
    flip, angle = np.divmod(match.argmax(1), len(turned))
    a, b = turned[angle], others[np.arange(len(others))[:, None], _FLIPS[flip]]
    products = (a * b) @ _BLOCKS.T
    one, other = (a * a) @ _BLOCKS.T, (b * b) @ _BLOCKS.T
    local = products / np.sqrt(np.maximum(one * other, 1e-18))
    # Blocks that are black or white in both images say nothing about agreement.
    empty = np.maximum(one, other) < _EMPTY / len(_BLOCKS)
    local = np.sort(np.where(empty, np.inf, local), axis=1).astype(np.float64)
    filled = (~empty).sum(1)
    chosen = ((filled - 1) * (1 - _BLOCKS_THAT_AGREE)).astype(int).clip(0)
    result = local[np.arange(len(local)), chosen]
    return np.where(filled >= len(_BLOCKS) / 2, result, 0)


def _flips() -> NDArray[np.intp]:
    """Return the orders of the disc's pixels that flip and turn it, shape (8, n_pixels)."""
    number = np.full((SIDE, SIDE), -1)
    number[_DISC] = np.arange(_DISC.sum())
    quarters = [np.rot90(number, k) for k in range(4)]
    return np.stack([q[_DISC] for k in quarters for q in (k, k[:, ::-1])])


def _blocks() -> Floats:
    """Return which pixels of the disc lie in which block, shape (n_blocks, n_pixels)."""
    across = (SIDE % _BLOCK // 2 + np.arange(SIDE)) // _BLOCK
    labels = (across[:, None] * SIDE + across)[_DISC]
    names, counts = np.unique(labels, return_counts=True)
    full = names[counts >= 0.6 * _BLOCK**2]
    return (labels == full[:, None]).astype(np.float32)


_FLIPS = _flips()
_BLOCKS = _blocks()
