"""Alignment of two thumbnails, and their agreement where they are aligned.

A pair is matched in all flips, rotations and windows of ``similarity``; the best of these is the
start of an affine registration, which finds the angle, scale and shift between their steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.images.decode import THUMBNAIL_SIDE as SIDE
from bottleneck.duplicates.hash_search import in_threads
from bottleneck.duplicates.registration import register
from bottleneck.duplicates.similarity import (
    DISC,
    cut_windows,
    map_turns,
    map_windows,
    sharpen,
    turn,
    unit_pixels,
)

__all__ = ["agree", "align_pairs"]

Floats: TypeAlias = NDArray[np.float32]
Indices: TypeAlias = NDArray[np.intp]

_STEP = 3
_BLOCK = 6
_BLOCKS_THAT_AGREE = 2 / 3
# A block with less than this share of the contrast it would have on average holds no detail.
_EMPTY = 0.1
# Pairs that correlate less at the start are not registered. A third of random pairs reach it.
_PROMISING = 0.2


class _Prepared(NamedTuple):
    """Thumbnails as they are and without margins, ready to be compared.

    Attributes
    ----------
    details : ndarray of float32, shape (2, n, 32, 32)
        Sharpened thumbnails, then their sharpened content.
    units : ndarray of float32, shape (2, n, n_pixels)
        Their central discs, centred and of length 1.
    """

    details: Floats
    units: Floats


class _Matches(NamedTuple):
    """Best flip, rotation or window of one image for each of n others.

    Attributes
    ----------
    agreement, correlation : ndarray of float, shape (n,)
        Agreement of blocks, and correlation of the discs.
    inner : ndarray of int, shape (n,)
        1 where the content without margins was matched, 0 where the whole images were.
    flip : ndarray of int, shape (n,)
        Flip of the other image, 0 to 7.
    maps : ndarray of float32, shape (n, 2, 3)
        Affine maps from the pixels of the flipped other image to those of the one.
    """

    agreement: Floats
    correlation: Floats
    inner: Indices
    flip: Indices
    maps: Floats


def agree(
    thumbnail: NDArray[np.uint8], aspect: float, others: NDArray[np.uint8]
) -> NDArray[np.float64]:
    """Return the agreement of other images with one.

    Parameters
    ----------
    thumbnail : ndarray of uint8, shape (32, 32)
    aspect : float
        Width over height of its image.
    others : ndarray of uint8, shape (n, 32, 32)

    Returns
    -------
    ndarray of float64, shape (n,)
        The correlation that two thirds of the blocks of 6 × 6 pixels reach or exceed, among
        blocks with any detail; 0 if fewer than half of them have any. A near-duplicate agrees
        in all blocks; images of two patients from one scanner agree only in its letters and
        scales.
    """
    prepared = _prepare(others)
    one, all_others = np.zeros(len(others), np.intp), np.arange(len(others))
    found = _match(thumbnail, aspect, prepared, all_others)
    registered = _register(_prepare(thumbnail[None]), one, prepared, all_others, found)
    return np.maximum(found.agreement, registered).astype(np.float64)


def align_pairs(
    pairs: Indices,
    thumbnails: NDArray[np.uint8],
    aspects: NDArray[np.float64],
    progress: Callable[[int, int, str], None] | None = None,
) -> NDArray[np.float64]:
    """Return the agreement of pairs, the better of moving one image or the other.

    Parameters
    ----------
    pairs : ndarray of int, shape (n_pairs, 2)
        Rows of the two images of each pair.
    thumbnails : ndarray of uint8, shape (n, 32, 32)
    aspects : ndarray of float, shape (n,)
        Width over height of the images.
    progress : callable or None
        Called with the number of images done, their total and a text.

    Returns
    -------
    ndarray of float64, shape (n_pairs,)
        As for ``agree``.
    """
    if not len(pairs):
        return np.empty(0)
    # Each image is turned once, for all pairs that it is in.
    result = np.full(2 * len(pairs), -1, np.float32)
    images, others = pairs.T.ravel(), pairs[:, ::-1].T.ravel()
    order = np.argsort(images, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(images[order])) + 1)

    def align(some: Sequence[Indices]) -> None:
        chosen = np.concatenate(some)
        moved, one = np.unique(images[chosen], return_inverse=True)
        partners, other = np.unique(others[chosen], return_inverse=True)
        prepared = _prepare(thumbnails[partners])
        ends = np.cumsum([len(rows) for rows in some])[:-1]
        found = [
            _match(thumbnails[row], aspects[row], prepared, columns)
            for row, columns in zip(moved, np.split(other, ends), strict=True)
        ]
        matches = _Matches(*(np.concatenate(part) for part in zip(*found, strict=True)))
        registered = _register(_prepare(thumbnails[moved]), one, prepared, other, matches)
        result[chosen] = np.maximum(matches.agreement, registered)

    parts = [groups[start : start + 64] for start in range(0, len(groups), 64)]
    done = 0
    for part, _ in zip(parts, in_threads(align, parts), strict=True):
        done += len(part)
        if progress is not None:
            progress(done, len(groups), "aligning similar images")
    return result.reshape(2, -1).max(axis=0).astype(np.float64)


def _prepare(thumbnails: NDArray[np.uint8]) -> _Prepared:
    """Return what the alignment needs of thumbnails of shape (n, 32, 32)."""
    both = np.stack([thumbnails.astype(np.float32), cut_windows(thumbnails, slice(1))[:, 0]])
    return _Prepared(sharpen(both), unit_pixels(both))


def _match(
    thumbnail: NDArray[np.uint8], aspect: float, others: _Prepared, chosen: Indices
) -> _Matches:
    """Return the best flip, and rotation or window, of one image for each of n others."""
    turned = unit_pixels(turn(thumbnail, aspect, step=_STEP))
    cut = unit_pixels(cut_windows(thumbnail[None])[0])
    maps = np.concatenate([map_turns(float(aspect), _STEP), map_windows()])
    n = len(chosen)
    flipped = others.units[:, chosen][..., _DISC_FLIPS]
    found = []
    for views, images in zip((turned, cut), flipped, strict=True):
        products = (images.reshape(8 * n, -1) @ views.T).reshape(n, -1)
        best = products.argmax(1)
        flip, view = np.divmod(best, len(views))
        each = np.arange(n)
        correlation = products[each, best]
        found.append((correlation, _agreement(views[view], images[each, flip]), flip, view))
    (whole, *_), (inside, *_) = found
    inner = (inside > whole).astype(np.intp)
    correlation, agreement, flip, view = (
        np.where(inner, two, one) for one, two in zip(*found, strict=True)
    )
    agreement = np.maximum(found[0][1], found[1][1])
    return _Matches(agreement, correlation, inner, flip, maps[view + inner * len(turned)])


def _register(
    images: _Prepared, rows: Indices, others: _Prepared, columns: Indices, matches: _Matches
) -> Floats:
    """Return the agreement of pairs after an affine registration, shape (n_pairs,).

    Pairs that do not correlate at the start have -1.

    Parameters
    ----------
    images, others : _Prepared
    rows, columns : ndarray of int, shape (n_pairs,)
        Index of each pair in ``images`` and in ``others``.
    matches : _Matches
        Start of each pair.
    """
    result = np.full(len(rows), -1, np.float32)
    promising = np.flatnonzero(matches.correlation >= _PROMISING)
    # So few at once that they stay in the processor's cache.
    for chosen in np.array_split(promising, len(promising) // 32 + 1):
        inner, flip = matches.inner[chosen], matches.flip[chosen]
        moving = images.details[inner, rows[chosen]]
        still = others.details[inner, columns[chosen]].reshape(-1, SIDE**2)
        still = still[np.arange(len(chosen))[:, None], _FLIPS[flip]]
        pixels = register(moving, still.reshape(-1, SIDE, SIDE), matches.maps[chosen])
        result[chosen] = _agreement(*pixels)
    return result


def _agreement(a: Floats, b: Floats) -> Floats:
    """Return the agreement of aligned pairs of unit pixels, shape (n,)."""
    products = (a * b) @ _BLOCKS.T
    one, other = (a * a) @ _BLOCKS.T, (b * b) @ _BLOCKS.T
    local = products / np.sqrt(np.maximum(one * other, 1e-18))
    # Blocks that are black or white in both images say nothing about agreement.
    empty = np.maximum(one, other) < _EMPTY / len(_BLOCKS)
    local = np.sort(np.where(empty, np.inf, local), axis=1)
    filled = (~empty).sum(1)
    chosen = ((filled - 1) * (1 - _BLOCKS_THAT_AGREE)).astype(int).clip(0)
    result = local[np.arange(len(local)), chosen]
    return np.where(filled >= len(_BLOCKS) / 2, result, 0).astype(np.float32)


def _flips() -> Indices:
    """Return the orders of the pixels that flip and turn them, shape (8, n_all_pixels)."""
    number = np.arange(SIDE**2).reshape(SIDE, SIDE)
    quarters = [np.rot90(number, k) for k in range(4)]
    return np.stack([q.ravel() for k in quarters for q in (k, k[:, ::-1])])


def _blocks() -> Floats:
    """Return which pixels of the disc lie in which block, shape (n_blocks, n_pixels)."""
    across = (SIDE % _BLOCK // 2 + np.arange(SIDE)) // _BLOCK
    labels = (across[:, None] * SIDE + across)[DISC]
    names, counts = np.unique(labels, return_counts=True)
    full = names[counts >= 0.6 * _BLOCK**2]
    return (labels == full[:, None]).astype(np.float32)


_FLIPS = _flips()
# The same for the pixels of the disc, which flips do not change.
_DISC_FLIPS = (np.cumsum(DISC) - 1)[_FLIPS[:, DISC.ravel()]]
_BLOCKS = _blocks()
