"""Trained networks as what heat maps explain."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bottleneck.backbones.backbone import Backbone
from bottleneck.backbones.inputs.network_inputs import require_image_preprocessing
from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.deploy.inputs.image_features import load_network
from bottleneck.deploy.trained.network_choice import choose_network, network_label
from bottleneck.deploy.trained.split_networks import SplitNetwork, split_network
from bottleneck.errors import UsageError
from bottleneck.explain.maps.exact.explained_head import pixel_batches
from bottleneck.explain.maps.exact.linear_decision import LinearDecision
from bottleneck.features.devices import resolve_device
from bottleneck.files.paths import as_path
from bottleneck.finetune.networks.architectures import NEW_FC
from bottleneck.finetune.training_folder.trained_folder import TrainedFolder, TrainingRecord
from bottleneck.text.short_repr import class_names, describe

__all__ = ["ExplainedNetwork", "NetworkMember", "at_last_map", "linear_layer"]


@dataclasses.dataclass(frozen=True, eq=False)
class NetworkMember:
    """One trained network.

    Attributes
    ----------
    backbone : Backbone
        From an image to the features that the classifier takes, by the last map.
    head : nn.Module
        The classifier, on the CPU.
    name : str
        Name of the network or of the architecture.
    """

    backbone: Backbone
    head: nn.Module
    name: str

    def differentiable(self, features: Tensor) -> Tensor:
        """Return the values of the classes, in float64: of two classes, -d and d."""
        dtype = next(self.head.parameters()).dtype
        logits = self.head(features.to(dtype)).double()
        if logits.shape[1] != 2:
            return logits
        difference = logits[:, 1:] - logits[:, :1]
        return torch.cat([-difference, difference], 1)

    @torch.inference_mode()
    def decide(self, X: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the value of each class for features, of shape (n_images, n_classes)."""
        return self.differentiable(torch.from_numpy(X)).numpy()

    def linear(self) -> LinearDecision:
        """Return the weights of the classifier, as ``linear_layer`` does."""
        return linear_layer(self.head, self.name)


def linear_layer(head: nn.Module, name: str) -> LinearDecision:
    """Return the weights of a classifier that is one linear layer.

    Parameters
    ----------
    head : nn.Module
        The classifier, from features to logits.
    name : str
        Name of its network, for the message.

    Returns
    -------
    LinearDecision
        Of the logits; of two classes, of their differences.

    Raises
    ------
    UsageError
        If it is not one linear layer.

    Examples
    --------
    >>> layer = nn.Sequential(nn.Dropout(), nn.Linear(4, 2))
    >>> linear_layer(layer, "resnet18").weights.shape
    (2, 4)
    """
    layers = [one for one in head.modules() if not [*one.children()]]
    layers = [one for one in layers if not isinstance(one, nn.Dropout | nn.Identity)]
    if len(layers) != 1 or not isinstance(layers[0], nn.Linear):
        raise UsageError(
            f"the classifier of {name} is not one linear layer, and its decision is not a "
            "weighted sum of features"
        )
    weights = layers[0].weight.detach().double().numpy()
    bias = layers[0].bias.detach().double().numpy()
    if len(weights) == 2:
        sign = np.array([[-1.0], [1.0]])
        weights, bias = sign * (weights[1] - weights[0]), sign[:, 0] * (bias[1] - bias[0])
    return LinearDecision(weights, bias, np.zeros(weights.shape[1]))


