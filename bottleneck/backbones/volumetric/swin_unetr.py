"""The encoder of Swin UNETR: a Swin transformer of three dimensions.

Tang et al. 2022, Self-supervised pre-training of Swin transformers for 3D medical image analysis;
Hatamizadeh et al. 2022, Swin UNETR. Tensors have the names of MONAI's ``SwinTransformer``.
"""

from __future__ import annotations

import itertools
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["MERGINGS", "Merging", "SwinUnetrEncoder"]

Merging = Literal["before-1.5", "since-1.5"]
_Sizes = tuple[int, int, int]

_WINDOW = 7
_SHIFT = 3
_DEPTH = 2
_WIDTH = 48
_HEADS = (3, 6, 12, 24)
# Published weights were trained with this finite number, not with −∞.
_MASKED = -100.0

# The eight voxels that become one, as offsets along the three axes. MONAI before version 1.5 took
# two of them twice and two never, and published weights were trained in this form.
_COMMON = ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1))
MERGINGS: dict[Merging, tuple[_Sizes, ...]] = {
    "before-1.5": (*_COMMON, (1, 0, 1), (0, 1, 0), (0, 0, 1), (1, 1, 1)),
    "since-1.5": (*_COMMON, (1, 1, 0), (1, 0, 1), (0, 1, 1), (1, 1, 1)),
}


