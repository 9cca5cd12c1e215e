"""The labelled cases that a model is recalibrated on, and whether they serve."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.splits.patients import count_by_class
from bottleneck.deploy.models.model import Model
from bottleneck.deploy.prediction.head_prediction import score_features
from bottleneck.deploy.prediction.training_copies import are_recognisable, find_training_copies
from bottleneck.duplicates.label_conflicts import resolve_conflicts
from bottleneck.errors import ProtocolError, UsageError
from bottleneck.evaluation.metrics.patient_aggregation import aggregate_by_patient
from bottleneck.features.arrays.feature_inputs import (
    Column,
    FeatureInput,
    SampleFields,
    read_samples,
)
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.predictions import Predictions
from bottleneck.processes.progress_bar import Progress
from bottleneck.text.plurals import counted

__all__ = ["LEAST_CASES", "Cases", "read_cases"]

#: Cases of each class that a recalibration needs, and patients of each class where these are known.
LEAST_CASES = 20

# Numbers of an array are the same if they differ by less than this share of their deviation.
_SAME = 1e-3


@dataclasses.dataclass(frozen=True, eq=False)
class Cases:
    """Labelled cases in the unit of a model, with its scores.

    Attributes
    ----------
    predictions : Predictions
        Scores of images, or of patients if they are the unit of the model. Groups are patients,
        joined where they share copies of an image.
    dataset, fingerprint : str
        Name and fingerprint of their data set.
    images : mapping of str to int
        Images of each class.
    patients : mapping of str to int, or None
        Patients of each class; None if they are not known.
    notes : tuple of str
        Notes to the user.
    """

    predictions: Predictions
    dataset: str
    fingerprint: str
    images: Mapping[str, int]
    patients: Mapping[str, int] | None
    notes: tuple[str, ...]

    @property
    def has_patients(self) -> bool:
        """Whether patients are known."""
        return self.patients is not None


def read_cases(
    model: Model,
    features: FeatureInput,
    *,
    y: Column = None,
    groups: Column = None,
    ids: Column = None,
    progress: Progress | None = None,
) -> Cases:
    """Return the cases of a recalibration.

    Parameters
    ----------
    model : Model
        The model.
    features, y, groups, ids, progress
        As for ``recalibrate``.

    Raises
    ------
    UsageError
        If a label is unknown, or patients are the unit of the model and unknown.
    ModelError
        As ``score_features`` does.
    ProtocolError
        If the model was trained on these cases, a class has fewer than 20 of them, or a patient has
        images of several classes where patients are the unit.
    """
    fields = SampleFields(y, groups, ids)
    samples = read_samples(features, fields, model.recipe, model.classes, model.selection)
    scores = score_features(model, samples)
    if unlabelled := int((samples.y == "").sum()):
        raise UsageError(
            f"recalibration needs the label of every case, but {unlabelled} of {len(samples)} have "
            "none: label them, or leave them out (FeatureSet.select, or --exclude)"
        )
    _refuse_training(model, samples)
    copies = samples.join_duplicates(progress)
    try:
        settled = resolve_conflicts(copies, samples.y, samples.ids, "drop")
    except ProtocolError as error:
        raise ProtocolError(
            "all cases of a class are copies of images that have another label too: correct the "
            "labels"
        ) from error
    rows = settled.kept
    patients = None if samples.patients is None else samples.patients[rows]
    predictions = dataclasses.replace(scores, groups=copies.names).take(rows)
    images = count_by_class(predictions.labels)
    _refuse_few(model, predictions, has_patients=patients is not None)
    notes = [settled.words] if settled.sets else []
    fingerprint = str(samples.provenance["dataset"]["fingerprint"])
    earlier = [one for one in model.recalibrations if one.get("fingerprint") == fingerprint]
    if earlier:
        notes.append(
            f"the model was recalibrated on the same cases before ({earlier[-1].get('date')}): "
            "its old figures are too optimistic here"
        )
    if patients is None:
        notes.append(
            "no patients are known: images of one patient count as independent, so the figures "
            "may look better than they are"
        )
    return Cases(
        predictions if model.unit == "image" else _join_images(model, predictions, patients),
        samples.dataset,
        fingerprint,
        images,
        None if patients is None else count_by_class(predictions.labels, patients),
        tuple(notes),
    )


def _refuse_training(model: Model, samples: FeatureSet) -> None:
    """Raise ``ProtocolError`` for cases that the model was trained on."""
    too_good = (
        "its probabilities are too optimistic on these cases, and recalibration would preserve "
        "that. Use cases that are new to the model"
    )
    same = model.fingerprint in _fingerprints(samples.provenance["dataset"])
    if samples.splits is not None and bool((samples.splits == "test").all()):
        same = same and model.trained_on == "all samples"
    trained = _find_trained(model, samples)
    if not samples.has_images and trained is not None:
        # The ids of arrays may be row numbers, and a few equal rows may be different people.
        same, trained = trained.mean() > 0.5, None
    if same:
        raise ProtocolError(
            "the model was trained on these cases, or on a data set that holds them (of the same "
            f"fingerprint): {too_good}"
            + ("" if samples.has_images else "; if they are new, give them their own ids (ids=)")
        )
    if trained is not None and trained.any():
        shown = ", ".join(f"'{name}'" for name in samples.ids[trained][:3].tolist())
        more = ", …" if trained.sum() > 3 else ""
        raise ProtocolError(
            f"the model was trained on {int(trained.sum())} of these {len(samples)} images, such "
            f"as {shown}{more} (of the same features): {too_good}"
        )


def _find_trained(model: Model, samples: FeatureSet) -> NDArray[np.bool_] | None:
    """Return which cases have the features of a training image; None if the model keeps none."""
    from sklearn.metrics import pairwise_distances_argmin_min

    if model.reference is None or not model.reference.is_known:
        return None
    if samples.has_images:
        copies = find_training_copies(samples.X, model.reference.rows)
        return copies & are_recognisable(samples)
    rows = model.reference.rows.astype(np.float64)
    scale = float(np.linalg.norm(rows.std(axis=0)))
    if not scale:
        return None
    X = samples.X.astype(np.float64)
    return np.asarray(pairwise_distances_argmin_min(X, rows)[1] < _SAME * scale)


def _fingerprints(about: Mapping[str, Any]) -> Iterator[str]:
    """Yield the fingerprints of a data set, of the whole that it is a part of, and of its parts."""
    yield str(about.get("fingerprint"))
    if isinstance(whole := about.get("part_of"), Mapping):
        yield from _fingerprints(whole)
    for source in about.get("sources") or ():
        yield from _fingerprints(source)


def _refuse_few(model: Model, predictions: Predictions, *, has_patients: bool) -> None:
    """Raise ``ProtocolError`` if a class has fewer cases than a recalibration needs."""
    labels, groups = predictions.labels, predictions.groups
    counts = {"image": count_by_class(labels)}
    if groups is not None:
        # Copies of one image are one case, whether or not patients are known.
        counts["patient" if has_patients else "different image"] = count_by_class(labels, groups)
    for unit, found in counts.items():
        if min(found.get(name, 0) for name in model.classes) < LEAST_CASES:
            each = ", ".join(
                f"{counted(found.get(name, 0), unit)} of '{name}'" for name in model.classes
            )
            joined = " (patients that share a copy of an image count once)"
            raise ProtocolError(
                f"recalibration needs {LEAST_CASES} {unit}s of each class, and there are {each}"
                f"{joined if unit == 'patient' else ''}: label more cases"
            )


def _join_images(
    model: Model, predictions: Predictions, patients: NDArray[np.str_] | None
) -> Predictions:
    """Return the predictions of patients, aggregated as in training."""
    if patients is None:
        raise UsageError(
            "the model was fitted on patients, but the patients of these cases are not known: "
            "extract the features again with --patient-pattern or --patient-column (in Python: "
            "groups=)"
        )
    classes_of: dict[str, set[str]] = {}
    for patient, label in zip(patients.tolist(), predictions.labels.tolist(), strict=True):
        classes_of.setdefault(patient, set()).add(label)
    if mixed := sum(len(each) > 1 for each in classes_of.values()):
        raise ProtocolError(
            f"the model predicts patients, and {mixed} of {len(classes_of)} patients have images "
            "of several classes, and therefore no class as a patient: leave these patients out"
        )
    return aggregate_by_patient(
        predictions, model.aggregate, positive=model.positive, patients=patients
    )
