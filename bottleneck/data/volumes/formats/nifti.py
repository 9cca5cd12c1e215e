"""NIfTI volumes (``.nii``, ``.nii.gz``), read with nibabel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bottleneck.data.volumes.geometry import VolumeGeometry
from bottleneck.data.volumes.volume import Volume
from bottleneck.errors import DecodeError, MissingExtraError

__all__ = ["read_nifti"]

_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def read_nifti(path: Path) -> Volume:
    """Open a NIfTI file.

    Raises
    ------
    OSError
        If the file cannot be read.
    DecodeError
        If it is damaged, or no volume of scalar voxels in three dimensions.
    MissingExtraError
        If nibabel is not installed.
    """
    try:
        import nibabel
    except ImportError:
        raise MissingExtraError(
            "reading NIfTI needs nibabel, which is not installed. Install it with",
            "  pip install 'bottleneck-features[volumes]'",
        ) from None
    image: Any = nibabel.load(path)
    shape = image.shape
    if len(shape) != 3:
        raise DecodeError(f"{len(shape)} dimensions, where a volume has three")
    stored = np.asanyarray(image.dataobj.get_unscaled())
    slope, intercept = image.dataobj.slope, image.dataobj.inter
    geometry = VolumeGeometry(shape, _TO_LPS @ image.affine)
    return Volume(geometry, stored, slope, intercept, "NIfTI")
