"""Thumbnails of pictures that are on a device, as Pillow makes them on the processor."""

from __future__ import annotations

import functools

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bottleneck.data.images.decode import THUMBNAIL_SIDE

__all__ = ["shrink"]

# Pillow's coefficients are whole numbers, this many to one.
_ONE = 2**22


def shrink(grey: Tensor) -> Tensor:
    """Shrink grey pictures to thumbnails: Pillow's Lanczos resize, where they are.

    In whole numbers, and so with the same values everywhere. Pillow goes across first; versions
    from 13 on go down first in pictures of more than about twice their width, which moves values
    by a few levels.

    Parameters
    ----------
    grey : Tensor of whole numbers, shape (n, height, width)
        0 to 255.

    Returns
    -------
    Tensor of uint8, shape (n, 32, 32)
    """
    height, width = grey.shape[-2:]
    across, down = (torch.from_numpy(_lanczos(n)).to(grey.device) for n in (width, height))
    rows = _round(grey.double() @ across)
    return _round(down.T @ rows).to(torch.uint8)


def _round(values: Tensor) -> Tensor:
    # Sums of whole numbers below 2**53, which are exact in any order.
    return ((values + _ONE / 2) / _ONE).floor().clamp(0, 255)


@functools.lru_cache(32)
def _lanczos(length: int) -> NDArray[np.float64]:
    """Return the weights of ``length`` pixels in each of 32, as Pillow rounds them."""
    scale = length / THUMBNAIL_SIDE
    stretch = max(scale, 1.0)
    weights = np.zeros((length, THUMBNAIL_SIDE))
    for place in range(THUMBNAIL_SIDE):
        centre = (place + 0.5) * scale
        first = max(int(centre - 3 * stretch + 0.5), 0)
        last = min(int(centre + 3 * stretch + 0.5), length)
        x = (np.arange(first, last) - centre + 0.5) / stretch
        kernel = np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0.0)
        kernel *= _ONE / kernel.sum()
        weights[first:last, place] = np.trunc(kernel + np.copysign(0.5, kernel))
    return weights
