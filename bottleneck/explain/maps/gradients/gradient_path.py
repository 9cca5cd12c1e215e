"""From the map that a network pools to the values of the classes, as Grad-CAM follows it back."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch
from torch import Tensor, nn

from bottleneck.backbones.backbone import Backbone
from bottleneck.backbones.layers.embedding import read_layers
from bottleneck.backbones.layers.pooling import find_pooling
from bottleneck.errors import UsageError

__all__ = ["GradientPath"]


class _Pooled(nn.Module):
    """The pooling of a map, and what decides on the features."""

    def __init__(self, pooling: str, decide: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.map = nn.Identity()
        self.pool, self.decide = find_pooling(pooling), decide
        # The library asks the first parameter for the device.
        self.place = nn.Parameter(torch.zeros(()), requires_grad=False)

    def forward(self, maps: Tensor) -> Tensor:
        return self.decide(self.pool(self.map(maps).flatten(2)).double())


@dataclasses.dataclass(frozen=True, eq=False)
class GradientPath:
    """A map inside a network, and the network from there to the values of the classes.

    What is before the map is not differentiated, so that Grad-CAM costs one forward pass.

    Attributes
    ----------
    backbone : Backbone
        The network up to the map.
    network : nn.Module
        From maps to values of the classes, of shape (n_images, n_classes), on the CPU.
    layer : nn.Module
        The module of ``network`` that gives the maps.
    """

    backbone: Backbone
    network: nn.Module
    layer: nn.Module

    @classmethod
    def of(cls, backbone: Backbone, decide: Callable[[Tensor], Tensor]) -> GradientPath:
        """Return the path from the map that a backbone pools.

        Parameters
        ----------
        backbone : Backbone
            The backbone.
        decide : callable
            From features to values of the classes, both in float64, on the CPU.

        Raises
        ------
        UsageError
            If the output of its layer stands for no places of the image.
        """
        if backbone.pool.grid(backbone.shape) is None:
            layer = f"layer '{backbone.layer}'" if backbone.layer else "the last layer"
            raise UsageError(
                f"{layer} of {backbone.name} gives no map of the image, but the shape "
                f"{backbone.shape}"
            )
        network = _Pooled(backbone.pooling, decide)
        return cls(backbone, network, network.map)

    def maps(self, pixels: Tensor) -> Tensor:
        """Return the maps of a batch, of shape (n_images, channels, rows, columns)."""
        (output,) = read_layers([self.backbone], pixels)
        # The copy can be differentiated, which what a frozen network computes cannot.
        return self.backbone.pool.places(output).cpu().clone().requires_grad_()
