"""Search for identical images by hash, and for near-duplicates by thumbnail."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bottleneck.duplicates.similarity import agree, flip_free_hash, turn, unit_pixels

__all__ = [
    "MANY",
    "DuplicatePair",
    "NearDuplicateSearch",
    "find_identical",
    "find_near_duplicates",
]

Strings: TypeAlias = NDArray[np.str_]
Rows: TypeAlias = NDArray[np.intp]

_NEIGHBOURS = 10
_HASH_WIDTH = 64
_CALIBRATION_ROWS = 150
_SIMILARITY_ROWS = 1000
# Expected number of false pairs in the whole data set: by agreement alone, and for doubtful
# pairs before their features are compared.
_FALSE_PAIRS = 0.1
_DOUBTFUL_PAIRS = 100.0
_RARE = 0.001
# Range of the threshold. Below the first, no two images look like duplicates to the eye. Real
# near-duplicates reach the second, even where images of different patients share a frame and
# the extrapolation would ask for more.
_LEAST, _MOST = 0.5, 0.8
# If a larger share of the sampled pairs agrees as near-duplicates do, the images share a frame
# and the threshold may rise to _UTMOST. With fewer than _FEW pairs this cannot be decided.
_COPIED, _FEW, _UTMOST = 0.05, 400, 0.99
# Images that occur more often are paired with their neighbours, not each with each.
MANY = 32
_CELLS = 20_000_000


@dataclasses.dataclass(frozen=True, slots=True)
class DuplicatePair:
    """Two rows of one image, or nearly: a copy, or a neighbouring frame of one recording.

    Attributes
    ----------
    a, b : int
        Rows, a < b.
    identical : bool
        Whether the decoded pixels are equal; otherwise one is a near-duplicate of the other.
    agreement : float
        Agreement of the thumbnails at their best alignment, at most 1.
    similarity : float or None
        Cosine of the standardised features; None where there are none.
    """

    a: int
    b: int
    identical: bool
    agreement: float
    similarity: float | None


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
) -> NearDuplicateSearch:
    """Find near-duplicates among images that are not identical.

    Each image is aligned with its nearest neighbours by hash. The threshold of the agreement is
    extrapolated from pairs of different patients, so that 0.1 pairs of the data set are expected
    to reach it by chance. A doubtful pair, of an agreement that 100 pairs would reach by chance,
    counts if its features are more similar than those of all but one in a thousand pairs of
    different patients.

    Parameters
    ----------
    thumbnails : ndarray of uint8, shape (n, 32, 32)
        Grey thumbnails of images with different pixels.
    aspects : ndarray of float, shape (n,)
        Width over height of the images.
    patients : ndarray of str, shape (n,)
        Patient of each image.
    features : ndarray of float32, shape (n, n_features), or None
        Features that confirm doubtful pairs; without them no doubtful pair counts.

    Returns
    -------
    NearDuplicateSearch
        Its rows are those of the arguments.

    Notes
    -----
    The search costs 37 · 64 · n² multiplications in blocked matrix products and memory for
    n² in blocks of 20 million cells; the alignment takes about 2 ms per image.
    """
    n = len(thumbnails)
    compared = n * (n - 1) // 2
    units = unit_pixels(thumbnails)
    candidates = _search(thumbnails, aspects)
    agreement = _align(candidates, thumbnails, aspects, units)
    chance = _sample_agreement(thumbnails, aspects, units, patients)
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
    directions = None if features is None else _standardise(features)
    similar = 1.0 if directions is None else _similarity_by_chance(directions, patients, matched)
    pairs = []
    for (i, j), r in zip(matched, agreement[agreement >= doubtful], strict=True):
        cosine = None if directions is None else float(directions[i] @ directions[j])
        if r >= threshold or (cosine is not None and cosine > similar):
            pairs.append(DuplicatePair(int(i), int(j), False, float(r), cosine))
    certain = float(np.clip(reached, threshold, _UTMOST))
    return NearDuplicateSearch(
        tuple(pairs), threshold, doubtful, similar, compared, reached > _MOST, certain
    )


def _search(thumbnails: NDArray[np.uint8], aspects: NDArray[np.float64]) -> Rows:
    """Return the pairs of nearest neighbours by hash, shape (n_pairs, 2), a < b, sorted."""
    n = len(thumbnails)
    if n <= _NEIGHBOURS + 1:
        return np.array(list(itertools.combinations(range(n), 2)), np.intp).reshape(-1, 2)
    parts = np.array_split(thumbnails, n // 1000 + 1)
    base = np.concatenate([flip_free_hash(part) for part in parts])
    mean = base.mean(0)
    sample = np.random.default_rng(0).permutation(n)[:5000]
    axes = np.linalg.svd(base[sample] - mean, full_matrices=False)[2][:_HASH_WIDTH].T

    def project(hashes: NDArray[np.float32]) -> NDArray[np.float32]:
        projected = (hashes - mean) @ axes
        length = np.linalg.norm(projected, axis=-1, keepdims=True)
        return projected / np.maximum(length, 1e-6)

    base = project(base)
    neighbours = []
    height = max(1, min(256, _CELLS // n))
    for aspect in np.unique(aspects):
        same_aspect = np.flatnonzero(aspects == aspect)
        for rows in np.array_split(same_aspect, -(-len(same_aspect) // height)):
            turned = project(flip_free_hash(turn(thumbnails[rows], aspect, step=5)))
            nearness = turned[:, 0] @ base.T
            for hashes in turned.swapaxes(0, 1)[1:]:
                np.maximum(nearness, hashes @ base.T, out=nearness)
            nearness[np.arange(len(rows)), rows] = -np.inf
            nearest = np.argpartition(nearness, -_NEIGHBOURS, axis=1)[:, -_NEIGHBOURS:]
            neighbours.append(np.stack([np.repeat(rows, _NEIGHBOURS), nearest.ravel()], axis=1))
    return np.unique(np.sort(np.concatenate(neighbours), axis=1), axis=0)


def _align(
    pairs: Rows, thumbnails: NDArray, aspects: NDArray, units: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return the agreement of pairs, the better of turning one image or the other."""
    from threadpoolctl import threadpool_limits

    result = np.full(len(pairs), -1.0)
    # On such small products, threads wait for each other longer than they work.
    with threadpool_limits(1):
        for column in (0, 1):
            order = np.argsort(pairs[:, column], kind="stable")
            ends = np.flatnonzero(np.diff(pairs[order, column])) + 1
            for chosen in np.split(order, ends) if len(order) else ():
                one = pairs[chosen[0], column]
                agreement = agree(thumbnails[one], aspects[one], units[pairs[chosen, 1 - column]])
                result[chosen] = np.maximum(result[chosen], agreement)
    return result


