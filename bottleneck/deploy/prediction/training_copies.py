"""New images that a model was trained on, recognised by their features."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["find_training_copies"]

# Rows of one image differ by less than this share of their norm, on whatever device and in
# whatever batch they were computed.
_SAME = 1e-3
_BLOCK = 512


def find_training_copies(X: NDArray[Any], rows: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which new images have the features of a training image.

    Parameters
    ----------
    X : ndarray of float, shape (n_samples, n_features)
        Features of the new images, by a network.
    rows : ndarray of float, shape (n_kept, n_features)
        Features of training images.

    Returns
    -------
    ndarray of bool, shape (n_samples,)
        False for an image whose features are all 0.

    Examples
    --------
    >>> rows = np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> find_training_copies(np.array([[3.0, 4.00001], [2.0, 2.0]]), rows).tolist()
    [True, False]
    """
    found = np.zeros(len(X), dtype=bool)
    if not len(rows):
        return found
    kept = rows.astype(np.float64)
    squares = np.square(kept).sum(axis=1)
    for start in range(0, len(X), _BLOCK):
        part = X[start : start + _BLOCK].astype(np.float64)
        own = np.square(part).sum(axis=1)
        # The rounding of this formula is far below the limit.
        nearest = (own[:, np.newaxis] - 2 * part @ kept.T + squares).min(axis=1)
        found[start : start + _BLOCK] = nearest < _SAME**2 * own
    return found
