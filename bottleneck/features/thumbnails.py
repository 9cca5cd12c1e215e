"""Thumbnails as Pillow makes them, by products of matrices: on a device, or a fast processor."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from bottleneck.data.decode import THUMBNAIL_SIDE, shrink_grey

__all__ = ["shrink", "shrink_fast"]

# Pillow's coefficients are whole numbers, this many to one.
_ONE = 2**22
# What a size needs takes as long to make as some twenty of its thumbnails save.
_OFTEN = 20
# In pixels. Of larger pictures the products need too much memory.
_LARGEST = 2**24


def shrink(grey: Tensor) -> Tensor:
    """Shrink grey pictures to thumbnails: Pillow's Lanczos resize, where they are.

    In whole numbers, and so with the same values everywhere. Pillow goes across first; versions
    from 13 on go down first in pictures of more than about twice their width, or less in small
    ones, which moves values by a few levels.

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


def shrink_fast(grey: Image.Image) -> NDArray[np.uint8]:
    """Shrink a grey picture to the thumbnail of ``shrink_grey``, in a quarter of its time.

    Where the processor has instructions for products of bytes, of a size that came often enough.
    Pillow does it elsewhere, and for sizes of which it makes anything else.

    Parameters
    ----------
    grey : PIL.Image.Image
        Mode L.

    Returns
    -------
    ndarray of uint8, shape (32, 32)
    """
    size = _size(grey.size)
    size.seen += 1
    if size.seen <= _OFTEN or not size.is_exact:
        return shrink_grey(grey)
    return size.shrink(np.asarray(grey))


class _Size:
    """Products of bytes that shrink pictures of one size."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.seen = 0
        self._size = size

    @functools.cached_property
    def _weights(self) -> list[tuple[Tensor, Tensor]]:
        return [_digits(_lanczos(length)) for length in self._size]

    @functools.cached_property
    def is_exact(self) -> bool:
        """Whether black and white noise becomes what Pillow makes of it."""
        width, height = self._size
        if not _multiplies_bytes() or width * height > _LARGEST:
            return False
        noise = np.random.default_rng(0).integers(0, 2, (height, width), np.uint8) * 255
        return np.array_equal(self.shrink(noise), shrink_grey(Image.fromarray(noise)))

    def shrink(self, grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Shrink across first, and then down."""
        across, down = self._weights
        rows = _product(torch.from_numpy((grey ^ 128).view(np.int8)), *across)
        columns = (rows - 128).to(torch.int8).T.contiguous()
        return _product(columns, *down).T.to(torch.uint8).numpy()


_size = functools.lru_cache(128)(_Size)


def _multiplies_bytes() -> bool:
    # Older versions of torch do not say.
    known: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(known.get("avx512_vnni") or known.get("avx_vnni"))


def _digits(weights: NDArray[np.float64]) -> tuple[Tensor, Tensor]:
    """Return whole numbers as three digits to the base of 256, from -128 on, side by side.

    And 128 times their sum: of grey values less 128 a product is so much too small.
    """
    rest, digits = weights.astype(np.int64), []
    for _ in range(3):
        digits.append((rest + 128) % 256 - 128)
        rest = (rest - digits[-1]) // 256
    packed = np.concatenate(digits, axis=1).astype(np.int8)
    return torch.from_numpy(packed), torch.from_numpy(128 * weights.sum(0).astype(np.int64))


def _product(values: Tensor, digits: Tensor, missing: Tensor) -> Tensor:
    low, middle, high = torch._int_mm(values, digits).long().chunk(3, dim=1)
    exact = low + 256 * middle + 65536 * high + missing
    return ((exact + _ONE // 2) // _ONE).clamp_(0, 255)


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
