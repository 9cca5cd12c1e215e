"""Predictions of a trained network on another data set."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bottleneck.data.dataset import ImageDataset
from bottleneck.errors import DataError, ModelError
from bottleneck.finetune.training_options import TrainingOptions
from bottleneck.predictions import Predictions, predicted_classes

if TYPE_CHECKING:
    from bottleneck.backbones.backbone import Backbone

__all__ = ["predict"]


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
        If there is no such network, or it is damaged.
    DataError
        If the classes differ.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from bottleneck.finetune.image_data import ImageInputs
    from bottleneck.finetune.run_folder import network_file
    from bottleneck.finetune.trainer import predict_rows

    path = Path(path)
    try:
        record = json.loads((path / "training.json").read_text(encoding="utf-8"))
        tensors = load_file(network_file(path, repeat, fold))
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelError(
            f"{path} holds no network of repeat {repeat}, fold {fold} that can be read: {error}"
        ) from None
    inputs = ImageInputs(dataset, TrainingOptions(**record["config"]), backbone)
    if list(inputs.classes) != record["classes"]:
        raise DataError(
            f"the network was trained on the classes {', '.join(record['classes'])}; the data set "
            f"'{dataset.name}' has {', '.join(inputs.classes)}"
        )
    network = inputs.network(record["seed"])
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
