"""The calibration slope and intercept of predicted probabilities, with intervals by patient."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special

from bottleneck.statistics.arguments import as_codes
from bottleneck.statistics.class_labels import check_both_classes
from bottleneck.statistics.inference.intervals import Interval, mean_interval, with_counts
from bottleneck.statistics.inference.patient_variance import overlap_factor
from bottleneck.statistics.probabilities.reliability_curves import read_probabilities

__all__ = ["LEAST_PROBABILITY", "CalibrationLine", "calibration_line", "observed_expected_ratio"]

Floats = NDArray[np.float64]

# Probabilities of 0 and 1 have no log-odds.
LEAST_PROBABILITY = 1e-12


@dataclasses.dataclass(frozen=True)
class CalibrationLine:
    """The slope and the intercept of predicted probabilities.

    Attributes
    ----------
    slope : Interval
        1 for calibrated probabilities, below 1 if they are too extreme.
    intercept : Interval
        0 if the mean probability is right, above 0 if it is too low.

    Examples
    --------
    >>> calibration_line([0, 1, 0, 1, 1], [0.3, 0.4, 0.5, 0.6, 0.7]).intercept.n
    5
    """

    slope: Interval
    intercept: Interval


def calibration_line(
    y_true: ArrayLike,
    probability: ArrayLike,
    groups: ArrayLike | None = None,
    folds: ArrayLike | None = None,
    *,
    positive: object = None,
    level: float = 0.95,
) -> CalibrationLine:
    """Estimate the calibration slope and intercept, with confidence intervals.

    The slope (Cox 1958, Biometrika 45:562) is that of a logistic regression of the true
    class on the log-odds of the predicted probability. It is 1 for calibrated probabilities
    and below 1 if they are too extreme. The intercept ("calibration in the large";
    Steyerberg & Vergouwe 2014, European Heart Journal 35:1925) is that of the same
    regression with the slope fixed at 1. It is 0 if the mean probability is right, and above
    0 if it is too low.

    Parameters
    ----------
    y_true : array-like of int, bool or str, shape (n_samples,)
        Classes of the samples.
    probability : array-like of float, shape (n_samples,)
        Predicted probabilities of the positive class.
    groups : array-like, shape (n_samples,), optional
        Patients; without them every sample is a patient of its own.
    folds : array-like, shape (n_samples,), optional
        Test fold of every row, in one repeat. One regression is fitted over all folds.
    positive : int, bool or str, optional
        The positive class; the others are negative. By default 1 of 0 and 1, or True.
    level : float
        Confidence level.

    Returns
    -------
    CalibrationLine
        Both are fitted by maximum likelihood; statsmodels fits the slope. The variance is the
        sandwich estimate by patient (Liang & Zeger 1986, Biometrika 73:13) times I / (I - 1)
        for I patients, and over folds times ``overlap_factor``; the interval uses the t
        distribution. NaN, with the reason in ``method``, if the regression has no finite
        solution: the probabilities separate the classes, or all probabilities of each fold
        are the same.

    Raises
    ------
    UsageError
        If an array has the wrong shape, type or values, a probability is not between 0 and 1,
        the positive class is not known, or the level is not between 0 and 1.
    ProtocolError
        If only one class is present.

    Examples
    --------
    Probabilities that are too extreme:

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> odds = rng.normal(size=400)
    >>> y_true = rng.random(400) < 1 / (1 + np.exp(-odds))
    >>> line = calibration_line(y_true, 1 / (1 + np.exp(-2 * odds)))
    >>> line.slope.high < 1
    True
    """
    true, share, patients = read_probabilities(y_true, probability, groups, folds, positive, level)
    check_both_classes(true, "a calibration line")
    codes = np.zeros_like(patients) if folds is None else as_codes("folds", folds, len(true))
    overlap = overlap_factor(codes, patients)
    odds = special.logit(np.clip(share, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY))
    method = "logistic regression, sandwich variance by patient"

    def estimate(found: tuple[float, Floats] | str) -> Interval:
        name = method
        if isinstance(found, str):
            name, found = f"{method}; not defined: {found}", (np.nan, np.zeros(len(true)))
        made = mean_interval(*found, patients, overlap, level, name, bounds=None)
        return with_counts(made, len(true), None if groups is None else patients)

    slope: tuple[float, Floats] | str
    if all(np.ptp(odds[codes == fold]) == 0 for fold in range(codes.max() + 1)):
        slope = "all probabilities of a fold are the same"
    elif odds[true].min() >= odds[~true].max() or odds[true].max() <= odds[~true].min():
        slope = "the probabilities separate the classes"
    else:
        slope = _fit_slope(odds, true)
    return CalibrationLine(estimate(slope), estimate(_fit_intercept(odds, true)))


def observed_expected_ratio(
    y_true: ArrayLike,
    probability: ArrayLike,
    groups: ArrayLike | None = None,
    folds: ArrayLike | None = None,
    *,
    positive: object = None,
    level: float = 0.95,
) -> Interval:
    """Estimate the ratio of observed to expected positive samples, with a confidence interval.

    Parameters
    ----------
    y_true, probability, groups, folds, positive, level
        As for ``calibration_line``.

    Returns
    -------
    Interval
        The number of positive samples by the sum of the probabilities (O/E, as in Riley et al.
        2021, Statistics in Medicine 40:4230): 1 if the mean probability is right, above 1 if it is
        too low. The t interval follows from the sums of the influences by patient, symmetric on
        the scale of the logarithm; the standard error is that of the logarithm. NaN, with the
        reason in ``method``, without a positive sample or where all probabilities are 0.

    Raises
    ------
    UsageError
        As for ``calibration_line``.

    Examples
    --------
    >>> observed_expected_ratio([0, 1, 0, 1, 1], [0.3, 0.4, 0.2, 0.6, 0.5])
    Interval(1.5, 95 % 0.709 to 3.17, n=5, log scale, influence by patient)
    """
    true, share, patients = read_probabilities(y_true, probability, groups, folds, positive, level)
    codes = np.zeros_like(patients) if folds is None else as_codes("folds", folds, len(true))
    observed, expected = int(true.sum()), float(share.sum())
    method = "log scale, influence by patient"
    if not observed or not expected:
        what = "no positive sample" if not observed else "all probabilities are 0"
        name = f"{method}; not defined: {what}"
        made = Interval(np.nan, np.nan, np.nan, np.nan, level, name)
    else:
        influence = true / observed - share / expected
        overlap = overlap_factor(codes, patients)
        value = float(np.log(observed / expected))
        made = mean_interval(value, influence, patients, overlap, level, method, bounds=None)
        low, high = (float(np.exp(bound)) for bound in (made.low, made.high))
        made = dataclasses.replace(made, value=observed / expected, low=low, high=high)
    return with_counts(made, len(true), None if groups is None else patients)


def _fit_slope(odds: Floats, true: NDArray[np.bool_]) -> tuple[float, Floats] | str:
    """Return the slope and the influence of each sample on it, or why there is none."""
    from statsmodels.genmod.families import Binomial
    from statsmodels.genmod.generalized_linear_model import GLM

    design = np.column_stack([np.ones(len(true)), odds])
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        # The conditions behind these warnings are checked before the fit and after it.
        warnings.simplefilter("ignore")
        fitted = GLM(true.astype(float), design, Binomial()).fit(tol=1e-10, tol_criterion="params")
    if not fitted.converged or not np.isfinite(fitted.params).all():
        return "the regression has no finite solution"
    residual = true - fitted.fittedvalues
    influence = (design * residual[:, None]) @ np.asarray(fitted.normalized_cov_params)[-1]
    return float(fitted.params[-1]), influence


def _fit_intercept(odds: Floats, true: NDArray[np.bool_]) -> tuple[float, Floats] | str:
    """Return the intercept and the influence of each sample on it, or why there is none."""
    # Bisection, because Newton's method would overflow from a distant start.
    shift = float(optimize.brentq(lambda a: (special.expit(odds + a) - true).sum(), -99, 99))
    share = special.expit(odds + shift)
    weight = float((share * (1 - share)).sum())
    if weight < LEAST_PROBABILITY:
        return "all probabilities are 0 or 1"
    return shift, (true - share) / weight
