"""Probabilities from scores, and how far they are frequencies."""

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
from bottleneck.evaluation.metrics.row_groups import (
    name_units,
    number_folds,
    number_patients,
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
]

Floats = NDArray[np.float64]

# Probabilities of 0 and 1 have no log-odds.
_LEAST = 1e-12
_MOST_BINS = 10


def calibrate(test: Predictions, inner: Sequence[Predictions]) -> Predictions:
    """Give predictions the probabilities that Platt's sigmoid finds in their training parts.

    Parameters
    ----------
    test : Predictions
        One row a test sample and repeat.
    inner : sequence of Predictions
        For every fold and repeat of ``test``, in order of first appearance, the out-of-fold
        predictions that its training part gave itself in inner folds that keep patients
        together.

    Returns
    -------
    Predictions
        ``test`` with ``probabilities``: those of scikit-learn's ``CalibratedClassifierCV``
        (Platt's sigmoid; with three classes or more one a class against the rest, the
        probabilities then divided by their sum). It is fitted without class weights, so
        that the frequencies of the classes are those of the training part, whatever
        weights the head had. Scores that are probabilities go in as log-odds. Scores that
        are the same for all samples of a fold, as those of the prior-only arm are, remain
        what they are where they are probabilities.

    Raises
    ------
    UsageError
        If there is not one ``inner`` a fold and repeat.
    ProtocolError
        If a class is absent from one of them.
    """
    parts = split_folds(test)
    if len(parts) != len(inner):
        raise UsageError(
            f"calibration needs out-of-fold predictions of the training part of each of the "
            f"{len(parts)} test folds, not of {len(inner)}"
        )
    probabilities = np.empty_like(test.scores)
    for rows, training in zip(parts, inner, strict=True):
        if set(training.labels) != set(test.classes):
            lacking = sorted(set(test.classes) - set(training.labels))
            raise ProtocolError(
                f"calibration needs out-of-fold scores of every class, and one training part "
                f"has none of '{lacking[0] if lacking else sorted(set(training.labels))[-1]}'"
            )
        constant = all(np.ptp(training.scores[r], axis=0).max() == 0 for r in split_folds(training))
        if constant and test.kind == "probability":
            probabilities[rows] = test.scores[rows]
        else:
            probabilities[rows] = _fit_sigmoid(training).predict_proba(_log_odds(test.take(rows)))
    return dataclasses.replace(test, probabilities=np.clip(probabilities, 0, 1))


def _log_odds(predictions: Predictions) -> Floats:
    """Scores as distances."""
    if predictions.kind == "decision":
        return predictions.scores
    return special.logit(np.clip(predictions.scores, _LEAST, 1 - _LEAST))


def _fit_sigmoid(training: Predictions) -> Any:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.calibration import CalibratedClassifierCV

    class Scores(ClassifierMixin, BaseEstimator):
        """A fitted classifier whose features are its scores."""

        classes_ = np.array(training.classes)

        def fit(self, X: Floats, y: Any) -> Scores:
            return self

        def decision_function(self, X: Floats) -> Floats:
            return X[:, 1] if len(self.classes_) == 2 else X

        def __sklearn_is_fitted__(self) -> bool:
            return True

    everyone = np.arange(len(training))
    calibrator = CalibratedClassifierCV(Scores(), cv=[(everyone, everyone)], ensemble=True)
    return calibrator.fit(_log_odds(training), training.labels)


