"""Record of a network's training, read from the ``training.json`` next to its predictions."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bottleneck.errors import DataError
from bottleneck.files.small_files import read_small
from bottleneck.text.short_repr import shorten

__all__ = ["read_training", "training_cost"]

# Bytes; a record has some hundred a fold and epoch.
_MAX_BYTES = 67_108_864
# Fields that a report shows: of the training, of its options, and of each epoch.
_COST = ("trained_parameters", "device", "peak_memory_bytes", "images_seen", "seconds")
_OPTIONS = ("network", "seed", "config", "versions")
_CURVES = ("epoch", "train_loss", "train_accuracy", "val_loss", "val_auroc", "val_accuracy")
# No training takes more bytes or seconds; losses may be negative.
_MAX_NUMBER = 1e18
_MAX_TEXT = 1000


def read_training(path: Path) -> Mapping[str, Any]:
    """Return the fields of a ``training.json``; none where the file does not exist.

    Raises
    ------
    DataError
        If the file cannot be read, or is not a JSON object.
    """
    if not os.path.lexists(path):
        return {}
    data = read_small(path, "record of a training", limit=_MAX_BYTES, error=DataError)
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        raise DataError(
            f"{path} does not describe a training: it is not JSON; remove it, or copy it again"
        ) from None
    if not isinstance(content, dict):
        raise DataError(f"{path} does not describe a training: a JSON object is needed")
    return content


def training_cost(training: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return the fields of a training that a report shows, as ``Evaluation.cost``.

    Parameters
    ----------
    training : mapping
        From ``read_training``.
    path : Path
        The file, for messages.

    Raises
    ------
    DataError
        If a field has the wrong type, is not a finite number below 10¹⁸ where a number is needed,
        or is nested too deeply.
    """
    if not _is_text(training.get("name") or ""):
        raise DataError(f"{path} does not describe a training: name must be a text")
    cost = {field: training[field] for field in _COST if training.get(field) is not None}
    curves = [
        {"repeat": fold.get("repeat", 0), "fold": fold.get("fold", 0)}
        | {name: value for name, value in epoch.items() if name in _CURVES}
        for fold in _objects(training, "folds", path)
        for epoch in _objects(fold, "curve", path)
    ]
    for fields in (cost, *curves):
        for name, value in fields.items():
            fits = _is_text(value) if name == "device" else value is None or _is_number(value)
            if not fits:
                raise DataError(
                    f"{path} does not describe a training: {name} cannot be {shorten(value)}"
                )
    options = {field: training[field] for field in _OPTIONS if training.get(field) is not None}
    for name, value in options.items():
        if not _is_shallow(value):
            raise DataError(f"{path} does not describe a training: {name} is nested too deeply")
        if not _is_plain(value):
            raise DataError(
                f"{path} does not describe a training: {name} has a number that is not finite or "
                f"too large, or a text above {_MAX_TEXT:,} characters"
            )
    if curves:
        cost["curves"] = curves
    if options:
        cost["training"] = options
    return cost


def _is_shallow(value: Any, levels: int = 3) -> bool:
    if not isinstance(value, dict | list):
        return True
    children = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_is_shallow(child, levels - 1) for child in children)


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_is_text, value)) and all(map(_is_plain, value.values()))
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool) or _is_text(value) or _is_number(value, 2**64)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _MAX_TEXT


def _is_number(value: Any, limit: float = _MAX_NUMBER) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= limit  # Not a NaN either.


def _objects(fields: Mapping[str, Any], key: str, path: Path) -> Sequence[Mapping[str, Any]]:
    listed = fields.get(key, [])
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise DataError(f"{path} does not describe a training: {key} must be a list of objects")
    return listed
