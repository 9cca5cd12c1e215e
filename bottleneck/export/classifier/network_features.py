"""A frozen network with normalisation and pooling, as one torch module."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from bottleneck.backbones.backbone import Backbone
from bottleneck.backbones.inputs.network_inputs import spatial_size
from bottleneck.backbones.networks import feature_map
from bottleneck.data.volumes.volume_preprocessing import VolumePreprocessing

__all__ = ["NetworkFeatures"]


class NetworkFeatures(nn.Module):
    """The features of a backbone, computed in float32.

    Parameters
    ----------
    backbone : Backbone
        The backbone. Its network is copied, and the copy is on the CPU.

    Attributes
    ----------
    network : nn.Module
        The copy.
    mean, std : Tensor of float32, shape (n_channels, 1, 1) or (n_channels, 1, 1, 1)
        The normalisation: of pictures on the scale of 0 to 1, of patches on their own.
    scale : float
        What is 1 on that scale.
    pool : LayerPooling
        From the output of the layer to one vector per image.
    layer : str
        Name of the layer; "" for the last feature map.

    Examples
    --------
    >>> from bottleneck.testing import tiny_backbone
    >>> NetworkFeatures(tiny_backbone(width=8))(torch.zeros(2, 3, 16, 16)).shape
    torch.Size([2, 8])
    """

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.network = copy.deepcopy(backbone.network).cpu().float()
        # A backbone that has computed is channels last, which torch.export warns of.
        self.network.to(memory_format=torch.contiguous_format)
        self.network.eval().requires_grad_(False)
        self.pool, self.layer = backbone.pool, backbone.layer
        for name, values in zip(("mean", "std"), backbone.statistics, strict=True):
            ones = [1] * len(spatial_size(backbone.preprocessing))
            self.register_buffer(name, values.cpu().clone().view(-1, *ones))
        of_volumes = isinstance(backbone.preprocessing, VolumePreprocessing)
        self.scale = 1.0 if of_volumes else 255.0

    def forward(self, levels: Tensor) -> Tensor:
        """Return one feature vector per image, of shape (n, width), float32.

        Parameters
        ----------
        levels : Tensor of float32, shape (n, n_channels, crop, crop)
            Values from 0 to 255, as of ``PixelFrame``; or patches, as of ``PatchFrame``.
        """
        x = (levels / self.scale - self.mean) / self.std
        return self.pool(feature_map(self.network, x) if not self.layer else self._inner(x))

    def _inner(self, x: Tensor) -> Tensor:
        outputs: list[Tensor] = []

        def keep(module: nn.Module, inputs: Any, output: Tensor) -> None:
            outputs.append(output.clone())  # A later module may change it in place.

        hook = self.network.get_submodule(self.layer).register_forward_hook(keep)
        try:
            feature_map(self.network, x)
        finally:
            hook.remove()
        return outputs[0]
