"""The weights folder, which can be copied to a machine without internet.

For each set of weights it contains two files: the weight file, and a record with the same name
plus ``.json``. ``bottleneck weights import`` and ``fetch`` write them; docs/weights.md describes
them. To move weights, copy both files.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from pathlib import Path
from typing import BinaryIO

from bottleneck.backbones.recipe import slug
from bottleneck.config import data_folder, read_configuration
from bottleneck.errors import UsageError, WeightsError, describe_os_error
from bottleneck.files.writing import replacing, write_whole
from bottleneck.schema import from_table, schema

__all__ = ["WeightsRecord", "find_record", "folder_path", "read_records", "sha256_of", "store_file"]

_VARIABLE = "BOTTLENECK_WEIGHTS"
_BLOCK = 1 << 20


@schema(kw_only=False)
class WeightsRecord:
    """The record of one weight file in the folder.

    Attributes
    ----------
    encoder, weights : str
        The names for ``--backbone`` and ``--weights``.
    file : str
        Name of the weight file, in the same folder as the record.
    sha256 : str
        sha256 of the file when it was stored.
    layout : str
        Name of the layout in which the file was recognised.
    source : str
        The hub repository, web page or file that it was copied from.
    licence : str or None
        The licence that its publisher states.
    preprocessing : str or None
        Name of the preprocessing that the weights expect; None for that of the layout.
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
    """Return the path of the weights folder, whether or not it exists.

    It is ``BOTTLENECK_WEIGHTS``; else ``folder`` in the table ``[weights]`` of
    ``bottleneck.toml``; else ``weights`` in the user's data folder.
    """
    if variable := os.environ.get(_VARIABLE):
        return Path(variable)
    table = read_configuration().weights
    return table.folder if table else data_folder() / "weights"


def read_records(folder: Path) -> dict[Path, WeightsRecord]:
    """Return all records of a folder by the paths of their weight files.

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
        record = from_table(WeightsRecord, fields, path.name)
    except (OSError, ValueError, RecursionError, UsageError) as error:
        raise WeightsError(
            f"the record {path} cannot be read: {error}. Import the weight file again with "
            "`bottleneck weights import`"
        ) from None
    if Path(record.file).name != record.file:
        raise WeightsError(f"the record {path} names a file in another folder: {record.file}")
    return record


def find_record(encoder: str, weights: str) -> tuple[Path, WeightsRecord] | None:
    """Return the path and the record of weights in the weights folder; None if they are not there.

    Raises
    ------
    WeightsError
        If the record exists, but not the file.
    """
    folder = folder_path()
    for path, record in read_records(folder).items():
        if (record.encoder, record.weights) == (encoder, weights):
            if not path.is_file():
                raise WeightsError(
                    f"the weights folder has a record of {path}, but not the file: copy it there"
                )
            return path, record
    return None


def store_file(source: Path, record: WeightsRecord) -> Path:
    """Copy a weight file into the weights folder and write its record.

    Parameters
    ----------
    source : Path
        The weight file.
    record : WeightsRecord
        Its record; ``file`` is replaced by the name of the copy.

    Returns
    -------
    Path
        The path of the copy.

    Raises
    ------
    WeightsError
        If the folder cannot be written, or the copy differs from the original.
    """
    folder = folder_path()
    name = f"{slug(record.encoder)}--{slug(record.weights)}{source.suffix}"
    target = folder / name
    record = dataclasses.replace(record, file=name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if source.resolve() != target.resolve():
            with source.open("rb") as original, replacing(target) as copy:
                if _copy(original, copy) != record.sha256:
                    raise WeightsError(
                        f"{source} changed while it was copied to {folder}; repeat the command"
                    )
        text = json.dumps(dataclasses.asdict(record), indent=2, ensure_ascii=False)
        record_path = target.with_name(f"{name}.json")
        write_whole(record_path, f"{text}\n".encode())
        # Remove earlier weights of the same name that had another suffix.
        for old in folder.glob(f"{target.stem}.*"):
            if old not in (target, record_path) and old.resolve() != source.resolve():
                old.unlink()
    except OSError as error:
        raise WeightsError(
            f"the weights folder {folder} cannot be written: {describe_os_error(error)}; choose "
            f"another one with the environment variable {_VARIABLE}"
        ) from None
    return target


def _copy(source: BinaryIO, target: BinaryIO) -> str:
    """Copy a file, and return the sha256 of the bytes that were copied."""
    digest = hashlib.sha256()
    while block := source.read(_BLOCK):
        digest.update(block)
        target.write(block)
    return digest.hexdigest()


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
