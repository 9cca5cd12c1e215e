"""Folds as in a comparison, with a validation set taken from each training set."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.readers.csv_tables import read_table
from bottleneck.data.spelling_keys import match_ids
from bottleneck.data.splits.folds import make_folds
from bottleneck.data.splits.patients import inner_folds
from bottleneck.data.splits.protocol import Fold, Folds, Protocol
from bottleneck.errors import DataError, ProtocolError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FoldSplit", "divide", "fold_name", "refuse_shared_patients", "split_table"]

Strings = NDArray[np.str_]
Indices = NDArray[np.intp]


@dataclasses.dataclass(frozen=True, eq=False)
class FoldSplit:
    """A fold, with its training set divided into training and validation sets.

    Attributes
    ----------
    repeat, fold : int
        Number of the repeat and of the fold within it, from 0.
    train, validation, test : ndarray of int
        Rows of the data set.
    """

    repeat: int
    fold: int
    train: Indices
    validation: Indices
    test: Indices

    @property
    def name(self) -> str:
        """Name of the folder of the fold."""
        return fold_name(self.repeat, self.fold)


def fold_name(repeat: int, fold: int) -> str:
    """Return the name of the folder of a fold."""
    return f"fold-{repeat}-{fold}"


def divide(
    protocol: Protocol,
    *,
    ids: Strings,
    y: Strings,
    patients: Strings | None,
    splits: Strings | None,
    folds: Strings | None,
    validation: float,
    groups: Strings | None = None,
    n_unnamed: int = 0,
    folds_from: str | Path | None = None,
) -> tuple[Folds, list[FoldSplit]]:
    """Split a data set into folds, and each training set into a training and a validation set.

    Parameters
    ----------
    protocol : Protocol
        Protocol of the folds, which are those of ``compare`` with the same arguments and groups.
    ids, y, patients, splits, folds : ndarray of str, shape (n_samples,), or None
        Columns of the samples, as in a ``FeatureSet``.
    validation : float
        Share of a training set that becomes its validation set. If the data set has a "val" part
        of its own, that is used instead.
    groups : ndarray of str, shape (n_samples,), or None
        Leak-safe groups that neither split may divide; by default the patients.
    n_unnamed : int
        Number of samples without a patient in the data set, for a warning.
    folds_from : str or Path, optional
        A CSV with the columns id, repeat and fold, such as the predictions of another arm. Its
        folds are used instead of the protocol's.

    Returns
    -------
    Folds
        Folds of the protocol, or of the file.
    list of FoldSplit
        The same folds, with a validation set each.

    Raises
    ------
    ProtocolError
        If the samples cannot be split like this, or a group would be on two sides.
    DataError
        If the file cannot be read, or has other samples.
    """
    if folds_from is None:
        made = make_folds(protocol, y, patients, splits, folds, groups=groups, n_unnamed=n_unnamed)
    groups = patients if groups is None else groups
    if folds_from is not None:
        made = _read_folds(Path(folds_from), ids, y, groups, protocol.seed)
    fixed = splits if made.kind == "fixed split" else None
    parts = []
    for fold in made:
        train, chosen_on = _hold_out(fold, y, groups, fixed, validation)
        parts.append(FoldSplit(fold.repeat, fold.index, train, chosen_on, fold.test))
    return made, parts


def _hold_out(
    fold: Fold, y: Strings, groups: Strings | None, splits: Strings | None, share: float
) -> tuple[Indices, Indices]:
    if splits is not None and np.any(splits[fold.train] == "val"):
        is_validation = splits[fold.train] == "val"
        train, validation = fold.train[~is_validation], fold.train[is_validation]
        for rows, name in ((train, "training"), (validation, "validation")):
            if lacking := sorted(set(y) - set(y[rows])):
                raise ProtocolError(
                    f"the {name} set of the data set's split holds no '{lacking[0]}': ask for "
                    "random folds (--protocol cv)"
                )
        return train, validation
    own = None if groups is None else groups[fold.train]
    try:
        drawn = inner_folds(y[fold.train], own, max(2, round(1 / share)), fold.seed)
    except ProtocolError as error:
        raise ProtocolError(
            f"the training set of fold {fold.index + 1} is too small for a validation set by "
            f"patient with every class, on which the epoch is chosen: {error}"
        ) from None
    train, validation = drawn[0]
    return fold.train[train], fold.train[validation]


def _read_folds(path: Path, ids: Strings, y: Strings, groups: Strings | None, seed: int) -> Folds:
    import pandas as pd

    frame, _ = read_table(path)
    if lacking := [c for c in ("id", "repeat", "fold") if c not in frame]:
        raise DataError(f"{path} has no column '{lacking[0]}'; folds need id, repeat and fold")
    if "part" in frame:
        frame = frame[frame["part"] == "test"]
    numbers = frame[["repeat", "fold"]].apply(pd.to_numeric, errors="coerce")
    if frame.empty or numbers.isna().any(axis=None):
        raise DataError(f"{path} needs a whole number as repeat and fold of every row")
    spelled = match_ids(frame["id"], ids.tolist())
    frame = frame.assign(id=[spelled.get(text, text) for text in frame["id"]])
    row_of = {identity: row for row, identity in enumerate(ids)}
    if unknown := [i for i in frame["id"] if i not in row_of]:
        raise DataError(
            f"{path} has other samples: {len(unknown)} of its {len(frame)} ids are not in the "
            "data set"
        )
    made = []
    for repeat, within in frame.groupby(numbers["repeat"].astype(int)):
        if within["id"].duplicated().any():
            raise DataError(f"{path} tests a sample twice in repeat {repeat}")
        by_fold = within.groupby(numbers["fold"].loc[within.index].astype(int))
        if len(by_fold) > 1 and len(within) != len(ids):
            raise DataError(
                f"{path} has folds of {len(within)} samples in repeat {repeat}; "
                f"the data set has {len(ids)}"
            )
        for fold, rows in by_fold:
            test = np.sort(np.array([row_of[i] for i in rows["id"]], dtype=np.intp))
            train = np.setdiff1d(np.arange(len(ids)), test)
            made.append(Fold(int(str(repeat)), int(str(fold)), seed, train, test))
    for one in made:
        where = f"fold {one.index} of repeat {one.repeat} in {path}"
        for side in (one.train, one.test):
            if missing := sorted(set(y) - set(y[side])):
                raise ProtocolError(f"{where} has no sample of '{missing[0]}' on one of its sides")
        if groups is not None and len(np.intersect1d(groups[one.train], groups[one.test])):
            raise ProtocolError(f"{where} puts patients, or duplicate images, on both sides")
    words = "The folds were those of another arm; each was tested by a model trained on the others."
    return Folds("given folds", tuple(made), words, groups is not None)


def split_table(parts: Sequence[FoldSplit], ids: Strings, groups: Strings | None) -> pd.DataFrame:
    """Return a table with repeat, fold, part, id and group, one row per fold and sample."""
    import pandas as pd

    known = np.full(len(ids), "") if groups is None else groups
    tables = [
        pd.DataFrame(
            {
                "repeat": part.repeat,
                "fold": part.fold,
                "part": name,
                "id": ids[rows],
                "group": known[rows],
            }
        )
        for part in parts
        for name, rows in (
            ("train", part.train),
            ("validation", part.validation),
            ("test", part.test),
        )
    ]
    return pd.concat(tables, ignore_index=True)


def refuse_shared_patients(table: pd.DataFrame) -> None:
    """Check, by the recorded ids, that no sample and no patient is in two parts of a fold.

    Parameters
    ----------
    table : DataFrame
        As ``split_table`` returns it.

    Raises
    ------
    ProtocolError
        If a sample or a patient is in two parts of one fold.
    """
    own = np.where(table["group"] == "", "sample " + table["id"], table["group"])
    for unit, values in (("sample", table["id"]), ("patient", own)):
        parts = table.assign(unit=values).groupby(["repeat", "fold", "unit"])["part"].nunique()
        if shared := int((parts > 1).sum()):
            raise ProtocolError(
                f"{shared} {unit}{'s' if shared > 1 else ''} would be in two parts of one "
                "fold, so that a network would be tested or chosen on what it was trained on: "
                "ask for random folds (--protocol cv)"
            )
