"""Where the output of a layer has its channels, and which of its values stand for places."""

from __future__ import annotations

import dataclasses
import math
from typing import Self

from torch import Tensor, nn

from bottleneck.errors import UsageError

__all__ = ["Places"]

# Class tokens that a network may have without stating it: VOLO and CoaT have one, PiT up to two.
_UNSTATED = (1, 2)
# With fewer patches than this, no token is taken for a class token that is not stated.
_FEWEST = 4


@dataclasses.dataclass(frozen=True)
class Places:
    """The form of the output of a layer.

    Attributes
    ----------
    channels_last : bool
        Whether the channels of feature maps come last, as in Swin.
    prefix_tokens : int
        Number of leading tokens that are not places of the image (class token, registers).
    token_grid : tuple of two int, or None
        Rows and columns of the patches that tokens stand for, if the network states them.
    in_reading_order : bool
        Whether tokens are known to be in reading order.
    """

    channels_last: bool = False
    prefix_tokens: int = 0
    token_grid: tuple[int, int] | None = None
    in_reading_order: bool = True

    @classmethod
    def of(
        cls, network: nn.Module, layer: str, output: Tensor, size: tuple[int, ...], name: str
    ) -> Self:
        """Return the form of the output of a layer.

        What a network of timm states holds for its last map, and often not for inner layers. The
        shape decides: maps of square images are square, and the number of tokens is that of the
        patches, alone or after class tokens. Of networks that are not of timm, nothing is refused:
        two dimensions are tokens and channels.

        Parameters
        ----------
        network : nn.Module
            The network.
        layer : str
            Name of the layer, "" for the last feature map.
        output : Tensor
            What the layer gives for a batch of square images, or of volumes.
        size : tuple of int
            Lengths of the axes of these images or volumes.
        name : str
            Name of the network, for the message.

        Raises
        ------
        UsageError
            If the places are not known.
        """
        of_timm = hasattr(network, "pretrained_cfg")
        shape = tuple(output.shape[1:])
        if len(size) == 3:
            return cls(_is_channels_last(network, layer, shape, size), _cube_prefix(network, shape))
        if len(shape) == 3:
            first, second, third = shape
            if first == second == third:
                return cls(_states_channels_last(network, layer))
            if not (first == second or second == third) and of_timm:
                raise _unknown(layer, name, shape)
            return cls(channels_last=first == second)
        if len(shape) != 2:
            return cls()
        grid = getattr(getattr(network, "patch_embed", None), "grid_size", None)
        stated = isinstance(grid, tuple) and len(grid) == 2 and all(type(n) is int for n in grid)
        prefix = _prefix_tokens(network, shape, size[0], of_timm=of_timm)
        if prefix is None:
            raise _unknown(layer, name, shape)
        # Inner layers of Hiera have their tokens in the order of its mask units.
        is_ordered = not (layer and hasattr(network, "reroll"))
        return cls(False, prefix, grid if stated else None, is_ordered)


def _states_channels_last(network: nn.Module, layer: str) -> bool:
    module = network.get_submodule(layer)
    if isinstance(module, nn.Linear):
        return True
    # Of networks like Swin, only convolutions have their channels first.
    stated = getattr(network, "output_fmt", "NCHW") == "NHWC"
    return stated and not (layer and isinstance(module, nn.Conv2d))


def _is_channels_last(
    network: nn.Module, layer: str, shape: tuple[int, ...], size: tuple[int, ...]
) -> bool:
    """Return whether the channels of a map of volumes come last.

    They do where only the other axes are those of the input, divided by one number. Without
    padding, axes of several lengths shrink by several numbers, and then channels come first.
    """
    if len(shape) != 4:
        return False
    module = network.get_submodule(layer)
    if isinstance(module, nn.Linear | nn.LayerNorm) or getattr(module, "has_channels_last", False):
        return True
    return _is_divided(shape[:-1], size) and not _is_divided(shape[1:], size)


def _is_divided(axes: tuple[int, ...], size: tuple[int, ...]) -> bool:
    if len(set(size)) == 1:
        return len(set(axes)) == 1
    divided = (
        made
        for k in range(1, min(size) + 1)
        for made in (tuple(s // k for s in size), tuple(-(-s // k) for s in size))
    )
    return axes in divided


def _cube_prefix(network: nn.Module, shape: tuple[int, ...]) -> int:
    """Return how many of the tokens of a volume are not places: the others fill a cube."""
    stated = getattr(network, "num_prefix_tokens", 0)
    stated = stated if isinstance(stated, int) else 0
    if len(shape) != 2:
        return 0
    possible = (k for k in (0, stated, *_UNSTATED) if shape[0] - k >= _FEWEST)
    return next((k for k in possible if round((shape[0] - k) ** (1 / 3)) ** 3 == shape[0] - k), 0)


def _prefix_tokens(
    network: nn.Module, shape: tuple[int, ...], side: int, *, of_timm: bool
) -> int | None:
    """Return how many of the tokens are not places; None if tokens and channels are not told."""
    n, width = shape
    stated = getattr(network, "num_prefix_tokens", 0)
    stated = stated if isinstance(stated, int) else 0
    unstated = tuple(k for k in _UNSTATED if of_timm and n - k >= _FEWEST)
    possible = tuple(k for k in (0, stated, *unstated) if n - k > 0)
    patches = _patch_counts(network, side)
    for k in possible:
        if n - k in patches:
            return k
    if n <= max(stated, *_UNSTATED):  # Class tokens alone.
        return 0
    if width in patches and of_timm:  # Mixers mix tokens where they come last.
        return None
    for k in possible:
        if math.isqrt(n - k) ** 2 == n - k:
            return k
    return None if of_timm else stated


def _patch_counts(network: nn.Module, side: int) -> set[int]:
    """Return the numbers of patches at the scales that a network states."""
    counts = set()
    info = getattr(network, "feature_info", None)
    for one in info if isinstance(info, list) else ():
        if isinstance(one, dict) and isinstance(one.get("reduction"), int):
            counts.add(math.ceil(side / one["reduction"]) ** 2)
    grid = getattr(getattr(network, "patch_embed", None), "grid_size", None)
    if isinstance(grid, tuple) and all(type(n) is int for n in grid):
        counts.add(math.prod(grid))
    return counts


def _unknown(layer: str, name: str, shape: tuple[int, ...]) -> UsageError:
    what = f"layer '{layer}'" if layer else "the last layer"
    return UsageError(
        f"{what} of {name} gives {'×'.join(map(str, shape))} for one image, in which places and "
        "channels cannot be distinguished; choose another layer"
    )
