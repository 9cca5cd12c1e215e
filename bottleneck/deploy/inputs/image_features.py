"""Features of new images, by the network that a model was trained on."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bottleneck.backbones.backbone import Backbone
from bottleneck.backbones.recipe import Decoding, Precision, Recipe, read_recipe
from bottleneck.backbones.recorded_backbone import load_recipe_backbone, refuse_other_recipe
from bottleneck.data.dataset import ImageDataset
from bottleneck.errors import FeatureFileError, NoUsableImageError, UsageError, unknown_name
from bottleneck.features import devices
from bottleneck.features.extraction import extract_all
from bottleneck.features.file.reader import load_features
from bottleneck.features.options import MACHINE_OPTIONS
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.files.locks import lock
from bottleneck.files.paths import as_path
from bottleneck.files.writing import make_folder
from bottleneck.processes.progress_bar import Progress
from bottleneck.text.short_repr import shorten

__all__ = [
    "FEW",
    "PURPOSE",
    "extract_each",
    "extract_new",
    "load_network",
    "refuse_other_options",
]

#: Entry of the reader that marks the feature files of predictions (``is_of_prediction``).
PURPOSE = {"purpose": "prediction"}
#: Rows of so few images are not kept: a day of single images would leave as many files.
FEW = 32


def refuse_other_options(machine: Mapping[str, Any]) -> None:
    """Raise ``UsageError`` for an option that is none of ``MACHINE_OPTIONS``."""
    for name in machine:
        if name not in MACHINE_OPTIONS:
            raise unknown_name("option", name, MACHINE_OPTIONS)


def load_network(
    recipe: Mapping[str, Any],
    record: Mapping[str, Any],
    *,
    weights: str | Path | None = None,
    backbone: Backbone | None = None,
) -> Backbone:
    """Return the network that computes the features of a model.

    Parameters
    ----------
    recipe, record : mapping
        Recipe of the features, and what is recorded of the weights.
    weights : str or Path, optional
        The weight file, in place of a search by its sha256.
    backbone : Backbone, optional
        The network itself, for one of the user's own.

    Raises
    ------
    BottleneckError
        As ``load_recipe_backbone`` does, or if the backbone computes other features.
    """
    if backbone is not None and weights is not None:
        raise UsageError("a backbone has its weights: leave out weights=, or backbone=")
    if backbone is not None and not isinstance(backbone, Backbone):
        raise UsageError(
            "backbone needs a network, as load_backbone and Backbone.from_module return it, not "
            f"{shorten(backbone)}"
        )
    if backbone is None:
        return load_recipe_backbone(recipe, record, weights=weights)
    refuse_other_recipe(backbone, recipe)
    return backbone


def extract_new(
    dataset: ImageDataset,
    network: Backbone,
    recipe: Mapping[str, Any],
    *,
    folder: str | Path = "features",
    progress: Progress | None = None,
    **machine: Any,
) -> tuple[FeatureSet, list[str]]:
    """Return the features of new images, and notes on them.

    Parameters
    ----------
    dataset : ImageDataset
        The images.
    network : Backbone
        The network of the recipe.
    recipe : mapping
        Recipe of the features of a model.
    folder : str or Path
        Folder of the feature files. Images with rows there are not computed again. Rows of 32
        images or fewer are not kept.
    progress : callable or None
        As for ``extract``.
    **machine
        Options of ``MachineKeywords``.

    Raises
    ------
    BottleneckError
        As ``extract`` does.
    """
    recorded = read_recipe(recipe)
    (features,), notes = extract_each(
        dataset,
        [network],
        recorded.precision,
        "fast" if recorded.is_fast else "reference",
        folder=folder,
        progress=progress,
        **machine,
    )
    return features, notes


def extract_each(
    dataset: ImageDataset,
    networks: Sequence[Backbone],
    precision: Precision,
    decoding: Decoding,
    *,
    folder: str | Path = "features",
    progress: Progress | None = None,
    **machine: Any,
) -> tuple[list[FeatureSet], list[str]]:
    """Return the features of new images by each of several networks, and notes on them.

    Parameters
    ----------
    dataset : ImageDataset
        The images, each of which is read once.
    networks : sequence of Backbone
        The networks.
    precision, decoding : str
        Those of the training.
    folder, progress, machine
        As for ``extract_new``.

    Raises
    ------
    BottleneckError
        As ``extract`` does.
    """
    # In "auto", a long run compiles the network. In bf16, the rows would then depend on the number
    # of images.
    if machine.get("compile", "auto") == "auto":
        machine["compile"] = "never"
    folder = as_path(folder, "the folder of features", "features")
    named = _named(dataset)
    recipes = [one.recipe(precision, decoding) for one in networks]
    with contextlib.ExitStack() as stack:
        if len(dataset) <= FEW:
            root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bottleneck-")))
        else:
            root = make_folder(folder, option="--features (in Python: features)")
        # Until the rows are read. In one order, so that two runs do not refuse each other.
        for path in sorted({root / f"{one.file_name(named.name)}.rows" for one in recipes}):
            other = "another folder with --features (in Python: features)"
            stack.enter_context(lock(path, "prediction", FeatureFileError, other=other))
        try:
            runs = extract_all(
                named,
                networks,
                layers=(),
                precision=precision,
                decoding=decoding,
                output=root,
                progress=progress,
                verify=True,  # Size and time of another image may be those of the one before it.
                **machine,
            )
        except NoUsableImageError as error:
            each = zip(recipes, networks, strict=True)
            return [_without_rows(dataset, one, net.width, error.failures) for one, net in each], []
        sets = [load_features(run.path) for run in runs]
        sets = [dataclasses.replace(one, failures=_explain(one.failures)) for one in sets]
    notes = list(dict.fromkeys(note for run in runs for note in run.notes))
    device = devices.resolve_device(machine.get("device") or "auto")
    if precision != "fp32" and devices.native_precision(device) == "fp32":
        notes.append(
            f"the features were computed in {precision}, as those of the training; this device "
            "has no hardware for it, so this is slow"
        )
    return sets, notes


def _without_rows(
    dataset: ImageDataset, recipe: Recipe, width: int, failures: Sequence[tuple[str, str]]
) -> FeatureSet:
    """Return the features of a data set of which no image can be used."""
    none = np.empty(0, str)
    return FeatureSet(
        X=np.empty((0, width), np.float32),
        y=none,
        ids=none,
        provenance={
            "dataset": {"name": dataset.name, "fingerprint": dataset.fingerprint},
            "recipe": recipe.to_dict(),
            "recipe_hash": recipe.hash,
        },
        stated_patients=None if dataset.n_groups is None else none,
        failures=_explain(failures),
    )


def _explain(failures: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return ids and reasons; some of them name options that only ``extract`` has."""
    where = ". These are options of extract: a model needs to be trained with them"
    return tuple(
        (one, why + where if "--window" in why or "--rescale" in why else why)
        for one, why in failures
    )


def _named(dataset: ImageDataset) -> ImageDataset:
    """Return a data set whose feature file replaces none that was made for a training."""
    changed: dict[str, Any] = {"reader": {**dataset.reader, **PURPOSE}}
    if not dataset.named_by_path:
        changed["name"] = f"{dataset.name}-{dataset.fingerprint[:8]}"
        changed["named_by_path"] = True
    return dataclasses.replace(dataset, **changed)
