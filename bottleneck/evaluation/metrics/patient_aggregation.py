"""Predictions of patients, aggregated from those of their images."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.splits.protocol import Aggregate, Protocol
from bottleneck.errors import ProtocolError, UsageError
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.predictions import Predictions, predicted_classes

__all__ = ["aggregate_by_patient", "aggregate_columns", "unit_aggregation"]

Aggregation = Callable[[Predictions], Predictions]


def unit_aggregation(protocol: Protocol, positive: str | None, samples: FeatureSet) -> Aggregation:
    """Return the function that aggregates predictions of images to the unit of the protocol.

    Parameters
    ----------
    protocol : Protocol
        Unit (image or patient) and the method of aggregation.
    positive : str or None
        The positive class.
    samples : FeatureSet
        Feature set with the ids and patients of all images.

    Returns
    -------
    callable
        Function from ``Predictions`` to ``Predictions``: ``aggregate_by_patient``, or the
        identity if the unit is the image.
    """
    if protocol.unit == "image":
        return lambda predictions: predictions
    patients = samples.patients
    patient_of = {} if patients is None else dict(zip(samples.ids, patients, strict=True))

    def aggregate(predictions: Predictions) -> Predictions:
        ids = predictions.ids.tolist()
        rows = np.array([patient_of.get(i, f"sample {i}") for i in ids]) if patient_of else None
        return aggregate_by_patient(
            predictions, protocol.aggregate, positive=positive, patients=rows
        )

    return aggregate


def aggregate_columns(
    protocol: Protocol, columns: Mapping[str, Mapping[str, str]], samples: FeatureSet
) -> Mapping[str, Mapping[str, str]]:
    """Aggregate columns of images to the unit of the protocol.

    A patient with different values in a column gets the value "several".
    """
    patients = samples.patients
    if protocol.unit == "image" or patients is None:
        return columns
    patient_of = dict(zip(samples.ids.tolist(), patients.tolist(), strict=True))
    aggregated: dict[str, Mapping[str, str]] = {}
    for name, values in columns.items():
        by_patient: dict[str, set[str]] = {}
        for sample, value in values.items():
            by_patient.setdefault(patient_of[sample], set()).add(value)
        aggregated[name] = {p: v.pop() if len(v) == 1 else "several" for p, v in by_patient.items()}
    return aggregated


def aggregate_by_patient(
    predictions: Predictions,
    aggregate: Aggregate = "mean",
    *,
    positive: str | None = None,
    patients: NDArray[np.str_] | None = None,
) -> Predictions:
    """Aggregate the predictions of images to one prediction per patient.

    Parameters
    ----------
    predictions : Predictions
        One row per image and repeat.
    aggregate : {"mean", "max"}
        Score of a patient: the mean over its images, or the scores of the image with the
        largest score of the positive class.
    positive : str or None
        The positive class; required for "max".
    patients : ndarray of str, shape (n,), or None
        Patient of every row, if ``predictions.groups`` holds larger groups: patients with
        duplicates of the same image form one group but remain separate patients.

    Returns
    -------
    Predictions
        One row per patient and repeat (and fold, if a patient is in several), in order of
        appearance, with the patients as ids. The predicted class has the largest score.
        Probabilities are aggregated like the scores; they are not calibrated for patients.

    Raises
    ------
    ProtocolError
        If no patients are known, or a patient has images of several classes.
    UsageError
        If ``aggregate`` is "max" without two classes or without a positive class.
    """
    patients = predictions.groups if patients is None else patients
    if patients is None:
        raise ProtocolError(
            "patients cannot be scored, because the data set names none: use --unit image, or "
            "extract the features of a data set that names patients"
        )
    if aggregate == "max" and (positive is None or len(predictions.classes) != 2):
        raise UsageError(
            f"the maximum over the images of a patient needs two classes and a positive one, "
            f"but there are {len(predictions.classes)} classes: use --aggregate mean"
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
            f"several classes, and therefore no class of their own: use --unit image"
        )
    if aggregate == "mean":
        counts = np.bincount(patient)[:, np.newaxis]

        def gather(values: np.ndarray, by: np.ndarray) -> np.ndarray:
            # Relative to the first image, so that the mean of equal scores is exactly that score.
            excess = values - values[first][patient]
            sums = np.stack([np.bincount(patient, column) for column in excess.T], axis=1)
            return values[first] + sums / counts
    else:
        of_positive = predictions.classes.index(positive)

        def gather(values: np.ndarray, by: np.ndarray) -> np.ndarray:
            # Sorted by patient, then score: the last row of a patient is its maximum.
            order = np.lexsort([by[:, of_positive], patient])
            return values[order[np.flatnonzero(np.diff(patient[order], append=-1))]]

    kept = np.argsort(first)
    by = predictions.scores
    scores = gather(by, by)[kept]
    rows = predictions.take(first[kept])
    jackknife = predictions.jackknife
    if jackknife is not None:
        parts = [gather(part, part)[kept] for part in jackknife.swapaxes(0, 1)]
        jackknife = np.stack(parts, axis=1)
    return dataclasses.replace(
        rows,
        ids=patients[first[kept]],
        groups=patients[first[kept]] if rows.groups is None else rows.groups,
        scores=scores,
        predicted=predicted_classes(scores, predictions.classes),
        probabilities=None
        if predictions.probabilities is None
        else gather(predictions.probabilities, by)[kept],
        jackknife=jackknife,
    )
