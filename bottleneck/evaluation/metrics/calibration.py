"""Calibration: probabilities from scores, and how well they match observed frequencies."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special
from scipy.stats import rankdata

from bottleneck.errors import ProtocolError, UsageError
from bottleneck.evaluation.metrics.metric_values import Bin, Calibration, as_metric
from bottleneck.evaluation.metrics.reliability import qualify
from bottleneck.evaluation.metrics.row_groups import (
    encode_folds,
    encode_patients,
    independent_units,
    remember,
    split_folds,
)
from bottleneck.predictions import Predictions
from bottleneck.statistics.arguments import as_codes
from bottleneck.statistics.intervals import (
    CORRECTED,
    Interval,
    average_intervals,
    influence_interval,
)
from bottleneck.statistics.patient_variance import overlap_factor, patient_variance
from bottleneck.statistics.proportions import clustered_proportion_interval

__all__ = [
    "bin_probabilities",
    "calibrate",
    "calibration_error",
    "calibration_line",
    "positive_probability",
]

Floats = NDArray[np.float64]

# Probabilities of 0 and 1 have no log-odds.
_LEAST = 1e-12
_MOST_BINS = 10


def calibrate(test: Predictions, inner: Sequence[Predictions]) -> Predictions:
    """Add calibrated probabilities to predictions, by Platt scaling on the training sets.

    Parameters
    ----------
    test : Predictions
        One row per test sample and repeat.
    inner : sequence of Predictions
        For every fold and repeat of ``test``, in order of first appearance, the out-of-fold
        predictions of its training set. The inner folds keep patients together.

    Returns
    -------
    Predictions
        ``test`` with ``probabilities``: those of scikit-learn's ``CalibratedClassifierCV``
        with Platt's sigmoid. With three classes or more, each class is calibrated against
        the rest, and the probabilities are divided by their sum. The sigmoid is fitted
        without class weights, so that it returns the class frequencies of the training set
        even if the head was fitted with balanced weights. Scores that are probabilities
        enter as log-odds. Probabilities that are the same for all samples of a fold, as in
        the prior-only arm, are kept.

    Raises
    ------
    UsageError
        If there is not one element of ``inner`` per fold and repeat.
    ProtocolError
        If a training set lacks a class.
    """
    folds = split_folds(test)
    if len(folds) != len(inner):
        raise UsageError(
            f"calibration needs out-of-fold predictions of the training set of each of the "
            f"{len(folds)} test folds, but there are {len(inner)}"
        )
    probabilities = np.empty_like(test.scores)
    for rows, training in zip(folds, inner, strict=True):
        if set(training.labels) != set(test.classes):
            lacking = sorted(set(test.classes) - set(training.labels))
            raise ProtocolError(
                f"calibration needs out-of-fold scores of every class, but one training set "
                f"has none of '{lacking[0] if lacking else sorted(set(training.labels))[-1]}'"
            )
        constant = all(np.ptp(training.scores[r], axis=0).max() == 0 for r in split_folds(training))
        if constant and test.kind == "probability":
            probabilities[rows] = test.scores[rows]
        else:
            probabilities[rows] = _fit_sigmoid(training).predict_proba(_log_odds(test.take(rows)))
    return dataclasses.replace(test, probabilities=np.clip(probabilities, 0, 1))


def _log_odds(predictions: Predictions) -> Floats:
    """Return the scores on an unbounded scale: probabilities as log-odds."""
    if predictions.kind == "decision":
        return predictions.scores
    return special.logit(np.clip(predictions.scores, _LEAST, 1 - _LEAST))


def _fit_sigmoid(training: Predictions) -> Any:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.calibration import CalibratedClassifierCV
    from threadpoolctl import threadpool_limits

    class Scores(ClassifierMixin, BaseEstimator):
        """A fitted classifier that takes its own scores as features."""

        classes_ = np.array(training.classes)

        def fit(self, X: Floats, y: Any) -> Scores:
            return self

        def decision_function(self, X: Floats) -> Floats:
            return X[:, 1] if len(self.classes_) == 2 else X

        def __sklearn_is_fitted__(self) -> bool:
            return True

    everyone = np.arange(len(training))
    calibrator = CalibratedClassifierCV(Scores(), cv=[(everyone, everyone)], ensemble=True)
    # The fit of one sigmoid is so short that threads wait for each other longer than they work.
    with threadpool_limits(1):
        return calibrator.fit(_log_odds(training), training.labels)


@remember
def calibration_line(
    predictions: Predictions, positive: str, level: float = 0.95
) -> tuple[Interval, Interval]:
    """Estimate the calibration slope and intercept, with confidence intervals.

    The slope (Cox 1958, Biometrika 45:562) is that of a logistic regression of the true
    class on the log-odds of the predicted probability. It is 1 for calibrated probabilities
    and below 1 if they are too extreme. The intercept ("calibration in the large";
    Steyerberg & Vergouwe 2014, European Heart Journal 35:1925) is that of the same
    regression with the slope fixed at 1. It is 0 if the mean probability is right, and above
    0 if it is too low.

    Parameters
    ----------
    predictions : Predictions
        Predictions with probabilities.
    positive : str
        The positive class.
    level : float
        Confidence level.

    Returns
    -------
    slope, intercept : Interval
        Each repeat is fitted over all its folds, by statsmodels; values and bounds are
        averaged over repeats. The variance is the sandwich estimate by patient (Liang &
        Zeger 1986, Biometrika 73:13) times I / (I - 1) for I patients, and over folds times
        ``overlap_factor``; the interval uses the t distribution. NaN if the regression has
        no finite solution: a class is absent, the probabilities separate the classes, or,
        for the slope, all probabilities of each fold are the same.

    Raises
    ------
    UsageError
        If the predictions have no probabilities.
    """
    repeats = np.unique(predictions.repeats)
    lines = [
        _fit_line(predictions.take(predictions.repeats == r), positive, level) for r in repeats
    ]
    slopes, intercepts = zip(*lines, strict=True)
    return average_intervals(slopes), average_intervals(intercepts)


def _fit_line(part: Predictions, positive: str, level: float) -> tuple[Interval, Interval]:
    from statsmodels.genmod.families import Binomial
    from statsmodels.genmod.generalized_linear_model import GLM

    share, true = positive_probability(part, positive)
    odds = special.logit(np.clip(share, _LEAST, 1 - _LEAST))
    patients = (
        np.arange(len(part)) if part.groups is None else as_codes("groups", part.groups, len(part))
    )
    folds = as_codes("folds", part.folds, len(part))
    overlap = overlap_factor(folds, patients)
    method = "logistic regression, sandwich variance by patient"
    method += CORRECTED if overlap > 1 else ""
    undefined = Interval(np.nan, np.nan, np.nan, np.nan, level, method)

    def estimate(value: float, influence: Floats) -> Interval:
        alike = np.zeros(len(true), dtype=np.int64)
        variance, degrees = patient_variance(influence, alike, alike, patients)
        return influence_interval(
            value, variance * overlap, degrees, level=level, bounds=None, method=method
        )

    def fit_slope() -> Interval:
        design = np.column_stack([np.ones(len(true)), odds])
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            # The conditions behind these warnings are checked before the fit and after it.
            warnings.simplefilter("ignore")
            fitted = GLM(true.astype(float), design, Binomial()).fit(
                tol=1e-10, tol_criterion="params"
            )
        if not fitted.converged or not np.isfinite(fitted.params).all():
            return undefined
        residual = true - fitted.fittedvalues
        influence = (design * residual[:, None]) @ np.asarray(fitted.normalized_cov_params)[-1]
        return estimate(float(fitted.params[-1]), influence)

    def fit_intercept() -> Interval:
        # Bisection, because Newton's method would overflow from a distant start.
        shift = float(optimize.brentq(lambda a: (special.expit(odds + a) - true).sum(), -99, 99))
        share = special.expit(odds + shift)
        weight = float((share * (1 - share)).sum())
        return undefined if weight < _LEAST else estimate(shift, (true - share) / weight)

    if true.all() or not true.any():
        return undefined, undefined
    flat = all(np.ptp(odds[folds == fold]) == 0 for fold in range(folds.max() + 1))
    apart = odds[true].min() >= odds[~true].max() or odds[true].max() <= odds[~true].min()
    return undefined if flat or apart else fit_slope(), fit_intercept()


def positive_probability(
    predictions: Predictions, positive: str
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the probability of the positive class, and whether it is the true class.

    Raises
    ------
    UsageError
        If the predictions have no probabilities.
    """
    if predictions.probabilities is None:
        raise UsageError("the predictions have no calibrated probabilities: calibrate them first")
    column = predictions.classes.index(positive)
    return predictions.probabilities[:, column], predictions.labels == positive


