"""The voxels of one region: read, hashed, and made into the patch of a network."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Iterable
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bottleneck.data.images.decode import PixelFacts, make_thumbnail
from bottleneck.data.volumes.patches.grid_sampling import GridAxis, Indices, VoxelBlock
from bottleneck.data.volumes.patches.patch_grid import Axes, AxisOrder, find_nearest, lay_grid
from bottleneck.data.volumes.patches.patch_picture import Plane, draw_planes, fill_with_planes
from bottleneck.data.volumes.volume import Volume
from bottleneck.data.volumes.volume_preprocessing import VolumePreprocessing
from bottleneck.data.volumes.volume_region import VolumeRegion
from bottleneck.errors import DecodeError

__all__ = ["RegionVoxels", "read_region"]

# Edge of the cube around the centre of a region that identifies it, in mm.
_IDENTITY_MM = 32.0
# Most voxels along an axis that identify a region, or a whole volume.
_IDENTITY_VOXELS = 128
# Voxels along each axis of the volume that identify a region whose own voxels do not.
_VOLUME_VOXELS = 16
# Voxels that one sample may take from its volume: 1 GiB of float32.
_MOST_VOXELS = 1 << 28
# Side of the picture that facts are taken from, in pixels.
_FACTS_SIDE = 64
# The planes of a patch, by the axes that lie in them.
_PLANES = ((0, 1), (0, 2), (1, 2))


@dataclasses.dataclass(frozen=True, eq=False)
class RegionVoxels:
    """The voxels of a region as its volume has them, and the grid that they are resampled to.

    Attributes
    ----------
    blocks : tuple of VoxelBlock
        The voxels that each grid needs, along the axes of the orientation.
    grids : tuple of tuple of three GridAxis
        The grid of the patch, or of each of its three orthogonal planes.
    preprocessing : VolumePreprocessing
        How they become a patch.
    spacing : tuple of float
        Distance between voxels of the volume along the same axes, in mm.
    sha256 : str
        Hash of the voxels, the grid and ``pixels_sha256``: the key of the row.
    pixels_sha256 : str
        Hash of the voxels near the centre, the same for every preprocessing and every format.
    size : tuple of int
        Voxels of the whole volume from right to left and from front to back.
    box : tuple of six float
        Least and largest LPS coordinates (mm) of the patch: x, y, z, x, y, z.
    notes : tuple of str
        Notes for the user.
    """

    blocks: tuple[VoxelBlock, ...]
    grids: tuple[Axes, ...]
    preprocessing: VolumePreprocessing
    spacing: tuple[float, ...]
    sha256: str
    pixels_sha256: str
    size: tuple[int, int]
    box: tuple[float, ...]
    notes: tuple[str, ...] = ()

    @cached_property
    def patch(self) -> NDArray[np.float32]:
        """The input of a network, of the shape ``VolumePreprocessing.input_shape``."""
        how = self.preprocessing
        values = [
            block.sample(grid, how.fill_value, how.interpolation)
            for block, grid in zip(self.blocks, self.grids, strict=True)
        ]
        if how.slices == "orthogonal":
            made = np.stack(
                [each.squeeze(3 - a - b).T for (a, b), each in zip(_PLANES, values, strict=True)]
            )
        else:
            made = values[0] if how.slices is None else values[0].transpose(2, 1, 0)
        return np.repeat(_scaled(made, how)[..., np.newaxis], how.n_channels, axis=-1)

    def picture(self, side: int = 256) -> Image.Image:
        """Return the axial, the coronal and the sagittal plane through the centre.

        Parameters
        ----------
        side : int
            Width and height of the picture in pixels, an even number.

        Returns
        -------
        PIL.Image.Image
            Mode "L", in the window of the preprocessing if it clips to it. ``draw_planes`` says
            where each plane is.
        """
        return draw_planes(self._planes(), self._shown_window, side)

    @property
    def _shown_window(self) -> tuple[float, float] | None:
        return self.preprocessing.window if self.preprocessing.clip else None

    def _planes(self, *, imaged: bool = False) -> Iterable[Plane]:
        """Yield three planes through the centre, or what of them lies inside the volume."""
        how = self.preprocessing
        several = len(self.blocks) > 1
        for number, (a, b) in enumerate(_PLANES):
            place = number if several else 0
            grid = tuple(
                axis if n in (a, b) else axis.at_centre()
                for n, axis in enumerate(self.grids[place])
            )
            values = self.blocks[place].sample(grid, how.fill_value, how.interpolation)
            lengths = [axis.n * axis.step * mm for axis, mm in zip(grid, self.spacing, strict=True)]
            letters = how.orientation[a] + how.orientation[b]
            if imaged:
                within = tuple(axis.inside for axis in grid)
                values = values[within] if values[within].size else values
            yield Plane(values.squeeze(3 - a - b), letters, (lengths[a], lengths[b]))

    def facts(self) -> PixelFacts:
        """Return the facts that are stored with the features, of the planes of a picture.

        Voxels outside the volume are left out: by them, all patches at a border would look alike.
        """
        image = fill_with_planes(self._planes(imaged=True), self._shown_window, _FACTS_SIDE)
        return PixelFacts(
            pixels=self.pixels_sha256,
            size=self.size,
            brightness=float(np.asarray(image).mean()),
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
        If the centre lies outside the volume, a voxel is not finite, or the patch needs more than
        268 million voxels.
    UsageError
        If the preprocessing does not fit to such a region.
    """
    order, grid = lay_grid(volume.geometry, region, preprocessing)
    x, y, z = grid
    grids: tuple[Axes, ...] = (grid,)
    if preprocessing.slices == "axial":
        grids = ((x, y, z.every(preprocessing.slice_step)),)
    elif preprocessing.slices == "orthogonal":
        grids = ((x, y, z.at_centre()), (x, y.at_centre(), z), (x.at_centre(), y, z))
    n_voxels = sum(math.prod(len(axis.needed) for axis in axes) for axes in grids)
    if n_voxels > _MOST_VOXELS:
        raise DecodeError(
            f"the patch needs {n_voxels:,} voxels of the volume, and at most {_MOST_VOXELS:,} are "
            "read: choose a smaller size or a larger spacing"
        )
    blocks = tuple(_read(volume, order, axes, preprocessing) for axes in grids)
    canonical = AxisOrder.between(volume.geometry, volume.geometry.orientation, "LPS")
    patch = _digest(blocks, [value for axes in grids for axis in axes for value in _place(axis)])
    near = _identify(volume, region, canonical)
    box = order.find_box(grid)
    return RegionVoxels(
        blocks=blocks,
        grids=grids,
        preprocessing=preprocessing,
        spacing=order.spacing,
        # With the voxels near the centre and the place, which the facts that are stored with a row
        # depend on.
        sha256=hashlib.sha256(f"{patch}{near}{_round(box)}".encode()).hexdigest(),
        pixels_sha256=near,
        size=(canonical.shape[0], canonical.shape[1]),
        box=box,
        notes=(*volume.notes, *_note_units(volume, preprocessing)),
    )


