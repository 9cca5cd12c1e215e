"""How samples are divided into training and test parts, with every patient on one side."""

from __future__ import annotations

import dataclasses
import itertools
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.splits.patients import (
    SEEDS_TRIED,
    count_by_class,
    counted,
    draw,
    name_patients,
)
from bottleneck.data.splits.protocol import Fold, Folds, Protocol
from bottleneck.errors import ProtocolError

__all__ = [
    "Fold",
    "Folds",
    "Protocol",
    "fixed_split",
    "has_fixed_split",
    "make_folds",
    "refuse_single",
]

Strings = NDArray[np.str_]
Indices = NDArray[np.intp]

_ASK_FOR_CV = "ask for drawn folds (--protocol cv)"


def make_folds(
    protocol: Protocol,
    y: Strings,
    groups: Strings | None = None,
    splits: Strings | None = None,
    folds: Strings | None = None,
    centres: Strings | None = None,
    *,
    units: Strings | None = None,
) -> Folds:
    """Split the samples as the protocol says.

    Parameters
    ----------
    protocol : Protocol
        What is asked for.
    y : ndarray of str, shape (n_samples,)
        Labels.
    groups, splits, folds, centres : ndarray of str, shape (n_samples,), or None
        Patient, fixed split ("train", "val" or "test"), published fold and centre of each
        row; empty where it has none. A row without a patient is a patient of its own.
    units : ndarray of str, shape (n_samples,), or None
        What must stand on one side, where that is more than a patient's samples.

    Returns
    -------
    Folds
        Every training and every test part holds every class, and no patient stands in
        both, unless the protocol allows leakage. Within a repeat of "cv", "folds" or
        "centres", every sample is tested once.

    Raises
    ------
    ProtocolError
        If the samples cannot be split so.
    """
    known = name_patients(groups)
    patients = known if units is None else units
    refuse_single(y, patients)
    kind, warnings = protocol.kind, _warn_of_patients(groups, known)
    if kind == "auto":
        published = folds is not None and bool(np.any(folds != ""))
        kind = "split" if has_fixed_split(splits) else "folds" if published else "cv"
        if kind == "folds" and np.any(folds == ""):
            kind = "cv"
            warnings += ("some samples have no published fold, so folds were drawn anew",)
    if kind == "cv":
        made = _draw_folds(protocol, y, patients, known is not None)
    elif protocol.repeats > 1:
        raise ProtocolError(
            f"the data set fixes how it is split, so {protocol.repeats} repeats would all be "
            f"the same: {_ASK_FOR_CV}, or leave the repeats at 1"
        )
    elif kind == "split":
        made = _take_split(protocol, y, splits, patients)
    elif kind == "centres":
        made = _take_centres(protocol, y, centres, patients)
    else:
        made = _take_folds(protocol, y, folds, patients)
    if patients is not None and protocol.allow_leakage:
        apart = all(not np.isin(patients[f.test], patients[f.train]).any() for f in made)
        made = dataclasses.replace(made, grouped=apart)
    grouped = made.grouped and known is not None
    return dataclasses.replace(made, warnings=warnings, grouped=grouped)


def refuse_single(y: Strings, patients: Strings | None) -> None:
    """Refuse samples of one class only, or of one patient only.

    Raises
    ------
    ProtocolError
        In either case.
    """
    if len(np.unique(y)) < 2:
        raise ProtocolError(
            f"all {len(y)} samples are of class '{y[0]}': a head needs at least two classes"
        )
    if patients is not None and len(np.unique(patients)) < 2:
        raise ProtocolError(
            f"all {len(y)} samples are of one patient: a split by patient needs at least two"
        )


def has_fixed_split(splits: Strings | None) -> TypeGuard[Strings]:
    """Whether a data set has both a training and a test part of its own."""
    return splits is not None and {"train", "test"} <= set(splits)


def fixed_split(splits: Strings, patients: Strings | None = None) -> tuple[Indices, Indices]:
    """Return the rows to train on, which are the training and validation parts, and to test on.

    Parameters
    ----------
    splits : ndarray of str, shape (n_samples,)
        "train", "val" or "test" for each row.
    patients : ndarray of str, shape (n_samples,), or None
        Patient of each row.

    Raises
    ------
    ProtocolError
        If a row has no split or an unknown one, or a patient stands on both sides.
    """
    odd = sorted(set(splits) - {"train", "val", "test"})
    if odd:
        what = f"the split '{odd[-1]}'" if odd[-1] else "no split"
        raise ProtocolError(
            f"{(splits == odd[-1]).sum()} of {len(splits)} samples have {what}, where train, val "
            f"or test is needed: complete the data set's split, or {_ASK_FOR_CV}"
        )
    test = splits == "test"
    if patients is not None:
        shared = np.intersect1d(patients[test], patients[~test])
        _refuse_shared(shared, "both sides of its split")
    return np.flatnonzero(~test), np.flatnonzero(test)


