"""Hash of grey thumbnails that does not change with flips and brightness, and views to hash.

Images are compared as thumbnails of 32 × 32 pixels. A near-duplicate may have been re-encoded,
rescaled, brightened, flipped and rotated by any angle, within its frame or with an enlarged
frame; corners that a rotation uncovers are taken to be black. It may also have a margin of one
grey value, which its original lacks, or show a window of its original: windows of at least 85 %
of the width and height of the content are hashed. ``docs/decisions/0003-leak-audit.md`` has the
measurements.
"""

from __future__ import annotations

import functools
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.fft import dct

from bottleneck.data.images.decode import THUMBNAIL_SIDE as SIDE

__all__ = [
    "DISC",
    "cut_margins",
    "cut_windows",
    "flip_free_hash",
    "map_turns",
    "map_windows",
    "round_aspects",
    "sharpen",
    "turn",
    "unit_pixels",
]

Floats: TypeAlias = NDArray[np.float32]

_CENTRE = (SIDE - 1) / 2
_ROWS, _COLUMNS = np.mgrid[:SIDE, :SIDE] - _CENTRE
_RADIUS = np.hypot(_ROWS, _COLUMNS) / (SIDE / 2)
#: A rotation moves only what lies beyond this disc out of the frame.
DISC = _RADIUS <= 0.9
_TAPER = np.clip((1 - _RADIUS) / 0.3, 0, 1).astype(np.float32)

_BLUR, _WIDE_BLUR = (
    ndimage.gaussian_filter1d(np.eye(SIDE), sigma, axis=0, mode="nearest").astype(np.float32)
    for sigma in (2, 4)
)
# Grey values that are as small as rounding errors make no pattern.
_FAINT = 0.5
_FREQUENCIES = 20
_U, _V = (i[1:] for i in np.triu_indices(_FREQUENCIES))
_U, _V = (i[_U + _V < _FREQUENCIES] for i in (_U, _V))

# The lowest frequencies of the discrete cosine transform, as rows.
_COSINES = dct(np.eye(SIDE), axis=0, norm="ortho")[:_FREQUENCIES].astype(np.float32)

# A row or column belongs to a margin if the central 80 % of its pixels span at most this many
# grey values, or this share of what a row or column within the image spans: shrinking an image
# lets its content ring into the margin. A margin of more than the last share of the side is not
# looked for.
_FLAT, _RINGING, _WIDEST = 3, 0.12, 0.4
# Left and right, or upper and lower, edge of the windows as shares of the side.
_CUTS = np.array(
    [(0, 1), (0.05, 1), (0, 0.95), (0.11, 1), (0, 0.89), (0.05, 0.95), (0.1, 0.95), (0.05, 0.9)]
)


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
    turns = [_rotation(angle, aspect, grown) for angle, grown in _angles(aspect, step)]
    return sparse.vstack(turns, format="csr")


def _angles(aspect: float, step: int) -> list[tuple[int, bool]]:
    """Return the angles in degrees, and whether the frame is enlarged."""
    reach = 45 if aspect == 1 else 90
    within = [(angle, False) for angle in range(-reach, reach + 1, step)]
    return within + [(angle, True) for angle in range(-45, 46, step) if angle]


def _turned(angle: float, grown: bool, aspect: float) -> NDArray[np.float64]:
    """Return the matrix from the pixels of a rotated image to those of the thumbnail."""
    cosine, sine = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    sides = np.array([np.sqrt(aspect), 1 / np.sqrt(aspect)])
    rotation = np.array([[cosine, -sine], [sine, cosine]])
    framed = np.abs(rotation) @ sides if grown else sides
    return rotation * framed / sides[:, None]


@functools.lru_cache(maxsize=256)
def map_turns(aspect: float, step: int) -> Floats:
    """Return the affine maps from the pixels of ``turn`` to those of the thumbnail.

    Returns
    -------
    ndarray of float32, shape (n_turns, 2, 3)
        Each maps (x, y, 1) to (x, y), with the centre of the thumbnail as the origin.
    """
    linear = [_turned(angle, grown, aspect) for angle, grown in _angles(aspect, step)]
    return np.pad(np.array(linear, np.float32), ((0, 0), (0, 0), (0, 1)))


