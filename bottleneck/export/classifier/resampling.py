"""The arithmetic of resizes, on tensors that are computed from the size of an image."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["Line", "pillow_unit", "rounded", "torchvision_unit", "whole"]

#: Pillow's coefficients of 8-bit images are whole numbers, in units of 1 / 2**22.
_PILLOW_UNIT = 2.0**22
# torchvision's have 16 bits with their sign, and at most 22 of them after the point.
_MOST_BITS, _END = 22, 2.0**15


def _bilinear(x: Tensor) -> Tensor:
    return (1.0 - x.abs()).clamp(min=0.0)


def _bicubic(x: Tensor) -> Tensor:
    # Keys 1981, IEEE Transactions on Acoustics, Speech, and Signal Processing 29:1153, a = -0.5.
    a, x = -0.5, x.abs()
    near = ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    far = (((x - 5.0) * x + 8.0) * x - 4.0) * a
    return torch.where(x < 1.0, near, torch.where(x < 2.0, far, 0.0))


def _lanczos(x: Tensor) -> Tensor:
    return torch.where((x >= -3.0) & (x < 3.0), _sinc(x) * _sinc(x / 3.0), 0.0)


def _sinc(x: Tensor) -> Tensor:
    # As a tensor: numbers of Python become float32 in ONNX.
    angle = x * torch.tensor(math.pi, dtype=x.dtype, device=x.device)
    is_zero = x == 0.0
    # The quotient of 0 and 0 would be NaN.
    return torch.where(is_zero, 1.0, torch.sin(angle) / torch.where(is_zero, 1.0, angle))


# By name: the filter, and the distance at which it ends, in pixels.
_FILTERS: dict[str, tuple[Callable[[Tensor], Tensor], float]] = {
    "bilinear": (_bilinear, 1.0),
    "bicubic": (_bicubic, 2.0),
    "lanczos": (_lanczos, 3.0),
}


@dataclasses.dataclass(frozen=True, eq=False)
class Line:
    """A row or a column of pixels that a resize makes another number of pixels of.

    Attributes
    ----------
    n, length : int
        Number of pixels before and after.
    like : Tensor of float64
        Any tensor, for the type and the device.
    """

    n: int | torch.SymInt
    length: int | torch.SymInt
    like: Tensor

    @property
    def scale(self) -> Tensor:
        """Number of pixels before the resize for one after it, of shape ()."""
        return (self.count(self.n)[-1] + 1.0) / (self.count(self.length)[-1] + 1.0)

    def count(self, n: int | torch.SymInt) -> Tensor:
        """Return 0, 1, …, n - 1."""
        return torch.arange(n, dtype=self.like.dtype, device=self.like.device)

    def limited(self, pixels: Tensor) -> Tensor:
        """Return places of which those beyond the line before the resize are its ends."""
        return torch.minimum(pixels.clamp(min=0.0), self.count(self.n)[-1])

    def nearest(self) -> Tensor:
        """Return the pixel that Pillow's resize "nearest" takes, of int64, shape (length,).

        Notes
        -----
        ``ImagingScaleAffine`` in Pillow's ``Geometry.c``, which adds up steps.
        """
        every, scale = self.count(self.length), self.scale
        return torch.where(every == 0.0, scale * 0.5, scale).cumsum(0).long()

    def interpolated(self, places: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return two neighbouring pixels and the share of the second, as OpenCV's ``INTER_LINEAR``.

        Parameters
        ----------
        places : Tensor of float64, shape (n_places,)
            The wanted pixels of the resized line.

        Returns
        -------
        before, after : Tensor of int64, shape (n_places,)
        share : Tensor of float64, shape (n_places,)
        """
        position = (places + 0.5) * self.scale - 0.5
        first = torch.floor(position)
        return self.limited(first).long(), self.limited(first + 1.0).long(), position - first

    def first_pixels(self, places: Tensor, interpolation: str) -> Tensor:
        """Return the first pixel that an antialiased resize weights, or less than 0."""
        return self._limits(places, interpolation)[0]

    def n_pixels(self, n_places: int, interpolation: str) -> int | torch.SymInt:
        """Return how many pixels neighbouring places of the resized line take at most."""
        support = int(_FILTERS[interpolation][1])
        per_place = self.n // self.length + 1
        wanted = n_places * self.n // self.length + 2 * support * per_place + 3
        return torch.sym_min(self.n, wanted)

    def antialiased(self, places: Tensor, pixels: Tensor, interpolation: str) -> Tensor:
        """Return the shares with which an antialiased resize weights pixels.

        Parameters
        ----------
        places : Tensor of float64, shape (..., n_places)
            The wanted pixels of the resized line.
        pixels : Tensor of float64, shape (..., n_places or 1, n_pixels)
            Pixels of the line, in order: all that one of these places takes, and perhaps others.
        interpolation : {"bilinear", "bicubic", "lanczos"}
            The filter.

        Returns
        -------
        Tensor of float64, shape (..., n_places, n_pixels)
            The sum over the pixels is 1.

        Notes
        -----
        ``precompute_coeffs`` in Pillow's ``Resample.c``; torchvision follows it.
        """
        scale = self.scale
        centre = ((places + 0.5) * scale).unsqueeze(-1)
        first, end = (one.unsqueeze(-1) for one in self._limits(places, interpolation))
        # In this order of operations, as each of them rounds.
        weights = _FILTERS[interpolation][0]((pixels - centre + 0.5) * (1.0 / scale.clamp(min=1.0)))
        is_within = (pixels >= first) & (pixels < end) & (pixels <= self.count(self.n)[-1])
        weights = torch.where(is_within, weights, 0.0)
        # A sum in the order of the pixels, as both libraries add.
        return weights / weights.cumsum(-1)[..., -1:]

    def _limits(self, places: Tensor, interpolation: str) -> tuple[Tensor, Tensor]:
        centre = (places + 0.5) * self.scale
        reach = _FILTERS[interpolation][1] * self.scale.clamp(min=1.0)
        return torch.floor(centre - reach + 0.5), torch.floor(centre + reach + 0.5)


