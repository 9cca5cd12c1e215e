"""Predicted probabilities and observed frequencies: Brier score and reliability curve."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from bottleneck.statistics.accuracy.proportions import clustered_proportion_interval, overlap_over
from bottleneck.statistics.arguments import as_patients, check_level, check_same_rows
from bottleneck.statistics.class_labels import as_probabilities, as_truth
from bottleneck.statistics.inference.intervals import Interval, mean_interval, with_counts

__all__ = [
    "ReliabilityBin",
    "ReliabilityCurve",
    "brier_interval",
    "expected_calibration_error",
    "read_probabilities",
    "reliability_curve",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_MOST_BINS = 10


def read_probabilities(
    y_true: ArrayLike,
    probability: ArrayLike,
    groups: ArrayLike | None,
    folds: ArrayLike | None,
    positive: object,
    level: float,
) -> tuple[NDArray[np.bool_], Floats, Ints]:
    """Return the true class as booleans, the probabilities, and the codes of the patients."""
    check_level(level)
    check_same_rows(y_true=y_true, probability=probability, groups=groups, folds=folds)
    true = as_truth("y_true", y_true, positive)
    share = as_probabilities("probability", probability, len(true))
    return true, share, as_patients(groups, len(true))


def brier_interval(
    y_true: ArrayLike,
    probability: ArrayLike,
    groups: ArrayLike | None = None,
    folds: ArrayLike | None = None,
    *,
    positive: object = None,
    level: float = 0.95,
) -> Interval:
    """Estimate the Brier score with a confidence interval.

    Parameters
    ----------
    y_true, probability, groups, folds, positive, level
        As for ``calibration_line``.

    Returns
    -------
    Interval
        The mean of (probability - true class)² (Brier 1950, Monthly Weather Review 78:1), with
        the t interval from the sums of its deviations by patient, symmetric on the logit
        scale. Its bounds are NaN if all squares are the same.

    Raises
    ------
    UsageError
        As for ``calibration_line``.

    Examples
    --------
    >>> brier_interval([0, 1, 0, 1, 1], [0.3, 0.4, 0.1, 0.6, 0.7])
    Interval(0.142, 95 % 0.041 to 0.391, n=5, influence by patient)
    """
    true, share, patients = read_probabilities(y_true, probability, groups, folds, positive, level)
    squares = (share - true) ** 2
    value = float(squares.mean())
    overlap = overlap_over(folds, patients)
    interval = mean_interval(value, (squares - value) / len(true), patients, overlap, level)
    return with_counts(interval, len(true), None if groups is None else patients)


@dataclasses.dataclass(frozen=True)
class ReliabilityBin:
    """Samples of similar predicted probability.

    Attributes
    ----------
    n : int
        Number of samples.
    predicted : float
        Mean predicted probability.
    observed : Interval
        Observed frequency of the positive class.

    Examples
    --------
    >>> curve = reliability_curve([0, 1, 0, 1], [0.2, 0.4, 0.6, 0.8])
    >>> curve.bins[0].n, curve.bins[0].predicted
    (4, 0.5)
    """

    n: int
    predicted: float
    observed: Interval

    def __repr__(self) -> str:
        return f"ReliabilityBin(predicted {self.predicted:.3g}, observed {self.observed!r})"


@dataclasses.dataclass(frozen=True)
class ReliabilityCurve:
    """Predicted probabilities and observed frequencies, bin by bin.

    Attributes
    ----------
    bins : tuple of ReliabilityBin
        Bins of equally many samples, in order of probability.
    error : float
        The expected calibration error.

    Examples
    --------
    >>> reliability_curve([0, 1, 0, 1], [0.2, 0.4, 0.5, 0.7])
    ReliabilityCurve(1 bin, expected calibration error 0.05, n=4)
    """

    bins: tuple[ReliabilityBin, ...]
    error: float

    def __repr__(self) -> str:
        n, size = sum(one.n for one in self.bins), len(self.bins)
        return (
            f"ReliabilityCurve({size} bin{'s' if size > 1 else ''}, expected calibration error "
            f"{self.error:.3g}, n={n})"
        )


def reliability_curve(
    y_true: ArrayLike,
    probability: ArrayLike,
    groups: ArrayLike | None = None,
    folds: ArrayLike | None = None,
    *,
    positive: object = None,
    level: float = 0.95,
) -> ReliabilityCurve:
    """Compare predicted probabilities with observed frequencies, bin by bin.

    Parameters
    ----------
    y_true, probability, groups, folds, positive, level
        As for ``calibration_line``.

    Returns
    -------
    ReliabilityCurve
        There are ten bins of equally many samples, or fewer if a bin would have fewer than ten
        patients; equal probabilities are in one bin. The observed frequencies have the
        interval of ``proportion_interval``.

    Raises
    ------
    UsageError
        As for ``calibration_line``.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> probability = rng.random(100)
    >>> curve = reliability_curve(rng.random(100) < probability, probability)
    >>> len(curve.bins), curve.bins[0].observed
    (10, Interval(0.1, 95 % 0.0179 to 0.404, n=10, Wilson))
    """
    true, share, patients = read_probabilities(y_true, probability, groups, folds, positive, level)
    overlap = overlap_over(folds, patients)
    numbers = _bin(share, patients)
    bins = []
    for number in np.unique(numbers):
        rows = numbers == number
        own = patients[rows]
        observed = clustered_proportion_interval(true[rows], own, level, overlap)
        observed = with_counts(observed, len(own), None if groups is None else own)
        bins.append(ReliabilityBin(len(own), float(share[rows].mean()), observed))
    return ReliabilityCurve(tuple(bins), _calibration_error(true, share, numbers))


def expected_calibration_error(
    y_true: ArrayLike,
    probability: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    positive: object = None,
) -> float:
    """Compute the expected calibration error.

    Parameters
    ----------
    y_true, probability, groups, positive
        As for ``calibration_line``.

    Returns
    -------
    float
        Mean absolute difference of predicted probability and observed frequency over the bins
        of ``reliability_curve``, weighted by their numbers of samples (Naeini, Cooper &
        Hauskrecht 2015, Proceedings of the AAAI Conference 29:2901, with bins of equally many
        samples). Even for perfect calibration the error grows with the number of bins and
        falls with the number of samples; it has no interval.

    Raises
    ------
    UsageError
        As for ``calibration_line``.

    Examples
    --------
    >>> expected_calibration_error([0, 1, 0, 1, 1], [0.3, 0.4, 0.1, 0.6, 0.6])
    0.2
    """
    true, share, patients = read_probabilities(y_true, probability, groups, None, positive, 0.95)
    return _calibration_error(true, share, _bin(share, patients))


def _bin(share: Floats, patients: Ints) -> Ints:
    """Return bin numbers: equally many samples per bin, equal probabilities in one bin."""
    n_bins = int(np.clip(len(np.unique(patients)) // _MOST_BINS, 1, _MOST_BINS))
    return ((rankdata(share, "min") - 1) * n_bins / len(share)).astype(np.int64)


def _calibration_error(true: NDArray[np.bool_], share: Floats, numbers: Ints) -> float:
    excess = np.bincount(numbers, share - true)
    return float(np.abs(excess).sum()) / len(true)
