"""Imported predictions: arms that were trained outside the comparison, and their folds."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.spelling.spelling_keys import match_ids, match_names
from bottleneck.data.splits.protocol import Fold, Folds, Protocol
from bottleneck.errors import ProtocolError
from bottleneck.evaluation.cross_validation.arms import ArmPredictions
from bottleneck.evaluation.cross_validation.labelled_samples import LabelledSamples
from bottleneck.evaluation.cross_validation.training_record import read_training, training_cost
from bottleneck.evaluation.metrics.inference.row_groups import (
    independent_units,
    match_folds,
    split_folds,
)
from bottleneck.evaluation.results.arm_origin import ArmOrigin
from bottleneck.predictions import Predictions
from bottleneck.predictions.prediction_tables import read_predictions

__all__ = ["ImportedArm", "adopt_names", "align", "leave_out", "load_imported", "take_folds"]


@dataclasses.dataclass(frozen=True, eq=False)
class ImportedArm:
    """Predictions as they were read from a file.

    Attributes
    ----------
    name : str
        Name of the arm.
    test : Predictions
        Predictions of the test sets.
    validation : Predictions or None
        Predictions of the validation sets that the model of each fold was chosen on.
    cost : mapping
        Record of the training, as in ``Evaluation``.
    origin : ArmOrigin or None
        The folder of trained networks that they are from; None for those of other programs.
    """

    name: str
    test: Predictions
    validation: Predictions | None
    cost: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    origin: ArmOrigin | None = None

    @property
    def weights(self) -> Mapping[str, Any]:
        """Name, sha256 and licence of the weights that a training began with; empty if unknown."""
        training = self.cost.get("training", {})
        network = training.get("network", {})
        columns = "columns" in ((training.get("features") or {}).get("recipe") or {})
        if "weights" not in network or columns:
            return {}
        return {
            "name": network["weights"],
            "sha256": network.get("weights_sha256"),
            "licence": network.get("licence"),
        }


def load_imported(path: str | Path) -> ImportedArm:
    """Read an arm from a table of predictions, and from the ``training.json`` next to it.

    Parameters
    ----------
    path : str or Path
        A file that ``read_predictions`` reads, or a folder with a
        ``predictions.csv``; "NAME=PATH" names the arm.

    Returns
    -------
    ImportedArm
        Without a given name, it is named by ``training.json``, or else after the file, or after
        the folder of a file called ``predictions.csv``.

    Raises
    ------
    DataError
        If a file cannot be read, or is no such table.
    """
    name, _, after = str(path).partition("=")
    is_named = bool(after) and not Path(path).exists()
    path = Path(after if is_named else path)
    if path.is_dir():
        path = path / "predictions.csv"
    test, validation = read_predictions(path)
    record = path.with_name("training.json")
    training = read_training(record)
    if not is_named:
        default = path.resolve().parent.name if path.stem == "predictions" else path.stem
        name = str(training.get("name") or default)
    # Networks on features predict no images.
    network = training.get("network")
    trained = isinstance(network, Mapping) and network.get("head") != "new_fc"
    origin = ArmOrigin(file=str(path.parent)) if trained else None
    return ImportedArm(name, test, validation, training_cost(training, record), origin)


def adopt_names(arm: ImportedArm, ids: Sequence[str], classes: tuple[str, ...]) -> ImportedArm:
    """Return an arm with the ids and classes of a data set, where it spells them in another way.

    Parameters
    ----------
    arm : ImportedArm
        Imported predictions.
    ids : sequence of str
        Ids of the samples.
    classes : tuple of str
        Classes of the samples, sorted. Classes are renamed only if all can be.
    """
    found = match_names(arm.test.classes, classes)
    if sorted(found.values()) != sorted(classes) or len(found) != len(arm.test.classes):
        found = {name: name for name in arm.test.classes}
    renamed = tuple(sorted(found.values()))
    order = [[found[name] for name in arm.test.classes].index(name) for name in renamed]

    def respell(predictions: Predictions) -> Predictions:
        known = match_ids(predictions.ids.tolist(), ids)
        probabilities, jackknife = predictions.probabilities, predictions.jackknife
        return dataclasses.replace(
            predictions,
            ids=np.array([known.get(i, i) for i in predictions.ids.tolist()]),
            labels=np.array([found[label] for label in predictions.labels.tolist()]),
            predicted=np.array([found[label] for label in predictions.predicted.tolist()]),
            scores=predictions.scores[:, order],
            classes=renamed,
            probabilities=None if probabilities is None else probabilities[:, order],
            jackknife=None if jackknife is None else jackknife[:, :, order],
        )

    validation = None if arm.validation is None else respell(arm.validation)
    return dataclasses.replace(arm, test=respell(arm.test), validation=validation)


def leave_out(
    arm: ImportedArm,
    stated: tuple[NDArray[np.str_], NDArray[np.str_]],
    used: tuple[NDArray[np.str_], NDArray[np.str_]],
) -> ImportedArm:
    """Return imported predictions of the samples that a comparison uses, with its labels.

    Predictions were made for all samples. A comparison may leave out copies with different
    labels, or give them the label of the majority. A label that differs from the data set's is
    not changed.

    Parameters
    ----------
    arm : ImportedArm
        Imported predictions.
    stated, used : tuple of (ndarray of str, ndarray of str)
        Ids and labels of all samples of the data set, and of those that are used.
    """
    lost = np.setdiff1d(stated[0], used[0])
    before = dict(zip(*(column.tolist() for column in stated), strict=True))
    after = dict(zip(*(column.tolist() for column in used), strict=True))
    changed = {(i, before[i]): label for i, label in after.items() if label != before[i]}

    def reduce(predictions: Predictions) -> Predictions:
        part = predictions
        if np.isin(part.ids, lost).any():
            part = part.take(~np.isin(part.ids, lost))
        if not changed:
            return part
        pairs = zip(part.ids.tolist(), part.labels.tolist(), strict=True)
        labels = np.array([changed.get(pair, pair[1]) for pair in pairs], str)
        return dataclasses.replace(part, labels=labels)

    validation = None if arm.validation is None else reduce(arm.validation)
    return dataclasses.replace(arm, test=reduce(arm.test), validation=validation)


def take_folds(
    imported: Sequence[ImportedArm],
    samples: LabelledSamples,
    protocol: Protocol,
    *,
    trains: bool = True,
) -> Folds:
    """Return the folds of imported predictions, in which all other arms are tested too.

    Parameters
    ----------
    imported : sequence of ImportedArm
        At least one.
    samples : LabelledSamples
        Samples, and groups that should not be on both sides of a fold.
    protocol : Protocol
        Its seed, and whether leakage is allowed.
    trains : bool
        Whether other arms are trained in these folds. Without them, a single test set may have
        all samples.

    Returns
    -------
    Folds
        Each fold is trained on all samples outside its test set.

    Raises
    ------
    ProtocolError
        If the predictions have other samples than each other or the features, or a group is on
        both sides of a fold.
    """
    first = imported[0]
    for other in imported[1:]:
        if set(_keys(other.test)) != set(_keys(first.test)):
            raise ProtocolError(
                f"the predictions '{first.name}' and '{other.name}' have different samples or "
                f"folds: only arms tested on the same samples can be compared"
            )
    folds = _read_folds(first, samples, protocol.seed)
    several = len({fold.index for fold in folds}) > 1
    _refuse_unfit(first.name, folds, samples, several=several, trains=trains)
    grouped = samples.groups is not None
    if samples.groups is not None:
        groups = samples.groups
        shared = [np.intersect1d(groups[f.train], groups[f.test]) for f in folds]
        n_shared = len(np.unique(np.concatenate(shared)))
        if n_shared and not protocol.allow_leakage:
            raise ProtocolError(
                f"the folds of '{first.name}' put {n_shared} patients (or groups of duplicate "
                "images) on both sides: the arm was tested on its training data. Train it in the "
                "folds of a comparison (bottleneck finetune --folds-from), or accept this "
                f"with --allow-leakage, which the first line of the report will state"
            )
        grouped = not n_shared
    words = (
        f"The folds are those of the predictions '{first.name}'"
        if several
        else f"The test set is that of the predictions '{first.name}'"
    )
    others = "; every other arm was tested in the same." if trains else "."
    is_known = several or trains
    return Folds(
        "given folds" if several else "fixed split" if trains else "test set",
        tuple(folds),
        f"{words}{others}",
        grouped and is_known,
    )


def _read_folds(arm: ImportedArm, samples: LabelledSamples, seed: int) -> list[Fold]:
    row = {sample: n for n, sample in enumerate(samples.ids.tolist())}
    if unknown := [i for i in arm.test.ids.tolist() if i not in row]:
        raise ProtocolError(
            f"{len(unknown)} of {len(arm.test)} predictions of '{arm.name}' are of samples "
            f"that the features do not hold: their ids must be those of the feature file "
            f"(bottleneck inspect shows some). Compare them without features with --no-features "
            f"(in Python features=None)"
        )
    folds = []
    for rows in split_folds(arm.test):
        part = arm.test.take(rows)
        test = np.sort([row[i] for i in part.ids.tolist()])
        train = np.setdiff1d(np.arange(len(samples)), test)
        folds.append(Fold(int(part.repeats[0]), int(part.folds[0]), seed, train, test))
    return folds


def _refuse_unfit(
    name: str, folds: Sequence[Fold], samples: LabelledSamples, *, several: bool, trains: bool
) -> None:
    """Refuse folds that do not test every sample once per repeat, or lack a class."""
    if len(folds) > 1 and not several:
        raise ProtocolError(
            f"'{name}' has {len(folds)} repeats of a single test set: import each of them, "
            f"such as the network of each seed, as an arm of its own"
        )
    for repeat in sorted({fold.repeat for fold in folds}) if several else ():
        tested = np.concatenate([fold.test for fold in folds if fold.repeat == repeat])
        if missing := len(samples) - len(tested):
            raise ProtocolError(
                f"the folds of '{name}' test {len(tested)} of the {len(samples)} samples "
                f"that have features ({missing} are missing): arms on different samples are "
                "not compared. Predict the missing samples, leave them out (--exclude), or treat "
                "copies with different labels as was done there (--conflicts)"
            )
    for fold in folds:
        for rows, what in ((fold.train, "train on"), (fold.test, "test on")):
            if rows is fold.train and not trains:
                continue
            if lacking := sorted(set(samples.classes) - set(samples.y[rows])):
                advice = ""
                if not len(rows) and rows is fold.train:
                    advice = (
                        ": state the fold in which each sample was tested, or compare the "
                        "predictions without features (--no-features, in Python features=None)"
                    )
                raise ProtocolError(
                    f"a fold of '{name}' leaves no sample of '{lacking[0]}' to {what}{advice}"
                )


def align(
    arm: ImportedArm, folds: Folds, samples: LabelledSamples, *, allow_leakage: bool = False
) -> ArmPredictions:
    """Return imported predictions in the order of the folds, with the groups of the samples.

    Parameters
    ----------
    arm : ImportedArm
        Imported predictions.
    folds : Folds
        Folds in which the other arms are tested.
    samples : LabelledSamples
        Samples of the comparison.
    allow_leakage : bool
        Whether validation samples may be test samples too.

    Returns
    -------
    ArmPredictions
        Rows in the order of ``run_arms``.

    Raises
    ------
    ProtocolError
        If the predictions have other samples, folds, classes or labels, or some folds have no
        validation samples, or validation samples that are tested in the same fold.
    """
    prefix = f"the predictions '{arm.name}'"
    if arm.test.classes != samples.classes:
        raise ProtocolError(
            f"{prefix} are of the classes {', '.join(arm.test.classes)}, and the samples of "
            f"{', '.join(samples.classes)}: only predictions of the same classes can be compared"
        )
    wanted = [
        (fold.repeat, fold.index, sample)
        for fold in folds
        for sample in samples.ids[fold.test].tolist()
    ]
    at = {key: n for n, key in enumerate(_keys(arm.test))}
    missing = sum(key not in at for key in wanted)
    if missing or len(at) != len(wanted):
        raise ProtocolError(
            f"{prefix} have other samples or folds than the features ({len(at)} predictions, "
            f"{len(wanted)} needed, {missing} of these missing). Leave --protocol at auto, so that "
            f"all arms are tested in the folds of the predictions"
        )
    test = arm.test.take(np.array([at[key] for key in wanted]))
    rows = np.concatenate([fold.test for fold in folds])
    if wrong := int((test.labels != samples.y[rows]).sum()):
        raise ProtocolError(f"{prefix} have another label than the features for {wrong} samples")
    test = dataclasses.replace(test, groups=samples.groups_of(rows))
    return ArmPredictions(
        name=arm.name,
        head="predictions",
        test=test,
        inner=_align_validation(arm, test, samples, allow_leakage=allow_leakage),
        seconds=float(arm.cost.get("seconds", 0.0)),
        cost=arm.cost,
        origin=arm.origin,
    )


def _align_validation(
    arm: ImportedArm, test: Predictions, samples: LabelledSamples, *, allow_leakage: bool
) -> tuple[Predictions, ...]:
    """Return the validation rows of every fold and repeat, with the groups of the samples."""
    validation = arm.validation
    if validation is None:
        return ()
    label = dict(zip(samples.ids.tolist(), samples.y.tolist(), strict=True))
    stated = zip(validation.ids.tolist(), validation.labels.tolist(), strict=True)
    if wrong := sum(label.get(i, y) != y for i, y in stated):
        raise ProtocolError(
            f"the predictions '{arm.name}' have another label than the features for {wrong} "
            f"validation samples"
        )
    if samples.groups is not None:
        group = dict(zip(samples.ids.tolist(), samples.groups.tolist(), strict=True))
        # Validation samples may come from another data set; each is then a group of its own.
        groups = np.array([group.get(i, f"sample {i}") for i in validation.ids.tolist()])
        validation = dataclasses.replace(validation, groups=groups)
    inner = tuple(match_folds(test, validation))
    for rows, part in zip(split_folds(test), inner, strict=True):
        both = int(np.isin(independent_units(part), independent_units(test.take(rows))).sum())
        if both and not allow_leakage:
            raise ProtocolError(
                f"{both} validation samples of the predictions '{arm.name}' are, or are of the "
                "same patients as, test samples of the same fold: thresholds would be set on the "
                "samples that they are tested on. Validate on other patients, or accept this with "
                f"--allow-leakage"
            )
    return inner


def _keys(predictions: Predictions) -> list[tuple[int, int, str]]:
    columns = (predictions.repeats, predictions.folds, predictions.ids)
    return list(zip(*(c.tolist() for c in columns), strict=True))
