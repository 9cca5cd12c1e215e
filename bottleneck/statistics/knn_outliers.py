"""Detection of samples far from a training set, by the distance to their nearest neighbours."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bottleneck.errors import ProtocolError, UsageError
from bottleneck.statistics.arguments import as_matrix, as_patients

__all__ = ["EXPECTED_SHARE", "N_NEIGHBOURS", "knn_outliers"]

Floats: TypeAlias = NDArray[np.float64]

N_NEIGHBOURS = 5
# Share of samples from the distribution of the training set that are outliers.
EXPECTED_SHARE = 0.05

# A feature that varies by less than this share of its largest value is constant but for rounding.
_CONSTANT = 1e-6


def knn_outliers(
    train: ArrayLike, other: ArrayLike, groups: ArrayLike | None = None
) -> NDArray[np.bool_]:
    """Find the samples that are farther from a training set than its own samples are.

    The distance of a sample is that to its 5th nearest training sample, on features divided
    by their standard deviation in the training set. An outlier exceeds the 95 % quantile of
    the distances of the training samples, so that 5 % of new samples of the same
    distribution are outliers (Sun et al. 2022, Proceedings of Machine Learning Research
    162:20827, set the threshold in this way).

    For a training sample, all samples of its patient are left out, both of the neighbours
    and of the standard deviations. Both matter. With 60 patients, 4 images each and 512
    independent features, 22 % of samples of the same distribution exceed the threshold if
    only the sample itself is left out, 10 % if its patient is left out of the neighbours
    alone, and 5 % as done here (``benchmarks/shift.md``).

    Parameters
    ----------
    train : array-like of float, shape (n_train, n_features)
        Features of the training set.
    other : array-like of float, shape (n_other, n_features)
        Features of the samples to test.
    groups : array-like, shape (n_train,), optional
        Patients of the training set, two or more. Without them every sample is a patient of
        its own.

    Returns
    -------
    ndarray of bool, shape (n_other,)
        Mask of the outliers. If some training sample has fewer than 5 samples of other
        patients, the number of neighbours is reduced for all.

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
    >>> knn_outliers(train, [[0, 0], [6, 6]])
    array([False,  True])
    """
    A, B = as_matrix("train", train), as_matrix("other", other)
    codes = as_patients(groups, len(A))
    if A.shape[1] != B.shape[1]:
        raise UsageError(
            f"train and other must have the same features, not {A.shape[1]} and {B.shape[1]}"
        )
    if codes.max() == 0:
        raise ProtocolError("train needs samples of two patients or more, not of one")
    floor = (_CONSTANT * np.abs(A).max(axis=0)) ** 2
    centre = A.mean(axis=0)
    A, B = A - centre, B - centre
    own = np.eye(codes.max() + 1)[:, codes]
    n_rest = len(A) - own.sum(axis=1, keepdims=True)
    means = -(own @ A) / n_rest
    variances = (np.square(A).sum(axis=0) - own @ np.square(A)) / n_rest - means**2
    squares = _squared_distances(A, A, _weights(variances, floor), codes)
    squares[codes[:, np.newaxis] == codes] = np.inf
    rank = min(N_NEIGHBOURS, int(n_rest.min())) - 1
    within = np.partition(squares, rank, axis=1)[:, rank]
    whole = _weights(A.var(axis=0, keepdims=True), floor)
    to_train = _squared_distances(B, A, whole, np.zeros(len(B), dtype=np.intp))
    return np.partition(to_train, rank, axis=1)[:, rank] > np.quantile(within, 1 - EXPECTED_SHARE)


def _weights(variances: Floats, floor: Floats) -> Floats:
    """Return the weights of squared differences; a constant feature keeps its own unit."""
    return 1 / np.where(variances > floor, variances, 1.0)


def _squared_distances(X: Floats, Y: Floats, weights: Floats, rows: NDArray[np.intp]) -> Floats:
    """Return distances of shape (n, m); sample i of X uses the weights of row ``rows[i]``."""
    weighted = X * weights[rows]
    squares = (weighted * X).sum(axis=1, keepdims=True) - 2 * weighted @ Y.T
    return squares + (weights @ np.square(Y).T)[rows]
