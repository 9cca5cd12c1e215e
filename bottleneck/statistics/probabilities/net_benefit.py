"""The net benefit of acting on predicted probabilities, and decision curves."""

from __future__ import annotations

import dataclasses
import numbers
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bottleneck.errors import UsageError
from bottleneck.statistics.accuracy.proportions import counted_proportion, overlap_over
from bottleneck.statistics.arguments import as_numbers, as_patients, check_level, check_same_rows
from bottleneck.statistics.class_labels import as_probabilities, as_truth
from bottleneck.statistics.inference.intervals import CORRECTED, Interval, with_counts
from bottleneck.text.short_repr import shorten

__all__ = ["DecisionCurve", "decision_curve", "net_benefit"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclasses.dataclass(frozen=True, eq=False)
class DecisionCurve:
    """Net benefit of acting on predicted probabilities (Vickers & Elkin 2006).

    Attributes
    ----------
    thresholds : ndarray of float64, shape (n,)
        Threshold probabilities for action.
    model, everyone : ndarray of float64, shape (n,)
        Net benefit per sample of acting on the predictions, and of acting on everyone; that
        of acting on nobody is 0.
    low, high : ndarray of float64, shape (n,)
        Pointwise bounds of ``model``.
    over_everyone_low, over_everyone_high : ndarray of float64, shape (n,)
        Pointwise bounds of ``model`` - ``everyone``. They are narrower than those of ``model``
        and ``everyone`` suggest, because both strategies meet the same patients.

    Examples
    --------
    >>> decision_curve([0, 0, 1, 1], [0.1, 0.4, 0.3, 0.9])
    DecisionCurve(99 thresholds from 0.01 to 0.99)
    """

    thresholds: Floats
    model: Floats
    everyone: Floats
    low: Floats
    high: Floats
    over_everyone_low: Floats
    over_everyone_high: Floats

    def __repr__(self) -> str:
        at = self.thresholds
        return f"DecisionCurve({len(at)} thresholds from {at.min():.3g} to {at.max():.3g})"


def decision_curve(
    y_true: ArrayLike,
    probability: ArrayLike,
    groups: ArrayLike | None = None,
    folds: ArrayLike | None = None,
    *,
    thresholds: ArrayLike | None = None,
    positive: object = None,
    level: float = 0.95,
) -> DecisionCurve:
    """Compute the net benefit of acting on predicted probabilities at many thresholds.

    Parameters
    ----------
    y_true : array-like of int, bool or str, shape (n_samples,)
        Classes of the samples; the positive one calls for action, such as a biopsy.
    probability : array-like of float, shape (n_samples,)
        Predicted probabilities of the positive class. Action is taken where they are at least
        the threshold.
    groups : array-like, shape (n_samples,), optional
        Patients; without them every sample is a patient of its own.
    folds : array-like, shape (n_samples,), optional
        Test fold of every row; the variance is then multiplied by ``overlap_factor``.
    thresholds : array-like of float, optional
        Threshold probabilities for action, between 0 and 1; by default 0.01 to 0.99 in steps
        of 0.01.
    positive : int, bool or str, optional
        The positive class; the others are negative. By default 1 of 0 and 1, or True.
    level : float
        Confidence level of each point.

    Returns
    -------
    DecisionCurve
        Net benefit at the threshold t: (true positives - false positives * t / (1 - t)) / n
        for n samples (Vickers & Elkin 2006, Medical Decision Making 26:565), with the bounds
        of ``net_benefit`` at each threshold. They hold for one threshold that was chosen before,
        not for the whole curve at once.

    Raises
    ------
    UsageError
        If an array has the wrong shape, type or values, a probability or a threshold is not
        between 0 and 1, or the level is not.

    Examples
    --------
    >>> curve = decision_curve([0, 0, 1, 1], [0.1, 0.4, 0.3, 0.9], thresholds=[0.2, 0.5])
    >>> curve.model.tolist(), curve.everyone.tolist()
    ([0.4375, 0.25], [0.375, 0.0])
    """
    check_level(level)
    check_same_rows(y_true=y_true, probability=probability, groups=groups, folds=folds)
    true = as_truth("y_true", y_true, positive)
    share = as_probabilities("probability", probability, len(true))
    at = np.linspace(0.01, 0.99, 99) if thresholds is None else _read_thresholds(thresholds)
    patients = as_patients(groups, len(true))
    overlap = overlap_over(folds, patients)
    model, over = np.empty((2, 3, len(at)))
    for n, one in enumerate(at.tolist()):
        for side, acted in ((model, share >= one), (over, share < one)):
            sign = 1 if side is model else -1
            found = _estimate(true, acted, patients, one, sign, overlap, level)
            side[:, n] = found.value, found.low, found.high
    return DecisionCurve(
        thresholds=at,
        model=model[0],
        everyone=true.mean() - (1 - true.mean()) * at / (1 - at),
        low=model[1],
        high=model[2],
        over_everyone_low=over[1],
        over_everyone_high=over[2],
    )


def _estimate(
    true: Bools,
    chosen: Bools,
    patients: Ints,
    threshold: float,
    sign: int,
    overlap: float,
    level: float,
) -> Interval:
    """Return the net benefit of acting on the chosen samples, or of sparing them for sign -1.

    It is the share of all samples that are chosen and positive, less that of those that are chosen
    and negative, which counts t / (1 - t). The bounds combine those of both shares (MOVER), with
    the correlation of their sums by patient.
    """
    sizes = np.bincount(patients)
    n = len(true)
    hits = [np.bincount(patients, chosen & side).astype(float) for side in (true, ~true)]
    shares = [counted_proportion(each, sizes, level, overlap) for each in hits]
    factors = (float(sign), -sign * threshold / (1 - threshold))
    sums = [each - share[0] * sizes for each, share in zip(hits, shares, strict=True)]
    spread = float(sums[0] @ sums[0]) * float(sums[1] @ sums[1])
    together = float(sums[0] @ sums[1]) / np.sqrt(spread) if spread > 0 else 0.0
    joint = together * np.sign(factors[0] * factors[1])
    value = sum(f * share[0] for f, share in zip(factors, shares, strict=True))
    down, up = (
        [
            abs(f * (share[0] - share[1 if (f > 0) == is_low else 2]))
            for f, share in zip(factors, shares, strict=True)
        ]
        for is_low in (True, False)
    )
    low, high = (float(np.sqrt(max(0.0, a * a + b * b + 2 * joint * a * b))) for a, b in (down, up))
    gains = factors[0] * sums[0] + factors[1] * sums[1]
    patients_factor = len(sizes) / (len(sizes) - 1) if len(sizes) > 1 else np.nan
    error = float(np.sqrt(overlap * patients_factor * (gains @ gains))) / n
    name = "clustered Wilson" if len(sizes) < n else "Wilson"
    corrected = CORRECTED if overlap > 1 else ""
    method = f"true and false positives joined ({name}{corrected}, MOVER)"
    return Interval(value, value - low, value + high, error, level, method)


def _read_thresholds(thresholds: ArrayLike) -> Floats:
    at = as_numbers("thresholds", thresholds, unit="threshold")
    if wrong := at[(at <= 0) | (at >= 1)].tolist():
        raise _not_a_threshold(wrong[0])
    return at


def _not_a_threshold(value: object) -> UsageError:
    return UsageError(
        "a threshold must be a number between 0 and 1, the probability above which action is "
        f"taken, not {shorten(value)}"
    )


def net_benefit(
    y_true: ArrayLike,
    probability: ArrayLike,
    groups: ArrayLike | None = None,
    folds: ArrayLike | None = None,
    *,
    threshold: float,
    versus: Literal["nobody", "everyone"] = "nobody",
    positive: object = None,
    level: float = 0.95,
) -> Interval:
    """Estimate the net benefit of acting at one threshold, with a confidence interval.

    Parameters
    ----------
    y_true, probability, groups, folds, positive
        As for ``decision_curve``.
    threshold : float
        The probability from which on action is taken. At 0.1, a missed positive is as bad as
        nine needless actions.
    versus : {"nobody", "everyone"}
        What the net benefit is compared with. That of acting on nobody is 0, so that the
        difference is the net benefit itself.
    level : float
        Confidence level.

    Returns
    -------
    Interval
        (true positives - false positives * t / (1 - t)) / n at the threshold t, in true
        positives per sample, or the difference to that of acting on everyone. Both are sums of
        two shares of all samples, whose Wilson intervals by patient are combined by MOVER with
        their correlation (Zou & Donner 2008, Statistics in Medicine 27:1693). The standard error
        is that of the mean over samples (Sande et al. 2020, Statistics in Medicine 39:2980); its
        symmetric interval is far too narrow where hardly any positive sample is below the
        threshold (``benchmarks/curves.md``). An interval above 0 says that the predictions are
        better than acting on nobody, or on everyone.

    Raises
    ------
    UsageError
        If an array has the wrong shape, type or values, a probability or the threshold is not
        between 0 and 1, the level is not, or ``versus`` is another word.

    Examples
    --------
    >>> y_true = [0, 0, 0, 0, 0, 0, 1, 1, 1, 1]
    >>> probability = [0.0, 0.1, 0.2, 0.1, 0.4, 0.2, 0.3, 0.7, 0.5, 0.1]
    >>> net_benefit(y_true, probability, threshold=0.3)
    Interval(0.257, 95 % 0.00245 to 0.57, n=10, true and false positives joined (Wilson, MOVER))
    >>> net_benefit(y_true, probability, threshold=0.3, versus="everyone")
    Interval(0.114, 95 % -0.244 to 0.275, n=10, true and false positives joined (Wilson, MOVER))
    """
    check_level(level)
    if not isinstance(threshold, numbers.Real) or not 0 < threshold < 1:
        raise _not_a_threshold(threshold)
    if versus not in ("nobody", "everyone"):
        raise UsageError(f"versus must be 'nobody' or 'everyone', not {shorten(versus)}")
    at = float(threshold)
    check_same_rows(y_true=y_true, probability=probability, groups=groups, folds=folds)
    true = as_truth("y_true", y_true, positive)
    acted = as_probabilities("probability", probability, len(true)) >= at
    patients = as_patients(groups, len(true))
    chosen, sign = (acted, 1) if versus == "nobody" else (~acted, -1)
    overlap = overlap_over(folds, patients)
    interval = _estimate(true, chosen, patients, at, sign, overlap, level)
    return with_counts(interval, len(true), None if groups is None else patients)
