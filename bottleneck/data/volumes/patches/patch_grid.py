"""The grid of a patch: which positions of a volume a network is shown."""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.volumes.geometry import VolumeGeometry
from bottleneck.data.volumes.patches.grid_sampling import GridAxis, Indices, VoxelBlock
from bottleneck.data.volumes.volume import Volume
from bottleneck.data.volumes.volume_preprocessing import VolumePreprocessing
from bottleneck.data.volumes.volume_region import VolumeRegion
from bottleneck.errors import DecodeError, UsageError

__all__ = ["Axes", "AxisOrder", "find_nearest", "lay_grid"]

Axes: TypeAlias = tuple[GridAxis, GridAxis, GridAxis]

_OPPOSITE = {"L": "R", "P": "A", "S": "I", "R": "L", "A": "P", "I": "S"}
# A step this close to one voxel is one voxel: over 96 voxels it adds up to a hundredth of one.
_SAME_STEP = 1e-4
# Centres halfway between two voxels are common, and formats round their headers differently.
_TIE = 1e-3


@dataclasses.dataclass(frozen=True)
class AxisOrder:
    """The order and the direction of the axes of a patch among those of the file.

    Attributes
    ----------
    geometry : VolumeGeometry
        Geometry of the volume.
    axes : tuple of int
        For each axis of the patch, the axis of the file.
    reversed : tuple of bool
        For each axis of the patch, whether its index falls where that of the file grows.
    """

    geometry: VolumeGeometry
    axes: tuple[int, int, int]
    reversed: tuple[bool, bool, bool]

    @classmethod
    def between(cls, geometry: VolumeGeometry, own: str, wanted: str) -> AxisOrder:
        """Return the order of the axes of a file, which point to ``own``, in that of ``wanted``."""
        a, b, c = (
            next(n for n, to in enumerate(own) if to in (letter, _OPPOSITE[letter]))
            for letter in wanted
        )
        back = (own[a] != wanted[0], own[b] != wanted[1], own[c] != wanted[2])
        return cls(geometry, (a, b, c), back)

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of voxels along the axes of the patch."""
        return tuple(self.geometry.shape[axis] for axis in self.axes)

    @property
    def spacing(self) -> tuple[float, ...]:
        """Distance between voxels along the axes of the patch, in mm."""
        return tuple(self.geometry.spacing[axis] for axis in self.axes)

    def turn(self, point: NDArray[np.float64]) -> tuple[float, ...]:
        """Return a position along the axes of the patch for one along those of the file."""
        return tuple(
            self.geometry.shape[axis] - 1 - float(point[axis]) if back else float(point[axis])
            for axis, back in zip(self.axes, self.reversed, strict=True)
        )

    def find_box(self, grid: Axes) -> tuple[float, ...]:
        """Return the least and the largest LPS coordinates (mm) of a grid: x, y, z, x, y, z.

        Half a step around the outermost positions belongs to it.
        """
        corners = np.empty((8, 3))
        ends = ((g.start - g.step / 2, g.start + (g.n - 0.5) * g.step) for g in grid)
        for row, corner in enumerate(itertools.product(*ends)):
            for place, axis in enumerate(self.axes):
                at = corner[place]
                back = self.reversed[place]
                corners[row, axis] = self.geometry.shape[axis] - 1 - at if back else at
        world = self.geometry.to_lps(corners)
        return (*world.min(axis=0).tolist(), *world.max(axis=0).tolist())

    def read(self, volume: Volume, indices: tuple[Indices, ...]) -> VoxelBlock:
        """Read the voxels at some indices, in rising order, along the axes of the patch.

        Raises
        ------
        DecodeError
            If a voxel is not finite.
        """
        wanted = [np.empty(0, np.intp)] * 3
        for axis, back, at in zip(self.axes, self.reversed, indices, strict=True):
            wanted[axis] = (self.geometry.shape[axis] - 1 - at)[::-1] if back else at
        values = volume.read_at(wanted).transpose(self.axes)
        step = tuple(slice(None, None, -1 if back else None) for back in self.reversed)
        return VoxelBlock(np.ascontiguousarray(values[step]), indices)


def lay_grid(
    geometry: VolumeGeometry, region: VolumeRegion | None, preprocessing: VolumePreprocessing
) -> tuple[AxisOrder, Axes]:
    """Return the axes of a patch, and its positions along them.

    An axis whose voxels keep their distance is not interpolated: the voxel nearest to the centre
    has the index ``size // 2``.

    Parameters
    ----------
    geometry : VolumeGeometry
        Geometry of the volume.
    region : VolumeRegion or None
        None is the whole volume.
    preprocessing : VolumePreprocessing
        Decides the grid.

    Raises
    ------
    DecodeError
        If the centre lies outside the volume, or the size of the region is not one of a volume.
    UsageError
        If "truncated" placement is to resample.
    """
    truncated = preprocessing.placement == "truncated"
    if truncated and (region is None or region.size_mm is not None):
        raise UsageError(
            "the placement 'truncated' takes whole voxels around a point: the samples need x, y "
            "and z, and no size in mm; or use the placement 'centred'"
        )
    own = "LPS" if truncated else geometry.orientation
    order = AxisOrder.between(geometry, own, preprocessing.orientation)
    centre = _truncate(geometry, region) if truncated else geometry.centre_of(region)
    if not all(-0.5 <= c <= n - 0.5 for c, n in zip(centre, geometry.shape, strict=True)):
        raise DecodeError(
            "the centre of the region lies outside the volume"
            + (" if the directions of its axes are ignored" if truncated else "")
        )
    steps = _steps(order, region, preprocessing)
    a, b, c = (
        _lay_axis(length, centre, step, size, size // 2 + truncated)
        for length, centre, step, size in zip(
            order.shape, order.turn(centre), steps, preprocessing.size, strict=True
        )
    )
    if any(axis.inside.start == axis.inside.stop for axis in (a, b, c)):
        raise DecodeError("the voxels of the patch are farther apart than the volume is large")
    return order, (a, b, c)


def find_nearest(position: float, length: int) -> int:
    """Return the voxel nearest to a position on an axis; halfway between two, the second."""
    return min(max(math.floor(position + 0.5 + _TIE), 0), length - 1)


def _lay_axis(length: int, centre: float, step: float, size: int, middle: int) -> GridAxis:
    if abs(step - 1) < _SAME_STEP:
        nearest = find_nearest(centre, length)
        return GridAxis(length, float(nearest - middle), 1.0, size, float(nearest), is_whole=True)
    return GridAxis(length, centre - (size - 1) / 2 * step, step, size, centre)


def _steps(
    order: AxisOrder, region: VolumeRegion | None, preprocessing: VolumePreprocessing
) -> list[float]:
    """Return the distance between positions along each axis, in voxels of the volume."""
    size, spacing, shape = preprocessing.size, order.spacing, order.shape
    if region is None:
        return [n / m for n, m in zip(shape, size, strict=True)]
    edge = region.size_mm
    if edge is not None:
        largest = max(n * mm for n, mm in zip(shape, spacing, strict=True))
        if not min(spacing) <= edge <= 10 * largest:
            raise DecodeError(
                f"the size of the region, {edge:g} mm, must be between a voxel ({min(spacing):g} "
                f"mm) and ten times the volume ({largest:g} mm)"
            )
        return [edge / m / mm for m, mm in zip(size, spacing, strict=True)]
    if preprocessing.spacing is None:
        return [1.0] * 3
    return [wanted / mm for wanted, mm in zip(preprocessing.spacing, spacing, strict=True)]


def _truncate(geometry: VolumeGeometry, region: VolumeRegion | None) -> NDArray[np.float64]:
    """Return the index of a point along the axes of the file, as if they were L, P and S."""
    point = np.array(region[:3] if region else (0, 0, 0), np.float64)
    if region is not None and region.space != "voxel":
        if region.space == "ras":
            point *= (-1, -1, 1)
        point = (point - geometry.affine[:3, 3]) / geometry.spacing
    return np.trunc(point)
