"""Protocols of the leak experiment: two with leaks, and two that split by patient."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.splits.folds import make_folds
from bottleneck.data.splits.protocol import Folds, Protocol
from bottleneck.errors import ProtocolError
from bottleneck.features.file.feature_set import FeatureSet

__all__ = ["LeakPlan", "plan_protocols", "split_by_patient"]

Strings = NDArray[np.str_]


class LeakPlan(NamedTuple):
    """A protocol with its rows and folds; an honest one keeps patients together."""

    name: str
    honest: bool
    why: str
    rows: NDArray[np.intp]
    folds: Folds


def split_by_patient(
    protocol: Protocol, y: Strings, patients: Strings | None, n_unnamed: int = 0
) -> Folds:
    """Return folds grouped by patient for the honest protocols.

    Parameters
    ----------
    protocol : Protocol
        Protocol of kind "cv".
    y : ndarray of str, shape (n_samples,)
        Labels of the originals.
    patients : ndarray of str, shape (n_samples,), or None
        Their patients, from ``name_patients``.
    n_unnamed : int
        Number of originals without a patient in the data set, for a warning.

    Returns
    -------
    Folds

    Raises
    ------
    ProtocolError
        If no patient is known, or the samples cannot be split so.
    """
    if patients is None:
        raise ProtocolError(
            "the data set names no patients, so there is no honest result to compare leaks "
            "with: name them (--patient-pattern REGEX, or --patient-column of a table)"
        )
    return make_folds(protocol, y, patients, n_unnamed=n_unnamed)


def plan_protocols(
    features: FeatureSet, originals: Strings, protocol: Protocol
) -> tuple[LeakPlan, ...]:
    """Return the rows and folds of every protocol.

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
    every, rows = np.arange(len(features)), np.flatnonzero(alone)
    patients = None if features.patients is None else features.patients[alone]
    n_unnamed = 0 if features.groups is None else int((features.groups[alone] == "").sum())
    by_patient = split_by_patient(protocol, features.y[alone], patients, n_unnamed)
    with_copies = tuple(
        dataclasses.replace(
            fold,
            train=np.flatnonzero(np.isin(originals, originals[rows[fold.train]])),
            test=rows[fold.test],
        )
        for fold in by_patient
    )
    return (
        LeakPlan(
            "augment, then split by image",
            False,
            "altered copies of one image are on both sides of the split: the model is tested on "
            "slightly rotated images that it was trained on, and gets credit for recognising "
            "them. With new patients, it meets no such images.",
            every,
            make_folds(protocol, features.y),
        ),
        LeakPlan(
            "split by image",
            False,
            "images of one patient are on both sides of the split: they share tissue, probe "
            "and settings, and the model gets credit for recognising the patient instead of the "
            "disease.",
            rows,
            make_folds(protocol, features.y[alone]),
        ),
        LeakPlan(
            "split by patient",
            True,
            "all images of a patient are on one side of the split: the model is tested on patients "
            "that it was not trained on, as new patients will be.",
            rows,
            by_patient,
        ),
        LeakPlan(
            "split by patient, then augment",
            True,
            "the same test images; copies are made of training images only. The difference to the "
            "row above is the effect of augmentation.",
            every,
            dataclasses.replace(by_patient, folds=with_copies),
        ),
    )
