"""Models with random weights in the place of those that they have, and heads of permuted labels."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from bottleneck.backbones.backbone import Backbone
from bottleneck.backbones.weights.loading import Weights
from bottleneck.errors import UsageError
from bottleneck.explain.maps.decision import Explained
from bottleneck.explain.maps.exact.explained_head import ExplainedHead
from bottleneck.explain.maps.gradients.explained_network import ExplainedNetwork
from bottleneck.heads.estimators.running import run_estimator
from bottleneck.heads.estimators.suitability import last_step
from bottleneck.statistics.arguments import as_patients

__all__ = ["fit_again", "permute_labels", "randomise", "with_random_weights"]

_NORMS = (
    nn.modules.batchnorm._NormBase,
    nn.LayerNorm,
    nn.GroupNorm,
)
_LAYERS = (nn.Linear, nn.modules.conv._ConvNd)
# Between the seeds of the networks of a training.
_NEXT_MEMBER = 1_000_003


def randomise(network: nn.Module, seed: int) -> None:
    """Give a network random weights, in place.

    Weights of convolutions and linear layers are drawn from a normal distribution with the
    variance 2 / (number of inputs) (He et al. 2015, Delving Deep into Rectifiers, ICCV), and their
    biases are 0. Normalisation layers become the identity. Every other parameter, such as a table
    of positions, keeps its values in random order.

    Parameters
    ----------
    network : nn.Module
        The network.
    seed : int
        Seed of the weights.
    """
    draw = torch.Generator().manual_seed(seed)
    done: set[int] = set()
    with torch.no_grad():
        for module in network.modules():
            for name, values in (*module.named_parameters(recurse=False), *_statistics(module)):
                if id(values) in done:
                    continue
                done.add(id(values))
                if isinstance(module, _LAYERS) and name == "weight":
                    scale = (2 / values[0].numel()) ** 0.5
                    made = torch.randn(values.shape, generator=draw) * scale
                elif isinstance(module, _LAYERS) and name == "bias":
                    made = torch.zeros(values.shape)
                elif isinstance(module, _NORMS) or name.startswith("running_"):
                    is_one = name in ("weight", "running_var")
                    made = torch.full(values.shape, float(is_one))
                else:
                    order = torch.randperm(values.numel(), generator=draw)
                    made = values.cpu().flatten()[order].view(values.shape)
                values.copy_(made)


def _statistics(module: nn.Module) -> list[tuple[str, torch.Tensor]]:
    named = dict(module.named_buffers(recurse=False))
    return [(name, named[name]) for name in ("running_mean", "running_var") if name in named]


def with_random_weights(
    explained: Explained,
    seed: int,
    pixels: NDArray[Any],
    fit_on: tuple[NDArray[Any], ArrayLike] | None = None,
) -> Explained:
    """Return the same decision with random weights of the network.

    Of a trained network, all weights become random, those of the classifier as well. Of a fitted
    head on a frozen network, the weights of the network do. The head is fitted again on the random
    features where training images are given. Otherwise it is kept, and each random feature
    is scaled to the mean and standard deviation of the feature that it takes the place of, over the
    images that are explained: a head that gets values far from all it was fitted on
    decides the same everywhere.

    Parameters
    ----------
    explained : ExplainedHead or ExplainedNetwork
        What decides.
    seed : int
        Seed of the weights.
    pixels : ndarray of uint8, shape (n_images, crop, crop, n_channels)
        The images that are explained.
    fit_on : (pixels, labels) or None
        Training images and their labels.

    Raises
    ------
    UsageError
        If it is another kind of decision, or the head cannot be fitted.
    """
    if isinstance(explained, ExplainedNetwork):
        members = []
        for number, member in enumerate(explained.members):
            # No network of this draw has the weights of one of the next.
            member_seed = seed + _NEXT_MEMBER * number
            backbone = _random_backbone(member.backbone, member_seed)
            head = copy.deepcopy(member.head)
            randomise(head, member_seed)
            members.append(dataclasses.replace(member, backbone=backbone, head=head))
        return dataclasses.replace(explained, members=tuple(members))
    if not isinstance(explained, ExplainedHead):
        raise UsageError(
            f"{type(explained).__name__} has no weights that could be made random: expected an "
            "ExplainedHead or an ExplainedNetwork"
        )
    backbone = _random_backbone(explained.backbone, seed)
    unfitted = ExplainedHead(backbone, explained.estimator, explained.classes)
    if fit_on is not None:
        images, labels = fit_on
        return fit_again(unfitted, unfitted.features(images), labels)
    own, made = explained.features(pixels), unfitted.features(pixels)
    estimator = explained.estimator
    steps = estimator.steps if isinstance(estimator, Pipeline) else [("head", estimator)]
    matched = Pipeline([("random features", _scaler(own, made)), *steps])
    return ExplainedHead(backbone, matched, explained.classes)


def _random_backbone(backbone: Backbone, seed: int) -> Backbone:
    network = copy.deepcopy(backbone.network)
    randomise(network, seed)
    made = Backbone(
        network,
        name=backbone.name,
        architecture=backbone.architecture,
        weights=Weights("random", f"seed {seed}"),
        preprocessing=backbone.preprocessing,
        layer=backbone.layer,
        pooling=backbone.pooling,
        own=backbone.own,
    )
    return made.to(backbone.device)


def _scaler(own: NDArray[np.floating], made: NDArray[np.floating]) -> StandardScaler:
    """Return a scaler from random features to the mean and deviation of a network's own."""
    spread = made.std(0, dtype=np.float64)
    wanted = own.std(0, dtype=np.float64)
    # A feature that is the same for all images becomes the mean of its place.
    scale = np.divide(spread, wanted, out=np.ones_like(spread), where=(spread > 0) & (wanted > 0))
    scaler = StandardScaler().fit(np.zeros((1, made.shape[1])))
    scaler.scale_ = scale
    scaler.mean_ = made.mean(0, dtype=np.float64) - own.mean(0, dtype=np.float64) * scale
    scaler.var_ = scale**2
    return scaler


def fit_again(head: ExplainedHead, X: NDArray[Any], labels: ArrayLike) -> ExplainedHead:
    """Return a head of the same settings that is fitted to other rows or labels.

    Raises
    ------
    UsageError
        If it cannot be fitted.
    """
    name = type(last_step(head.estimator)).__name__
    with run_estimator(name, "fitted"):
        fitted = clone(head.estimator).fit(np.asarray(X, np.float64), np.asarray(labels))
    return ExplainedHead(head.backbone, fitted, head.classes)


def permute_labels(
    labels: ArrayLike, groups: ArrayLike | None, rng: np.random.Generator
) -> NDArray[Any]:
    """Return labels that patients have exchanged.

    All images of a patient have one label; it is that which most images of the other patient have.

    Parameters
    ----------
    labels : array-like, shape (n_samples,)
        Labels of the training images.
    groups : array-like, shape (n_samples,), or None
        Patients; without them, every image is a patient.
    rng : numpy.random.Generator
        Draws the order.

    Examples
    --------
    >>> rng = np.random.default_rng(2)
    >>> permute_labels(["a", "a", "b", "b", "b"], [1, 1, 2, 2, 3], rng).tolist()
    ['b', 'b', 'a', 'a', 'b']
    """
    names, codes = np.unique(np.asarray(labels), return_inverse=True)
    patients = as_patients(groups, len(codes))
    counts = np.zeros((int(patients.max()) + 1, len(names)), int)
    np.add.at(counts, (patients, codes), 1)
    own = counts.argmax(1)
    return np.asarray(names[rng.permutation(own)[patients]])
