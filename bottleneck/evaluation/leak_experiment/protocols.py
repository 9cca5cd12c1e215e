"""The protocols of the leak experiment: two that leak, and two that part patients."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.splits.folds import Folds, Protocol, make_folds
from bottleneck.data.splits.patients import name_patients
from bottleneck.errors import ProtocolError
from bottleneck.features.file.feature_set import FeatureSet

__all__ = ["LeakPlan", "plan_protocols", "split_by_patient"]

Strings = NDArray[np.str_]


class LeakPlan(NamedTuple):
    """A protocol, and the rows that it works with; an honest one keeps patients together."""

    name: str
    honest: bool
    why: str
    rows: NDArray[np.intp]
    folds: Folds


def split_by_patient(protocol: Protocol, y: Strings, groups: Strings | None) -> Folds:
    """Draw the folds of the honest rows, or say why the experiment cannot be done.

    Parameters
    ----------
    protocol : Protocol
        Of kind "cv".
    y : ndarray of str, shape (n_samples,)
        Labels of the originals.
    groups : ndarray of str, shape (n_samples,), or None
        Their patients; an empty string where one has none.

    Returns
    -------
    Folds

    Raises
    ------
    ProtocolError
        If no patient is known, or the samples cannot be split so.
    """
    if name_patients(groups) is None:
        raise ProtocolError(
            "the data set names no patients, so there is no honest figure to hold a leak "
            "against: name them (--patient-pattern REGEX, or --patient-column of a table)"
        )
    return make_folds(protocol, y, groups)


def plan_protocols(
    features: FeatureSet, originals: Strings, protocol: Protocol
) -> tuple[LeakPlan, ...]:
    """Draw the folds of every protocol.

    Parameters
    ----------
    features : FeatureSet
        Of originals and their altered copies.
    originals : ndarray of str, shape (n_samples,)
        The original of every row.
    protocol : Protocol
        Of kind "cv".

    Returns
    -------
    tuple of LeakPlan
        The worst first.

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
    groups = None if features.groups is None else features.groups[alone]
    by_patient = split_by_patient(protocol, features.y[alone], groups)
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
            "altered copies of one picture stand on both sides of the split: the model is asked "
            "about pictures that it was trained on, turned a little, and recognising them "
            "passes for skill. No new patient brings pictures that it knows.",
            every,
            make_folds(protocol, features.y),
        ),
        LeakPlan(
            "split by image",
            False,
            "pictures of one patient stand on both sides of the split: they share tissue, probe "
            "and settings, and recognising the patient passes for recognising the disease.",
            rows,
            make_folds(protocol, features.y[alone]),
        ),
        LeakPlan(
            "split by patient",
            True,
            "every patient stands, with all pictures, on one side of the split: the test is of "
            "patients that the model has never met, as new ones will be.",
            rows,
            by_patient,
        ),
        LeakPlan(
            "split by patient, then augment",
            True,
            "the same test; copies are made of the pictures of training patients alone. What "
            "differs from the row above is what augmentation is worth.",
            every,
            dataclasses.replace(by_patient, folds=with_copies),
        ),
    )
