"""Regions of one volume that overlap: voxels that several samples share."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from bottleneck.audit.findings import Finding
from bottleneck.checks.check_registry import Severity
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.text.plurals import counted

__all__ = ["describe_overlaps"]

Strings = NDArray[np.str_]
Pairs = NDArray[np.intp]

# Pairs that a finding lists. Some scans have a thousand candidates.
_LISTED = 1_000
# Pairs that are compared at once, which limits the memory.
_BLOCK = 1_000_000
# In mm. Regions that only touch do not overlap; boxes are rounded to less.
_TOLERANCE = 1e-3


@dataclasses.dataclass
class _Count:
    """The number of pairs of one relation, and the first of them."""

    n: int = 0
    pairs: list[tuple[int, int]] = dataclasses.field(default_factory=list)

    def add(self, pairs: Pairs, chosen: NDArray[np.bool_]) -> None:
        self.n += int(chosen.sum())
        room = _LISTED - len(self.pairs)
        self.pairs += [(a, b) for a, b in pairs[np.flatnonzero(chosen)[:room]].tolist()]


def describe_overlaps(features: FeatureSet, divisions: Mapping[str, Strings]) -> list[Finding]:
    """Describe the regions that share voxels with another region of their volume.

    Parameters
    ----------
    features : FeatureSet
        The features. Without ``boxes``, as of images, there are no findings.
    divisions : mapping of str to ndarray of str, shape (n_samples,)
        The fold of every sample, "" for none, by the name of the division.

    Returns
    -------
    list of Finding
        A pair is a leak in different folds or of different patients, and otherwise a note. Each
        finding lists its first thousand pairs.
    """
    if features.boxes is None or features.sources is None:
        return []
    patients = features.ids if features.patients is None else features.patients
    apart = {name: _Count() for name in divisions}
    of_patients, together = _Count(), _Count()
    for pairs in _overlapping(features.sources, features.boxes):
        a, b = pairs.T
        harmless = np.ones(len(pairs), bool)
        for name, fold in divisions.items():
            divided = (fold[a] != fold[b]) & (fold[a] != "") & (fold[b] != "")
            apart[name].add(pairs, divided)
            harmless &= ~divided
        differ = patients[a] != patients[b]
        of_patients.add(pairs, differ)
        together.add(pairs, harmless & ~differ)
    relations: list[tuple[_Count, Severity, str]] = [
        (count, "leak", f"are in different {name}: voxels of test samples are trained on")
        for name, count in apart.items()
    ]
    relations += [
        (of_patients, "leak", "count as different patients: name the patient of each volume"),
        (together, "note", "belong to one patient and stay together: no leak"),
    ]
    return [
        Finding(
            "BF105",
            severity,
            count.n,
            f"{counted(count.n, 'pair')} of regions of one volume that overlap: they {relation}.",
            pairs=tuple(count.pairs),
        )
        for count, severity, relation in relations
        if count.n
    ]


def _overlapping(sources: Strings, boxes: NDArray[np.float64]) -> Iterator[Pairs]:
    """Yield the pairs of rows of one volume whose boxes overlap, some at a time, shape (n, 2)."""
    _, volume = np.unique(sources, return_inverse=True)
    order = np.lexsort([boxes[:, 0], volume])
    ends = np.flatnonzero(np.diff(volume[order])) + 1
    for rows in np.split(order, ends):
        low, high = boxes[rows, :3] + _TOLERANCE, boxes[rows, 3:]
        # Sorted by the first axis: a box can overlap with those that follow until one starts
        # behind it.
        n_following = np.searchsorted(low[:, 0], high[:, 0]) - np.arange(1, len(rows) + 1)
        n_pairs = np.cumsum(n_following.clip(0))
        for some in np.split(np.arange(len(rows)), np.searchsorted(n_pairs, _blocks(n_pairs))):
            n = n_following[some].clip(0)
            first = np.repeat(some, n)
            second = first + 1 + np.arange(n.sum()) - np.repeat(np.cumsum(n) - n, n)
            meets = ((low[first] < high[second]) & (low[second] < high[first])).all(axis=1)
            if meets.any():
                pairs = np.stack([rows[first[meets]], rows[second[meets]]], axis=1)
                yield np.sort(pairs, axis=1)


def _blocks(n_pairs: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the numbers of pairs at which a new block starts."""
    return np.arange(_BLOCK, int(n_pairs[-1]), _BLOCK)
