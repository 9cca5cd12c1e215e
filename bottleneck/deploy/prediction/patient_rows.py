"""Predictions of patients, from the scores of their images."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from bottleneck.deploy.prediction.deployed_model import Decisions, DeployedModel, decide
from bottleneck.evaluation.metrics.patient_aggregation import aggregate_by_patient
from bottleneck.predictions import Predictions
from bottleneck.text.short_repr import show_fields

__all__ = ["PatientRows", "decide_patients"]


@dataclasses.dataclass(frozen=True, eq=False)
class PatientRows:
    """Decisions for patients, in order of their first image.

    Attributes
    ----------
    decided : Decisions
        One row per patient.
    patient_of : ndarray of int, shape (n_images,)
        Number of the patient of each image that has a score.
    notes : tuple of str
        Notes to the user.
    """

    decided: Decisions
    patient_of: NDArray[np.intp]
    notes: tuple[str, ...]

    __repr__ = show_fields


def decide_patients(
    model: DeployedModel, predictions: Predictions, error_rate: float
) -> PatientRows:
    """Return what a model decides on patients, aggregated from their images as in training.

    Parameters
    ----------
    model : Model or TrainedModel
        The model.
    predictions : Predictions
        Scores of images, with the patients as groups.
    error_rate : float
        Error rate of the conformal sets.
    """
    # A patient may have images with and without a label, or of several classes.
    plain = dataclasses.replace(
        predictions, labels=np.full(len(predictions), ""), probabilities=None
    )
    joined = aggregate_by_patient(plain, model.aggregate, positive=model.positive)
    number = {name: n for n, name in enumerate(joined.ids.tolist())}
    assert predictions.groups is not None
    patient_of = np.array([number[name] for name in predictions.groups.tolist()], dtype=np.intp)
    labels: list[set[str]] = [set() for _ in number]
    for patient, label in zip(patient_of.tolist(), predictions.labels.tolist(), strict=True):
        labels[patient].update({label} - {""})
    joined = dataclasses.replace(
        joined, labels=np.array([each.pop() if len(each) == 1 else "" for each in labels], str)
    )
    mixed = sum(len(each) > 1 for each in labels)
    notes = (
        f"{mixed} of {len(joined)} patients have images of several classes, and therefore no "
        "label as a patient: the metrics leave them out",
    )
    return PatientRows(decide(model, joined, error_rate), patient_of, notes if mixed else ())
