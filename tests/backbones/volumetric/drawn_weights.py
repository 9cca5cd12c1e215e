"""Weights and inputs that are the same with every version of torch."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn


def draw_weights(network: nn.Module) -> dict[str, Tensor]:
    """Return seeded tensors for the state of a network, drawn in the order of their names."""
    generator = np.random.RandomState(0)
    state = {}
    for name, tensor in sorted(network.state_dict().items()):
        if name.endswith("num_batches_tracked"):
            continue
        drawn = generator.standard_normal(tuple(tensor.shape))
        # Variances are positive, and the weights of a batch normalisation are about one.
        drawn = 1 + np.abs(drawn) if name.endswith("running_var") else 0.05 * drawn
        is_factor = tensor.ndim == 1 and name.removesuffix("weight") + "running_var" in state
        state[name] = torch.from_numpy(drawn + is_factor).float()
    return state


def draw_input(*shape: int) -> Tensor:
    return torch.from_numpy(np.random.RandomState(1).standard_normal(shape)).float()
