"""Confidence intervals from a bootstrap of patients, for statistics without a formula."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

__all__ = ["bca_bounds", "resample_patients"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Blocks of patients that are left out in turn, for the acceleration.
_N_BLOCKS = 200
# Normal quantiles between which the draws show the shape of their tails; and the farthest one.
_KNOTS = np.array([0.0, 1.0, 2.0])
_FARTHEST = 8.0
_MOST_SKEWED = 1.3
# The smallest denominator in the formula of the bounds.
_LEAST = 1e-6


def resample_patients(
    statistic: Callable[[Ints], float],
    n_patients: int,
    *,
    n_draws: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Floats, Floats]:
    """Compute a statistic on draws of patients with replacement, and without each patient.

    All samples of a patient are drawn together (Davison & Hinkley 1997, Bootstrap Methods and
    their Application, section 3.8; Field & Welsh 2007, Journal of the Royal Statistical Society B
    69:369). The same number of patients and seed give the same draws.

    Parameters
    ----------
    statistic : callable
        Takes how often each patient is drawn (ndarray of int64, shape (n_patients,)), and returns
        the statistic; NaN where it is not defined.
    n_patients : int
        Number of patients.
    n_draws : int
        Number of draws.
    seed : int
        Seed of the draws.
    progress : callable or None
        Called with the number of values computed and their total.

    Returns
    -------
    draws : ndarray of float64, shape (n_draws,)
        The statistic of each draw.
    jackknife : ndarray of float64, shape (n_blocks,)
        The statistic without each patient; of more than 200 patients, without each of 200 blocks.

    Examples
    --------
    The mean of one number per patient:

    >>> x = np.arange(10.0)
    >>> draws, left_out = resample_patients(lambda n: n @ x / n.sum(), 10, n_draws=999, seed=0)
    >>> [round(bound, 1) for bound in bca_bounds(x.mean(), draws, left_out)]
    [2.7, 6.1]
    """
    rng = np.random.default_rng(seed)
    blocks = np.array_split(rng.permutation(n_patients), min(n_patients, _N_BLOCKS))
    total = n_draws + len(blocks)
    values = np.empty(total)
    for n in range(total):
        if n < n_draws:
            counts = np.bincount(rng.integers(0, n_patients, n_patients), minlength=n_patients)
        else:
            counts = np.ones(n_patients, np.int64)
            counts[blocks[n - n_draws]] = 0
        values[n] = statistic(counts)
        if progress is not None and (n + 1) % 100 == 0:
            progress(n + 1, total)
    return values[:n_draws], values[n_draws:]


def bca_bounds(
    value: float,
    draws: Floats,
    jackknife: Floats,
    *,
    level: float = 0.95,
    overlap: float = 1.0,
) -> tuple[float, float]:
    """Compute the bias-corrected and accelerated bounds of a bootstrap.

    The method is that of Efron (1987, Journal of the American Statistical Association 82:171).
    Where training sets overlap, the variance is larger than that between the draws by the factor
    of ``overlap_factor``: the normal quantiles in Efron's formula are multiplied by its root.
    Quantiles of the draws beyond 2 standard deviations, which few draws show, are those of the
    g distribution of Tukey (Hoaglin 1985, in Exploring Data Tables, Trends, and Shapes, chapter
    11) with the same quantiles at 0, 1 and 2. It has the skewness of the draws, so that
    bounds near the largest possible value come no closer to it than the draws suggest.

    Parameters
    ----------
    value : float
        The statistic.
    draws : ndarray of float64, shape (n_draws,)
        The statistic of each draw.
    jackknife : ndarray of float64, shape (n_patients,)
        The statistic without each patient, or without each block of them.
    level : float
        Confidence level.
    overlap : float
        Factor of the variance.

    Returns
    -------
    low, high : float
        NaN if the draws do not vary.
    """
    if len(draws) < 2 or not np.ptp(draws) > 0:
        return np.nan, np.nan
    below = ((draws < value).mean() + (draws <= value).mean()) / 2
    least = 1 / (len(draws) + 1)
    bias = norm.ppf(np.clip(below, least, 1 - least))
    deviations = jackknife.mean() - jackknife
    spread = float((deviations**2).sum())
    acceleration = float((deviations**3).sum()) / (6 * spread**1.5) if spread > 0 else 0.0
    quantile = norm.ppf((1 + level) / 2) * np.sqrt(overlap)
    shifted = bias + np.array([-quantile, quantile])
    low, high = bias + shifted / np.maximum(1 - acceleration * shifted, _LEAST)
    return _quantile(draws, float(low)), _quantile(draws, float(high))


def _quantile(draws: Floats, deviation: float) -> float:
    """Return the quantile of the draws at a quantile of the normal distribution."""
    if abs(deviation) <= _KNOTS[-1]:
        return float(np.quantile(draws, norm.cdf(deviation)))
    near, middle, far = np.quantile(draws, norm.cdf(np.copysign(_KNOTS, deviation)))
    inner, outer = float(middle - near), float(far - middle)
    beyond = min(abs(deviation), _FARTHEST) - _KNOTS[-1]
    if inner == 0 or outer == 0:
        return float(far + outer * beyond)
    ratio = float(np.clip(outer / inner, 1 / _MOST_SKEWED, _MOST_SKEWED))
    # The gaps between quantiles grow or shrink by one ratio for each standard deviation.
    steps = beyond if ratio == 1 else ratio * (ratio**beyond - 1) / (ratio - 1)
    return float(far + outer * steps)
