"""Volumes in memory, in any direction."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.volumes.geometry import VolumeGeometry
from bottleneck.data.volumes.volume import Volume


def random_rotation(rng: np.random.Generator) -> NDArray[np.float64]:
    """Return a rotation about a random axis."""
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return rotation if np.linalg.det(rotation) > 0 else -rotation


def make_affine(
    spacing: Any, direction: Any = None, origin: Any = (0.0, 0.0, 0.0)
) -> NDArray[np.float64]:
    """Return the matrix from voxels to LPS."""
    affine = np.eye(4)
    affine[:3, :3] = (np.eye(3) if direction is None else direction) * np.asarray(spacing)
    affine[:3, 3] = origin
    return affine


def make_volume(values: Any, affine: Any = None, **fields: Any) -> Volume:
    """Return a volume of values; by default 1 mm, with axes that point to L, P and S."""
    values = np.asarray(values)
    return Volume(
        VolumeGeometry(values.shape, np.eye(4) if affine is None else affine), values, **fields
    )


def linear_volume(
    shape: tuple[int, int, int], affine: NDArray[np.float64], slopes: Any, offset: float
) -> Volume:
    """Return a volume whose values are a linear function of the LPS coordinates."""
    index = np.moveaxis(np.indices(shape), 0, -1)
    world = index @ affine[:3, :3].T + affine[:3, 3]
    return make_volume(world @ np.asarray(slopes) + offset, affine)


def flipped_copy(volume: Volume, order: tuple[int, ...], flips: tuple[bool, ...]) -> Volume:
    """Return the same voxels at the same places, with the axes reordered and reversed."""
    stored = np.asarray(volume.stored).transpose(order)
    affine = volume.geometry.affine.copy()
    affine[:, :3] = affine[:, :3][:, order]
    for axis, flip in enumerate(flips):
        if flip:
            stored = np.flip(stored, axis)
            affine[:, 3] += affine[:, axis] * (stored.shape[axis] - 1)
            affine[:, axis] *= -1
    return make_volume(stored, affine)
