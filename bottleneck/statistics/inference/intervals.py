"""Confidence intervals: the value object, the interval from influence values, and when to trust it.

Images of one patient are not independent. Where ``groups`` are given, the patients are what
is counted. ``benchmarks/coverage.py`` simulates how well each interval holds its level; the
table is ``benchmarks/coverage.md``.
"""

from __future__ import annotations

import dataclasses
import numbers
from collections.abc import Sequence
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from bottleneck.errors import UsageError
from bottleneck.statistics.arguments import as_vector, check_level
from bottleneck.statistics.inference.patient_variance import patient_variance
from bottleneck.text.short_repr import shorten

__all__ = [
    "CORRECTED",
    "JACKKNIFED",
    "Interval",
    "average_intervals",
    "effective_number",
    "holds_level",
    "influence_interval",
    "mean_interval",
    "show_bounds",
    "show_result",
    "with_counts",
]

# Fewer effective patients than this in a class give an estimate only.
_LEAST_EFFECTIVE = 10

# Added to the name of a method whose variance is corrected for overlapping training sets.
CORRECTED = " with Nadeau & Bengio's correction"
#: The variance of the training sets is estimated by leaving out parts of their patients.
JACKKNIFED = " with a jackknife of the training sets"


@dataclasses.dataclass(frozen=True)
class Interval:
    """An estimate and its confidence interval.

    Attributes
    ----------
    value, low, high : float
        The estimate and the bounds of its interval.
    standard_error : float
        Standard error of the estimate; NaN if the method has none.
    level : float
        Confidence level, two-sided.
    method : str
        Name of the method, for the footnote of a table.
    n, n_groups : int or None
        Number of samples, and of patients; None where they were not given.

    Examples
    --------
    >>> Interval(0.8124, 0.7062, 0.8711, 0.04, 0.95, "Obuchowski, logit scale", n=120, n_groups=40)
    Interval(0.812, 95 % 0.706 to 0.871, n=120 of 40 groups, Obuchowski, logit scale)
    """

    value: float
    low: float
    high: float
    standard_error: float
    level: float
    method: str
    n: int | None = dataclasses.field(default=None, compare=False)
    n_groups: int | None = dataclasses.field(default=None, compare=False)

    def __repr__(self) -> str:
        return show_result(self, f"{self.value:.3g}, {show_bounds(self)}")


class _Bounded(Protocol):
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...
    @property
    def level(self) -> float: ...


class _Estimate(_Bounded, Protocol):
    """What the results of this package share."""

    @property
    def method(self) -> str: ...
    @property
    def n(self) -> int | None: ...
    @property
    def n_groups(self) -> int | None: ...


def show_bounds(result: _Bounded) -> str:
    """Return the level and the bounds of a result, in few digits.

    Examples
    --------
    >>> show_bounds(Interval(0.8124, 0.7062, 0.8711, 0.04, 0.95, "Wilson"))
    '95 % 0.706 to 0.871'
    """
    return f"{100 * result.level:.4g} % {result.low:.3g} to {result.high:.3g}"


def show_result(result: _Estimate, text: str) -> str:
    """Return the one line that shows a result: the text given, the counts and the method.

    Examples
    --------
    >>> show_result(Interval(0.8, 0.7, 0.9, 0.05, 0.95, "Wilson", n=50), "0.8")
    'Interval(0.8, n=50, Wilson)'
    """
    counts = "" if result.n is None else f", n={result.n}"
    if result.n_groups is not None:
        counts += f" of {result.n_groups} group{'' if result.n_groups == 1 else 's'}"
    return f"{type(result).__name__}({text}{counts}, {result.method})"


R = TypeVar("R", bound=_Estimate)


