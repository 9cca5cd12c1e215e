"""Options of volumes: which slices a network of images gets, and the grid of a patch."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal, TypedDict, cast

from annotated_types import Ge, Gt, Le
from pydantic import BeforeValidator

from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.data.volumes.volume_preprocessing import VolumePreprocessing
from bottleneck.errors import UsageError
from bottleneck.settings.ranges import Expected
from bottleneck.settings.schema import option, schema

__all__ = ["PatchSize", "VolumeKeywords", "VolumeOptions"]

_PANEL = "Volumes"
PatchSize = Annotated[int, Ge(1), Le(512)]
_Mm = Annotated[float, Gt(0), Le(1_000)]
# As radiologists look at slices: the patient's left is on the right, and the head above.
_SHOWN = "LPI"


def _parse_spacing(value: object) -> object:
    """Return a spacing as three numbers: the command line has text, and one number is a cube's."""
    if isinstance(value, str):
        try:
            value = [float(number) for number in value.split(",")]
        except ValueError:
            raise UsageError(
                f"the spacing must be one number of mm, or X,Y,Z, such as 1,1,2.5, not '{value}'"
            ) from None
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = [value]
    if isinstance(value, list | tuple):
        return tuple(value) * 3 if len(value) == 1 else tuple(value)
    return value


@schema
class VolumeOptions:
    """What is stated for volumes, in place of the preprocessing that belongs to the weights.

    Attributes
    ----------
    slices : {"orthogonal", "axial"}, optional
        For a network of images: the three planes through the centre, or every ``slice_step``-th
        axial plane.
    slice_step : int, optional
        Distance between axial slices, in voxels of the patch.
    slice_pooling : {"mean", "max", "concatenate"}, optional
        How the features of the slices become one row.
    patch_size : int, optional
        Voxels along each edge of the patch.
    spacing : tuple of float, optional
        Distance between voxels in mm, along the axes of the orientation; one number for all.
    orientation : str, optional
        The direction of the patient in which the index of each axis grows, such as "RAS".

    Raises
    ------
    UsageError
        If a value does not fit.

    Examples
    --------
    >>> unit = (0.5, 0.5, 0.5)
    >>> images = Preprocessing(256, 224, "bilinear", mean=unit, std=unit)
    >>> VolumeOptions(slices="orthogonal").applied(images, "resnet18").input_shape
    (3, 224, 224, 3)
    """

    slices: Literal["orthogonal", "axial"] | None = option(
        None,
        "Slices for a network of images: orthogonal (three planes through the centre) or axial.",
        panel=_PANEL,
    )
    slice_step: Annotated[int, Ge(1), Le(512)] | None = option(
        None, "Distance between axial slices, in voxels.", panel=_PANEL, shown="1"
    )
    slice_pooling: Literal["mean", "max", "concatenate"] | None = option(
        None,
        "How the features of slices become a row: mean, max or concatenate.",
        panel=_PANEL,
        shown="mean",
    )
    patch_size: PatchSize | None = option(
        None,
        "Voxels along each edge of the patch.",
        panel=_PANEL,
        shown="as the weights' publisher states",
    )
    spacing: Annotated[
        tuple[_Mm, _Mm, _Mm] | None,
        BeforeValidator(_parse_spacing),
        Expected("one number of mm, or three: X,Y,Z"),
    ] = option(
        None,
        "Distance between voxels in mm: one number, or X,Y,Z. Regions with a size, and whole "
        "volumes, are always resampled to the patch.",
        panel=_PANEL,
    )
    orientation: str | None = option(
        None, "Direction of the patient along each axis, such as RAS or LPS.", panel=_PANEL
    )

    @property
    def volumes(self) -> VolumeKeywords:
        """The fields that are stated, as keywords of ``load_backbone``."""
        stated = {name: getattr(self, name) for name in _FIELDS}
        return cast(VolumeKeywords, {k: v for k, v in stated.items() if v is not None})

    def applied(
        self, stated: Preprocessing | VolumePreprocessing, name: str
    ) -> Preprocessing | VolumePreprocessing:
        """Return a preprocessing with what these options state.

        Parameters
        ----------
        stated : Preprocessing or VolumePreprocessing
            The preprocessing that belongs to the weights.
        name : str
            Name of the network, for the message.

        Raises
        ------
        UsageError
            If options of volumes are stated for a network of images without slices.
        """
        fields: dict[str, Any] = {**self.volumes}
        if not fields:
            return stated
        edge = fields.pop("patch_size", None)
        if isinstance(stated, Preprocessing):
            if self.slices is None:
                raise UsageError(
                    f"{name} takes images, and {', '.join(fields) or 'patch_size'} is stated for "
                    "volumes: state slices=orthogonal or slices=axial as well"
                )
            n = stated.n_channels
            stated = VolumePreprocessing(
                size=(stated.crop,) * 3,
                orientation=_SHOWN,
                n_channels=n,
                mean=stated.mean[:n],
                std=stated.std[:n],
                slices=self.slices,
            )
        if edge is not None:
            fields["size"] = (edge,) * 3
        return dataclasses.replace(stated, **fields)


_FIELDS = tuple(VolumeOptions.__annotations__)


class VolumeKeywords(TypedDict, total=False):
    """The fields of ``VolumeOptions`` as keyword arguments, for type checkers and editors."""

    slices: Literal["orthogonal", "axial"] | None
    slice_step: int | None
    slice_pooling: Literal["mean", "max", "concatenate"] | None
    patch_size: int | None
    spacing: tuple[float, float, float] | None
    orientation: str | None
