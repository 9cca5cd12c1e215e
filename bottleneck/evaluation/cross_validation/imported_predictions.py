"""Predictions that were made elsewhere, and the folds that they were made in."""

from __future__ import annotations

import dataclasses
import json
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.splits.folds import Fold, Folds, Protocol
from bottleneck.errors import DataError, ProtocolError
from bottleneck.evaluation.metrics.row_groups import independent_units, match_folds, split_folds
from bottleneck.features.file.feature_set import FeatureSet
from bottleneck.predictions import Predictions, read_predictions

__all__ = ["Given", "align", "load_given", "take_folds"]

Strings = NDArray[np.str_]

# Fields of ``training.json`` that a report shows, and of each epoch in it.
_COST = ("trained_parameters", "device", "peak_memory_bytes", "images_seen", "seconds")
_TRAINING = ("network", "seed", "config", "versions")
_CURVES = ("epoch", "train_loss", "val_loss", "val_auroc")


@dataclasses.dataclass(frozen=True, eq=False)
class Given:
    """An arm that was not trained here.

    Attributes
    ----------
    name : str
        What to call it.
    test : Predictions
        What it said of its test samples.
    validation : Predictions or None
        What it said of the samples that the model of each fold was chosen on.
    cost : mapping
        What its training took and how it was made, as far as known.
    inner : tuple of Predictions
        The validation rows, one part a fold and repeat in the order of ``test``; empty where
        there are none, and before ``align``.
    """

    name: str
    test: Predictions
    validation: Predictions | None
    cost: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    inner: tuple[Predictions, ...] = ()


def load_given(path: str | Path) -> Given:
    """Read an arm from a table of predictions, and ``training.json`` where that lies beside it.

    Parameters
    ----------
    path : str or Path
        A file that ``predictions.read_predictions`` reads, or a folder with a
        ``predictions.csv``; "NAME=PATH" names the arm.

    Returns
    -------
    Given
        Without a name of its own, it has that of ``training.json``, of the folder where the
        file is called predictions.csv, or of the file.

    Raises
    ------
    DataError
        If a file cannot be read, or is no such table.
    """
    name, _, after = str(path).partition("=")
    named = bool(after) and not Path(path).exists()
    path = Path(after if named else path)
    if path.is_dir():
        path = path / "predictions.csv"
    test, validation = read_predictions(path)
    record = path.with_name("training.json")
    training = _read_training(record)
    if not named:
        called = path.resolve().parent.name if path.stem == "predictions" else path.stem
        name = str(training.get("name") or called)
    return Given(name, test, validation, _gather_cost(training, record))


def take_folds(given: Sequence[Given], samples: FeatureSet, protocol: Protocol) -> Folds:
    """Return the folds that predictions were made in, for all other arms to be tested in too.

    Parameters
    ----------
    given : sequence of Given
        At least one.
    samples : FeatureSet
        The samples; with patients, these must not stand on both sides.
    protocol : Protocol
        Its seed, and whether leakage is allowed.

    Returns
    -------
    Folds
        A fold is tested by what is trained on all samples outside it.

    Raises
    ------
    ProtocolError
        If the predictions are of other samples than each other or the features, or a patient
        stands on both sides of a fold.
    """
    first = given[0]
    for other in given[1:]:
        if _partition(other.test) != _partition(first.test):
            raise ProtocolError(
                f"the predictions '{first.name}' and '{other.name}' are of different samples or "
                f"folds: only arms tested on the same samples can be compared"
            )
    row = {sample: n for n, sample in enumerate(samples.ids.tolist())}
    if strange := [i for i in first.test.ids.tolist() if i not in row]:
        raise ProtocolError(
            f"{len(strange)} of {len(first.test)} predictions of '{first.name}' are of samples "
            f"that the features do not hold: their ids must be those of the feature file "
            f"(bottleneck inspect shows some)"
        )
    parts = [first.test.take(rows) for rows in split_folds(first.test)]
    several = len({int(p.folds[0]) for p in parts}) > 1
    if len(parts) > 1 and not several:
        raise ProtocolError(
            f"'{first.name}' has {len(parts)} repeats of a single test part: give each of them, "
            f"such as the network of each seed, as an arm of its own"
        )
    made = []
    for part in parts:
        test = np.sort([row[i] for i in part.ids.tolist()])
        train = np.setdiff1d(np.arange(len(samples)), test)
        made.append(Fold(int(part.repeats[0]), int(part.folds[0]), protocol.seed, train, test))
    if several:
        for repeat in sorted({fold.repeat for fold in made}):
            tested = np.concatenate([fold.test for fold in made if fold.repeat == repeat])
            if missing := len(samples) - len(tested):
                raise ProtocolError(
                    f"the folds of '{first.name}' test {len(tested)} of the {len(samples)} samples "
                    f"that have features ({missing} are missing): arms on different samples are "
                    f"not compared. Predict the missing ones, or extract features of the same "
                    f"samples"
                )
    for fold in made:
        for rows, what in ((fold.train, "train on"), (fold.test, "test on")):
            if lacking := sorted(set(samples.classes) - set(samples.y[rows])):
                raise ProtocolError(
                    f"a fold of '{first.name}' leaves no sample of '{lacking[0]}' to {what}"
                )
    grouped = samples.groups is not None
    if samples.groups is not None:
        patients = samples.groups
        shared = [np.intersect1d(patients[f.train], patients[f.test]) for f in made]
        shared_patients = len(np.unique(np.concatenate(shared)))
        if shared_patients and not protocol.allow_leakage:
            raise ProtocolError(
                f"the folds of '{first.name}' put {shared_patients} patients (or pictures that "
                f"come twice) on both sides: what was trained on them was tested on them. Go on "
                f"with --allow-leakage, and the report says so in its first line"
            )
        grouped = not shared_patients
    words = (
        f"The folds are those in which the predictions '{first.name}' were made"
        if several
        else f"The test part is that of the predictions '{first.name}'"
    )
    return Folds(
        "given folds" if several else "fixed split",
        tuple(made),
        grouped,
        f"{words}; every other arm was tested in the same.",
    )


