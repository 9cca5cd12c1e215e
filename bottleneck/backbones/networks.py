"""Networks of encoders, reduced to the modules that compute the last feature map."""

from __future__ import annotations

import difflib
import functools
import threading
from collections.abc import Mapping

import timm
import torch
from torch import Tensor, nn

from bottleneck.backbones.encoder import Encoder
from bottleneck.backbones.volumetric.volume_encoders import VolumeEncoder
from bottleneck.backbones.volumetric.volume_networks import build_volume_network
from bottleneck.errors import UsageError, WeightsError
from bottleneck.text.plurals import counted
from bottleneck.text.short_repr import shorten

__all__ = [
    "RANDOM_SEED",
    "build",
    "called_modules",
    "config_of",
    "explain_input",
    "feature_map",
    "refuse_not_finite",
    "refuse_output",
    "refuse_unknown_layer",
    "skeleton",
    "unused_parts",
]

RANDOM_SEED = 0
# torch's generator belongs to all threads: two that draw from it would mix their weights.
_DRAWING = threading.Lock()


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
    with _DRAWING, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = _create(encoder)
    return _reduced(network, encoder)


@functools.lru_cache(maxsize=32)
def skeleton(encoder: Encoder) -> nn.Module:
    """Return an encoder on the meta device: names and shapes without memory for values."""
    return _reduced(_complete(encoder), encoder)


@functools.lru_cache(maxsize=32)
def unused_parts(encoder: Encoder) -> frozenset[str]:
    """Return the names of the top-level modules that the last feature map does not need."""
    if isinstance(encoder, VolumeEncoder):
        return frozenset()
    # VGG's fully connected layers, for example, are 90 % of its weights.
    network = _complete(encoder)
    side = config_of(encoder).input_size[-1]
    with torch.device("meta"):
        called = called_modules(network, torch.empty(1, 3, side, side))
    used = {name.partition(".")[0] for name in called}  # A list of modules is never called.
    # The position embedding of DINOv3 is used by its method get_embed, and never called.
    return frozenset(
        name
        for name, child in network.named_children()
        if name not in used and not hasattr(child, "get_embed")
    )


def _complete(encoder: Encoder) -> nn.Module:
    with torch.device("meta"):
        network = _create(encoder)
    return network.eval()


def _create(encoder: Encoder) -> nn.Module:
    if isinstance(encoder, VolumeEncoder):
        return build_volume_network(encoder)
    return timm.create_model(encoder.timm, pretrained=False, num_classes=0)


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


def refuse_output(network: nn.Module, output: object, layer: str, name: str, given: Tensor) -> None:
    """Raise an error if what a layer gave for a batch cannot be pooled.

    Parameters
    ----------
    network : nn.Module
        The network.
    output : object
        What the layer gave.
    layer, name : str
        Name of the layer, "" for the network itself, and of the network.
    given : Tensor, shape (batch, channels, …)
        The input of the network: images, or volumes.

    Raises
    ------
    UsageError
        If it is not a tensor of numbers with one map, token list or vector per image.
    """
    if not isinstance(output, Tensor) and not layer:
        names = [name for name, _ in network.named_modules() if name]
        last = ", ".join(f"'{name}'" for name in names[-3:])
        raise UsageError(
            f"the network {name} returns {type(output).__name__}, not one tensor: name "
            f"the layer whose output is pooled, as layer='NAME'. The last are {last}"
        )
    if (
        not isinstance(output, Tensor)
        or output.ndim not in (2, 3, given.ndim)
        or len(output) != len(given)
    ):
        shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        one = "volume" if given.ndim == 5 else "image"
        raise UsageError(
            f"layer '{layer}' of {name} gives {shape} for {len(given)} {one}s, but one map, "
            f"token list or vector per {one} is needed; choose another layer"
        )
    attends = ".attn." in f".{layer}" or layer.endswith(("attn_drop", "softmax"))
    if output.ndim == 4 and attends:
        raise UsageError(
            f"layer '{layer}' of {name} gives attention weights, not features; choose another layer"
        )
    if not output.is_floating_point() or not output.numel():
        kind = f"{output.dtype} of the shape {tuple(output.shape)}"
        raise UsageError(f"layer '{layer}' of {name} gives {kind}; choose another layer")


def explain_input(error: Exception, name: str, size: str) -> Exception:
    """Return the error to raise where a network cannot take inputs of a size.

    Parameters
    ----------
    error : Exception
        What its forward pass raised; an error of bottleneck is returned as it is.
    name : str
        Name of the network.
    size : str
        The size, such as "images of 224×224 pixels".
    """
    if not isinstance(error, AssertionError | RuntimeError | ValueError):
        return error
    return UsageError(
        f"{name} cannot take {size}: state another size in the preprocessing, or leave "
        "--preprocessing out"
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


def refuse_unknown_layer(name: str, layer: str, network: nn.Module, *, own: bool = False) -> None:
    """Raise UsageError for a layer that a network does not have; the message has similar names.

    Parameters
    ----------
    name, layer : str
        Name of the network, and of the layer.
    network : nn.Module
        The network.
    own : bool
        Whether it is a network of one's own, and not of the catalogue.
    """
    if not isinstance(layer, str):
        raise UsageError(f"a layer is stated by its name, not by {shorten(layer)}")
    layers = [known for known, _ in network.named_modules()]
    if layer in layers:
        return
    near = difflib.get_close_matches(layer, layers, n=3, cutoff=0.4) or layers[-3:]
    lists = "module.named_modules()" if own else f"bottleneck backbones {name}"
    raise UsageError(
        f"unknown layer '{layer}' of {name}; similar names: {', '.join(near)}. "
        f"`{lists}` lists all layers."
    )
