"""The arithmetic of resizes, on tensors that are computed from the size of an image."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

__all__ = [
    "antialiased",
    "interpolated",
    "nearest",
    "pillow_unit",
    "rounded",
    "torchvision_unit",
    "whole",
]

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


def nearest(every: Tensor, pixels: Tensor, length: Tensor) -> Tensor:
    """Return the pixel that Pillow's resize "nearest" takes for each pixel of a resized line.

    Parameters
    ----------
    every : Tensor of float64, shape (length,)
        0, 1, 2, …: the pixels of the whole resized line.
    pixels, length
        As for ``antialiased``.

    Returns
    -------
    Tensor of int64, shape (length,)

    Notes
    -----
    ``ImagingScaleAffine`` in Pillow's ``Geometry.c``, which adds up steps.
    """
    step = (pixels[-1] + 1.0) / length
    steps = torch.where(every == 0.0, step * 0.5, step)
    return steps.cumsum(0).long()


def interpolated(
    levels: Tensor, places: Tensor, pixels: Tensor, length: Tensor, axis: int
) -> Tensor:
    """Return images of which one axis is resized as OpenCV's ``INTER_LINEAR`` does.

    Parameters
    ----------
    levels : Tensor of float64
        The images.
    places, pixels, length
        As for ``antialiased``.
    axis : int
        The axis.
    """
    position = (places + 0.5) * ((pixels[-1] + 1.0) / length) - 0.5
    first = torch.floor(position)
    share = (position - first).view([-1 if one == axis else 1 for one in range(levels.ndim)])
    before = levels.index_select(axis, torch.minimum(first.clamp(min=0.0), pixels[-1]).long())
    after = levels.index_select(axis, torch.minimum(first + 1.0, pixels[-1]).long())
    return before * (1.0 - share) + after * share


def antialiased(places: Tensor, pixels: Tensor, length: Tensor, interpolation: str) -> Tensor:
    """Return the shares with which an antialiased resize weights the pixels of a line.

    Parameters
    ----------
    places : Tensor of float64, shape (n_places,)
        The wanted pixels of the resized line.
    pixels : Tensor of float64, shape (n_pixels,)
        0, 1, 2, …: the pixels of the line.
    length : Tensor of float64, shape ()
        Number of pixels of the whole resized line.
    interpolation : {"bilinear", "bicubic", "lanczos"}
        The filter.

    Returns
    -------
    Tensor of float64, shape (n_places, n_pixels)
        The sum of each row is 1.

    Notes
    -----
    ``precompute_coeffs`` in Pillow's ``Resample.c``; torchvision follows it.
    """
    weight, support = _FILTERS[interpolation]
    scale = (pixels[-1] + 1.0) / length
    stretch = scale.clamp(min=1.0)
    centre = ((places + 0.5) * scale).unsqueeze(1)
    first = torch.floor(centre - support * stretch + 0.5)
    end = torch.floor(centre + support * stretch + 0.5)
    is_within = (pixels >= first) & (pixels < end)
    # In this order of operations, as each of them rounds.
    weights = weight((pixels - centre + 0.5) * (1.0 / stretch))
    weights = torch.where(is_within, weights, 0.0)
    # A sum in the order of the pixels, as both libraries add.
    return weights / weights.cumsum(1)[:, -1:]


def pillow_unit(like: Tensor) -> Tensor:
    """Return the number of units that Pillow's coefficients have in 1, of shape ()."""
    return torch.full_like(like, _PILLOW_UNIT)


def torchvision_unit(shares: Tensor) -> Tensor:
    """Return the number of units that torchvision's coefficients of 16 bits have in 1.

    Parameters
    ----------
    shares : Tensor of float64, shape (n_places, n_pixels)
        Those of a whole line.

    Returns
    -------
    Tensor of float64, shape ()
        The largest power of two with which the coefficients have 16 bits.

    Notes
    -----
    ``compute_index_ranges_int16_weights`` in torch's ``UpSampleKernel.cpp``.
    """
    units = 2.0 ** torch.arange(_MOST_BITS + 1, dtype=shares.dtype, device=shares.device)
    fits = torch.floor(shares.max() * units + 0.5) < _END
    return torch.where(fits, units, 1.0).max()


def whole(shares: Tensor, unit: Tensor) -> Tensor:
    """Return shares as whole numbers of units, rounded away from zero at halves."""
    return torch.sign(shares) * torch.floor(shares.abs() * unit + 0.5)


def rounded(sums: Tensor, unit: Tensor) -> Tensor:
    """Return weighted sums in units as both libraries round them to 0, 1, …, 255."""
    return torch.floor((sums + unit / 2.0) / unit).clamp(0.0, 255.0)
