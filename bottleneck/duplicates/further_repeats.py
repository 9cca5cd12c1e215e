"""Further repeats of a cross-validation, next to folds that other predictions gave."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.splits.folds import default_repeats, make_folds
from bottleneck.data.splits.patients import SplitColumns
from bottleneck.data.splits.protocol import Fold, Protocol
from bottleneck.duplicates.fold_plan import FoldPlan, place_dropped
from bottleneck.errors import ProtocolError

__all__ = ["add_repeats"]


def add_repeats(samples: SplitColumns, plan: FoldPlan, protocol: Protocol) -> FoldPlan:
    """Return a plan with further repeats, as many as the protocol asks for in all.

    They have as many folds as those of the plan. None is added to a single test set, and none
    where the given folds are the published folds or the centres of the data set: other folds would
    estimate something else.

    Parameters
    ----------
    samples : SplitColumns
        Ids, labels, patients and the splits, folds and centres of the data set.
    plan : FoldPlan
        A plan with given folds.
    protocol : Protocol
        Number of repeats, by default ``default_repeats``, and the seed of the folds.

    Returns
    -------
    FoldPlan
        The given folds come first.

    Raises
    ------
    ProtocolError
        If the protocol names a number of repeats, and the samples cannot be divided at random.
    """
    rows, given = plan.rows, plan.folds
    known = sorted({fold.repeat for fold in given})
    n_splits = len(given) // len(known)
    patients = None if samples.patients is None else samples.patients[rows]
    n_units = len(rows) if patients is None else len(np.unique(patients))
    wanted = protocol.repeats or default_repeats(n_units)
    whole = (samples.folds, samples.centres)
    if n_splits < 2 or wanted <= len(known) or any(_follows(plan, column) for column in whole):
        return plan
    cv = dataclasses.replace(protocol, kind="cv", n_splits=n_splits)
    try:
        drawn = make_folds(cv, plan.y, patients, groups=plan.groups)
    except ProtocolError:
        if protocol.repeats is None:  # Nobody asked for further repeats.
            return plan
        raise
    taken = {_tests(given.folds, repeat) for repeat in known}
    fresh = [n for n in sorted({f.repeat for f in drawn}) if _tests(drawn.folds, n) not in taken]
    numbers = {n: known[-1] + 1 + k for k, n in enumerate(fresh[: wanted - len(known)])}
    further = tuple(
        # Each head has the seed of the given folds, as if all were given.
        dataclasses.replace(fold, repeat=numbers[fold.repeat], seed=given.folds[0].seed)
        for fold in drawn
        if fold.repeat in numbers
    )
    times = "once more" if len(numbers) == 1 else f"{len(numbers)} times more"
    words = (
        f"{given.words} Heads on features were tested {times}, each time in {n_splits} new folds "
        "that were drawn at random; two arms are compared in the repeats that both have."
    )
    dropped = plan.conflicts.dropped
    more = dataclasses.replace(drawn, folds=further)
    placed = place_dropped(samples, plan.all_groups, rows, dropped, more, given=True)
    return dataclasses.replace(
        plan,
        folds=dataclasses.replace(given, folds=(*given.folds, *further), words=words),
        dropped_tests=(*plan.dropped_tests, *placed),
    )


def _follows(plan: FoldPlan, column: NDArray[np.str_] | None) -> bool:
    """Return whether no part of the data set, such as a centre, is in two test folds."""
    if column is None or len(np.unique(column[plan.rows])) < 2:
        return False
    parts = column[plan.rows]
    first = min(fold.repeat for fold in plan.folds)
    tested = [set(parts[f.test].tolist()) for f in plan.folds if f.repeat == first]
    return sum(map(len, tested)) == len(set.union(*tested))


def _tests(folds: tuple[Fold, ...], repeat: int) -> frozenset[tuple[int, ...]]:
    """Return the test sets of a repeat, whatever their numbers."""
    return frozenset(tuple(sorted(f.test.tolist())) for f in folds if f.repeat == repeat)
