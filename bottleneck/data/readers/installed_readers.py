"""Readers that other packages of the environment register, and the choice among all readers.

A reader of another package may do anything. Each call of it is guarded: whatever it raises or
returns becomes a message that names the package and its version.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import re
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from bottleneck.data.dataset import ImageDataset
from bottleneck.data.readers.built_in_readers import BUILT_IN, BuiltInReader, Reader
from bottleneck.data.readers.sample_records import read_records
from bottleneck.errors import (
    BottleneckError,
    DataError,
    MissingExtraError,
    StorageError,
    UsageError,
    one_line,
    unknown_name,
)
from bottleneck.text.short_repr import shorten

__all__ = ["GROUP", "GuardedReader", "choose_reader", "installed_readers"]

GROUP = "bottleneck.readers"
_OURS = "bottleneck-features"
# Characters of a name.
_MAX_NAME = 100


@dataclasses.dataclass(frozen=True)
class GuardedReader:
    """A reader of another package; its errors name it.

    Attributes
    ----------
    name : str
        Its name.
    package, version : str
        The package that it comes from; empty where that is unknown.
    load : callable
        Returns the reader. It may raise anything.
    """

    name: str
    package: str
    version: str
    load: Callable[[], Any]

    is_general = False

    def __str__(self) -> str:
        where = " ".join(filter(None, (self.package, self.version)))
        return f"the reader '{self.name}'" + (f" of the package {where}" if where else "")

    @property
    def record(self) -> dict[str, str]:
        """The fields of ``ImageDataset.reader``."""
        fields = {"name": self.name, "package": self.package, "version": self.version}
        return {key: text for key, text in fields.items() if text}

    @functools.cached_property
    def reader(self) -> Reader:
        """The reader itself.

        Raises
        ------
        DataError
            If it cannot be imported, or is not a reader.
        """
        with self._guard("cannot be loaded"):
            made = self.load()
            made = made() if isinstance(made, type) else made
            name = getattr(made, "name", None)
            has_methods = all(callable(getattr(made, key, None)) for key in ("matches", "read"))
        if not has_methods or not isinstance(name, str):
            raise DataError(
                f"{self} is {shorten(made)}, which is not a reader: a reader has a name and the "
                "methods matches(path) and read(path)"
            )
        if name != self.name:
            raise DataError(
                f"{self} is called '{name}' by its own attribute: give the entry point and the "
                "attribute one name"
            )
        return made

    def matches(self, path: Path) -> bool:
        """Return whether it reads a file or folder; raise DataError where it cannot tell."""
        reader = self.reader
        with self._guard(f"cannot tell whether it reads '{path.name}'"):
            matching: Any = reader.matches(path)
        if not isinstance(matching, bool | np.bool_):
            raise DataError(
                f"{self} cannot tell whether it reads '{path.name}': matches(path) returned "
                f"{shorten(matching)}, not True or False"
            )
        return bool(matching)

    def read(self, path: Path, *, may_lack_labels: bool = False, **options: Any) -> ImageDataset:
        """Return the data set.

        Parameters
        ----------
        path : Path
            The file or folder.
        may_lack_labels : bool
            Whether samples may have no label.
        **options
            Options that the reader takes.

        Raises
        ------
        DataError
            If the reader raises anything, or returns what is not a data set.
        """
        reader = self.reader
        with self._guard(f"cannot read '{path.name}'"):
            result: Any = reader.read(path, **options)
            if isinstance(result, ImageDataset):
                return result
            if result is None:
                raise DataError("read(path) returned None, not an ImageDataset or samples")
            folder = path if path.is_dir() else path.parent
            return read_records(
                result, name=_name_of(path), images=folder, may_lack_labels=may_lack_labels
            )

    @contextlib.contextmanager
    def _guard(self, what: str) -> Iterator[None]:
        try:
            # What it prints does not belong into the output of a command.
            with contextlib.redirect_stdout(sys.stderr):
                yield
        except (MissingExtraError, StorageError):
            raise
        except BottleneckError as error:
            raise DataError(f"{self} {what}: {error}") from error
        except (Exception, SystemExit) as error:
            raise DataError(f"{self} {what}: {type(error).__name__}: {one_line(error)}") from error


def _name_of(path: Path) -> str:
    """Return a name for the data set of a path, without characters that file names cannot have."""
    name = path.name if path.is_dir() else path.stem
    return re.sub(r"[^\w.() -]+", "-", name).strip(". ") or "dataset"


def installed_readers() -> list[GuardedReader]:
    """Return the readers that packages register in the group ``bottleneck.readers``.

    Nothing of these packages is imported. They are sorted by name and package.
    """
    found: dict[tuple[str, str], GuardedReader] = {}
    for distribution in metadata.distributions():
        try:
            entries = [one for one in distribution.entry_points if one.group == GROUP]
            package = str(distribution.name or "") if entries else ""
            version = str(distribution.version or "") if entries else ""
        # The files of a package may be damaged in any way; pip says so.
        except Exception:  # noqa: BLE001
            continue
        for entry in entries:
            reader = GuardedReader(entry.name[:_MAX_NAME], package, version, entry.load)
            # The first one on the path is that which Python imports.
            found.setdefault((entry.name, re.sub(r"[-_.]+", "-", package).lower()), reader)
    return [found[key] for key in sorted(found)]


def choose_reader(
    path: Path, chosen: str | Reader | None
) -> tuple[BuiltInReader | GuardedReader, list[str]]:
    """Return the reader of a file or folder, and notes for the user.

    Parameters
    ----------
    path : Path
        The file or folder.
    chosen : str, Reader or None
        The name of a reader, perhaps after that of its package and a colon; or an object. None
        asks all readers: one that another package registers comes before those of this package
        that read any file or folder.

    Raises
    ------
    DataError
        If the chosen object is not a reader.
    UsageError
        If there is no reader of this name, or several readers match.
    """
    if chosen is None:
        return _ask(path)
    if isinstance(chosen, str):
        return _find(chosen), []
    try:
        name = getattr(chosen, "name", None)
        module = getattr(getattr(chosen, "read", None), "__module__", None)
    except Exception:  # noqa: BLE001  # A property of other code.
        name = module = None
    if isinstance(chosen, type) or not isinstance(name, str) or not name.strip():
        raise UsageError(
            "reader must be the name of a reader, or an object with a name and the methods "
            f"matches(path) and read(path), not {shorten(chosen)}"
        )
    package = str(module or "").partition(".")[0]
    package, version = "" if package in ("__main__", "builtins") else package, ""
    with contextlib.suppress(metadata.PackageNotFoundError, ValueError):
        version = metadata.version(package)
    return GuardedReader(name, package, version, lambda: chosen), []


def _ask(path: Path) -> tuple[BuiltInReader | GuardedReader, list[str]]:
    notes: list[str] = []
    matching: list[BuiltInReader | GuardedReader] = []
    for installed in installed_readers():
        try:
            if installed.matches(path):
                matching.append(installed)
        except DataError as error:
            notes.append(f"{error}. It is not used. Repair or uninstall this package")
    matching += [reader for reader in BUILT_IN if reader.matches(path)]
    special = [reader for reader in matching if not reader.is_general]
    if len(special) > 1:
        names = [_qualified(reader) for reader in special]
        raise UsageError(
            f"several readers match '{path.name}': {', '.join(names)}. Choose one with "
            f"--reader {names[0]} (in Python: reader='{names[0]}')"
        )
    (reader, *_) = special or matching
    if isinstance(reader, GuardedReader):
        notes.append(f"read by {reader}")
    return reader, notes


def _qualified(reader: BuiltInReader | GuardedReader) -> str:
    package = reader.package if isinstance(reader, GuardedReader) else _OURS
    return f"{package}:{reader.name}" if package else reader.name


def _find(name: str) -> BuiltInReader | GuardedReader:
    known: list[BuiltInReader | GuardedReader] = [*BUILT_IN, *installed_readers()]

    def is_named(reader: BuiltInReader | GuardedReader) -> bool:
        return name.casefold() in (reader.name.casefold(), _qualified(reader).casefold())

    named = list(filter(is_named, known))
    if len(named) > 1:
        names = list(map(_qualified, named))
        raise UsageError(
            f"several readers are called '{name}': {', '.join(names)}. Write the package as well: "
            f"--reader {names[0]} (in Python: reader='{names[0]}')"
        )
    if not named:
        raise unknown_name("reader", name, [reader.name for reader in known])
    return named[0]
