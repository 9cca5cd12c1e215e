"""The slices of a DICOM series in order, and what makes them no volume."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.volumes.formats.dicom_slices import DicomSlice
from bottleneck.data.volumes.geometry import VolumeGeometry
from bottleneck.errors import DecodeError

__all__ = ["stack_slices"]

_NAMES = (
    *("components (magnitude and phase)", "patients", "studies", "series"),
    *("frames of reference", "echo times", "modalities"),
)
# Positions are rounded to few digits.
_SAME_DIRECTION = 1e-3
# As part of the distance between two pixels: nearer slices are at the same position.
_SAME_POSITION = 0.02
# As part of the usual distance between slices.
_GAP, _MOST_UNEVEN = 1.5, 0.1
# Sideways displacement, as part of a pixel and of the distance from the first slice.
_MOST_SIDEWAYS, _MOST_TILT = 0.1, 1e-3
_ADVICE = "put each into a folder of its own"


def stack_slices(slices: Sequence[DicomSlice]) -> tuple[list[DicomSlice], VolumeGeometry]:
    """Return the slices of a volume in the order of their positions, and its geometry.

    The third axis of the volume is the normal of the slices, the vector product of the first two
    (C.7.6.2.1.1), so that the three are right-handed.

    Parameters
    ----------
    slices : sequence of DicomSlice
        At least one, in any order.

    Raises
    ------
    DecodeError
        If they belong to several series, are localizers, differ in size, spacing or direction, are
        at the same position, lack one of them, are unevenly spaced, or are displaced sideways.
    """
    _refuse_mixture(slices)
    first = slices[0]
    normal = np.cross(*first.axes)
    normal /= np.linalg.norm(normal)
    places = np.array([one.position for one in slices]) @ normal
    order = np.argsort(places, kind="stable")
    ordered = [slices[n] for n in order]
    places = places[order]
    if len(ordered) < 2:
        raise DecodeError(
            f"a single slice ('{first.name}'), but a volume has several: name the folder that "
            "contains them"
        )
    _refuse_repetition(ordered, places)
    _refuse_tilt(ordered, normal)
    _refuse_gaps(ordered, places)
    step = (places[-1] - places[0]) / (len(places) - 1)
    affine = np.eye(4)
    affine[:3, :2] = (first.axes * first.spacing[:, np.newaxis]).T
    affine[:3, 2] = normal * step
    affine[:3, 3] = ordered[0].position
    shape = (first.stored.columns, first.stored.rows, len(ordered))
    return ordered, VolumeGeometry(shape, affine)


def _refuse_mixture(slices: Sequence[DicomSlice]) -> None:
    first = slices[0]
    for kind, values in zip(_NAMES, zip(*(one.series for one in slices), strict=True), strict=True):
        if (n := len(set(values))) > 1:
            other = next(
                one for one, value in zip(slices, values, strict=True) if value != values[0]
            )
            raise DecodeError(
                f"its slices are of {n} {kind}, such as '{first.name}' and '{other.name}': "
                f"{_ADVICE}"
            )
    localizer = next((one for one in slices if one.is_localizer), None)
    if localizer is not None:
        raise DecodeError(
            f"'{localizer.name}' is a localizer, which is not a slice of a volume: remove it"
        )
    for one in slices[1:]:
        differs = None
        if (one.stored.rows, one.stored.columns) != (first.stored.rows, first.stored.columns):
            differs = "number of pixels"
        elif not np.allclose(one.spacing, first.spacing, rtol=1e-3, atol=0):
            differs = "distance between pixels"
        elif abs(one.axes - first.axes).max() > _SAME_DIRECTION:
            differs = "direction"
        if differs:
            raise DecodeError(
                f"its slices '{first.name}' and '{one.name}' differ in their {differs}: {_ADVICE}"
            )


def _refuse_repetition(ordered: list[DicomSlice], places: NDArray[np.float64]) -> None:
    is_new = np.diff(places) > _SAME_POSITION * ordered[0].spacing.min()
    counts = np.diff(np.flatnonzero(np.concatenate([[True], is_new, [True]])))
    if counts.max() == 1:
        return
    if counts.min() > 1:
        few, most = int(counts.min()), int(counts.max())
        n = str(few) if few == most else f"{few} to {most}"
        where = f"each of {len(counts)} positions" if len(counts) > 1 else "one position"
        raise DecodeError(
            f"{n} slices at {where}: several phases, times or echoes, or mosaics; {_ADVICE}"
        )
    at = int(np.flatnonzero(~is_new)[0])
    raise DecodeError(
        f"'{ordered[at].name}' and '{ordered[at + 1].name}' are at the same position: remove one"
    )


def _refuse_tilt(ordered: list[DicomSlice], normal: NDArray[np.float64]) -> None:
    """Raise an error if slices are not above each other, as those of a tilted gantry."""
    moved = np.array([one.position for one in ordered]) - ordered[0].position
    along = moved @ normal
    sideways = np.linalg.norm(moved - np.outer(along, normal), axis=1)
    allowed = _MOST_SIDEWAYS * ordered[0].spacing.min() + _MOST_TILT * along
    if (sideways > allowed).any():
        angle = math.degrees(math.atan2(sideways[-1], along[-1]))
        raise DecodeError(
            f"its slices are displaced sideways, by {angle:.1f}° from first to last, as those of a "
            "tilted gantry: resample it to upright slices"
        )


def _refuse_gaps(ordered: list[DicomSlice], places: NDArray[np.float64]) -> None:
    steps = np.diff(places)
    usual = float(np.median(steps))
    at = int(steps.argmax())
    if steps[at] > _GAP * usual:
        raise DecodeError(
            f"slices are missing: '{ordered[at].name}' and '{ordered[at + 1].name}' are "
            f"{steps[at]:.4g} mm apart, and most neighbours {usual:.4g} mm"
        )
    even = np.linspace(places[0], places[-1], len(places))
    if abs(places - even).max() > _MOST_UNEVEN * usual:
        raise DecodeError(
            f"its slices are unevenly spaced, {steps.min():.4g} to {steps.max():.4g} mm apart: "
            "resample it to even distances"
        )
