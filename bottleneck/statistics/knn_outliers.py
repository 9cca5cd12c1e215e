"""Which samples of another cohort lie beyond the cloud of the samples trained on."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["NEIGHBOURS", "SHARE", "find_beyond"]

Floats: TypeAlias = NDArray[np.float64]

NEIGHBOURS = 5
# Of the samples trained on, and of more of the same kind, this share is beyond.
SHARE = 0.05

# A feature that varies less than this share of its largest value varies by rounding alone.
_CONSTANT = 1e-6


def find_beyond(
    inside: NDArray[np.floating], patients: NDArray, outside: NDArray[np.floating]
) -> NDArray[np.bool_]:
    """Find the outside samples that are farther from the inside ones than these are.

    The distance of a sample is that to its 5th nearest inside sample, in features divided
    by their standard deviation inside. Beyond is what exceeds the 95 % quantile of the
    distances of the inside samples, so that 5 % of more samples of the same kind do (Sun et
    al. 2022, Proceedings of Machine Learning Research 162:20827, set the threshold in this
    way).

    For an inside sample, all samples of its own patient are left out, among the neighbours
    and in the standard deviations. Both matter: with 60 patients, 4 images of each and 512
    independent features, 22 % of samples of the same kind exceed the threshold if only the
    sample itself is left out, 10 % if its patient is left out among the neighbours alone, and
    5 % as it is done here (``benchmarks/shift.md``).

    Parameters
    ----------
    inside : ndarray of float, shape (n_inside, n_features)
        Features trained on.
    patients : ndarray, shape (n_inside,)
        Their patients, two or more.
    outside : ndarray of float, shape (n_outside, n_features)
        Features of the other cohort.

    Returns
    -------
    ndarray of bool, shape (n_outside,)
        True beyond the cloud. In a cohort so small that a sample has fewer than 5 of other
        patients, the neighbour counted is the last that all samples have.
    """
    floor = (_CONSTANT * np.abs(inside).max(axis=0).astype(np.float64)) ** 2
    centre = inside.mean(axis=0, dtype=np.float64)
    A, B = inside - centre, outside - centre
    _, codes = np.unique(patients, return_inverse=True)
    own = np.eye(codes.max() + 1)[:, codes]
    others = len(A) - own.sum(axis=1, keepdims=True)
    means = -(own @ A) / others
    variances = (np.square(A).sum(axis=0) - own @ np.square(A)) / others - means**2
    squares = _distances(A, A, _weigh(variances, floor), codes)
    squares[codes[:, np.newaxis] == codes] = np.inf
    rank = min(NEIGHBOURS, int(others.min())) - 1
    known = np.partition(squares, rank, axis=1)[:, rank]
    everyone = _weigh(A.var(axis=0, keepdims=True), floor)
    met = _distances(B, A, everyone, np.zeros(len(B), dtype=np.intp))
    return np.partition(met, rank, axis=1)[:, rank] > np.quantile(known, 1 - SHARE)


def _weigh(variances: Floats, floor: Floats) -> Floats:
    """Return what squares are multiplied by; what does not vary keeps its own unit."""
    return 1 / np.where(variances > floor, variances, 1.0)


def _distances(X: Floats, Y: Floats, weights: Floats, of: NDArray[np.intp]) -> Floats:
    """Return squared distances, shape (n, m), row i of X with the weights of row ``of[i]``."""
    weighted = X * weights[of]
    squares = (weighted * X).sum(axis=1, keepdims=True) - 2 * weighted @ Y.T
    return squares + (weights @ np.square(Y).T)[of]
