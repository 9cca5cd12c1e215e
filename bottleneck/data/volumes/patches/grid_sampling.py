"""Positions of a patch along the axes of a volume, and interpolation between its voxels."""

from __future__ import annotations

import dataclasses
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["GridAxis", "Indices", "VoxelBlock"]

Indices: TypeAlias = NDArray[np.intp]

# In voxels. Formats round their headers differently: a position this close to a voxel's centre
# needs the voxels on both of its sides, so that every format needs, and hashes, the same ones.
_ROUNDING = 0.0137


@dataclasses.dataclass(frozen=True)
class GridAxis:
    """Equally spaced positions along one axis of a volume.

    Attributes
    ----------
    length : int
        Voxels of the volume along the axis. Voxel i extends from i − 0.5 to i + 0.5.
    start, step : float
        First position and distance between positions, in voxels.
    n : int
        Number of positions.
    centre : float
        Position of the centre of the region.
    is_whole : bool
        Whether all of them are whole voxels, so that nothing is interpolated.
    """

    length: int
    start: float
    step: float
    n: int
    centre: float
    is_whole: bool = False

    @cached_property
    def positions(self) -> NDArray[np.float64]:
        """All positions, in voxels."""
        return self.start + np.arange(self.n, dtype=np.float64) * self.step

    @cached_property
    def inside(self) -> slice:
        """The positions within the volume; the others are filled."""
        at = self.positions
        first, last = np.searchsorted(at, (-0.5, self.length - 0.5))
        return slice(int(first), int(last))

    @cached_property
    def needed(self) -> Indices:
        """The voxels, in rising order, that the positions and the centre are interpolated from."""
        at = self.positions[self.inside]
        centre = min(max(self.centre, 0), self.length - 1)
        if self.is_whole:
            return np.union1d(at, centre).astype(np.intp)
        at = np.append(at, centre)
        low = np.floor(at - _ROUNDING).astype(np.intp)
        voxels = np.concatenate([low, low + 1, np.ceil(at + _ROUNDING).astype(np.intp)])
        return np.unique(voxels.clip(0, self.length - 1))

    def at_centre(self) -> GridAxis:
        """Return the axis of a plane through the centre."""
        return dataclasses.replace(self, start=self.centre, step=1.0, n=1)

    def every(self, step: int) -> GridAxis:
        """Return every ``step``-th position, as far from the first one as from the last one."""
        n = -(-self.n // step)
        first = (self.n - 1 - (n - 1) * step) // 2
        return dataclasses.replace(
            self, start=self.start + first * self.step, step=self.step * step, n=n
        )


@dataclasses.dataclass(frozen=True, eq=False)
class VoxelBlock:
    """The voxels of a volume at some indices of each axis.

    Attributes
    ----------
    values : ndarray of float32, shape (a, b, c)
        The voxels.
    indices : tuple of three ndarray of int
        Their indices in the volume along each axis, in rising order.
    """

    values: NDArray[np.float32]
    indices: tuple[Indices, ...]

    def sample(
        self,
        axes: tuple[GridAxis, ...],
        fill: float,
        interpolation: Literal["linear", "nearest"] = "linear",
    ) -> NDArray[np.float32]:
        """Return values on a grid.

        Parameters
        ----------
        axes : tuple of three GridAxis
            The grid; the block has all voxels that it needs.
        fill : float
            Value outside the volume. The half voxel around the outermost centres is inside, with
            their values, as in ITK.
        interpolation : {"linear", "nearest"}
            How values between voxels are computed, one axis after the other.

        Returns
        -------
        ndarray of float32, shape (axes[0].n, axes[1].n, axes[2].n)
        """
        values = self.values
        # The axis that leaves fewest values comes first.
        for axis in sorted(range(3), key=lambda axis: axes[axis].n / len(self.indices[axis])):
            grid = axes[axis]
            at = grid.positions[grid.inside].clip(0, grid.length - 1)
            values = _along(values, axis, at, self.indices[axis], interpolation)
        shape = tuple(grid.n for grid in axes)
        if values.shape == shape:
            return values
        out = np.full(shape, fill, np.float32)
        out[tuple(grid.inside for grid in axes)] = values
        return out


def _along(
    values: NDArray[np.float32],
    axis: int,
    at: NDArray[np.float64],
    indices: Indices,
    interpolation: str,
) -> NDArray[np.float32]:
    """Return values at positions along one axis, whose voxels have the given indices."""
    low = np.floor(at + 0.5 if interpolation == "nearest" else at).astype(np.intp)
    weight = (at - low).astype(np.float32)
    before = _take(values, axis, np.searchsorted(indices, low))
    if interpolation == "nearest" or not weight.any():
        return before
    after = _take(values, axis, np.searchsorted(indices, np.minimum(low + 1, indices[-1])))
    # In place: the arrays are the largest that there are.
    out = after - before
    out *= weight.reshape([-1 if a == axis else 1 for a in range(3)])
    out += before
    return out


def _take(values: NDArray[np.float32], axis: int, places: Indices) -> NDArray[np.float32]:
    """Return values at places along one axis; without a copy where they are neighbours."""
    n = len(places)
    if n and places[-1] - places[0] == n - 1 and (np.diff(places) == 1).all():
        box = slice(int(places[0]), int(places[-1]) + 1)
        return values[tuple(box if a == axis else slice(None) for a in range(3))]
    return np.take(values, places, axis)
