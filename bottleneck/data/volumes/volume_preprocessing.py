"""Preprocessing of volumes: the grid of a patch, its values, and the slices of 2-D networks."""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le

from bottleneck.data.images.preparation import Preparation
from bottleneck.errors import UsageError
from bottleneck.settings.schema import schema

__all__ = ["POLICY", "VolumePreprocessing"]

# Changes with every rule by which voxels become a patch: recipes contain it.
POLICY = "volumes 1"

_Side = Annotated[int, Ge(1), Le(512)]
_Mm = Annotated[float, Gt(0), Le(1_000)]
_AXES = ("LR", "PA", "SI")
# Of one patch: half a gibibyte of float32.
_MOST_VALUES = 1 << 27


@schema
class VolumePreprocessing:
    """The grid and the values of the patch of a volume that a network takes.

    A patch is a box of voxels along the axes of the volume's own file, which are reordered and
    reversed until they are nearest to ``orientation``. The centre of the region lies in its middle.
    A region with a size is resampled to ``size`` voxels, and so is a whole volume; of all others,
    ``spacing`` decides. Along an axis whose voxels keep their distance, nothing is interpolated:
    the voxel nearest to the centre has the index ``size // 2``.

    Attributes
    ----------
    size : tuple of int
        Voxels of the patch along the axes of ``orientation``.
    spacing : tuple of float or None
        Distance between voxels along the same axes, in mm; None for that of the volume.
    orientation : str
        The direction of the patient in which the index of each axis grows, such as "RAS".
    window : tuple of float or None
        The values, in HU for CT, that become ``output``; None for values as they are.
    clip : bool
        Whether values outside the window become its ends.
    output : tuple of float
        What the ends of the window become.
    standardise : {"no", "all", "nonzero"}
        Whether the mean of the patch is subtracted and its standard deviation divided by, over all
        voxels or over those that are not 0.
    fill : float or None
        Value of voxels outside the volume, on the scale of the file; None for the lower end of the
        window, or 0 without one.
    outside : float or None
        Values up to this one mark voxels that were not imaged, such as -2048 in CT. They become
        ``fill`` before anything is interpolated. None for no such values.
    interpolation : {"linear", "nearest"}
        How values between voxels are computed.
    placement : {"centred", "truncated"}
        "centred" puts the centre of the region in the middle of the patch. "truncated" takes the
        axes of the file for L, P and S, whatever their direction, and whole voxels: the index of
        the centre, computed from origin and spacing alone and truncated, lies at the index
        ``size // 2 + 1``.
    n_channels : int
        Channels of the network's input; the values are repeated.
    mean, std : tuple of float
        Mean and standard deviation that normalise each channel, after all of these steps.
    slices : {"orthogonal", "axial"} or None
        For networks of two dimensions: the three planes through the centre, or every
        ``slice_step``-th plane along the third axis. None for networks of three dimensions.
    slice_step : int
        Distance between the planes of "axial", in voxels of the patch. The first and the last one
        are as far from its ends.
    slice_pooling : {"mean", "max", "concatenate"}
        How the features of the planes become one row.

    Raises
    ------
    UsageError
        If a field has the wrong type or is out of range, or two do not fit together.

    Examples
    --------
    >>> preprocessing = VolumePreprocessing(size=(96, 96, 96), window=(-1000.0, 1000.0))
    >>> preprocessing.input_shape
    (96, 96, 96, 1)
    """

    size: tuple[_Side, _Side, _Side]
    spacing: tuple[_Mm, _Mm, _Mm] | None = None
    orientation: str = "RAS"
    window: tuple[float, float] | None = None
    clip: bool = True
    output: tuple[float, float] = (0.0, 1.0)
    standardise: Literal["no", "all", "nonzero"] = "no"
    fill: float | None = None
    outside: float | None = None
    interpolation: Literal["linear", "nearest"] = "linear"
    placement: Literal["centred", "truncated"] = "centred"
    n_channels: Annotated[int, Ge(1), Le(16)] = 1
    mean: tuple[float, ...] = (0.0,)
    std: tuple[Annotated[float, Gt(0)], ...] = (1.0,)
    slices: Literal["orthogonal", "axial"] | None = None
    slice_step: Annotated[int, Ge(1), Le(512)] = 1
    slice_pooling: Literal["mean", "max", "concatenate"] = "mean"

    def __post_init__(self) -> None:
        letters = self.orientation.upper()
        object.__setattr__(self, "orientation", letters)
        if sorted("".join(a for a in _AXES if letter in a) for letter in letters) != sorted(_AXES):
            raise UsageError(
                "the orientation must be three letters, such as RAS: one of L and R, one of P and "
                f"A, and one of S and I; not '{self.orientation}'"
            )
        if self.window is not None and not self.window[0] < self.window[1]:
            raise UsageError(f"the window must be LOW, HIGH with LOW < HIGH, not {self.window}")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, self.n_channels):
                raise UsageError(
                    f"{name} needs one value, or one for each of {self.n_channels} channels, not "
                    f"{len(values)}"
                )
        if self.n_channels * math.prod(self.size) > _MOST_VALUES:
            raise UsageError(
                f"a patch of {' × '.join(map(str, self.size))} voxels and {self.n_channels} "
                f"channels is too large: at most {_MOST_VALUES:,} values"
            )
        if self.placement == "truncated" and self.spacing is not None:
            raise UsageError(
                "the placement 'truncated' takes whole voxels, so spacing must be None"
            )
        self._check_slices()

    def _check_slices(self) -> None:
        if self.slices == "orthogonal" and len({*self.size}) > 1:
            raise UsageError(f"orthogonal slices need one size along all axes, not {self.size}")
        if self.slices == "axial" and self.orientation[2] not in "SI":
            raise UsageError(
                "axial slices need an orientation whose third letter is S or I, not "
                f"'{self.orientation}'"
            )
        if self.slice_step > 1 and self.slices != "axial":
            raise UsageError("slice_step is the distance between axial slices: choose them, or 1")
        if self.slice_step > self.size[2]:
            raise UsageError(
                f"slice_step must be at most the {self.size[2]} voxels of the patch along its "
                f"third axis, not {self.slice_step}"
            )

    @property
    def fill_value(self) -> float:
        """Value of voxels outside the volume, on the scale of the file."""
        if self.fill is not None:
            return self.fill
        return 0.0 if self.window is None else self.window[0]

    @property
    def n_slices(self) -> int | None:
        """Number of planes; None for networks of three dimensions."""
        if self.slices is None:
            return None
        return 3 if self.slices == "orthogonal" else -(-self.size[2] // self.slice_step)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of a patch: (x, y, z, channels), or (planes, rows, columns, channels)."""
        if self.n_slices is None:
            return (*self.size, self.n_channels)
        return (self.n_slices, self.size[1], self.size[0], self.n_channels)

    @property
    def preparation(self) -> Preparation:
        """No steps: those of images do not apply to volumes."""
        return Preparation()

    @property
    def words(self) -> str:
        """The slices in a few words, for the names of files and arms; "" for none."""
        if self.slices is None:
            return ""
        step = f" {self.slice_step}" if self.slice_step > 1 else ""
        pooled = "" if self.slice_pooling == "mean" else f", {self.slice_pooling}"
        return f"{self.slices} slices{step}{pooled}"

    def with_options(self, preparation: Preparation) -> VolumePreprocessing:
        """Return this preprocessing with the window of a preparation of images.

        Raises
        ------
        UsageError
            If the preparation has another step.

        Examples
        --------
        >>> preprocessing = VolumePreprocessing(size=(8, 8, 8))
        >>> preprocessing.with_options(Preparation(window=(40, 400))).window
        (-160.0, 240.0)
        """
        for name in ("rescale", "mask_text", "sector", "denoise"):
            if getattr(preparation, name):
                raise UsageError(
                    f"{name} is a step for images, and volumes have no such step: leave it out"
                )
        if preparation.window is None:
            return self
        centre, width = preparation.window
        return dataclasses.replace(self, window=(centre - width / 2, centre + width / 2))

    def fast(self) -> VolumePreprocessing:
        """Return the same preprocessing, which has one form only.

        Examples
        --------
        >>> VolumePreprocessing(size=(8, 8, 8)).fast().size
        (8, 8, 8)
        """
        return self

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a dictionary that can be written as JSON.

        Examples
        --------
        >>> VolumePreprocessing(size=(8, 8, 8)).to_dict()["orientation"]
        'RAS'
        """
        return dataclasses.asdict(self)