def _rotation(angle: float, aspect: float, grown: bool) -> sparse.csr_array:
    """Return a bilinear rotation as a matrix on the flattened thumbnail."""
    to_x, to_y = _turned(angle, grown, aspect)
    column = to_x[0] * _COLUMNS + to_x[1] * _ROWS + _CENTRE
    row = to_y[0] * _COLUMNS + to_y[1] * _ROWS + _CENTRE
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
    images = np.asarray(images, np.float32)
    detail = images - _BLUR @ images @ _BLUR.T
    # An even contrast: curves of contrast and captions then change little of the hash.
    detail /= np.sqrt(_WIDE_BLUR @ (detail * detail) @ _WIDE_BLUR.T) + _FAINT
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
    pixels = detail.reshape(*detail.shape[:-2], -1)[..., DISC.ravel()]
    pixels -= pixels.mean(-1, keepdims=True)
    length = np.linalg.norm(pixels, axis=-1, keepdims=True)
    pixels *= (length > 1e-3) / np.maximum(length, 1e-3)
    return pixels


def cut_margins(thumbnails: NDArray) -> NDArray[np.float64]:
    """Return the edges of what lies within the margins of one grey value.

    Few bright pixels, such as the marks of a scale, do not make a row or column part of the
    content. An edge within a pixel is located by how much of the content the pixel shows.

    Parameters
    ----------
    thumbnails : ndarray, shape (n, 32, 32)

    Returns
    -------
    ndarray of float64, shape (n, 4)
        Left, upper, right and lower edge in pixels: 0, 0, 32, 32 without a margin.
    """
    rows = np.asarray(thumbnails, np.float32)
    columns = rows.swapaxes(1, 2)
    before = [_margin(lines) for lines in (columns, rows)]
    after = [SIDE - _margin(lines[:, ::-1]) for lines in (columns, rows)]
    return np.stack([*before, *after], axis=1)


def _margin(lines: Floats) -> NDArray[np.float64]:
    """Return the width in pixels of the margin before the first of n × 32 lines of 32 pixels."""
    low, high = np.percentile(lines, (10, 90), axis=2)
    span = high - low
    within = np.median(span[:, SIDE // 4 : -SIDE // 4], axis=1, keepdims=True)
    content = span > np.maximum(_FLAT, _RINGING * within)
    content[:, int(_WIDEST * SIDE)] = True
    first, images = content.argmax(1), np.arange(len(lines))
    ground = np.median(lines[images, first - 1], axis=1, keepdims=True)
    partly, fully = (np.abs(lines[images, first + k] - ground).mean(1) for k in (0, 1))
    shown = np.clip(partly / np.maximum(fully, 1e-3), 0, 1)
    return np.where(first > 0, first + 1 - shown, 0)


def cut_windows(thumbnails: NDArray, windows: slice = slice(None)) -> Floats:
    """Return the content of thumbnails, then windows of it.

    Parameters
    ----------
    thumbnails : ndarray, shape (n, 32, 32)
    windows : slice
        Which of the cuts of the width and height are made; ``slice(1)`` leaves the content.

    Returns
    -------
    ndarray of float32, shape (n, n_windows, 32, 32)
        The content within the margins, then windows that leave out up to 15 % of its width and
        height.
    """
    images = np.asarray(thumbnails, np.float32)
    left, upper, right, lower = cut_margins(images).T
    down = _interpolation(upper, lower, _CUTS[windows]) @ images[:, None]
    across = _interpolation(left, right, _CUTS[windows]).swapaxes(-1, -2)
    cut: Floats = np.matmul(down[:, :, None], across[:, None])
    return cut.reshape(len(images), -1, SIDE, SIDE)


def _interpolation(
    start: NDArray[np.float64], end: NDArray[np.float64], cuts: NDArray[np.float64]
) -> Floats:
    """Return the weights of pixels in the 32 samples of each window, shape (n, n_cuts, 32, 32)."""
    start, end = start[:, None, None], end[:, None, None]
    share = cuts[:, :1] + (np.arange(SIDE) + 0.5) / SIDE * np.diff(cuts)
    at = start + share * (end - start) - 0.5
    # Pixels that a margin covers in part are not sampled.
    at = np.clip(at, np.ceil(start), np.floor(end) - 1).astype(np.float32)
    return np.maximum(0, 1 - np.abs(at[..., None] - np.arange(SIDE, dtype=np.float32)))


def map_windows() -> Floats:
    """Return the affine maps from the pixels of ``cut_windows`` to those of the content.

    Returns
    -------
    ndarray of float32, shape (n_windows, 2, 3)
        Each maps (x, y, 1) to (x, y), with the centre of the content as the origin.
    """
    scale, shift = np.diff(_CUTS)[:, 0], (_CUTS.mean(1) - 0.5) * SIDE
    y, x = np.divmod(np.arange(len(_CUTS) ** 2), len(_CUTS))
    maps = np.zeros((len(_CUTS) ** 2, 2, 3), np.float32)
    maps[:, 0, 0], maps[:, 1, 1] = scale[x], scale[y]
    maps[:, 0, 2], maps[:, 1, 2] = shift[x], shift[y]
    return maps
