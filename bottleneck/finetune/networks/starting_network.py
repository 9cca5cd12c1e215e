"""The network that a training on images starts from, and how a record of it is built again."""

from __future__ import annotations

import dataclasses
from typing import Any

from bottleneck.backbones import networks as catalogue
from bottleneck.backbones.backbone import Backbone, load_backbone
from bottleneck.backbones.catalogue import find_encoder
from bottleneck.backbones.inputs.network_inputs import refuse_dataset, require_image_preprocessing
from bottleneck.backbones.inputs.preprocessing_presets import find_preprocessing
from bottleneck.backbones.recipe import words_of
from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.errors import UsageError
from bottleneck.finetune.networks.architectures import (
    ARCHITECTURES,
    NEW_FC,
    Architecture,
    find_architecture,
)
from bottleneck.finetune.networks.classifier import Classifier, attach_head, has_folded_norm, wrap
from bottleneck.finetune.training_options import TrainingOptions

__all__ = ["StartingNetwork"]

_RANDOM = ("random", "none")


class StartingNetwork:
    """A backbone to fine-tune, or an architecture to train from scratch.

    Parameters
    ----------
    config : TrainingOptions
        Options, with the name of the network.
    backbone : Backbone, optional
        A loaded backbone, in place of the one that ``config`` names.

    Attributes
    ----------
    preprocessing : Preprocessing or VolumePreprocessing
        The preprocessing of the images or volumes.

    Raises
    ------
    UsageError
        If the network is unknown or the options do not fit it.
    WeightsError
        If the weights are not available or do not fit.
    """

    def __init__(self, config: TrainingOptions, backbone: Backbone | None = None) -> None:
        self.config = config
        self.is_given = backbone is not None
        self.is_random = backbone is None and config.weights in _RANDOM
        self.architecture = None if backbone else find_architecture(config.backbone)
        self.backbone = None
        if backbone is not None and backbone.layer:
            raise UsageError(
                f"a network is trained from its last feature map, not from layer '{backbone.layer}'"
            )
        if self.architecture is None:
            self.backbone = (backbone or _load(config)).prepared(config.preparation)
            self.preprocessing = self.backbone.preprocessing
        else:
            self.preprocessing = _preprocessing_of(self.architecture, config)

    def refuse_dataset(self, *, holds_volumes: bool) -> None:
        """Raise UsageError if the network takes images and the data are volumes, or the reverse."""
        if self.backbone is not None:
            refuse_dataset(self.backbone, holds_volumes=holds_volumes)
        elif holds_volumes:
            assert self.architecture is not None
            raise UsageError(
                f"{self.architecture.name} takes images, and the data set holds volumes: choose a "
                "network of volumes (bottleneck backbones lists them)"
            )

    def build(self, n_classes: int, seed: int) -> Classifier:
        """Return the network with a new classifier, drawn from torch's generator."""
        if self.architecture is not None:
            return wrap(self.architecture.build(n_classes), self.preprocessing)
        assert self.backbone is not None
        backbone = self.backbone
        if self.is_random:
            # Each seed starts from its own random weights.
            backbone = Backbone(
                catalogue.build(find_encoder(self.config.backbone), seed=seed),
                name=backbone.name,
                architecture=backbone.architecture,
                weights=backbone.weights,
                preprocessing=backbone.preprocessing,
                pooling=backbone.pooling,
            )
        return attach_head(
            backbone,
            n_classes,
            unfreeze=self.config.unfreeze,
            hidden=self.config.hidden,
            dropout=self.config.dropout,
            freeze_norm=self.config.freeze_norm,
        )

    def describe(self) -> tuple[str, dict[str, Any], list[str]]:
        """Return the name of an arm, the record of the network, and notes for the user."""
        about: dict[str, Any] = {"preprocessing": self.preprocessing.to_dict()}
        words = words_of(self.preprocessing)
        prepared = f", {words}" if words else ""
        if self.backbone is None:
            assert self.architecture is not None
            name = f"{self.architecture.name} (from scratch{prepared})"
            return name, {**about, "backbone": self.architecture.name, "weights": "random"}, []
        weights = self.backbone.weights
        part = self.config.unfreeze
        how = "fine-tuned" if part == "all" else f"fine-tuned, {part}"
        notes = []
        if weights.name == "random":
            how = "from scratch" if part == "all" else f"random, {part} trained"
        elif (
            part != "head"
            and not self.config.freeze_norm
            and has_folded_norm(self.backbone.network)
        ):
            notes.append(
                "the batch normalisation of these weights is folded into them; in training, it "
                "normalises by the statistics of each batch, which changes the network: "
                "--freeze-norm prevents this"
            )
        network = {
            **about,
            "backbone": self.backbone.name,
            "architecture": self.backbone.architecture,
            "pooling": self.backbone.pooling,
            "own": self.is_given and self.backbone.own,
            "variant": weights.variant,
            "weights": weights.name,
            "weights_sha256": weights.sha256,
            "weights_digest": None if weights.name == "random" else self.backbone.digest,
            "licence": weights.licence,
        }
        return f"{self.backbone.name} ({weights.name}, {how}{prepared})", network, notes


def _load(config: TrainingOptions) -> Backbone:
    if config.backbone == NEW_FC:
        raise UsageError(
            f"'{NEW_FC}' is trained on features: name a feature file (made by `bottleneck "
            "extract`) instead of the data set"
        )
    try:
        find_encoder(config.backbone)
    except UsageError as error:
        scratch = ", ".join([*ARCHITECTURES, NEW_FC])
        raise UsageError(f"{error} Trained from scratch: {scratch}.") from None
    weights = config.weights or "imagenet"
    return load_backbone(
        config.backbone,
        weights="random" if weights in _RANDOM else weights,
        pooling=config.pooling,
        preprocessing=config.preprocessing,
        **config.volumes,
    )


def _preprocessing_of(architecture: Architecture, config: TrainingOptions) -> Preprocessing:
    if config.weights not in (None, *_RANDOM):
        raise UsageError(
            f"{architecture.name} has no published weights and is trained from scratch: leave "
            f"--weights out, or use random, not '{config.weights}'"
        )
    if config.hidden is not None:
        raise UsageError(f"{architecture.name} has its own classifier: leave --hidden out")
    if config.unfreeze != "all":
        raise UsageError(
            f"{architecture.name} is trained from scratch, so --unfreeze {config.unfreeze} would "
            "leave random weights untrained; use all"
        )
    stated = architecture.preprocessing
    if config.preprocessing is not None:
        stated = require_image_preprocessing(
            find_preprocessing(config.preprocessing, find_encoder("resnet18")), architecture.name
        )
    if stated.crop != architecture.preprocessing.crop and architecture.name == "small_cnn":
        raise UsageError(
            f"small_cnn needs {architecture.preprocessing.crop} × "
            f"{architecture.preprocessing.crop} pixels, not {stated.crop} × {stated.crop}"
        )
    preparation = stated.preparation.with_options(config.preparation)
    return dataclasses.replace(stated, preparation=preparation)
