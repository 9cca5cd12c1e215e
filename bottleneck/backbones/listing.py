"""What the catalogue holds, read off the networks themselves."""

from __future__ import annotations

from typing import Any

import timm
import torch
from torch import Tensor, nn

from bottleneck.backbones.catalogue import ENCODERS, Encoder, find_encoder
from bottleneck.backbones.weights import default_preprocessing, feature_map, on_this_machine

__all__ = ["describe_backbones", "describe_layers"]


def describe_backbones() -> list[dict[str, Any]]:
    """Describe every encoder with a short name.

    Returns
    -------
    list of dict
        name; width of a pooled feature; input side in pixels; imagenet, the pinned
        weights; here, whether they lie in the hub's local cache.
    """
    rows = []
    for encoder in ENCODERS.values():
        preprocessing = default_preprocessing(encoder)
        network, pixels = _without_memory(encoder, preprocessing.crop)
        output = feature_map(network, pixels)
        last = getattr(network, "output_fmt", "NCHW") == "NHWC"
        rows.append(
            {
                "name": encoder.name,
                "width": output.shape[-1 if last else 1],
                "input": preprocessing.crop,
                "imagenet": encoder.timm,
                "here": "yes" if on_this_machine(encoder) else "no",
            }
        )
    return rows


def describe_layers(name: str) -> list[dict[str, Any]]:
    """Describe every layer that takes part in a backbone's features.

    Parameters
    ----------
    name : str
        As ``load_backbone`` takes it.

    Returns
    -------
    list of dict
        layer; type; shape of its output for one image. In the order of the forward pass.

    Raises
    ------
    UsageError
        If there is no such backbone.
    """
    encoder = find_encoder(name)
    network, pixels = _without_memory(encoder, default_preprocessing(encoder).crop)
    rows: list[dict[str, Any]] = []

    def note(layer: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor) and len(output) == len(pixels):
                shape = "×".join(map(str, output.shape[1:]))
                rows.append({"layer": layer, "type": type(module).__name__, "shape": shape})

        return hook

    for layer, module in network.named_modules():
        if layer:
            module.register_forward_hook(note(layer))
    feature_map(network, pixels)
    return rows


def _without_memory(encoder: Encoder, side: int) -> tuple[nn.Module, Tensor]:
    # On the meta device a network has shapes and no values, so that the largest costs nothing.
    with torch.device("meta"):
        network = timm.create_model(encoder.timm, pretrained=False, num_classes=0)
        # Two images, so that layers that fold the batch into other dimensions stand out.
        return network.eval().requires_grad_(False), torch.empty(2, 3, side, side)
