"""Patients, and folds that keep each of them on one side."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.splits.examination_names import group_examinations
from bottleneck.errors import ProtocolError
from bottleneck.text.plurals import counted

__all__ = [
    "SEEDS_TRIED",
    "SplitColumns",
    "count_by_class",
    "draw",
    "inner_folds",
    "name_patients",
    "shared_inner_folds",
]

Strings = NDArray[np.str_]
Indices = NDArray[np.intp]

# The grouped splitter is greedy and can leave a fold without a class although enough patients
# exist; another seed nearly always helps, and where none of these does, the labels forbid it.
SEEDS_TRIED = 20


def name_patients(groups: Strings | None, ids: Strings | None = None) -> Strings | None:
    """Return a patient for every row: a row without one is a patient of its own.

    Parameters
    ----------
    groups : ndarray of str, shape (n_samples,), or None
        Patients; an empty string where a row has none.
    ids : ndarray of str, shape (n_samples,), or None
        Names for the patients of rows without one; row numbers by default.

    Returns
    -------
    ndarray of str, shape (n_samples,), or None
        None where no row has a patient.
    """
    if groups is None or not np.any(groups != ""):
        return None
    own = np.arange(len(groups)).astype(str) if ids is None else ids
    return np.where(groups == "", np.char.add("sample ", own), groups)


class SplitColumns:
    """Columns that a split of samples depends on, for classes that hold them.

    Attributes
    ----------
    ids, y : ndarray of str, shape (n_samples,)
        Unique ids, and labels; "" for a sample without one.
    stated_patients, splits, folds, centres : ndarray of str, shape (n_samples,), or None
        Patient, fixed split, published fold and centre as the data set states them; an empty
        string in a row without one.
    examinations : ndarray of str, shape (n_samples,), or None
        Examination of each row, as ``examination_names`` writes it; an empty string likewise.
    """

    ids: Strings
    y: Strings
    stated_patients: Strings | None
    splits: Strings | None
    folds: Strings | None
    centres: Strings | None
    examinations: Strings | None = None

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """All labels, sorted; "" stands for none and is not among them."""
        return tuple(str(c) for c in np.unique(self.y) if c)

    @cached_property
    def patients(self) -> Strings | None:
        """Patient of every row; None where no patient is known.

        A row without a patient is a patient of its own, named after its id.
        """
        return name_patients(self.stated_patients, self.ids)

    @cached_property
    def loose_examinations(self) -> Strings | None:
        """Examinations that no split may divide, since a row of theirs has no patient.

        An empty string stands for all other rows; None where there is no such examination.
        """
        if self.examinations is None:
            return None
        names = group_examinations(self.examinations)
        stated = self.stated_patients
        is_loose = names != "" if stated is None else (names != "") & (stated == "")
        known, counts = np.unique(names, return_counts=True)
        shared = np.intersect1d(known[counts > 1], names[is_loose])
        kept = np.where(np.isin(names, shared), names, "")
        return kept if len(shared) else None

    @property
    def n_unnamed(self) -> int:
        """Number of rows without a patient."""
        return (
            len(self.ids)
            if self.stated_patients is None
            else int((self.stated_patients == "").sum())
        )

    @property
    def fold_columns(self) -> list[Strings]:
        """Labels, then the splits and folds of the data set where it has any."""
        return [c for c in (self.y, self.splits, self.folds) if c is not None]


def count_by_class(y: Strings, patients: Strings | None = None) -> dict[str, int]:
    """Count the samples, or the patients, of each class.

    Parameters
    ----------
    y : ndarray of str, shape (n_samples,)
        Labels.
    patients : ndarray of str, shape (n_samples,), or None
        Patients, to count them in place of samples. A patient with samples of
        several classes counts in each.

    Returns
    -------
    dict of str to int
        In the order of the sorted labels.
    """
    if patients is None:
        classes, counts = np.unique(y, return_counts=True)
        return dict(zip(map(str, classes), counts.tolist(), strict=True))
    return {str(c): len(np.unique(patients[y == c])) for c in np.unique(y)}


def draw(
    y: Strings, patients: Strings | None, n_splits: int, seeds: Iterator[int]
) -> tuple[int, list[tuple[Indices, Indices]]] | None:
    """Draw random folds, stratified by class and grouped by patient.

    Parameters
    ----------
    y : ndarray of str, shape (n_samples,)
        Labels.
    patients : ndarray of str, shape (n_samples,), or None
        Patient of every row.
    n_splits : int
        Number of folds, at most the number of patients (or samples) of each class.
    seeds : iterator of int
        Seeds to try until all training and test sets hold every class.

    Returns
    -------
    tuple of (int, list of (ndarray of int, ndarray of int)), or None
        The seed, and the rows to train and to test on in each fold. None where
        ``SEEDS_TRIED`` seeds gave no such folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    splitter = StratifiedKFold if patients is None else StratifiedGroupKFold
    grouping = {} if patients is None else {"groups": patients}
    # Numbered by first appearance: the splitter adds up over the sorted classes, and the last bits
    # of its sums, which decide between equally good folds, would depend on how they are spelled.
    _, first, by_name = np.unique(y, return_index=True, return_inverse=True)
    classes = np.argsort(np.argsort(first))[by_name]
    n_classes = len(first)
    for seed in itertools.islice(seeds, SEEDS_TRIED):
        folds = splitter(n_splits=n_splits, shuffle=True, random_state=seed)
        parts = list(folds.split(np.zeros(len(y)), classes, **grouping))
        if all(len(np.unique(classes[rows])) == n_classes for pair in parts for rows in pair):
            return seed, parts
    return None


