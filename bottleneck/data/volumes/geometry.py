"""Where the voxels of a volume lie in the patient: shape, spacing, direction and origin."""

from __future__ import annotations

import dataclasses
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bottleneck.data.volumes.volume_region import VolumeRegion
from bottleneck.errors import DecodeError

__all__ = ["VolumeGeometry"]

# Deviation of the cosine between two axes from 0. Headers round directions to six digits.
_MOST_SHEAR = 1e-3
# Millimetres: no scanner is this large, and no microscope resolves less.
_MOST, _LEAST_SPACING = 1e6, 1e-6
_FLIP_TO_LPS = np.array([-1.0, -1.0, 1.0])


@dataclasses.dataclass(frozen=True, eq=False)
class VolumeGeometry:
    """Shape of a volume, and the map from its voxels to the patient.

    Attributes
    ----------
    shape : tuple of int
        Number of voxels along the three axes of the file.
    affine : ndarray of float64, shape (4, 4)
        Maps the index of a voxel, whose centre has whole numbers, to LPS coordinates in mm.

    Raises
    ------
    DecodeError
        If a number is not finite or of no usual size, an axis has no voxels or no length, or the
        axes are sheared.

    Examples
    --------
    >>> geometry = VolumeGeometry((64, 64, 20), np.diag([0.7, 0.7, 2.5, 1.0]))
    >>> geometry.spacing, geometry.orientation
    ((0.7, 0.7, 2.5), 'LPS')
    """

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]

    def __post_init__(self) -> None:
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise DecodeError(f"a volume has three dimensions, not the shape {self.shape}")
        matrix = np.array(self.affine, np.float64)
        if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
            raise DecodeError("the matrix that places its voxels has values that are not finite")
        if (matrix[3] != (0, 0, 0, 1)).any() or (np.abs(matrix) > _MOST).any():
            raise DecodeError("the matrix that places its voxels has values of an unusual size")
        matrix.flags.writeable = False
        object.__setattr__(self, "affine", matrix)
        lengths = np.linalg.norm(matrix[:3, :3], axis=0)
        if not (lengths >= _LEAST_SPACING).all():
            raise DecodeError("the spacing of its voxels is 0 along an axis")
        axes = matrix[:3, :3] / lengths
        cosines = np.abs((axes.T @ axes)[np.triu_indices(3, 1)])
        if not (cosines <= _MOST_SHEAR).all():
            raise DecodeError(
                "its axes are sheared or singular: two of them are not at right angles (cosine "
                f"{cosines.max():.3g})"
            )

    @cached_property
    def spacing(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxels along each axis, in mm."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0).tolist()
        return x, y, z

    @cached_property
    def _inverse(self) -> NDArray[np.float64]:
        return np.linalg.inv(self.affine[:3, :3]).astype(np.float64)

    @cached_property
    def orientation(self) -> str:
        """The direction of the patient that each axis is nearest to, such as "LPS".

        Each direction of the patient is given to one axis, the best fit first.
        """
        cosines = self.affine[:3, :3] / np.array(self.spacing)
        letters = [""] * 3
        rest = np.abs(cosines)
        for _ in range(3):
            world, axis = np.unravel_index(int(rest.argmax()), (3, 3))
            letters[axis] = ("LPS" if cosines[world, axis] > 0 else "RAI")[world]
            rest[world, :] = rest[:, axis] = -1
        return "".join(letters)

    def to_voxels(self, points: ArrayLike) -> NDArray[np.float64]:
        """Return the positions of LPS points (mm), shape (…, 3), along the axes of the file."""
        return (np.asarray(points, np.float64) - self.affine[:3, 3]) @ self._inverse.T

    def to_lps(self, voxels: ArrayLike) -> NDArray[np.float64]:
        """Return LPS points (mm) of positions of shape (…, 3) along the axes of the file."""
        return np.asarray(voxels, np.float64) @ self.affine[:3, :3].T + self.affine[:3, 3]

    def centre_of(self, region: VolumeRegion | None) -> NDArray[np.float64]:
        """Return the centre of a region along the axes of the file; None is the whole volume."""
        if region is None:
            return (np.array(self.shape) - 1) / 2
        point = np.array(region[:3])
        if region.space == "voxel":
            return point
        return self.to_voxels(point * _FLIP_TO_LPS if region.space == "ras" else point)
