"""Whether new samples are regions of volumes, or whole volumes, as those of the training were."""

from __future__ import annotations

from bottleneck.data.dataset import ImageDataset
from bottleneck.errors import ModelError
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.features.sets.volume_regions import count_regions
from bottleneck.text.plurals import counted

__all__ = ["refuse_other_extent"]


def refuse_other_extent(
    samples: FeatureSet | ImageDataset, n_regions: int | None, n_trained: int
) -> None:
    """Raise ``ModelError`` if samples are regions, and no sample of the training was; or reversed.

    A whole volume is resampled to the patch of the network, and so is a region: a model of one of
    them has an answer for the other, which means nothing.

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
    if n_new is None or n_regions is None:
        return
    n_whole = len(samples) - n_new
    if n_whole and n_regions == n_trained:
        raise ModelError(
            "the model was trained on regions of volumes, and "
            f"{n_whole} of {counted(len(samples), 'sample')} {_be(n_whole)} a whole volume: pass a "
            "table with a point for each sample, in the columns path, x, y and z, as at extraction"
        )
    if n_new and not n_regions:
        raise ModelError(
            "the model was trained on whole volumes, and "
            f"{n_new} of {counted(len(samples), 'sample')} {_be(n_new)} a region: pass the volumes "
            "without points"
        )


def _be(n: int) -> str:
    return "is" if n == 1 else "are each"
