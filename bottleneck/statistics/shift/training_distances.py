"""Distances of samples from a training set: those to their nearest neighbours in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bottleneck.errors import ProtocolError, UsageError
from bottleneck.statistics.arguments import as_matrix, as_patients

__all__ = [
    "CONSTANT",
    "N_NEIGHBOURS",
    "TrainingDistances",
    "coordinates",
    "distance_percentiles",
    "exact_squares",
    "square_weights",
    "weight_below",
]

Floats: TypeAlias = NDArray[np.float64]

N_NEIGHBOURS = 5

# A feature that varies by less than this share of its largest value is constant but for rounding.
CONSTANT = 1e-6
# Squares of larger values have no sum.
_LARGEST = 1e100
# Neighbours that are found by a fast formula; the exact distances decide among them.
_CANDIDATES = 16
# Numbers in memory at a time, for each of a few arrays.
_NUMBERS = 2**21
# Sums of weights are exact to about this many decimals of a percentile.
_DECIMALS = 9


def distance_percentiles(
    train: ArrayLike, new: ArrayLike, groups: ArrayLike | None = None, *, one_unit: bool = False
) -> Floats:
    """Return how unusual the distance of each new sample from a training set is, in percent.

    The distance of a sample is that to its 5th nearest training sample. Its percentile is the
    share of the training samples with a smaller distance. For a training sample, all samples of
    its patient are left out, both of the neighbours and of the units of the features. The
    samples of a patient share its weight, so that patients are counted and not samples.

    New patients of the same distribution exceed the 99th percentile with a probability of
    about 1 %, or of 1 / (n + 1) if there are fewer than 100 training patients.

    Parameters
    ----------
    train : array-like of float, shape (n_train, n_features)
        Features of the training set.
    new : array-like of float, shape (n_new, n_features)
        Features of the new samples.
    groups : array-like, shape (n_train,), optional
        Patients of the training set, two or more. Without them every sample is a patient of its
        own.
    one_unit : bool
        Whether all features have one unit, as those of a network do. The difference of two
        samples is then measured twice: between the features as they are, and between their
        directions (features divided by their norm). Both count equally: each is divided by its
        total variance in the training set. Otherwise each feature is divided by its standard
        deviation. ``benchmarks/distance.md`` compares the two, and others.

    Returns
    -------
    ndarray of float64, shape (n_new,)
        Percentiles, 0 to 100. That of a sample does not depend on the other new samples.

    Raises
    ------
    UsageError
        If an array has the wrong shape, type or values, or the features differ in number.
    ProtocolError
        If the training set has a single patient.

    Examples
    --------
    >>> import numpy as np
    >>> train = np.random.default_rng(0).normal(size=(100, 2))
    >>> distance_percentiles(train, [[0, 0], [6, 6]])
    array([ 41., 100.])
    """
    A = as_matrix("train", train)
    codes = as_patients(groups, len(A))
    measured = TrainingDistances(A, codes, one_unit=one_unit)
    return weight_below(measured.within(), codes, measured.of(new))


class TrainingDistances:
    """Distances from a training set, of its own samples and of others.

    Parameters
    ----------
    X : ndarray of float, shape (n_samples, n_features)
        Features of the training set.
    patients : ndarray of int, shape (n_samples,)
        Patients, numbered from 0; two or more.
    one_unit : bool
        As in ``distance_percentiles``.

    Raises
    ------
    ProtocolError
        If there is a single patient.

    Examples
    --------
    >>> X = np.array([[0.0], [1.0], [2.0], [4.0]])
    >>> near = TrainingDistances(X, np.arange(4), one_unit=False)
    >>> near.of([[4.0]]).round(2).tolist()
    [2.03]
    """

    def __init__(self, X: NDArray[Any], patients: NDArray[Any], *, one_unit: bool) -> None:
        if patients.max() == 0:
            raise ProtocolError("train needs samples of two patients or more, not of one")
        self._patients, self._width, self._one_unit = patients, X.shape[1], one_unit
        Z = coordinates(X, one_unit=one_unit)
        self._floor = (CONSTANT * np.abs(Z).max(axis=0)) ** 2
        self._centre = Z.mean(axis=0)
        self._Z = Z - self._centre
        self._squares = np.square(self._Z)
        fewest = len(X) - int(np.bincount(patients).max())
        self._k = min(N_NEIGHBOURS, fewest)

    def within(self) -> Floats:
        """Return the distances of the training samples, shape (n_samples,)."""
        distances = np.empty(len(self._Z))
        for rows in self._blocks(len(self._Z)):
            codes, which = np.unique(self._patients[rows], return_inverse=True)
            own = (codes[:, np.newaxis] == self._patients).astype(np.float64)
            n_rest = len(self._Z) - own.sum(axis=1, keepdims=True)
            means = -(own @ self._Z) / n_rest
            variances = (self._squares.sum(axis=0) - own @ self._squares) / n_rest - means**2
            weights = self._weights(variances)[which]
            distances[rows] = self._nearest(self._Z[rows], weights, own[which] == 1)
        return distances

    def of(self, new: ArrayLike) -> Floats:
        """Return the distances of new samples, shape (n_new,).

        That of a sample does not depend on the others, to the last bit.

        Raises
        ------
        UsageError
            If the features differ in number from those of the training set, or are not finite.
        """
        B = as_matrix("new", new)
        if B.shape[1] != self._width:
            raise UsageError(
                f"the new samples must have the features of the training set, which has "
                f"{self._width}, not {B.shape[1]}"
            )
        weights = self._weights(self._Z.var(axis=0, keepdims=True))
        distances = np.empty(len(B))
        for rows in self._blocks(len(B)):
            Z = coordinates(B[rows], one_unit=self._one_unit)
            distances[rows] = self._nearest(Z - self._centre, weights)
        return distances

    def _weights(self, variances: Floats) -> Floats:
        return square_weights(variances, self._floor, one_unit=self._one_unit)

    def _blocks(self, n: int) -> Iterator[slice]:
        size = max(1, _NUMBERS // (_CANDIDATES * len(self._centre)))
        return (slice(start, start + size) for start in range(0, n, size))

    def _nearest(
        self, X: Floats, weights: Floats, excluded: NDArray[np.bool_] | None = None
    ) -> Floats:
        """Return the distances to the nearest neighbours.

        The last bits of a matrix product depend on the number of rows. The product selects
        candidates only, and their distances are computed by themselves.
        """
        weighted = X * weights
        squares = (weighted * X).sum(axis=1, keepdims=True) - 2 * weighted @ self._Z.T
        squares += weights @ self._squares.T
        if excluded is not None:
            squares[excluded] = np.inf
        n = min(_CANDIDATES, len(self._Z))
        candidates = np.argpartition(squares, n - 1, axis=1)[:, :n]
        measured = exact_squares(X, self._Z, candidates, weights)
        measured[np.take_along_axis(squares, candidates, axis=1) == np.inf] = np.inf
        nearest: Floats = np.sqrt(np.partition(measured, self._k - 1, axis=1)[:, self._k - 1])
        return nearest


def coordinates(X: NDArray[Any], *, one_unit: bool) -> Floats:
    """Return the features as float64; those of one unit with their directions next to them.

    Parameters
    ----------
    X : ndarray of float, shape (n_samples, n_features)
        Features.
    one_unit : bool
        As in ``distance_percentiles``.

    Examples
    --------
    >>> coordinates(np.array([[3.0, 4.0]]), one_unit=True).tolist()
    [[3.0, 4.0, 0.6, 0.8]]
    """
    # In this layout, the sum over a row has one order whatever the number of rows.
    X = np.ascontiguousarray(X, dtype=np.float64).clip(-_LARGEST, _LARGEST)
    if not one_unit:
        return X
    norms = np.sqrt(np.square(X).sum(axis=1, keepdims=True))
    return np.concatenate([X, X / np.where(norms > 0, norms, 1.0)], axis=1)


def square_weights(variances: Floats, floor: Floats, *, one_unit: bool) -> Floats:
    """Return the weights of squared differences; what is constant keeps its own unit.

    Parameters
    ----------
    variances : ndarray of float64, shape (n, n_coordinates)
        Variances of the coordinates in the training set.
    floor : ndarray of float64, shape (n_coordinates,)
        Variances that are no more than rounding.
    one_unit : bool
        As in ``distance_percentiles``.

    Examples
    --------
    >>> square_weights(np.array([[4.0, 0.0]]), np.zeros(2), one_unit=False).tolist()
    [[0.25, 1.0]]
    """
    width = variances.shape[-1] // 2
    if one_unit:
        halves = np.arange(2).repeat(width)
        variances, floor = (
            np.stack([values[..., halves == half].sum(axis=-1) for half in (0, 1)], axis=-1)
            for values in (variances, floor)
        )
    weights: Floats = 1 / np.where(variances > floor, variances, 1.0)
    return weights.repeat(width, axis=1) if one_unit else weights


def exact_squares(
    X: Floats, Y: Floats, candidates: NDArray[np.intp], weights: Floats | float = 1.0
) -> Floats:
    """Return squared distances that depend on nothing but the two rows, to the last bit.

    A matrix product is faster, but its last bits depend on the number of rows, and the distance
    of equal rows is not 0.

    Parameters
    ----------
    X : ndarray of float64, shape (n, n_features)
        Rows.
    Y : ndarray of float64, shape (m, n_features)
        Other rows.
    candidates : ndarray of int, shape (n, n_candidates)
        Rows of Y, for each row of X.
    weights : ndarray of float64, shape (n, n_features) or (1, n_features), or float
        Weights of the squared differences.

    Returns
    -------
    ndarray of float64, shape (n, n_candidates)

    Examples
    --------
    >>> exact_squares(np.array([[0.0, 1.0]]), np.eye(2), np.array([[1, 0]])).tolist()
    [[0.0, 2.0]]
    """
    squares = np.empty(candidates.shape)
    weights = np.broadcast_to(weights, X.shape)
    size = max(1, _NUMBERS // max(1, candidates.shape[1] * X.shape[1]))
    for start in range(0, len(X), size):
        rows = slice(start, start + size)
        differences = np.square(X[rows, np.newaxis] - Y[candidates[rows]])
        differences *= weights[rows, np.newaxis]
        squares[rows] = np.ascontiguousarray(differences).sum(axis=2)
    return squares


def weight_below(distances: Floats, patients: NDArray[Any], new: Floats) -> Floats:
    """Return the percentage of the weight of training samples with smaller distances.

    Parameters
    ----------
    distances : ndarray of float64, shape (n_samples,)
        Distances of the training samples.
    patients : ndarray, shape (n_samples,)
        Their patients, of equal weight.
    new : ndarray of float64, shape (n_new,)
        Distances of the new samples.

    Returns
    -------
    ndarray of float64, shape (n_new,)

    Examples
    --------
    >>> weight_below(np.array([1.0, 3.0, 2.0]), np.array([0, 0, 1]), np.array([1.0, 2.5, 9.0]))
    array([  0.,  75., 100.])
    """
    _, codes, counts = np.unique(patients, return_inverse=True, return_counts=True)
    order = np.argsort(distances, kind="stable")
    weights = 1 / (counts[codes] * len(counts))
    total = np.concatenate([[0.0], np.cumsum(weights[order])])
    below: Floats = np.round(
        100 * total[np.searchsorted(distances[order], new, side="left")], _DECIMALS
    )
    return below
