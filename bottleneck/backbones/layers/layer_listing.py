"""Tables of the backbones and of their layers, computed from the networks themselves."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from bottleneck.backbones.catalogue import ALL_ENCODERS, find_encoder
from bottleneck.backbones.encoder import Encoder
from bottleneck.backbones.inputs.network_inputs import input_zeros, spatial_size
from bottleneck.backbones.inputs.preprocessing_presets import default_preprocessing
from bottleneck.backbones.networks import feature_map, skeleton
from bottleneck.backbones.weights.loading import find_local

__all__ = ["describe_backbones", "describe_layers", "width_of"]


def describe_backbones() -> list[dict[str, Any]]:
    """Return a table of the encoders with a short name.

    Returns
    -------
    list of dict
        One row per encoder: "name"; "width", the length of a pooled feature vector; "input", the
        side of images in pixels, or the sides of volumes in voxels; "weights", names of
        the published weights; "here", those that are on this machine.
    """
    return [
        {
            "name": encoder.name,
            "width": width_of(encoder),
            "input": _sides(encoder),
            "weights": [p.weights for p in encoder.published],
            "here": [p.weights for p in encoder.published if find_local(encoder, p)],
        }
        for encoder in ALL_ENCODERS.values()
    ]


def width_of(encoder: Encoder) -> int:
    """Return the length of a pooled feature vector, computed from the network."""
    network = skeleton(encoder)
    output = feature_map(network, _two_inputs(encoder))
    return output.shape[-1 if getattr(network, "output_fmt", "NCHW") == "NHWC" else 1]


def describe_layers(name: str) -> list[dict[str, Any]]:
    """Return a table of the layers that compute a backbone's features.

    Parameters
    ----------
    name : str
        Name of the backbone, as for ``load_backbone``.

    Returns
    -------
    list of dict
        One row per layer, in the order of the forward pass: "layer", its name; "type", its class;
        "shape", of its output for one image.

    Raises
    ------
    UsageError
        If there is no such backbone.
    """
    encoder = find_encoder(name)
    network, pixels = skeleton(encoder), _two_inputs(encoder)
    rows: list[dict[str, Any]] = []

    def note(layer: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor) and len(output) == len(pixels):
                shape = "×".join(map(str, output.shape[1:]))
                rows.append({"layer": layer, "type": type(module).__name__, "shape": shape})

        return hook

    hooks = [
        module.register_forward_hook(note(layer))
        for layer, module in network.named_modules()
        if layer
    ]
    feature_map(network, pixels)
    for hook in hooks:
        hook.remove()
    return rows


def _two_inputs(encoder: Encoder) -> Tensor:
    # Two inputs reveal layers that merge the batch with another dimension.
    return input_zeros(default_preprocessing(encoder), 2, torch.device("meta"))


def _sides(encoder: Encoder) -> int | str:
    sides = spatial_size(default_preprocessing(encoder))
    return "×".join(map(str, sides)) if len(sides) == 3 else sides[0]
