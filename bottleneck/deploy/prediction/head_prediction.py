"""Prediction of a fitted head, on images or on features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
from numpy.typing import NDArray

from bottleneck.backbones.recipe import explain_mismatch, takes_volumes
from bottleneck.deploy.inputs.extent_check import refuse_other_extent
from bottleneck.deploy.inputs.image_features import (
    extract_new,
    load_network,
    refuse_other_options,
)
from bottleneck.deploy.inputs.input_rows import InputRows
from bottleneck.deploy.inputs.new_inputs import NewInput, is_of_features, listed, read_images
from bottleneck.deploy.prediction.application import apply_model
from bottleneck.deploy.prediction.model_predictions import ModelPredictions
from bottleneck.deploy.prediction.training_copies import are_recognisable, find_training_copies
from bottleneck.errors import ModelError, UsageError, one_line
from bottleneck.features.arrays.feature_inputs import SampleFields, read_samples
from bottleneck.features.options import MachineKeywords
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.heads.search import check_finite, score_classes
from bottleneck.predictions import Predictions, join_scores
from bottleneck.processes.progress_bar import Progress
from bottleneck.statistics.probabilities.conformal_prediction import check_error_rate
from bottleneck.text.plurals import counted

if TYPE_CHECKING:
    from bottleneck.backbones.backbone import Backbone
    from bottleneck.deploy.models.model import Model

__all__ = ["predict_new", "refuse_other_features", "refuse_other_labels", "score_features"]


def predict_new(
    model: Model,
    given: NewInput,
    fields: SampleFields,
    *,
    error_rate: float,
    weights: str | Path | None,
    backbone: Backbone | None,
    folder: str | Path,
    progress: Progress | None,
    **machine: Unpack[MachineKeywords],
) -> ModelPredictions:
    """Return the predictions of a fitted head on images or features, as ``Model.predict`` says."""
    check_error_rate(error_rate)
    refuse_other_options(machine)
    given = listed(given)
    if is_of_features(given, model.recipe):
        samples = read_samples(given, fields, model.recipe, model.classes, model.selection)
        if weights is not None or backbone is not None:
            raise UsageError("features need no network: leave out weights= and backbone=")
        return predict_features(model, samples, error_rate)
    of_volumes = takes_volumes(model.recipe)
    dataset = read_images(given, fields, model.classes, model.selection, volumes=of_volumes)
    refuse_other_extent(dataset, model.training.get("regions"), model.n_samples)
    network = load_network(model.recipe, model.weights, weights=weights, backbone=backbone)
    features, notes = extract_new(
        dataset, network, model.recipe, folder=folder, progress=progress, **machine
    )
    inputs = InputRows.of_samples(dataset.samples)
    return predict_features(model, features, error_rate, inputs=inputs, notes=notes)


def predict_features(
    model: Model,
    features: FeatureSet,
    error_rate: float = 0.1,
    *,
    inputs: InputRows | None = None,
    notes: Sequence[str] = (),
) -> ModelPredictions:
    """Return the predictions of a fitted head on features.

    Parameters
    ----------
    model : Model
        The model.
    features : FeatureSet
        Features by the recipe of the model.
    error_rate : float
        Error rate of the conformal sets, between 0 and 1.
    inputs : InputRows or None
        All images in the order of the input; by default those with features, then the others.
    notes : sequence of str
        Notes on how the features were made.

    Raises
    ------
    ModelError
        If the features have another recipe, or a label that the model does not have.
    FeatureFileError
        If a feature is not finite.
    """
    return apply_model(
        model,
        score_features(model, features),
        _measure(model, features),
        features.failures,
        error_rate,
        inputs=InputRows.of_features(features) if inputs is None else inputs,
        noun=features.noun,
        fingerprint=str(features.provenance["dataset"]["fingerprint"]),
        n_copies=_count_copies(model, features),
        distance_words="" if model.reference is None else model.reference.words(features.noun),
        notes=[*notes, *_note_unmeasured(model, features.noun), *_note_conflicts(features)],
    )


def _measure(model: Model, features: FeatureSet) -> NDArray[np.float64] | None:
    if model.reference is None:
        return None
    try:
        return model.reference.percentiles(features.X)
    except UsageError as error:
        raise _not_predicted(error) from error


def _count_copies(model: Model, features: FeatureSet) -> int:
    # Few columns of an array can be equal by chance.
    if model.reference is None or "columns" in model.recipe:
        return 0
    copies = find_training_copies(features.X, model.reference.rows)
    return int((copies & are_recognisable(features)).sum())


def _note_unmeasured(model: Model, noun: str) -> list[str]:
    reference = model.reference
    return [] if reference is None or reference.is_known else [reference.words(noun)]


def _note_conflicts(features: FeatureSet) -> list[str]:
    """Return a note on identical images with different labels, which a comparison leaves out."""
    known = features.y != ""
    if features.pixels is None or not known.any():
        return []
    # A search for near-duplicates would take longer than all the rest that follows the network.
    _, image = np.unique(features.pixels[known], return_inverse=True)
    _, label = np.unique(features.y[known], return_inverse=True)
    n_labels = np.bincount(np.unique(np.stack([image, label]), axis=1)[0])
    if not (n := int((n_labels[image] > 1).sum())):
        return []
    return [
        f"{counted(n, features.noun)} are identical to {features.noun}s that have another label. "
        "These metrics count them; the metrics of compare leave them out. Correct the labels"
    ]


def _not_predicted(error: UsageError) -> ModelError:
    # A damaged file can hold objects of the right types with inconsistent arrays.
    return ModelError(
        f"the model cannot predict from these features ({one_line(error)}); is its file damaged? "
        "Train the head again with fit"
    )


def score_features(model: Model, features: FeatureSet) -> Predictions:
    """Return the scores of a fitted head on features, with the predicted classes.

    Parameters
    ----------
    model : Model
        The model.
    features : FeatureSet
        Features by the recipe of the model; a label that is not known is "".

    Returns
    -------
    Predictions
        One row per sample, in the order of the features, all in repeat 0 and fold 0, without
        calibrated probabilities.

    Raises
    ------
    ModelError
        If the features have another recipe, or a label that the model does not have; or are those
        of whole volumes, and the model was trained on regions, or reversed.
    FeatureFileError
        If a feature is not finite.
    """
    refuse_other_features(features, model.recipe_hash, model.recipe)
    refuse_other_labels(features, model.classes, model.selection)
    refuse_other_extent(features, model.training.get("regions"), model.n_samples)
    check_finite(features.X)
    try:
        scores = score_classes(model, model.estimator, features.X, model.classes)
    except UsageError as error:
        raise _not_predicted(error) from error
    return join_scores(
        scores,
        model.classes,
        model.kind,
        ids=features.ids,
        labels=features.y,
        groups=features.patients,
    )


def refuse_other_features(
    features: FeatureSet, recipe_hash: str, recipe: Mapping[str, Any]
) -> None:
    """Raise ``ModelError`` if features have another recipe than those of the training."""
    if features.recipe_hash != recipe_hash:
        raise ModelError(
            "the model needs features of the recipe that it was trained on, but these have "
            "another recipe: "
            + explain_mismatch(
                recipe,
                features.provenance["recipe"],
                "Extract these images again with the recipe of the model",
            )
        )


def refuse_other_labels(
    features: FeatureSet, classes: Sequence[str], selection: Mapping[str, Any]
) -> None:
    """Raise ``ModelError`` if a known label is none of a model that was trained on a selection."""
    if unknown := sorted({*features.classes} - {*classes, ""}):
        words = selection.get("words")
        raise ModelError(
            f"the model has the classes {', '.join(classes)}, but "
            f"{np.isin(features.y, unknown).sum()} of {len(features)} samples have another "
            f"label ('{unknown[0]}'): name them as the model does (recalibrate: --merge "
            f"{classes[0]}={unknown[0]}; in Python: FeatureSet.choose), or leave these samples out"
            + (f". It was trained on a selection: {words}" if words else "")
        )
