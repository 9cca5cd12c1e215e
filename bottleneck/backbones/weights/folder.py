"""The weights folder, which can be copied to a machine without internet.

For each set of weights it contains two files: a record, ``BACKBONE--WEIGHTS.json``, and the weight
file that the record names. The name of the weight file contains the beginning of its sha256, so
that other weights have another name: whenever an import is killed, the record that is there names
a file that is there too. ``bottleneck weights import`` and ``fetch`` write them;
docs/guide/weights.md describes them. To move weights, copy both files.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import stat
from pathlib import Path
from typing import Annotated

from pydantic import StringConstraints

from bottleneck.backbones.recipe import slug
from bottleneck.errors import UsageError, WeightsError, describe_os_error
from bottleneck.files.hashes import hash_file
from bottleneck.files.locks import lock
from bottleneck.files.small_files import read_small
from bottleneck.files.writing import replacing, sweep, write_whole
from bottleneck.settings.config import CONFIGURATION_FILE, data_folder, read_configuration
from bottleneck.settings.ranges import Expected
from bottleneck.settings.schema import from_table, schema
from bottleneck.text.plain_text import json_text

__all__ = [
    "WeightsFolder",
    "WeightsRecord",
    "find_folder",
    "find_record",
    "folder_path",
    "is_file",
    "list_files",
    "name_of_file",
    "names_file",
    "needs_folder",
    "read_records",
    "sha256_of",
    "store_weights",
]

_VARIABLE = "BOTTLENECK_WEIGHTS"
_MAX_RECORD = 100_000
_OTHER_FOLDER = f"another folder with the environment variable {_VARIABLE}"

_Hash = Annotated[
    str, StringConstraints(pattern="^[0-9a-f]{64}$"), Expected("64 hexadecimal digits")
]


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
    revision : str or None
        The commit of the hub repository that the file was downloaded from.
    """

    encoder: str
    weights: str
    file: str
    sha256: _Hash
    layout: str
    source: str
    licence: str | None = None
    preprocessing: str | None = None
    revision: str | None = None


@dataclasses.dataclass(frozen=True)
class WeightsFolder:
    """The weights folder that is in use.

    Attributes
    ----------
    path : Path
        Its path, whether or not it exists.
    author : str
        What names it: the environment variable, ``bottleneck.toml``, or "" for the user's own.
    """

    path: Path
    author: str

    @property
    def text(self) -> str:
        """The folder and what names it, in words."""
        return f"{self.path.absolute()}{f', named by {self.author}' if self.author else ''}"

    @property
    def is_from_project(self) -> bool:
        """Whether a file in the current folder names it, which may have come with a download."""
        return self.author.startswith(CONFIGURATION_FILE)

    def open_to_others(self) -> list[str]:
        """Return which of the folder and its files every user of this machine can change."""
        if os.name == "nt":
            return []
        names = []
        for path in (self.path, *list_files(self.path)):
            try:
                mode = path.lstat().st_mode
            except OSError:  # Removed meanwhile, or not there.
                continue
            if mode & stat.S_IWOTH and not stat.S_ISLNK(mode):
                names.append("the folder itself" if path == self.path else path.name)
        return names


def needs_folder(weights: str) -> bool:
    """Return whether weights are searched in the folder: not random ones, nor the path of a file.

    Examples
    --------
    >>> [needs_folder(weights) for weights in ("imagenet", "random", "mine.pth")]
    [True, False, False]
    """
    return weights not in ("random", "none") and not names_file(weights)


def names_file(weights: str) -> bool:
    """Return whether the name of weights is the path of a file."""
    path = Path(weights)
    return bool(path.suffix or os.sep in weights or is_file(path))


def name_of_file(path: Path) -> str:
    """Return the name of the weights in a file, which is never that of random weights or of none.

    Examples
    --------
    >>> [name_of_file(Path(name)) for name in ("mine.pth", "random.pth", "random")]
    ['mine', 'file random.pth', 'file random']
    """
    return f"file {path.name}" if path.stem in ("random", "none") else path.stem


def is_file(path: Path) -> bool:
    """Return whether a path is that of a file; a name that no file can have is none."""
    try:
        return path.is_file()
    except OSError:
        return False


def find_folder() -> WeightsFolder:
    """Return the weights folder that is in use.

    It is ``BOTTLENECK_WEIGHTS``; else ``folder`` in the table ``[weights]`` of
    ``bottleneck.toml``; else ``weights`` in the user's data folder.
    """
    if variable := os.environ.get(_VARIABLE):
        return WeightsFolder(Path(variable), f"the environment variable {_VARIABLE}")
    if table := read_configuration().weights:
        return WeightsFolder(table.folder, f"{CONFIGURATION_FILE} in the current folder")
    return WeightsFolder(data_folder() / "weights", "")


def folder_path() -> Path:
    """Return the path of the weights folder, whether or not it exists; see ``find_folder``."""
    return find_folder().path


def list_files(folder: Path) -> list[Path]:
    """Return what a weights folder contains, by name; nothing if there is no folder.

    Raises
    ------
    WeightsError
        If it cannot be read.
    """
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        reason = describe_os_error(error) if isinstance(error, OSError) else error
        raise WeightsError(
            f"the weights folder {folder} cannot be read: {reason}; correct it, or choose "
            f"{_OTHER_FOLDER}"
        ) from None


