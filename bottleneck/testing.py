"""Helpers for tests: small backbones that need no weights."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from bottleneck.backbones.backbone import Backbone
from bottleneck.backbones.weights.loading import Weights
from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.data.volumes.volume_preprocessing import VolumePreprocessing

__all__ = ["tiny_backbone", "tiny_volume_backbone"]


def tiny_backbone(*, width: int = 8, side: int = 16, pooling: str = "avg") -> Backbone:
    """Return a frozen network of one convolution, with seeded weights.

    Parameters
    ----------
    width : int
        Length of a feature vector.
    side : int
        Width and height of its input in pixels.
    pooling : {"avg", "max", "gem", "flatten"}
        How its feature map becomes a vector.
    """
    half = (0.5, 0.5, 0.5)
    return Backbone(
        _seeded(nn.Conv2d, 3, width),
        name="tiny",
        architecture=f"tiny{width}",
        weights=Weights("random", "seed 0"),
        preprocessing=Preprocessing(side, side, "bilinear", half, half),
        pooling=pooling,
    )


def tiny_volume_backbone(
    *,
    width: int = 8,
    side: int = 16,
    pooling: str = "avg",
    slices: Literal["orthogonal", "axial"] | None = None,
    slice_pooling: Literal["mean", "max", "concatenate"] = "mean",
    spacing: tuple[float, float, float] | None = None,
) -> Backbone:
    """Return a frozen network of one convolution for volumes, with seeded weights.

    Values from −1000 to 1000 become 0 to 1.

    Parameters
    ----------
    width : int
        Length of the feature vector of a volume, or of one slice.
    side : int
        Edge of its cubic patch in voxels.
    pooling : {"avg", "max", "gem", "flatten"}
        How its feature map becomes a vector.
    slices, slice_pooling, spacing
        Those of ``VolumePreprocessing``; with slices, the network is one of images.
    """
    return Backbone(
        _seeded(nn.Conv2d if slices else nn.Conv3d, 1, width),
        name="tiny-slices" if slices else "tiny-volume",
        architecture=f"tiny{width}",
        weights=Weights("random", "seed 0"),
        preprocessing=VolumePreprocessing(
            size=(side, side, side),
            spacing=spacing,
            window=(-1000.0, 1000.0),
            fill=-1000.0,
            slices=slices,
            slice_pooling=slice_pooling,
        ),
        pooling=pooling,
    )


def _seeded(convolution: type[nn.Conv2d | nn.Conv3d], n_channels: int, width: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(convolution(n_channels, width, 3, stride=2), nn.ReLU())
