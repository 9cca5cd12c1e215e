"""Weights and inputs that are the same with every version of torch."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn


def draw_weights(network: nn.Module, scale: float = 0.05) -> dict[str, Tensor]:
    """Return seeded tensors for the state of a network, drawn in the order of their names."""
    generator = np.random.RandomState(0)
    return {
        name: torch.from_numpy(scale * generator.standard_normal(tuple(tensor.shape))).float()
        for name, tensor in sorted(network.state_dict().items())
    }


def draw_input(*shape: int) -> Tensor:
    return torch.from_numpy(np.random.RandomState(1).standard_normal(shape)).float()
