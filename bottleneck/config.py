"""TOML files, and ``bottleneck.toml``: what a folder says once instead of at every command."""

from __future__ import annotations

import dataclasses
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import platformdirs

from bottleneck.errors import UsageError, unknown_name

__all__ = [
    "CONFIGURATION_FILE",
    "Configuration",
    "DatasetTable",
    "WeightsTable",
    "data_folder",
    "read_configuration",
    "read_toml",
]

CONFIGURATION_FILE = "bottleneck.toml"
_APPLICATION = "bottleneck-features"


@dataclasses.dataclass(frozen=True)
class DatasetTable:
    """The table ``[dataset]``: which data set is meant where none is named.

    The fields are the keys of the table, and the options of
    :func:`bottleneck.data.readers.load_dataset`; ``path`` is the only one that must be there.

    Attributes
    ----------
    path : Path
        In the file relative to the file; here absolute.
    images : Path or None
        Likewise.
    columns : mapping of str to str
        The table ``[dataset.columns]``.
    """

    path: Path
    images: Path | None = None
    columns: Mapping[str, str] = dataclasses.field(default_factory=dict)
    patient_pattern: str | None = None
    positive: str | None = None
    crop: bool = False
    name: str | None = None

    @classmethod
    def from_toml(cls, table: Mapping[str, Any], folder: Path) -> DatasetTable:
        """Check the table's keys and values.

        Raises
        ------
        UsageError
            If a key is unknown or missing, or a value has the wrong type.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        for key, value in table.items():
            if key not in known:
                raise unknown_name(f"key of [dataset] in {CONFIGURATION_FILE}", key, known)
            expected = {"crop": bool, "columns": dict}.get(key, str)
            _check_type(f"dataset.{key}", value, expected)
        for role, column in table.get("columns", {}).items():
            _check_type(f"dataset.columns.{role}", column, str)
        if not table.get("path"):
            raise UsageError(
                f"{CONFIGURATION_FILE}: [dataset] needs a path, for example path = 'x'"
            )
        paths = {key: folder / table[key] for key in ("path", "images") if key in table}
        return cls(**{**table, **paths})


@dataclasses.dataclass(frozen=True)
class WeightsTable:
    """The table ``[weights]``: where weight files lie.

    Attributes
    ----------
    folder : Path
        In the file relative to the file; here absolute.
    """

    folder: Path

    @classmethod
    def from_toml(cls, table: Mapping[str, Any], folder: Path) -> WeightsTable:
        """Check the table's keys and values.

        Raises
        ------
        UsageError
            If a key is unknown or missing, or a value has the wrong type.
        """
        for key, value in table.items():
            if key != "folder":
                raise unknown_name(f"key of [weights] in {CONFIGURATION_FILE}", key, ["folder"])
            _check_type("weights.folder", value, str)
        if not table.get("folder"):
            raise UsageError(
                f"{CONFIGURATION_FILE}: [weights] needs a folder, for example folder = 'weights'"
            )
        return cls(folder / table["folder"])


@dataclasses.dataclass(frozen=True)
class Configuration:
    """What ``bottleneck.toml`` says; a table that is not there is None.

    Attributes
    ----------
    dataset : DatasetTable or None
        The data set that is meant where none is named.
    weights : WeightsTable or None
        Where weight files lie.
    """

    dataset: DatasetTable | None = None
    weights: WeightsTable | None = None


def data_folder() -> Path:
    """Return the user's folder for files that are to be kept, whether or not it exists.

    Raises
    ------
    UsageError
        If the user has no home folder, as in a container under an undeclared user.
    """
    try:
        path = platformdirs.user_data_path(_APPLICATION, appauthor=False)
    except RuntimeError:
        path = Path("~")
    # Without a home folder, older versions of platformdirs leave the "~" in the path.
    if not path.is_absolute():
        raise UsageError(
            "this user has no home folder to keep weights in: set HOME, or name the folder of "
            "the weights in BOTTLENECK_WEIGHTS"
        )
    return path


def read_configuration(folder: Path | None = None) -> Configuration:
    """Read ``bottleneck.toml`` in a folder.

    Parameters
    ----------
    folder : Path, optional
        By default the current folder.

    Returns
    -------
    Configuration
        Empty where there is no such file.

    Raises
    ------
    UsageError
        If the file cannot be read, is not TOML, or holds what nobody asks for.
    """
    folder = (folder or Path.cwd()).absolute()
    if not os.path.lexists(folder / CONFIGURATION_FILE):
        return Configuration()
    content = read_toml(folder / CONFIGURATION_FILE, "configuration")
    known = {field.name for field in dataclasses.fields(Configuration)}
    for name, table in content.items():
        if name not in known:
            raise unknown_name(f"table in {CONFIGURATION_FILE}", name, known)
        _check_type(name, table, dict)
    dataset, weights = content.get("dataset"), content.get("weights")
    return Configuration(
        dataset=None if dataset is None else DatasetTable.from_toml(dataset, folder),
        weights=None if weights is None else WeightsTable.from_toml(weights, folder),
    )


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """Read a TOML file.

    Parameters
    ----------
    path : Path
        The file.
    what : str
        For the message: "configuration", "study".

    Raises
    ------
    UsageError
        If it cannot be read, or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = str(error)
        if isinstance(error, OSError):
            reason = f"{error.strerror or error}; a TOML file is needed"
        elif reason.startswith("Invalid value"):
            reason += """; text must stand in quotes, such as name = "mine\""""
        raise UsageError(f"the {what} {path} cannot be read: {reason}") from error


def _check_type(key: str, value: object, expected: type) -> None:
    if not isinstance(value, expected):
        kind = {str: "a string", bool: "true or false", dict: "a table"}[expected]
        raise UsageError(f"{CONFIGURATION_FILE}: {key} must be {kind}, not {value!r}")
