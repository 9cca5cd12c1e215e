"""Calibration: how well probabilities match observed frequencies."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bottleneck.errors import UsageError
from bottleneck.evaluation.metrics.inference.reliability import qualify
from bottleneck.evaluation.metrics.inference.row_groups import (
    encode_folds,
    encode_patients,
    independent_units,
    remember,
    split_folds,
)
from bottleneck.evaluation.metrics.metric_values import Bin, Calibration, as_metric
from bottleneck.evaluation.metrics.probabilities.sigmoids import add_probabilities, fit_sigmoids
from bottleneck.predictions import Predictions
from bottleneck.statistics.inference.intervals import Interval, average_intervals
from bottleneck.statistics.probabilities.calibration_curves import (
    CalibrationCurve,
    calibration_curve,
)
from bottleneck.statistics.probabilities.calibration_lines import (
    CalibrationLine,
    observed_expected_ratio,
)
from bottleneck.statistics.probabilities.calibration_lines import (
    calibration_line as fit_calibration_line,
)
from bottleneck.statistics.probabilities.reliability_curves import (
    expected_calibration_error,
    reliability_curve,
)

__all__ = [
    "bin_probabilities",
    "calibrate",
    "calibration_error",
    "calibration_line",
    "observed_expected",
    "positive_probability",
]

Floats = NDArray[np.float64]


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
        ``test`` with ``probabilities``: in each fold those of ``fit_sigmoids`` on its training
        set.

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
        probabilities[rows] = add_probabilities(
            test.take(rows), fit_sigmoids(training)
        ).probabilities
    return dataclasses.replace(test, probabilities=probabilities)


@remember
def calibration_line(
    predictions: Predictions, positive: str, level: float = 0.95
) -> tuple[Interval, Interval]:
    """Estimate the calibration slope and intercept, with confidence intervals.

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
        Those of ``bottleneck.statistics.calibration_line``: each repeat is fitted over all its
        folds, and values and bounds are averaged over repeats. NaN if the regression has no
        finite solution, or a class is absent.

    Raises
    ------
    UsageError
        If the predictions have no probabilities.
    """
    lines = [_fit_line(part, positive, level) for part in _split_repeats(predictions)]
    return (
        average_intervals([line.slope for line in lines]),
        average_intervals([line.intercept for line in lines]),
    )


def _split_repeats(predictions: Predictions) -> list[Predictions]:
    numbers = np.unique(predictions.repeats)
    return [predictions.take(predictions.repeats == number) for number in numbers]


def _fit_line(part: Predictions, positive: str, level: float) -> CalibrationLine:
    share, true = positive_probability(part, positive)
    if true.all() or not true.any():
        undefined = Interval(np.nan, np.nan, np.nan, np.nan, level, "one class")
        return CalibrationLine(undefined, undefined)
    return fit_calibration_line(true, share, part.groups, part.folds, level=level)


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
        That of ``expected_calibration_error``, averaged over repeats.

    Raises
    ------
    UsageError
        If the predictions have no probabilities.
    """
    errors = []
    for part in _split_repeats(predictions):
        share, true = positive_probability(part, positive)
        errors.append(expected_calibration_error(true, share, independent_units(part)))
    return float(np.mean(errors))


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
        The bins of ``reliability_curve`` in the first repeat, and the ``calibration_curve`` of all
        repeats.

    Raises
    ------
    UsageError
        If the predictions have no probabilities.
    """
    part = predictions.take(predictions.repeats == predictions.repeats.min())
    share, true = positive_probability(part, positive)
    curve = reliability_curve(true, share, independent_units(part), part.folds, level=level)
    bins = tuple(
        Bin(
            each.n,
            each.predicted,
            as_metric(each.observed.value, qualify(each.observed, part, positive=positive)),
        )
        for each in curve.bins
    )
    return Calibration(bins, source, _smooth(predictions, positive, level))


def _smooth(predictions: Predictions, positive: str, level: float) -> CalibrationCurve | None:
    """Return the smooth curve of all rows; None if it is not known anywhere."""
    share, true = positive_probability(predictions, positive)
    patients, folds = encode_patients(predictions), encode_folds(predictions)
    curve = calibration_curve(true, share, patients, folds, level=level)
    return curve if np.isfinite(curve.observed).any() else None


def observed_expected(predictions: Predictions, positive: str, level: float = 0.95) -> Interval:
    """Estimate the ratio of observed to expected positive samples over all folds and repeats.

    Raises
    ------
    UsageError
        If the predictions have no probabilities.
    """
    share, true = positive_probability(predictions, positive)
    patients, folds = encode_patients(predictions), encode_folds(predictions)
    return observed_expected_ratio(true, share, patients, folds, level=level)
