"""From a feature map to one vector an image."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from bottleneck.errors import unknown_name

__all__ = ["POOLINGS", "find_pooling", "positions"]


def _gem(x: Tensor) -> Tensor:
    # Generalised mean with p = 3 (Radenović, Tolias & Chum 2018, eq. 3), whose clamp keeps
    # the root real where a network has negative activations.
    return x.clamp(min=1e-6).pow(3).mean(-1).pow(1 / 3)


POOLINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "avg": lambda x: x.mean(-1),
    "max": lambda x: x.amax(-1),
    "gem": _gem,
    "flatten": lambda x: x.flatten(1),
}


def find_pooling(name: str) -> Callable[[Tensor], Tensor]:
    """Look a pooling up; it takes (batch, channels, positions) and returns (batch, features)."""
    if name not in POOLINGS:
        raise unknown_name("pooling", name, POOLINGS)
    return POOLINGS[name]


def positions(output: Tensor, *, channels_last: bool, prefix_tokens: int = 0) -> Tensor:
    """Bring a layer's output into one form.

    Parameters
    ----------
    output : Tensor
        (B, C, H, W), or (B, H, W, C) with ``channels_last``; tokens (B, N, C); vectors (B, C).
    channels_last : bool
        Whether the network's maps have their channels last, as Swin's do.
    prefix_tokens : int
        Leading tokens that are no position of the image (class token, registers).

    Returns
    -------
    Tensor of float32, shape (B, C, positions)
        A vector has one position.
    """
    output = output.float()
    if output.ndim == 4:
        if channels_last:
            output = output.movedim(-1, 1)
        return output.flatten(2)
    if output.ndim == 3:
        return output[:, prefix_tokens:].transpose(1, 2)
    if output.ndim == 2:
        return output.unsqueeze(-1)
    raise ValueError(f"no image features: shape {tuple(output.shape)}")
