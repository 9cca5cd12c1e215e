"""Protocols of the leak experiment: two with leaks, and two that split by patient."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.splits.folds import make_folds
from bottleneck.data.splits.protocol import Folds, Protocol
from bottleneck.duplicates.fold_plan import FoldPlan, plan_folds
from bottleneck.errors import ProtocolError
from bottleneck.features.sets.feature_set import FeatureSet

__all__ = ["LeakPlan", "plan_protocols", "split_by_patient"]

Strings = NDArray[np.str_]

_NO_PATIENTS = (
    "the data set names no patients, so there is no honest result to compare leaks with: name "
    "them (--patient-pattern REGEX, or --patient-column of a table)"
)


class LeakPlan(NamedTuple):
    """A protocol with its rows and folds; an honest one keeps patients together."""

    name: str
    honest: bool
    why: str
    rows: NDArray[np.intp]
    folds: Folds


def split_by_patient(protocol: Protocol, y: Strings, patients: Strings | None) -> Folds:
    """Return folds grouped by patient, to refuse data that do not fit before images are read.

    Parameters
    ----------
    protocol : Protocol
        Protocol of kind "cv".
    y : ndarray of str, shape (n_samples,)
        Labels of the originals.
    patients : ndarray of str, shape (n_samples,), or None
        Their patients, from ``name_patients``.

    Returns
    -------
    Folds

    Raises
    ------
    ProtocolError
        If no patient is known, or the samples cannot be split so.
    """
    if patients is None:
        raise ProtocolError(_NO_PATIENTS)
    return make_folds(protocol, y, patients)


def plan_protocols(
    features: FeatureSet, originals: Strings, protocol: Protocol
) -> tuple[tuple[LeakPlan, ...], FoldPlan]:
    """Return the rows and folds of every protocol.

    All protocols use the same originals: copies with different labels are left out, or get the
    label of the majority, as the protocol says. The honest ones have the folds of ``compare``.

    Parameters
    ----------
    features : FeatureSet
        Features of originals and their altered copies.
    originals : ndarray of str, shape (n_samples,)
        Id of every row's original.
    protocol : Protocol
        Protocol of kind "cv".

    Returns
    -------
    tuple of LeakPlan
        Those with leaks first.
    FoldPlan
        Plan of the honest protocols; its rows are those of the originals.

    Raises
    ------
    ProtocolError
        If there are no copies, no patient is known, or the samples cannot be split so.
    """
    alone = features.ids == originals
    if alone.all() or set(originals[~alone]) != set(features.ids[alone]):
        raise ProtocolError(
            f"'{features.dataset}' does not hold originals with altered copies of each: extract "
            "features of an augmented data set (bottleneck.data.augmented_copies)"
        )
    if features.patients is None:
        raise ProtocolError(_NO_PATIENTS)
    alone_rows = np.flatnonzero(alone)
    only = features.take(alone_rows)
    plan = plan_folds(only, protocol, lambda: only.leak_safe_groups)
    rows = alone_rows[plan.rows]
    every = np.flatnonzero(np.isin(originals, originals[rows]))
    # Copies have the label of their original.
    label = dict(zip(originals[rows].tolist(), plan.y.tolist(), strict=True))
    y = np.array([label[original] for original in originals[every].tolist()])
    by_patient = plan.folds
    place = np.searchsorted(every, rows)
    with_copies = tuple(
        dataclasses.replace(
            fold,
            train=np.flatnonzero(np.isin(originals[every], originals[rows[fold.train]])),
            test=place[fold.test],
        )
        for fold in by_patient
    )
    plans = (
        LeakPlan(
            "augment, then split by image",
            False,
            "altered copies of one image are on both sides of the split: the model is tested on "
            "slightly rotated images that it was trained on, and gets credit for recognising "
            "them. With new patients, there are no such images.",
            every,
            make_folds(protocol, y),
        ),
        LeakPlan(
            "split by image",
            False,
            "images of one patient are on both sides of the split: they share tissue, probe "
            "and settings, and the model gets credit for recognising the patient instead of the "
            "disease.",
            rows,
            make_folds(protocol, plan.y),
        ),
        LeakPlan(
            "split by patient",
            True,
            "all images of a patient are on one side of the split: the model is tested on patients "
            "that it was not trained on, as in use.",
            rows,
            by_patient,
        ),
        LeakPlan(
            "split by patient, then augment",
            True,
            "the same test images; only training images are copied. The difference from the row "
            "above is the effect of augmentation.",
            every,
            dataclasses.replace(by_patient, folds=with_copies),
        ),
    )
    return plans, plan
