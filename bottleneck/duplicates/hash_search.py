"""Search for the nearest thumbnails by hash."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from bottleneck.duplicates.similarity import cut_windows, flip_free_hash, turn

__all__ = ["find_neighbours", "in_threads"]

Rows: TypeAlias = NDArray[np.intp]
Hashes: TypeAlias = NDArray[np.float32]
Progress: TypeAlias = Callable[[int, int, str], None]
T = TypeVar("T")
R = TypeVar("R")

_NEIGHBOURS = 10
_HASH_WIDTH = 64
_CELLS = 20_000_000
_TILE = 1024


def find_neighbours(
    thumbnails: NDArray[np.uint8], aspects: NDArray[np.float64], progress: Progress | None = None
) -> Rows:
    """Return the pairs of an image and its ten nearest by hash.

    The rotations of an image are compared with all images as they are, and the windows of its
    content with the content of all images.

    Parameters
    ----------
    thumbnails : ndarray of uint8, shape (n, 32, 32)
    aspects : ndarray of float, shape (n,)
        Width over height of the images.
    progress : callable or None
        Called with the number of images done, their total and a text.

    Returns
    -------
    ndarray of int, shape (n_pairs, 2)
        Rows, the smaller first, sorted; all pairs of at most eleven images.
    """
    n = len(thumbnails)
    if n <= _NEIGHBOURS + 1:
        return np.array(list(itertools.combinations(range(n), 2)), np.intp).reshape(-1, 2)
    parts = np.array_split(thumbnails, n // 1000 + 1)
    whole = np.concatenate(list(in_threads(flip_free_hash, parts)))
    content = np.concatenate(list(in_threads(_hash_content, parts)))
    mean = whole.mean(0)
    sample = np.random.default_rng(0).permutation(n)[:5000]
    axes = np.linalg.svd(whole[sample] - mean, full_matrices=False)[2][:_HASH_WIDTH].T

    def project(hashes: Hashes) -> Hashes:
        projected = (hashes - mean) @ axes
        length = np.linalg.norm(projected, axis=-1, keepdims=True)
        return projected / np.maximum(length, 1e-6)

    # In tiles that stay in the processor's cache.
    whole, content = project(whole).T, project(content).T
    tiles = [
        [np.ascontiguousarray(base[:, at : at + _TILE]) for base in (whole, content)]
        for at in range(0, n, _TILE)
    ]

    def find_nearest(rows: Rows) -> Rows:
        aspect = aspects[rows[0]]
        views = [
            [project(flip_free_hash(turn(thumbnails[r], aspect, step=5))) for r in _few(rows)],
            [project(flip_free_hash(cut_windows(thumbnails[r]))) for r in _few(rows)],
        ]
        hashes = [np.ascontiguousarray(np.concatenate(v).swapaxes(0, 1)) for v in views]
        nearness = np.empty((len(rows), n), np.float32)
        for number, others in enumerate(tiles):
            tile = np.full((len(rows), others[0].shape[1]), -1, np.float32)
            products = np.empty_like(tile)
            for made, base in zip(hashes, others, strict=True):
                for view in made:
                    np.maximum(tile, np.matmul(view, base, out=products), out=tile)
            nearness[:, number * _TILE : (number + 1) * _TILE] = tile
        nearness[np.arange(len(rows)), rows] = -np.inf
        nearest = np.argpartition(nearness, -_NEIGHBOURS, axis=1)[:, -_NEIGHBOURS:]
        return np.stack([np.repeat(rows, _NEIGHBOURS), nearest.ravel()], axis=1)

    height = max(1, min(256, _CELLS // n))
    blocks: list[Rows] = []
    for aspect in np.unique(aspects):
        same_aspect = np.flatnonzero(aspects == aspect)
        blocks += np.array_split(same_aspect, -(-len(same_aspect) // height))
    neighbours, done = [], 0
    for block, pairs in zip(blocks, in_threads(find_nearest, blocks), strict=True):
        neighbours.append(pairs)
        done += len(block)
        if progress is not None:
            progress(done, n, "searching for near-duplicates")
    return np.unique(np.sort(np.concatenate(neighbours), axis=1), axis=0)


def _hash_content(thumbnails: NDArray[np.uint8]) -> Hashes:
    return flip_free_hash(cut_windows(thumbnails, slice(1))[:, 0])


def _few(rows: Rows) -> list[Rows]:
    """Split rows into so few that all their views stay in the processor's cache."""
    return np.array_split(rows, -(-len(rows) // 8))


def in_threads(work: Callable[[T], R], parts: Sequence[T]) -> Iterator[R]:
    """Yield the result of each part in order, computed by one thread per processor core.

    The products are so small that threads of the matrix library would wait for each other longer
    than they work. The results do not depend on the number of threads.
    """
    from joblib import cpu_count
    from threadpoolctl import threadpool_limits

    pool = ThreadPoolExecutor(cpu_count())
    try:
        with threadpool_limits(1):
            yield from pool.map(work, parts)
    finally:
        pool.shutdown(cancel_futures=True)
