"""Stamps of files: their size and modification time, where these reveal a change."""

from __future__ import annotations

import time

from bottleneck.data.dataset import ImageDataset
from bottleneck.data.samples.sample_table import Sample
from bottleneck.features.rows import NO_STAMP, Stamp

__all__ = ["settled_stamp"]

# Nanoseconds. A file may change twice within one tick of a file system's clock, and the coarsest
# clock ticks every two seconds: the stamp of a younger file does not prove that it is unchanged.
_SETTLED = 2 * 10**9


def settled_stamp(dataset: ImageDataset, sample: Sample) -> Stamp:
    """Return size and modification time of an image file, or ``NO_STAMP`` if it is too young."""
    # Called before the bytes are read: if the file changes in between, the stamp is outdated and
    # the next run reads the file again.
    stamp = dataset.stamp(sample)
    if stamp is None or time.time_ns() - stamp[1] < _SETTLED:
        return NO_STAMP
    return stamp
