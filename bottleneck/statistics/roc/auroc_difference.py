"""The difference of two AUROCs, and its test by the inversion of its interval."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from scipy import special

from bottleneck.statistics.inference.intervals import Interval, show_bounds, show_result
from bottleneck.statistics.inference.inversion import agree_with_p, invert_interval

__all__ = ["AucDifference", "invert_difference", "mover_interval", "no_difference"]


@dataclasses.dataclass(frozen=True)
class AucDifference:
    """The AUROCs of two models and the test of their difference.

    Attributes
    ----------
    auc_a, auc_b : float
        The AUROCs.
    difference, low, high : float
        ``auc_a - auc_b`` and the bounds of its interval.
    standard_error : float
        Standard error of the difference; NaN if the method has none.
    p : float
        Two-sided p value, from the interval: it is below 1 - ``level`` where the interval
        excludes 0, and nowhere else.
    z, p_wald : float
        The difference divided by its standard error, and the two-sided p value of this
        statistic; without folds they are those of R's pROC. NaN without a standard error.
    level : float
        Confidence level of the interval.
    method : str
        Name of the method, for the footnote of a table.
    n, n_groups : int or None
        Number of samples, and of patients; None where they were not given.

    Examples
    --------
    >>> from bottleneck.statistics import roc_auc_difference
    >>> test = roc_auc_difference([0, 0, 0, 1, 1, 1], [1, 2, 4, 3, 5, 6], [2, 1, 5, 6, 3, 4])
    >>> round(test.difference, 3), round(test.auc_a, 3)
    (0.111, 0.889)
    """

    auc_a: float
    auc_b: float
    difference: float
    low: float
    high: float
    standard_error: float
    p: float
    z: float
    p_wald: float
    level: float
    method: str
    n: int | None = dataclasses.field(default=None, compare=False)
    n_groups: int | None = dataclasses.field(default=None, compare=False)

    def __repr__(self) -> str:
        return show_result(self, f"{self.difference:.3g}, {show_bounds(self)}, p={self.p:.3g}")


def no_difference(value: float, level: float, name: str, null: float) -> AucDifference:
    """Return the test of two scores that rank all samples alike."""
    p = invert_interval(lambda _: (-null, -null))
    z = 0.0 if null == 0 else np.nan
    return AucDifference(value, value, 0.0, 0.0, 0.0, 0.0, p, z, p, level, name)


def invert_difference(
    intervals: Callable[[float], tuple[Interval, Interval]],
    level: float,
    error: float,
    tail: Callable[[float], float],
    name: str,
    n_pairs: float,
    null: float,
) -> AucDifference:
    """Test a difference by inverting its interval; without a standard error, by a bound."""
    a, b = intervals(level)
    difference, z, p_wald = a.value - b.value, np.nan, np.nan

    def beyond_null(at: float) -> tuple[float, float]:
        low, high = mover_interval(*intervals(at), error)
        return low - null, high - null

    if error > 0:
        z = (difference - null) / error
        p_wald = 2 * float(tail(-abs(z)))
        p = invert_interval(beyond_null)
        name = f"{name}, MOVER"
    else:
        error, name = np.nan, "distribution-free bound"
        p = invert_interval(beyond_null) if null else _hoeffding_p(a, b, n_pairs)
    low, high = agree_with_p(*beyond_null(level), difference - null, p, level)
    low, high = low + null, high + null
    return AucDifference(a.value, b.value, difference, low, high, error, p, z, p_wald, level, name)


def mover_interval(a: Interval, b: Interval, error: float) -> tuple[float, float]:
    """Combine two intervals (Zou & Yue 2013), with the correlation that the error implies."""
    both = a.standard_error * b.standard_error
    shared = a.standard_error**2 + b.standard_error**2 - error**2
    correlation = float(np.clip(shared / (2 * both), -1, 1)) if both * error > 0 else 0.0

    def margin(own: float, other: float) -> float:
        return float(np.sqrt(own**2 + other**2 - 2 * correlation * own * other))

    difference = a.value - b.value
    return (
        difference - margin(a.value - a.low, b.high - b.value),
        difference + margin(a.high - a.value, b.value - b.low),
    )


def _hoeffding_p(a: Interval, b: Interval, pairs: float) -> float:
    """Bound the p value by Hoeffding's inequality for each AUROC against the mean of both."""
    varying = [one.value for one in (a, b) if one.method != "constant score"]
    middle = (a.value + b.value) / 2 if len(varying) == 2 else 0.5
    least = min(
        special.rel_entr(value, middle) + special.rel_entr(1 - value, 1 - middle)
        for value in varying
    )
    return min(1.0, 2 * len(varying) * float(np.exp(-pairs * least)))
