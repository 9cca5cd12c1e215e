"""An open volume: its geometry, and its voxels, of which only a box is read."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.volumes.geometry import VolumeGeometry
from bottleneck.errors import DecodeError

__all__ = ["StoredVoxels", "Volume", "VolumeSource"]

# An intercept below this one, added to 16 bits, is a number of float32.
_MOST_WHOLE = 1 << 23
# Voxels that are read at once; 16 MiB.
_CHUNK = 1 << 22


class StoredVoxels(Protocol):
    """The stored values of a volume: an array, or an object that reads the box it is asked for.

    If it keeps in memory what it has read, it has an attribute ``keeps_voxels``, which is true.
    """

    def __getitem__(self, box: tuple[slice, slice, slice], /) -> NDArray[Any]:
        """Return a box, indexed along the axes of the file."""
        ...


@dataclasses.dataclass(frozen=True, eq=False)
class Volume:
    """An open volume of scalar voxels.

    Attributes
    ----------
    geometry : VolumeGeometry
        Shape, spacing and place in the patient.
    stored : ndarray of shape ``geometry.shape``, or StoredVoxels
        The values as the file has them, indexed along its axes: an array, or an object that reads
        the box it is asked for.
    slope, intercept : float
        The value of a voxel is slope · stored + intercept, in HU for CT.
    format : str
        Name of the format, such as "NIfTI".
    notes : tuple of str
        Notes for the user; without names and numbers of the file, so that equal ones are counted.
    modality : str
        As DICOM names it, such as "CT"; "" where the format does not state it.
    """

    geometry: VolumeGeometry
    stored: NDArray[Any] | StoredVoxels
    slope: float = 1.0
    intercept: float = 0.0
    format: str = ""
    notes: tuple[str, ...] = ()
    modality: str = ""

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
        x, y, z = (slice(a, b) for a, b in zip(start, stop, strict=True))
        stored = np.asarray(self.stored[x, y, z])
        small = stored.dtype.kind in "iu" and stored.dtype.itemsize <= 2
        whole = self.intercept.is_integer() and abs(self.intercept) < _MOST_WHOLE
        if small and self.slope == 1 and whole:
            # Exact, and finite: whole numbers up to 2**24 are numbers of float32.
            values = stored.astype(np.float32)
            values += np.float32(self.intercept)
            return values
        # In float64, as other readers do: a slope such as 0.1 is not exact in float32.
        exact = stored.astype(np.float64)
        exact *= self.slope
        exact += self.intercept
        with np.errstate(over="ignore"):
            values = exact.astype(np.float32)
        if not np.isfinite(values).all():
            raise DecodeError("voxels of the region, or near its centre, hold NaN or infinity")
        return values

    def read_at(self, indices: Sequence[NDArray[np.intp]]) -> NDArray[np.float32]:
        """Return the values at some indices of each axis.

        Parameters
        ----------
        indices : sequence of three ndarray of int
            Indices along each axis of the file, at least one, in rising order.

        Returns
        -------
        ndarray of float32, shape (len(indices[0]), len(indices[1]), len(indices[2]))

        Raises
        ------
        DecodeError
            If a value in the box around them is not finite.
        """
        first = [int(at[0]) for at in indices]
        last = [int(at[-1]) + 1 for at in indices]
        plane = (last[0] - first[0]) * (last[1] - first[1])
        is_box = plane == len(indices[0]) * len(indices[1])
        pick = np.ix_(indices[0] - first[0], indices[1] - first[1])
        # Runs of neighbours along the last axis, whose planes most formats store one by one.
        most = max(1, _CHUNK // plane)
        runs = [
            run[start : start + most]
            for run in np.split(indices[2], np.flatnonzero(np.diff(indices[2]) > 1) + 1)
            for start in range(0, len(run), most)
        ]
        boxes = (
            self.read((*first[:2], int(run[0])), (*last[:2], int(run[-1]) + 1)) for run in runs
        )
        if len(runs) == 1:
            values = next(boxes)
            return values if is_box else values[pick]
        out = np.empty([len(at) for at in indices], np.float32, order="F")
        done = 0
        for run, values in zip(runs, boxes, strict=True):
            out[:, :, done : done + len(run)] = values if is_box else values[pick]
            done += len(run)
        return out


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
        """Raise DataError: a volume is not an encoded image."""
        ...
