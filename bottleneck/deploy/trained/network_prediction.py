"""Prediction of trained networks, on images or on the features that they were trained on."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Unpack, cast

import numpy as np
from numpy.typing import NDArray
from torch import nn

from bottleneck.backbones.recipe import Precision, takes_volumes
from bottleneck.data.splits.protocol import Aggregate, Unit
from bottleneck.data.volumes.volume_preprocessing import VolumePreprocessing
from bottleneck.deploy.fit import read_target
from bottleneck.deploy.inputs.extent_check import refuse_other_extent
from bottleneck.deploy.inputs.image_features import (
    extract_each,
    extract_new,
    load_network,
    refuse_other_options,
)
from bottleneck.deploy.inputs.input_rows import InputRows
from bottleneck.deploy.inputs.new_inputs import NewInput, is_of_features, listed, read_images
from bottleneck.deploy.models.distance import TrainingReference
from bottleneck.deploy.prediction.application import apply_model
from bottleneck.deploy.prediction.head_prediction import refuse_other_features, refuse_other_labels
from bottleneck.deploy.prediction.model_predictions import ModelPredictions
from bottleneck.deploy.prediction.training_copies import are_recognisable, find_training_copies
from bottleneck.deploy.trained.network_calibration import deploy_networks
from bottleneck.deploy.trained.network_choice import (
    NetworkChoice,
    choose_network,
    network_label,
)
from bottleneck.deploy.trained.split_networks import score_rows, split_network
from bottleneck.errors import UsageError
from bottleneck.features.arrays.feature_inputs import SampleFields, read_samples
from bottleneck.features.options import MachineKeywords
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.finetune.training_folder.trained_folder import TrainedFolder
from bottleneck.heads.search import check_finite
from bottleneck.processes.progress_bar import Progress
from bottleneck.settings.schema import validate
from bottleneck.statistics.probabilities.conformal_prediction import check_error_rate

if TYPE_CHECKING:
    from bottleneck.backbones.backbone import Backbone

__all__ = ["predict_with_networks"]


def predict_with_networks(
    folder: TrainedFolder,
    given: NewInput,
    fields: SampleFields,
    *,
    positive: str | None,
    network: str | None,
    at_sensitivity: float | None,
    at_specificity: float | None,
    unit: Unit,
    aggregate: Aggregate,
    error_rate: float,
    weights: str | Path | None,
    backbone: Backbone | None,
    features: str | Path,
    progress: Progress | None,
    **machine: Unpack[MachineKeywords],
) -> ModelPredictions:
    """Return the predictions of a training, as ``TrainedModel.predict`` says."""
    record = folder.record
    check_error_rate(error_rate)
    validate(Unit, unit, "the unit")
    validate(Aggregate, aggregate, "the aggregate")
    refuse_other_options(machine)
    given = listed(given)
    choice = choose_network(record, network)
    target = read_target(at_sensitivity, at_specificity)
    if target is not None and positive is None:
        raise UsageError(
            f"a threshold needs a positive class, and none of {', '.join(record.classes)} is "
            "known to be that class: repeat the training command with --positive LABEL, which "
            "does not train finished folds again"
        )
    networks = [folder.network(one, backbone) for one in choice.members]
    heads: list[nn.Module]
    deployed = deploy_networks(
        folder, choice, positive, target=target, unit=unit, aggregate=aggregate
    )
    inputs = None
    notes: list[str] = []
    if record.features is not None:
        found, inputs, notes = _read_frozen(
            folder, given, fields, weights, backbone, features, progress, **machine
        )
        sets = [found for _ in networks]
        heads = [one.head.double() for one in networks]
    else:
        if is_of_features(given, {}):
            raise UsageError(
                f"{folder.path} holds networks that take images, but features are given: pass the "
                "images"
            )
        if weights is not None:
            raise UsageError(
                "trained networks have weights of their own: leave out --weights (in Python: "
                "weights=)"
            )
        split = [
            split_network(one, record, network_label(record, member))
            for one, member in zip(networks, choice.members, strict=True)
        ]
        dataset = read_images(
            given,
            fields,
            record.classes,
            record.dataset.selection,
            volumes=isinstance(split[0].backbone.preprocessing, VolumePreprocessing),
        )
        refuse_other_extent(dataset, record.dataset.n_regions, record.dataset.n_samples)
        inputs = InputRows.of_samples(dataset.samples)
        sets, notes = extract_each(
            dataset,
            [one.backbone for one in split],
            cast(Precision, record.config.precision),  # The training resolves "auto".
            "reference",  # As in training, Pillow resizes.
            folder=features,
            progress=progress,
            **machine,
        )
        heads = [one.head for one in split]
    for one in sets:
        check_finite(one.X)
    refuse_other_labels(sets[0], record.classes, record.dataset.selection)
    parts = [score_rows(*pair, record.classes) for pair in zip(sets, heads, strict=True)]
    measured = _measure(folder, choice, sets, deployed.has_patients)
    return apply_model(
        deployed,
        deployed.join(parts),
        measured.percentiles,
        sets[0].failures,
        error_rate,
        inputs=inputs or InputRows.of_features(sets[0]),
        noun=sets[0].noun,
        fingerprint=str(sets[0].provenance["dataset"]["fingerprint"]),
        network=choice.name,
        origin=choice.words,
        n_copies=int(measured.copies.sum()),
        distance_words=measured.words,
        notes=[*notes, *deployed.note_order(), *measured.notes],
    )


def _read_frozen(
    folder: TrainedFolder,
    given: NewInput,
    fields: SampleFields,
    weights: str | Path | None,
    backbone: Backbone | None,
    features: str | Path,
    progress: Progress | None,
    **machine: Unpack[MachineKeywords],
) -> tuple[FeatureSet, InputRows | None, list[str]]:
    """Return features by the frozen network that a classifier was trained on."""
    stated = folder.record.features
    assert stated is not None
    if is_of_features(given, stated.recipe):
        if weights is not None:
            raise UsageError("features need no network: leave out weights=")
        found = read_samples(given, fields, stated.recipe)
        refuse_other_features(found, stated.recipe_hash, stated.recipe)
        refuse_other_extent(found, folder.record.dataset.n_regions, folder.record.dataset.n_samples)
        return found, None, []
    record = folder.record
    of_volumes = takes_volumes(stated.recipe)
    dataset = read_images(
        given, fields, record.classes, record.dataset.selection, volumes=of_volumes
    )
    refuse_other_extent(dataset, record.dataset.n_regions, record.dataset.n_samples)
    network = load_network(stated.recipe, stated.weights or {}, weights=weights, backbone=backbone)
    found, notes = extract_new(
        dataset, network, stated.recipe, folder=features, progress=progress, **machine
    )
    return found, InputRows.of_samples(dataset.samples), notes


@dataclasses.dataclass(frozen=True, eq=False)
class _Measured:
    """How far images lie from the training images, and which of them are training images."""

    percentiles: NDArray[np.float64] | None
    copies: NDArray[np.bool_]
    words: str = ""
    notes: tuple[str, ...] = ()


def _measure(
    folder: TrainedFolder, choice: NetworkChoice, sets: Sequence[FeatureSet], has_patients: bool
) -> _Measured:
    """Compare images with the training images of each network; percentiles are the median."""
    stated = folder.record.features
    one_unit = stated is None or "preprocessing" in stated.recipe
    noun = sets[0].noun
    each, copies, words = [], np.zeros(len(sets[0]), bool), ""
    for member, found in zip(choice.members, sets, strict=True):
        kept = folder.reference(member)
        if kept is None:
            why = (
                f"how far each {noun} lies from the training {noun}s is not stated: this network "
                "has no pooled map before its classifier"
            )
            return _Measured(None, copies, notes=(why,))
        reference = TrainingReference.fit(*kept, one_unit=one_unit, has_patients=has_patients)
        if one_unit:  # Few columns of an array can be equal by chance.
            rows = reference.rows if reference.is_known else kept[0]
            copies |= find_training_copies(found.X, rows) & are_recognisable(found)
        percentiles = reference.percentiles(found.X)
        words = words or reference.words(noun)
        if percentiles is not None:
            each.append(percentiles)
    if len(each) < len(sets):
        return _Measured(None, copies, notes=(words,))
    if len(sets) > 1:
        words = (
            f"The percentile is the median of those of {len(sets)} networks. Of the first: {words}"
        )
    return _Measured(np.median(each, axis=0), copies, words)
