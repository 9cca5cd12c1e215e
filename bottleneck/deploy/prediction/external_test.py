"""Evaluation of a deployed model on labelled images, as an external test."""

from __future__ import annotations

import dataclasses

import numpy as np

from bottleneck.checks.check_warnings import CheckWarning
from bottleneck.deploy.prediction.deployed_model import DeployedModel
from bottleneck.evaluation.cross_validation.arms import ArmPredictions
from bottleneck.evaluation.cross_validation.evaluate_arm import evaluate_arm
from bottleneck.evaluation.measures import Measures
from bottleneck.evaluation.metrics.operating_points import apply_thresholds
from bottleneck.evaluation.results.comparison_results import Evaluation
from bottleneck.evaluation.results.methods_text import warn_of_few_patients, warn_of_large_patient
from bottleneck.predictions import Predictions

__all__ = ["evaluate_labelled", "find_test_warnings"]


def evaluate_labelled(model: DeployedModel, predictions: Predictions) -> Evaluation | None:
    """Return the metrics of the predictions that have a label, with intervals.

    Parameters
    ----------
    model : Model or TrainedModel
        The model.
    predictions : Predictions
        Predictions of images, or of patients if that is the unit of the model; labels that are
        not known are "".

    Returns
    -------
    Evaluation or None
        None where no label is known. Its operating point is the threshold of the model.
    """
    known = predictions.labels != ""
    if not known.any():
        return None
    test = predictions if known.all() else predictions.take(known)
    arm = ArmPredictions(name=model.head, head=model.head, test=test)
    evaluation = evaluate_arm(arm, model.positive, Measures())
    point = model.operating_point
    if point is None or model.positive is None:
        return evaluation
    at_threshold = apply_thresholds(
        test,
        (point.threshold,),
        positive=model.positive,
        held=point.held,
        target=point.target,
    )
    return dataclasses.replace(evaluation, operating_points=(at_threshold,))


def find_test_warnings(
    model: DeployedModel, predictions: Predictions, fingerprint: str | None, n_copies: int = 0
) -> tuple[CheckWarning, ...]:
    """Return the warnings about a test on labelled samples, the most severe first.

    Parameters
    ----------
    model : Model or TrainedModel
        The model.
    predictions : Predictions
        Labelled predictions of the evaluation.
    fingerprint : str or None
        Fingerprint of the data set; None if it is not known.
    n_copies : int
        Number of images that are training images.
    """
    warnings: list[CheckWarning] = []
    if fingerprint is not None and fingerprint == model.fingerprint:
        but = "" if model.trained_on == "all samples" else ", except for its test set"
        text = (
            f"this is not a test: the model was trained on this data set{but}, and the metrics do "
            "not apply to new images"
        )
        warnings.append(CheckWarning("BF401", text))
    elif n_copies:
        text = (
            f"the model was trained on {n_copies} of these images, or on nearly identical images, "
            "so the metrics are too optimistic: leave these images out"
        )
        warnings.append(CheckWarning("BF401", text))
    unit = "patient" if model.unit == "patient" else "image"
    for name in sorted(set(model.classes) - set(predictions.labels.tolist())):
        text = (
            f"no {unit} has the label '{name}': metrics that need every class, such as the AUROC, "
            "are not defined"
        )
        warnings.append(CheckWarning("BF403", text))
    if predictions.groups is None:
        text = (
            "no patients are known: images of one patient count as independent, so intervals may "
            "be too narrow. State the patients with --patient-pattern or "
            "--patient-column (in Python: groups)"
        )
        warnings.append(CheckWarning("BF109", text))
    elif unit == "image":
        # What follows is an option of compare.
        large = warn_of_large_patient(predictions.groups)
        warnings += [one.map(lambda text: text.partition("; --unit")[0]) for one in large]
    if len(np.unique(predictions.labels)) == len(model.classes):
        warnings += warn_of_few_patients(predictions.labels, predictions.groups)
    return tuple(warnings)
