"""Another data set, seen by a network that was trained here."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bottleneck.data.dataset import ImageDataset
from bottleneck.errors import DataError, ModelError
from bottleneck.finetune.settings import Config
from bottleneck.predictions import Predictions

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
    """Let the network of one fold predict the images of another data set.

    Parameters
    ----------
    path : str or Path
        A folder that ``finetune`` wrote.
    dataset : ImageDataset
        With labels of the same classes; an external cohort.
    repeat, fold : int
        Whose network.
    backbone : Backbone, optional
        The one that was given to ``finetune``, where one was.

    Returns
    -------
    Predictions
        All of repeat 0 and fold 0, since one network made them.

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
    inputs = ImageInputs(dataset, Config(**record["config"]), backbone)
    if list(inputs.classes) != record["classes"]:
        raise DataError(
            f"the network tells {', '.join(record['classes'])} apart; the data set "
            f"'{dataset.name}' holds {', '.join(inputs.classes)}"
        )
    network = inputs.network(record["seed"])
    try:
        network.load_state_dict(tensors)
    except RuntimeError:
        raise ModelError(f"the network in {path} is of another architecture than its record") from (
            None
        )
    rows = np.arange(len(inputs.ids))
    config = dataclasses.replace(inputs.config, devices=1)
    scores = predict_rows(inputs, network, rows, config, path)
    return Predictions(
        ids=inputs.ids,
        groups=inputs.patients,
        repeats=np.zeros(len(rows), np.int64),
        folds=np.zeros(len(rows), np.int64),
        labels=inputs.y,
        predicted=np.array(inputs.classes)[scores.argmax(1)],
        scores=scores,
        classes=inputs.classes,
        kind="probability",
    )
