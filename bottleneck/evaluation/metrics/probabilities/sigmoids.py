"""Sigmoids that turn the scores of a head into calibrated probabilities."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from bottleneck.errors import ProtocolError, UsageError
from bottleneck.evaluation.metrics.inference.row_groups import split_folds
from bottleneck.evaluation.metrics.probabilities.calibration_shift import CalibrationShift
from bottleneck.predictions import Predictions
from bottleneck.statistics.probabilities.calibration_lines import (
    LEAST_PROBABILITY,
)
from bottleneck.text.short_repr import show_fields

__all__ = ["Sigmoids", "add_probabilities", "fit_sigmoids"]

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Sigmoids:
    """Sigmoids that turn the scores of a head into calibrated probabilities.

    The probability of a class is 1 / (1 + exp(-(slope * score + intercept))). Scores that are
    probabilities enter as log-odds. With three classes or more, each class has a sigmoid against
    the rest, and the probabilities are divided by their sum.

    Attributes
    ----------
    slopes, intercepts : tuple of float
        One of each per class, in the order of the sorted labels; with two classes, those of the
        second class alone.
    shift : CalibrationShift or None
        What a recalibration changed of these probabilities; None if there was none.

    Raises
    ------
    UsageError
        If the numbers are not finite, or there are not as many slopes as intercepts.

    Examples
    --------
    >>> made = Predictions.from_arrays(["benign", "malignant"], [[1.0, -1.0], [-2.0, 2.0]])
    >>> Sigmoids((1.5,), (0.0,)).apply(made)[:, 1].round(3).tolist()
    [0.182, 0.953]
    """

    slopes: tuple[float, ...]
    intercepts: tuple[float, ...]
    shift: CalibrationShift | None = None

    __repr__ = show_fields

    def __post_init__(self) -> None:
        if not self.slopes or len(self.slopes) != len(self.intercepts):
            raise UsageError("sigmoids need as many slopes as intercepts, and at least one of each")
        if not np.isfinite([*self.slopes, *self.intercepts]).all():
            raise UsageError("the slopes and intercepts of sigmoids must be finite numbers")
        n_classes = max(2, len(self.slopes))
        if self.shift is not None and len(self.shift.intercepts) != n_classes:
            raise UsageError(f"the recalibration of {n_classes} classes needs as many intercepts")
        if self.shift is not None and not self.shift.slope > 0:
            raise UsageError("the recalibration of a model needs a slope above 0")

    def apply(self, predictions: Predictions) -> Floats:
        """Return the probabilities of predictions.

        Parameters
        ----------
        predictions : Predictions
            Scores of the head that the sigmoids were fitted to.

        Returns
        -------
        ndarray of float64, shape (n, n_classes)
            In the order of their classes. Where the sigmoids of all classes are 0, all classes
            are equally probable.

        Raises
        ------
        UsageError
            If the sigmoids are of another number of classes.
        """
        n_classes = len(predictions.classes)
        if len(self.slopes) != _count_sigmoids(n_classes):
            raise UsageError(
                f"{n_classes} classes need {_count_sigmoids(n_classes)} sigmoids, not "
                f"{len(self.slopes)}"
            )
        scores = _log_odds(predictions)[:, -len(self.slopes) :]
        log_odds = np.array(self.slopes) * scores + np.array(self.intercepts)
        if n_classes == 2:  # 1 - expit would lose the digits of a small probability.
            shares = special.expit(np.hstack([-log_odds, log_odds]))
        else:
            shares = special.expit(log_odds)
            sums = shares.sum(axis=1, keepdims=True)
            even = np.full_like(shares, 1 / n_classes)
            shares = np.clip(np.divide(shares, sums, out=even, where=sums != 0), 0, 1)
        return shares if self.shift is None else self.shift.apply(shares)

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as plain lists."""
        return {
            "slopes": list(self.slopes),
            "intercepts": list(self.intercepts),
            "shift": None if self.shift is None else self.shift.to_dict(),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Sigmoids:
        """Return the sigmoids of ``to_dict``."""
        shift = content["shift"]
        return cls(
            tuple(map(float, content["slopes"])),
            tuple(map(float, content["intercepts"])),
            None if shift is None else CalibrationShift.from_dict(shift),
        )


def _count_sigmoids(n_classes: int) -> int:
    return 1 if n_classes == 2 else n_classes


def fit_sigmoids(training: Predictions) -> Sigmoids | None:
    """Fit the sigmoids of Platt scaling to out-of-fold predictions of a training set.

    Parameters
    ----------
    training : Predictions
        Out-of-fold predictions of a training set, which keep patients together.

    Returns
    -------
    Sigmoids or None
        Those of scikit-learn's ``CalibratedClassifierCV``, fitted without class weights, so that
        the probabilities return the class frequencies of the training set even if the head was
        fitted with balanced weights. None if the scores are probabilities that are the same for
        all samples of a fold, as those of the prior-only arm: these are kept.

    Raises
    ------
    ProtocolError
        If the training set lacks a class.
    """
    if set(training.labels) != set(training.classes):
        lacking = sorted(set(training.classes) - set(training.labels))
        raise ProtocolError(
            f"calibration needs out-of-fold scores of every class, but one training set "
            f"has none of '{lacking[0] if lacking else sorted(set(training.labels))[-1]}'"
        )
    constant = all(np.ptp(training.scores[r], axis=0).max() == 0 for r in split_folds(training))
    if constant and training.kind == "probability":
        return None
    platt = _fit_platt(training).calibrated_classifiers_[0].calibrators
    return Sigmoids(tuple(-float(one.a_) for one in platt), tuple(-float(one.b_) for one in platt))


def add_probabilities(predictions: Predictions, sigmoids: Sigmoids | None) -> Predictions:
    """Return predictions with probabilities: those of the sigmoids, or the head's own.

    Parameters
    ----------
    predictions : Predictions
        Scores of a head.
    sigmoids : Sigmoids or None
        From ``fit_sigmoids``. Without them, scores that are probabilities are kept as they are,
        and values of a decision function have none.
    """
    if sigmoids is not None:
        return dataclasses.replace(predictions, probabilities=sigmoids.apply(predictions))
    if predictions.kind == "decision":
        return predictions
    return dataclasses.replace(predictions, probabilities=np.clip(predictions.scores, 0, 1))


def _log_odds(predictions: Predictions) -> Floats:
    """Return the scores on an unbounded scale: probabilities as log-odds."""
    if predictions.kind == "decision":
        return predictions.scores
    return special.logit(np.clip(predictions.scores, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY))


def _fit_platt(training: Predictions) -> Any:
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