def align(given: Given, folds: Folds, samples: FeatureSet, *, allow_leakage: bool = False) -> Given:
    """Bring predictions into the order of the folds, under the patients of the samples.

    Parameters
    ----------
    given : Given
    folds : Folds
        What the other arms are tested in.
    samples : FeatureSet
        The samples.
    allow_leakage : bool
        Whether validation samples may be tested too.

    Returns
    -------
    Given
        Rows as ``nested.run_arms`` orders them.

    Raises
    ------
    ProtocolError
        If the predictions are of other samples, folds or classes, or disagree on labels, or
        a fold alone has no validation samples, or some that are tested in it.
    """
    refuse = f"the predictions '{given.name}'"
    if given.test.classes != samples.classes:
        raise ProtocolError(
            f"{refuse} are of the classes {', '.join(given.test.classes)}, and the features of "
            f"{', '.join(samples.classes)}: only predictions of the same classes can be compared"
        )
    wanted = [
        (fold.repeat, fold.index, sample)
        for fold in folds
        for sample in samples.ids[fold.test].tolist()
    ]
    at = {key: n for n, key in enumerate(_keys(given.test))}
    missing = sum(key not in at for key in wanted)
    if missing or len(at) != len(wanted):
        raise ProtocolError(
            f"{refuse} are of other samples or folds than the features' ({len(at)} predictions, "
            f"{len(wanted)} needed, {missing} of these missing). Leave --protocol at auto, so that "
            f"all arms are tested in the folds of the predictions"
        )
    test = given.test.take(np.array([at[key] for key in wanted]))
    rows = np.concatenate([fold.test for fold in folds])
    if wrong := int((test.labels != samples.y[rows]).sum()):
        raise ProtocolError(f"{refuse} have another label than the features for {wrong} samples")
    groups = None if samples.groups is None else samples.groups[rows]
    test = dataclasses.replace(test, groups=groups)
    validation = given.validation
    if validation is None:
        return dataclasses.replace(given, test=test)
    label = dict(zip(samples.ids.tolist(), samples.y.tolist(), strict=True))
    told = zip(validation.ids.tolist(), validation.labels.tolist(), strict=True)
    if wrong := sum(label.get(i, y) != y for i, y in told):
        raise ProtocolError(
            f"{refuse} have another label than the features for {wrong} validation samples"
        )
    if samples.groups is not None:
        patient = dict(zip(samples.ids.tolist(), samples.groups.tolist(), strict=True))
        # Samples of other data sets may be validated on, and are patients of their own.
        known = [patient.get(i, f"sample {i}") for i in validation.ids.tolist()]
        validation = dataclasses.replace(validation, groups=np.array(known))
    inner = tuple(match_folds(test, validation))
    for rows, part in zip(split_folds(test), inner, strict=True):
        tested = test.take(rows)
        both = int(np.isin(independent_units(part), independent_units(tested)).sum())
        if both and not allow_leakage:
            raise ProtocolError(
                f"{both} validation samples of {refuse} are, or are of the same patients as, test "
                f"samples of the same fold: thresholds would be set on what they are tested on. "
                f"Hold other patients out, or go on with --allow-leakage"
            )
    return dataclasses.replace(given, test=test, validation=validation, inner=inner)


def _keys(predictions: Predictions) -> list[tuple[int, int, str]]:
    columns = (predictions.repeats, predictions.folds, predictions.ids)
    return list(zip(*(c.tolist() for c in columns), strict=True))


def _partition(predictions: Predictions) -> set[tuple[int, int, str]]:
    return set(_keys(predictions))


def _gather_cost(training: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Take what a reader of results needs from the record of a training."""
    cost = {field: training[field] for field in _COST if training.get(field) is not None}
    curves = [
        {"repeat": fold.get("repeat", 0), "fold": fold.get("fold", 0)}
        | {name: value for name, value in epoch.items() if name in _CURVES}
        for fold in _tables(training, "folds", path)
        for epoch in _tables(fold, "curve", path)
    ]
    for fields in (cost, *curves):
        for name, value in fields.items():
            kind = str if name == "device" else (int, float, types.NoneType)
            if not isinstance(value, kind) or isinstance(value, bool):
                raise DataError(f"{path} does not describe a training: {name} cannot be {value!r}")
    told = {field: training[field] for field in _TRAINING if training.get(field) is not None}
    for name, value in told.items():
        if not _is_shallow(value):
            raise DataError(f"{path} does not describe a training: {name} is nested too deeply")
    return cost | ({"curves": curves} if curves else {}) | ({"training": told} if told else {})


def _is_shallow(value: Any, levels: int = 3) -> bool:
    if not isinstance(value, dict | list):
        return True
    inside = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_is_shallow(one, levels - 1) for one in inside)


def _tables(table: Mapping[str, Any], key: str, path: Path) -> Sequence[Mapping[str, Any]]:
    found = table.get(key, [])
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise DataError(f"{path} does not describe a training: {key} is no list of tables")
    return found


def _read_training(path: Path) -> Mapping[str, Any]:
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"cannot read {path}: {error}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} does not describe a training: it holds no table of fields")
    return content
