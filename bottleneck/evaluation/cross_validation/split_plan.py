"""Split plan of a comparison: leak audit, leak-safe groups and folds, before anything is fitted."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bottleneck.audit.audit import Audit, audit_features, restate
from bottleneck.data.dataset import ImageDataset
from bottleneck.data.splits.folds import make_folds, note_duplicates, refuse_single
from bottleneck.data.splits.protocol import Folds, Protocol
from bottleneck.evaluation.cross_validation.imported_predictions import ImportedArm, take_folds
from bottleneck.evaluation.cross_validation.labelled_samples import LabelledSamples
from bottleneck.evaluation.cross_validation.nested_cv import Progress
from bottleneck.features.file.feature_set import FeatureSet

__all__ = ["SplitPlan", "plan_split"]

Strings: TypeAlias = NDArray[np.str_]


@dataclasses.dataclass(frozen=True, eq=False)
class SplitPlan:
    """Audit, groups and folds of the samples of a comparison.

    Attributes
    ----------
    audit : Audit
        Leak audit of the samples in these folds.
    samples : LabelledSamples
        Samples with the groups that no fold divides.
    folds : Folds
        Training and test sets.
    """

    audit: Audit
    samples: LabelledSamples
    folds: Folds


def plan_split(
    features: FeatureSet,
    protocol: Protocol,
    *,
    imported: Sequence[ImportedArm] = (),
    dataset: ImageDataset | None = None,
    progress: Progress | None = None,
) -> SplitPlan:
    """Audit the samples, join patients that share duplicates, and split the samples.

    Parameters
    ----------
    features : FeatureSet
        Features of the samples.
    protocol : Protocol
        Protocol of the split.
    imported : sequence of ImportedArm
        Imported predictions; the protocols "auto" and "folds" take their folds.
    dataset : ImageDataset or None
        Images that the audit searches for text.
    progress : callable or None
        As for ``compare``.

    Returns
    -------
    SplitPlan

    Raises
    ------
    ProtocolError
        If the protocol does not fit the samples, or the data set's own split divides a group and
        the protocol does not allow leakage.
    """
    refuse_single(features.y, features.patients)
    takes_folds = bool(imported) and protocol.kind in ("auto", "folds")
    # A protocol that does not fit is refused here, before the audit.
    folds = None if takes_folds else _make_folds(features, protocol)
    if progress is not None:
        progress(0, 1, "searching for leaks")
    joined = not protocol.allow_leakage
    no_folds = np.full(len(features), "")
    audit = audit_features(features, dataset=dataset, folds=no_folds, joined=joined)
    groups = audit.groups.names if joined else features.patients
    samples = LabelledSamples(features.ids, features.y, groups)
    if folds is None:
        folds = take_folds(imported, samples, protocol)
        folds = note_duplicates(folds, features.patients, groups if joined else None)
    elif joined:
        folds = _make_folds(features, protocol, groups)
    column = _fold_column(folds, len(features))
    return SplitPlan(restate(audit, features, column, joined=joined), samples, folds)


def _make_folds(features: FeatureSet, protocol: Protocol, groups: Strings | None = None) -> Folds:
    return make_folds(
        protocol,
        features.y,
        features.patients,
        features.splits,
        features.folds,
        features.centres,
        groups=groups,
        n_unnamed=features.n_unnamed,
    )


def _fold_column(folds: Folds, n_samples: int) -> Strings:
    """Return the fold of every sample in the first repeat; "" for samples in none."""
    column = np.full(n_samples, "", dtype=object)
    for fold in folds:
        if fold.repeat == 0:
            column[fold.test] = f"fold {fold.index}"
            if folds.kind == "fixed split":
                column[fold.train] = "training set"
    return column.astype(str)
