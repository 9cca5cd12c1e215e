"""How many samples are regions of volumes, and not whole volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bottleneck.backbones.recipe import takes_volumes

if TYPE_CHECKING:
    from bottleneck.features.sets.feature_set import FeatureSet

__all__ = ["count_regions"]


def count_regions(features: FeatureSet, rows: NDArray[np.intp] | None = None) -> int | None:
    """Return how many samples are regions of volumes; None where there are no volumes.

    Parameters
    ----------
    features : FeatureSet
        The samples; those of volumes that are no regions are whole volumes.
    rows : ndarray of int, or None
        The samples that are counted; None for all.
    """
    if not takes_volumes(features.provenance["recipe"]):
        return None
    if features.volume_regions is None:
        return 0
    counted = features.volume_regions if rows is None else features.volume_regions[rows]
    return int(np.count_nonzero(counted))
