"""The folds of all commands, with duplicates kept together and label conflicts decided."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bottleneck.checks.check_warnings import CheckWarning
from bottleneck.data.splits.folds import COPIES, make_folds, note_duplicates, refuse_single
from bottleneck.data.splits.patients import SplitColumns
from bottleneck.data.splits.protocol import Folds, Protocol
from bottleneck.duplicates.label_conflicts import LabelConflicts, resolve_conflicts
from bottleneck.duplicates.leak_safe_groups import (
    LeakSafeGroups,
    describe_ties,
    forget,
    join_by_images,
    without_names,
)
from bottleneck.errors import ProtocolError
from bottleneck.text.plurals import counted

__all__ = ["FoldPlan", "Given", "place_dropped", "plan_folds"]

Strings: TypeAlias = NDArray[np.str_]
Rows: TypeAlias = NDArray[np.intp]
#: Makes folds of ids, labels and groups of samples.
Given: TypeAlias = Callable[[Strings, Strings, Strings | None], Folds]


@dataclasses.dataclass(frozen=True, eq=False)
class FoldPlan:
    """The samples that are used, their groups, and their folds.

    Attributes
    ----------
    rows : ndarray of int
        Rows of the samples that are used, sorted. ``y``, ``groups`` and ``folds`` are of these.
    y : ndarray of str, shape (n_used,)
        Labels, as ``conflicts`` decides.
    all_groups : ndarray of str, shape (n_samples,), or None
        Groups of all samples that no fold divides.
    folds : Folds
        Training and test sets.
    duplicates : LeakSafeGroups
        Identical and near-duplicate images among all samples.
    conflicts : LabelConflicts
        Copies with different labels among all samples.
    dropped_tests : tuple of ndarray of int
        For each fold, the rows of all samples that are left out and would have been tested there.
    words : str
        What the audit says of copies, for the user, before any training.
    """

    rows: Rows
    y: Strings
    all_groups: Strings | None
    folds: Folds
    duplicates: LeakSafeGroups
    conflicts: LabelConflicts
    dropped_tests: tuple[Rows, ...]
    words: str

    @property
    def groups(self) -> Strings | None:
        """Groups of the samples that are used."""
        return _take(self.all_groups, self.rows)


def plan_folds(
    samples: SplitColumns,
    protocol: Protocol,
    search: Callable[[], LeakSafeGroups],
    *,
    given: Given | None = None,
) -> FoldPlan:
    """Make the folds of samples for any command.

    Parameters
    ----------
    samples : SplitColumns
        Ids, labels, patients and the splits, folds and centres of the data set.
    protocol : Protocol
        The protocol.
    search : callable
        Searches for duplicates. It is called after a protocol that does not fit was refused.
    given : callable, optional
        Makes the folds of ids, labels and groups in place of the protocol, such as those of
        imported predictions.

    Returns
    -------
    FoldPlan
        Every training and every test set holds every class, and no group is in both, unless the
        protocol allows leakage.

    Raises
    ------
    ProtocolError
        If the samples cannot be split like this, or hold copies with different labels and the
        protocol refuses these.
    """
    refuse_single(samples.y, samples.patients)
    everything = np.arange(len(samples.ids))
    is_own = False
    if given is None:
        planned = _draw(samples, protocol, everything, samples.y)
        is_own = planned.kind != "cross-validation"
    duplicates = search()
    conflicts = resolve_conflicts(duplicates, samples.y, samples.ids, protocol.conflicts)
    rows = conflicts.kept
    y = conflicts.y[rows]
    found = [duplicates]
    if len(conflicts.dropped):
        # Copies that are left out are no leak where the data set's own split divides them.
        found.append(forget(duplicates, samples.patients, samples.ids, conflicts.dropped))
    if is_own:
        # File names are not proof, for which a published split would be refused.
        certain = [without_names(ties, samples.patients, samples.ids) for ties in found]
        found += [ties for ties in certain if ties not in found]
    for last, ties in zip((*(False for _ in found[1:]), True), found, strict=True):
        try:
            if given is None:
                names = samples.patients if protocol.allow_leakage else ties.names
                groups = None if protocol.allow_leakage else _take(names, rows)
                folds = _draw(samples, protocol, rows, conflicts.y, groups, ties.kept_words)
                folds = _warn_of_names(folds, _take(duplicates.names, rows), is_own=is_own)
            else:
                names, folds = _accept(samples, protocol, ties, rows, y, given)
            break
        except ProtocolError:
            if last:
                raise
    words = describe_ties(duplicates, samples.patients, len(everything))
    if conflicts.sets:
        words += f" {conflicts.words}."
    return FoldPlan(
        rows=rows,
        y=y,
        all_groups=names,
        folds=folds,
        duplicates=duplicates,
        conflicts=conflicts,
        dropped_tests=place_dropped(
            samples, names, rows, conflicts.dropped, folds, given=given is not None
        ),
        words=words,
    )


def _draw(
    samples: SplitColumns,
    protocol: Protocol,
    rows: Rows,
    y: Strings,
    groups: Strings | None = None,
    kept: str = COPIES,
) -> Folds:
    columns = (samples.patients, samples.splits, samples.folds, samples.centres)
    patients, splits, folds, centres = (_take(column, rows) for column in columns)
    # Without a patient are the samples that the data set names none for, not those of no group.
    stated = _take(samples.stated_patients, rows)
    n_unnamed = len(rows) if stated is None else int((stated == "").sum())
    return make_folds(
        protocol,
        y[rows],
        patients,
        splits,
        folds,
        centres,
        groups=groups,
        kept=kept,
        n_unnamed=n_unnamed,
    )


def _warn_of_names(folds: Folds, groups: Strings | None, *, is_own: bool) -> Folds:
    """Add a warning if the data set's own folds divide examinations that file names indicate."""
    divided = _count_divided(folds, groups) if is_own else 0
    if not divided:
        return folds
    warning = CheckWarning(
        "BF102",
        f"the data set's own split divides {counted(divided, 'examination')} that file names "
        "indicate: "
        "if the names are right, results are too optimistic (--protocol cv keeps them together)",
    )
    return dataclasses.replace(folds, warnings=(*folds.warnings, warning))


