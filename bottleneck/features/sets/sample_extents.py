"""Whether samples are regions of volumes or whole volumes, as those of a training were."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bottleneck.backbones.recipe import takes_volumes
from bottleneck.text.plurals import counted

if TYPE_CHECKING:
    from bottleneck.features.sets.feature_set import FeatureSet

__all__ = ["count_regions", "explain_extents"]


def count_regions(features: FeatureSet, rows: NDArray[np.intp] | None = None) -> int | None:
    """Return how many samples are regions of volumes; None where there are no volumes.

    Parameters
    ----------
    features : FeatureSet
        The samples; those of volumes that are not regions are whole volumes.
    rows : ndarray of int, or None
        The samples that are counted; None for all.
    """
    if not takes_volumes(features.provenance["recipe"]):
        return None
    if features.volume_regions is None:
        return 0
    regions = features.volume_regions if rows is None else features.volume_regions[rows]
    return int(np.count_nonzero(regions))


def explain_extents(
    n_regions: int | None, n_trained: int, n_new_regions: int | None, n_new: int
) -> str:
    """Return in words that samples are regions, and none of the training was; or reversed.

    Both are resampled to the patch of the network, so that a classifier of one of them has an
    answer for the other, which means nothing.

    Parameters
    ----------
    n_regions, n_trained : int or None, int
        Number of regions and of all samples of the training; None if it had no volumes.
    n_new_regions, n_new : int or None, int
        The same of the new samples.

    Returns
    -------
    str
        Empty if the training had such samples.
    """
    if n_regions is None or n_new_regions is None:
        return ""
    n_whole = n_new - n_new_regions
    samples = counted(n_new, "sample")
    if n_whole and n_regions == n_trained:
        return (
            f"trained on regions of volumes, and {n_whole} of {samples} {_be(n_whole)} a whole "
            "volume: pass a table with a point for each sample, in the columns path, x, y and z"
        )
    if n_new_regions and not n_regions:
        return (
            f"trained on whole volumes, and {n_new_regions} of {samples} {_be(n_new_regions)} a "
            "region: pass the volumes without points"
        )
    return ""


def _be(n: int) -> str:
    return "is" if n == 1 else "are each"
