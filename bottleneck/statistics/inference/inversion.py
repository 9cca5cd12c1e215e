"""Two-sided p values that follow from confidence intervals, so that the two agree.

An interval and a test are one statement if the interval holds the differences that the test
does not reject (Cox & Hinkley 1974, Theoretical Statistics, section 7.2). Then p is below
1 - level where the interval at that level excludes 0, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import optimize

__all__ = ["agree_with_p", "invert_interval"]

# Levels nearer to 1 have no exact floating-point numbers.
_LEAST_P = 1e-12


def invert_interval(interval: Callable[[float], tuple[float, float]]) -> float:
    """Return the two-sided p value of a difference of 0, given the interval at every level.

    Parameters
    ----------
    interval : callable
        Function of the level that returns the bounds. The interval grows with its level.

    Returns
    -------
    float
        1 minus the level at which a bound is 0; between 1e-12 and 1.

    Examples
    --------
    The interval of a normal estimate of 1.96 with a standard error of 1:

    >>> from scipy import stats
    >>> p = invert_interval(lambda level: stats.norm.interval(level, 1.96, 1))
    >>> round(p, 3)
    0.05
    """

    def gap(log_alpha: float) -> float:
        low, high = interval(1 - np.exp(log_alpha))
        return max(low, -high)

    least, most = np.log(_LEAST_P), np.log1p(-1e-9)
    if gap(most) <= 0:
        return 1.0
    if gap(least) > 0:
        return _LEAST_P
    return float(np.exp(optimize.brentq(gap, least, most, xtol=1e-12, rtol=1e-14)))


def agree_with_p(
    low: float, high: float, difference: float, p: float, level: float
) -> tuple[float, float]:
    """Return the bounds of a difference, moved to the side of 0 that the p value requires.

    They move by no more than the rounding error of an inversion, except where p is a bound.

    Parameters
    ----------
    low, high, difference : float
        Bounds and estimate.
    p : float
        Two-sided p value of a difference of 0.
    level : float
        Confidence level.

    Returns
    -------
    low, high : float
        0 is between them, or a bound, if and only if p is at least 1 - ``level``.

    Examples
    --------
    >>> agree_with_p(0.01, 0.2, 0.1, p=0.06, level=0.95)
    (0.0, 0.2)
    """
    # 1 - 0.95 is not 0.05 in floating-point numbers.
    if p >= round(1 - level, 12):
        return min(low, 0.0), max(high, 0.0)
    smallest = float(np.finfo(float).tiny)
    return (max(low, smallest), high) if difference > 0 else (low, min(high, -smallest))
