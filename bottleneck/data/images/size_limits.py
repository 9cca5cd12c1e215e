"""What a picture may take at most, and how a large one is worked on in parts."""

from __future__ import annotations

from collections.abc import Iterator

from bottleneck.data.samples import Box
from bottleneck.errors import DecodeError

__all__ = ["refuse_size", "strips"]

_MAX_PIXELS = 89_000_000
# Pixels times scans of a JPEG; a progressive one of the largest size has ten scans or so.
_MAX_WORK = 2_000_000_000
# Rows are converted some at a time, so that a large image is in memory twice at most.
_STRIP_PIXELS = 4_000_000


def refuse_size(width: int, height: int, scans: int = 1) -> None:
    """Refuse a decompression bomb by what its header says.

    Parameters
    ----------
    width, height : int
        In pixels.
    scans : int
        How often a JPEG makes the decoder pass over its pixels.

    Raises
    ------
    DecodeError
        If there are more than 89 million pixels, or too many scans for their number.
    """
    if width * height > _MAX_PIXELS:
        raise DecodeError(f"{width}×{height} pixels: more than {_MAX_PIXELS // 10**6} million")
    if width * height * scans > _MAX_WORK:
        raise DecodeError(f"{scans} scans of {width}×{height} pixels: no picture needs as many")


def strips(width: int, height: int) -> Iterator[Box]:
    """Yield left, top, right and bottom of parts that cover an image, from above."""
    rows = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, rows):
        yield 0, top, width, min(top + rows, height)
