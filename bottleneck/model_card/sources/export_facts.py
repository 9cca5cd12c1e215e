"""What a card quotes of the exports of a model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bottleneck.errors import UsageError
from bottleneck.export.folder.export_folder import RECORD
from bottleneck.export.folder.export_page import README
from bottleneck.files.hashes import hash_file
from bottleneck.files.paths import as_paths
from bottleneck.files.small_files import read_small
from bottleneck.schemas.json_schemas import json_format
from bottleneck.settings.schema import schema
from bottleneck.text.short_repr import shorten

__all__ = ["TITLES", "ExportFacts", "read_exports"]

#: What each target of an export is, as a heading.
TITLES: Mapping[str, str] = {
    "onnx": "ONNX, for onnxruntime",
    "hub": "A folder of the hub, for transformers and timm",
    "torch": "torch",
}

_MAX_BYTES = 16_777_216


@schema
class ExportFacts:
    """The record of an export.

    Attributes
    ----------
    sha256 : str
        sha256 of its ``export.json``.
    record : mapping
        The content of this file.
    """

    sha256: str
    record: Mapping[str, Any]


def read_exports(
    folders: Iterable[str | Path], model: Mapping[str, Any]
) -> tuple[ExportFacts, ...]:
    """Return the records of exports, whose files are as they were written.

    Parameters
    ----------
    folders : iterable of path
        Folders of ``export_model``, each for another target.
    model : mapping
        The model, from ``describe_for_card``.

    Raises
    ------
    UsageError
        If a folder holds no export of this model, or its files have changed.
    """
    made: list[ExportFacts] = []
    for folder in as_paths(folders, "an export", "exports/svm"):
        facts = _read(folder)
        _refuse_other(folder, facts.record, model)
        if any(one.record["target"] == facts.record["target"] for one in made):
            raise UsageError(
                f"{folder} is a second export for {facts.record['target']}, but a card names one: "
                "leave out the other"
            )
        made.append(facts)
    return tuple(made)


def _read(folder: Path) -> ExportFacts:
    path = folder / RECORD
    data = read_small(path, "record of an export", limit=_MAX_BYTES)
    try:
        record = json.loads(data)
    except (ValueError, RecursionError):
        raise UsageError(f"{path} is not JSON: export the model again") from None
    known = isinstance(record, dict) and record.get("format") == json_format("export")
    if not known or record.get("target") not in TITLES:
        raise UsageError(
            f"{path} is not a record of an export by this version: export the model again with "
            "`bottleneck export`"
        )
    try:
        for name, file in record["files"].items():
            # The card may take the place of the README.
            if name != README and _sha256(folder / name) != file["sha256"]:
                raise UsageError(
                    f"{folder / name} has changed since the export was compared with its model: "
                    "export the model again"
                )
    except (KeyError, TypeError, AttributeError):
        raise UsageError(f"{path} is damaged: export the model again") from None
    return ExportFacts(sha256=hashlib.sha256(data).hexdigest(), record=record)


def _sha256(file: Path) -> str:
    try:
        return hash_file(file, "exported file")
    except UsageError:  # It is missing: what is named is that it has changed.
        return ""


def _refuse_other(folder: Path, record: Mapping[str, Any], model: Mapping[str, Any]) -> None:
    """Raise UsageError for the export of another model."""
    exported = record["model"]["sha256"]
    if None not in (exported, model["sha256"]) and exported != model["sha256"]:
        raise UsageError(
            f"{folder} is an export of {shorten(record['model']['name'])} (sha256 {exported}), "
            "but this is another model: name the export of this model"
        )
    pairs = [(record["classes"], model["classes"]), (record["positive"], model["positive"])]
    if model["kind"] == "head":
        pairs.append((record.get("recipe_hash"), model["recipe_hash"]))
    if any(one != other for one, other in pairs):
        raise UsageError(
            f"{folder} is an export of a model with other classes or features: name the export "
            "of this model"
        )
