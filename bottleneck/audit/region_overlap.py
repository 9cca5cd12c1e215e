"""Regions of one volume that overlap: voxels that several samples share."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from bottleneck.audit.findings import Finding, Severity
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.text.plurals import counted

__all__ = ["describe_overlaps"]

Strings = NDArray[np.str_]
Pairs = NDArray[np.intp]

# Pairs that a finding lists. Some scans have a thousand candidates.
_LISTED = 1_000
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
            "overlapping regions",
            severity,
            count.n,
            f"{counted(count.n, 'pair')} of regions of one volume that overlap: they {relation}.",
            pairs=tuple(count.pairs),
        )
        for count, severity, relation in relations
        if count.n
    ]


def _overlapping(sources: Strings, boxes: NDArray[np.float64]) -> Iterator[Pairs]:
    """Yield, for each volume, the pairs of rows whose boxes overlap, shape (n, 2)."""
    order = np.argsort(sources, kind="stable")
    starts = np.flatnonzero(np.append(True, sources[order][1:] != sources[order][:-1]))
    for rows in np.split(order, starts[1:]):
        low, high = boxes[rows, :3] + _TOLERANCE, boxes[rows, 3:]
        above, below = np.triu_indices(len(rows), k=1)
        meets = ((low[above] < high[below]) & (low[below] < high[above])).all(axis=1)
        if meets.any():
            yield np.stack([rows[above[meets]], rows[below[meets]]], axis=1)
