"""The scanned sector of an ultrasound image, within the frame that the scanner draws around it.

A frame holds names, settings, rulers, a colour bar and a logo on one dark level. In an image that
shows the frame, a part of the border has that level; a cropped image has tissue there.
"""

from __future__ import annotations

import base64
import functools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from bottleneck.data.images.decode import decode
from bottleneck.errors import DecodeError, UsageError
from bottleneck.files.small_files import read_small

__all__ = ["encode_mask", "find_sector", "read_mask"]

Mask = NDArray[np.bool_]

# Longest side in pixels of the reduced image in which the sector is searched for.
_SIDE = 256
# A frame's level is at most this, and this share of the border is within a few levels of it.
_DARKEST, _BORDER, _SPREAD = 64, 0.2, 4
# Pixels of the reduced image; strokes, rulers and colour bars are narrower.
_MEDIAN, _OPENING = 9, 7
# Share of the largest bright region from which on another one belongs to the sector: a second
# image, or tissue under a shadow.
_REGION = 0.1
# Shares of the image.
_LEAST, _WHOLE = 0.2, 0.98
# In bytes; a mask is stored with every recipe that uses it.
_LONGEST = 30_000
_URI = "data:application/octet-stream;base64,"


def find_sector(image: Image.Image) -> tuple[Mask | None, str]:
    """Return the scanned sector of an image.

    1. The frame's level is the one that most pixels of the image's border have. Without a dark
       level that a fifth of the border has, there is no frame.
    2. The image is reduced to at most 256 pixels a side. Pixels that differ from the frame's level
       by more than 4 after a 9 × 9 median filter and a 7 × 7 opening form regions.
    3. The sector is the convex hull of the regions with at least a tenth of the largest one's
       area, and all that lies below it, down to its lowest row, since shadows reach to the bottom.

    Parameters
    ----------
    image : PIL.Image.Image
        Mode RGB.

    Returns
    -------
    sector : ndarray of bool, shape (height, width), or None
        True in the sector; None where the whole image should be kept: without a frame, or if the
        sector would be less than 20 % or more than 98 % of the image.
    reason : str
        Why there is none; "" for a sector.
    """
    from scipy import ndimage

    grey = np.asarray(image).max(-1)
    border = np.concatenate([grey[0], grey[-1], grey[1:-1, 0], grey[1:-1, -1]])
    counts = np.bincount(border, minlength=256)
    near = np.convolve(counts, np.ones(2 * _SPREAD + 1, int), "same")
    level = int(near.argmax())
    if level > _DARKEST or near[level] < _BORDER * len(border):
        return None, "no frame was detected around the scanned sector"
    factor = -(-max(grey.shape) // _SIDE)
    reduced = np.asarray(Image.fromarray(grey).reduce(factor)).astype(np.int16)
    apart = ndimage.median_filter(np.abs(reduced - level), _MEDIAN, mode="nearest") > _SPREAD
    opened = ndimage.binary_opening(
        np.pad(apart, _OPENING, mode="edge"), np.ones((_OPENING, _OPENING))
    )[_OPENING:-_OPENING, _OPENING:-_OPENING]
    regions, number = ndimage.label(opened, np.ones((3, 3)))
    if number == 0:
        return None, "nothing was detected within the frame"
    areas = np.bincount(regions.ravel())
    areas[0] = 0
    sector = _completed((areas >= _REGION * areas.max())[regions], factor, image.size)
    share = sector.mean()
    if share > _WHOLE:
        return None, "no frame was detected around the scanned sector"
    if share < _LEAST:
        return None, f"the detected sector is less than {_LEAST:.0%} of it"
    return sector, ""


def _completed(regions: Mask, factor: int, size: tuple[int, int]) -> Mask:
    """Return the convex hull of regions of a reduced image, and what lies below it."""
    from scipy.spatial import ConvexHull

    rows = np.flatnonzero(regions.any(1))
    left = regions.argmax(1)[rows]
    right = regions.shape[1] - regions[:, ::-1].argmax(1)[rows]
    # The corners of the outermost pixels of each row.
    ends = [(left, rows), (right, rows), (left, rows + 1), (right, rows + 1)]
    corners = factor * np.concatenate([np.stack(end, axis=1) for end in ends])
    drawn = Image.new("1", size)
    outline = [tuple(map(float, corner)) for corner in corners[ConvexHull(corners).vertices]]
    ImageDraw.Draw(drawn).polygon(outline, fill=1, outline=1)
    hull = np.maximum.accumulate(np.asarray(drawn), axis=0)
    hull[factor * (rows[-1] + 1) :] = False
    return hull


def encode_mask(path: str | Path) -> str:
    """Return the mask in a file as text, which needs the file no more.

    Parameters
    ----------
    path : str or Path
        An image of two colours, in a lossless format and with at most 30,000 bytes. Pixels that
        are not black are kept.

    Returns
    -------
    str
        A data URI with the bytes of the file, for ``read_mask``.

    Raises
    ------
    UsageError
        If there is no such image, or it is not a mask, or it keeps nothing.
    """
    try:
        data = read_small(Path(path), "sector mask", limit=_LONGEST)
    except UsageError as error:
        raise UsageError(
            f"the sector must be auto, or the path of a mask image (a black-and-white PNG): {error}"
        ) from None
    if data.startswith(b"\xff\xd8"):
        raise UsageError(
            f"the sector mask {path} is a JPEG, which changes black pixels: save it as a PNG"
        )
    text = _URI + base64.b64encode(data).decode()
    try:
        read_mask(text)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    return text


@functools.lru_cache(maxsize=8)
def read_mask(text: str) -> Mask:
    """Return the mask that ``encode_mask`` wrote as text.

    Returns
    -------
    ndarray of bool, shape (height, width)
        True in the sector; read-only.

    Raises
    ------
    UsageError
        If it is not the text of a mask.
    """
    try:
        image = decode(base64.b64decode(text.removeprefix(_URI), validate=True))
    except (DecodeError, ValueError) as error:
        reason = error if isinstance(error, DecodeError) else "the text of a mask is damaged"
        raise UsageError(f"the sector mask cannot be used: {reason}") from None
    colours = image.getcolors(2)
    if colours is None:
        raise UsageError(
            "the sector mask has more than two colours, so it is not a mask: draw the sector in "
            "white on black, without smooth edges"
        )
    mask = np.asarray(image).max(-1) > 0
    if len(colours) < 2 or mask.all():
        kept = "all" if mask.any() else "nothing"
        raise UsageError(f"the sector mask would keep {kept}: draw the sector in white on black")
    mask.flags.writeable = False
    return mask
