"""timm networks, reduced to the modules that compute the last feature map."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import timm
import torch
from torch import Tensor, nn

from bottleneck.backbones.catalogue import Encoder
from bottleneck.errors import UsageError, WeightsError
from bottleneck.text.plurals import counted

__all__ = [
    "RANDOM_SEED",
    "build",
    "called_modules",
    "config_of",
    "feature_map",
    "refuse_not_finite",
    "skeleton",
    "unused_parts",
]

RANDOM_SEED = 0


def build(encoder: Encoder, *, seed: int = RANDOM_SEED) -> nn.Module:
    """Return an encoder with random weights, without modules that the feature map does not need.

    Parameters
    ----------
    encoder : Encoder
        The architecture.
    seed : int
        Seed of the random weights; torch's global generator is not changed.

    Returns
    -------
    nn.Module
        A float32 network on the CPU, in evaluation mode.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = timm.create_model(encoder.timm, pretrained=False, num_classes=0)
    return _reduced(network, encoder)


@functools.lru_cache(maxsize=32)
def skeleton(encoder: Encoder) -> nn.Module:
    """Return an encoder on the meta device: names and shapes without memory for values."""
    return _reduced(_complete(encoder), encoder)


@functools.lru_cache(maxsize=32)
def unused_parts(encoder: Encoder) -> frozenset[str]:
    """Return the names of the top-level modules that the last feature map does not need."""
    # VGG's fully connected layers, for example, are 90 % of its weights.
    network = _complete(encoder)
    side = config_of(encoder).input_size[-1]
    with torch.device("meta"):
        used = called_modules(network, torch.empty(1, 3, side, side))
    return frozenset(name for name, _ in network.named_children() if name not in used)


def _complete(encoder: Encoder) -> nn.Module:
    with torch.device("meta"):
        network = timm.create_model(encoder.timm, pretrained=False, num_classes=0)
    return network.eval()


def _reduced(network: nn.Module, encoder: Encoder) -> nn.Module:
    for name in unused_parts(encoder):
        setattr(network, name, nn.Identity())
    return network.eval().requires_grad_(False)


def config_of(encoder: Encoder) -> timm.models.PretrainedCfg:
    """Return timm's configuration of an encoder's pretrained weights.

    Raises
    ------
    UsageError
        If timm has none.
    """
    config = timm.get_pretrained_cfg(encoder.timm)
    if config is None:
        raise UsageError(f"timm has no preprocessing for '{encoder.timm}'; choose another model")
    return config


def refuse_not_finite(tensors: Mapping[str, Tensor], what: str) -> None:
    """Raise an error if weights hold NaN or infinity, which would spread to every feature.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        The weights by name.
    what : str
        What holds them, for the message.

    Raises
    ------
    WeightsError
        If a value is not finite.
    """
    broken = [name for name, tensor in tensors.items() if not bool(tensor.isfinite().all())]
    if broken:
        n = int((~tensors[broken[0]].isfinite()).sum())
        others = f", and {counted(len(broken) - 1, 'other tensor')}" if broken[1:] else ""
        raise WeightsError(
            f"{what} holds weights that are not finite (NaN or infinity): {counted(n, 'value')} of "
            f"'{broken[0]}'{others}. The training that wrote them failed, or the file is damaged: "
            "use another file"
        )


def called_modules(network: nn.Module, pixels: Tensor) -> set[str]:
    """Return the names of the modules that compute the last feature map."""
    called = {""}
    hooks = [
        module.register_forward_pre_hook(lambda *_, name=name: called.add(name))
        for name, module in network.named_modules()
    ]
    with torch.inference_mode():
        feature_map(network, pixels)
    for hook in hooks:
        hook.remove()
    return called


def feature_map(network: nn.Module, pixels: Tensor) -> Tensor:
    """Return the last feature map: ``forward_features`` of timm, or the network's output."""
    forward = getattr(network, "forward_features", network)
    return forward(pixels)