def calibration_line(
    predictions: Predictions, positive: str, level: float = 0.95
) -> tuple[Interval, Interval]:
    """Estimate the slope and the intercept of calibration, with their intervals.

    Cox (1958, Biometrika 45:562): the slope is that of a logistic regression of the truth
    on the log-odds of the predicted probability, 1 where these are right and less where
    they are too extreme. The intercept is that of such a regression whose slope is held at
    1 ("calibration in the large"; Steyerberg & Vergouwe 2014, European Heart Journal
    35:1925): 0 where the mean probability is right, above 0 where it is too low.

    Parameters
    ----------
    predictions : Predictions
        With probabilities.
    positive : str
        The class they are held against the rest for.
    level : float
        Confidence level.

    Returns
    -------
    slope, intercept : Interval
        Each repeat is fitted over all its folds, by statsmodels; values and bounds are
        averaged over repeats. The variance adds up the influences of each patient (the
        sandwich of Liang & Zeger 1986, Biometrika 73:13, times I / (I - 1) for I
        patients), over folds times ``overlap_factor``; the reference is t. NaN
        where a regression has no finite answer: a class is absent, or no probability of
        one class exceeds any of the other, or, for the slope, all probabilities of a fold
        are the same.

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

    share, true = _probability_of(part, positive)
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
            # What would be warned of is looked for beforehand, or leaves nothing finite.
            warnings.simplefilter("ignore")
            fitted = GLM(true.astype(float), design, Binomial()).fit(tol=1e-10)
        if not fitted.converged or not np.isfinite(fitted.params).all():
            return undefined
        residual = true - fitted.fittedvalues
        influence = (design * residual[:, None]) @ np.asarray(fitted.normalized_cov_params)[-1]
        return estimate(float(fitted.params[-1]), influence)

    def fit_intercept() -> Interval:
        # One equation: iterations from a far start would overflow, bisection does not.
        found = float(optimize.brentq(lambda a: (special.expit(odds + a) - true).sum(), -99, 99))
        share = special.expit(odds + found)
        weight = float((share * (1 - share)).sum())
        return undefined if weight < _LEAST else estimate(found, (true - share) / weight)

    if true.all() or not true.any():
        return undefined, undefined
    flat = all(np.ptp(odds[folds == fold]) == 0 for fold in range(folds.max() + 1))
    apart = odds[true].min() >= odds[~true].max() or odds[true].max() <= odds[~true].min()
    return undefined if flat or apart else fit_slope(), fit_intercept()


def _probability_of(predictions: Predictions, positive: str) -> tuple[Floats, NDArray[np.bool_]]:
    if predictions.probabilities is None:
        raise UsageError("these predictions have no calibrated probabilities: calibrate them first")
    column = predictions.classes.index(positive)
    return predictions.probabilities[:, column], predictions.labels == positive


def _bin(share: Floats, n_patients: int) -> NDArray[np.int64]:
    """Number the bins: equally many samples each, equal probabilities in one bin."""
    n_bins = int(np.clip(n_patients // _MOST_BINS, 1, _MOST_BINS))
    return ((rankdata(share, "min") - 1) * n_bins / len(share)).astype(np.int64)


def calibration_error(predictions: Predictions, positive: str) -> float:
    """Compute the expected calibration error.

    Parameters
    ----------
    predictions : Predictions
        With probabilities.
    positive : str
        The class they are held against the rest for.

    Returns
    -------
    float
        The mean distance of predicted from observed shares over bins of equally many
        samples, weighted by their samples; of each repeat, averaged over repeats. There
        are ten bins, or fewer where a bin would have fewer than ten patients. It grows
        with the number of bins and shrinks with that of samples even where calibration is
        perfect, and has no interval.

    Raises
    ------
    UsageError
        If the predictions have no probabilities.
    """
    errors = []
    for repeat in np.unique(predictions.repeats):
        part = predictions.take(predictions.repeats == repeat)
        share, true = _probability_of(part, positive)
        excess = np.bincount(_bin(share, _count_patients(part)), share - true)
        errors.append(float(np.abs(excess).sum()) / len(part))
    return float(np.mean(errors))


def _count_patients(part: Predictions) -> int:
    return len(np.unique(name_units(part)))


def bin_probabilities(
    predictions: Predictions, positive: str, *, source: str, level: float = 0.95
) -> Calibration:
    """Hold predicted probabilities against observed shares, bin by bin.

    Parameters
    ----------
    predictions : Predictions
        With probabilities.
    positive : str
        The class they are held against the rest for.
    source : str
        Where the probabilities come from, in words.
    level : float
        Confidence level.

    Returns
    -------
    Calibration
        The bins of ``calibration_error``, those of the first repeat, by rising
        probability; the observed shares have the interval of
        ``proportions.clustered_proportion_interval``.

    Raises
    ------
    UsageError
        If the predictions have no probabilities.
    """
    part = predictions.take(predictions.repeats == predictions.repeats.min())
    share, true = _probability_of(part, positive)
    groups = name_units(part)
    bins = _bin(share, _count_patients(part))
    overlap = overlap_factor(number_folds(part), number_patients(part))
    found = []
    for number in np.unique(bins):
        rows = bins == number
        observed = clustered_proportion_interval(true[rows], groups[rows], level, overlap)
        metric = as_metric(observed.value, observed)
        found.append(Bin(int(rows.sum()), float(share[rows].mean()), metric))
    return Calibration(tuple(found), source)
