"""Search for identical images by hash, and for near-duplicates by thumbnail."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bottleneck.duplicates.alignment import align_pairs
from bottleneck.duplicates.hash_search import find_neighbours
from bottleneck.duplicates.kinds.duplicate_pair import DuplicatePair
from bottleneck.text.short_repr import show_fields

__all__ = [
    "MANY",
    "NearDuplicateSearch",
    "find_identical",
    "find_near_duplicates",
]

Strings: TypeAlias = NDArray[np.str_]
Rows: TypeAlias = NDArray[np.intp]
Progress: TypeAlias = Callable[[int, int, str], None]

_CALIBRATION_ROWS, _CALIBRATION_PAIRS = 150, 5000
_SIMILARITY_ROWS = 1000
# Expected number of false pairs in the whole data set: by agreement alone, and for doubtful
# pairs before their features are compared.
_FALSE_PAIRS = 0.1
_DOUBTFUL_PAIRS = 100.0
_RARE = 0.001
# Range of the threshold. Below the first, no two images look like duplicates to the eye. Real
# near-duplicates reach the second, even where images of different patients share a frame and
# the extrapolation would ask for more.
_LEAST, _MOST = 0.5, 0.85
# If a larger share of the sampled pairs agrees as near-duplicates do, the images share a frame
# and the threshold may rise to _UTMOST. With fewer than _FEW pairs this cannot be decided.
_COPIED, _FEW, _UTMOST = 0.05, 400, 0.99
# Images that occur more often are paired with their neighbours, not each with each.
MANY = 32


@dataclasses.dataclass(frozen=True)
class NearDuplicateSearch:
    """Near-duplicates of a data set, and the thresholds that a pair had to reach.

    Attributes
    ----------
    pairs : tuple of DuplicatePair
        Sorted by rows.
    threshold : float
        Agreement from which on a pair counts.
    doubtful : float
        Agreement from which on a pair counts if its features are similar as well.
    similarity : float
        Similarity of the features that confirms a doubtful pair; 1 without features.
    compared : int
        Number of pairs in the data set.
    capped : bool
        Whether images of different patients are so similar that the threshold for at most
        0.1 false pairs could not be kept.
    certain : float
        Agreement from which on at most 0.1 false pairs are expected, at most 0.99. It is larger
        than ``threshold`` only if ``capped`` is set.
    """

    pairs: tuple[DuplicatePair, ...]
    threshold: float
    doubtful: float
    similarity: float
    compared: int
    capped: bool
    certain: float = _UTMOST

    __repr__ = show_fields


def find_identical(pixels: Strings, order: Rows) -> Iterator[tuple[int, int]]:
    """Yield the pairs of rows with equal pixels.

    Parameters
    ----------
    pixels : ndarray of str, shape (n_samples,)
        Hashes of the decoded pixels.
    order : ndarray of int, shape (n_samples,)
        All rows, sorted so that those of one fold, patient and label are neighbours. An image
        that occurs more than 32 times is paired with its neighbours in this order only, which
        still connects all its rows, and any two folds, patients or labels among them.

    Yields
    ------
    tuple of int
        Two rows, the smaller first.
    """
    _, codes = np.unique(pixels, return_inverse=True)
    by_image = order[np.argsort(codes[order], kind="stable")]
    ends = np.flatnonzero(np.diff(codes[by_image])) + 1
    for rows in np.split(by_image, ends):
        paired = itertools.combinations if len(rows) <= MANY else _neighbours
        for a, b in paired(rows.tolist(), 2):
            yield min(a, b), max(a, b)


def _neighbours(rows: list[int], _: int) -> Iterator[tuple[int, int]]:
    return itertools.pairwise(rows)


def find_near_duplicates(
    thumbnails: NDArray[np.uint8],
    aspects: NDArray[np.float64],
    patients: Strings,
    features: NDArray[np.float32] | None = None,
    *,
    rows: Rows | None = None,
    progress: Progress | None = None,
) -> NearDuplicateSearch:
    """Find near-duplicates among images that are not identical.

    Each image, and its content without margins, is aligned with its nearest neighbours by hash.
    The threshold of the agreement is extrapolated from pairs of different patients, so that 0.1
    pairs of the data set are expected to reach it by chance. A doubtful pair, of an agreement that
    100 pairs would reach by chance, counts if its features are more similar than those of all but
    one in a thousand pairs of different patients.

    Parameters
    ----------
    thumbnails : ndarray of uint8, shape (n, 32, 32)
        Grey thumbnails of images with different pixels.
    aspects : ndarray of float, shape (n,)
        Width over height of the images.
    patients : ndarray of str, shape (n,)
        Patient of each image.
    features : ndarray of float32, shape (n_all, n_features), or None
        Features that confirm doubtful pairs; without them no doubtful pair counts.
    rows : ndarray of int, shape (n,), or None
        Row of each image in ``features``; by default they have the same order.
    progress : callable or None
        Called with the number of images done, their total and a text.

    Returns
    -------
    NearDuplicateSearch
        Its rows are those of the arguments.

    Notes
    -----
    The search costs 101 · 64 · n² multiplications in blocked matrix products (119 · 64 · n² if the
    images are not square) and memory for n² in blocks of 20 million cells per processor core;
    hashing and aligning an image takes about 7 ms. ``benchmarks/growth.md`` has the times.
    """
    n = len(thumbnails)
    compared = n * (n - 1) // 2
    candidates = find_neighbours(thumbnails, aspects, progress)
    agreement = align_pairs(candidates, thumbnails, aspects, progress)
    chance = _sample_agreement(thumbnails, aspects, patients)
    first = min(_extrapolate(chance, (0.5, 0.9), compared, _FALSE_PAIRS), _MOST)
    most = _MOST
    if np.count_nonzero(chance >= first) <= _COPIED * max(len(chance), _FEW):
        # A few pairs this high are duplicates under several patients' names, not chance.
        chance = chance[chance < first]
    else:
        most = _UTMOST
    reached = _extrapolate(chance, (0.9, 0.99), compared, _FALSE_PAIRS)
    threshold = float(np.clip(reached, _LEAST, most))
    expected = min(_DOUBTFUL_PAIRS, _RARE * compared)
    doubtful = min(_extrapolate(chance, (0.9, 0.99), compared, expected), threshold)
    matched = candidates[agreement >= doubtful]
    similar, cosines = 1.0, None
    if features is not None:
        standardise = _standardiser(features, np.arange(n) if rows is None else rows)
        similar = _similarity_by_chance(standardise, patients, matched)
        cosines = np.concatenate(
            [
                np.einsum("ij,ij->i", *(standardise(side) for side in part.T))
                for part in np.array_split(matched, len(matched) // 1000 + 1)
            ]
        )
    pairs = []
    for k, ((i, j), r) in enumerate(zip(matched, agreement[agreement >= doubtful], strict=True)):
        cosine = None if cosines is None else float(cosines[k])
        if r >= threshold or (cosine is not None and cosine > similar):
            pairs.append(DuplicatePair(int(i), int(j), False, float(r), cosine))
    certain = float(np.clip(reached, threshold, _UTMOST))
    return NearDuplicateSearch(
        tuple(pairs), threshold, doubtful, similar, compared, reached > _MOST, certain
    )


def _sample_agreement(
    thumbnails: NDArray, aspects: NDArray, patients: Strings
) -> NDArray[np.float64]:
    """Return the agreement of random pairs of different patients."""
    rng = np.random.default_rng(0)
    rows = np.sort(rng.permutation(len(thumbnails))[:_CALIBRATION_ROWS])
    pairs = rows[np.stack(np.triu_indices(len(rows), 1), axis=1)]
    pairs = pairs[patients[pairs[:, 0]] != patients[pairs[:, 1]]]
    drawn = np.sort(rng.permutation(len(pairs))[:_CALIBRATION_PAIRS])
    return align_pairs(pairs[drawn], thumbnails, aspects)


def _extrapolate(
    chance: NDArray[np.float64],
    levels: tuple[float, float],
    compared: int,
    expected: float,
) -> float:
    """Return the agreement that ``expected`` of all pairs reach by chance.

    The upper tail of Fisher's z is taken to be exponential, through two quantiles.
    """
    if len(chance) < 1 / (1 - levels[1]):
        return 1.0
    low, high = np.arctanh(np.clip(np.quantile(chance, levels), -0.999, 0.999))
    slope = (high - low) / np.log((1 - levels[0]) / (1 - levels[1]))
    z = high + slope * np.log((1 - levels[1]) * compared / expected)
    return float(np.tanh(z))


def _standardiser(X: NDArray[np.float32], rows: Rows) -> Callable[[Rows], NDArray[np.float32]]:
    """Return a function of images that returns their standardised features, of length 1.

    Only the rows asked for are held, since ``X`` can be most of the memory.
    """
    parts = np.array_split(rows, -(-len(rows) // 1000))
    mean = np.sum([X[part].sum(0, dtype=np.float64) for part in parts], axis=0) / len(rows)
    squares = np.zeros(X.shape[1])
    for part in parts:
        squares += ((X[part] - mean) ** 2).sum(0)
    spread = np.sqrt(squares / len(rows))
    # Values that are all the same differ from their mean by rounding errors only.
    spread = np.where(spread > 1e-6 * np.abs(mean), spread, 1).astype(np.float32)
    centre = mean.astype(np.float32)

    def standardise(images: Rows) -> NDArray[np.float32]:
        scaled = (X[rows[images]] - centre) / spread
        return scaled / np.maximum(np.linalg.norm(scaled, axis=1, keepdims=True), 1e-6)

    return standardise


def _similarity_by_chance(
    standardise: Callable[[Rows], NDArray[np.float32]], patients: Strings, matched: Rows
) -> float:
    """Return the similarity that one in a thousand pairs of different patients exceeds.

    1 where there are too few pairs.
    """
    n = len(patients)
    rows = np.sort(np.random.default_rng(0).permutation(n)[:_SIMILARITY_ROWS])
    directions = standardise(rows)
    cosines = directions @ directions.T
    counted = patients[rows][:, None] != patients[rows]
    place = np.full(n, -1)
    place[rows] = np.arange(len(rows))
    a, b = place[matched].T
    drawn = (a >= 0) & (b >= 0)
    counted[a[drawn], b[drawn]] = counted[b[drawn], a[drawn]] = False
    chance = cosines[counted]
    return float(np.quantile(chance, 1 - _RARE)) if len(chance) >= 1 / _RARE else 1.0