@dataclasses.dataclass(frozen=True, eq=False)
class ExplainedNetwork:
    """One network of a training, or the mean of those of all folds.

    ``ExplainedNetwork.load`` reads it from a folder.

    Attributes
    ----------
    members : tuple of NetworkMember
        The networks.
    classes : tuple of str
        All labels, in the order of the columns of ``decisions``.
    name : str
        "mean", "refit", or the name of a fold.
    words : str
        What is explained.
    """

    members: tuple[NetworkMember, ...]
    classes: tuple[str, ...]
    name: str
    words: str

    @classmethod
    def load(
        cls,
        folder: str | Path,
        network: str | None = None,
        *,
        backbone: Backbone | None = None,
        weights: str | Path | None = None,
        device: str = "auto",
    ) -> Self:
        """Return what a training predicts with, from its folder.

        Parameters
        ----------
        folder : str or Path
            A folder that ``finetune`` wrote.
        network : str, optional
            As for ``TrainedModel.predict``. Of a training image, the network that was not trained
            on it is that of its test fold, such as "fold-1".
        backbone, weights
            As for ``TrainedModel.predict``.
        device : str
            "auto", "cpu", "cuda" or "cuda:N".

        Raises
        ------
        ModelError
            If the folder holds no finished training, or a file is missing or damaged.
        UsageError
            If there is no network of this name, or no such device.
        """
        place = resolve_device(device)
        trained = TrainedFolder(as_path(folder, "a training", "runs/resnet18"))
        record = trained.record
        choice = choose_network(record, network)
        loaded = [trained.network(one, backbone) for one in choice.members]
        if record.features is None:
            members = [
                at_last_map(split_network(one, record, network_label(record, fold)))
                for one, fold in zip(loaded, choice.members, strict=True)
            ]
        else:
            stated = record.features
            frozen = load_network(
                stated.recipe, stated.weights or {}, weights=weights, backbone=backbone
            )
            name = f"{NEW_FC} on {record.network.backbone}"
            members = [NetworkMember(frozen, one.head.eval().double(), name) for one in loaded]
        for one in members:
            one.backbone.to(place)
            one.head.requires_grad_(False)
        words = _words(record, choice.name, len(members))
        return cls(tuple(members), record.classes, choice.name, words)

    def __repr__(self) -> str:
        backbone = self.members[0].backbone
        return describe(
            self,
            f"{self.name} of {self.members[0].name}",
            f"classes {class_names(self.classes)}",
            f"on {backbone.device}",
        )

    @property
    def preprocessing(self) -> Preprocessing:
        """How pixels reach the networks."""
        stated = self.members[0].backbone.preprocessing
        return require_image_preprocessing(stated, "a heat map")

    @torch.inference_mode()
    def decisions(self, pixels: NDArray[Any]) -> NDArray[np.float64]:
        """Return the value of each class for preprocessed images, before any calibration.

        Everything is computed in float32, also where the training was in bf16.

        Parameters
        ----------
        pixels : ndarray of uint8, shape (n_images, crop, crop, n_channels)
            As ``Preprocessing.pixels`` returns them.

        Returns
        -------
        ndarray of float64, shape (n_images, n_classes)
            The logits; with two classes -d and d, where d is the difference of the two logits and
            so the log-odds of the second class. Of several networks, their mean.
        """
        each = []
        for member in self.members:
            batches = pixel_batches(member.backbone, pixels)
            rows = [member.decide(member.backbone.embed(one).cpu().numpy()) for one in batches]
            each.append(np.concatenate([np.empty((0, len(self.classes))), *rows]))
        return np.mean(each, axis=0)


def _words(record: TrainingRecord, name: str, n_members: int) -> str:
    """Return what is explained, in words."""
    value = "the log-odds of a class" if len(record.classes) == 2 else "the logit of a class"
    value += ", before any calibration and threshold"
    if record.config.precision != "fp32":
        value += f" and in fp32, where predictions are in {record.config.precision}"
    if n_members == 1:
        return f"the decision value of the network {name} of {record.name}: {value}"
    return (
        f"the mean of the decision values of the {n_members} networks of the folds of "
        f"{record.name}. Each was trained on different images, and its decision value is {value}. "
        "Together they predict the mean of their calibrated probabilities"
    )


# Of an architecture with a classifier of its own: its last map, how that is pooled, and the name
# of the classifier.
_OWN_CLASSIFIERS = (
    ("layer4", "avg", "fc"),
    ("inception5b", "avg", "fc"),
    ("avgpool", "flatten", "classifier"),
    ("features", "avg", "classifier"),
)


def at_last_map(network: SplitNetwork) -> NetworkMember:
    """Return a network that is split at its last map, also if it has a classifier of its own."""
    name = network.backbone.name
    if not isinstance(network.head, nn.Identity):
        return NetworkMember(network.backbone, network.head, name)
    body = network.backbone.network
    if isinstance(body, nn.Sequential):  # The small CNN.
        first = next(n for n, one in enumerate(body) if isinstance(one, nn.Flatten))
        return NetworkMember(
            network.backbone.at(str(first - 1), "flatten"), _copy(body[first:]), name
        )
    modules = dict(body.named_children())
    layer, pooling, classifier = next(
        one for one in _OWN_CLASSIFIERS if one[0] in modules and one[2] in modules
    )
    return NetworkMember(network.backbone.at(layer, pooling), _copy(modules[classifier]), name)


def _copy(classifier: nn.Module) -> nn.Module:
    # It stays on the CPU where the network is moved to another device.
    return copy.deepcopy(classifier).eval()
