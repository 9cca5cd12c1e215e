"""Predictions of patients, made of those of their images."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.splits.patients import name_patients
from bottleneck.data.splits.protocol import Aggregate, Protocol
from bottleneck.errors import ProtocolError, UsageError
from bottleneck.features.file.feature_set import FeatureSet
from bottleneck.predictions import Predictions

__all__ = ["by_patient", "columns_by", "count_by"]

Count = Callable[[Predictions], Predictions]


def count_by(protocol: Protocol, positive: str | None, samples: FeatureSet) -> Count:
    """Return what turns predictions of images into those of the protocol's unit.

    Parameters
    ----------
    protocol : Protocol
        Its unit, and how images are aggregated.
    positive : str or None
        The positive class.
    samples : FeatureSet
        Ids and patients of all images.

    Returns
    -------
    callable
        Takes and returns ``Predictions``; raises as ``by_patient`` does.
    """
    if protocol.unit == "image":
        return lambda predictions: predictions
    patients = name_patients(samples.groups, samples.ids)
    of = {} if patients is None else dict(zip(samples.ids, patients, strict=True))

    def count(predictions: Predictions) -> Predictions:
        known = (
            np.array([of.get(i, f"sample {i}") for i in predictions.ids.tolist()]) if of else None
        )
        return by_patient(predictions, protocol.aggregate, positive=positive, patients=known)

    return count


def columns_by(
    protocol: Protocol, columns: Mapping[str, Mapping[str, str]], samples: FeatureSet
) -> Mapping[str, Mapping[str, str]]:
    """Return columns of images as columns of the protocol's unit.

    A patient whose images differ in a column has the value "several".
    """
    patients = name_patients(samples.groups, samples.ids)
    if protocol.unit == "image" or patients is None:
        return columns
    of = dict(zip(samples.ids.tolist(), patients.tolist(), strict=True))
    found: dict[str, Mapping[str, str]] = {}
    for name, values in columns.items():
        held: dict[str, set[str]] = {}
        for sample, value in values.items():
            held.setdefault(of[sample], set()).add(value)
        found[name] = {p: v.pop() if len(v) == 1 else "several" for p, v in held.items()}
    return found


def by_patient(
    predictions: Predictions,
    aggregate: Aggregate = "mean",
    *,
    positive: str | None = None,
    patients: NDArray[np.str_] | None = None,
) -> Predictions:
    """Make one prediction of each patient.

    Parameters
    ----------
    predictions : Predictions
        One row an image and repeat.
    aggregate : {"mean", "max"}
        A patient's score is the mean of its images' scores, or that of the image which is
        most of the positive class.
    positive : str or None
        The positive class; needed for "max".
    patients : ndarray of str, shape (n,), or None
        Patient of every row, where ``predictions.groups`` names something larger: patients
        whose pictures come twice are one group, and two patients all the same.

    Returns
    -------
    Predictions
        One row a patient and repeat (and fold, where a patient stands in several), in order
        of appearance; ids are the patients'. The class of the largest score is predicted.
        Probabilities that were known are taken with their scores, and are no longer
        calibrated for patients.

    Raises
    ------
    ProtocolError
        If no patients are known, or one has images of several classes.
    UsageError
        If "max" is asked for without two classes, one of them positive.
    """
    patients = predictions.groups if patients is None else patients
    if patients is None:
        raise ProtocolError(
            "patients cannot be scored, since none are named: ask for --unit image, or extract "
            "the features of a data set that names patients"
        )
    if aggregate == "max" and (positive is None or len(predictions.classes) != 2):
        raise UsageError(
            f"the maximum of a patient's images is defined for two classes, one of them "
            f"positive, not for {len(predictions.classes)} classes: ask for --aggregate mean"
        )
    codes = [
        np.unique(values, return_inverse=True)[1]
        for values in (predictions.repeats, predictions.folds, patients)
    ]
    _, first, patient = np.unique(np.stack(codes), axis=1, return_index=True, return_inverse=True)
    labels = predictions.labels
    mixed = np.unique(patients[labels != labels[first][patient]])
    if len(mixed):
        raise ProtocolError(
            f"{len(mixed)} of {len(np.unique(patients))} patients have images of "
            f"several classes, so that they have no class of their own: ask for --unit image"
        )
    if aggregate == "mean":
        counts = np.bincount(patient)[:, np.newaxis]

        def gather(values: np.ndarray) -> np.ndarray:
            # From the first image on, so that the mean of equal scores is that score exactly.
            excess = values - values[first][patient]
            sums = np.stack([np.bincount(patient, column) for column in excess.T], axis=1)
            return values[first] + sums / counts
    else:
        column = predictions.scores[:, predictions.classes.index(positive)]
        # Sorted by patient and then score, a patient's last row is that of its maximum.
        order = np.lexsort([column, patient])
        highest = order[np.flatnonzero(np.diff(patient[order], append=-1))]

        def gather(values: np.ndarray) -> np.ndarray:
            return values[highest]

    kept = np.argsort(first)
    scores = gather(predictions.scores)[kept]
    rows = predictions.take(first[kept])
    return dataclasses.replace(
        rows,
        ids=patients[first[kept]],
        groups=patients[first[kept]] if rows.groups is None else rows.groups,
        scores=scores,
        predicted=np.array(predictions.classes)[scores.argmax(axis=1)],
        probabilities=None
        if predictions.probabilities is None
        else gather(predictions.probabilities)[kept],
    )
