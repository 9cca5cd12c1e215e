"""What an extraction did."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bottleneck.features.timing import Stage
from bottleneck.text.plurals import counted
from bottleneck.text.short_repr import describe, show_html

__all__ = ["Extraction"]


@dataclasses.dataclass(frozen=True, eq=False)
class Extraction:
    """What an extraction did to one feature file.

    Attributes
    ----------
    path : Path
        The feature file.
    n_samples : int
        Samples of the data set.
    n_extracted, n_known, n_copies : int
        Rows computed in this run; rows kept from earlier runs; and rows of copies, byte by byte.
    taken : mapping of str to int
        Rows kept from other feature files of the folder, by the names of these.
    failures : tuple of (str, str)
        Id and reason of the samples without a row.
    seconds, images_per_second : float
        Duration and rate of this run.
    width : int
        Length of a feature vector.
    stages : tuple of Stage
        Where the time of this run went; files that one call extracts together share it.
    bottleneck, advice : str
        Name of the stage that the others waited for, and the option that would widen it.
    notes : tuple of str
        Messages for the user.
    provenance : mapping
        As the file holds it.

    Examples
    --------
    >>> from bottleneck import extract, load_dataset
    >>> from bottleneck.testing import tiny_backbone
    >>> run = extract(load_dataset("phantom", limit=2), tiny_backbone(), output="features")
    >>> run.n_samples, run.width
    (4, 8)
    """

    path: Path
    n_samples: int
    n_extracted: int
    n_known: int
    n_copies: int
    taken: Mapping[str, int]
    failures: tuple[tuple[str, str], ...]
    seconds: float
    images_per_second: float
    width: int
    stages: tuple[Stage, ...]
    bottleneck: str
    advice: str
    notes: tuple[str, ...]
    provenance: Mapping[str, Any]

    _repr_html_ = show_html

    def __repr__(self) -> str:
        copies = f" and {self.n_copies} of copies" if self.n_copies else ""
        return describe(
            self,
            self.path.name,
            f"{counted(self.n_samples, 'sample')}, {counted(self.width, 'feature')}",
            f"{self.n_extracted} rows computed, {self.n_known} known before{copies}",
            f"{len(self.failures)} without a row" if self.failures else "",
            f"{self.images_per_second:.1f} images/s in {self.seconds:.1f} s",
            counted(len(self.notes), "note") if self.notes else "",
        )
