"""New images that a model was trained on, recognised by their features."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bottleneck.features.sets.feature_set import FeatureSet

__all__ = ["are_recognisable", "find_training_copies"]

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


def are_recognisable(features: FeatureSet) -> NDArray[np.bool_]:
    """Return which samples can be recognised by their features.

    A region of a volume that has one value in its window, such as air in a window of soft tissue,
    has the features of such regions of every patient.

    Parameters
    ----------
    features : FeatureSet
        The features. All images can be recognised, and volumes whose thumbnails are not known.

    Returns
    -------
    ndarray of bool, shape (n_samples,)
    """
    small = features.thumbnails
    if small is None or not features.has_volumes:
        return np.ones(len(features), dtype=bool)
    return np.asarray(small.max(axis=(1, 2)) > small.min(axis=(1, 2)))