class SwinUnetrEncoder(nn.Module):
    """The Swin transformer of Swin UNETR with 48 channels, without the decoder.

    Parameters
    ----------
    n_channels : int
        Channels of the input.
    merging : {"before-1.5", "since-1.5"}
        The patch merging of MONAI before version 1.5, with which the published weights were
        trained, or the one since.

    Attributes
    ----------
    stages : nn.ModuleList
        "stages.0" to "stages.4" give the five maps that MONAI's decoder takes: channels by places,
        normalised over the channels, at 1/2 to 1/32 of the input.

    Examples
    --------
    >>> network = SwinUnetrEncoder().eval()
    >>> with torch.inference_mode():
    ...     network(torch.zeros(1, 1, 32, 32, 32)).shape
    torch.Size([1, 768, 1, 1, 1])
    """

    def __init__(self, n_channels: int = 1, merging: Merging = "before-1.5") -> None:
        super().__init__()
        self.patch_embed = _PatchEmbedding(n_channels)
        stages = [_Stage(_WIDTH * 2**i, heads, merging) for i, heads in enumerate(_HEADS)]
        # MONAI keeps each stage in a list of one.
        self.layers1, self.layers2, self.layers3, self.layers4 = (
            nn.ModuleList([stage]) for stage in stages
        )
        self.stages = nn.ModuleList(_NormalisedMap() for _ in range(len(_HEADS) + 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the last map, normalised over its channels.

        Parameters
        ----------
        x : Tensor of float32, shape (batch, n_channels, x, y, z)
            Volumes of any size; weights were trained with 96 or 128 voxels along each axis.

        Returns
        -------
        Tensor, shape (batch, 768, x / 32, y / 32, z / 32)
            Sizes are rounded up.
        """
        x = self.patch_embed(x)
        last = self.stages[0](x)
        layers = (self.layers1[0], self.layers2[0], self.layers3[0], self.layers4[0])
        for layer, stage in zip(layers, self.stages[1:], strict=True):
            x = layer(x)
            last = stage(x)
        return last


class _PatchEmbedding(nn.Module):
    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.proj = nn.Conv3d(n_channels, _WIDTH, kernel_size=2, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        sides = [side % 2 for side in x.shape[2:]]
        return self.proj(functional.pad(x, (0, sides[2], 0, sides[1], 0, sides[0])))


class _NormalisedMap(nn.Module):
    """A map normalised over its channels, without weights."""

    def forward(self, x: Tensor) -> Tensor:
        normalised = functional.layer_norm(x.movedim(1, -1), (x.shape[1],))
        return normalised.movedim(-1, 1)


class _Stage(nn.Module):
    """Two blocks, the second with shifted windows, and a merging of patches."""

    def __init__(self, width: int, n_heads: int, merging: Merging) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            _Block(width, n_heads, shift=_SHIFT * (i % 2)) for i in range(_DEPTH)
        )
        self.downsample = _PatchMerging(width, merging)

    def forward(self, x: Tensor) -> Tensor:
        x = x.movedim(1, -1)
        for block in self.blocks:
            x = block(x)
        return self.downsample(x).movedim(-1, 1)


class _PatchMerging(nn.Module):
    has_channels_last = True

    def __init__(self, width: int, merging: Merging) -> None:
        super().__init__()
        self.reduction = nn.Linear(8 * width, 2 * width, bias=False)
        self.norm = nn.LayerNorm(8 * width)
        self.offsets = MERGINGS[merging]

    def forward(self, x: Tensor) -> Tensor:
        sides = [side % 2 for side in x.shape[1:4]]
        x = functional.pad(x, (0, 0, 0, sides[2], 0, sides[1], 0, sides[0]))
        voxels = [x[:, i::2, j::2, k::2] for i, j, k in self.offsets]
        return self.reduction(self.norm(torch.cat(voxels, -1)))


class _Block(nn.Module):
    has_channels_last = True

    def __init__(self, width: int, n_heads: int, shift: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = _WindowAttention(width, n_heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = _Mlp(width)
        self.shift = shift

    def forward(self, x: Tensor) -> Tensor:
        x = x + self._attend(self.norm1(x))
        return x + self.mlp(self.norm2(x))

    def _attend(self, x: Tensor) -> Tensor:
        depth, height, width = x.shape[1:4]
        sizes = (depth, height, width)
        window = tuple(min(_WINDOW, size) for size in sizes)
        # A window that covers an axis is not shifted along it.
        shift = tuple(self.shift if size > _WINDOW else 0 for size in sizes)
        lacking = [-size % side for size, side in zip(sizes, window, strict=True)]
        x = functional.pad(x, (0, 0, 0, lacking[2], 0, lacking[1], 0, lacking[0]))
        if any(shift):
            x = torch.roll(x, [-step for step in shift], (1, 2, 3))
        grid = tuple(size // side for size, side in zip(x.shape[1:4], window, strict=True))
        windows = x.unflatten(3, (grid[2], window[2])).unflatten(2, (grid[1], window[1]))
        windows = windows.unflatten(1, (grid[0], window[0])).permute(0, 1, 3, 5, 2, 4, 6, 7)
        attended = self.attn(windows.flatten(4, 6), window, shift)
        x = attended.unflatten(4, window).permute(0, 1, 4, 2, 5, 3, 6, 7)
        x = x.flatten(5, 6).flatten(3, 4).flatten(1, 2)
        if any(shift):
            x = torch.roll(x, shift, (1, 2, 3))
        return x[:, :depth, :height, :width]


class _WindowAttention(nn.Module):
    """Attention among the voxels of each window, with a bias for their relative position."""

    relative_position_index: Tensor

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.relative_position_bias_table = nn.Parameter(
            torch.empty((2 * _WINDOW - 1) ** 3, n_heads)
        )
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)
        self.register_buffer("relative_position_index", _relative_positions(), persistent=False)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, windows: Tensor, window: _Sizes, shift: _Sizes) -> Tensor:
        """Return the attended voxels, of the shape of the input.

        Parameters
        ----------
        windows : Tensor, shape (batch, windows along x, y and z, voxels of a window, channels)
            The voxels.
        window, shift : tuple of int
            Sides of a window, and how far the windows are shifted.
        """
        n = windows.shape[4]
        # For smaller windows, too, published weights take the first rows of the whole table.
        index = self.relative_position_index[:n, :n]
        bias = self.relative_position_bias_table[index].permute(2, 0, 1)
        qkv = self.qkv(windows).unflatten(-1, (3, self.n_heads, -1))
        attended = torch.empty_like(qkv[..., 0, :, :])
        # Only the last windows along an axis hold voxels that the shift took from the other side.
        # All windows between them share one bias, so that it is never repeated in memory.
        for sides in itertools.product(*([False, True] if step else [False] for step in shift)):
            these = (slice(None), *map(_windows_of, sides, shift))
            group = qkv[these]
            q, k, v = group.flatten(0, 3).permute(2, 0, 3, 1, 4)
            mask = bias
            if any(sides):
                mask = bias + _separation(window, shift, sides, bias.device)
            out = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask[None].to(q.dtype))
            attended[these] = out.transpose(1, 2).unflatten(0, group.shape[:4])
        return self.proj(attended.flatten(-2))


def _windows_of(is_last: bool, step: int) -> slice:
    if not step:
        return slice(None)
    return slice(-1, None) if is_last else slice(None, -1)


def _separation(
    window: _Sizes, shift: _Sizes, sides: tuple[bool, ...], device: torch.device
) -> Tensor:
    """Return what is added to the scores of voxels that the shift brought together."""
    regions = torch.zeros(1, dtype=torch.long, device=device)
    for side, step, is_last in zip(window, shift, sides, strict=True):
        moved = torch.arange(side, device=device) >= side - step if is_last else None
        along = torch.zeros(side, dtype=torch.long, device=device) if moved is None else moved
        regions = (2 * regions[:, None] + along).flatten()
    apart = regions[:, None] != regions[None]
    return _MASKED * apart


def _relative_positions() -> Tensor:
    """Return the row of the bias table for each two voxels of a whole window."""
    places = torch.cartesian_prod(*(torch.arange(_WINDOW),) * 3)
    steps = (places[:, None] - places[None] + _WINDOW - 1).unbind(-1)
    span = 2 * _WINDOW - 1
    return (steps[0] * span + steps[1]) * span + steps[2]


class _Mlp(nn.Module):
    has_channels_last = True

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(width, 4 * width)
        self.linear2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear2(functional.gelu(self.linear1(x)))