def _accept(
    samples: SplitColumns,
    protocol: Protocol,
    duplicates: LeakSafeGroups,
    rows: Rows,
    y: Strings,
    given: Given,
) -> tuple[Strings | None, Folds]:
    """Return the groups of all samples that given folds keep together, and the folds."""
    ids, patients = samples.ids[rows], _take(samples.patients, rows)
    if protocol.allow_leakage:
        return samples.patients, given(ids, y, patients)
    certain = join_by_images(duplicates, samples.patients, samples.ids)
    folds = given(ids, y, _take(certain, rows))
    divided = _count_divided(folds, _take(duplicates.names, rows))
    names = certain if divided else duplicates.names
    if divided:
        warning = CheckWarning(
            "BF104",
            f"the given folds divide {counted(divided, 'group')} of doubtful copies, which only "
            "features or file names confirm: results may be slightly too optimistic. The folds of "
            "a comparison keep them together (bottleneck finetune --folds-from)",
        )
        folds = dataclasses.replace(folds, warnings=(*folds.warnings, warning))
    return names, note_duplicates(folds, patients, _take(names, rows), duplicates.kept_words)


def _count_divided(folds: Folds, groups: Strings | None) -> int:
    if groups is None:
        return 0
    divided = [np.intersect1d(groups[fold.train], groups[fold.test]) for fold in folds]
    return len(np.unique(np.concatenate(divided)))


def place_dropped(
    samples: SplitColumns,
    names: Strings | None,
    rows: Rows,
    dropped: Rows,
    folds: Folds,
    *,
    given: bool,
) -> tuple[Rows, ...]:
    """Return the dropped rows that each fold would have tested.

    A dropped row is tested where its group is, or its set, published fold or centre; in random
    folds, groups of which nothing is left take turns.
    """
    own = np.char.add("sample ", samples.ids) if names is None else names
    columns = {"fixed split": samples.splits, "centres": samples.centres}
    column = None if given else columns.get(folds.kind)
    if folds.kind == "given folds" and not given:
        column = samples.folds
    placed: list[list[int]] = [[] for _ in folds]
    by_repeat: dict[int, list[int]] = {}
    for number, fold in enumerate(folds):
        by_repeat.setdefault(fold.repeat, []).append(number)
    for numbers in by_repeat.values():
        tested = [rows[folds.folds[number].test] for number in numbers]
        where = {group: place for place, at in enumerate(tested) for group in own[at].tolist()}
        left: Mapping[str, int] = {}
        if column is not None:
            left = {part: place for place, at in enumerate(tested) for part in column[at].tolist()}
        lost = [g for g in dict.fromkeys(own[dropped].tolist()) if g not in where]
        turns = {group: turn % len(numbers) for turn, group in enumerate(lost)}
        for row in dropped.tolist():
            place = left.get(column[row]) if column is not None else where.get(own[row])
            if place is None and column is None and len(numbers) > 1:
                place = turns.get(own[row])
            if place is not None:
                placed[numbers[place]].append(row)
    return tuple(np.array(at, np.intp) for at in placed)


def _take(column: Strings | None, rows: Rows) -> Strings | None:
    return None if column is None else column[rows]
