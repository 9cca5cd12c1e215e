"""The network of timm whose classifier takes the features of another network."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import timm
import torch
from torch import Tensor, nn

from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.export.classifier.network_features import NetworkFeatures
from bottleneck.export.hub.log_odds import LogOdds, NoPlainCheckpointError

__all__ = ["PlainNetwork", "plain_network", "timm_config"]

# Features of the same network differ by rounding alone, in parts of the largest.
_MOST_APART = 1e-4
# MobileNetV3's features are means of a hard swish, so at least -0.375. Another hard swish follows,
# which leaves values from 3 on as they are. Scaled so much, features lose few digits to the shift.
_SWISH_SCALE, _SWISH_SHIFT = 1024.0, 512.0


@dataclasses.dataclass(frozen=True, eq=False)
class PlainNetwork:
    """A network of timm with a classifier of two classes.

    Attributes
    ----------
    network : nn.Module
        The network of timm, on the CPU.
    architecture : str
        Its name in timm.
    arguments : mapping
        What else ``timm.create_model`` needs.
    scale, shift : float
        The classifier takes scale * feature + shift.
    """

    network: Any
    architecture: str
    arguments: Mapping[str, Any]
    scale: float
    shift: float

    @torch.no_grad()
    def classify(self, log_odds: LogOdds) -> None:
        """Set the classifier to log-odds, so that a softmax gives the probabilities."""
        classifier = self.network.get_classifier()
        half = torch.from_numpy(log_odds.weights) / (2 * self.scale)
        bias = log_odds.intercept / 2 - self.shift * float(half.sum())
        weights = torch.zeros(classifier.weight.shape, dtype=torch.float64)
        weights[:, : len(half)] = torch.stack([-half, half])
        classifier.weight.copy_(weights)
        classifier.bias.copy_(torch.tensor([-bias, bias]))


def plain_network(features: NetworkFeatures, preprocessing: Preprocessing) -> PlainNetwork:
    """Return the network of timm whose classifier takes the features of another network.

    Its tensors are those of the other network, with these changes: a first layer that took BGR
    takes RGB; a different eps of a batch normalisation is added to its variances; and layers
    between the pooling and the classifier (VGG, MobileNetV3) leave the features as they are. The
    features of the two networks are compared.

    Parameters
    ----------
    features : NetworkFeatures
        The other network.
    preprocessing : Preprocessing
        How pixels reach it.

    Raises
    ------
    NoPlainCheckpointError
        If timm has no such network.
    """
    source, config = features.network, timm_config(features)
    if preprocessing.n_channels != 3:
        raise NoPlainCheckpointError("its network takes images of one channel")
    levels = _some_levels(preprocessing.crop)
    wanted, x = features(levels), (levels / 255 - features.mean) / features.std
    is_bgr = preprocessing.channels == "BGR"
    architecture, size = config["architecture"], config["input_size"][-1]
    choices = _arguments(architecture, features.pool.pooling, size, preprocessing.crop)
    for arguments in choices:
        network = _create(architecture, arguments)
        if network is None or not _fill(network, source, is_bgr=is_bgr):
            continue
        scale, shift = _pass_features(network, source)
        inputs = _classifier_inputs(network, x.flip(1) if is_bgr else x)
        if inputs is None or inputs.shape[1] < wanted.shape[1]:
            continue
        apart = ((inputs[:, : wanted.shape[1]] - shift) / scale - wanted).abs().max()
        if apart <= _MOST_APART * wanted.abs().max():
            return PlainNetwork(network, architecture, arguments, scale, shift)
    layer = f"the layer '{features.layer}'" if features.layer else "the last layer"
    raise NoPlainCheckpointError(
        f"the classifier of timm's {architecture} takes values other than its features (of "
        f"{layer}, with the pooling '{features.pool.pooling}')"
    )


def timm_config(features: NetworkFeatures) -> Mapping[str, Any]:
    """Return what timm states of a network.

    Raises
    ------
    NoPlainCheckpointError
        If it is not one of timm.
    """
    config: Any = getattr(features.network, "pretrained_cfg", None)
    if not isinstance(config, Mapping) or not config.get("architecture"):
        raise NoPlainCheckpointError("its network is not one of timm")
    return config


def _arguments(architecture: str, pooling: str, size: int, side: int) -> Iterator[dict[str, Any]]:
    """Yield what a network of timm may be created with, the plainest first."""
    # Of VGG, the layers before the classifier become no wider than the features.
    common: dict[str, Any] = {"mlp_ratio": 0.125} if architecture.startswith("vgg") else {}
    # Networks with an embedding of the position of each patch are made for one size.
    sizes: list[dict[str, Any]] = [{}] if size == side else [{}, {"img_size": side}]
    for one in sizes:
        yield common | one
        yield common | one | {"global_pool": pooling}
        # Vision transformers that average their tokens have their last norm after that, unless
        # told.
        yield common | one | {"global_pool": pooling, "fc_norm": False}


def _create(architecture: str, arguments: Mapping[str, Any]) -> Any:
    """Return a network of timm for two classes; None if it takes no such arguments."""
    try:
        with torch.random.fork_rng(devices=[]):
            network = timm.create_model(architecture, num_classes=2, **arguments)
    except (TypeError, ValueError, AssertionError):
        return None
    return network.eval().requires_grad_(False)


@torch.no_grad()
def _fill(network: Any, source: nn.Module, *, is_bgr: bool) -> bool:
    """Give a network the tensors of another; return whether it has a place for each."""
    given, own = source.state_dict(), network.state_dict()
    if any(name not in own or own[name].shape != one.shape for name, one in given.items()):
        return False
    network.load_state_dict(given, strict=False)
    modules = dict(network.named_modules())
    for name, module in source.named_modules():
        if isinstance(module, nn.BatchNorm2d) and isinstance(module.running_var, Tensor):
            modules[name].running_var += module.eps - modules[name].eps
    if is_bgr:
        weight = network.get_submodule(network.pretrained_cfg["first_conv"]).weight
        weight.copy_(weight.flip(1))
    return True


@torch.no_grad()
def _pass_features(network: Any, source: Any) -> tuple[float, float]:
    """Have the layers that only the whole network has pass the features on; return how they do.

    Returns
    -------
    scale, shift : float
        They give scale * feature + shift.
    """
    lacking = {name.partition(".")[0] for name in network.state_dict().keys() - source.state_dict()}
    if "pre_logits" in lacking:  # VGG, whose last map is that of a ReLU.
        first, second = network.pre_logits.fc1, network.pre_logits.fc2
        _set_identity(first, 1.0, 0.0)
        _set_identity(second, 1.0, 0.0)
        first.weight.copy_(first.weight.mean((2, 3), keepdim=True).expand_as(first.weight))
    if "conv_head" in lacking and network.conv_head.bias is not None:  # MobileNetV3.
        _set_identity(network.conv_head, _SWISH_SCALE, _SWISH_SHIFT)
        return _SWISH_SCALE, _SWISH_SHIFT
    return 1.0, 0.0


def _set_identity(layer: Any, scale: float, shift: float) -> None:
    nn.init.dirac_(layer.weight).mul_(scale)
    nn.init.constant_(layer.bias, shift)


@torch.inference_mode()
def _classifier_inputs(network: Any, x: Tensor) -> Tensor | None:
    """Return what the classifier takes for normalised images; None if it is not a linear layer."""
    classifier = network.get_classifier()
    if not isinstance(classifier, nn.Linear):
        return None
    inputs: list[Tensor] = []
    hook = classifier.register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
    try:
        network(x)
    except (AssertionError, RuntimeError, ValueError):  # It is made for images of another size.
        return None
    finally:
        hook.remove()
    return inputs[0] if len(inputs) == 1 and inputs[0].ndim == 2 else None


def _some_levels(side: int) -> Tensor:
    """Return two images of smooth spots, as whole numbers from 0 to 255."""
    drawn = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    smooth = nn.functional.interpolate(drawn, (side, side), mode="bicubic")
    return (255 * smooth.clamp(0, 1)).round()
