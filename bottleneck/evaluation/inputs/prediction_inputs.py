"""Imported arms from whatever a comparison is given: tables, folders, predictions in memory."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias, Union

import numpy as np

from bottleneck.errors import DataError, ProtocolError, UsageError
from bottleneck.evaluation.cross_validation.imported_predictions import (
    ImportedArm,
    adopt_names,
    load_imported,
)
from bottleneck.features.arrays.array_features import without_features
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.predictions import Predictions
from bottleneck.text.short_repr import shorten

__all__ = ["NamedPredictions", "PredictionInput", "read_imported", "samples_of"]

#: A table or a training folder, predictions, or those of test and validation sets.
PredictionInput: TypeAlias = Union[
    str, "os.PathLike[str]", Predictions, tuple[Predictions, Predictions | None]
]
#: Predictions of several arms, some of them with a name.
NamedPredictions: TypeAlias = (
    PredictionInput
    | Mapping[str, PredictionInput]
    | Sequence[PredictionInput | Mapping[str, PredictionInput]]
)

_NEEDED = (
    "predictions need a table, the folder of a trained network, Predictions, a pair of these (test "
    "and validation sets), or a mapping of name to one of these"
)


def read_imported(predictions: NamedPredictions) -> list[ImportedArm]:
    """Return the imported arms that are given; there may be none.

    Parameters
    ----------
    predictions : path, Predictions, pair, or a mapping or sequence of these
        A pair, as from ``read_predictions``, has the predictions of the test sets and of the
        validation sets, or None.

    Raises
    ------
    UsageError
        If something is none of these, or a name is not text.
    DataError
        As ``load_imported`` does.
    """
    given = list(_name_each(predictions))
    n_unnamed = sum(name is None and not _is_path(one) for name, one in given)
    arms: list[ImportedArm] = []
    for name, one in given:
        if _is_path(one):
            arm = load_imported(os.fspath(one))
            arms.append(arm if name is None else dataclasses.replace(arm, name=name))
            continue
        test, validation = one if isinstance(one, tuple) else (one, None)
        number = f" {len(arms) + 1}" if n_unnamed > 1 else ""
        arm = ImportedArm(name or f"predictions{number}", test, validation)
        _refuse_unsound(arm)
        arms.append(arm)
    return arms


def _refuse_unsound(arm: ImportedArm) -> None:
    """Refuse predictions in memory that a table could not have."""
    for part in _parts(arm):
        prefix = f"the predictions '{arm.name}'"
        if not len(part):
            raise DataError(f"{prefix} have no row: give at least one per class")
        if unlabelled := int((part.labels == "").sum()):
            raise DataError(
                f"{prefix} have no label in {unlabelled} of {len(part)} rows: give the true labels "
                "(y= of Model.predict), or leave these rows out"
            )
        for column in (part.labels, part.predicted):
            if unknown := sorted({str(name) for name in column.tolist()} - set(part.classes)):
                raise DataError(
                    f"{prefix} name '{unknown[0]}', and their scores are of "
                    f"{', '.join(part.classes)}: make them with Predictions.from_arrays"
                )
        if part is arm.test:
            keys = Counter(zip(part.ids.tolist(), part.repeats.tolist(), strict=True))
            if twice := [identity for (identity, _), n in keys.items() if n > 1]:
                raise DataError(
                    f"{prefix} have '{twice[0]}' twice in one repeat ({len(twice)} such samples): "
                    "give each sample once per repeat"
                )


def samples_of(arms: Sequence[ImportedArm]) -> tuple[FeatureSet, list[ImportedArm]]:
    """Return the samples that predictions are of, without features, and the arms in their names.

    Parameters
    ----------
    arms : sequence of ImportedArm
        At least one. All have the samples, labels and patients of the first.

    Raises
    ------
    ProtocolError
        If a sample has several labels, or several patients.
    """
    first = arms[0].test
    ids, rows = np.unique(first.ids, return_index=True)
    order = np.sort(rows)
    classes = tuple(np.unique(first.labels).tolist())
    arms = [adopt_names(arm, ids.tolist(), classes) for arm in arms]
    labels = dict(zip(first.ids[order].tolist(), first.labels[order].tolist(), strict=True))
    patients: dict[str, str] = {}
    for arm in arms:
        for part in _parts(arm):
            stated = zip(part.ids.tolist(), part.labels.tolist(), strict=True)
            if wrong := [i for i, label in stated if labels.get(i, label) != label]:
                raise ProtocolError(
                    f"the predictions '{arm.name}' have another label than '{arms[0].name}' for "
                    f"'{wrong[0]}' ({len(set(wrong))} such samples), or several: state each "
                    "sample's true label"
                )
            if part.groups is None:
                continue
            for identity, patient in zip(part.ids.tolist(), part.groups.tolist(), strict=True):
                if patient and patients.setdefault(identity, patient) != patient:
                    raise ProtocolError(
                        f"the predictions '{arm.name}' name another patient for '{identity}' than "
                        f"'{arms[0].name}', or several: spell each sample's patient in one way"
                    )
    names = first.ids[order]
    stated_patients = [patients.get(identity, "") for identity in names.tolist()]
    return without_features(names, first.labels[order], stated_patients), arms


def _parts(arm: ImportedArm) -> list[Predictions]:
    return [arm.test] if arm.validation is None else [arm.test, arm.validation]


def _is_path(value: object) -> bool:
    return isinstance(value, str | os.PathLike)


def _name_each(predictions: Any) -> Iterator[tuple[str | None, Any]]:
    """Yield name and predictions of each arm, checked."""
    if isinstance(predictions, Iterator):
        predictions = list(predictions)
    if isinstance(predictions, Mapping):
        for name, one in predictions.items():
            if not isinstance(name, str) or not name.strip():
                raise UsageError(
                    f"predictions need a text as their name, such as 'reader A', not "
                    f"{shorten(name)}"
                )
            yield name, _check(one)
    elif isinstance(predictions, list | tuple) and not _is_pair(predictions, alone=True):
        for one in predictions:
            if isinstance(one, Mapping):
                yield from _name_each(one)
            else:
                yield None, _check(one)
    else:
        yield None, _check(predictions)


def _check(one: Any) -> Any:
    if _is_path(one) or isinstance(one, Predictions) or _is_pair(one):
        return tuple(one) if isinstance(one, list) else one
    advice = ""
    if isinstance(one, FeatureSet):
        advice = "; a FeatureSet is given as features"
    elif hasattr(one, "__array__") or hasattr(one, "columns") or isinstance(one, list):
        advice = "; make some of arrays with Predictions.from_arrays(y, scores)"
    raise UsageError(f"{_NEEDED}, not {shorten(one)}{advice}")


def _is_pair(value: Any, *, alone: bool = False) -> bool:
    """Return whether these are predictions of test and validation sets.

    Two predictions that stand alone are two arms.
    """
    if not isinstance(value, list | tuple) or len(value) != 2:
        return False
    test, validation = value
    is_second = validation is None or (not alone and isinstance(validation, Predictions))
    return isinstance(test, Predictions) and is_second
