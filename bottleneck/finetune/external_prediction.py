"""Predictions of a trained network on another data set."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from annotated_types import Ge, Le, MinLen

from bottleneck.data.dataset import ImageDataset
from bottleneck.errors import DataError, ModelError, UsageError
from bottleneck.finetune.training_folder.fold_record import FileRecord
from bottleneck.finetune.training_folder.saved_files import (
    DamagedFile,
    Seal,
    read_object,
    read_sealed,
)
from bottleneck.finetune.training_options import TrainingOptions
from bottleneck.predictions import Predictions, predicted_classes
from bottleneck.settings.schema import from_table, schema

if TYPE_CHECKING:
    from bottleneck.backbones.backbone import Backbone

__all__ = ["predict"]


@schema
class _Fold:
    """The fields of a fold that a prediction needs."""

    repeat: int
    fold: int
    files: Mapping[str, FileRecord]


@schema
class _Training:
    """The fields of a ``training.json`` that a prediction needs."""

    seed: Annotated[int, Ge(0), Le(2**63)]
    classes: Annotated[tuple[str, ...], MinLen(2)]
    config: TrainingOptions
    folds: tuple[_Fold, ...]


def predict(
    path: str | Path,
    dataset: ImageDataset,
    *,
    repeat: int = 0,
    fold: int = 0,
    backbone: Backbone | None = None,
) -> Predictions:
    """Return the predictions of one fold's network on another data set.

    Parameters
    ----------
    path : str or Path
        A folder written by ``finetune``.
    dataset : ImageDataset
        The other data set, with labels of the same classes.
    repeat, fold : int
        The fold, from 0, that the network was trained in.
    backbone : Backbone, optional
        The backbone that was passed to ``finetune``, if any.

    Returns
    -------
    Predictions
        All rows have repeat 0 and fold 0, because one network made them.

    Raises
    ------
    ModelError
        If there is no such network, or it is damaged, or not the one of the record.
    DataError
        If the classes differ.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    from bottleneck.finetune.image_data import ImageInputs
    from bottleneck.finetune.trainer import predict_rows
    from bottleneck.finetune.training_folder.run_folder import network_file

    path = Path(path)
    record = _read_record(path / "training.json")
    file = network_file(path, repeat, fold)
    sealed = [one.files for one in record.folds if (one.repeat, one.fold) == (repeat, fold)]
    if not sealed or file.name not in sealed[0]:
        raise ModelError(f"{path} holds no network of repeat {repeat}, fold {fold}")
    of_file = sealed[0][file.name]
    try:
        tensors = load(read_sealed(file, "network", Seal(of_file.size, of_file.sha256)))
    except DamagedFile as damaged:
        raise ModelError(f"{file} {damaged.reason}; repeat the training, which mends it") from None
    except SafetensorError:
        raise ModelError(f"{file} is no safetensors file; repeat the training") from None
    except UsageError as error:
        raise ModelError(*error.args) from None
    inputs = ImageInputs(dataset, record.config, backbone)
    if inputs.classes != record.classes:
        raise DataError(
            f"the network was trained on the classes {', '.join(record.classes)}; the data set "
            f"'{dataset.name}' has {', '.join(inputs.classes)}"
        )
    network = inputs.network(record.seed)
    try:
        network.load_state_dict(tensors)
    except RuntimeError:
        raise ModelError(
            f"the network in {path} does not have the architecture that its record states"
        ) from None
    rows = np.arange(len(inputs.ids))
    config = dataclasses.replace(inputs.config, devices=1)
    scores = predict_rows(inputs, network, rows, config, path)
    return Predictions(
        ids=inputs.ids,
        groups=inputs.patients,
        repeats=np.zeros(len(rows), np.int64),
        folds=np.zeros(len(rows), np.int64),
        labels=inputs.y,
        predicted=predicted_classes(scores, inputs.classes),
        scores=scores,
        classes=inputs.classes,
        kind="probability",
    )


def _read_record(path: Path) -> _Training:
    try:
        content = read_object(path, "training record")
        folds = content.get("folds")
        if isinstance(folds, list):
            folds = [_take(one, _Fold) for one in folds]
        return from_table(_Training, _take({**content, "folds": folds}, _Training), str(path))
    except DamagedFile as damaged:
        raise ModelError(f"{path} {damaged.reason}; repeat the training, which mends it") from None
    except (UsageError, RecursionError) as error:
        raise ModelError(f"the training in {path.parent} is unknown: {error}") from None


def _take(content: Any, kind: type) -> Any:
    """Return the fields of a record that a schema has."""
    names = {field.name for field in dataclasses.fields(kind)}
    return (
        {k: v for k, v in content.items() if k in names} if isinstance(content, dict) else content
    )
