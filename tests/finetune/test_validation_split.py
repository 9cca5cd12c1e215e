"""Folds and validation sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bottleneck.data.splits.folds import make_folds
from bottleneck.data.splits.protocol import Folds, Protocol
from bottleneck.errors import DataError, ProtocolError
from bottleneck.finetune.inputs.validation_split import (
    FoldSplit,
    hold_out,
    read_folds,
    refuse_shared_patients,
    split_table,
)

N = 120
IDS = np.array([f"i{n:03d}" for n in range(N)])
# Patients of one to three images, some of whom have both classes.
RNG = np.random.default_rng(0)
GROUPS = np.array([f"P{n}" for n in np.sort(RNG.integers(0, 60, N))])
Y = np.array(["benign", "malignant"])[(RNG.random(N) < 0.3).astype(int)]
KNOWN = {"ids": IDS, "y": Y, "patients": GROUPS, "splits": None, "folds": None, "validation": 0.2}


def divide(
    protocol: Protocol, *, folds_from: Path | None = None, validation: float, **columns: Any
) -> tuple[Folds, list[FoldSplit]]:
    """The folds of a protocol or of a file, each with a validation set."""
    ids, y = columns.pop("ids"), columns["y"]
    groups = columns.get("groups", columns["patients"])
    if folds_from is None:
        folds = make_folds(protocol, **columns)
    else:
        folds = read_folds(folds_from, ids, ids, y, groups, protocol.seed, protocol.repeats or 1)
    return folds, hold_out(folds, y, groups, columns["splits"], validation)


def test_validation_is_by_patient_and_stratified() -> None:
    _, parts = divide(Protocol(n_splits=4, repeats=2), **KNOWN)
    assert len(parts) == 8
    for part in parts:
        three = part.train, part.validation, part.test
        assert sorted(np.concatenate(three)) == list(range(N))
        patients = [set(GROUPS[rows]) for rows in three]
        assert sum(map(len, patients)) == len(set.union(*patients)) == len(set(GROUPS))
        left = len(part.train) + len(part.validation)
        assert len(part.validation) / left == pytest.approx(0.2, abs=0.06)
        assert (Y[part.validation] == "malignant").mean() == pytest.approx(0.3, abs=0.15)
    refuse_shared_patients(split_table(parts, IDS, GROUPS))


def test_shared_patients_are_found() -> None:
    _, parts = divide(Protocol(n_splits=4), **KNOWN)
    table = split_table(parts, IDS, GROUPS)
    moved = table.copy()
    twice = moved.groupby(["fold", "group"])["id"].transform("size") > 1
    row = moved.index[twice & (moved["part"] == "train")][0]
    moved.loc[row, "part"] = "validation"
    with pytest.raises(ProtocolError, match="1 patient would be in two parts"):
        refuse_shared_patients(moved)
    with pytest.raises(ProtocolError, match="1 sample would"):
        refuse_shared_patients(pd.concat([table, table.iloc[:1].assign(part="test")]))
    # Without patients every sample is one of its own.
    refuse_shared_patients(moved.assign(group=""))


def test_a_data_sets_own_validation_part_is_kept() -> None:
    place = RNG.permutation(60)[np.array([int(g[1:]) for g in GROUPS])]
    splits = np.where(place < 30, "train", np.where(place < 45, "val", "test"))
    folds, (part,) = divide(Protocol(), **{**KNOWN, "splits": splits})
    assert folds.kind == "fixed split"
    for rows, name in ((part.train, "train"), (part.validation, "val"), (part.test, "test")):
        np.testing.assert_array_equal(rows, np.flatnonzero(splits == name))


def test_folds_of_another_arm(tmp_path: Path) -> None:
    _, drawn = divide(Protocol(n_splits=3), **KNOWN)
    table = split_table(drawn, IDS, GROUPS)
    path = tmp_path / "predictions.csv"
    table[table["part"] != "train"].sample(frac=1, random_state=0).to_csv(path, index=False)
    _, taken = divide(Protocol(n_splits=5), **KNOWN, folds_from=path)
    table.assign(id=table["id"] + "\u00a0").query("part != 'train'").to_excel(
        tmp_path / "predictions.xlsx", index=False
    )
    _, respelled = divide(Protocol(n_splits=5), **KNOWN, folds_from=tmp_path / "predictions.xlsx")
    arms = [table[table["part"] != "train"].assign(arm=name) for name in ("svm", "logistic")]
    pd.concat(arms).to_csv(path, index=False)
    _, of_arms = divide(Protocol(n_splits=5), **KNOWN, folds_from=path)
    for one, other in zip([*drawn] * 3, [*taken, *respelled, *of_arms], strict=True):
        assert (one.repeat, one.fold) == (other.repeat, other.fold)
        for name in ("train", "validation", "test"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda t: t.drop(columns="fold"), DataError, "no column 'fold'"),
        (lambda t: t.assign(id=t["id"] + "x"), DataError, "other samples"),
        (lambda t: t.assign(fold="one"), DataError, "whole number"),
        (lambda t: t.iloc[1:], DataError, "has folds of 119 samples"),
        (lambda t: pd.concat([t, t.iloc[:1]]), DataError, "tests a sample twice"),
        (lambda t: t.assign(fold=t.index % 3), ProtocolError, "on both sides"),
    ],
)
def test_unfit_folds_are_refused(
    tmp_path: Path, change: object, error: type[Exception], message: str
) -> None:
    _, drawn = divide(Protocol(n_splits=3), **KNOWN)
    table = split_table(drawn, IDS, GROUPS)
    table = table[table["part"] == "test"].reset_index(drop=True)
    change(table).to_csv(tmp_path / "f.csv", index=False)  # type: ignore[operator]
    with pytest.raises(error, match=message):
        divide(Protocol(), **KNOWN, folds_from=tmp_path / "f.csv")


def test_too_few_patients_for_a_validation_part() -> None:
    y = np.where(np.isin(GROUPS, ["P3", "P40"]), "malignant", "benign")
    with pytest.raises(ProtocolError, match="too small for a validation set by patient"):
        divide(Protocol(n_splits=2), **{**KNOWN, "y": y})


def test_leak_safe_groups_are_on_one_side_of_both_splits() -> None:
    groups = np.where(np.isin(GROUPS, ["P3", "P17", "P40"]), "P3", GROUPS)
    folds, parts = divide(Protocol(n_splits=4, repeats=3), **KNOWN, groups=groups)
    assert "Copies were kept on one side" in folds.words
    for part in parts:
        sides = [set(groups[rows]) for rows in (part.train, part.validation, part.test)]
        assert sum(map(len, sides)) == len(set.union(*sides))
    tested = [f"P{n}" for n in range(20, 60)]
    splits = np.where(np.isin(GROUPS, tested), "test", "train")
    with pytest.raises(ProtocolError, match="1 group of identical or near-duplicate images"):
        divide(Protocol(), **{**KNOWN, "splits": splits}, groups=groups)
