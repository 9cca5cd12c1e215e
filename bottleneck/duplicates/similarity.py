"""How alike two pictures are, whatever was done to one of them.

A picture is a grey thumbnail of 32 × 32 pixels. A copy of it may have been encoded anew,
rescaled, brightened, flipped and rotated by any angle, within its frame or with a frame
that grew; what a rotation uncovers is taken to be black. Crops and shifts are not
followed beyond a few per cent. ``docs/decisions/0003-leak-audit.md`` has the measurements.
"""

from __future__ import annotations

import functools
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.fft import dctn

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

_BLOCK = 6
_BLOCKS_THAT_AGREE = 2 / 3
# Share of a block's part of the picture's contrast below which it holds no detail.
_EMPTY = 0.1


def sharpen(pictures: NDArray) -> Floats:
    """Take away what is smooth in pictures, and half of the contrast of the rest.

    Brightness and shading go, and so does the likeness that all pictures of one organ
    have; the square root keeps a few bright edges from deciding.

    Parameters
    ----------
    pictures : ndarray, shape (..., 32, 32)
    """
    pictures = np.asarray(pictures, np.float32)
    detail = pictures - _BLUR @ pictures @ _BLUR.T
    # The square root would make a pattern of rounding errors.
    detail[np.abs(detail) < 0.1] = 0
    return np.sign(detail) * np.sqrt(np.abs(detail))


def round_aspects(sizes: NDArray | None, n: int) -> NDArray[np.float64]:
    """Return width over height of n images in steps of 5 %; 1 where sizes are not known."""
    if sizes is None:
        return np.ones(n)
    logarithms = np.log(sizes[:, 0] / sizes[:, 1])
    return np.exp(np.round(logarithms / 0.05) * 0.05)


def turn(picture: NDArray, aspect: float, step: int) -> Floats:
    """Rotate thumbnails as their images would be rotated.

    By -45 to 45 degrees, which together with the flips and quarter turns that the other
    functions see to are all angles; within the frame of an image that is not square, where
    a quarter turn cuts off its ends, by -90 to 90.

    Parameters
    ----------
    picture : ndarray, shape (..., 32, 32)
    aspect : float
        Width over height of the images.
    step : int
        Degrees from one angle to the next.

    Returns
    -------
    ndarray of float32, shape (..., n_turns, 32, 32)
        Every angle within the frame, then every angle but 0 with a frame that grew.
    """
    flat = np.asarray(picture, np.float32).reshape(-1, SIDE * SIDE)
    turned = (_turns(float(aspect), step) @ flat.T).T
    return turned.reshape(*picture.shape[:-2], -1, SIDE, SIDE)


@functools.lru_cache(maxsize=256)
def _turns(aspect: float, step: int) -> sparse.csr_array:
    reach = 45 if aspect == 1 else 90
    within = [_rotation(a, aspect, False) for a in range(-reach, reach + 1, step)]
    grown = [_rotation(a, aspect, True) for a in range(-45, 46, step) if a]
    return sparse.vstack([*within, *grown], format="csr")


def _rotation(angle: float, aspect: float, grown: bool) -> sparse.csr_array:
    """Bilinear rotation as a matrix on the flattened thumbnail."""
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


def flip_free_hash(pictures: NDArray) -> Floats:
    """Hash pictures so that flips and quarter turns change nothing.

    Like the perceptual hash of images (Zauner 2010, *Implementation and benchmarking of
    perceptual image hash functions*) it holds the low frequencies of the discrete cosine
    transform. A flip changes signs of these and a quarter turn swaps the axes too, so the
    hash keeps magnitudes, the larger of each pair of axes first. It stays real-valued.

    Parameters
    ----------
    pictures : ndarray, shape (..., 32, 32)

    Returns
    -------
    ndarray of float32, shape (..., n_coefficients)
    """
    detail = sharpen(pictures)
    mean = (detail * _TAPER).sum((-2, -1), keepdims=True) / _TAPER.sum()
    spectrum = np.abs(dctn((detail - mean) * _TAPER, axes=(-2, -1), norm="ortho"))
    one, other = spectrum[..., _U, _V], spectrum[..., _V, _U]
    swapped = np.minimum(one, other)[..., _U < _V]
    return np.sqrt(np.concatenate([np.maximum(one, other), swapped], axis=-1))


def unit_pixels(pictures: NDArray) -> Floats:
    """Return the sharpened pixels of the disc, centred and of length 1.

    Parameters
    ----------
    pictures : ndarray, shape (..., 32, 32)

    Returns
    -------
    ndarray of float32, shape (..., n_pixels)
        Zeros for a picture without any detail, which then resembles nothing.
    """
    pixels = sharpen(pictures)[..., _DISC]
    pixels = pixels - pixels.mean(-1, keepdims=True)
    length = np.linalg.norm(pixels, axis=-1, keepdims=True)
    return np.where(length > 1e-3, pixels / np.maximum(length, 1e-3), 0)


def agree(picture: NDArray, aspect: float, others: Floats) -> NDArray[np.float64]:
    """Say how well other pictures agree with one, at the best flip and rotation of it.

    Parameters
    ----------
    picture : ndarray, shape (32, 32)
    aspect : float
        Width over height of its image.
    others : ndarray of float32, shape (n, n_pixels)
        From ``unit_pixels``.

    Returns
    -------
    ndarray of float64, shape (n,)
        The correlation that two thirds of the blocks of 6 × 6 pixels reach or exceed, of
        those that hold any detail; 0 if fewer than half do. A copy agrees everywhere;
        two patients under the same scanner's letters and scales agree in these.
    """
    turned = unit_pixels(turn(picture, aspect, step=3))
    flipped = others[:, _FLIPS].reshape(-1, others.shape[1])
    match = (flipped @ turned.T).reshape(len(others), -1)
    flip, angle = np.divmod(match.argmax(1), len(turned))
    a, b = turned[angle], others[np.arange(len(others))[:, None], _FLIPS[flip]]
    products = (a * b) @ _BLOCKS.T
    one, other = (a * a) @ _BLOCKS.T, (b * b) @ _BLOCKS.T
    local = products / np.sqrt(np.maximum(one * other, 1e-18))
    # Where both are black, or white, there is nothing to agree or disagree in.
    empty = np.maximum(one, other) < _EMPTY / len(_BLOCKS)
    local = np.sort(np.where(empty, np.inf, local), axis=1).astype(np.float64)
    filled = (~empty).sum(1)
    chosen = ((filled - 1) * (1 - _BLOCKS_THAT_AGREE)).astype(int).clip(0)
    result = local[np.arange(len(local)), chosen]
    return np.where(filled >= len(_BLOCKS) / 2, result, 0)


def _flips() -> NDArray[np.intp]:
    """Orders of the disc's pixels that flip and turn it, shape (8, n_pixels)."""
    number = np.full((SIDE, SIDE), -1)
    number[_DISC] = np.arange(_DISC.sum())
    quarters = [np.rot90(number, k) for k in range(4)]
    return np.stack([q[_DISC] for k in quarters for q in (k, k[:, ::-1])])


def _blocks() -> Floats:
    """Which pixels of the disc lie in which block, shape (n_blocks, n_pixels)."""
    across = (SIDE % _BLOCK // 2 + np.arange(SIDE)) // _BLOCK
    labels = (across[:, None] * SIDE + across)[_DISC]
    names, counts = np.unique(labels, return_counts=True)
    full = names[counts >= 0.6 * _BLOCK**2]
    return (labels == full[:, None]).astype(np.float32)


_FLIPS = _flips()
_BLOCKS = _blocks()