def _bin(share: Floats, n_patients: int) -> NDArray[np.int64]:
    """Return bin numbers: equally many samples per bin, equal probabilities in one bin."""
    n_bins = int(np.clip(n_patients // _MOST_BINS, 1, _MOST_BINS))
    return ((rankdata(share, "min") - 1) * n_bins / len(share)).astype(np.int64)


def calibration_error(predictions: Predictions, positive: str) -> float:
    """Compute the expected calibration error.

    Parameters
    ----------
    predictions : Predictions
        Predictions with probabilities.
    positive : str
        The positive class.

    Returns
    -------
    float
        Mean absolute difference of predicted probability and observed frequency over bins
        of equally many samples, weighted by the number of samples; averaged over repeats.
        There are ten bins, or fewer if a bin would have fewer than ten patients. Even for
        perfect calibration the error grows with the number of bins and falls with the
        number of samples; it has no interval.

    Raises
    ------
    UsageError
        If the predictions have no probabilities.
    """
    errors = []
    for repeat in np.unique(predictions.repeats):
        part = predictions.take(predictions.repeats == repeat)
        share, true = positive_probability(part, positive)
        excess = np.bincount(_bin(share, _count_patients(part)), share - true)
        errors.append(float(np.abs(excess).sum()) / len(part))
    return float(np.mean(errors))


def _count_patients(part: Predictions) -> int:
    return len(np.unique(independent_units(part)))


def bin_probabilities(
    predictions: Predictions, positive: str, *, source: str, level: float = 0.95
) -> Calibration:
    """Compare predicted probabilities with observed frequencies, bin by bin.

    Parameters
    ----------
    predictions : Predictions
        Predictions with probabilities.
    positive : str
        The positive class.
    source : str
        Origin of the probabilities, in words.
    level : float
        Confidence level.

    Returns
    -------
    Calibration
        The bins of ``calibration_error`` in the first repeat, in order of probability. The
        observed frequencies have the interval of ``clustered_proportion_interval``.

    Raises
    ------
    UsageError
        If the predictions have no probabilities.
    """
    part = predictions.take(predictions.repeats == predictions.repeats.min())
    share, true = positive_probability(part, positive)
    groups = independent_units(part)
    numbers = _bin(share, _count_patients(part))
    overlap = overlap_factor(encode_folds(part), encode_patients(part))
    bins = []
    for number in np.unique(numbers):
        rows = numbers == number
        observed = clustered_proportion_interval(true[rows], groups[rows], level, overlap)
        metric = as_metric(observed.value, qualify(observed, part, positive=positive))
        bins.append(Bin(int(rows.sum()), float(share[rows].mean()), metric))
    return Calibration(tuple(bins), source)
