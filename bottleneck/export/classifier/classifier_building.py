"""From a model, with its network and its heads, to one torch module."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from bottleneck.backbones.backbone import Backbone
from bottleneck.backbones.recipe import AnyPreprocessing, read_recipe
from bottleneck.data.images.preparation import Preparation
from bottleneck.deploy.inputs.image_features import load_network
from bottleneck.deploy.models.model import Model
from bottleneck.deploy.trained.network_calibration import deploy_networks
from bottleneck.deploy.trained.network_choice import choose_network, network_label
from bottleneck.deploy.trained.split_networks import split_network
from bottleneck.deploy.trained.trained_model import TrainedModel
from bottleneck.errors import UsageError
from bottleneck.export.classifier.calibration_layer import CalibrationLayer
from bottleneck.export.classifier.exported_classifier import ClassifierMember, ExportedClassifier
from bottleneck.export.classifier.head_scores import score_module
from bottleneck.export.classifier.network_features import NetworkFeatures

__all__ = ["build_classifier"]


def build_classifier(
    model: Model | TrainedModel,
    *,
    weights: str | Path | None = None,
    backbone: Backbone | None = None,
    network: str | None = None,
    other_heads: Callable[[Model], nn.Module] | None = None,
) -> ExportedClassifier:
    """Return a model as one torch module, from pixels to calibrated probabilities.

    The module computes in float32, also where the features of the training were computed in less.

    Parameters
    ----------
    model : Model or TrainedModel
        From ``fit``, ``load_model`` or ``recalibrate``, or the networks of a training.
    weights, backbone
        As for ``predict``.
    network : str, optional
        Which networks of a training: as for ``TrainedModel.predict``.
    other_heads : callable, optional
        Returns the module of a head that ``score_module`` does not know, as ``convert_own_head``
        does for ONNX.

    Returns
    -------
    ExportedClassifier
        On the CPU.

    Raises
    ------
    UsageError
        If the model cannot be a module: its features are columns of an array, its images are
        prepared in further steps, its head is not known as a module, or it has no probabilities.
    WeightsError
        If the weights are not on this machine, or are other ones.
    ModelError
        If a file of a training is missing or damaged.
    """
    if isinstance(model, TrainedModel):
        return _of_training(model, weights, backbone or model.backbone, network)
    if network is not None:
        raise UsageError("a fitted head has one network: leave out --network (in Python: network=)")
    _refuse_own_columns(model.recipe)
    preprocessing = _preprocessing(model.recipe)
    if model.sigmoids is None and model.kind == "decision":
        raise UsageError(
            f"the model of {model.head} has no probabilities, which an export needs: train it "
            "again with fit, which calibrates its scores"
        )
    try:
        head = score_module(model.estimator, model.kind, model.classes)
    except UsageError:
        if other_heads is None:
            raise
        head = other_heads(model)
    frozen = load_network(model.recipe, model.weights, weights=weights, backbone=backbone)
    member = ClassifierMember(
        NetworkFeatures(frozen), head, CalibrationLayer(model.sigmoids, model.kind)
    )
    return ExportedClassifier(model.classes, preprocessing, model.kind, [member]).eval()


def _of_training(
    model: TrainedModel,
    weights: str | Path | None,
    backbone: Backbone | None,
    network: str | None,
) -> ExportedClassifier:
    folder = model._folder
    record = folder.record
    choice = choose_network(record, network)
    if record.features is not None:
        _refuse_own_columns(record.features.recipe)
        preprocessing = _preprocessing(record.features.recipe)
    else:
        assert record.network.preprocessing is not None
        preprocessing = record.network.preprocessing
        _refuse_steps(preprocessing)
        if weights is not None:
            raise UsageError(
                "trained networks have weights of their own: leave out --weights (in Python: "
                "weights=)"
            )
    loaded = [folder.network(one, backbone) for one in choice.members]
    calibrations = [
        CalibrationLayer(sigmoids, "probability")
        for _, sigmoids in deploy_networks(folder, choice, model.positive).members
    ]
    if record.features is not None:
        stated = record.features
        frozen = NetworkFeatures(
            load_network(stated.recipe, stated.weights or {}, weights=weights, backbone=backbone)
        )
        pairs = [(frozen, one.head.eval().double()) for one in loaded]
    else:
        split = [
            split_network(one, record, network_label(record, member))
            for one, member in zip(loaded, choice.members, strict=True)
        ]
        pairs = [(NetworkFeatures(one.backbone), one.head) for one in split]
    members = [
        ClassifierMember(features, nn.Sequential(head, _Softmax()), calibration)
        for (features, head), calibration in zip(pairs, calibrations, strict=True)
    ]
    return ExportedClassifier(record.classes, preprocessing, "probability", members).eval()


class _Softmax(nn.Module):
    """Probabilities from logits."""

    def forward(self, logits: Tensor) -> Tensor:
        return logits.softmax(1)


def _refuse_own_columns(recipe: Mapping[str, Any]) -> None:
    if "columns" in recipe:
        raise UsageError(
            f"the model takes columns of an array ({recipe.get('backbone')}), which no network "
            "computes from images: only models of images can be exported"
        )


def _preprocessing(recipe: Mapping[str, Any]) -> AnyPreprocessing:
    """Return the preprocessing of a recipe, with the reference decoding, as of fp32."""
    preprocessing = read_recipe(recipe).preprocessing
    _refuse_steps(preprocessing)
    return preprocessing


def _refuse_steps(preprocessing: AnyPreprocessing) -> None:
    if preprocessing.preparation != Preparation():
        raise UsageError(
            "the images of this model are prepared before the resize "
            f"({preprocessing.preparation.words}), which exported models cannot do: extract "
            "features without these steps, and fit a model on them"
        )
