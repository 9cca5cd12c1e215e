"""Split plan of a comparison: leak audit, leak-safe groups and folds, before anything is fitted."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bottleneck.audit.audit import Audit, audit_features, leave_out_findings, restate
from bottleneck.data.dataset import ImageDataset
from bottleneck.data.splits.protocol import Folds, Protocol
from bottleneck.duplicates.fold_plan import FoldPlan, plan_folds
from bottleneck.duplicates.further_repeats import add_repeats
from bottleneck.duplicates.leak_safe_groups import LeakSafeGroups
from bottleneck.errors import ProtocolError
from bottleneck.evaluation.cross_validation.imported_predictions import (
    ImportedArm,
    leave_out,
    take_folds,
)
from bottleneck.evaluation.cross_validation.labelled_samples import LabelledSamples
from bottleneck.evaluation.cross_validation.nested_cv import Progress
from bottleneck.features.sets.feature_set import FeatureSet

__all__ = ["SplitPlan", "plan_split"]

Strings: TypeAlias = NDArray[np.str_]


@dataclasses.dataclass(frozen=True, eq=False)
class SplitPlan:
    """Audit, groups and folds of the samples of a comparison.

    Attributes
    ----------
    audit : Audit
        Leak audit of all samples in these folds.
    plan : FoldPlan
        The samples that are used, and copies with different labels.
    samples : LabelledSamples
        The samples that are used, with the groups that no fold divides.
    folds : Folds
        Training and test sets; they number ``samples``. Heads on features are tested in all.
    common : Folds
        Those of them that imported predictions have too; all without any.
    """

    audit: Audit
    plan: FoldPlan
    samples: LabelledSamples
    folds: Folds
    common: Folds


def plan_split(
    features: FeatureSet,
    protocol: Protocol,
    *,
    imported: Sequence[ImportedArm] = (),
    dataset: ImageDataset | None = None,
    progress: Progress | None = None,
    note: Callable[[str], None] | None = None,
    ignore: Sequence[str] = (),
) -> SplitPlan:
    """Audit the samples, join patients that share duplicates, and split the samples.

    Parameters
    ----------
    features : FeatureSet
        Features of the samples.
    protocol : Protocol
        Protocol of the split.
    imported : sequence of ImportedArm
        Imported predictions; the protocols "auto" and "folds" take their folds. With "auto",
        heads on features have further repeats, see ``add_repeats``.
    dataset : ImageDataset or None
        Images that the audit searches for text.
    progress : callable or None
        As for ``compare``.
    note : callable or None
        Called with a sentence on leaks and copies once the folds are made.
    ignore : sequence of str
        Codes of checks that this sentence counts as ignored; the audit has all findings.

    Returns
    -------
    SplitPlan

    Raises
    ------
    ProtocolError
        If the protocol does not fit the samples, or the data set's own split divides a group and
        the protocol does not allow leakage, or copies with different labels are refused.
    """
    joined = not protocol.allow_leakage
    audits: list[Audit] = []

    def tell(text: str) -> None:
        if progress is not None:
            progress(0, 1, text)

    def search() -> LeakSafeGroups:
        tell("searching for leaks")
        no_folds = np.full(len(features), "")
        audits.append(
            audit_features(
                features, dataset=dataset, folds=no_folds, joined=joined, progress=progress
            )
        )
        tell("dividing the samples")
        return audits[0].groups

    def given(ids: Strings, y: Strings, groups: Strings | None) -> Folds:
        kept = [leave_out(arm, (features.ids, features.y), (ids, y)) for arm in imported]
        samples = LabelledSamples(ids, y, groups)
        return take_folds(kept, samples, protocol, trains=features.has_columns)

    tell("dividing the samples")
    takes_folds = bool(imported) and protocol.kind in ("auto", "folds")
    if not (takes_folds or features.has_columns):
        raise ProtocolError(
            f"predictions without features are evaluated in their own folds, not by the protocol "
            f"{protocol.kind}: leave --protocol at auto"
        )
    plan = plan_folds(features, protocol, search, given=given if takes_folds else None)
    common = plan.folds
    if takes_folds:
        plan = dataclasses.replace(plan, dropped_tests=_tested_by(imported[0], features, plan))
        if protocol.kind == "auto" and features.has_columns:
            plan = add_repeats(features, plan, protocol)
    column = _fold_column(plan, len(features))
    audit = restate(
        audits[0],
        features,
        column,
        joined=joined,
        given=takes_folds and joined,
        conflicts=protocol.conflicts,
    )
    if note is not None:
        note(f"Leak audit: {leave_out_findings(audit, ignore).verdict}. {plan.words}")
    samples = LabelledSamples(features.ids[plan.rows], plan.y, plan.groups)
    return SplitPlan(audit, plan, samples, plan.folds, common)


def _tested_by(
    arm: ImportedArm, features: FeatureSet, plan: FoldPlan
) -> tuple[NDArray[np.intp], ...]:
    """Return the dropped rows that imported predictions test in each fold.

    A network that was trained in this way holds none of them; they are then placed by group.
    """
    if not np.isin(features.ids[plan.conflicts.dropped], arm.test.ids).any():
        return plan.dropped_tests
    row = {features.ids[row]: row for row in plan.conflicts.dropped.tolist()}
    test = arm.test
    at = []
    for fold in plan.folds:
        there = (test.repeats == fold.repeat) & (test.folds == fold.index)
        at.append(np.array([row[i] for i in test.ids[there].tolist() if i in row], np.intp))
    return tuple(at)


def _fold_column(plan: FoldPlan, n_samples: int) -> Strings:
    """Return the fold of every sample in the first repeat; "" for samples in none."""
    column = np.full(n_samples, "", dtype=object)
    for fold in plan.folds:
        if fold.repeat == 0:
            column[plan.rows[fold.test]] = f"fold {fold.index}"
            if plan.folds.kind == "fixed split":
                column[plan.rows[fold.train]] = "training set"
    return column.astype(str)
