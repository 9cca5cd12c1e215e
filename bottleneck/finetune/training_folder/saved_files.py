"""Files of a training folder, which are written whole and verified when they are read."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from bottleneck.errors import UsageError, describe_os_error
from bottleneck.files.small_files import open_regular, read_small
from bottleneck.files.writing import write_whole
from bottleneck.text.table_text import frame_csv

__all__ = [
    "DamagedFile",
    "Seal",
    "explained_writes",
    "is_there",
    "read_bytes",
    "read_object",
    "read_sealed",
    "read_sealed_json",
    "seal_table",
    "write_json",
    "write_sealed",
    "write_sealed_json",
    "write_table",
]

_MAX_RECORD = 64 * 2**20
_SEAL = "sha256"


class Seal(NamedTuple):
    """Size and SHA-256 of a file."""

    size: int
    sha256: str


class DamagedFile(UsageError):
    """A file of a training folder that is missing, or does not hold what was written.

    Parameters
    ----------
    path : Path
        The file.
    reason : str
        What is wrong with it, as words that follow "it".
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} is damaged: it {reason}; repeat the command to train its fold")
        self.path = path
        self.reason = reason

    def set_aside(self) -> str:
        """Rename the file to ``NAME.damaged``, over an earlier one; return a sentence on it.

        Raises
        ------
        UsageError
            If it cannot be renamed.
        """
        if not os.path.lexists(self.path):
            return f"{self.path} {self.reason}."
        kept = self.path.with_name(f"{self.path.name}.damaged")
        with explained_writes(kept):
            self.path.replace(kept)
        return f"{self.path} is damaged: it {self.reason}. It is kept as {kept.name}."


@contextlib.contextmanager
def explained_writes(path: Path) -> Iterator[None]:
    """Turn a failed write inside the block into a ``UsageError`` that names the file."""
    try:
        yield
    except OSError as error:
        kept = "Finished folds and epochs are kept; fix the cause and repeat the command"
        if not os.path.lexists(path.parent):
            kept = "Its folder was removed, with the finished work in it; repeat the command"
        raise UsageError(f"{path} cannot be written: {describe_os_error(error)}. {kept}") from None


def is_there(path: Path, what: str) -> bool:
    """Return whether there is a file; a dangling link is none.

    Raises
    ------
    UsageError
        If that cannot be known, because the disk fails or a folder may not be entered.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise _unreadable(path, what, error) from None
    return True


def read_bytes(path: Path, what: str, size: int | None = None) -> bytes:
    """Return the bytes of a file of any size.

    Raises
    ------
    DamagedFile
        If it is missing, or has another size than ``size``.
    UsageError
        If it cannot be read.
    """
    if not is_there(path, what):
        raise DamagedFile(path, "is missing")
    with open_regular(path, what) as file:
        there = os.fstat(file.fileno()).st_size
        if size is not None and there != size:
            raise DamagedFile(path, f"has {there:,} bytes, and {size:,} were written")
        try:
            return file.read()
        except OSError as error:
            raise _unreadable(path, what, error) from None


def write_sealed(path: Path, data: bytes) -> Seal:
    """Write a file, and return the seal to keep in another file."""
    with explained_writes(path):
        write_whole(path, data)
    return _seal(data)


def read_sealed(path: Path, what: str, seal: Seal) -> bytes:
    """Return the bytes of a file with this seal; raise what ``read_bytes`` raises."""
    data = read_bytes(path, what, seal.size)
    if hashlib.sha256(data).hexdigest() != seal.sha256:
        raise DamagedFile(path, "has another checksum than the bytes that were written")
    return data


def read_object(path: Path, what: str) -> dict[str, Any]:
    """Return a JSON object from a file.

    Raises
    ------
    DamagedFile
        If it is not a JSON object.
    UsageError
        If it cannot be read.
    """
    data = read_small(path, what, limit=_MAX_RECORD)
    try:
        content = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError):
        raise DamagedFile(path, "is not valid JSON") from None
    if not isinstance(content, dict):
        raise DamagedFile(path, "is not a JSON object")
    return content


def write_sealed_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file that contains its own checksum."""
    write_json(path, {**content, _SEAL: _checksum(content)})


def read_sealed_json(path: Path, what: str) -> dict[str, Any]:
    """Return what was passed to ``write_sealed_json``; raise what ``read_object`` raises."""
    content = read_object(path, what)
    try:
        is_whole = content.pop(_SEAL, None) == _checksum(content)
    except (ValueError, RecursionError):
        is_whole = False
    if not is_whole:
        raise DamagedFile(path, "has another checksum than the text that was written")
    return content


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file atomically."""
    with explained_writes(path):
        write_whole(path, json.dumps(content, indent=1, allow_nan=False).encode())


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a CSV file atomically."""
    write_sealed(path, frame_csv(table).encode())


def seal_table(table: pd.DataFrame) -> Seal:
    """Return the seal of the file that ``write_table`` writes."""
    return _seal(frame_csv(table).encode())


def _seal(data: bytes) -> Seal:
    return Seal(len(data), hashlib.sha256(data).hexdigest())


def _unreadable(path: Path, what: str, error: OSError) -> UsageError:
    return UsageError(f"the {what} {path} cannot be read: {describe_os_error(error)}")


def _checksum(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, allow_nan=False).encode()).hexdigest()
