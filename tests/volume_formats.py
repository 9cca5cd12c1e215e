"""Small volumes in files of every format, and what independent readers read from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import nrrd
import numpy as np
import SimpleITK
from numpy.typing import NDArray

__all__ = ["AFFINES", "SUFFIXES", "make_voxels", "read_with_simpleitk", "write_volume"]

SUFFIXES = (".nii", ".nii.gz", ".mhd", ".mha", ".nrrd", ".nhdr")
_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def _affine(directions: Any, spacing: tuple[float, ...], origin: tuple[float, ...]) -> Any:
    affine = np.eye(4)
    affine[:3, :3] = np.asarray(directions, float) * spacing
    affine[:3, 3] = origin
    return affine


def _rotation(degrees: float, axis: int) -> NDArray[np.float64]:
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    a, b = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.eye(3)
    matrix[a, a] = matrix[b, b] = cosine
    matrix[a, b], matrix[b, a] = -sine, sine
    return matrix


# From voxels to LPS coordinates in mm.
AFFINES = {
    "upright": _affine(np.eye(3), (0.7, 0.8, 2.5), (-195.0, -180.5, -378.25)),
    "flipped": _affine(np.diag([-1, -1, 1]), (0.7, 0.8, 2.5), (170.0, 160.0, -50.0)),
    "permuted": _affine(np.eye(3)[[2, 0, 1]], (2.0, 0.5, 0.5), (10.0, -20.0, 30.0)),
    "oblique": _affine(
        _rotation(20, 0) @ _rotation(-35, 2) @ np.diag([1, -1, 1]), (0.9, 1.1, 3.0), (5, 60, -700)
    ),
}


def make_voxels(dtype: str = "i2", shape: tuple[int, ...] = (7, 6, 5)) -> NDArray[Any]:
    """Return voxels of any type, all different."""
    return (np.arange(np.prod(shape)).reshape(shape) - (0 if dtype[0] == "u" else 50)).astype(dtype)


def write_volume(
    path: Path, voxels: NDArray[Any], affine: NDArray[np.float64], *, compress: bool = False
) -> Path:
    """Write a volume in the format of the suffix, with a library of that format; return the path.

    Parameters
    ----------
    path : Path
        A name with one of ``SUFFIXES``.
    voxels : ndarray of shape (i, j, k)
        The values.
    affine : ndarray of shape (4, 4)
        From voxels to LPS coordinates in mm.
    compress : bool
        Whether the voxels of a MetaImage or NRRD file are compressed.
    """
    if path.name.endswith((".nii", ".nii.gz")):
        image = nibabel.Nifti1Image(voxels, _TO_LPS @ affine, dtype=voxels.dtype)
        image.header.set_xyzt_units("mm")
        nibabel.save(image, path)
    elif path.suffix in (".nrrd", ".nhdr"):
        header = {
            "space": "left-posterior-superior",
            "space directions": affine[:3, :3].T,
            "space origin": affine[:3, 3],
            "encoding": "gzip" if compress else "raw",
        }
        nrrd.write(str(path), voxels, header, detached_header=path.suffix == ".nhdr")
    else:
        spacing = np.linalg.norm(affine[:3, :3], axis=0)
        image = SimpleITK.GetImageFromArray(voxels.T)
        image.SetSpacing(spacing.tolist())
        image.SetOrigin(affine[:3, 3].tolist())
        image.SetDirection((affine[:3, :3] / spacing).ravel().tolist())
        SimpleITK.WriteImage(image, str(path), compress)
    return path


def read_with_simpleitk(path: Path) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Return voxels of shape (i, j, k), and the matrix to LPS coordinates, as SimpleITK does."""
    image = SimpleITK.ReadImage(str(path))
    directions = np.array(image.GetDirection()).reshape(3, 3)
    affine = _affine(directions, image.GetSpacing(), image.GetOrigin())
    return SimpleITK.GetArrayFromImage(image).T, affine
