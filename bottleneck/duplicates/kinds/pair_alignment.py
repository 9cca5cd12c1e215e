"""Alignment of two thumbnails, and what is left of their difference."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bottleneck.data.images.decode import THUMBNAIL_SIDE as SIDE
from bottleneck.duplicates.registration import find_maps
from bottleneck.duplicates.similarity import cut_margins, sharpen, turn

__all__ = ["Alignment", "align_pair"]

Grey: TypeAlias = NDArray[np.float64]

_CENTRE = (SIDE - 1) / 2
_Y, _X = np.mgrid[:SIDE, :SIDE] - _CENTRE
_STEP = 6  # Degrees from one rotation that is tried to the next.
_SCALES = (0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.4)
_STARTS = 3
_LEVELS = 12
_ZOOMED = [n for n in range(len(_SCALES) ** 2) if n != len(_SCALES) ** 2 // 2]
# Share of the second image that the first must cover.
_LEAST_COVER = 0.45
# Below this length of its gradient, a pixel says nothing about where the images are.
_FLAT = 1.0
# A difference of this share of the contrast is a caption or a mark, on such a share of the image.
_MARK, _LEAST_MARKED, _MOST_MARKED = 0.5, 0.02, 0.35


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Alignment:
    """How one thumbnail becomes another, and what is left of their difference.

    Attributes
    ----------
    mirrored : bool
        Whether the image was mirrored.
    degrees : float
        Rotation, from -180 to 180.
    scale : tuple of float
        Enlargement along the axes of the first image.
    shift : tuple of float
        Movement of the centre to the right and down, as a share of the side.
    brightness : float
        Largest change of a common grey value, as a share of the contrast of the image.
    residual : ndarray of float, shape (32, 32)
        Difference that is left, as a share of the contrast; NaN outside the first image.
    textured : ndarray of bool, shape (32, 32)
        Pixels with detail, in which a difference would show.
    """

    mirrored: bool
    degrees: float
    scale: tuple[float, float]
    shift: tuple[float, float]
    brightness: float
    residual: Grey
    textured: NDArray[np.bool_]

    def left(self, share: float) -> float:
        """Return the residual that a share of the pixels with detail does not exceed."""
        values = self.residual[self.textured]
        return float(np.quantile(values, share)) if len(values) else 0.0

    @property
    def error(self) -> float:
        """Residual of six tenths of the detail, and 1 more where little of one covers the other."""
        cover = float(np.isfinite(self.residual).mean())
        return self.left(0.6) + (cover < _LEAST_COVER)

    @property
    def is_marked(self) -> bool:
        """Whether a caption or a mark changed a small part, and little else changed."""
        known = self.residual[np.isfinite(self.residual)]
        return _LEAST_MARKED < float((known > _MARK).mean()) < _MOST_MARKED


def align_pair(one: NDArray[np.uint8], other: NDArray[np.uint8], *, moved: bool) -> Alignment:
    """Align one thumbnail with another.

    Flips, rotations, scales and shifts that are tried are refined to an affine map, in which
    pixels that disagree weigh less. Grey values may change by any curve.

    Parameters
    ----------
    one, other : ndarray of uint8, shape (32, 32)
        Thumbnails.
    moved : bool
        Whether anything but the grey values may have changed.
    """
    a, b = one.astype(float), other.astype(float)
    if not moved:
        return _describe(a, b, np.eye(2), np.zeros(2), 0, 0.0)
    starts = list(_starts(a, b))
    moving = _smooth(np.stack([turned for turned, *_ in starts]))
    still = _smooth(np.stack([_flip(b, flip) for _, flip, *_ in starts]))
    maps = np.array([np.column_stack(start[3:]) for start in starts], np.float32)
    made = (
        _describe(turned, _flip(b, flip), found[:, :2], found[:, 2], flip, degrees)
        for (turned, flip, degrees, *_), found in zip(
            starts, find_maps(moving, still, maps), strict=True
        )
    )
    return min(made, key=lambda alignment: alignment.error)


def _smooth(images: Grey) -> NDArray[np.float32]:
    return ndimage.gaussian_filter(images, (0, 0.7, 0.7)).astype(np.float32)


def _flip(image: Grey, number: int) -> Grey:
    """Return one of the eight flips and quarter turns."""
    turned = np.rot90(image, number // 2)
    return turned[:, ::-1] if number % 2 else turned


def _starts(a: Grey, b: Grey) -> Iterator[tuple[Grey, int, float, Grey, Grey]]:
    """Yield the alignments of ``a`` with ``b`` from which to refine: none, and the likeliest."""
    yield a, 0, 0.0, np.eye(2), np.zeros(2)
    if (margins := cut_margins(np.stack([a, b]))).std(0).any():
        yield a, 0, 0.0, *_map_content(*margins)
    turned, degrees, zooms = turn(a, 1.0, _STEP).astype(float), _angles(), _zooms()
    lines = _zoom_lines()
    zoomed = (lines @ a)[None] @ lines.swapaxes(1, 2)[:, None]
    zoomed = zoomed.reshape(-1, SIDE, SIDE)[_ZOOMED]
    spectra = np.fft.rfft2(_normed(np.concatenate([turned, zoomed])))
    target = np.fft.rfft2(_normed(np.stack([_flip(b, number) for number in range(8)])))
    match = np.fft.irfft2(np.conj(spectra)[:, None] * target[None], s=(SIDE, SIDE))
    peaks = match.reshape(-1, SIDE * SIDE)
    for number in np.argsort(-peaks.max(1))[:_STARTS].tolist():
        at, flip = divmod(number, 8)
        row, column = divmod(int(peaks[number].argmax()), SIDE)
        # The second image at a place is the first one at that place less the movement.
        shift = np.array([-_wrapped(column), -_wrapped(row)], float)
        if at < len(turned):
            yield turned[at], flip, degrees[at], np.eye(2), shift
        else:
            matrix = zooms[at - len(turned)]
            yield a, flip, 0.0, matrix, matrix @ shift


def _map_content(one: Grey, other: Grey) -> tuple[Grey, Grey]:
    """Return the map between the edges of what lies within the margins of two images."""
    (before, after), (to_before, to_after) = one.reshape(2, 2), other.reshape(2, 2)
    scale = (after - before) / (to_after - to_before)
    shift = (before + after - SIDE) / 2 - scale * (to_before + to_after - SIDE) / 2
    return np.diag(scale), shift


def _wrapped(place: int) -> int:
    return place - SIDE if place > SIDE // 2 else place


@functools.cache
def _angles() -> list[float]:
    within = list(range(-45, 46, _STEP))
    return [float(a) for a in (*within, *(a for a in within if a))]


@functools.cache
def _zooms() -> list[Grey]:
    scales = [(x, y) for x in _SCALES for y in _SCALES]
    return [np.diag([1 / x, 1 / y]) for x, y in scales if (x, y) != (1, 1)]


@functools.cache
def _zoom_lines() -> Grey:
    """Return the scalings of one axis as matrices, shape (n_scales, 32, 32)."""
    lines = np.tile(np.eye(SIDE)[:, :, None], SIDE)
    made = [
        [_warp(line, np.diag([1.0, 1 / scale]), np.zeros(2))[0][:, 0] for line in lines]
        for scale in _SCALES
    ]
    return np.array(made).swapaxes(1, 2)


def _normed(images: NDArray) -> Grey:
    detail = sharpen(images).astype(float)
    detail -= detail.mean((-2, -1), keepdims=True)
    return detail / np.maximum(np.sqrt((detail**2).sum((-2, -1), keepdims=True)), 1e-6)


def _warp(image: Grey, matrix: Grey, shift: Grey) -> tuple[Grey, NDArray[np.bool_]]:
    """Return an image at the places that a map has, and which of these lie in it."""
    x = matrix[0, 0] * _X + matrix[0, 1] * _Y + shift[0] + _CENTRE
    y = matrix[1, 0] * _X + matrix[1, 1] * _Y + shift[1] + _CENTRE
    inside = (x >= 0) & (x <= SIDE - 1) & (y >= 0) & (y <= SIDE - 1)
    return ndimage.map_coordinates(image, [y, x], order=1, mode="nearest"), inside


def _describe(
    turned: Grey, flipped: Grey, matrix: Grey, shift: Grey, flip: int, degrees: float
) -> Alignment:
    """Return the alignment that a map of two thumbnails makes, after a flip and a rotation."""
    a, b = ndimage.gaussian_filter(turned, 0.7), ndimage.gaussian_filter(flipped, 0.7)
    moved, inside = _warp(a, matrix, shift)
    if not inside.any():  # Nothing of one lies in the other: no alignment.
        moved, inside = a, np.ones_like(inside)
    contrast = max(float(b[inside].std()), 1.0)
    curve = _tone(moved[inside], b[inside])
    residual = np.where(inside, np.abs(b - np.interp(moved, *curve)) / contrast, np.nan)
    slope = np.hypot(*np.gradient(b))
    textured = inside & (slope > max(_FLAT, float(np.median(slope[inside]))))
    left, _, right = np.linalg.svd(matrix)
    rotation = left @ right
    angle = np.degrees(np.arctan2(rotation[1, 0], rotation[0, 0]))
    axes = 1 / np.maximum(np.abs((matrix @ rotation.T).diagonal()), 1e-3)
    quarter, mirrored = divmod(flip, 2)
    total = (90 * quarter + (-1 if mirrored else 1) * (degrees + angle) + 180) % 360 - 180
    return Alignment(
        mirrored=bool(mirrored),
        degrees=float(total),
        scale=(float(axes[0]), float(axes[1])),
        shift=(float(-shift[0] / SIDE), float(-shift[1] / SIDE)),
        brightness=float(np.abs(curve[1] - curve[0])[1:-1].max(initial=0) / contrast),
        residual=residual,
        textured=textured,
    )


def _tone(a: Grey, b: Grey) -> tuple[Grey, Grey]:
    """Return grey values, and what most pixels of such a value have become."""
    # Few pixels are as dark or bright as the ends. Equal values have one place.
    edges = np.unique(np.quantile(a, [0.01, *np.linspace(0, 1, _LEVELS + 1)[1:-1], 0.99]))
    level = np.searchsorted(edges, a, side="left")
    parts = [level == number for number in np.unique(level)]
    before = np.array([np.median(a[part]) for part in parts])
    return before, np.array([np.median(b[part]) for part in parts])
