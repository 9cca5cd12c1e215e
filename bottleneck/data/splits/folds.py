"""Division of samples into training and test sets, with every patient on one side."""

from __future__ import annotations

import dataclasses
import itertools
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray

from bottleneck.checks.check_warnings import CheckWarning, warn
from bottleneck.data.splits.patients import (
    SEEDS_TRIED,
    count_by_class,
    draw,
)
from bottleneck.data.splits.protocol import (
    FEW_PATIENTS,
    REPEATS_OF_FEW,
    Fold,
    Folds,
    Protocol,
)
from bottleneck.errors import ProtocolError
from bottleneck.text.plurals import counted

__all__ = [
    "COPIES",
    "default_repeats",
    "fixed_split",
    "has_fixed_split",
    "make_folds",
    "note_duplicates",
    "refuse_single",
]

Strings = NDArray[np.str_]
Indices = NDArray[np.intp]

#: What groups of duplicates keep together.
COPIES = "Copies"
_ASK_FOR_CV = "ask for random folds (--protocol cv)"
_ALLOW = "accept this with --allow-leakage, which the first line of the report will state"


def make_folds(
    protocol: Protocol,
    y: Strings,
    patients: Strings | None = None,
    splits: Strings | None = None,
    folds: Strings | None = None,
    centres: Strings | None = None,
    *,
    groups: Strings | None = None,
    kept: str = COPIES,
    n_unnamed: int = 0,
) -> Folds:
    """Split the samples by a protocol.

    Parameters
    ----------
    protocol : Protocol
        The protocol. Without a number of repeats, "cv" draws ``default_repeats``.
    y : ndarray of str, shape (n_samples,)
        Labels.
    patients : ndarray of str, shape (n_samples,), or None
        Patient of every row, from ``name_patients``.
    splits, folds, centres : ndarray of str, shape (n_samples,), or None
        Fixed split ("train", "val" or "test"), published fold and centre of each row; empty
        in a row without one.
    groups : ndarray of str, shape (n_samples,), or None
        Groups that no fold may divide, such as those of ``leak_safe_groups``; by default the
        patients.
    kept : str
        What the groups keep together, in words.
    n_unnamed : int
        Number of rows without a patient in the data set, for a warning.

    Returns
    -------
    Folds
        Every training and every test set holds every class, and no group is in both, unless
        the protocol allows leakage. Within a repeat of "cv", "folds" or "centres", every sample
        is tested once.

    Raises
    ------
    ProtocolError
        If the samples cannot be split like this.

    Examples
    --------
    >>> import numpy as np
    >>> y = np.array(["benign", "malignant"] * 4)
    >>> patients = np.array(["a", "a", "b", "b", "c", "c", "d", "d"])
    >>> folds = make_folds(Protocol(kind="cv", n_splits=2), y, patients)
    >>> [set(patients[fold.train]) & set(patients[fold.test]) for fold in folds]
    [set(), set()]
    """
    refuse_single(y, patients)
    kind, warnings = protocol.kind, _warn_of_patients(patients, n_unnamed)
    if kind == "auto":
        published = folds is not None and bool(np.any(folds != ""))
        kind = "split" if has_fixed_split(splits) else "folds" if published else "cv"
        if kind == "folds" and np.any(folds == ""):
            kind = "cv"
            warnings += warn(
                "BF307", ["some samples have no published fold, so folds were drawn at random"]
            )
    if kind == "cv":
        made = _draw_grouped_folds(protocol, y, patients, groups, kept)
    elif protocol.repeats is not None and protocol.repeats > 1:
        raise ProtocolError(
            f"the data set fixes its own split, so {protocol.repeats} repeats would all be "
            f"the same: {_ASK_FOR_CV}, or leave the repeats at 1"
        )
    elif kind == "split":
        made = _take_split(protocol, y, splits, patients)
    elif kind == "centres":
        made = _take_centres(protocol, y, centres, patients)
    else:
        made = _take_folds(protocol, y, folds, patients)
    divided = _count_divided(made, patients if groups is None else groups)
    if divided and not protocol.allow_leakage:
        raise ProtocolError(
            f"the data set's own split puts {counted(divided, 'group')} of identical or near-"
            "duplicate images or of one examination on both sides (bottleneck audit lists them), "
            "so a model would be tested on its training data: leave out one side (--exclude, in "
            f"Python FeatureSet.select), {_ASK_FOR_CV}, or {_ALLOW}"
        )
    made = note_duplicates(made, patients, groups, kept)
    grouped = patients is not None and not divided
    return dataclasses.replace(made, warnings=warnings, grouped=grouped)