def _note_units(volume: Volume, preprocessing: VolumePreprocessing) -> list[str]:
    """Return a note if the window of a preprocessing is of other units than the values."""
    if preprocessing.window is None or volume.modality in ("", "CT"):
        return []
    return [
        f"of the modality {volume.modality}, with a window of fixed values. If the model was "
        "trained on CT, the window is in HU and does not fit"
    ]


def _read(
    volume: Volume, order: AxisOrder, axes: Axes, preprocessing: VolumePreprocessing
) -> VoxelBlock:
    block = order.read(volume, tuple(axis.needed for axis in axes))
    if preprocessing.outside is not None:
        block.values[block.values <= preprocessing.outside] = preprocessing.fill_value
    return block


def _place(axis: GridAxis) -> tuple[float, ...]:
    """Return where the positions of an axis lie among the voxels that it needs."""
    return axis.start - int(axis.needed[0]), 10 * axis.step, axis.n


def _identify(volume: Volume, region: VolumeRegion | None, order: AxisOrder) -> str:
    """Return the hash of the voxels near the centre of a region, along L, P and S.

    Where the centre lies among them tells apart the regions of a small volume. Of a whole volume,
    the voxels are evenly spaced.
    """
    if region is None:
        return _digest([_read_evenly(volume, order, _IDENTITY_VOXELS)], order.spacing)
    indices: list[Indices] = []
    middles: list[int] = []
    places: list[int] = []
    centre = order.turn(volume.geometry.centre_of(region))
    for length, spacing, middle in zip(order.shape, order.spacing, centre, strict=True):
        reach = min(int(_IDENTITY_MM / 2 / spacing + 0.01), _IDENTITY_VOXELS // 2)
        nearest = find_nearest(middle, length)
        indices.append(np.arange(max(0, nearest - reach), min(length, nearest + reach + 1)))
        middles.append(nearest)
        places.append(min(nearest, reach))
    block = order.read(volume, tuple(indices))
    if block.values.min() < block.values.max():
        return _digest([block], (*order.spacing, *places))
    # Air and padding are the same in every patient.
    evenly = _read_evenly(volume, order, _VOLUME_VOXELS)
    return _digest([block, evenly], (*order.spacing, *middles))


def _read_evenly(volume: Volume, order: AxisOrder, most: int) -> VoxelBlock:
    x, y, z = (np.arange(n) * length // n for length in order.shape if (n := min(length, most)))
    return order.read(volume, (x, y, z))


def _digest(blocks: Iterable[VoxelBlock], numbers: Iterable[float]) -> str:
    digest = hashlib.sha256()
    for block in blocks:
        digest.update(str(block.values.shape).encode())
        digest.update(block.values.data)
    # Formats round their headers differently. To a hundredth; the boundaries between two results
    # lie where neither decimal nor binary fractions are common.
    digest.update(str([math.floor(100 * number + 0.37) for number in numbers]).encode())
    return digest.hexdigest()


def _round(box: Iterable[float]) -> list[int]:
    """Return coordinates to a millimetre, which they have in every format."""
    return [math.floor(value + 0.37) for value in box]


def _scaled(values: NDArray[np.float32], how: VolumePreprocessing) -> NDArray[np.float32]:
    """Return values in the window, or with the mean and the deviation, of a preprocessing."""
    if how.window is not None:
        (low, high), (bottom, top) = how.window, how.output
        values = values - np.float32(low)
        values *= np.float32((top - bottom) / (high - low))
        values += np.float32(bottom)
        if how.clip:
            values.clip(*sorted(how.output), out=values)
    if how.standardise == "no":
        return values
    kept = values != 0 if how.standardise == "nonzero" else np.ones(values.shape, bool)
    chosen = values[kept].astype(np.float64)
    if not chosen.size:
        return values
    deviation = float(chosen.std()) or 1.0
    return np.where(kept, (values - chosen.mean()) / deviation, 0).astype(np.float32)
