"""Samples with equal features, which count as copies where there are no images."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

__all__ = ["hash_rows", "is_by_chance"]

# Expected number of equal pairs by chance from which on equal rows are not evidence of copies; as
# for near-duplicates of images.
_FALSE_PAIRS = 0.1


def hash_rows(X: NDArray[np.float32]) -> NDArray[np.str_]:
    """Return a hash of each row of features; equal rows have equal hashes.

    Parameters
    ----------
    X : ndarray of float32, shape (n_samples, n_features)
        Features.

    Examples
    --------
    >>> hashes = hash_rows(np.array([[0.0, 1.0], [-0.0, 1.0], [2.0, 1.0]], np.float32))
    >>> bool(hashes[0] == hashes[1]), bool(hashes[0] == hashes[2])
    (True, False)
    """
    # The zero that is added makes -0.0 the same as 0.0.
    return np.array([hashlib.sha256((row + np.float32(0)).tobytes()).hexdigest() for row in X], str)


def is_by_chance(X: NDArray[np.float32]) -> bool:
    """Return whether different samples may have equal features by chance.

    The probability that two samples agree in a column is estimated from its values. Columns count
    as independent, except those of few values that divide the samples in the same way. With 0.1
    expected pairs or more, equal rows are not evidence of a copy.

    Parameters
    ----------
    X : ndarray of float32, shape (n_samples, n_features)
        Features.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> is_by_chance(rng.integers(0, 2, (100, 3)).astype(np.float32))
    True
    >>> is_by_chance(np.repeat(rng.normal(size=(50, 3)).astype(np.float32), 2, axis=0))
    False
    """
    n = len(X)
    expected = n * (n - 1) / 2
    known: set[bytes] = set()
    for column in X.T:
        _, first, codes, counts = np.unique(
            column, return_index=True, return_inverse=True, return_counts=True
        )
        # Codes in the order of appearance are equal for columns that divide alike.
        if len(counts) ** 2 < n:
            division = np.argsort(np.argsort(first))[codes].tobytes()
            key = hashlib.sha256(division).digest()
            if key in known:
                continue
            known.add(key)
        expected *= float((counts * (counts - 1.0)).sum()) / (n * (n - 1.0))
        if expected < _FALSE_PAIRS:
            return False
    return True
