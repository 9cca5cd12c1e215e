"""Protocol of a split, and the folds that it results in."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bottleneck.checks.check_warnings import CheckWarning
from bottleneck.settings.ranges import FoldCount, Repeats, Seed
from bottleneck.settings.schema import option, schema
from bottleneck.text.short_repr import show_fields

__all__ = [
    "FEW_PATIENTS",
    "REPEATS_OF_FEW",
    "Conflicts",
    "Fold",
    "Folds",
    "Protocol",
]

Indices = NDArray[np.intp]
Kind = Literal["auto", "cv", "split", "folds", "centres"]
Unit = Literal["image", "patient"]
Aggregate = Literal["mean", "max"]
Conflicts = Literal["drop", "keep", "majority", "stop"]

SPLITTING = "Splitting and counting"

#: With fewer patients, the AUROC depends visibly on which folds were drawn.
FEW_PATIENTS = 500
#: Repeats of a cross-validation of so few patients.
REPEATS_OF_FEW = 5


@schema
class Protocol:
    """How samples are split into training and test sets, and what is counted.

    Attributes
    ----------
    kind : {"auto", "cv", "split", "folds", "centres"}
        "cv" draws folds, grouped by patient and stratified by class; "split" takes the
        data set's own training and test sets; "folds" takes its published folds;
        "centres" tests on each centre a model trained on the others; "auto" takes the first
        of split, folds and cv that the data set allows.
    n_splits : int
        Number of folds that "cv" draws.
    repeats : int or None
        How often "cv" draws folds. None is ``default_repeats`` where heads are trained on
        features, 3 in the leak experiment, and 1 where whole networks are trained.
    inner_splits : int
        Number of folds within each training set that choose the hyperparameters.
    seed : int
        Seed of the folds, and of whatever a head draws at random.
    unit : {"image", "patient"}
        What is predicted and counted. A patient's score is computed from the scores of their
        images, after heads were trained on images.
    aggregate : {"mean", "max"}
        A patient's score: the mean of the images' scores, or the highest one of the positive
        class.
    allow_leakage : bool
        Continue where a leak audit finds patients or images on both sides of a split, and do
        not keep copies of an image together. The report then says so in its first line.
    conflicts : {"drop", "keep", "majority", "stop"}
        What is done with copies of one image that have different labels: "drop" leaves all of
        them out, "keep" uses them as they are labelled, "majority" gives them the label of most
        of them (and leaves them out on a tie), and "stop" refuses the data set.

    Raises
    ------
    UsageError
        If a value is not among the choices or out of range.

    Examples
    --------
    >>> protocol = Protocol(n_splits=3, repeats=2, unit="patient")
    >>> protocol.kind, protocol.n_splits
    ('auto', 3)
    """

    kind: Kind = option(
        "auto",
        "cv (cross-validation, patients kept together), split (the data set's own), folds (its "
        "published folds), centres (leave one centre out), or auto: the first of split, folds and "
        "cv that the data set allows.",
        name="protocol",
        panel=SPLITTING,
    )
    n_splits: FoldCount = option(5, "Folds of the cross-validation.", name="folds", panel=SPLITTING)
    repeats: Repeats | None = option(
        None,
        "Repeats of the cross-validation, each with new folds.",
        panel=SPLITTING,
        shown=f"{REPEATS_OF_FEW} below {FEW_PATIENTS} patients, otherwise 1",
    )
    inner_splits: FoldCount = option(5, "Folds within each training set.")
    seed: Seed = option(0, "Seed of folds and heads.", panel=SPLITTING)
    unit: Unit = option(
        "image",
        "Unit that is counted: image, or patient (with one score computed from the patient's "
        "images).",
        panel=SPLITTING,
    )
    aggregate: Aggregate = option("mean", "How a patient's score is computed.", panel=SPLITTING)
    allow_leakage: bool = option(
        False,
        "Continue although the same patients or images are on both sides of a split.",
        panel=SPLITTING,
    )
    conflicts: Conflicts = option(
        "drop",
        "Copies of one image with different labels: drop (leave them out), keep, majority (the "
        "label of most copies), or stop.",
        panel=SPLITTING,
    )


@dataclasses.dataclass(frozen=True, eq=False)
class Fold:
    """A training set and the test set that goes with it.

    Attributes
    ----------
    repeat, index : int
        Number of the repeat and of the fold within it, from 0.
    seed : int
        Seed of the repeat.
    train, test : ndarray of int
        Rows of the feature set.
    """

    repeat: int
    index: int
    seed: int
    train: Indices
    test: Indices

    __repr__ = show_fields


@dataclasses.dataclass(frozen=True, eq=False)
class Folds:
    """The folds of a protocol on one data set.

    Attributes
    ----------
    kind : {"cross-validation", "fixed split", "given folds", "centres", "test set"}
        Kind of split. Of a "test set", the training set is not known.
    folds : tuple of Fold
        Repeat by repeat.
    words : str
        Description of the split for a methods section.
    grouped : bool
        Whether patients are known and each is on one side of every split.
    warnings : tuple of CheckWarning
        Warnings about the split.
    """

    kind: Literal["cross-validation", "fixed split", "given folds", "centres", "test set"]
    folds: tuple[Fold, ...]
    words: str
    grouped: bool = False
    warnings: tuple[CheckWarning, ...] = ()

    __repr__ = show_fields

    def __len__(self) -> int:
        return len(self.folds)

    def __iter__(self) -> Iterator[Fold]:
        return iter(self.folds)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seed of each repeat; seeds that left a fold without a class are skipped."""
        return tuple(fold.seed for fold in self.folds if fold.index == 0)
