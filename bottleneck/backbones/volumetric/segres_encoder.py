"""The encoder of CT-FM: a residual network of three dimensions.

Pai et al. 2025, Vision foundation models for computed tomography. Tensors have the names of MONAI's
``SegResEncoder``, which the publisher uses. The architecture is that of Myronenko 2018, 3D MRI
brain tumor segmentation using autoencoder regularization.
"""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["SegResEncoder"]

_WIDTH = 32
_DEPTHS = (1, 2, 2, 4, 4)


class SegResEncoder(nn.Module):
    """A residual network of five levels, without a decoder.

    "layers.0.blocks" to "layers.4.blocks" give the map of each level, at 1/1 to 1/16 of the input.

    Examples
    --------
    >>> import torch
    >>> network = SegResEncoder().eval()
    >>> with torch.inference_mode():
    ...     network(torch.zeros(1, 1, 16, 16, 16)).shape
    torch.Size([1, 512, 1, 1, 1])
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv_init = _convolution(1, _WIDTH)
        last = len(_DEPTHS) - 1
        self.layers = nn.ModuleList(
            _Level(_WIDTH * 2**i, depth, is_last=i == last) for i, depth in enumerate(_DEPTHS)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the last map.

        Parameters
        ----------
        x : Tensor of float32, shape (batch, 1, z, y, x)
            Volumes of any size.

        Returns
        -------
        Tensor, shape (batch, 512, z / 16, y / 16, x / 16)
            Sizes are rounded up.
        """
        x = self.conv_init(x)
        for level in self.layers:
            x = level(x)
        return x


class _Level(nn.Module):
    """Residual blocks, and a convolution that halves the resolution after all but the last."""

    def __init__(self, width: int, depth: int, *, is_last: bool) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(_Block(width) for _ in range(depth)))
        self.downsample = nn.Identity() if is_last else _convolution(width, 2 * width, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.downsample(self.blocks(x))


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.BatchNorm3d(width), nn.BatchNorm3d(width)
        self.act1, self.act2 = nn.ReLU(), nn.ReLU()
        self.conv1, self.conv2 = _convolution(width, width), _convolution(width, width)

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv1(self.act1(self.norm1(x)))
        return x + self.conv2(self.act2(self.norm2(out)))


def _convolution(n_inputs: int, n_outputs: int, stride: int = 1) -> nn.Conv3d:
    return nn.Conv3d(n_inputs, n_outputs, 3, stride=stride, padding=1, bias=False)
