"""A network with a new classifier, and the choice of the layers that are trained."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Callable, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from bottleneck.backbones.backbone import Backbone
from bottleneck.backbones.inputs.network_inputs import (
    as_input,
    input_zeros,
    spatial_size,
    statistics_of,
)
from bottleneck.backbones.layers.pooling import LayerPooling
from bottleneck.backbones.networks import feature_map
from bottleneck.backbones.recipe import AnyPreprocessing
from bottleneck.data.volumes.volume_preprocessing import VolumePreprocessing
from bottleneck.errors import UsageError

__all__ = [
    "Classifier",
    "attach_head",
    "count_parameters",
    "describe_trainable",
    "freeze",
    "has_folded_norm",
    "make_head",
    "wrap",
]

Norm = (nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm)


class _Normalise(nn.Module):
    """Normalisation of pixels or voxels, as extraction computes it."""

    mean: Tensor
    std: Tensor

    def __init__(self, preprocessing: AnyPreprocessing) -> None:
        super().__init__()
        self.preprocessing = preprocessing
        self.is_of_volumes = isinstance(preprocessing, VolumePreprocessing)
        axes = (1,) * len(spatial_size(preprocessing))
        statistics = statistics_of(preprocessing, torch.device("cpu"))
        for name, values in zip(("mean", "std"), statistics, strict=True):
            self.register_buffer(name, values.view(-1, *axes), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        values = as_input(pixels, self.preprocessing).float()
        if not self.is_of_volumes:
            values = values.div(255)
        return values.sub(self.mean).div(self.std)


class _Pooled(nn.Module):
    """A backbone's network and pooling, from normalised images to vectors."""

    def __init__(self, network: nn.Module, pool: LayerPooling) -> None:
        super().__init__()
        self.network, self.pool = network, pool

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(feature_map(self.network, x))


