"""The mean heat map of each class, which shows burned-in text, borders and other fixed places."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bottleneck.errors import UsageError
from bottleneck.explain.maps.heat_map import HeatMap
from bottleneck.statistics.arguments import as_patients, as_vector
from bottleneck.text.plurals import counted
from bottleneck.text.short_repr import describe

__all__ = ["MeanMaps", "mean_maps"]

# Cells of a border, as a share of the side; a map of 7 × 7 has a border of one cell.
_BORDER = 1 / 7
# Times its share of the area from which on a border is named.
_MUCH = 1.25


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class MeanMaps:
    """Mean heat maps of images, each patient with the same weight.

    What is at the same place in all images, such as burned-in text, a ruler or a border, stays in
    the mean; what is at another place in each image, such as a nodule, is blurred.

    Attributes
    ----------
    overall : HeatMap
        The mean over all images.
    classes : mapping of str to HeatMap
        The mean over the images of each true class.
    counts : mapping of str to (int, int)
        Images and patients of each class.
    """

    overall: HeatMap
    classes: Mapping[str, HeatMap]
    counts: Mapping[str, tuple[int, int]]

    def __repr__(self) -> str:
        n = sum(images for images, _ in self.counts.values())
        rows, columns = self.overall.values.shape
        return describe(self, counted(n, "image"), f"{rows} × {columns}", self.overall.method)

    @property
    def border_share(self) -> float:
        """Share of the magnitude of the overall map that is in its outermost seventh."""
        values = np.abs(self.overall.values.astype(np.float64))
        total = float(values.sum())
        return float(values[_border(values.shape)].sum()) / total if total > 0 else np.nan

    @property
    def words(self) -> tuple[str, ...]:
        """Sentences on what the mean maps are of, and on the border."""
        listed = ", ".join(
            f"{label} {counted(images, 'image')} of {counted(patients, 'patient')}"
            for label, (images, patients) in self.counts.items()
        )
        mean = f"Mean maps towards {self.overall.towards}, each patient counted once: {listed}."
        if not np.isfinite(self.border_share):
            return (mean,)
        area = float(_border(self.overall.values.shape).mean())
        is_much = self.border_share > _MUCH * area
        return (
            mean,
            f"The border has {100 * self.border_share:.0f} % of the magnitude of the mean map on "
            f"{100 * area:.0f} % of the area"
            + (
                ": look there for burned-in text, rulers and edges of the image."
                if is_much
                else "."
            ),
        )


def mean_maps(
    heat_maps: Sequence[HeatMap], labels: ArrayLike, groups: ArrayLike | None = None
) -> MeanMaps:
    """Return the mean heat map of each true class, and of all images.

    Parameters
    ----------
    heat_maps : sequence of HeatMap
        One map per image, all towards one class, on one grid, and by one method.
    labels : array-like, shape (n_images,)
        True class of each image.
    groups : array-like, shape (n_images,), optional
        Patients, each of which has the same weight; without them, each image has.

    Returns
    -------
    MeanMaps
        Maps with the mean of the decisions, so that an exact map stays exact.

    Raises
    ------
    UsageError
        If there is no map, or maps differ in class, grid or method.

    Examples
    --------
    >>> maps = [HeatMap(np.full((2, 2), k, np.float32), "ill", "occlusion", k) for k in (1, 3, 8)]
    >>> means = mean_maps(maps, ["ill", "ill", "well"])
    >>> means.classes["ill"].values.tolist(), means.overall.decision
    ([[2.0, 2.0], [2.0, 2.0]], 4.0)
    """
    n = len(heat_maps)
    if not n:
        raise UsageError("mean maps need at least one heat map")
    first = heat_maps[0]
    kinds: set[str]
    for what, kinds in {
        "towards one class": {one.towards for one in heat_maps},
        "by one method": {str(one.method) for one in heat_maps},
        "on one grid": {"×".join(map(str, one.values.shape)) for one in heat_maps},
    }.items():
        if len(kinds) > 1:
            raise UsageError(
                f"mean maps need maps {what}, not of {', '.join(sorted(kinds)[:3])}: pass them "
                "separately"
            )
    true = as_vector("labels", labels, n).astype(str)
    patients = as_patients(groups, n)
    values = np.stack([one.values for one in heat_maps]).astype(np.float64)
    decisions = np.array([one.decision for one in heat_maps])
    constants = [one.intercept for one in heat_maps if one.intercept is not None]

    def mean(chosen: NDArray[np.int64]) -> HeatMap:
        own = np.unique(patients[chosen], return_inverse=True)[1]
        weights = 1 / np.bincount(own)[own]
        intercept = None
        if len(constants) == n:
            intercept = float(np.average(np.array(constants)[chosen], weights=weights))
        return dataclasses.replace(
            first,
            values=np.average(values[chosen], axis=0, weights=weights).astype(np.float32),
            decision=float(np.average(decisions[chosen], weights=weights)),
            intercept=intercept,
        )

    rows = {str(label): np.flatnonzero(true == label) for label in np.unique(true)}
    return MeanMaps(
        overall=mean(np.arange(n)),
        classes={label: mean(chosen) for label, chosen in rows.items()},
        counts={label: (len(c), len(np.unique(patients[c]))) for label, c in rows.items()},
    )


def _border(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return the cells of the outermost seventh of each side; at least one cell."""
    mask = np.ones(shape, bool)
    inner = tuple(slice(w, n - w) for n in shape for w in [max(1, round(n * _BORDER))])
    mask[inner] = False
    return mask
