"""Networks of timm, reduced to the part that makes a feature map."""

from __future__ import annotations

import functools

import timm
import torch
from torch import Tensor, nn

from bottleneck.backbones.catalogue import Encoder
from bottleneck.errors import UsageError

__all__ = [
    "RANDOM_SEED",
    "build",
    "called_modules",
    "config_of",
    "feature_map",
    "skeleton",
    "unused_parts",
]

RANDOM_SEED = 0


def build(encoder: Encoder, *, seed: int = RANDOM_SEED) -> nn.Module:
    """Build an encoder with random weights, without the parts that no feature map needs.

    Parameters
    ----------
    encoder : Encoder
        The architecture.
    seed : int
        Of its weights; the caller's generator is left as it was.

    Returns
    -------
    nn.Module
        In eval mode, on the CPU, float32.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = timm.create_model(encoder.timm, pretrained=False, num_classes=0)
    return _reduced(network, encoder)


@functools.lru_cache(maxsize=32)
def skeleton(encoder: Encoder) -> nn.Module:
    """Build the same without memory: on the meta device, names and shapes only."""
    return _reduced(_whole(encoder), encoder)


@functools.lru_cache(maxsize=32)
def unused_parts(encoder: Encoder) -> frozenset[str]:
    """Return the names of the top modules that take no part in the last feature map."""
    # VGG's fully connected layers are 90 % of its weights and no part of a feature map.
    network = _whole(encoder)
    side = config_of(encoder).input_size[-1]
    with torch.device("meta"):
        used = called_modules(network, torch.empty(1, 3, side, side))
    return frozenset(name for name, _ in network.named_children() if name not in used)


def _whole(encoder: Encoder) -> nn.Module:
    with torch.device("meta"):
        network = timm.create_model(encoder.timm, pretrained=False, num_classes=0)
    return network.eval()


def _reduced(network: nn.Module, encoder: Encoder) -> nn.Module:
    for name in unused_parts(encoder):
        setattr(network, name, nn.Identity())
    return network.eval().requires_grad_(False)


def config_of(encoder: Encoder) -> timm.models.PretrainedCfg:
    """Return what timm states of an encoder's pinned weights.

    Raises
    ------
    UsageError
        If it states nothing.
    """
    config = timm.get_pretrained_cfg(encoder.timm)
    if config is None:
        raise UsageError(f"timm states no preprocessing for '{encoder.timm}'; choose another model")
    return config


def called_modules(network: nn.Module, pixels: Tensor) -> set[str]:
    """Return the names of the modules that take part in the last feature map."""
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
    """Return the network's last feature map (timm's ``forward_features`` where it has one)."""
    forward = getattr(network, "forward_features", network)
    return forward(pixels)
