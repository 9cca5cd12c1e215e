"""The intraclass correlation of values of the same patient."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from bottleneck.statistics.arguments import as_codes, as_numbers

__all__ = ["intraclass_correlation"]


def intraclass_correlation(values: ArrayLike, groups: ArrayLike) -> float:
    """Return how alike the values of a patient are: 0 not at all, 1 the same.

    Parameters
    ----------
    values : array-like of float, shape (n_samples,)
        One value per sample, such as the scores of one class.
    groups : array-like, shape (n_samples,)
        Patient of every sample.

    Returns
    -------
    float
        The estimate of the one-way analysis of variance for unequal numbers of samples (Donner
        1986, International Statistical Review 54:67, section 2), between 0 and 1. NaN if no
        patient has several samples, there is a single patient, or the values do not vary.

    Raises
    ------
    UsageError
        If an array has the wrong shape, type or values.

    Examples
    --------
    >>> patients = ["a", "a", "b", "b", "c", "c"]
    >>> round(intraclass_correlation([1.0, 1.2, 3.0, 2.9, 2.0, 2.1], patients), 2)
    0.99
    """
    x = as_numbers("values", values)
    codes = as_codes("groups", groups, len(x))
    sizes = np.bincount(codes).astype(float)
    n, k = len(x), len(sizes)
    if not 1 < k < n or not np.ptp(x):
        return float("nan")
    means = np.bincount(codes, x) / sizes
    within = float(((x - means[codes]) ** 2).sum()) / (n - k)
    between = float(sizes @ (means - x.mean()) ** 2) / (k - 1)
    usual = (n - float(sizes @ sizes) / n) / (k - 1)
    estimate = (between - within) / (between + (usual - 1) * within)
    return float(np.clip(estimate, 0, 1))
