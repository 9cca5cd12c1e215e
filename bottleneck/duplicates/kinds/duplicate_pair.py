"""A pair of duplicates."""

from __future__ import annotations

import dataclasses
from typing import Literal

from bottleneck.text.short_repr import show_fields

__all__ = ["DuplicatePair", "PairKind"]

PairKind = Literal["identical", "altered copy", "neighbouring frame", "unclear"]


@dataclasses.dataclass(frozen=True, slots=True)
class DuplicatePair:
    """Two rows of one image, or nearly: a copy, or a neighbouring frame of one recording.

    Attributes
    ----------
    a, b : int
        Rows, a < b.
    identical : bool
        Whether the decoded pixels are equal; otherwise one is a near-duplicate of the other.
    agreement : float
        Agreement of the thumbnails at their best alignment, at most 1.
    similarity : float or None
        Cosine of the standardised features; None where there are none.
    kind : {"identical", "altered copy", "neighbouring frame", "unclear"}
        What the pair likely is.
    alterations : tuple of str
        What was done to a copy, such as "mirrored"; empty where nothing was recognised.
    """

    a: int
    b: int
    identical: bool
    agreement: float
    similarity: float | None
    kind: PairKind = "unclear"
    alterations: tuple[str, ...] = ()

    __repr__ = show_fields
