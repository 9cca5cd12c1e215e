"""Similarity of two heat maps: rank correlation, with and without the sign, and SSIM."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import uniform_filter
from scipy.stats import rankdata

from bottleneck.errors import UsageError

__all__ = ["MEASURES", "Measure", "map_similarity"]

Floats = NDArray[np.float64]
Measure = Literal["spearman", "absolute spearman", "ssim"]
MEASURES: tuple[Measure, ...] = get_args(Measure)

# Of Wang et al. 2004: side of the window, and constants of its denominator.
_WINDOW, _K1, _K2 = 7, 0.01, 0.03
_LEAST_WINDOW = 3


def map_similarity(one: ArrayLike, other: ArrayLike) -> Floats:
    """Return how similar two heat maps of one image are.

    These are the measures of Adebayo et al. (2018, Sanity Checks for Saliency Maps, NeurIPS):
    Spearman's rank correlation of the values and of their magnitudes, and the structural
    similarity (SSIM; Wang et al. 2004, IEEE Transactions on Image Processing 13:600) of the maps,
    each divided by its largest magnitude, in windows of 7 × 7 cells, or the whole of a smaller
    map.

    Parameters
    ----------
    one, other : array-like, shape (n_rows, n_columns)
        Maps on one grid.

    Returns
    -------
    ndarray of float64, shape (3,)
        In the order of ``MEASURES``; 1 for maps that are the same. NaN where a map is constant,
        and the SSIM also where a side has fewer than 3 cells.

    Raises
    ------
    UsageError
        If the maps have other shapes.

    Examples
    --------
    >>> one = np.arange(9.0).reshape(3, 3) - 4
    >>> map_similarity(one, -one).round(3)
    array([-1.   ,  1.   , -0.992])
    """
    a, b = np.asarray(one, np.float64), np.asarray(other, np.float64)
    if a.ndim != 2 or a.shape != b.shape:
        raise UsageError(f"heat maps of shapes {a.shape} and {b.shape} cannot be compared")
    return np.array([_spearman(a, b), _spearman(np.abs(a), np.abs(b)), _ssim(a, b)])


def _spearman(a: Floats, b: Floats) -> float:
    ranks = [rankdata(one) for one in (a, b)]
    x, y = (one - one.mean() for one in ranks)
    scale = np.sqrt((x @ x) * (y @ y))
    return float(x @ y / scale) if scale > 0 else np.nan


def _ssim(a: Floats, b: Floats) -> float:
    side = min(_WINDOW, *a.shape)
    side -= 1 - side % 2
    if side < _LEAST_WINDOW or not (np.ptp(a) > 0 and np.ptp(b) > 0):
        return np.nan
    x, y = (one / np.abs(one).max() for one in (a, b))
    # Of the windows that are inside the map.
    edge = side // 2
    inner = tuple(slice(edge, n - edge) for n in a.shape)

    def mean(values: Floats) -> Floats:
        return np.asarray(uniform_filter(values, side))[inner]

    unbiased = side**2 / (side**2 - 1)
    mean_x, mean_y = mean(x), mean(y)
    var_x, var_y = (unbiased * (mean(v * v) - m * m) for v, m in ((x, mean_x), (y, mean_y)))
    covariance = unbiased * (mean(x * y) - mean_x * mean_y)
    reach = 2.0  # From -1 to 1.
    c1, c2 = (_K1 * reach) ** 2, (_K2 * reach) ** 2
    above = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    below = (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
    return float((above / below).mean())
