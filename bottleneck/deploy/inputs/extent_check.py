"""Whether new samples are regions of volumes, or whole volumes, as those of the training were."""

from __future__ import annotations

from bottleneck.data.dataset import ImageDataset
from bottleneck.errors import ModelError
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.features.sets.sample_extents import count_regions, explain_extents

__all__ = ["refuse_other_extent"]


def refuse_other_extent(
    samples: FeatureSet | ImageDataset, n_regions: int | None, n_trained: int
) -> None:
    """Raise ``ModelError`` if samples are regions, and no sample of the training was; or reversed.

    Parameters
    ----------
    samples : FeatureSet or ImageDataset
        The new samples.
    n_regions : int or None
        How many samples of the training were regions of volumes; None if it had no volumes.
    n_trained : int
        Number of samples of the training.

    Raises
    ------
    ModelError
        If the training had no such sample.
    """
    if isinstance(samples, FeatureSet):
        n_new = count_regions(samples)
    else:
        n_new = sum(s.volume_region is not None for s in samples.samples)
    if words := explain_extents(n_regions, n_trained, n_new, len(samples)):
        raise ModelError(f"the model was {words}")