def read_records(folder: Path) -> dict[Path, WeightsRecord]:
    """Return all records of a folder by the paths of their weight files.

    Raises
    ------
    WeightsError
        If a record is damaged.
    """
    records = {}
    for path in _record_paths(folder):
        record = _read_record(path)
        records[folder / record.file] = record
    return records


def _record_paths(folder: Path) -> list[Path]:
    # Hidden files are temporary, or those that macOS puts next to each file of a stick.
    files = list_files(folder)
    return [path for path in files if path.suffix == ".json" and not path.name.startswith(".")]


def _read_record(path: Path) -> WeightsRecord:
    data = read_small(path, "record", limit=_MAX_RECORD, error=WeightsError)
    try:
        record = from_table(WeightsRecord, json.loads(data), path.name)
    except (ValueError, RecursionError, UsageError) as error:
        reason = error if isinstance(error, UsageError) else "it is not JSON"
        raise WeightsError(
            f"the record {path} cannot be read: {reason}. Import the weight file again with "
            "`bottleneck weights import`, or remove this record"
        ) from None
    if Path(record.file).name != record.file or record.file in ("", ".", ".."):
        raise WeightsError(f"the record {path} names a file in another folder: {record.file}")
    return record


def find_record(encoder: str, weights: str) -> tuple[Path, WeightsRecord] | None:
    """Return the path and the record of weights in the weights folder; None if they are not there.

    Raises
    ------
    WeightsError
        If the record exists, but not the file; or if two records have these names.
    """
    folder = folder_path()
    found = [
        (path, record)
        for path, record in read_records(folder).items()
        if (record.encoder, record.weights) == (encoder, weights)
    ]
    if not found:
        return None
    if len(found) > 1:
        names = " and ".join(path.name for path, _ in found)
        raise WeightsError(
            f"the weights folder {folder} has several weights '{weights}' of {encoder}: {names}. "
            "Remove all but one, each with its record"
        )
    path, record = found[0]
    if not is_file(path):
        raise WeightsError(
            f"the weights folder has a record of {path}, but not the file: copy it there"
        )
    return path, record


def store_weights(data: bytes, suffix: str, record: WeightsRecord) -> Path:
    """Write weights and their record into the weights folder, in place of those of the same name.

    Whenever this is killed, the folder has the old weights with their record, or the new ones.

    Parameters
    ----------
    data : bytes
        The content of the weight file.
    suffix : str
        The suffix of its name.
    record : WeightsRecord
        Its record; ``file`` is replaced by the name in the folder.

    Returns
    -------
    Path
        The weight file in the folder.

    Raises
    ------
    WeightsError
        If the folder cannot be written, or belongs to another run at the moment.
    """
    folder = folder_path()
    stem = f"{slug(record.encoder)}--{slug(record.weights)}"
    # A suffix of records would make the weights one of them.
    known = re.fullmatch(r"\.\w{1,16}", suffix, re.ASCII) and suffix != ".json"
    target = folder / f"{stem}-{record.sha256[:8]}{suffix if known else '.bin'}"
    record_path = folder / f"{stem}.json"
    record = dataclasses.replace(record, file=target.name)
    text = json_text(dataclasses.asdict(record))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with lock(folder, "import of weights", WeightsError, other=_OTHER_FOLDER):
            sweep(folder)
            _refuse_other(record_path, record)
            if target.is_symlink() or not target.is_file() or sha256_of(target) != record.sha256:
                with replacing(target) as file:
                    file.write(data)
            # From here on the new weights are in use.
            write_whole(record_path, f"{text}\n".encode(errors="replace"))
            _remove_earlier(folder, record_path, record)
    except OSError as error:
        raise WeightsError(
            f"the weights folder {folder} cannot be written: {describe_os_error(error)}; choose "
            f"{_OTHER_FOLDER}"
        ) from None
    return target


def _refuse_other(path: Path, record: WeightsRecord) -> None:
    """Raise an error if a record has the name of this one, but is of other weights."""
    if not path.exists():
        return
    try:
        there = _read_record(path)
    except WeightsError:  # Damaged: it is replaced.
        return
    if (there.encoder, there.weights) != (record.encoder, record.weights):
        raise WeightsError(
            f"the weights '{there.weights}' of {there.encoder} have the same file name, {path}: "
            "choose another name with --as"
        )


def _remove_earlier(folder: Path, record_path: Path, record: WeightsRecord) -> None:
    """Remove other weights of the same name, and files of them that an import left in a kill."""
    names = record.encoder, record.weights
    others = {}
    for path in _record_paths(folder):
        try:
            others[path] = _read_record(path)
        except WeightsError:  # It is damaged, and may name any of the files.
            return
    for path, other in list(others.items()):
        if path != record_path and (other.encoder, other.weights) == names:
            del others[path]
            path.unlink()
            if other.file not in {one.file for one in others.values()}:
                (folder / other.file).unlink(missing_ok=True)
    pattern = re.compile(rf"{re.escape(record_path.stem)}-[0-9a-f]{{8}}\.\w+", re.ASCII)
    named = {other.file for other in others.values()}
    for path in list_files(folder):
        if pattern.fullmatch(path.name) and path.name not in named and path.suffix != ".json":
            path.unlink()


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file as 64 hexadecimal digits.

    Raises
    ------
    WeightsError
        If it cannot be read, or is not a regular file.
    """
    return hash_file(path, "weight file", WeightsError)
