"""What a prediction needs of a model, and what the model decides on scores."""

from __future__ import annotations

import dataclasses
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.splits.protocol import Aggregate, Unit
from bottleneck.deploy.models.conformal import ConformalSets
from bottleneck.evaluation.metrics.operating_points import OperatingThreshold
from bottleneck.evaluation.metrics.probabilities.sigmoids import Sigmoids, add_probabilities
from bottleneck.predictions import Kind, Predictions
from bottleneck.text.short_repr import show_fields

__all__ = ["Decisions", "DeployedModel", "decide"]


class DeployedModel(Protocol):
    """A fitted head or a trained network, with all that was fitted on its out-of-fold scores.

    The attributes are those of ``Model``.
    """

    @property
    def head(self) -> str:
        """Name of the head, or of the network."""

    @property
    def kind(self) -> Kind:
        """Whether its scores are values of a decision function or probabilities."""

    @property
    def classes(self) -> tuple[str, ...]:
        """All labels, sorted."""

    @property
    def positive(self) -> str | None:
        """The positive class."""

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the training data set."""

    @property
    def trained_on(self) -> str:
        """ "all samples", or the part of the data set that it was trained on."""

    @property
    def unit(self) -> Unit:
        """Unit of calibration, threshold and conformal sets."""

    @property
    def aggregate(self) -> Aggregate:
        """How the score of a patient follows from those of the images."""

    @property
    def sigmoids(self) -> Sigmoids | None:
        """Calibration of the scores."""

    @property
    def operating_point(self) -> OperatingThreshold | None:
        """Threshold on the score of the positive class."""

    @property
    def conformal(self) -> ConformalSets | None:
        """Nonconformity scores of the training samples."""


@dataclasses.dataclass(frozen=True, eq=False)
class Decisions:
    """What a model decides on the scores of images, or of patients.

    Attributes
    ----------
    predictions : Predictions
        The scores, with calibrated probabilities where the model has any.
    decisions : ndarray of str, shape (n,)
        Class at the threshold of the model; without a threshold, the predicted class.
    sets : ndarray of bool, shape (n, n_classes), or None
        Classes of each conformal set; None where the model has none.
    """

    predictions: Predictions
    decisions: NDArray[np.str_]
    sets: NDArray[np.bool_] | None

    __repr__ = show_fields


def decide(model: DeployedModel, predictions: Predictions, error_rate: float) -> Decisions:
    """Return probabilities, decisions and conformal sets of images, or of patients.

    Parameters
    ----------
    model : Model or TrainedModel
        The model.
    predictions : Predictions
        Its scores.
    error_rate : float
        Share of patients of each class for whom the set may lack that class.
    """
    calibrated = add_probabilities(predictions, model.sigmoids)
    sets = None
    if model.conformal is not None and calibrated.probabilities is not None:
        sets = model.conformal.sets(calibrated.probabilities, error_rate)
    return Decisions(calibrated, _apply_threshold(model, calibrated), sets)


def _apply_threshold(model: DeployedModel, predictions: Predictions) -> NDArray[np.str_]:
    point, positive = model.operating_point, model.positive
    if point is None or positive is None:
        return predictions.predicted
    others = [name for name in model.classes if name != positive]
    other = others[0] if len(others) == 1 else f"not {positive}"
    score = predictions.scores[:, model.classes.index(positive)]
    return np.where(score >= point.threshold, positive, other)