class Classifier(nn.Module):
    """A classifier with frozen modules, from inputs to logits.

    Frozen modules always stay in eval mode, so that their batch normalisation keeps its statistics
    and their dropout is off.

    Parameters
    ----------
    normalise : nn.Module
        Normalisation of the inputs.
    body : nn.Module
        The network.
    head : nn.Module
        The new classifier; the identity where the network has its own.
    """

    def __init__(self, normalise: nn.Module, body: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.normalise = normalise
        self.body = body
        self.head = head
        self.frozen: tuple[str, ...] = ()

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits of shape (batch, n_classes)."""
        return self.head(self.body(self.normalise(inputs)))

    @property
    def has_features(self) -> bool:
        """Whether the network ends with a pooled map and a new classifier on it."""
        return isinstance(self.body, _Pooled)

    def features(self, inputs: Tensor) -> Tensor:
        """Return the pooled last map, of shape (batch, width)."""
        return self.body(self.normalise(inputs))

    def exact_logits(self, inputs: Tensor) -> Tensor:
        """Return logits of shape (batch, n_classes), with a new classifier in float32.

        In bf16, logits would be rounded to two or three digits.
        """
        features = self.features(inputs).float()
        with torch.autocast(features.device.type, enabled=False):
            return self.head(features)

    def train(self, mode: bool = True) -> Self:
        """Set the mode of all modules that are not frozen."""
        super().train(mode)
        modules = dict(self.named_modules())
        for name in self.frozen:
            modules[name].training = False
        return self


def make_head(
    width: int, n_classes: int, *, hidden: Sequence[int] | None = None, dropout: float = 0.0
) -> nn.Sequential:
    """Return a new classifier on features: one linear layer, or hidden layers before it.

    Parameters
    ----------
    width : int
        Length of a feature vector.
    n_classes : int
        Number of classes.
    hidden : sequence of int or None
        Widths of the hidden layers, each followed by ReLU and dropout; None for none.
    dropout : float
        Probability of dropout; without hidden layers, of the features.

    Examples
    --------
    >>> [type(m).__name__ for m in make_head(8, 2, hidden=[4], dropout=0.3)]
    ['Linear', 'ReLU', 'Dropout', 'Linear']
    """
    if hidden is None:
        return nn.Sequential(nn.Dropout(dropout), nn.Linear(width, n_classes))
    layers: list[nn.Module] = []
    for n in hidden:
        layers += [nn.Linear(width, n), nn.ReLU(), nn.Dropout(dropout)]
        width = n
    return nn.Sequential(*layers, nn.Linear(width, n_classes))


def attach_head(
    backbone: Backbone,
    n_classes: int,
    *,
    unfreeze: str,
    hidden: Sequence[int] | None = None,
    dropout: float,
    freeze_norm: bool,
) -> Classifier:
    """Return a copy of a backbone with a new classifier.

    The weights of the classifier are drawn from torch's generator.

    Parameters
    ----------
    backbone : Backbone
        The backbone.
    n_classes : int
        Number of classes.
    unfreeze, hidden, dropout, freeze_norm
        As in ``TrainingOptions``.

    Raises
    ------
    UsageError
        If there is no such layer.
    """
    network = copy.deepcopy(backbone.network)
    classifier = Classifier(
        _Normalise(backbone.preprocessing),
        _Pooled(network, backbone.pool),
        make_head(backbone.width, n_classes, hidden=hidden, dropout=dropout),
    )
    frozen = freeze(backbone, network, unfreeze)
    if freeze_norm:
        frozen |= {name for name, m in network.named_modules() if isinstance(m, Norm)}
    classifier.frozen = tuple(
        sorted(f"body.network.{name}" if name else "body.network" for name in frozen)
    )
    return _placed(classifier, backbone.preprocessing)


def _placed(classifier: Classifier, preprocessing: AnyPreprocessing) -> Classifier:
    """Return a classifier in training mode; one of images is channels last."""
    if len(spatial_size(preprocessing)) == 2:
        classifier.to(memory_format=torch.channels_last)
    return classifier.train()


def wrap(network: nn.Module, preprocessing: AnyPreprocessing | None) -> Classifier:
    """Return a classifier from a network with logits; features need no preprocessing."""
    if preprocessing is None:
        return Classifier(nn.Identity(), nn.Identity(), network).train()
    wrapped = Classifier(_Normalise(preprocessing), network, nn.Identity())
    return _placed(wrapped, preprocessing)


def freeze(backbone: Backbone, network: nn.Module, unfreeze: str) -> set[str]:
    """Freeze the layers before those that are to be trained.

    The order is taken from a forward pass: a module is trained if its first call is not before
    that of the first trained module.

    Parameters
    ----------
    backbone : Backbone
        The backbone, with the size of its input.
    network : nn.Module
        A copy of its network, which is changed.
    unfreeze : str
        As in ``TrainingOptions``.

    Returns
    -------
    set of str
        Names of the frozen modules without trained parameters.

    Raises
    ------
    UsageError
        If there is no such layer, or the network does not describe its stages.
    """
    order = _order_of_calls(network, backbone.preprocessing)
    if unfreeze == "head":
        first = len(order)
    elif unfreeze == "all":
        first = order[""]
    elif unfreeze == "last":
        first = _last_stage(network, order, backbone.name)
    elif unfreeze in order:
        first = order[unfreeze]
    else:
        raise _unknown_layer(unfreeze, order, backbone.name)
    trained = {name for name, place in order.items() if place >= first}
    for name, module in network.named_modules():
        for parameter in module.parameters(recurse=False):
            parameter.requires_grad_(name in trained)
    return {
        name
        for name, module in network.named_modules()
        if name not in trained and not any(p.requires_grad for p in module.parameters())
    }


def _order_of_calls(network: nn.Module, preprocessing: AnyPreprocessing) -> dict[str, int]:
    order: dict[str, int] = {}

    def note(name: str) -> Callable[..., None]:
        def hook(*_: object) -> None:
            order.setdefault(name, len(order))

        return hook

    hooks = [m.register_forward_pre_hook(note(name)) for name, m in network.named_modules()]
    was_training = network.training
    # Not inference mode: tensors that a network caches there cannot be used in training.
    with torch.no_grad():
        feature_map(network.eval(), input_zeros(preprocessing, 1, torch.device("cpu")))
    network.train(was_training)
    for hook in hooks:
        hook.remove()
    # forward_features is called instead of the whole network.
    order[""] = -1
    # Modules that are never called count with their parent, which uses their parameters.
    for name, _ in network.named_modules():
        order.setdefault(name, order[name.rpartition(".")[0]])
    return order


def _last_stage(network: nn.Module, order: dict[str, int], name: str) -> int:
    stages = [stage["module"] for stage in getattr(network, "feature_info", ())]
    for before in reversed(stages[:-1]):
        within = [p for n, p in order.items() if n == before or n.startswith(f"{before}.")]
        after = max(within) + 1 if within else 0
        late = [n for n, place in order.items() if place >= after]
        if within and any(True for n in late for _ in network.get_submodule(n).parameters()):
            return after
    raise UsageError(
        f"{name} does not describe its last stage: name the first layer to train "
        f"(--unfreeze LAYER), all or head"
    )


def _unknown_layer(layer: str, order: dict[str, int], name: str) -> UsageError:
    known = [n for n in order if n]
    near = difflib.get_close_matches(layer, known, n=3, cutoff=0.4) or known[-3:]
    return UsageError(
        f"unknown layer '{layer}' of {name}; similar: {', '.join(near)}. Also possible: all, "
        f"head, last; `bottleneck backbones {name}` lists all layers"
    )


def describe_trainable(classifier: Classifier) -> list[dict[str, Any]]:
    """Return the layers that have parameters, in the order of the network.

    Returns
    -------
    list of dict
        layer, its name; type; parameters, their number; trained, the number of trained ones;
        mode, "train" or "eval" during training.
    """
    classifier.train()
    rows = []
    for name, module in classifier.named_modules():
        own = list(module.parameters(recurse=False))
        if own:
            rows.append(
                {
                    "layer": name.removeprefix("body.").removeprefix("network."),
                    "type": type(module).__name__,
                    "parameters": sum(p.numel() for p in own),
                    "trained": sum(p.numel() for p in own if p.requires_grad),
                    "mode": "train" if module.training else "eval",
                }
            )
    return rows


def count_parameters(rows: Sequence[dict[str, Any]]) -> tuple[int, int]:
    """Return the number of trained parameters and of all parameters."""
    return sum(row["trained"] for row in rows), sum(row["parameters"] for row in rows)


def has_folded_norm(network: nn.Module) -> bool:
    """Return whether all batch normalisations have mean 0 and variance 1, folded into the weights.

    In training, such a network is normalised by the statistics of each batch all the same.
    """
    norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    return bool(norms) and all(
        m.running_mean is not None
        and m.running_var is not None
        and not m.running_mean.any()
        and bool((m.running_var == 1).all())
        for m in norms
    )
