"""Resize and centre crop of a preprocessing, as a torch module."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.export.classifier.resampling import (
    antialiased,
    interpolated,
    nearest,
    pillow_unit,
    rounded,
    torchvision_unit,
    whole,
)

__all__ = ["PixelFrame"]

_ROWS, _COLUMNS = 2, 3


class PixelFrame(nn.Module):
    """The resize and the centre crop of a preprocessing, with the same pixels bit by bit.

    The height and width of the images may change from call to call; that of the result does not.

    Parameters
    ----------
    preprocessing : Preprocessing
        The preprocessing. Steps before the resize are no part of the module.

    Examples
    --------
    >>> unit = (0.5, 0.5, 0.5)
    >>> frame = PixelFrame(Preprocessing(256, 224, "bilinear", mean=unit, std=unit))
    >>> frame(torch.zeros(2, 480, 640, 3, dtype=torch.uint8)).shape
    torch.Size([2, 3, 224, 224])
    """

    steps: Tensor

    def __init__(self, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.side, self.crop = preprocessing.resize, preprocessing.crop
        self.squash, self.channels = preprocessing.squash, preprocessing.channels
        self.resizer, self.interpolation = preprocessing.resizer, preprocessing.interpolation
        steps = torch.arange(self.crop, dtype=torch.float64)
        self.register_buffer("steps", steps, persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the input of the network before its normalisation.

        Parameters
        ----------
        pixels : Tensor of uint8, shape (n, height, width, 3)
            RGB.

        Returns
        -------
        Tensor of float32, shape (n, n_channels, crop, crop)
            From 0 to 255, in the order of the channels of the preprocessing; whole numbers, except
            with the resizer "opencv".
        """
        levels = self._levels(pixels)
        height, width = pixels.shape[1:3]
        levels = self._resized(levels, _COLUMNS, width, height)
        return self._resized(levels, _ROWS, height, width).float()

    def _levels(self, pixels: Tensor) -> Tensor:
        levels = pixels.permute(0, 3, 1, 2)
        if self.channels == "BGR":
            levels = levels.flip(1)
        levels = levels.double()
        if self.channels != "L":
            return levels
        # Pillow's grey, in units of 2**-16: ITU-R 601-2.
        red, green, blue = levels[:, :1], levels[:, 1:2], levels[:, 2:]
        grey = red * 19595.0 + green * 38470.0 + blue * 7471.0
        return torch.floor((grey + 32768.0) / 65536.0)

    def _resized(self, levels: Tensor, axis: int, n: int, n_other: int) -> Tensor:
        """Return images of which one axis is resized and cropped.

        Parameters
        ----------
        levels : Tensor of float64, shape (n_images, n_channels, rows, columns)
            The images.
        axis : int
            The axis.
        n, n_other : int
            Size of the images before any resize, along this axis and along the other one.
        """
        pixels = _count(n, levels)
        length = self._length(pixels[-1] + 1.0, _count(n_other, levels)[-1] + 1.0)
        # torch rounds halves to even, as Python does.
        places = self.steps + torch.round((length - self.crop) / 2.0)
        if self.resizer == "opencv":
            return interpolated(levels, places, pixels, length, axis)
        if self.interpolation == "nearest":
            every = _count(self._whole_length(n, n_other), levels)
            return levels.index_select(axis, nearest(every, pixels, length)[places.long()])
        if self.resizer == "pillow":
            shares, unit = (
                antialiased(places, pixels, length, self.interpolation),
                pillow_unit(length),
            )
        else:  # The unit depends on all pixels of the resized line.
            every = _count(self._whole_length(n, n_other), levels)
            line = antialiased(every, pixels, length, self.interpolation)
            shares, unit = line[places.long()], torchvision_unit(line)
        matrix = whole(shares, unit)
        # Sums of whole numbers below 2**53 are exact in float64, in any order.
        return rounded(levels @ matrix.T if axis == _COLUMNS else matrix @ levels, unit)

    def _length(self, n: Tensor, n_other: Tensor) -> Tensor:
        """Return the length of a resized line, in the arithmetic of ``Preprocessing``."""
        side = torch.full_like(n, float(self.side))
        if self.squash:
            return side
        return torch.floor(side * n / torch.minimum(n, n_other))

    def _whole_length(self, n: int, n_other: int) -> int | torch.SymInt:
        """Return the length of a resized line, as the size of a tensor."""
        return self.side if self.squash else self.side * n // torch.sym_min(n, n_other)


def _count(n: int | torch.SymInt, like: Tensor) -> Tensor:
    """Return 0, 1, …, n - 1."""
    return torch.arange(n, dtype=like.dtype, device=like.device)
