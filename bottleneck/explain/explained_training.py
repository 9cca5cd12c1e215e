"""The explanation of trained networks: on their test folds, and on new images."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from bottleneck.backbones.backbone import Backbone
from bottleneck.backbones.recipe import AnyPreprocessing, framing, read_recipe
from bottleneck.data.dataset import ImageDataset
from bottleneck.deploy.inputs.new_inputs import NewInput, is_of_features, listed, read_images
from bottleneck.deploy.trained.network_choice import network_label
from bottleneck.deploy.trained.trained_model import TrainedModel
from bottleneck.evaluation.cases.case_choice import ChosenError, choose_wrong
from bottleneck.explain.checks.arm_checks import ArmChecks
from bottleneck.explain.checks.checking import CheckedImage, check_if_asked, choose_checked
from bottleneck.explain.explained_images import (
    checked_images,
    choose_images,
    describe_choice,
    explained_predictions,
    new_case,
)
from bottleneck.explain.explanation import ExplainedArm, ExplainedCase, Explanation
from bottleneck.explain.maps.gradients.explained_network import ExplainedNetwork
from bottleneck.explain.shown_cases.case_images import CaseImages, load_case_images
from bottleneck.explain.shown_cases.case_maps import (
    Agreement,
    MapChoice,
    add_maps,
    add_pixels,
    possible_maps,
)
from bottleneck.features.arrays.feature_inputs import SampleFields
from bottleneck.features.options import MachineKeywords
from bottleneck.finetune.training_folder.trained_folder import TrainedFolder
from bottleneck.predictions import Predictions
from bottleneck.processes.progress_bar import Progress

__all__ = ["explain_network_cases", "explain_new_by_networks", "explain_training"]

# The probability of an image may differ from the recorded one by this much: networks in bf16, and
# on other devices, round otherwise.
_APART = 0.05
_NO_NEAREST = (
    "There are no nearest training images: a training keeps the features of its images without "
    "their names."
)


def explain_training(
    model: TrainedModel,
    data: ImageDataset | None,
    *,
    maps: MapChoice,
    checks: bool | None,
    regions: str | Path | None,
    most: int,
    weights: str | Path | None,
    progress: Progress | None,
) -> Explanation:
    """Return the errors of networks on their test folds, as ``explain_predictions`` says."""
    folder = TrainedFolder(model.path)
    record = folder.record
    tested, _ = folder.predictions()
    chosen = choose_wrong(tested, most)
    cases = [
        dataclasses.replace(_recorded_case(tested, one), times=one.times, tested=one.tested)
        for one in chosen
    ]
    words = []
    checked: ArmChecks | None = None
    if cases and data is None:
        words.append(
            "There are no heat maps, because the images were not given: name their data set with "
            "--data (in Python: data=)."
        )
    elif cases and data is not None:
        maps = possible_maps(maps, _framing(model), words)
        images = _load(model, cases, data, progress)
        cases = [add_pixels(case, images) for case in cases]
        if lost := sum(case.id not in images.pixels for case in cases):
            words.append(
                f"{lost} of {len(cases)} images are not in --data, or cannot be read: is it the "
                "data set of the training?"
            )
        if maps != "none" and images.pixels:
            labels = {(one.repeat, one.fold): network_label(record, one) for one in record.folds}
            network_of = functools.cache(lambda name: _network(model, name, weights))
            every = [network_of(labels[case.repeat or 0, case.fold or 0]) for case in cases]
            recorded = [float(case.score) for case in cases]
            cases, about = add_maps(
                cases, every, images, _same_probability(cases, recorded), maps, progress
            )
            words += about
            words.append(
                "Each map is of the network of the fold that made the prediction, which was not "
                "trained on this image."
            )
            first = tested.take(tested.repeats == 0)
            checked, unchecked = check_if_asked(
                [
                    CheckedImage(
                        id=str(first.ids[at]),
                        label=str(first.labels[at]),
                        patient="" if first.groups is None else str(first.groups[at]),
                        towards=model.positive or str(first.labels[at]),
                        explained=network_of(labels[0, int(first.folds[at])]),
                    )
                    for at in choose_checked(first.labels, first.groups).tolist()
                ],
                lambda ids: load_case_images(data, ids, _framing(model), progress=progress),
                wanted=checks,
                method=maps,
                dataset=data,
                regions=regions,
                progress=progress,
            )
            words += unchecked
    words.append(_NO_NEAREST)
    wrong = tested.predicted != tested.labels
    n = tested.n_samples
    return Explanation(
        of="training",
        title=f"{model.name} on {record.dataset.name}",
        classes=model.classes,
        positive=model.positive,
        unit="image",
        arms=(
            ExplainedArm(
                name=model.name,
                cases=tuple(cases),
                n_wrong=len(np.unique(tested.ids[wrong])),
                n_labelled=n,
                n_images=n,
                words=tuple(words),
                checks=checked,
            ),
        ),
    )


def explain_new_by_networks(
    model: TrainedModel,
    images: NewInput,
    fields: SampleFields,
    *,
    network: str | None,
    maps: MapChoice,
    checks: bool | None,
    regions: str | Path | None,
    most: int,
    weights: str | Path | None,
    backbone: Backbone | None,
    features: str | Path,
    progress: Progress | None,
    **machine: Unpack[MachineKeywords],
) -> Explanation:
    """Return what trained networks decided of images, as ``explain_predictions`` says."""
    given = listed(images)
    dataset: ImageDataset | None = None
    if not is_of_features(given, model.recipe):
        dataset = read_images(
            given,
            fields,
            model.classes,
            model.selection,
            volumes=model.noun == "volume",
        )
        given, fields = dataset, SampleFields()
    made = model.predict(
        given,
        y=fields.y,
        groups=fields.groups,
        ids=fields.ids,
        network=network,
        weights=weights,
        backbone=backbone,
        features=features,
        progress=progress,
        **machine,
    )
    cases = [new_case(made, *one) for one in choose_images(made, most)]
    words = [describe_choice(made, cases)]
    if dataset is None:
        words.append("Features were given instead of images, so there are no heat maps.")
    checked: ArmChecks | None = None
    if dataset is not None and cases:
        maps = possible_maps(maps, _framing(model), words)
        explained = None if maps == "none" else _network(model, network, weights)
        cases, about = explain_network_cases(model, explained, cases, dataset, maps, progress)
        words += about
        if explained is not None and maps != "none":
            checked, unchecked = check_if_asked(
                checked_images(made, model.positive, explained),
                lambda ids: load_case_images(dataset, ids, _framing(model), progress=progress),
                wanted=checks,
                method=maps,
                dataset=dataset,
                regions=regions,
                progress=progress,
            )
            words += unchecked
    words.append(_NO_NEAREST)
    title = f"{model.name}, network {made.network}"
    return explained_predictions(made, model.name, title, model.positive, cases, words, checked)


def explain_network_cases(
    model: TrainedModel,
    network: ExplainedNetwork | None,
    cases: Sequence[ExplainedCase],
    dataset: ImageDataset,
    maps: MapChoice = "auto",
    progress: Progress | None = None,
) -> tuple[list[ExplainedCase], list[str]]:
    """Return cases of trained networks with their pixels and maps, and words on the maps.

    Parameters
    ----------
    model : TrainedModel
        The networks.
    network : ExplainedNetwork or None
        Those that predicted; without them, no case has a map.
    cases : sequence of ExplainedCase
        Images that they predicted, as ``new_case`` returns them.
    dataset : ImageDataset
        Their data set.
    maps, progress
        As for ``explain_predictions``.
    """
    loaded = _load(model, cases, dataset, progress)
    shown = [add_pixels(case, loaded) for case in cases]
    if network is None or maps == "none":
        return shown, []
    shown, words = add_maps(shown, [network] * len(shown), loaded, _any_image, maps, progress)
    return shown, [*words, f"The maps are of {network.words}."]


def _network(model: TrainedModel, name: str | None, weights: str | Path | None) -> ExplainedNetwork:
    return ExplainedNetwork.load(model.path, name, backbone=model.backbone, weights=weights)


def _framing(model: TrainedModel) -> AnyPreprocessing:
    if model.recipe:
        return read_recipe(model.recipe).framing
    preprocessing = TrainedFolder(model.path).record.network.preprocessing
    assert preprocessing is not None
    return framing(preprocessing)  # As in training, the publisher's resizer.


def _load(
    model: TrainedModel,
    cases: Sequence[ExplainedCase],
    data: ImageDataset,
    progress: Progress | None,
) -> CaseImages:
    return load_case_images(data, [case.id for case in cases], _framing(model), progress=progress)


def _recorded_case(tested: Predictions, chosen: ChosenError) -> ExplainedCase:
    at = chosen.at
    column = tested.classes.index(str(tested.predicted[at]))
    return ExplainedCase(
        reason="wrong",
        number=chosen.number,
        id=str(tested.ids[at]),
        patient="" if tested.groups is None else str(tested.groups[at]),
        label=str(tested.labels[at]),
        predicted=str(tested.predicted[at]),
        probability=None,
        score=float(tested.scores[at, column]),
        repeat=int(tested.repeats[at]),
        fold=int(tested.folds[at]),
    )


def _same_probability(cases: list[ExplainedCase], recorded: list[float]) -> Agreement:
    """Return the agreement of images with the probabilities that the networks recorded."""

    def agrees(
        network: ExplainedNetwork, pixels: NDArray[Any], numbers: list[int]
    ) -> NDArray[np.bool_]:
        values = network.decisions(pixels)
        if values.shape[1] == 2:  # Log-odds, and their negative.
            values = values / 2
        odds = np.exp(values - values.max(axis=1, keepdims=True))
        columns = [network.classes.index(cases[n].predicted) for n in numbers]
        made = (odds / odds.sum(axis=1, keepdims=True))[np.arange(len(numbers)), columns]
        same: NDArray[np.bool_] = np.abs(made - [recorded[n] for n in numbers]) <= _APART
        return same

    return agrees


def _any_image(network: Any, pixels: NDArray[Any], numbers: list[int]) -> NDArray[np.bool_]:
    """Return that all images are those that were predicted, as they were read for it."""
    return np.ones(len(numbers), bool)
