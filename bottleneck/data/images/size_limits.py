"""Limits on the size of images, and strips in which large images are processed."""

from __future__ import annotations

from collections.abc import Iterator

from bottleneck.data.samples.sample_table import Box
from bottleneck.errors import DecodeError

__all__ = ["refuse_size", "strips"]

_MAX_PIXELS = 89_000_000
# Pixels × scans of a JPEG. A progressive JPEG of the largest size has about ten scans.
_MAX_WORK = 2_000_000_000
# Images are converted in strips, so that a large image is in memory at most twice.
_STRIP_PIXELS = 4_000_000


def refuse_size(width: int, height: int, scans: int = 1) -> None:
    """Raise an error if the size in an image's header makes it a decompression bomb.

    Parameters
    ----------
    width, height : int
        Size in pixels.
    scans : int
        Number of scans of a JPEG: how often the decoder passes over all pixels.

    Raises
    ------
    DecodeError
        If there are more than 89 million pixels, or more than 2 × 10⁹ pixels × scans.
    """
    if width * height > _MAX_PIXELS:
        raise DecodeError(f"{width}×{height} pixels: the limit is {_MAX_PIXELS // 10**6} million")
    if width * height * scans > _MAX_WORK:
        raise DecodeError(f"{scans} scans of {width}×{height} pixels: no image needs so many")


def strips(width: int, height: int) -> Iterator[Box]:
    """Yield boxes (left, top, right, bottom) of strips that cover an image from top to bottom."""
    rows = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, rows):
        yield 0, top, width, min(top + rows, height)
