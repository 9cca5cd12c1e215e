"""A protocol, which says how samples are split, and the folds that come of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from bottleneck.errors import UsageError, unknown_name

__all__ = ["Fold", "Folds", "Protocol"]

Indices = NDArray[np.intp]
Kind = Literal["auto", "cv", "split", "folds", "centres"]
Unit = Literal["image", "patient"]
Aggregate = Literal["mean", "max"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Protocol:
    """How samples are split into training and test parts.

    Attributes
    ----------
    kind : {"auto", "cv", "split", "folds", "centres"}
        "cv" draws folds, grouped by patient and stratified by class; "split" takes the
        data set's own training and test parts; "folds" takes its published folds;
        "centres" tests on each centre what was trained on the others; "auto" takes the first
        of split, folds and cv that the data set allows.
    n_splits : int
        Number of folds that "cv" draws.
    repeats : int
        How often "cv" draws them anew.
    inner_splits : int
        Number of folds within each training part that choose the hyperparameters.
    seed : int
        Decides the folds, and whatever a head draws at random.
    unit : {"image", "patient"}
        What is predicted and counted. A patient's score is made of its images' scores, after
        heads were trained on images.
    aggregate : {"mean", "max"}
        How: their mean, or that of the image which is most of the positive class.
    allow_leakage : bool
        Go on where a leak audit found patients or pictures on both sides of a split, and do
        not keep copies of a picture together. The report then says so in its first line.

    Raises
    ------
    UsageError
        If a value cannot be.
    """

    kind: Kind = "auto"
    n_splits: int = 5
    repeats: int = 1
    inner_splits: int = 5
    seed: int = 0
    unit: Unit = "image"
    aggregate: Aggregate = "mean"
    allow_leakage: bool = False

    def __post_init__(self) -> None:
        named = (("protocol", self.kind, Kind), ("unit", self.unit, Unit))
        for what, name, names in (*named, ("aggregate", self.aggregate, Aggregate)):
            if name not in get_args(names):
                raise unknown_name(what, name, get_args(names))
        for what, value, least in (
            ("number of folds", self.n_splits, 2),
            ("number of repeats", self.repeats, 1),
            ("number of inner folds", self.inner_splits, 2),
            ("seed", self.seed, 0),
        ):
            if not isinstance(value, int) or value < least:
                raise UsageError(
                    f"the {what} must be a whole number from {least} on, not {value!r}"
                )


@dataclasses.dataclass(frozen=True, eq=False)
class Fold:
    """One training part and the test part that goes with it.

    Attributes
    ----------
    repeat, index : int
        Which repeat and which fold of it, from 0.
    seed : int
        The seed that the repeat was drawn with.
    train, test : ndarray of int
        Rows of the feature set.
    """

    repeat: int
    index: int
    seed: int
    train: Indices
    test: Indices


@dataclasses.dataclass(frozen=True, eq=False)
class Folds:
    """The folds of a protocol on one data set.

    Attributes
    ----------
    kind : {"cross-validation", "fixed split", "given folds", "centres"}
        What the protocol came to.
    folds : tuple of Fold
        Repeat by repeat.
    grouped : bool
        Whether patients are known and stand on one side of every split.
    words : str
        How the samples were split, for a methods section.
    warnings : tuple of str
        What a reader must know about the split.
    """

    kind: Literal["cross-validation", "fixed split", "given folds", "centres"]
    folds: tuple[Fold, ...]
    grouped: bool
    words: str
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.folds)

    def __iter__(self) -> Iterator[Fold]:
        return iter(self.folds)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seed of each repeat; one that left a fold without a class was passed over."""
        return tuple(fold.seed for fold in self.folds if fold.index == 0)