def with_counts(result: R, n: int, groups: NDArray[np.int64] | None) -> R:
    """Return a result with the numbers of its samples, and of its patients if they are known.

    Examples
    --------
    >>> with_counts(Interval(0.8, 0.7, 0.9, 0.05, 0.95, "Wilson"), 3, np.array([0, 0, 1]))
    Interval(0.8, 95 % 0.7 to 0.9, n=3 of 2 groups, Wilson)
    """
    n_groups = None if groups is None else len(np.unique(groups))
    # Every R is a dataclass, which a bound cannot say.
    return dataclasses.replace(result, n=n, n_groups=n_groups)  # type: ignore[type-var]


def influence_interval(
    value: float,
    variance: float,
    degrees: float,
    *,
    level: float = 0.95,
    bounds: tuple[float, float] | None = (0, 1),
    method: str = "influence by patient",
) -> Interval:
    """Return the t interval of an estimate, given its variance.

    Parameters
    ----------
    value : float
        The estimate.
    variance, degrees : float
        From ``patient_variance``; over folds, the variance times ``overlap_factor``.
    level : float
        Confidence level.
    bounds : (float, float) or None
        The range of the estimate. The interval is symmetric on the logit scale of this
        range, which from -1 to 1 is Fisher's z. None for an estimate without bounds.
    method : str
        Name of the method.

    Returns
    -------
    Interval
        Its bounds are NaN if the variance is NaN or not above 0.

    Raises
    ------
    UsageError
        If the level is not between 0 and 1.

    Examples
    --------
    >>> interval = influence_interval(0.8, variance=0.0016, degrees=30)
    >>> f"{interval.low:.3f} to {interval.high:.3f}"
    '0.706 to 0.870'
    """
    tail = (1 - check_level(level)) / 2
    error = float(np.sqrt(variance)) if variance > 0 else np.nan
    if not np.isfinite(value + error):
        return Interval(value, np.nan, np.nan, np.nan, level, method)
    margin = -float(special.stdtrit(degrees, tail)) * error
    if bounds is None:
        return Interval(value, value - margin, value + margin, error, level, method)
    least, most = bounds
    share = (value - least) / (most - least)
    if not 0 < share < 1:
        return Interval(value, np.nan, np.nan, error, level, method)
    scaled = margin / (most - least) / (share * (1 - share))
    low, high = special.expit(special.logit(share) + np.array([-scaled, scaled]))
    return Interval(
        value,
        least + (most - least) * float(low),
        least + (most - least) * float(high),
        error,
        level,
        method,
    )


def mean_interval(
    value: float,
    influence: NDArray[np.float64],
    patients: NDArray[np.int64],
    overlap: float,
    level: float,
    method: str = "influence by patient",
    bounds: tuple[float, float] | None = (0, 1),
) -> Interval:
    """Return the t interval of a mean over samples, or of an estimate with known influences.

    Parameters
    ----------
    value : float
        The estimate.
    influence : ndarray of float64, shape (n_samples,)
        Influence of each sample; (x - mean) / n for a mean.
    patients : ndarray of int64, shape (n_samples,)
        Codes of the patients, from 0.
    overlap : float
        Factor of the variance: ``overlap_factor``.
    level, method, bounds
        As for ``influence_interval``.

    Examples
    --------
    >>> x = np.array([0.1, 0.3, 0.2, 0.4])
    >>> mean_interval(0.25, (x - x.mean()) / 4, np.arange(4), 1.0, 0.95, "mean", None)
    Interval(0.25, 95 % 0.0446 to 0.455, mean)
    """
    alike = np.zeros(len(influence), dtype=np.int64)
    variance, degrees = patient_variance(influence, alike, alike, patients)
    name = method + (CORRECTED if overlap > 1 else "")
    if np.isfinite(value) and not variance > 0:
        name += "; no interval without variation between patients"
    return influence_interval(
        value, variance * overlap, degrees, level=level, bounds=bounds, method=name
    )


