"""The weights folder: files that a machine without internet can be given on a stick.

One folder, two files for each set of weights: the weight file itself, and beside it a record of
the same name plus ``.json``. docs/weights.md describes it; ``bottleneck weights import`` and
``fetch`` write it, and a plain copy of the two files moves it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bottleneck.backbones.recipe import slug
from bottleneck.config import data_folder, read_configuration
from bottleneck.errors import WeightsError
from bottleneck.files import replacing, write_whole

__all__ = ["WeightsRecord", "find_record", "folder_path", "keep", "read_records", "sha256_of"]

_VARIABLE = "BOTTLENECK_WEIGHTS"
_OPTIONAL = ("licence", "preprocessing")


@dataclasses.dataclass(frozen=True)
class WeightsRecord:
    """What the folder knows of one weight file.

    Attributes
    ----------
    encoder, weights : str
        What the user says: ``--backbone`` and ``--weights``.
    file : str
        Name of the file beside the record.
    sha256 : str
        Of the file, when it was put here.
    layout : str
        In which it was recognised.
    source : str
        Where it came from.
    licence : str or None
        As its publisher states it.
    preprocessing : str or None
        Name of the input that it expects; None for what its layout states.
    """

    encoder: str
    weights: str
    file: str
    sha256: str
    layout: str
    source: str
    licence: str | None = None
    preprocessing: str | None = None


def folder_path() -> Path:
    """Return the weights folder.

    ``BOTTLENECK_WEIGHTS``; else ``folder`` in the table ``[weights]`` of ``bottleneck.toml``;
    else ``weights`` in the user's data folder.
    """
    if variable := os.environ.get(_VARIABLE):
        return Path(variable)
    table = read_configuration().weights
    return table.folder if table else data_folder() / "weights"


def read_records(folder: Path) -> dict[Path, WeightsRecord]:
    """Read every record of a folder, by the path of its weight file.

    Raises
    ------
    WeightsError
        If a record is damaged.
    """
    records = {}
    for path in sorted(folder.glob("*.json")):
        record = _read_record(path)
        records[folder / record.file] = record
    return records


def _read_record(path: Path) -> WeightsRecord:
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        record = WeightsRecord(**fields)
        for name, value in fields.items():
            if not isinstance(value, str) and not (value is None and name in _OPTIONAL):
                raise TypeError(f"{name} cannot be {value!r}")
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise WeightsError(
            f"the record {path} cannot be read: {error}. Import its weight file again with "
            "`bottleneck weights import`"
        ) from None
    if Path(record.file).name != record.file:
        raise WeightsError(f"the record {path} names a file outside its folder: {record.file}")
    return record


def find_record(encoder: str, weights: str) -> tuple[Path, WeightsRecord] | None:
    """Find a set of weights in the weights folder; None where it is not there.

    Raises
    ------
    WeightsError
        If its record is there and its file is not.
    """
    folder = folder_path()
    for path, record in read_records(folder).items():
        if (record.encoder, record.weights) == (encoder, weights):
            if not path.is_file():
                raise WeightsError(
                    f"the weights folder has the record of {path}, but not the file: copy it there"
                )
            return path, record
    return None


def keep(source: Path, record: WeightsRecord) -> Path:
    """Copy a weight file into the weights folder and write its record.

    Parameters
    ----------
    source : Path
        The file.
    record : WeightsRecord
        What is known of it; ``file`` is replaced by the name that it gets here.

    Returns
    -------
    Path
        Of the copy.

    Raises
    ------
    WeightsError
        If the folder cannot be written, or the copy is not what was read.
    """
    folder = folder_path()
    name = f"{slug(record.encoder)}--{slug(record.weights)}{source.suffix}"
    target = folder / name
    record = dataclasses.replace(record, file=name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if source.resolve() != target.resolve():
            with replacing(target) as partial:
                shutil.copyfile(source, partial)
                if sha256_of(partial) != record.sha256:
                    raise WeightsError(
                        f"the copy of {source} in {folder} is damaged: is the disk full?"
                    )
        text = json.dumps(_fields(record), indent=2, ensure_ascii=False)
        kept = target.with_name(f"{name}.json")
        write_whole(kept, f"{text}\n".encode())
        # What stood under this name before, with another ending.
        for old in folder.glob(f"{target.stem}.*"):
            if old not in (target, kept) and old.resolve() != source.resolve():
                old.unlink()
    except OSError as error:
        raise WeightsError(
            f"the weights folder {folder} cannot be written: {error.strerror or error}; choose "
            f"another with {_VARIABLE}"
        ) from None
    return target


def _fields(record: WeightsRecord) -> Mapping[str, Any]:
    return dataclasses.asdict(record)


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