def inner_folds(
    y: Strings, groups: Strings | None, n_splits: int, seed: int
) -> list[tuple[Indices, Indices]]:
    """Divide a training set into grouped folds that hyperparameters are chosen on.

    Parameters
    ----------
    y : ndarray of str, shape (n_samples,)
        Labels of the training set.
    groups : ndarray of str, shape (n_samples,), or None
        Group of every row, such as its patient.
    n_splits : int
        Number of folds; fewer are made where a class has fewer patients.
    seed : int
        The first seed tried.

    Returns
    -------
    list of (ndarray of int, ndarray of int)
        Rows to fit on and rows to score on; both hold every class.

    Raises
    ------
    ProtocolError
        If not even two such folds can be made.
    """
    counts = count_by_class(y, groups)
    for k in range(min(n_splits, *counts.values()), 1, -1):
        drawn = draw(y, groups, k, itertools.count(seed))
        if drawn is not None:
            return drawn[1]
    rare = min(counts, key=counts.__getitem__)
    held = counted(counts[rare], "sample" if groups is None else "patient")
    raise ProtocolError(
        f"choosing hyperparameters needs at least 2 folds within each training set, with every "
        f"class in both; one training set holds {held} of class "
        f"'{rare}'. Ask for more folds, so that training sets grow, or add samples of that class"
    )


def shared_inner_folds(
    y: Strings,
    groups: Strings | None,
    trains: Sequence[Indices],
    tested: NDArray[np.int64],
    n_splits: int,
    seed: int,
) -> list[list[tuple[Indices, Indices]]] | None:
    """Divide several training sets into inner folds by one division of all patients.

    A patient is then in the inner fold of the same number in every training set. Within each
    class, the patients of each test fold are dealt out in turn, those with most samples first, so
    that the inner folds have about equal sizes in every training set.

    Parameters
    ----------
    y : ndarray of str, shape (n_samples,)
        Labels of all samples.
    groups : ndarray of str, shape (n_samples,), or None
        Group of every row, such as its patient.
    trains : sequence of ndarray of int
        Rows of the training sets.
    tested : ndarray of int64, shape (n_samples,)
        The fold that tests each row; -1 for none.
    n_splits : int
        Number of inner folds; fewer are made where a class has fewer patients, as by
        ``inner_folds``.
    seed : int
        The first seed tried.

    Returns
    -------
    list of list of (ndarray of int, ndarray of int), or None
        For each training set, the places in it to fit on and to score on. None where no such
        division leaves every class on both sides of all inner folds.
    """
    units = np.arange(len(y)) if groups is None else np.unique(groups, return_inverse=True)[1]
    codes, n_samples = np.unique(y, return_inverse=True, return_counts=True)[1:]
    n_classes = len(n_samples)
    # A patient of several classes is dealt with those of the rarest.
    order = np.lexsort([codes, n_samples[codes], units])
    first = order[np.flatnonzero(np.diff(units[order], prepend=-1))]
    classes, folds, sizes = codes[first], tested[first], np.bincount(units)
    counts = [count_by_class(y[t], None if groups is None else groups[t]) for t in trains]
    k = min(n_splits, *(n for count in counts for n in count.values()))
    if k < 2 or any(len(count) < n_classes for count in counts):
        return None
    for attempt in range(seed, seed + SEEDS_TRIED):
        rng = np.random.default_rng(attempt)
        part = np.empty(len(first), dtype=np.int64)
        for label in range(n_classes):
            members = rng.permutation(np.flatnonzero(classes == label))
            members = members[np.lexsort([-sizes[members], folds[members]])]
            part[members] = rng.permutation(k)[np.arange(len(members)) % k]
        of_row = part[units]
        divided = [
            [(np.flatnonzero(of_row[t] != n), np.flatnonzero(of_row[t] == n)) for n in range(k)]
            for t in trains
        ]
        if all(
            len(np.unique(codes[t][rows])) == n_classes
            for t, parts in zip(trains, divided, strict=True)
            for pair in parts
            for rows in pair
        ):
            return divided
    return None
