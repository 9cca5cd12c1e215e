"""Resize and centre crop of a preprocessing, as a torch module."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.errors import UsageError
from bottleneck.export.classifier.resampling import (
    FILTERS,
    antialiased,
    pillow_unit,
    rounded,
    torchvision_unit,
    whole,
)

__all__ = ["PixelFrame"]


class PixelFrame(nn.Module):
    """The resize and the centre crop of a preprocessing, with the same pixels bit by bit.

    The height and width of the images may change from call to call; that of the result does not.

    Parameters
    ----------
    preprocessing : Preprocessing
        The preprocessing, without steps before the resize.

    Raises
    ------
    UsageError
        If its resize is not known here.

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
        self.resizer = preprocessing.resizer
        if self.resizer == "opencv" or preprocessing.interpolation not in FILTERS:
            raise UsageError(
                f"the resize '{preprocessing.interpolation}' of {preprocessing.resizer} is not "
                "known as a torch module"
            )
        self.side, self.crop = preprocessing.resize, preprocessing.crop
        self.squash, self.channels = preprocessing.squash, preprocessing.channels
        self.interpolation = preprocessing.interpolation
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
            Whole numbers from 0 to 255, in the order of the channels of the preprocessing.
        """
        levels = self._levels(pixels)
        n_rows, n_columns = pixels.shape[1:3]
        # Sums of whole numbers below 2**53 are exact in float64, in any order.
        across, unit = self._coefficients(n_columns, n_rows, levels)
        levels = rounded(levels @ across.T, unit)
        down, unit = self._coefficients(n_rows, n_columns, levels)
        return rounded(down @ levels, unit).float()

    def _coefficients(self, n: int, n_other: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return the coefficients of the lines of one axis, and their unit.

        Parameters
        ----------
        n, n_other : int
            Number of pixels along this axis and along the other one.
        like : Tensor
            For the type and the device.
        """
        pixels, others = _count(n, like), _count(n_other, like)
        length = self._length(pixels[-1] + 1.0, others[-1] + 1.0)
        # torch rounds halves to even, as Python does.
        places = self.steps + torch.round((length - self.crop) / 2.0)
        if self.resizer == "pillow":
            shares, unit = (
                antialiased(places, pixels, length, self.interpolation),
                pillow_unit(length),
            )
        else:  # The unit depends on all pixels of the resized line.
            every = _count(
                self.side if self.squash else self.side * n // torch.sym_min(n, n_other), like
            )
            whole_line = antialiased(every, pixels, length, self.interpolation)
            shares, unit = whole_line[places.long()], torchvision_unit(whole_line)
        return whole(shares, unit), unit

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

    def _length(self, n: Tensor, n_other: Tensor) -> Tensor:
        """Return the length of a resized line."""
        side = torch.full_like(n, float(self.side))
        if self.squash:
            return side
        return torch.floor(side * n / torch.minimum(n, n_other))


def _count(n: int | torch.SymInt, like: Tensor) -> Tensor:
    """Return 0, 1, …, n - 1."""
    return torch.arange(n, dtype=like.dtype, device=like.device)
