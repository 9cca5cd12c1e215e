"""Helpers for tests: a small backbone that needs no weights."""

from __future__ import annotations

import torch
from torch import nn

from bottleneck.backbones.backbone import Backbone
from bottleneck.backbones.weights.loading import Weights
from bottleneck.data.images.preprocessing import Preprocessing

__all__ = ["tiny_backbone"]


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
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = nn.Sequential(nn.Conv2d(3, width, 3, stride=2), nn.ReLU())
    return Backbone(
        network,
        name="tiny",
        architecture=f"tiny{width}",
        weights=Weights("random", "seed 0"),
        preprocessing=Preprocessing(side, side, "bilinear", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        pooling=pooling,
    )
