"""Folds as in a comparison, with a validation set taken from each training set."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.readers.tables.csv_tables import read_table
from bottleneck.data.spelling.spelling_keys import match_ids
from bottleneck.data.splits.patients import inner_folds
from bottleneck.data.splits.protocol import Fold, Folds, Protocol
from bottleneck.duplicates.fold_plan import FoldPlan, plan_folds
from bottleneck.duplicates.leak_safe_groups import LeakSafeGroups
from bottleneck.errors import DataError, ProtocolError
from bottleneck.text.plurals import counted
from bottleneck.text.table_text import text_frame

if TYPE_CHECKING:
    import pandas as pd

    from bottleneck.finetune.inputs.training_data import Inputs

__all__ = [
    "REFIT",
    "FoldSplit",
    "divide",
    "fold_name",
    "hold_out",
    "hold_out_of_all",
    "plan_training",
    "read_folds",
    "refuse_shared_patients",
    "split_table",
]

Strings = NDArray[np.str_]
Indices = NDArray[np.intp]

#: Name of the network that is trained on all samples, and of its folder.
REFIT = "refit"


@dataclasses.dataclass(frozen=True, eq=False)
class FoldSplit:
    """A fold, with its training set divided into training and validation sets.

    Attributes
    ----------
    repeat, fold : int
        Number of the repeat and of the fold within it, from 0.
    train, validation, test : ndarray of int
        Rows of the data set. The test set is empty for the network of all samples.
    """

    repeat: int
    fold: int
    train: Indices
    validation: Indices
    test: Indices

    @property
    def name(self) -> str:
        """Name of the folder of the fold."""
        return fold_name(self.repeat, self.fold) if len(self.test) else REFIT


def fold_name(repeat: int, fold: int) -> str:
    """Return the name of the folder of a fold."""
    return f"fold-{repeat}-{fold}"


def plan_training(
    inputs: Inputs,
    protocol: Protocol,
    folds_from: str | Path | None,
    progress: Callable[[int, int, str], None] | None,
) -> FoldPlan:
    """Return the folds of a training, which are those of a comparison.

    Parameters
    ----------
    inputs : Inputs
        The samples.
    protocol : Protocol
        How they are divided.
    folds_from : str or Path, optional
        A table for ``read_folds``, in place of new folds.
    progress : callable, optional
        Told that duplicates are searched for.
    """

    def search() -> LeakSafeGroups:
        if progress is not None:
            progress(0, 1, "searching for duplicates")
        return inputs.leak_safe_groups

    # Every repeat trains the networks of all folds again.
    repeats = protocol.repeats or 1
    protocol = dataclasses.replace(protocol, repeats=repeats)
    if folds_from is None:
        return plan_folds(inputs, protocol, search)
    path = Path(folds_from)

    def given(ids: Strings, y: Strings, groups: Strings | None) -> Folds:
        return read_folds(path, inputs.ids, ids, y, groups, protocol.seed, repeats)

    return plan_folds(inputs, protocol, search, given=given)


def divide(plan: FoldPlan, splits: Strings | None, share: float) -> list[FoldSplit]:
    """Return the folds of a plan with their validation sets, as rows of all samples.

    Parameters
    ----------
    plan : FoldPlan
        The folds.
    splits : ndarray of str, shape (n_samples,), or None
        The data set's own split.
    share : float
        Share of each training set that becomes its validation set.
    """
    splits = None if splits is None else splits[plan.rows]
    parts = hold_out(plan.folds, plan.y, plan.groups, splits, share)
    return [_of_all_rows(plan, part) for part in parts]


def hold_out_of_all(plan: FoldPlan, share: float) -> FoldSplit:
    """Return all samples of a plan with a validation set, as rows of all samples.

    The network of all samples is trained as those of the folds: its epoch is chosen, and its
    scores are calibrated, on a validation set by patient. What the folds estimate is the result of
    this procedure.

    Parameters
    ----------
    plan : FoldPlan
        The folds.
    share : float
        Share of the samples that becomes the validation set.

    Raises
    ------
    ProtocolError
        If the samples cannot be divided like this, or there is a single fold.
    """
    if len(plan.folds.folds) < 2:
        raise ProtocolError(
            "--refit is for several folds: here one network is trained on all samples outside the "
            "test set, and predicts as fold-1; leave out --refit (in Python: refit=True)"
        )
    every, nothing = np.arange(len(plan.y)), np.array([], np.intp)
    whole = Fold(0, 0, plan.folds.folds[0].seed, every, nothing)
    folds = Folds("given folds", (whole,), "", plan.folds.grouped)
    return _of_all_rows(plan, hold_out(folds, plan.y, plan.groups, None, share)[0])


def _of_all_rows(plan: FoldPlan, part: FoldSplit) -> FoldSplit:
    return dataclasses.replace(
        part,
        train=plan.rows[part.train],
        validation=plan.rows[part.validation],
        test=plan.rows[part.test],
    )


def hold_out(
    folds: Folds, y: Strings, groups: Strings | None, splits: Strings | None, share: float
) -> list[FoldSplit]:
    """Divide each training set into a training and a validation set.

    Parameters
    ----------
    folds : Folds
        Folds of the samples.
    y, groups, splits : ndarray of str, shape (n_samples,), or None
        Labels, groups that no set divides, and the data set's own split.
    share : float
        Share of a training set that becomes its validation set. If the data set's own split is
        used and has a "val" part, that part is taken instead.

    Returns
    -------
    list of FoldSplit
        The same folds, with a validation set each. Every set holds every class.

    Raises
    ------
    ProtocolError
        If a training set cannot be divided like this.
    """
    fixed = splits if folds.kind == "fixed split" else None
    parts = []
    for fold in folds:
        train, chosen_on = _hold_out(fold, y, groups, fixed, share)
        parts.append(FoldSplit(fold.repeat, fold.index, train, chosen_on, fold.test))
    return parts


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


def read_folds(
    path: Path,
    known: Strings,
    ids: Strings,
    y: Strings,
    groups: Strings | None,
    seed: int,
    repeats: int,
) -> Folds:
    """Return the test folds of a table, such as the predictions of another arm.

    Parameters
    ----------
    path : Path
        A CSV with the columns id, repeat and fold.
    known : ndarray of str
        Ids of all samples of the data set; rows of samples that are not used are ignored.
    ids, y, groups : ndarray of str, shape (n_samples,), or None
        Ids, labels and groups of the samples that are used.
    seed : int
        Seed of the validation sets.
    repeats : int
        Number of repeats to take, from the first one on.

    Raises
    ------
    DataError
        If the file cannot be read, or has other samples.
    ProtocolError
        If a fold lacks a class, or a group would be on two sides.
    """
    import pandas as pd

    frame, _ = read_table(path)
    if lacking := [c for c in ("id", "repeat", "fold") if c not in frame]:
        raise DataError(f"{path} has no column '{lacking[0]}'; folds need id, repeat and fold")
    if "part" in frame:
        frame = frame[frame["part"] == "test"]
    numbers = frame[["repeat", "fold"]].apply(pd.to_numeric, errors="coerce")
    if frame.empty or numbers.isna().any(axis=None):
        raise DataError(f"{path} needs a whole number as repeat and fold of every row")
    known_repeats = np.unique(numbers["repeat"])
    if len(known_repeats) < repeats:
        raise DataError(
            f"{path} has {counted(len(known_repeats), 'repeat')}, and {repeats} are to be "
            "trained: ask for fewer (--repeats, in Python Protocol(repeats=))"
        )
    frame = frame[numbers["repeat"] <= known_repeats[repeats - 1]]
    spelled = match_ids(frame["id"], known.tolist())
    names = [spelled.get(text, text) for text in frame["id"]]
    frame = frame.assign(id=pd.Series(names, frame.index, dtype=object))
    frame = frame[~frame["id"].isin(np.setdiff1d(known, ids))]
    if "arm" in frame:  # All arms of a comparison are tested in the same folds.
        frame = frame.drop_duplicates(["id", "repeat", "fold"])
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
    words = "The folds of another arm were used; each was tested by a model trained on the others."
    return Folds("given folds", tuple(made), words, groups is not None)


def split_table(parts: Sequence[FoldSplit], ids: Strings, groups: Strings | None) -> pd.DataFrame:
    """Return a table with repeat, fold, part, id and group, one row per fold and sample."""
    import pandas as pd

    known = np.full(len(ids), "") if groups is None else groups
    tables = [
        text_frame(
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
                f"{shared} {unit}{'s' if shared > 1 else ''} would be in two parts of one fold, "
                "so a network would be tested or chosen on its training data: ask for random "
                "folds (--protocol cv)"
            )