def pillow_unit(like: Tensor) -> Tensor:
    """Return the number of units that Pillow's coefficients have in 1, of shape ()."""
    return torch.full_like(like, _PILLOW_UNIT)


def torchvision_unit(line: Line, interpolation: str) -> Tensor:
    """Return the number of units that torchvision's coefficients of 16 bits have in 1.

    Parameters
    ----------
    line : Line
        The line, on all pixels of which the unit depends.
    interpolation : {"bilinear", "bicubic"}
        The filter.

    Returns
    -------
    Tensor of float64, shape ()
        The largest power of two with which the coefficients have 16 bits.

    Notes
    -----
    ``compute_index_ranges_int16_weights`` in torch's ``UpSampleKernel.cpp``.
    """
    every = line.count(line.length)
    first = line.first_pixels(every, interpolation).clamp(min=0.0)
    pixels = first.unsqueeze(1) + line.count(line.n_pixels(1, interpolation))
    shares = line.antialiased(every, pixels, interpolation)
    units = 2.0 ** line.count(_MOST_BITS + 1)
    fits = torch.floor(shares.max() * units + 0.5) < _END
    return torch.where(fits, units, 1.0).max()


def whole(shares: Tensor, unit: Tensor) -> Tensor:
    """Return shares as whole numbers of units, rounded away from zero at halves."""
    return torch.sign(shares) * torch.floor(shares.abs() * unit + 0.5)


def rounded(sums: Tensor, unit: Tensor) -> Tensor:
    """Return weighted sums in units as both libraries round them to 0, 1, …, 255."""
    return torch.floor((sums + unit / 2.0) / unit).clamp(0.0, 255.0)
