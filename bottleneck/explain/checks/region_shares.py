"""The share of heat maps inside known regions, next to that of a centred blob."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bottleneck.errors import UsageError
from bottleneck.explain.checks.shares import Part, as_mask, centred_blob, share_inside
from bottleneck.explain.maps.heat_map import HeatMap
from bottleneck.statistics.arguments import as_patients
from bottleneck.statistics.inference.intervals import (
    Interval,
    effective_number,
    mean_interval,
    with_counts,
)
from bottleneck.text.plurals import counted
from bottleneck.text.short_repr import describe

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RegionShares", "region_shares"]

Floats = NDArray[np.float64]
_PARTS: tuple[Part, ...] = ("positive", "absolute")

# Effective number of patients below which there is an estimate only, as in ``holds_level``.
_LEAST_EFFECTIVE = 10
# A difference of shares that does not matter.
_SMALL = 0.05


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class RegionShares:
    """The share of heat maps inside known regions, with intervals by patient.

    Attributes
    ----------
    inside, blob, area : Interval
        Means over the images: the share of the positive map inside the region, that of a centred
        blob of the same spread, and the share of the input that the region covers.
    better : Interval
        The difference between ``inside`` and ``blob``, paired by image.
    absolute, absolute_blob, absolute_better : Interval
        The same of the magnitudes of the map.
    n_unknown, n_outside : int
        Images without a known region, and images with a region that was cropped away.
    n_without : int
        Images with a region and a map without positive values.
    effective : float
        Effective number of patients, as ``effective_number`` returns it.
    """

    inside: Interval
    blob: Interval
    area: Interval
    better: Interval
    absolute: Interval
    absolute_blob: Interval
    absolute_better: Interval
    n_unknown: int = 0
    n_outside: int = 0
    n_without: int = 0
    effective: float = 0.0

    def __repr__(self) -> str:
        shares = f"{self.inside.value:.3g} inside, {self.blob.value:.3g} of a centred blob"
        return describe(self, counted(self.inside.n or 0, "image"), shares)

    @property
    def verdict(self) -> Literal["better", "worse", "no better", "not decided"]:
        """Whether more of the map is inside the regions than of the blob.

        "no better" means that the interval of the difference is between -0.05 and 0.05.
        """
        low, high = self.better.low, self.better.high
        if not self.is_interval_shown:
            return "not decided"
        if max(-low, high) <= _SMALL:
            return "no better"
        if low > 0:
            return "better"
        return "worse" if high < 0 else "not decided"

    @property
    def is_interval_shown(self) -> bool:
        """Whether there are enough patients for an interval: an effective number of 10."""
        return bool(np.isfinite(self.better.low)) and self.effective >= _LEAST_EFFECTIVE

    @property
    def words(self) -> tuple[str, ...]:
        """Sentences on the shares, and on what they mean."""
        n = self.inside.n or 0
        unknown = (
            (self.n_unknown, "no region is known"),
            (self.n_outside, "the region was cropped away"),
            (self.n_without, "there is no evidence for the class"),
        )
        missing = tuple(f"In {counted(k, 'image')} {what}." for k, what in unknown if k)
        if not n:
            return ("No image has a known region on the input of the network.", *missing)
        patients = counted(self.inside.n_groups or n, "patient")
        shown = self._show
        first = (
            f"Of the evidence for the class, {shown(self.inside)} is inside the known regions "
            f"({counted(n, 'image')} of {patients}). A blob in the centre of the image with the "
            f"same spread has {shown(self.blob)} inside; the regions cover {shown(self.area)} "
            "of the image."
        )
        difference = f"the difference is {_points(self.better, shown=self.is_interval_shown)}"
        second = {
            "better": f"The map does better than the blob: {difference}.",
            "worse": f"The map does worse than the blob: {difference}.",
            "no better": f"The map does no better than the blob: {difference}.",
            "not decided": f"Whether the map does better than the blob is not decided: {difference}"
            + ("." if self.is_interval_shown else f", an estimate from {patients} only."),
        }[self.verdict]
        return first, second, *missing

    def _show(self, share: Interval) -> str:
        bounds = f" (95 % {100 * share.low:.0f} to {100 * share.high:.0f} %)"
        return f"{100 * share.value:.0f} %" + bounds * (
            self.is_interval_shown and share.low < share.high
        )

    def to_frame(self) -> pd.DataFrame:
        """Return one row per share.

        Returns
        -------
        DataFrame
            Columns part ("positive", "absolute"), of ("map", "blob", "difference", "region"),
            value, low, high, images, patients, method.
        """
        import pandas as pd

        rows = [
            ("positive", "map", self.inside),
            ("positive", "blob", self.blob),
            ("positive", "difference", self.better),
            ("absolute", "map", self.absolute),
            ("absolute", "blob", self.absolute_blob),
            ("absolute", "difference", self.absolute_better),
            ("", "region", self.area),
        ]
        names = ["part", "of", "value", "low", "high", "images", "patients", "method"]
        return pd.DataFrame(
            [(part, of, i.value, i.low, i.high, i.n, i.n_groups, i.method) for part, of, i in rows],
            columns=names,
        )


def region_shares(
    heat_maps: Sequence[HeatMap],
    masks: Sequence[ArrayLike | None],
    groups: ArrayLike | None = None,
    *,
    level: float = 0.95,
) -> RegionShares:
    """Return the share of heat maps inside known regions, with intervals by patient.

    Parameters
    ----------
    heat_maps : sequence of HeatMap
        One map per image.
    masks : sequence of array or None
        The region of each image on the input of the network, as ``input_masks`` returns it; None
        where none is known.
    groups : array-like, shape (n_images,), optional
        Patient of each image; without it, each image counts as a patient.
    level : float
        Confidence level.

    Returns
    -------
    RegionShares

    Raises
    ------
    UsageError
        If the numbers of maps, masks and groups differ, or a mask is none.

    Examples
    --------
    >>> mask = np.zeros((8, 8), bool)
    >>> mask[:4, :4] = True
    >>> values = np.array([[3, 1], [0, 0]], np.float32)
    >>> maps = [HeatMap(values + k / 50, "ill", "occlusion", 1.0) for k in range(12)]
    >>> region_shares(maps, [mask] * 12)
    <RegionShares 12 images: 0.702 inside, 0.25 of a centred blob>
    """
    n = len(heat_maps)
    patients = as_patients(groups, n)
    if len(masks) != n:
        raise UsageError(
            f"{counted(n, 'heat map')} and {len(masks)} masks: pass one mask, or None, per map"
        )
    table, owners = [], []
    n_unknown = n_outside = n_without = 0
    for heat_map, given, patient in zip(heat_maps, masks, patients, strict=True):
        if given is None:
            n_unknown += 1
            continue
        mask = as_mask(given)
        if not mask.any():
            n_outside += 1
            continue
        row = [float(mask.mean())]
        for part in _PARTS:
            blob = centred_blob(heat_map, part)
            row.append(share_inside(heat_map, mask, part))
            row.append(share_inside(blob, mask) if np.isfinite(blob).all() else np.nan)
        n_without += bool(np.isnan(row[1]))
        table.append(row)
        owners.append(patient)
    columns = np.array(table, float).reshape(-1, 5).T
    own = np.array(owners, np.int64)
    area, inside, of_blob, absolute, absolute_blob = columns

    def mean(values: Floats, bounds: tuple[float, float] = (0, 1)) -> Interval:
        return _mean_by_patient(values, own, level, bounds)

    return RegionShares(
        inside=mean(inside),
        blob=mean(of_blob),
        area=mean(np.where(np.isnan(inside), np.nan, area)),
        better=mean(inside - of_blob, (-1, 1)),
        absolute=mean(absolute),
        absolute_blob=mean(absolute_blob),
        absolute_better=mean(absolute - absolute_blob, (-1, 1)),
        n_unknown=n_unknown,
        n_outside=n_outside,
        n_without=n_without,
        effective=effective_number(used) if len(used := own[np.isfinite(inside)]) else 0.0,
    )


def _points(difference: Interval, *, shown: bool) -> str:
    level = 100 * difference.level
    bounds = f" ({level:g} %: {100 * difference.low:+.0f} to {100 * difference.high:+.0f})"
    return f"{100 * difference.value:+.0f} points" + bounds * shown


def _mean_by_patient(
    values: Floats, patients: NDArray[np.int64], level: float, bounds: tuple[float, float]
) -> Interval:
    kept = np.isfinite(values)
    values, patients = values[kept], patients[kept]
    if not len(values):
        nothing = Interval(np.nan, np.nan, np.nan, np.nan, level, "no image")
        return dataclasses.replace(nothing, n=0, n_groups=0)
    codes = np.unique(patients, return_inverse=True)[1].astype(np.int64)
    value = float(values.mean())
    influence = (values - value) / len(values)
    made = mean_interval(value, influence, codes, 1.0, level, "mean, t by patient", bounds)
    return with_counts(made, len(values), codes)
