"""Interpolation between voxels along the axes of a volume, one axis after the other."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["resample"]


def resample(
    values: NDArray[np.float32],
    positions: tuple[NDArray[np.float64], ...],
    interpolation: Literal["linear", "nearest"] = "linear",
) -> NDArray[np.float32]:
    """Return values at a grid of positions.

    Parameters
    ----------
    values : ndarray of float32, shape (a, b, c)
        A box of voxels.
    positions : tuple of three ndarray of float64
        Positions along each axis, in voxels; each lies between the first and the last voxel.
    interpolation : {"linear", "nearest"}
        How values between voxels are computed.

    Returns
    -------
    ndarray of float32, shape (len(positions[0]), len(positions[1]), len(positions[2]))
    """
    for axis, at in enumerate(positions):
        low = np.clip(np.floor(at).astype(int), 0, values.shape[axis] - 1)
        if interpolation == "nearest":
            values = np.take(values, np.floor(at + 0.5).astype(int), axis)
            continue
        weight = (at - low).astype(np.float32)
        if not weight.any():
            values = np.take(values, low, axis)
            continue
        weight = weight.reshape([-1 if a == axis else 1 for a in range(3)])
        high = np.minimum(low + 1, values.shape[axis] - 1)
        before, after = np.take(values, low, axis), np.take(values, high, axis)
        values = before + (after - before) * weight
    return values
