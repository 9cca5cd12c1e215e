"""The backbone of a recorded recipe: its network, weights, layer, pooling and preprocessing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from bottleneck.backbones import networks
from bottleneck.backbones.backbone import Backbone
from bottleneck.backbones.catalogue import find_encoder
from bottleneck.backbones.encoder import Encoder
from bottleneck.backbones.recipe import Recipe, explain_mismatch, read_recipe
from bottleneck.backbones.weights.loading import Weights, load_file, locate, random_weights
from bottleneck.backbones.weights.recorded import (
    RecordedWeights,
    find_recorded,
    read_weights_record,
    ways_to_bring,
)
from bottleneck.data.images import decode
from bottleneck.data.volumes import volume_preprocessing
from bottleneck.data.volumes.volume_preprocessing import VolumePreprocessing
from bottleneck.errors import UsageError, WeightsError

__all__ = ["load_recipe_backbone", "refuse_other_recipe"]

_RANDOM = "random"


def load_recipe_backbone(
    recipe: Mapping[str, Any],
    weights_record: Mapping[str, Any],
    *,
    weights: str | Path | None = None,
) -> Backbone:
    """Return the backbone that computes the features of a recorded recipe.

    The weights are searched by their sha256, and the tensors of the loaded network are compared
    with the recipe. Files that the recipe was made with, such as a TOML file or a mask, are not
    needed: the recipe holds their values.

    Parameters
    ----------
    recipe : mapping
        The recipe in a provenance or a model, as ``Recipe.to_dict`` returns it.
    weights_record : mapping
        The entry "weights" of the same provenance or model; empty if nothing is recorded.
    weights : str or Path, optional
        The weight file, or a name for ``load_backbone``, in place of the search.

    Returns
    -------
    Backbone
        The network on the CPU. Its recipe has the hash of the recorded one, in the recorded
        precision and decoding.

    Raises
    ------
    UsageError
        If the recipe is damaged, is one of an array's columns, of a network of one's own, or of
        another version.
    WeightsError
        If the weights are not on this machine, or are other ones.
    MissingExtraError
        If the preparation of the images needs a package that is not installed.

    Examples
    --------
    >>> from bottleneck.backbones.backbone import load_backbone
    >>> made = load_backbone("resnet18", weights="random", layer="layer3")
    >>> recipe = made.recipe("fp32")
    >>> again = load_recipe_backbone(recipe.to_dict(), made.weights.to_dict())
    >>> again.recipe("fp32").hash == recipe.hash
    True
    """
    recorded = read_recipe(recipe)
    encoder = _find_encoder(recorded)
    _refuse_what_is_lacking(recorded)
    stated = read_weights_record(weights_record, recorded.weights)
    network, loaded, origin = _load(encoder, recorded, stated, weights)
    backbone = Backbone(
        network,
        name=recorded.backbone,
        architecture=encoder.architecture,
        weights=loaded,
        preprocessing=recorded.preprocessing,
        pooling="avg",
    )
    if backbone.digest != recorded.weights_digest:
        raise _other_weights(encoder, recorded, stated, loaded, origin)
    backbone = backbone.at(recorded.layer, recorded.pooling)
    refuse_other_recipe(backbone, recipe)
    return backbone


def refuse_other_recipe(backbone: Backbone, recipe: Mapping[str, Any]) -> None:
    """Raise an error if a backbone computes other features than those of a recorded recipe.

    Raises
    ------
    UsageError
        If the recipes differ, with their differences.

    Examples
    --------
    >>> from bottleneck.testing import tiny_backbone
    >>> refuse_other_recipe(tiny_backbone(), tiny_backbone().recipe("fp32").to_dict())
    """
    recorded = read_recipe(recipe)
    made = backbone.recipe(recorded.precision, "fast" if recorded.is_fast else "reference")
    if made.hash != recorded.hash:
        raise UsageError(
            "this backbone computes other features than the recorded recipe states: "
            + explain_mismatch(recipe, made.to_dict(), "Give the network that made the features")
        )


def _find_encoder(recorded: Recipe) -> Encoder:
    try:
        encoder = find_encoder(recorded.backbone)
    except UsageError as error:
        if recorded.backbone.startswith("timm/"):
            raise UsageError(
                f"{error}. Install the version of timm that made the features"
            ) from None
        encoder = None
    if encoder is None or encoder.architecture != recorded.network:
        raise UsageError(
            f"the features come from your own network ({recorded.backbone}, {recorded.weights}), "
            "which cannot be loaded by name: in Python, pass it as backbone=, made by "
            "Backbone.from_module as it was for these features"
        )
    return encoder


def _refuse_what_is_lacking(recorded: Recipe) -> None:
    """Raise an error if this installation cannot prepare images as the recipe states."""
    policy = recorded.decoding.removesuffix("-fast")
    of_volumes = isinstance(recorded.preprocessing, VolumePreprocessing)
    current = volume_preprocessing.POLICY if of_volumes else decode.POLICY
    if policy != current:
        raise UsageError(
            f"the features were made from images read by the rules '{policy}', but this version "
            f"of bottleneck reads by '{current}': extract the features again, and train "
            "again"
        )
    if of_volumes:
        return
    if recorded.preprocessing.n_channels != 3:
        raise UsageError(
            f"the recorded recipe is damaged: {recorded.backbone} takes three channels, not one"
        )
    recorded.preprocessing.preparation.with_options(recorded.preprocessing.preparation)


def _load(
    encoder: Encoder, recorded: Recipe, stated: RecordedWeights, weights: str | Path | None
) -> tuple[nn.Module, Weights, str]:
    """Return the network, its weights, and where these come from, for a message."""
    name = recorded.weights
    if str(weights or name) == _RANDOM:
        network = networks.build(encoder)
        return network, random_weights(encoder), "random weights"
    located = find_recorded(encoder, stated) if weights is None else locate(encoder, str(weights))
    network, loaded = load_file(encoder, located)
    if loaded.sha256 == stated.sha256:
        about = (stated.source, stated.licence, stated.revision)
    else:
        about = (loaded.source, stated.licence or loaded.licence, loaded.revision)
    source, licence, revision = about
    made = Weights(
        name=name,
        source=source,
        sha256=loaded.sha256,
        licence=licence,
        layout=loaded.layout,
        part=loaded.part,
        variant=loaded.variant,
        revision=revision,
        size=loaded.size,
    )
    return network, made, str(located.path)


def _other_weights(
    encoder: Encoder, recorded: Recipe, stated: RecordedWeights, loaded: Weights, origin: str
) -> WeightsError:
    if recorded.weights == _RANDOM and loaded.name == _RANDOM:
        return WeightsError(
            f"the features were made with random weights of {encoder.name}, but this version of "
            "torch or timm draws others: train again, with pretrained weights"
        )
    found = f"sha256 {loaded.sha256[:8]}…, other tensors" if loaded.sha256 else loaded.source
    if loaded.sha256 == stated.sha256 and stated.sha256:
        return WeightsError(
            f"{origin} is the recorded weight file, but its network has other tensors than the "
            "recorded recipe states: install the version of timm that made "
            "the features, or, if the record was changed, train again with fit"
        )
    return WeightsError(
        f"the features need the weights '{recorded.weights}' of {encoder.name} ({stated.facts}; "
        f"tensors {recorded.weights_digest[:8]}…), not {origin} ({found}).",
        *ways_to_bring(encoder, stated),
    )
