"""Copies of one image that have different labels, and what is done with them."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.splits.protocol import Conflicts
from bottleneck.duplicates.leak_safe_groups import LeakSafeGroups, connect
from bottleneck.errors import ProtocolError
from bottleneck.text.plurals import counted

__all__ = ["LabelConflicts", "find_conflicting", "resolve_conflicts"]

Strings: TypeAlias = NDArray[np.str_]
Rows: TypeAlias = NDArray[np.intp]

_LISTED = 20


@dataclasses.dataclass(frozen=True, eq=False)
class LabelConflicts:
    """Copies with different labels, and the labels that are used.

    Attributes
    ----------
    how : {"drop", "keep", "majority", "stop"}
        What was done, as in ``Protocol``.
    sets : tuple of tuple of int
        Rows of each set of copies with different labels.
    dropped, relabelled : ndarray of int
        Rows that are left out, and rows that have another label than the data set states; sorted.
    y : ndarray of str, shape (n_samples,)
        Labels of all samples.
    noun : str
        What a sample is, as in ``LeakSafeGroups``.
    """

    how: Conflicts
    sets: tuple[tuple[int, ...], ...]
    dropped: Rows
    relabelled: Rows
    y: Strings
    noun: str = "image"

    @property
    def rows(self) -> Rows:
        """All rows of the sets, sorted."""
        return np.array(sorted(row for rows in self.sets for row in rows), np.intp)

    @property
    def kept(self) -> Rows:
        """Rows of the samples that are used, sorted."""
        return np.setdiff1d(np.arange(len(self.y)), self.dropped)

    @property
    def words(self) -> str:
        """A sentence on the sets and what was done; empty where there are none."""
        if not self.sets:
            return ""
        has = "has" if len(self.sets) == 1 else "have"
        what = (
            f"{counted(len(self.sets), 'set')} of copies "
            f"({counted(len(self.rows), self.noun)}) {has} different labels"
        )
        n_out, n_changed = len(self.dropped), len(self.relabelled)
        done = {
            "drop": "these are left out (--conflicts drop)",
            "keep": "these are used as they are labelled (--conflicts keep)",
            "majority": f"{counted(n_changed, self.noun)} took the label of most copies, and "
            f"{n_out} on a tie are left out (--conflicts majority)",
        }
        return f"{what}: {done.get(self.how, '')}"


def find_conflicting(duplicates: LeakSafeGroups, y: Strings) -> tuple[tuple[int, ...], ...]:
    """Return the sets of copies with different labels.

    Two images are copies if their pixels are identical, or if their thumbnails agree so well that
    at most 0.1 false pairs are expected in the data set. Pairs that need their features as
    evidence do not count, so that the sets are the same for every network and for images.

    Parameters
    ----------
    duplicates : LeakSafeGroups
        Identical and near-duplicate images.
    y : ndarray of str, shape (n_samples,)
        Labels.

    Returns
    -------
    tuple of tuple of int
        Rows of each set. It holds images that are copies of an image with another label, and
        images that are identical to those. A near-duplicate of one label only is not drawn in
        through a chain of neighbours.
    """
    n = len(y)
    identical = [(p.a, p.b) for p in duplicates.pairs if p.identical]
    search = duplicates.search
    near = [
        (p.a, p.b)
        for p in duplicates.pairs
        if not p.identical and search is not None and p.agreement >= search.certain
    ]
    # Identical images are one image; it may have several labels by itself.
    image = connect(identical, n)
    labels: list[set[str]] = [set() for _ in range(int(image.max(initial=-1)) + 1)]
    for number, label in zip(image.tolist(), y.tolist(), strict=True):
        labels[number].add(label)
    between = [(int(image[a]), int(image[b])) for a, b in near]
    ties = [(a, b) for a, b in between if len(labels[a] | labels[b]) > 1]
    mixed = {number for number, own in enumerate(labels) if len(own) > 1}
    mixed.update(number for tie in ties for number in tie)
    group = connect(ties, len(labels))[image]
    rows = np.flatnonzero(np.isin(image, np.array(sorted(mixed), np.intp)))
    sets = (tuple(rows[group[rows] == number].tolist()) for number in np.unique(group[rows]))
    return tuple(sorted(sets))


def resolve_conflicts(
    duplicates: LeakSafeGroups, y: Strings, ids: Strings, how: Conflicts
) -> LabelConflicts:
    """Decide which copies with different labels are used, and with which label.

    Parameters
    ----------
    duplicates : LeakSafeGroups
        Identical and near-duplicate images.
    y, ids : ndarray of str, shape (n_samples,)
        Labels and unique ids.
    how : {"drop", "keep", "majority", "stop"}
        As in ``Protocol``.

    Raises
    ------
    ProtocolError
        If ``how`` is "stop" and there are such copies, which the message names, or if no sample
        of a class is left.

    Examples
    --------
    >>> import numpy as np
    >>> from bottleneck.duplicates.leak_safe_groups import leak_safe_groups
    >>> ids = np.array(["1.png", "2.png", "3.png", "4.png"])
    >>> y = np.array(["benign", "malignant", "benign", "malignant"])
    >>> copies = leak_safe_groups(None, None, ids, pixels=np.array(["a0", "a0", "b1", "c2"]))
    >>> resolve_conflicts(copies, y, ids, "drop").kept.tolist()
    [2, 3]
    """
    sets = find_conflicting(duplicates, y)
    if sets and how == "stop":
        raise ProtocolError(_list(sets, y, ids))
    dropped: list[int] = []
    labels, changed = y.copy(), []
    for rows in sets if how in ("drop", "majority") else ():
        (first, most), *others = Counter(y[list(rows)].tolist()).most_common()
        if how == "drop" or (others and others[0][1] == most):
            dropped += rows
            continue
        changed += [row for row in rows if y[row] != first]
        labels[list(rows)] = first
    left_out = np.array(sorted(dropped), np.intp)
    if lost := sorted(set(y) - set(np.delete(labels, left_out))):
        raise ProtocolError(
            f"without the copies that have different labels, no sample of '{lost[0]}' is left: "
            "correct the labels, or choose --conflicts keep"
        )
    relabelled = np.array(sorted(changed), np.intp)
    return LabelConflicts(how, sets, left_out, relabelled, labels, duplicates.noun)


def _list(sets: tuple[tuple[int, ...], ...], y: Strings, ids: Strings) -> str:
    listed = "; ".join(
        ", ".join(f"'{ids[row]}' ({y[row]})" for row in rows) for rows in sets[:_LISTED]
    )
    more = f"; and {counted(len(sets) - _LISTED, 'more set')}" if len(sets) > _LISTED else ""
    has = "has" if len(sets) == 1 else "have"
    return (
        f"{counted(len(sets), 'set')} of copies {has} different labels: {listed}{more}. Correct "
        "the labels, or choose how to treat the copies: --conflicts drop, keep or majority"
    )
