"""The explanation of a model on images that it is given."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from bottleneck.backbones.backbone import Backbone
from bottleneck.backbones.recipe import read_recipe
from bottleneck.data.dataset import ImageDataset
from bottleneck.data.labels.selection import Selection
from bottleneck.deploy.inputs.image_features import load_network
from bottleneck.deploy.inputs.new_inputs import NewInput, is_of_features, listed, read_images
from bottleneck.deploy.models.distance import UNLIKE
from bottleneck.deploy.models.model import Model
from bottleneck.deploy.prediction.model_predictions import ModelPredictions
from bottleneck.evaluation.cases.case_choice import choose_wrong
from bottleneck.explain.checks.arm_checks import ArmChecks
from bottleneck.explain.checks.checking import CheckedImage, check_if_asked, choose_checked
from bottleneck.explain.checks.randomisation import TrainingRows
from bottleneck.explain.explanation import ExplainedArm, ExplainedCase, Explanation, Reason
from bottleneck.explain.maps.decision import Explained
from bottleneck.explain.maps.exact.explained_head import ExplainedHead
from bottleneck.explain.recorded.feature_search import FeatureSource
from bottleneck.explain.shown_cases.case_images import load_case_images
from bottleneck.explain.shown_cases.case_maps import (
    MapChoice,
    add_maps,
    possible_maps,
    same_features,
)
from bottleneck.explain.shown_cases.nearest_training import TrainingImages, find_training
from bottleneck.features.arrays.feature_inputs import SampleFields
from bottleneck.features.options import MachineKeywords
from bottleneck.predictions import Predictions
from bottleneck.processes.progress_bar import Progress

__all__ = [
    "checked_images",
    "choose_images",
    "describe_choice",
    "explain_cases",
    "explain_images",
    "explained_predictions",
    "new_case",
]


def explain_images(
    model: Model,
    images: NewInput,
    fields: SampleFields,
    *,
    features: FeatureSource,
    selection: Selection | None,
    maps: MapChoice,
    checks: bool | None,
    regions: str | Path | None,
    most: int,
    weights: str | Path | None,
    backbone: Backbone | None,
    progress: Progress | None,
    **machine: Unpack[MachineKeywords],
) -> Explanation:
    """Return what a fitted head decided of images, as ``explain_predictions`` says."""
    folder = features if isinstance(features, str | Path) else "features"
    given = listed(images)
    dataset: ImageDataset | None = None
    if is_of_features(given, model.recipe):
        made = model.predict(given, y=fields.y, groups=fields.groups, ids=fields.ids)
    else:
        dataset = read_images(
            given,
            fields,
            model.classes,
            model.selection,
            volumes=model.noun == "volume",
        )
        made = model.predict(
            dataset,
            weights=weights,
            backbone=backbone,
            features=folder,
            progress=progress,
            **machine,
        )
    cases = [new_case(made, *one) for one in choose_images(made, most)]
    words = [describe_choice(made, cases)]
    if dataset is None:
        words.append(f"Features were given instead of {made.noun}s, so there are no heat maps.")
    checked: ArmChecks | None = None
    if dataset is not None and cases:
        network = load_network(model.recipe, model.weights, weights=weights, backbone=backbone)
        head = ExplainedHead(network, model.estimator, model.classes)
        training = find_training(model, features, selection, progress)
        cases, of_cases = explain_cases(model, head, training, cases, dataset, maps, progress)
        words += of_cases
        if training is None:
            words.append(
                f"The nearest training {made.noun}s are not shown, because the features of the "
                f"training set ({model.dataset}) are not on this machine: name their file or "
                "folder with --features (in Python: features=)."
            )
        if maps != "none" and any(case.heat_map for case in cases):
            rows = None if training is None else training.fitted_rows
            checked, about = check_if_asked(
                checked_images(made, model.positive, head, rows),
                lambda ids: load_case_images(
                    dataset, ids, read_recipe(model.recipe).framing, progress=progress
                ),
                wanted=checks,
                method=maps,
                dataset=dataset,
                regions=regions,
                progress=progress,
            )
            words += about
    title = f"{model.head} trained on {model.dataset}"
    return explained_predictions(made, model.head, title, model.positive, cases, words, checked)


def explained_predictions(
    made: ModelPredictions,
    name: str,
    title: str,
    positive: str | None,
    cases: Sequence[ExplainedCase],
    words: Sequence[str],
    checks: ArmChecks | None,
) -> Explanation:
    """Return the explanation of the predictions of a final model.

    Parameters
    ----------
    made : ModelPredictions
        Predictions of new images.
    name, title : str
        Name of the model, and title of the explanation.
    positive : str or None
        The positive class.
    cases, words, checks
        As in ``ExplainedArm``.
    """
    p = made.predictions
    labelled = p.labels != ""
    arm = ExplainedArm(
        name=name,
        cases=tuple(cases),
        n_wrong=int((p.predicted != p.labels)[labelled].sum()),
        n_labelled=int(labelled.sum()),
        n_images=len(p),
        words=tuple(words),
        checks=checks,
    )
    return Explanation(
        of="model",
        title=title,
        classes=p.classes,
        positive=positive,
        unit="image",
        arms=(arm,),
        warnings=made.warnings,
        notes=made.notes,
    )


def choose_images(made: ModelPredictions, most: int) -> list[tuple[int, Reason, int]]:
    """Return the rows of predictions to show, with the reason and the number of each.

    Misclassified images come first, the most confident first. Where no label is known, or no
    image is misclassified, the most confident images of each class and those that are most unlike
    the training images are shown.

    Parameters
    ----------
    made : ModelPredictions
        Predictions of new images.
    most : int
        Largest number of images.
    """
    p = made.predictions
    labelled = np.flatnonzero(p.labels != "")
    if wrong := choose_wrong(p.take(labelled), most):
        return [(int(labelled[one.at]), "wrong", one.number) for one in wrong]
    far = np.zeros(0, np.intp)
    if made.percentiles is not None:
        far = np.flatnonzero(made.percentiles > UNLIKE)
        far = far[np.argsort(-made.percentiles[far], kind="stable")][: max(1, most // 3)]
    confident = [at for at in _by_class(p) if at not in far][: most - len(far)]
    shown: list[tuple[int, Reason]] = [(at, "confident") for at in confident]
    shown += [(int(at), "unlike") for at in far]
    return [(*one, number) for number, one in enumerate(shown, 1)]


def _by_class(p: Predictions) -> list[int]:
    """Return all rows, the classes taking turns, the most confident of each first."""
    values = p.scores if p.probabilities is None else p.probabilities
    ordered = np.sort(values, axis=1)
    confidence = ordered[:, -1] - ordered[:, -2]
    queues = [
        rows[np.argsort(-confidence[rows], kind="stable")].tolist()
        for name in p.classes
        if len(rows := np.flatnonzero(p.predicted == name))
    ]
    longest = max(map(len, queues), default=0)
    return [rows[n] for n in range(longest) for rows in queues if n < len(rows)]


def new_case(made: ModelPredictions, at: int, reason: Reason, number: int) -> ExplainedCase:
    """Return a row of predictions as a case."""
    p = made.predictions
    column = p.classes.index(str(p.predicted[at]))
    patients = dict(zip(made.inputs.ids.tolist(), made.inputs.patients.tolist(), strict=True))
    return ExplainedCase(
        reason=reason,
        number=number,
        id=str(p.ids[at]),
        patient=patients.get(str(p.ids[at]), ""),
        label=str(p.labels[at]),
        predicted=str(p.predicted[at]),
        probability=None if p.probabilities is None else float(p.probabilities[at, column]),
        score=float(p.scores[at, column]),
        percentile=None if made.percentiles is None else float(made.percentiles[at]),
    )


def describe_choice(made: ModelPredictions, cases: list[ExplainedCase]) -> str:
    """Return which images are shown, in a sentence."""
    reasons = {case.reason for case in cases}
    if "wrong" in reasons:
        return f"The misclassified {made.noun}s are shown, the most confident first."
    known = (made.predictions.labels != "").any()
    why = f"No labelled {made.noun} is misclassified" if known else "No label is known"
    unlike = (
        f", and those that are most unlike the training {made.noun}s" if "unlike" in reasons else ""
    )
    return f"{why}: the most confident {made.noun}s of each class are shown{unlike}."


def checked_images(
    made: ModelPredictions,
    positive: str | None,
    explained: Explained,
    training: TrainingRows | None = None,
) -> list[CheckedImage]:
    """Return the images of predictions that heat maps are checked on.

    Parameters
    ----------
    made : ModelPredictions
        Predictions of new images.
    positive : str or None
        The positive class.
    explained : Explained
        What predicted them.
    training : TrainingRows or None
        What it was fitted to, where it is a fitted head.
    """
    p = made.predictions
    patients = dict(zip(made.inputs.ids.tolist(), made.inputs.patients.tolist(), strict=True))
    own = [patients.get(name, "") for name in p.ids.tolist()]
    names = [patients.get(name) or name for name in p.ids.tolist()]
    return [
        CheckedImage(
            id=str(p.ids[at]),
            label=str(p.labels[at]),
            patient=own[at],
            towards=positive or str(p.labels[at]) or str(p.predicted[at]),
            explained=explained,
            training=training,
        )
        for at in choose_checked(p.labels, names).tolist()
    ]


def explain_cases(
    model: Model,
    head: ExplainedHead,
    training: TrainingImages | None,
    cases: Sequence[ExplainedCase],
    dataset: ImageDataset,
    maps: MapChoice = "auto",
    progress: Progress | None = None,
) -> tuple[list[ExplainedCase], list[str]]:
    """Return cases of a fitted head with their pixels, maps and nearest images, and words on them.

    Parameters
    ----------
    model : Model
        The model.
    head : ExplainedHead
        Its head on its network.
    training : TrainingImages or None
        Its training images; without them, no case has nearest ones.
    cases : sequence of ExplainedCase
        Images that it predicted, as ``new_case`` returns them.
    dataset : ImageDataset
        Their data set.
    maps, progress
        As for ``explain_predictions``.
    """
    words: list[str] = []
    framing = read_recipe(model.recipe).framing
    maps = possible_maps(maps, framing, words)
    images = load_case_images(dataset, [case.id for case in cases], framing, progress=progress)
    cases = [dataclasses.replace(case, pixels=images.shown(case.id)) for case in cases]
    read = [case.id for case in cases if case.id in images.pixels]
    rows: dict[str, NDArray[Any]] = {}
    if read:
        made = head.features(np.stack([images.pixels[name] for name in read]))
        rows = dict(zip(read, made, strict=True))
    if maps != "none":
        every = [head] * len(cases)
        cases, about = add_maps(cases, every, images, same_features(cases, rows), maps, progress)
        words += about
        words.append("Each map is of the final model, which was trained on all its samples.")
    known = [n for n, case in enumerate(cases) if case.id in rows]
    if training is None or not known:
        return cases, words
    nearest, copies, alike = training.find_nearest(
        np.stack([rows[cases[n].id] for n in known]),
        [cases[n].patient for n in known],
        [images.facts.get(cases[n].id) for n in known],
    )
    for n, near, copy in zip(known, nearest, copies.tolist(), strict=True):
        shown = tuple(training.thumbnail(one.row) for one in near)
        cases[n] = dataclasses.replace(cases[n], nearest=near, nearest_pixels=shown, is_copy=copy)
    if copies.any():
        words.append(
            f"For {int(copies.sum())} of {len(cases)} images, an identical image was in the "
            "training set."
        )
    if alike.any():
        words.append(
            f"For {int(alike.sum())} of {len(cases)} images, a near-duplicate was in the training "
            "set. The nearest images exclude those of the same patient."
        )
    return cases, words
