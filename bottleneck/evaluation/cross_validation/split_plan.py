"""What is kept together, and how the samples are split: decided before anything is scored."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bottleneck.audit.audit import Audit, audit_features, retell, units
from bottleneck.data.dataset import ImageDataset
from bottleneck.data.splits.folds import Folds, Protocol, make_folds, refuse_single
from bottleneck.data.splits.patients import name_patients
from bottleneck.duplicates.near_duplicates import Pair
from bottleneck.errors import ProtocolError
from bottleneck.evaluation.cross_validation.imported_predictions import Given, take_folds
from bottleneck.evaluation.cross_validation.nested_cv import Progress
from bottleneck.features.file.feature_set import FeatureSet

__all__ = ["Plan", "make_plan"]


@dataclasses.dataclass(frozen=True, eq=False)
class Plan:
    """How samples are split, and what was found on the way.

    Attributes
    ----------
    audit : Audit
        Of the samples under these folds.
    samples : FeatureSet
        The features, with the units that no split parts as their groups.
    folds : Folds
        Training and test parts.
    """

    audit: Audit
    samples: FeatureSet
    folds: Folds


def make_plan(
    features: FeatureSet,
    protocol: Protocol,
    *,
    given: Sequence[Given] = (),
    dataset: ImageDataset | None = None,
    progress: Progress | None = None,
) -> Plan:
    """Look for leaks, join what belongs together, and split the samples.

    Parameters
    ----------
    features : FeatureSet
        The samples.
    protocol : Protocol
        How they are to be split.
    given : sequence of Given
        Predictions made elsewhere; the protocols "auto" and "folds" take their folds.
    dataset : ImageDataset or None
        The pictures, for the audit to look for text in.
    progress : callable or None
        As for ``compare``; told of the audit.

    Returns
    -------
    Plan

    Raises
    ------
    ProtocolError
        If the samples cannot be split as asked, or a given split parts what belongs together
        and the protocol does not allow leakage.
    """
    patients = name_patients(features.groups, features.ids)
    refuse_single(features.y, patients)
    take = bool(given) and protocol.kind in ("auto", "folds")
    known = (features.y, features.groups, features.splits, features.folds, features.centres)
    # Refused now, not after the audit.
    folds = None if take else make_folds(protocol, *known)
    if progress is not None:
        progress(0, 1, "looking for leaks")
    together = not protocol.allow_leakage
    nowhere = np.full(len(features), "")
    found = audit_features(features, dataset=dataset, folds=nowhere, joined=together)
    joined = units(found, features) if together else patients
    samples = dataclasses.replace(features, groups=joined)
    if folds is None:
        folds = take_folds(given, samples, protocol)
    elif together and joined is not None and folds.kind == "cross-validation":
        try:
            folds = make_folds(protocol, *known, units=joined)
        except ProtocolError as error:
            raise ProtocolError(
                f"with pictures that come twice taken for one patient's (bottleneck audit tells "
                f"which), {error}"
            ) from None
    elif together:
        _refuse_copies(found, folds)
    if together and any(_parts(patients, pair) for pair in found.pairs):
        words = f"{folds.words} Pictures that come twice were kept on one side of every split."
        folds = dataclasses.replace(folds, words=words)
    parts = np.full(len(features), "", dtype=object)
    for fold in folds:
        if fold.repeat == 0:
            parts[fold.test] = f"fold {fold.index}"
            if folds.kind == "fixed split":
                parts[fold.train] = "training part"
    return Plan(retell(found, features, parts.astype(str), joined=together), samples, folds)


def _parts(patients: NDArray[np.str_] | None, pair: Pair) -> bool:
    """Whether a split by patient could part two pictures."""
    return patients is None or bool(patients[pair.a] != patients[pair.b])


def _refuse_copies(found: Audit, folds: Folds) -> None:
    """Refuse a given split with the same picture on both sides."""
    crossing = 0
    for fold in folds:
        tested = np.zeros(found.n_samples, dtype=bool)
        tested[fold.test] = True
        crossing = max(crossing, sum(bool(tested[p.a] != tested[p.b]) for p in found.pairs))
    if crossing:
        raise ProtocolError(
            f"the data set's own split puts {crossing} pairs of identical or altered pictures on "
            f"both sides (bottleneck audit tells which): a head would be tested on what it was "
            f"trained on. Ask for --protocol cv, which keeps them together, or go on with "
            f"--allow-leakage, and the report says so in its first line"
        )
