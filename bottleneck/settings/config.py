"""TOML files; ``bottleneck.toml``, the settings of a folder; and the user's own folders."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from pydantic import BeforeValidator

from bottleneck.errors import UsageError
from bottleneck.files.small_files import read_small
from bottleneck.files.temporary import own_folder
from bottleneck.settings.ranges import Expected
from bottleneck.settings.schema import Field, from_table, schema

__all__ = [
    "CONFIGURATION_FILE",
    "Configuration",
    "DatasetTable",
    "DefaultsTable",
    "WeightsTable",
    "cache_folder",
    "data_folder",
    "read_configuration",
    "read_toml",
]

CONFIGURATION_FILE = "bottleneck.toml"
_APPLICATION = "bottleneck-features"
# Bytes of a TOML file, and dots of a line: the time of the parser grows with the square of the
# parts of a dotted key.
_MAX_TOML, _MAX_DOTS = 262_144, 200


def _refuse_empty(path: object) -> object:
    if path == "":
        raise ValueError
    return path


def _list_names(names: object) -> object:
    listed = [names] if isinstance(names, str) else names
    if not isinstance(listed, list):
        return listed
    are_names = all(isinstance(name, str) and name.strip() for name in listed)
    if not listed or not are_names or len(set(listed)) < len(listed):
        raise ValueError
    return tuple(listed)


_Names = Annotated[
    tuple[str, ...],
    BeforeValidator(_list_names),
    Expected("a name, or a list of different names"),
]
_Path = Annotated[Path, BeforeValidator(_refuse_empty), Expected("the path of a file or folder")]


@schema
class DatasetTable:
    """The table ``[dataset]``: the data set that is used where a command names none.

    Its keys are options of :func:`bottleneck.data.readers.load_dataset`; only ``path`` is
    required. Paths are relative to the file; here they are absolute.
    """

    path: _Path
    images: _Path | None = None
    columns: Mapping[str, str] = Field(default_factory=dict)
    patient_pattern: str | None = None
    positive: str | None = None
    crop: bool = False
    space: Literal["lps", "ras", "voxel"] | None = None
    size_mm: float | None = None
    volumes: bool = False
    negatives: float | None = None
    merge_folds: bool = False
    examinations: Literal["auto", "dicom", "none"] = "auto"
    name: str | None = None
    reader: str | None = None


@schema
class WeightsTable:
    """The table ``[weights]``: the folder of weight files, relative to the file; here absolute."""

    folder: _Path


@schema
class DefaultsTable:
    """The table ``[defaults]``: what commands use where their options name nothing.

    ``backbone`` and ``heads`` are a name or a list of names, and ``ignore`` is the code of a check
    or a list of codes.
    """

    backbone: _Names | None = None
    weights: Annotated[str, BeforeValidator(_refuse_empty), Expected("a name or a path")] | None = (
        None
    )
    heads: _Names | None = None
    ignore: _Names | None = None


@schema
class Configuration:
    """The tables of ``bottleneck.toml``; None for a table that is not there."""

    dataset: DatasetTable | None = None
    weights: WeightsTable | None = None
    defaults: DefaultsTable | None = None


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
            "this user has no home folder for weights: set HOME, or name the folder of the "
            "weights in BOTTLENECK_WEIGHTS"
        )
    return path


def cache_folder() -> Path:
    """Return the user's folder for files that can be made again; only the user may read it.

    It is created where it is absent. Without a home folder, it is a temporary one.
    """
    # Without a home folder, platformdirs raises an error or leaves the "~" in the path.
    with contextlib.suppress(RuntimeError, OSError):
        path = platformdirs.user_cache_path(_APPLICATION, appauthor=False)
        if path.is_absolute():
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            return path
    return own_folder()


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
        If the file cannot be read, is not TOML, or has a key or value that does not fit.
    """
    folder = (folder or Path.cwd()).absolute()
    if not os.path.lexists(folder / CONFIGURATION_FILE):
        return Configuration()
    content = read_toml(folder / CONFIGURATION_FILE, "configuration")
    stated = from_table(Configuration, content, CONFIGURATION_FILE)
    dataset, weights = stated.dataset, stated.weights
    if dataset is not None:
        images = dataset.images and folder / dataset.images
        dataset = dataclasses.replace(dataset, path=folder / dataset.path, images=images)
    if weights is not None:
        weights = WeightsTable(folder=folder / weights.folder)
    return Configuration(dataset=dataset, weights=weights, defaults=stated.defaults)


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
        If it cannot be read, is not TOML, or is larger than 256 KiB.
    """
    data = read_small(path, what, limit=_MAX_TOML)
    try:
        text = data.decode()
        if any(line.count(".") > _MAX_DOTS for line in text.splitlines()):
            raise ValueError(f"a line has more than {_MAX_DOTS} dots")
        return tomllib.loads(text)
    except UnicodeDecodeError:
        reason = "it is not UTF-8 text; save it so"
    except RecursionError:
        reason = "its tables are nested too deeply"
    except ValueError as error:
        reason = str(error)
        if reason.startswith("Invalid value"):
            reason += """; text must stand in quotes, such as name = "mine\""""
        elif "integer string conversion" in reason:
            reason = "a number has thousands of digits"
    raise UsageError(f"the {what} {path} cannot be read: {reason}")
