"""The region of a volume that a sample names: a point, and perhaps the edge of a cube."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple, get_args

from bottleneck.errors import DataError
from bottleneck.text.short_repr import shorten

__all__ = ["SPACES", "Space", "VolumeRegion", "check_volume_region"]

Space = Literal["lps", "ras", "voxel"]
SPACES: tuple[Space, ...] = get_args(Space)
# Millimetres or voxels. No scanner is this large.
_MOST = 1e6


class VolumeRegion(NamedTuple):
    """A point in a volume, and the edge of the cube around it.

    Attributes
    ----------
    x, y, z : float
        The centre of the region.
    space : {"lps", "ras", "voxel"}
        The coordinates: millimetres towards the patient's left, posterior and superior (DICOM,
        ITK); towards right, anterior and superior (NIfTI); or indices of voxels that begin with 0,
        in the order of the file's own axes.
    size_mm : float or None
        Edge of the cube in millimetres; None for the size that the preprocessing states.

    Examples
    --------
    >>> VolumeRegion(-100.5, 67.2, -231.8, "lps", size_mm=50).space
    'lps'
    """

    x: float
    y: float
    z: float
    space: Space
    size_mm: float | None = None


def check_volume_region(region: Any, sample: object) -> VolumeRegion:
    """Return a region of finite numbers.

    Parameters
    ----------
    region : VolumeRegion or sequence
        The fields of a region.
    sample : object
        Id of the sample, for the message.

    Raises
    ------
    DataError
        If a coordinate is not finite, the space is unknown, or the size is not positive.
    """
    where = f"of the sample {shorten(sample)}"
    try:
        given = VolumeRegion(*region)
        x, y, z = numbers = float(given.x), float(given.y), float(given.z)
        space, size = given.space, given.size_mm
        edge = None if size is None else float(size)
    except (TypeError, ValueError):
        raise DataError(
            f"the region {shorten(region)} {where} is not a region of a volume: expected x, y, z, "
            f"a space ({', '.join(SPACES)}) and perhaps a size in mm"
        ) from None
    if space not in SPACES:
        raise DataError(
            f"the space {shorten(space)} {where} is unknown; known: {', '.join(SPACES)}"
        )
    if not all(math.isfinite(value) and abs(value) < _MOST for value in numbers):
        raise DataError(
            f"the point ({x}, {y}, {z}) {where} has a coordinate that is not a number of usual size"
        )
    if edge is not None and not 0 < edge < _MOST:
        raise DataError(f"the size of {size} mm {where} must be above 0")
    return VolumeRegion(x, y, z, space, edge)
