"""A row of features, and what its values answer to."""

from __future__ import annotations

import dataclasses

from bottleneck.data.images.decode import PixelFacts
from bottleneck.data.samples import Sample

__all__ = ["NO_STAMP", "Row", "Stamp", "row_key"]

# Size in bytes and modification time in nanoseconds of an image's file.
Stamp = tuple[int, int]
NO_STAMP: Stamp = (-1, -1)


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """A sample that has features, and what is known of its image."""

    sample: Sample
    sha256: str
    facts: PixelFacts
    stamp: Stamp = NO_STAMP

    @property
    def key(self) -> str:
        """What the row's values answer to."""
        return row_key(self.sha256, self.sample)


def row_key(sha256: str, sample: Sample) -> str:
    """Name what a row's values answer to: the image's bytes, and the region of it."""
    return sha256 if sample.region is None else f"{sha256}{list(sample.region)}"