def average_intervals(intervals: Sequence[Interval]) -> Interval:
    """Average the intervals of several repeats on the same patients.

    Repeats test the same patients again, so that the average is no narrower.

    Parameters
    ----------
    intervals : sequence of Interval
        Intervals of the same level and method.

    Returns
    -------
    Interval
        The means of the values, bounds and standard errors.

    Examples
    --------
    >>> one = Interval(0.7, 0.6, 0.8, 0.05, 0.95, "Wilson")
    >>> other = Interval(0.8, 0.7, 0.9, 0.05, 0.95, "Wilson")
    >>> average_intervals([one, other]).value
    0.75
    """
    bounds = np.mean([(i.value, i.low, i.high, i.standard_error) for i in intervals], axis=0)
    value, low, high, error = map(float, bounds)
    return dataclasses.replace(intervals[0], value=value, low=low, high=high, standard_error=error)


def effective_number(groups: ArrayLike) -> float:
    """Return the number of patients with equally many samples that would be worth as much.

    Parameters
    ----------
    groups : array-like, shape (n_samples,)
        Patient of every sample.

    Returns
    -------
    float
        (sum n_i)² / sum n_i² for patients with n_i samples: Kish (1965, Survey Sampling,
        section 11.7). It is the number of patients if all have equally many samples, and near
        1 if one patient has nearly all of them.

    Raises
    ------
    UsageError
        If there is no sample, or a patient is missing.

    Examples
    --------
    >>> effective_number(["a", "a", "b", "b", "c", "c"])
    3.0
    >>> round(effective_number([0] * 60 + list(range(1, 15))), 2)
    1.52
    """
    sizes = np.unique(as_vector("groups", groups), return_counts=True)[1].astype(float)
    return float(sizes.sum() ** 2 / (sizes @ sizes))


def holds_level(
    smaller_class: int,
    larger_class: int,
    metric: str = "auroc",
    n_folds: int = 1,
    *,
    effective: float = np.inf,
) -> bool:
    """Return whether the interval and the tests of a metric hold their level.

    Where they do not, show "estimate only: k patients in the smaller class".

    Parameters
    ----------
    smaller_class, larger_class : int
        Numbers of patients with samples of each class.
    metric : str
        Name of the metric, such as "auroc" or "auprc".
    n_folds : int
        Number of test folds per repeat.
    effective : float
        The smaller of the two classes' ``effective_number`` of patients.

    Returns
    -------
    bool
        True with 40 patients or more in the smaller class, or with 10 or more if the other
        class has at most four times as many. In ``benchmarks/coverage.md``, for AUROCs up to
        0.97, the 95 % intervals then cover 93 % or more, and the tests at the 5 % level
        reject up to 7 % of true null hypotheses, within the error of the simulation. Below
        that, coverage drops to 88.7 %, and DeLong's test rejects up to 9.4 %. Over folds the
        AUPRC needs 20 patients of the smaller class per fold: the average precision of few
        positive samples is biased upwards, and its interval covers as little as 82.0 %.
        False below an effective number of 10: where one patient has 60 of the 74 samples of a
        class, the variance of that patient cannot be estimated, and the interval of the AUROC
        covers 51 to 81 %. From 10 on it covers 93 % or more, whatever the sizes.

    Raises
    ------
    UsageError
        If a number is below 0, or no number.

    Examples
    --------
    >>> holds_level(12, 40), holds_level(12, 60)
    (True, False)
    >>> holds_level(74, 100, effective=1.5)
    False
    """
    for name, count in {
        "smaller_class": smaller_class,
        "larger_class": larger_class,
        "n_folds": n_folds,
        "effective": effective,
    }.items():
        if not isinstance(count, numbers.Real) or not count >= 0:
            raise UsageError(f"{name} must be a number of 0 or more, not {shorten(count)}")
    if effective < _LEAST_EFFECTIVE:
        return False
    if metric == "auprc" and n_folds > 1 and smaller_class < 20 * n_folds:
        return False
    return smaller_class >= 40 or (smaller_class >= 10 and larger_class <= 4 * smaller_class)