def _sample_agreement(
    thumbnails: NDArray, aspects: NDArray, units: NDArray[np.float32], patients: Strings
) -> NDArray[np.float64]:
    """Return the agreement of random pairs of different patients."""
    rows = np.sort(np.random.default_rng(0).permutation(len(units))[:_CALIBRATION_ROWS])
    a, b = (rows[i] for i in np.triu_indices(len(rows), 1))
    other = patients[a] != patients[b]
    return _align(np.stack([a[other], b[other]], axis=1), thumbnails, aspects, units)


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


def _standardise(X: NDArray[np.float32]) -> NDArray[np.float32]:
    spread = X.std(0)
    scaled = (X - X.mean(0)) / np.where(spread > 0, spread, 1)
    return scaled / np.maximum(np.linalg.norm(scaled, axis=1, keepdims=True), 1e-6)


def _similarity_by_chance(
    directions: NDArray[np.float32], patients: Strings, matched: Rows
) -> float:
    """Return the similarity that one in a thousand pairs of different patients exceeds.

    1 where there are too few pairs.
    """
    rows = np.sort(np.random.default_rng(0).permutation(len(directions))[:_SIMILARITY_ROWS])
    cosines = directions[rows] @ directions[rows].T
    counted = patients[rows][:, None] != patients[rows]
    place = np.full(len(directions), -1)
    place[rows] = np.arange(len(rows))
    a, b = place[matched].T
    drawn = (a >= 0) & (b >= 0)
    counted[a[drawn], b[drawn]] = counted[b[drawn], a[drawn]] = False
    chance = cosines[counted]
    return float(np.quantile(chance, 1 - _RARE)) if len(chance) >= 1 / _RARE else 1.0
