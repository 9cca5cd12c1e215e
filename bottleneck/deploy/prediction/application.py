"""From the scores of images to the predictions of a deployed model."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import special

from bottleneck.checks.check_warnings import CheckWarning
from bottleneck.deploy.inputs.input_rows import InputRows
from bottleneck.deploy.models.distance import FEWEST_PATIENTS, UNLIKE
from bottleneck.deploy.models.model_words import describe_order
from bottleneck.deploy.prediction.deployed_model import DeployedModel, decide
from bottleneck.deploy.prediction.external_test import evaluate_labelled, find_test_warnings
from bottleneck.deploy.prediction.model_predictions import ModelPredictions
from bottleneck.deploy.prediction.patient_rows import decide_patients
from bottleneck.predictions import Predictions
from bottleneck.text.plurals import counted

__all__ = ["apply_model"]

# The largest share of new patients that are unlike the training images by chance; and how rare a
# number of them is that chance does not explain.
_BY_CHANCE, _RARE = 2 / (FEWEST_PATIENTS + 1), 0.001


def apply_model(
    model: DeployedModel,
    predictions: Predictions,
    distances: NDArray[np.float64] | None = None,
    failures: Sequence[tuple[str, str]] = (),
    error_rate: float = 0.1,
    *,
    inputs: InputRows | None = None,
    noun: str = "image",
    fingerprint: str | None = None,
    network: str | None = None,
    origin: str = "",
    n_copies: int = 0,
    distance_words: str = "",
    notes: Sequence[str] = (),
) -> ModelPredictions:
    """Return the predictions of a model for new images, from its scores.

    Parameters
    ----------
    model : Model or TrainedModel
        The model.
    predictions : Predictions
        Scores of the images that could be read, with their patients as groups. Labels that are
        not known are "".
    distances : ndarray of float64, shape (n,), or None
        Percentile of the distance of each image from the training images, 0 to 100.
    failures : sequence of (str, str)
        Id and reason of every image without a score.
    error_rate : float
        Error rate of the conformal sets, between 0 and 1.
    inputs : InputRows or None
        All images in the order of the input; by default those with a score, then the others.
    noun : str
        What a sample is in a word, as ``FeatureSet.noun``.
    fingerprint : str or None
        Fingerprint of the data set, to recognise the training data.
    network : str or None
        Which networks of a training the scores are of; None for a fitted head.
    origin : str
        What was evaluated of these networks, in a sentence or two.
    n_copies : int
        Number of images that are training images, as far as this is known.
    distance_words : str
        What the distances are, in words.
    notes : sequence of str
        Notes on how the scores were made.

    Returns
    -------
    ModelPredictions

    Raises
    ------
    UsageError
        If the error rate is not between 0 and 1.
    """
    inputs = _complete(predictions, failures) if inputs is None else inputs
    if predictions.groups is None and np.any(inputs.patients != ""):
        # All images of a known patient are unreadable: the others are patients of their own.
        predictions = dataclasses.replace(predictions, groups=predictions.ids)
    decided = decide(model, predictions, error_rate)
    by_patient = None
    texts = list(notes)
    if model.unit == "patient" and predictions.groups is not None:
        by_patient = decide_patients(model, predictions, error_rate)
        texts += by_patient.notes
    elif model.unit == "patient":
        texts.append(
            f"the model was fitted and evaluated on patients, but the patients of these {noun}s "
            f"are not known: each {noun} counts as a patient with one {noun}. State them with "
            "--patient-pattern or --patient-column (in Python: groups)"
        )
    tested = decided if by_patient is None else by_patient.decided
    evaluation = evaluate_labelled(model, tested.predictions)
    warnings: tuple[CheckWarning, ...] = ()
    if evaluation is not None:
        warnings = find_test_warnings(model, evaluation.predictions, fingerprint, n_copies)
        texts += _note_left_out(failures, inputs, noun)
    elif n_copies:
        texts.append(
            f"{counted(n_copies, noun)} of {len(inputs.ids)} are training {noun}s of the "
            "model, or nearly identical to them: their predictions do not show how the model does "
            "on new images"
        )
    if distances is not None:
        warnings = (*warnings, *_warn_of_unlike(distances, predictions, noun))
    if order := describe_order(model):
        warnings = (CheckWarning("BF405", order), *warnings)
    if model.conformal is None:
        texts.append("the model has no conformal sets: train it again with fit to have them")
    return ModelPredictions(
        decided=decided,
        inputs=inputs,
        percentiles=distances,
        failures=tuple((str(one), str(why)) for one, why in failures),
        by_patient=by_patient,
        evaluation=evaluation,
        error_rate=error_rate,
        unit=model.unit,
        noun=noun,
        positive=model.positive,
        operating_point=None if model.positive is None else model.operating_point,
        distance_words="" if distances is None else distance_words,
        set_words="" if model.conformal is None else model.conformal.words(error_rate),
        network=network,
        origin=origin,
        warnings=warnings,
        notes=tuple(texts),
    )


def _warn_of_unlike(
    distances: NDArray[np.float64], predictions: Predictions, noun: str
) -> tuple[CheckWarning, ...]:
    """Return a warning if more patients are unlike the training images than chance explains.

    A patient counts if at least half of the images are beyond the percentile ``UNLIKE``. One of
    the fewest training patients is beyond all others in 1 of 21 cases, so that by Markov's
    inequality no more than ``_BY_CHANCE`` of new patients count.
    """
    unlike = distances > UNLIKE
    groups = predictions.ids if predictions.groups is None else predictions.groups
    _, patient = np.unique(groups, return_inverse=True)
    share = np.bincount(patient, unlike) / np.bincount(patient)
    if special.bdtrc((share >= 0.5).sum() - 1, len(share), _BY_CHANCE) >= _RARE:
        return ()
    text = (
        f"{unlike.sum()} of {counted(len(unlike), noun)} are unlike the training {noun}s, more "
        "than chance explains: they may come from another device, or be prepared in "
        "another way, and the evaluation of the model may not hold for them"
    )
    return (CheckWarning("BF404", text),)


def _complete(predictions: Predictions, failures: Sequence[tuple[str, str]]) -> InputRows:
    """Return the rows of images with a score, then of those without one."""
    groups = predictions.groups
    none = np.full(len(failures), "")
    return InputRows(
        np.concatenate([predictions.ids, np.array([one for one, _ in failures], str)]),
        np.concatenate([predictions.labels, none]),
        np.concatenate([np.full(len(predictions), "") if groups is None else groups, none]),
    )


def _note_left_out(failures: Sequence[tuple[str, str]], inputs: InputRows, noun: str) -> list[str]:
    notes = []
    if unlabelled := int((inputs.labels == "").sum()):
        notes.append(
            f"the metrics leave out {unlabelled} of {len(inputs.ids)} {noun}s without a label"
        )
    labelled = dict(zip(inputs.ids.tolist(), inputs.labels.tolist(), strict=True))
    if lost := sum(labelled.get(one, "") != "" for one, _ in failures):
        notes.append(
            f"{counted(lost, f'labelled {noun}')} without a prediction "
            f"{'is' if lost == 1 else 'are'} missing from the metrics"
        )
    return notes
