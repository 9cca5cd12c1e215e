"""Resize and centre crop of a preprocessing, as a torch module."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.export.classifier.resampling import (
    Line,
    pillow_unit,
    rounded,
    torchvision_unit,
    whole,
)

__all__ = ["PixelFrame"]

_ROWS, _COLUMNS = 2, 3
# Pixels of a resized line that are computed with one matrix.
_BLOCK = 32


class PixelFrame(nn.Module):
    """The resize and the centre crop of a preprocessing, with the same pixels bit by bit.

    The height and width of the images may change from call to call; that of the result does not.

    Parameters
    ----------
    preprocessing : Preprocessing
        The preprocessing. Steps before the resize are not part of the module.

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
        self.n_blocks = -(-self.crop // _BLOCK)
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
        if self.channels != "L":
            return levels
        levels = levels.double()
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
        longer = self.side * n // torch.sym_min(n, n_other)
        line = Line(n, self.side if self.squash else longer, self.steps)
        # torch rounds halves to even, as Python does.
        places = self.steps + torch.round((line.count(line.length)[-1] + 1.0 - self.crop) / 2.0)
        if self.resizer == "opencv":
            before, after, share = line.interpolated(places)
            share = share.view([-1 if one == axis else 1 for one in range(levels.ndim)])
            before, after = levels.index_select(axis, before), levels.index_select(axis, after)
            return before * (1.0 - share) + after * share
        if self.interpolation == "nearest":
            return levels.index_select(axis, line.nearest()[places.long()])
        return self._antialiased(levels, axis, line, places)

    def _antialiased(self, levels: Tensor, axis: int, line: Line, places: Tensor) -> Tensor:
        """Return images of which one axis is resized with an antialiased filter."""
        if self.resizer == "pillow":
            unit = pillow_unit(places[0])
        else:
            unit = torchvision_unit(line, self.interpolation)
        # The places of a block take few of the pixels, and so a matrix is small.
        last = line.count(line.length)[-1]
        blocks = torch.minimum(places[0] + line.count(self.n_blocks * _BLOCK), last)
        blocks = blocks.view(self.n_blocks, _BLOCK)
        size = line.n_pixels(_BLOCK, self.interpolation)
        starts = line.first_pixels(blocks[:, 0], self.interpolation)
        offsets = line.count(size)
        starts = torch.minimum(starts.clamp(min=0.0), line.count(line.n)[-1] - offsets[-1])
        pixels = starts.unsqueeze(1) + offsets
        shares = line.antialiased(blocks, pixels.unsqueeze(1), self.interpolation)
        matrices = whole(shares, unit)
        taken = levels.index_select(axis, pixels.long().flatten())
        taken = taken.unflatten(axis, (self.n_blocks, size))
        # Sums of whole numbers below 2**53 are exact in float64, in any order.
        if axis == _ROWS:
            sums = (matrices @ _in_float64(taken)).flatten(_ROWS, _ROWS + 1)[:, :, : self.crop]
        else:
            sums = _in_float64(taken.movedim(3, 2)) @ matrices.transpose(1, 2)
            sums = sums.movedim(2, 3).flatten(3)[..., : self.crop]
        return rounded(sums, unit)


def _in_float64(levels: Tensor) -> Tensor:
    # As late as possible: bytes are moved in an eighth of the time.
    return levels.to(torch.float64, memory_format=torch.contiguous_format)