def default_repeats(n_patients: int) -> int:
    """Return how often folds are drawn for heads on features if no number is given.

    Parameters
    ----------
    n_patients : int
        Number of patients; of samples, where no patients are known.

    Examples
    --------
    >>> default_repeats(500)
    1
    """
    return REPEATS_OF_FEW if n_patients < FEW_PATIENTS else 1


def note_duplicates(
    folds: Folds, patients: Strings | None, groups: Strings | None, kept: str = COPIES
) -> Folds:
    """Return folds that state in words that duplicates were kept together, if groups join any.

    Parameters
    ----------
    folds : Folds
        Folds that divide no group.
    patients : ndarray of str, shape (n_samples,), or None
        Patient of every row.
    groups : ndarray of str, shape (n_samples,), or None
        Leak-safe groups; None where duplicates were not kept together.
    kept : str
        What the groups keep together, in words.
    """
    if groups is None or (patients is not None and _count(groups) == _count(patients)):
        return folds
    words = f"{folds.words} {kept} were kept on one side of every split."
    return dataclasses.replace(folds, words=words)


def _count(units: Strings) -> int:
    return len(np.unique(units))


def _count_divided(folds: Folds, groups: Strings | None) -> int:
    """Return the largest number of groups that are on both sides of a fold."""
    if groups is None:
        return 0
    return max(len(np.intersect1d(groups[f.train], groups[f.test])) for f in folds)


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
    """Return whether a data set has both a training and a test set of its own."""
    return splits is not None and {"train", "test"} <= set(splits)


