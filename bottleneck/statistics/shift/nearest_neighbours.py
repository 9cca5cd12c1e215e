"""Nearest training samples of new samples, in the distance of ``training_distances``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bottleneck.statistics.shift.training_distances import (
    CONSTANT,
    coordinates,
    exact_squares,
    square_weights,
)

__all__ = ["Neighbours", "nearest_neighbours"]

Floats: TypeAlias = NDArray[np.float64]
Rows: TypeAlias = NDArray[np.intp]

# Numbers in memory at a time, for each of a few arrays.
_NUMBERS = 2**21
# New samples that are searched for together.
_TOGETHER = 256
# Share of the squares by which the fast formula may be wrong. Rounding is 1000 times smaller.
_ROUNDING = 1e-11


class Neighbours(NamedTuple):
    """The nearest training samples of one new sample, the nearest first.

    Attributes
    ----------
    rows : ndarray of int
        Their rows.
    distances : ndarray of float64
        Their distances.
    """

    rows: Rows
    distances: Floats


def nearest_neighbours(
    X: NDArray[Any],
    train: Rows,
    new: Rows,
    groups: NDArray[Any],
    k: int,
    *,
    one_unit: bool,
) -> list[Neighbours]:
    """Return the nearest training samples of other groups for each of some samples.

    Distances are those of ``distance_percentiles``: the Euclidean distances of features that are
    divided by their standard deviations in the training set, or, with one unit, of features and
    of directions that are both divided by their total standard deviation there. The search is
    exact. It reads the training set twice, a few thousand rows at a time, and copies no more.

    Parameters
    ----------
    X : ndarray of float, shape (n_samples, n_features)
        Finite features of all samples.
    train, new : ndarray of int
        Rows of the training set, and of the samples to search for.
    groups : ndarray, shape (n_samples,)
        Groups; a sample of the group of a new sample is none of its neighbours.
    k : int
        Number of neighbours; there are fewer where the other groups have fewer.
    one_unit : bool
        As in ``distance_percentiles``.

    Returns
    -------
    list of Neighbours
        One per new sample. Of equal distances the smaller row comes first.

    Examples
    --------
    >>> X = np.array([[0.0], [1.0], [3.0], [4.0]])
    >>> patients = np.array(["a", "b", "a", "c"])
    >>> near = nearest_neighbours(X, np.arange(1, 4), np.array([0]), patients, 2, one_unit=False)
    >>> near[0].rows.tolist()
    [1, 3]
    """
    train = np.sort(train)
    if not len(train):
        return [Neighbours(train, np.zeros(0)) for _ in new]
    made: list[Neighbours] = []
    centre, weights = _measure(X, train, one_unit=one_unit)
    for start in range(0, len(new), _TOGETHER):
        rows = new[start : start + _TOGETHER]
        Z = coordinates(X[rows], one_unit=one_unit) - centre
        squares, slack = _squares(X, train, Z, centre, weights, one_unit=one_unit)
        for n, row in enumerate(rows.tolist()):
            others = np.flatnonzero(groups[train] != groups[row])
            candidates = train[_candidates(squares[n], slack[n], others, k)]
            made.append(_nearest(X, candidates, Z[n], centre, weights, k))
    return made


def _blocks(X: NDArray[Any], rows: Rows, *, one_unit: bool) -> Iterator[tuple[slice, Floats]]:
    """Yield the coordinates of some rows, a few thousand numbers at a time."""
    size = max(1, _NUMBERS // max(1, X.shape[1] * (2 if one_unit else 1)))
    for start in range(0, len(rows), size):
        at = slice(start, start + size)
        yield at, coordinates(X[rows[at]], one_unit=one_unit)


def _measure(X: NDArray[Any], train: Rows, *, one_unit: bool) -> tuple[Floats, Floats]:
    """Return the mean of the coordinates of a training set, and the weights of their squares."""
    near: Floats | None = None
    sums = squares = largest = np.zeros(1)
    for _, Z in _blocks(X, train, one_unit=one_unit):
        # Near the mean, so that the squares lose no digits.
        near = Z.mean(axis=0) if near is None else near
        largest = np.maximum(largest, np.abs(Z).max(axis=0))
        Z -= near
        sums, squares = sums + Z.sum(axis=0), squares + np.square(Z).sum(axis=0)
    assert near is not None
    shift = sums / len(train)
    variances = np.maximum(squares / len(train) - shift**2, 0)[np.newaxis]
    floor = (CONSTANT * largest) ** 2
    return near + shift, square_weights(variances, floor, one_unit=one_unit)


def _squares(
    X: NDArray[Any], train: Rows, Z: Floats, centre: Floats, weights: Floats, *, one_unit: bool
) -> tuple[Floats, Floats]:
    """Return squared distances by a fast formula, and how far they may be off."""
    weighted = Z * weights
    own = (weighted * Z).sum(axis=1, keepdims=True)
    squares, slack = np.empty((2, len(Z), len(train)))
    for at, block in _blocks(X, train, one_unit=one_unit):
        block -= centre
        theirs = np.square(block) @ weights[0]
        squares[:, at] = own + theirs - 2 * weighted @ block.T
        slack[:, at] = _ROUNDING * (own + theirs)
    return squares, slack


def _candidates(squares: Floats, slack: Floats, others: Rows, k: int) -> Rows:
    """Return the rows among which the k nearest are, whatever the rounding."""
    if len(others) <= k:
        return others
    farthest = np.partition((squares + slack)[others], k - 1)[k - 1]
    return others[(squares - slack)[others] <= farthest]


def _nearest(
    X: NDArray[Any], rows: Rows, z: Floats, centre: Floats, weights: Floats, k: int
) -> Neighbours:
    one_unit = len(centre) > X.shape[1]
    squares = np.empty(len(rows))
    for at, block in _blocks(X, rows, one_unit=one_unit):
        among = np.arange(len(block))[np.newaxis]
        squares[at] = exact_squares(z[np.newaxis], block - centre, among, weights)[0]
    order = np.lexsort([rows, squares])[:k]
    return Neighbours(rows[order], np.sqrt(squares[order]))
