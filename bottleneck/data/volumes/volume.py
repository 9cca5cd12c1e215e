"""An open volume: its geometry, and its voxels, of which only a box is read."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.volumes.geometry import VolumeGeometry
from bottleneck.errors import DecodeError

__all__ = ["Volume", "VolumeSource"]


@dataclasses.dataclass(frozen=True, eq=False)
class Volume:
    """An open volume of scalar voxels.

    Attributes
    ----------
    geometry : VolumeGeometry
        Shape, spacing and place in the patient.
    stored : ndarray of shape ``geometry.shape``
        The values as the file has them, indexed along its axes: an array in memory, or a memory
        map, of which only the pages of a box are read.
    slope, intercept : float
        The value of a voxel is slope · stored + intercept, in HU for CT.
    format : str
        Name of the format, such as "NIfTI".
    notes : tuple of str
        Notes for the user; without names and numbers of the file, so that equal ones are counted.
    """

    geometry: VolumeGeometry
    stored: NDArray[Any]
    slope: float = 1.0
    intercept: float = 0.0
    format: str = ""
    notes: tuple[str, ...] = ()

    def read(self, start: Sequence[int], stop: Sequence[int]) -> NDArray[np.float32]:
        """Return the values of a box of voxels.

        Parameters
        ----------
        start, stop : sequence of three int
            First voxel, and the one after the last, along each axis; within the volume.

        Returns
        -------
        ndarray of float32, shape (stop − start)

        Raises
        ------
        DecodeError
            If a value is not finite.
        """
        box = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
        # In float64, as other readers do: a slope such as 0.1 is not exact in float32.
        values = self.stored[box].astype(np.float64) * self.slope + self.intercept
        if not np.isfinite(values).all():
            raise DecodeError("voxels of the region hold NaN or infinity")
        return values.astype(np.float32)


@runtime_checkable
class VolumeSource(Protocol):
    """The images of a data set that are volumes."""

    def open_volume(self, source: str) -> Volume:
        """Return the open volume of a source; raise OSError or DataError if it cannot be read."""
        ...

    def stamp(self, source: str) -> tuple[int, int] | None:
        """Return size and modification time of its files, which reveal a change; or None."""
        ...

    def read(self, source: str) -> bytes:
        """Raise DataError: a volume is no encoded image."""
        ...