def _draw_folds(protocol: Protocol, y: Strings, patients: Strings | None, named: bool) -> Folds:
    n_splits = protocol.n_splits
    counts = count_by_class(y, patients)
    rare = min(counts, key=counts.__getitem__)
    most = counts[rare]
    has = f"class '{rare}' has {counted(most, patients)}"
    if patients is not None:
        has += f" ({counted(int((y == rare).sum()), None)})"
    if most < 2:
        raise ProtocolError(
            f"{has}, so no two folds can both test it: bring more of that class, or leave it out"
        )
    if most < n_splits:
        raise ProtocolError(
            f"{has}, too few for {n_splits} folds that all test every class: "
            f"ask for {most} or less (--folds {most})"
        )
    seeds = itertools.count(protocol.seed)
    made: list[Fold] = []
    for repeat in range(protocol.repeats):
        drawn = draw(y, patients, n_splits, seeds)
        if drawn is None:
            raise ProtocolError(
                f"{has}, which would allow {most} folds, but patients hold several classes, and "
                f"{SEEDS_TRIED} draws gave no {n_splits} folds that all test every class: "
                f"ask for fewer folds"
            )
        seed, parts = drawn
        made += [Fold(repeat, i, seed, train, test) for i, (train, test) in enumerate(parts)]
    unit = "Images" if not named else "Patients, each with all their images,"
    anew = f", {protocol.repeats} times anew" if protocol.repeats > 1 else ""
    words = (
        f"{unit} were divided at random into {n_splits} folds{anew}, stratified by class; "
        f"each fold was tested by a model trained on the others."
    )
    return Folds("cross-validation", tuple(made), patients is not None, words)


def _take_split(
    protocol: Protocol, y: Strings, splits: Strings | None, patients: Strings | None
) -> Folds:
    if not has_fixed_split(splits):
        raise ProtocolError(f"the data set fixes no training and test part: {_ASK_FOR_CV}")
    train, test = fixed_split(splits, None if protocol.allow_leakage else patients)
    _refuse_lacking(y, train, "the training part of the data set's split")
    _refuse_lacking(y, test, "the test part of the data set's split")
    trained = "training and validation parts" if "val" in splits else "training part"
    words = (
        f"The data set's own split was kept: models were trained on its {trained} "
        f"({len(train)} images) and tested once on its test part ({len(test)} images)."
    )
    fold = Fold(0, 0, protocol.seed, train, test)
    return Folds("fixed split", (fold,), patients is not None, words)


def _take_folds(
    protocol: Protocol, y: Strings, folds: Strings | None, patients: Strings | None
) -> Folds:
    names = np.unique(folds) if folds is not None else np.array([""])
    if len(names) < 2 or "" in names:
        n = len(y) if folds is None else int((folds == "").sum())
        what = f"no fold for {n} of {len(y)} samples" if n else "a single fold"
        raise ProtocolError(f"the data set publishes {what}: {_ASK_FOR_CV}")
    assert folds is not None
    words = (
        f"The data set's own {len(names)} folds were kept; each fold was tested by a model "
        f"trained on the others."
    )
    made = _leave_out(protocol, y, folds, patients, "published fold")
    return Folds("given folds", made, patients is not None, words)


def _take_centres(
    protocol: Protocol, y: Strings, centres: Strings | None, patients: Strings | None
) -> Folds:
    names = np.unique(centres) if centres is not None else np.array([""])
    if len(names) < 2 or "" in names:
        n = len(y) if centres is None else int((centres == "").sum())
        what = f"no centre for {n} of {len(y)} samples" if n else "a single centre"
        raise ProtocolError(
            f"the data set names {what}: a column 'centre' is needed, or {_ASK_FOR_CV}"
        )
    assert centres is not None
    words = (
        f"Each of the {len(names)} centres was tested by a model trained on all others "
        f"(leave-one-centre-out)."
    )
    made = _leave_out(protocol, y, centres, patients, "centre")
    return Folds("centres", made, patients is not None, words)


def _leave_out(
    protocol: Protocol, y: Strings, parts: Strings, patients: Strings | None, noun: str
) -> tuple[Fold, ...]:
    """Test each part by what is trained on the others."""
    if patients is not None and not protocol.allow_leakage:
        of, times = np.unique(
            [p for p, _ in set(zip(patients, parts, strict=True))], return_counts=True
        )
        _refuse_shared(of[times > 1], f"several of its {noun}s")
    made = []
    for i, name in enumerate(np.unique(parts)):
        train, test = np.flatnonzero(parts != name), np.flatnonzero(parts == name)
        _refuse_lacking(y, test, f"the {noun} '{name}'")
        _refuse_lacking(y, train, f"what the {noun} '{name}' leaves to train on")
        made.append(Fold(0, i, protocol.seed, train, test))
    return tuple(made)


def _warn_of_patients(groups: Strings | None, patients: Strings | None) -> tuple[str, ...]:
    if groups is None or patients is None:
        return (
            "no patients named: images of one patient may stand on both sides of a split, "
            "and then every figure looks better than it is",
        )
    unnamed = int((groups == "").sum())
    if unnamed == 0:
        return ()
    return (f"{counted(unnamed, None)} without a patient: each counts as a patient of its own",)


def _refuse_lacking(y: Strings, rows: Indices, part: str) -> None:
    lacking = sorted(set(y) - set(y[rows]))
    if lacking:
        n = counted(int((y == lacking[0]).sum()), None)
        raise ProtocolError(f"{part} holds none of the {n} of '{lacking[0]}': {_ASK_FOR_CV}")


def _refuse_shared(shared: Strings, where: str) -> None:
    if len(shared):
        raise ProtocolError(
            f"the data set puts {counted(len(shared), shared)} into {where}, so that a model "
            f"would be tested on patients it was trained on: {_ASK_FOR_CV}, or go on with "
            f"--allow-leakage, and the report says so in its first line"
        )
