"""Pooling: from the output of a layer to one vector per image."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

from torch import Tensor

from bottleneck.backbones.layers.places import Places
from bottleneck.errors import unknown_name

__all__ = ["POOLINGS", "LayerPooling", "find_pooling", "positions"]


def _gem(x: Tensor) -> Tensor:
    # Generalised mean with p = 3 (Radenović, Tolias & Chum 2018, eq. 3). The clamp keeps the root
    # real if a network has negative activations.
    return x.clamp(min=1e-6).pow(3).mean(-1).pow(1 / 3)


# Functions with names, because a backbone is pickled with its pooling.
def _average(x: Tensor) -> Tensor:
    return x.mean(-1)


def _maximum(x: Tensor) -> Tensor:
    return x.amax(-1)


def _flat(x: Tensor) -> Tensor:
    return x.flatten(1)


POOLINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "avg": _average,
    "max": _maximum,
    "gem": _gem,
    "flatten": _flat,
}

_SLICE_POOLINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": lambda slices: slices.mean(1),
    "max": lambda slices: slices.amax(1),
    "concatenate": _flat,
}


def find_pooling(name: str) -> Callable[[Tensor], Tensor]:
    """Return the pooling function with a name.

    Parameters
    ----------
    name : {"avg", "max", "gem", "flatten"}
        Mean, maximum or generalised mean over all positions, or all values in one vector.

    Returns
    -------
    callable
        Takes a tensor of shape (batch, channels, positions) and returns (batch, features).

    Raises
    ------
    UsageError
        If there is no such pooling.
    """
    if not isinstance(name, str) or name not in POOLINGS:
        raise unknown_name("pooling", name, POOLINGS)
    return POOLINGS[name]


def positions(output: Tensor, *, channels_last: bool, prefix_tokens: int = 0) -> Tensor:
    """Return the output of any layer in one form: channels by positions.

    Parameters
    ----------
    output : Tensor
        A feature map of shape (B, C, H, W), or (B, H, W, C) with ``channels_last``, of volumes
        with one axis more; tokens of shape (B, N, C); or vectors of shape (B, C).
    channels_last : bool
        Whether the channels of feature maps come last, as in Swin.
    prefix_tokens : int
        Number of leading tokens that are not positions of the image (class token, registers).

    Returns
    -------
    Tensor of float32, shape (B, C, positions)
        A vector has one position.

    Raises
    ------
    ValueError
        If the output has another number of dimensions.

    Examples
    --------
    >>> import torch
    >>> positions(torch.zeros(2, 64, 7, 7), channels_last=False).shape
    torch.Size([2, 64, 49])
    """
    output = output.float()
    if output.ndim in (4, 5):
        if channels_last:
            output = output.movedim(-1, 1)
        return output.flatten(2)
    if output.ndim == 3:
        return output[:, prefix_tokens:].transpose(1, 2)
    if output.ndim == 2:
        return output.unsqueeze(-1)
    raise ValueError(f"expected a map, tokens or vectors, not the shape {tuple(output.shape)}")


@dataclasses.dataclass(frozen=True)
class LayerPooling:
    """How the output of one layer of a network becomes one vector per image.

    Attributes
    ----------
    pooling : {"avg", "max", "gem", "flatten"}
        The pooling.
    form : Places
        Where the output has its channels and its places.
    n_slices : int or None
        How many slices of each volume a batch holds, one after the other; None for whole images
        or volumes.
    slice_pooling : {"mean", "max", "concatenate"}
        How the features of the slices become one vector.
    """

    pooling: str
    form: Places
    n_slices: int | None = None
    slice_pooling: str = "mean"

    def __call__(self, output: Tensor) -> Tensor:
        """Return the features of a batch, of shape (batch, features)."""
        features = find_pooling(self.pooling)(self._positions(output))
        if self.n_slices is None:
            return features
        slices = features.unflatten(0, (-1, self.n_slices))
        return _SLICE_POOLINGS[self.slice_pooling](slices)

    def _positions(self, output: Tensor) -> Tensor:
        form = self.form
        return positions(output, channels_last=form.channels_last, prefix_tokens=form.prefix_tokens)

    def grid(self, shape: tuple[int, ...]) -> tuple[int, int] | None:
        """Return the rows and columns of the positions of a layer; None if they are not known.

        Volumes have none.

        Parameters
        ----------
        shape : tuple of int
            Shape of the output of the layer for one image. The grid of tokens is the one that the
            network states, or else a square, since inputs are square.

        Examples
        --------
        >>> LayerPooling("avg", Places(prefix_tokens=1)).grid((197, 768))
        (14, 14)
        >>> LayerPooling("avg", Places(channels_last=True)).grid((7, 7, 768))
        (7, 7)
        """
        form = self.form
        if len(shape) == 3:
            return shape[:2] if form.channels_last else shape[1:]
        if len(shape) != 2 or not form.in_reading_order:  # A vector stands for no place.
            return None
        n = shape[0] - form.prefix_tokens
        if n <= 1:  # The class token of PiT.
            return None
        if form.token_grid is not None and math.prod(form.token_grid) == n:
            return form.token_grid
        side = math.isqrt(n)
        return (side, side) if side * side == n else None

    def places(self, output: Tensor) -> Tensor:
        """Return the output of the layer on the grid of its positions.

        With the pooling "avg", the mean over rows and columns is the feature vector.

        Parameters
        ----------
        output : Tensor
            Output of the layer for a batch, with a known ``grid``.

        Returns
        -------
        Tensor of float32, shape (batch, features, rows, columns)

        Raises
        ------
        ValueError
            If the grid is not known.
        """
        grid = self.grid(tuple(output.shape[1:]))
        if grid is None:
            raise ValueError(f"no grid is known for the shape {tuple(output.shape)}")
        return self._positions(output).unflatten(2, grid)
