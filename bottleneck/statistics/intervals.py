"""What an interval is, how influence values give one, and when it can be trusted.

Images of one patient are not independent; wherever ``groups`` are given, patients are
what is counted. How well each interval holds its level is simulated in
``benchmarks/coverage.py``; the table is ``benchmarks/coverage.md``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from scipy import special

from bottleneck.errors import UsageError

__all__ = [
    "CORRECTED",
    "Interval",
    "average",
    "check_level",
    "holds_level",
    "influence_interval",
]

CORRECTED = " with Nadeau & Bengio's correction"


@dataclasses.dataclass(frozen=True)
class Interval:
    """A figure and its confidence interval.

    Attributes
    ----------
    value, low, high : float
        The figure and the bounds.
    standard_error : float
        On the scale of the figure; NaN where the method has none.
    level : float
        Confidence level, two-sided.
    method : str
        Name of the method, for a table's footnote.
    """

    value: float
    low: float
    high: float
    standard_error: float
    level: float
    method: str


def influence_interval(
    value: float,
    variance: float,
    degrees: float,
    *,
    level: float = 0.95,
    bounds: tuple[float, float] | None = (0, 1),
    method: str = "influence by patient",
) -> Interval:
    """Estimate any figure from the variance that its influence values give.

    Parameters
    ----------
    value : float
        The figure.
    variance, degrees : float
        From ``patient_variance``, the variance times the overlap over folds.
    level : float
        Confidence level.
    bounds : (float, float) or None
        Between which the figure lies: the interval is then symmetric on the logit scale
        between them, which from -1 to 1 is Fisher's z. None for a figure without bounds.
    method : str
        What to call it.

    Returns
    -------
    Interval
        With NaN for its bounds where the variance is not above 0 or not known.
    """
    tail = (1 - check_level(level)) / 2
    error = float(np.sqrt(variance)) if variance > 0 else np.nan
    if not np.isfinite(value + error):
        return Interval(value, np.nan, np.nan, np.nan, level, method)
    reach = -float(special.stdtrit(degrees, tail)) * error
    if bounds is None:
        return Interval(value, value - reach, value + reach, error, level, method)
    least, most = bounds
    share = (value - least) / (most - least)
    if not 0 < share < 1:
        return Interval(value, np.nan, np.nan, error, level, method)
    scaled = reach / (most - least) / (share * (1 - share))
    low, high = special.expit(special.logit(share) + np.array([-scaled, scaled]))
    return Interval(
        value,
        least + (most - least) * float(low),
        least + (most - least) * float(high),
        error,
        level,
        method,
    )


def average(each: Sequence[Interval]) -> Interval:
    """Average the intervals of several repeats, which see the same patients again.

    Parameters
    ----------
    each : sequence of Interval
        Of one level and method.

    Returns
    -------
    Interval
        The means of values, bounds and standard errors.
    """
    bounds = np.mean([(i.value, i.low, i.high, i.standard_error) for i in each], axis=0)
    value, low, high, error = map(float, bounds)
    return Interval(value, low, high, error, each[0].level, each[0].method)


def check_level(level: float) -> float:
    """Return a confidence level.

    Raises
    ------
    UsageError
        If it is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise UsageError(f"the confidence level must lie between 0 and 1, not be {level}")
    return level


def holds_level(
    smaller_class: int, larger_class: int, metric: str = "auroc", n_folds: int = 1
) -> bool:
    """Tell whether the interval and tests of a figure can be trusted with so few patients.

    Where they cannot, show "estimate only: k patients in the smaller class".

    Parameters
    ----------
    smaller_class, larger_class : int
        Patients with samples of each class.
    metric : str
        By the names in ``metrics.METRICS``.
    n_folds : int
        Test folds a repeat.

    Returns
    -------
    bool
        True from 40 patients in the smaller class on, or from 10 where the other class has
        at most four times as many. In ``benchmarks/coverage.md``, for AUROCs up to 0.97,
        the 95 % intervals then cover 93 % or more and the tests at the 5 % level reject up
        to 7 % of true hypotheses, both to within the error of the simulation. Below that
        coverage drops to 89 %, and DeLong's test rejects up to 10 %. Over folds the AUPRC
        needs 20 patients of the smaller class in each: the average precision of few
        positive samples is too high, and its interval covers down to 86 %.
    """
    if metric == "auprc" and n_folds > 1 and smaller_class < 20 * n_folds:
        return False
    return smaller_class >= 40 or (smaller_class >= 10 and larger_class <= 4 * smaller_class)
