"""The forward pass: pixels through a network to the features of one or more of its layers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from bottleneck.backbones.inputs.network_inputs import as_input
from bottleneck.backbones.layers.taps import Taps
from bottleneck.backbones.networks import feature_map
from bottleneck.backbones.recipe import Precision
from bottleneck.data.volumes.volume_preprocessing import VolumePreprocessing

if TYPE_CHECKING:
    from bottleneck.backbones.backbone import Backbone

__all__ = ["embed_together", "normalised", "read_layers", "tapped", "without_tf32"]

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def tapped(backbones: Sequence[Backbone]) -> Taps:
    """Return the taps of several backbones of one network; close them after use."""
    first = backbones[0]
    return Taps(first.network, [backbone.layer for backbone in backbones], first.name)


@torch.inference_mode()
def embed_together(
    backbones: Sequence[Backbone],
    pixels: Tensor,
    precision: Precision = "fp32",
    forward: Callable[[nn.Module, Tensor], Tensor] = feature_map,
    taps: Taps | None = None,
) -> list[Tensor]:
    """Return the features of several layers of one network, computed in one forward pass.

    Parameters
    ----------
    backbones : sequence of Backbone
        Backbones of one network with different layers (see ``Backbone.at``).
    pixels, precision
        The same as for ``Backbone.embed``.
    forward : callable
        Takes the network and its input, and returns the last feature map; for example a
        compiled ``feature_map``.
    taps : Taps, optional
        The result of ``tapped(backbones)``. Without it, only one thread may use the network.

    Returns
    -------
    list of Tensor of float32, each of shape (batch, width)
        The features of each backbone.
    """
    outputs = read_layers(backbones, pixels, precision, forward, taps)
    return [b.pool(output) for b, output in zip(backbones, outputs, strict=True)]


@torch.inference_mode()
def read_layers(
    backbones: Sequence[Backbone],
    pixels: Tensor,
    precision: Precision = "fp32",
    forward: Callable[[nn.Module, Tensor], Tensor] = feature_map,
    taps: Taps | None = None,
) -> list[Tensor]:
    """Return the outputs of several layers of one network before pooling, in one forward pass.

    Parameters
    ----------
    backbones, pixels, precision, forward, taps
        The same as for ``embed_together``.

    Returns
    -------
    list of Tensor
        The output of the layer of each backbone, which ``Backbone.pool`` takes.
    """
    first = backbones[0]
    x = normalised(first, pixels)
    reduced = precision != "fp32"
    autocast = torch.autocast(first.device.type, dtype=_DTYPES[precision], enabled=reduced)
    cuda = first.device.type == "cuda"
    with contextlib.ExitStack() as stack:
        stack.enter_context(autocast)
        stack.enter_context(without_tf32() if cuda else contextlib.nullcontext())
        return (taps or stack.enter_context(tapped(backbones))).read(x, forward)


def normalised(backbone: Backbone, pixels: Tensor) -> Tensor:
    """Return the input of a network for preprocessed images.

    Parameters
    ----------
    backbone : Backbone
        The backbone of the network.
    pixels : Tensor of uint8 or float32, shape (batch, crop, crop, n_channels)
        Values from 0 to 255; of volumes, patches of the shape ``VolumePreprocessing.input_shape``,
        with the values that it states.

    Returns
    -------
    Tensor of float32, shape (batch, n_channels, crop, crop)
        On the device of the backbone; of volumes, (batch, n_channels, x, y, z), or
        (batch · planes, n_channels, rows, columns) for a network that takes slices.
    """
    x = pixels.to(backbone.device, non_blocking=True).float()
    if isinstance(backbone.preprocessing, VolumePreprocessing):
        mean, std = backbone.statistics
        return as_input((x - mean) / std, backbone.preprocessing)
    # For float32 pixels, ``float`` returns the caller's tensor, which must not be changed.
    x = x.div_(255) if pixels.dtype == torch.uint8 else x.div(255)
    # On flattened rows: with an innermost loop over 3 channels, a CPU takes four times as long.
    mean, std = (channel.repeat(x.shape[2]) for channel in backbone.statistics)
    rows = x.flatten(2).sub_(mean).div_(std)
    return as_input(rows.view(x.shape), backbone.preprocessing)


@contextlib.contextmanager
def without_tf32() -> Iterator[None]:
    """Turn off TF32 in cuDNN, which by default rounds fp32 inputs to a mantissa of 10 bits.

    The setting applies to the whole process. If several threads compute, use it around all of them.
    """
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before