def fixed_split(splits: Strings, patients: Strings | None = None) -> tuple[Indices, Indices]:
    """Return the rows of the training and validation sets together, and of the test set.

    Parameters
    ----------
    splits : ndarray of str, shape (n_samples,)
        "train", "val" or "test" for each row.
    patients : ndarray of str, shape (n_samples,), or None
        Patient of each row.

    Raises
    ------
    ProtocolError
        If a row has no split or an unknown one, or a patient is on both sides.
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
        _refuse_shared(np.intersect1d(patients[test], patients[~test]), "both sides of its split")
    return np.flatnonzero(~test), np.flatnonzero(test)


def _draw_grouped_folds(
    protocol: Protocol, y: Strings, patients: Strings | None, groups: Strings | None, kept: str
) -> Folds:
    """Draw folds by group, or by patient where no groups are given."""
    named = patients is not None
    repeats = protocol.repeats or default_repeats(len(y) if patients is None else _count(patients))
    if groups is None:
        return _draw_folds(protocol, repeats, y, patients, named)
    try:
        refuse_single(y, groups)
        return _draw_folds(protocol, repeats, y, groups, named)
    except ProtocolError as error:
        # The patients alone may be too few already.
        _draw_folds(protocol, repeats, y, patients, named)
        joined = f"{kept[0].lower()}{kept[1:]} in one group (bottleneck audit counts them)"
        raise ProtocolError(f"with {joined}, {error}") from None


def _draw_folds(
    protocol: Protocol, repeats: int, y: Strings, patients: Strings | None, named: bool
) -> Folds:
    n_splits = protocol.n_splits
    counts = count_by_class(y, patients)
    rare = min(counts, key=counts.__getitem__)
    most = counts[rare]
    unit = "sample" if patients is None else "patient" if named else "group"
    has = f"class '{rare}' has {counted(most, unit)}"
    if patients is not None:
        has += f" ({counted(int((y == rare).sum()), 'sample')})"
    if most < 2:
        raise ProtocolError(
            f"{has}, so no two folds can both test it: add samples of that class, or leave it out"
        )
    if most < n_splits:
        raise ProtocolError(
            f"{has}, too few for {n_splits} folds that all test every class: "
            f"ask for {most} or less (--folds {most})"
        )
    seeds = itertools.count(protocol.seed)
    made: list[Fold] = []
    for repeat in range(repeats):
        drawn = draw(y, patients, n_splits, seeds)
        if drawn is None:
            if repeat and protocol.repeats is None:
                break  # Nobody asked for this many.
            raise ProtocolError(
                f"{has}, which would allow {most} folds, but patients hold several classes, and "
                f"{SEEDS_TRIED} draws gave no {n_splits} folds that all test every class: "
                f"ask for fewer folds"
            )
        seed, parts = drawn
        made += [Fold(repeat, i, seed, train, test) for i, (train, test) in enumerate(parts)]
    noun = "patients" if named else "samples"
    unit = "Images" if not named else "Patients, each with all their images,"
    words = (
        f"{unit} were divided at random into {n_splits} folds, stratified by class; "
        f"each fold was tested by a model trained on the others."
    )
    if (n_drawn := made[-1].repeat + 1) > 1:
        few = "" if protocol.repeats else f", as is the default below {FEW_PATIENTS} {noun}"
        words += f" This was repeated {n_drawn} times with new folds{few}."
    return Folds("cross-validation", tuple(made), words)


def _take_split(
    protocol: Protocol, y: Strings, splits: Strings | None, patients: Strings | None
) -> Folds:
    if not has_fixed_split(splits):
        raise ProtocolError(f"the data set has no training and test set of its own: {_ASK_FOR_CV}")
    train, test = fixed_split(splits, None if protocol.allow_leakage else patients)
    _refuse_lacking(y, train, "the training set of the data set's split")
    _refuse_lacking(y, test, "the test set of the data set's split")
    trained = "training and validation sets" if "val" in splits else "training set"
    words = (
        f"The data set's own split was used: models were trained on its {trained} "
        f"({len(train)} images) and tested once on its test set ({len(test)} images)."
    )
    fold = Fold(0, 0, protocol.seed, train, test)
    return Folds("fixed split", (fold,), words)


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
        f"The data set's own {len(names)} folds were used; each fold was tested by a model "
        f"trained on the others."
    )
    made = _leave_out(protocol, y, folds, patients, "published fold")
    return Folds("given folds", made, words)


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
    return Folds("centres", made, words)


def _leave_out(
    protocol: Protocol, y: Strings, parts: Strings, patients: Strings | None, noun: str
) -> tuple[Fold, ...]:
    """Return folds that each test one part with models trained on the others."""
    if patients is not None and not protocol.allow_leakage:
        pairs = set(zip(patients, parts, strict=True))
        of, times = np.unique([patient for patient, _ in pairs], return_counts=True)
        advice = {
            "published fold": ", read the data set with --merge-folds",
            "centre": ", write A-7 and B-7 if patient 7 of centre A is not patient 7 of centre B",
        }[noun]
        _refuse_shared(of[times > 1], f"several of its {noun}s", advice)
    made = []
    for i, name in enumerate(np.unique(parts)):
        train, test = np.flatnonzero(parts != name), np.flatnonzero(parts == name)
        _refuse_lacking(y, test, f"the {noun} '{name}'")
        _refuse_lacking(y, train, f"the training set without the {noun} '{name}'")
        made.append(Fold(0, i, protocol.seed, train, test))
    return tuple(made)


def _warn_of_patients(patients: Strings | None, n_unnamed: int) -> tuple[CheckWarning, ...]:
    texts = []
    if patients is None:
        texts.append(
            "no patients named: images of one patient may be on both sides of a split, "
            "which makes every result too optimistic"
        )
    elif n_unnamed:
        samples = counted(n_unnamed, "sample")
        texts.append(f"{samples} without a patient: each counts as a patient of its own")
    return warn("BF109", texts)


def _refuse_lacking(y: Strings, rows: Indices, part: str) -> None:
    lacking = sorted(set(y) - set(y[rows]))
    if lacking:
        n = counted(int((y == lacking[0]).sum()), "sample")
        raise ProtocolError(f"{part} holds none of the {n} of '{lacking[0]}': {_ASK_FOR_CV}")


def _refuse_shared(shared: Strings, where: str, advice: str = "") -> None:
    if len(shared):
        raise ProtocolError(
            f"the data set puts {counted(len(shared), 'patient')} into {where}, so a model would "
            f"be tested on patients that it was trained on: {_ASK_FOR_CV}{advice}, or {_ALLOW}"
        )
