"""The voxels of one region: read, hashed, and made into the patch of a network."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bottleneck.data.images.decode import PixelFacts, make_thumbnail
from bottleneck.data.volumes.grid_sampling import resample
from bottleneck.data.volumes.volume import Volume
from bottleneck.data.volumes.volume_preprocessing import VolumePreprocessing
from bottleneck.data.volumes.volume_region import VolumeRegion
from bottleneck.errors import DecodeError

__all__ = ["RegionVoxels", "read_region"]


# Edge of the cube around the centre of a region that identifies it, in mm.
_IDENTITY_MM = 32.0
_REVERSED = {"L": "R", "P": "A", "S": "I", "R": "L", "A": "P", "I": "S"}


@dataclasses.dataclass(frozen=True, eq=False)
class RegionVoxels:
    """The voxels of a region as its volume has them, and the grid that they are resampled to.

    Attributes
    ----------
    values : ndarray of float32
        The box of voxels that the grid needs, along the axes of the orientation.
    grid : tuple of three ndarray of float64
        Positions of the patch's voxels in ``values``. The volume has no voxels beyond its first
        and last one.
    preprocessing : VolumePreprocessing
        How they become a patch.
    sha256 : str
        Hash of the voxels and the grid: the key of the row.
    pixels_sha256 : str
        Hash of the voxels near the centre, the same for every preprocessing and every format.
    box : tuple of six float
        Least and largest LPS coordinates (mm) of the patch: x, y, z, x, y, z.
    notes : tuple of str
        Notes for the user.
    """

    values: NDArray[np.float32]
    grid: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
    preprocessing: VolumePreprocessing
    sha256: str
    pixels_sha256: str
    box: tuple[float, ...]
    notes: tuple[str, ...] = ()

    @cached_property
    def patch(self) -> NDArray[np.float32]:
        """The input of a network, of the shape ``VolumePreprocessing.input_shape``."""
        how = self.preprocessing
        if how.slices is None:
            values = self._scaled(self._sampled(self.grid))
        else:
            values = self._scaled(np.stack(self._planes()))
        return np.repeat(values[..., np.newaxis], how.n_channels, axis=-1)

    def _planes(self) -> list[NDArray[np.float32]]:
        """Return the planes of a 2-D network, each with its rows first."""
        x, y, z = self.grid
        middle = [np.array([axis[0] + axis[-1]]) / 2 for axis in self.grid]
        if self.preprocessing.slices == "orthogonal":
            return [
                self._sampled((x, y, middle[2]))[:, :, 0].T,
                self._sampled((x, middle[1], z))[:, 0, :].T,
                self._sampled((middle[0], y, z))[0].T,
            ]
        every = self._sampled((x, y, z[:: self.preprocessing.slice_step]))
        return list(every.transpose(2, 1, 0))

    def _sampled(self, grid: tuple[NDArray[np.float64], ...]) -> NDArray[np.float32]:
        """Return values at a grid, with the fill outside the volume."""
        how = self.preprocessing
        shape = self.values.shape
        inside = [(at > -0.5) & (at < n - 0.5) for at, n in zip(grid, shape, strict=True)]
        out = np.full([len(at) for at in grid], how.fill, np.float32)
        if all(each.any() for each in inside):
            within = tuple(
                np.clip(at[keep], 0, n - 1) for at, keep, n in zip(grid, inside, shape, strict=True)
            )
            out[np.ix_(*inside)] = resample(self.values, within, how.interpolation)
        return out

    def _scaled(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        how = self.preprocessing
        if how.window is not None:
            low, high = how.window
            bottom, top = how.output
            values = (values - low) * ((top - bottom) / (high - low)) + bottom
            if how.clip:
                values = values.clip(bottom, top)
        if how.standardise != "no":
            chosen = values if how.standardise == "all" else values[values != 0]
            if chosen.size:
                deviation = float(chosen.std()) or 1.0
                scaled = (values - chosen.mean()) / deviation
                values = scaled if how.standardise == "all" else np.where(values, scaled, 0)
        return values.astype(np.float32)

    def facts(self) -> PixelFacts:
        """Return the facts that are stored with the features, of the plane through the middle."""
        x, y, z = self.grid
        plane = self._sampled((x, y, np.array([z[0] + z[-1]]) / 2))[:, :, 0].T
        low, high = self.preprocessing.window or (float(plane.min()), float(plane.max()))
        levels = ((plane - low) * (255 / max(high - low, 1e-6))).clip(0, 255).astype(np.uint8)
        image = Image.fromarray(levels).convert("RGB")
        return PixelFacts(
            pixels=self.pixels_sha256,
            size=(len(x), len(y)),
            brightness=float(levels.mean()),
            thumbnail=make_thumbnail(image).tobytes(),
            notes=self.notes,
            box=self.box,
        )


def read_region(
    volume: Volume, region: VolumeRegion | None, preprocessing: VolumePreprocessing
) -> RegionVoxels:
    """Read the voxels of a region.

    Parameters
    ----------
    volume : Volume
        The open volume.
    region : VolumeRegion or None
        None is the whole volume.
    preprocessing : VolumePreprocessing
        Decides the grid.

    Raises
    ------
    DecodeError
        If the centre lies outside the volume, or a voxel is not finite.
    """
    geometry = volume.geometry
    axes, signs = _order(geometry.orientation, preprocessing.orientation)
    centre = geometry.centre_of(region)
    if region is not None and not all(
        -0.5 <= c <= n - 0.5 for c, n in zip(centre, geometry.shape, strict=True)
    ):
        raise DecodeError("the centre of the region lies outside the volume")
    spacing = np.array(geometry.spacing)[axes]
    size = np.array(preprocessing.size)
    if region is None:
        step = np.array(geometry.shape)[axes] / size
    elif region.size_mm is not None:
        step = region.size_mm / size / spacing
    elif preprocessing.spacing is not None:
        step = np.array(preprocessing.spacing) / spacing
    else:
        step = np.ones(3)
    middle = centre[axes] * signs + np.where(signs < 0, np.array(geometry.shape)[axes] - 1, 0)
    grid = [
        m + (np.arange(n) - (n - 1) / 2) * s for m, n, s in zip(middle, size, step, strict=True)
    ]
    shape = np.array(geometry.shape)[axes]
    start = [max(0, int(np.floor(at[0]))) for at in grid]
    stop = [min(int(n), int(np.ceil(at[-1])) + 1) for at, n in zip(grid, shape, strict=True)]
    values = _read(volume, start, stop, axes, signs)
    near = [
        (
            max(0, int(np.floor(m - _IDENTITY_MM / 2 / s))),
            min(int(n), int(np.ceil(m + _IDENTITY_MM / 2 / s)) + 1),
        )
        for m, s, n in zip(middle, spacing, shape, strict=True)
    ]
    identity = _read(volume, [a for a, _ in near], [b for _, b in near], axes, signs)
    local = tuple(at - first for at, first in zip(grid, start, strict=True))
    corners = np.array(
        list(
            itertools.product(
                *((at[0] - s / 2, at[-1] + s / 2) for at, s in zip(grid, step, strict=True))
            )
        )
    )
    box = geometry.to_lps(_undone(corners, axes, signs, shape))
    return RegionVoxels(
        values=values,
        grid=(local[0], local[1], local[2]),
        preprocessing=preprocessing,
        sha256=_digest(values, *local),
        pixels_sha256=_digest(identity, spacing, middle - [a for a, _ in near]),
        box=(*box.min(axis=0).tolist(), *box.max(axis=0).tolist()),
        notes=volume.notes,
    )


def _order(own: str, wanted: str) -> tuple[list[int], NDArray[np.float64]]:
    """Return which axis of the file each axis of the patch is, and −1 where it is reversed."""
    axes = [
        next(n for n, a in enumerate(own) if a in (letter, _REVERSED[letter])) for letter in wanted
    ]
    return axes, np.array([1.0 if own[a] == w else -1.0 for a, w in zip(axes, wanted, strict=True)])


def _read(
    volume: Volume, start: list[int], stop: list[int], axes: list[int], signs: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return a box along the axes of the patch."""
    shape = volume.geometry.shape
    low, high = [0] * 3, [0] * 3
    for place, axis in enumerate(axes):
        first, last = start[place], max(start[place], stop[place])
        low[axis], high[axis] = (
            (first, last) if signs[place] > 0 else (shape[axis] - last, shape[axis] - first)
        )
    values = volume.read(low, high).transpose(axes)
    return values[tuple(slice(None, None, int(sign)) for sign in signs)]


def _undone(
    points: NDArray[np.float64],
    axes: list[int],
    signs: NDArray[np.float64],
    shape: NDArray[np.int_],
) -> NDArray[np.float64]:
    """Return positions along the axes of the file for positions along those of the patch."""
    out = np.empty_like(points)
    for place, axis in enumerate(axes):
        at = points[:, place]
        out[:, axis] = at if signs[place] > 0 else shape[place] - 1 - at
    return out


def _digest(values: NDArray[np.float32], *grid: NDArray[np.float64]) -> str:
    digest = hashlib.sha256(str(values.shape).encode())
    digest.update(np.ascontiguousarray(values).data)
    for at in grid:  # To a thousandth of a voxel: formats round their headers differently.
        digest.update(np.round(at, 3).astype(np.float32).tobytes() + b";")
    return digest.hexdigest()
