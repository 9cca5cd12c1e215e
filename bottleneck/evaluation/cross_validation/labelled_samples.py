"""Ids, labels and groups of the samples that all arms are trained and tested on."""

from __future__ import annotations

import dataclasses
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["LabelledSamples"]

Strings: TypeAlias = NDArray[np.str_]


@dataclasses.dataclass(frozen=True, eq=False)
class LabelledSamples:
    """Samples as a cross-validation needs them.

    Attributes
    ----------
    ids : ndarray of str, shape (n_samples,)
        Unique sample ids.
    y : ndarray of str, shape (n_samples,)
        Labels.
    groups : ndarray of str, shape (n_samples,), or None
        Groups that no fold divides, such as leak-safe groups or patients.
    """

    ids: Strings
    y: Strings
    groups: Strings | None

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """All labels, sorted."""
        return tuple(str(c) for c in np.unique(self.y))

    @property
    def units(self) -> Strings:
        """Group of every sample, or its id where no groups are known."""
        return self.ids if self.groups is None else self.groups

    def groups_of(self, rows: NDArray[np.intp]) -> Strings | None:
        """Return the groups of some rows; None where no groups are known."""
        return None if self.groups is None else self.groups[rows]
