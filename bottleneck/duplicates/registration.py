"""Affine registration of thumbnails: the map by which one shows the same as another."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.images.decode import THUMBNAIL_SIDE as SIDE
from bottleneck.duplicates.similarity import DISC

__all__ = ["find_maps", "register"]

Floats: TypeAlias = NDArray[np.float32]

_CENTRE = (SIDE - 1) / 2
_ROWS, _COLUMNS = np.nonzero(DISC)
# x, y and 1 of each pixel of the disc.
_POSITIONS = np.stack([_COLUMNS - _CENTRE, _ROWS - _CENTRE, np.ones(len(_ROWS))])
_POSITIONS = _POSITIONS.astype(np.float32)
_STEPS, _MORE_STEPS = 6, 10
# A pixel whose residual is twice the standard deviation weighs half.
_OUTLYING = 2.0
_LEAST_GAIN, _MOST_GAIN = 0.2, 5.0


class _Still(NamedTuple):
    """Central discs of the thumbnails that others are registered with.

    Attributes
    ----------
    target : ndarray of float32, shape (n, n_pixels)
        Their pixels, centred and of length 1.
    length : ndarray of float32, shape (n, 1)
        Their length before.
    slopes : ndarray of float32, shape (n, 6, n_pixels)
        Derivative of each pixel by the elements of a map.
    """

    target: Floats
    length: Floats
    slopes: Floats


def register(moving: Floats, still: Floats, maps: Floats) -> tuple[Floats, Floats]:
    """Return the pixels of pairs of thumbnails where they correlate most.

    Inverse compositional Gauss-Newton steps (Baker & Matthews 2004, *Lucas-Kanade 20 years on*)
    on the central disc, normalised to the contrast of the still thumbnail.

    Parameters
    ----------
    moving, still : ndarray of float32, shape (n, 32, 32)
    maps : ndarray of float32, shape (n, 2, 3)
        Affine maps to start from: from the pixels of the still thumbnails to those of the moving
        ones, with the centre as the origin.

    Returns
    -------
    pixels, target : ndarray of float32, shape (n, n_pixels)
        Central discs of the moved and the still thumbnails, centred and of length 1.
    """
    prepared = _prepare(still)
    inverse = _inverse(prepared.slopes, prepared.slopes)
    best = np.full(len(moving), -np.inf, np.float32)
    reached = np.zeros_like(prepared.target)
    for _ in range(_STEPS):
        pixels = _normalise(_sample(moving, maps @ _POSITIONS))
        correlation = (pixels * prepared.target).sum(1)
        better = correlation > best
        best[better], reached[better] = correlation[better], pixels[better]
        step = inverse @ (prepared.slopes @ (pixels - prepared.target)[..., None])
        maps = _compose(maps, step.reshape(-1, 2, 3))
    return reached, prepared.target


def find_maps(moving: Floats, still: Floats, maps: Floats) -> Floats:
    """Return the maps at which most of the pixels of pairs of thumbnails agree.

    The steps are those of ``register``. Pixels that disagree weigh less, and those that the moving
    thumbnail does not cover weigh nothing. A gain and an offset of grey values are fitted too.

    Parameters
    ----------
    moving, still, maps
        As for ``register``.

    Returns
    -------
    ndarray of float32, shape (n, 2, 3)
    """
    target, length, slopes = _prepare(still)
    weights = np.ones_like(target)
    for _ in range(_MORE_STEPS):
        places = maps @ _POSITIONS
        covered = (np.abs(places) <= _CENTRE).all(1)
        pixels = _fit_tone(_sample(moving, places) / length, target, weights * covered)
        residuals = pixels - target
        spread = 1.48 * np.median(np.abs(residuals), axis=1, keepdims=True) + 1e-6
        weights = 1 / (1 + (residuals / (_OUTLYING * spread)) ** 2)
        weighted = slopes * (weights * covered)[:, None]
        step = _inverse(weighted, slopes) @ (weighted @ residuals[..., None])
        maps = _compose(maps, step.reshape(-1, 2, 3))
    return maps.astype(np.float32)


def _prepare(still: Floats) -> _Still:
    length = _length(still[:, DISC])
    down, across = (np.gradient(still, axis=axis)[:, DISC] / length for axis in (1, 2))
    slopes = np.concatenate([across[:, None] * _POSITIONS, down[:, None] * _POSITIONS], axis=1)
    return _Still(_normalise(still[:, DISC]), length, slopes)


def _inverse(weighted: Floats, slopes: Floats) -> Floats:
    squares = weighted @ slopes.swapaxes(1, 2)
    scale = np.trace(squares, axis1=1, axis2=2)[:, None, None]
    return np.linalg.inv(squares + (1e-4 * scale + 1e-9) * np.eye(6, dtype=np.float32))


def _fit_tone(pixels: Floats, target: Floats, weights: Floats) -> Floats:
    """Return pixels with the gain and the offset at which they fit best."""
    total = np.maximum(weights.sum(1, keepdims=True), 1e-6)
    centred = pixels - (weights * pixels).sum(1, keepdims=True) / total
    mean = (weights * target).sum(1, keepdims=True) / total
    common = (weights * centred * (target - mean)).sum(1, keepdims=True)
    gain = common / np.maximum((weights * centred**2).sum(1, keepdims=True), 1e-9)
    return np.clip(gain, _LEAST_GAIN, _MOST_GAIN) * centred + mean


def _compose(maps: Floats, steps: Floats) -> Floats:
    """Return the maps after the inverse of small steps."""
    limit = np.array([0.1, 0.1, 2], np.float32)
    linear = np.eye(2, dtype=np.float32) + np.clip(steps, -limit, limit)[..., :2]
    shift = np.clip(steps, -limit, limit)[..., 2:]
    left = maps[..., :2] @ np.linalg.inv(linear)
    return np.concatenate([left, maps[..., 2:] - left @ shift], axis=-1)


def _sample(images: Floats, at: Floats) -> Floats:
    """Return bilinear samples of n images at n × 2 × n_pixels positions from the centre."""
    x, y = np.clip(at + _CENTRE, 0, SIDE - 1.001).swapaxes(0, 1)
    column, row = x.astype(np.int32), y.astype(np.int32)
    right, lower = x - column, y - row
    first = row * SIDE + column + SIDE**2 * np.arange(len(images), dtype=np.int32)[:, None]
    flat = images.reshape(-1)
    upper_row = flat[first] * (1 - right) + flat[first + 1] * right
    lower_row = flat[first + SIDE] * (1 - right) + flat[first + SIDE + 1] * right
    return upper_row * (1 - lower) + lower_row * lower


def _length(pixels: Floats) -> Floats:
    centred = pixels - pixels.mean(1, keepdims=True)
    return np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-3)


def _normalise(pixels: Floats) -> Floats:
    return (pixels - pixels.mean(1, keepdims=True)) / _length(pixels)
