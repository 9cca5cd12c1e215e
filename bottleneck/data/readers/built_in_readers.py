"""What a reader of data sets is, and those of this package."""

from __future__ import annotations

import dataclasses
import inspect
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from bottleneck.data.dataset import ImageDataset
from bottleneck.data.readers.folders.class_folders import read_class_folders
from bottleneck.data.readers.manifest import read_manifest
from bottleneck.data.readers.published.ddti import CASE_FILE, read_ddti
from bottleneck.data.readers.published.medmnist import read_medmnist
from bottleneck.data.readers.published.tn5000 import read_tn5000
from bottleneck.data.readers.tables.spreadsheets import is_workbook
from bottleneck.data.readers.volume_sets.luna16 import is_luna16, read_luna16
from bottleneck.data.samples.sample_table import Sample
from bottleneck.data.sources.untrusted_files import IMAGE_SUFFIXES
from bottleneck.data.volumes.volume_files import is_volume_name
from bottleneck.data.volumes.volume_region import Space
from bottleneck.errors import DataError

__all__ = ["BUILT_IN", "FOLDERS", "BuiltInReader", "Reader", "is_stated", "takes_option"]


class Reader(Protocol):
    """A reader of data sets of one format: one of this package, or of your own.

    A package registers its reader by an entry point of the group ``bottleneck.readers``, with the
    name of the reader. ``load_dataset`` takes such an object as well.

    Attributes
    ----------
    name : str
        The name of the reader, for ``--reader NAME`` and for the report.

    Examples
    --------
    >>> from pathlib import Path
    >>> from bottleneck import load_dataset
    >>> class NamedFiles:
    ...     name = "named-files"
    ...
    ...     def matches(self, path):
    ...         return any(path.glob("ill_*.png"))
    ...
    ...     def read(self, path):
    ...         for file in sorted(path.glob("*_*.png")):
    ...             label, patient = file.stem.split("_")
    ...             yield {"path": file.name, "label": label, "patient": patient}
    >>> Path("scans").mkdir()
    >>> for name in ("ill_7.png", "well_8.png"):
    ...     Path("scans", name).touch()
    >>> load_dataset("scans", reader=NamedFiles())
    <ImageDataset scans: 2 images of 2 patients; ill 1, well 1>
    """

    @property
    def name(self) -> str:
        """The name of the reader."""
        ...

    def matches(self, path: Path, /) -> bool:
        """Return whether a file or folder has the format of this reader; read little of it."""
        ...

    def read(self, path: Path, /) -> ImageDataset | Iterable[Sample] | Iterable[Mapping[str, Any]]:
        """Return the data set, or its samples as ``ImageDataset.from_samples`` takes them.

        Paths of samples are relative to the folder, or to that of the file. The options of
        ``load_dataset`` called columns, images, crop, space, size_mm, volumes and negatives are
        passed on if the user gave them and this method has parameters of these names.
        """
        ...


@dataclasses.dataclass(frozen=True)
class BuiltInReader:
    """A reader of this package. For every file and folder, exactly one of them matches.

    Attributes
    ----------
    name, matches, read
        As ``Reader`` says.
    is_general : bool
        Whether it matches whatever no other reader does, so that other readers come first.
    """

    name: str
    matches: Callable[[Path], bool]
    read: Callable[..., ImageDataset]
    is_general: bool = False

    def __str__(self) -> str:
        return f"the reader '{self.name}'"

    @property
    def record(self) -> dict[str, str]:
        """The fields of ``ImageDataset.reader``."""
        return {"name": self.name}


def is_stated(value: object) -> bool:
    """Return whether an option was given: a number 0 was, and is refused by the reader."""
    return bool(value) or (isinstance(value, int | float) and not isinstance(value, bool))


def takes_option(reader: Reader | BuiltInReader, option: str) -> bool:
    """Return whether a reader's method ``read`` has a parameter of this name."""
    try:
        parameters = inspect.signature(reader.read).parameters
    except (TypeError, ValueError):  # It is not written in Python.
        return True
    kinds = {parameter.kind for parameter in parameters.values()}
    return option in parameters or inspect.Parameter.VAR_KEYWORD in kinds


def _is_tn5000(path: Path) -> bool:
    return (path / "Annotations").is_dir() and (path / "JPEGImages").is_dir()


def _is_ddti(path: Path) -> bool:
    if not path.is_dir() or _is_tn5000(path):
        return False
    return any(CASE_FILE.fullmatch(file.name) for file in path.iterdir())


def _is_luna(path: Path) -> bool:
    return is_luna16(path) and not _is_tn5000(path) and not _is_ddti(path)


def _is_medmnist(path: Path) -> bool:
    if not path.is_file():
        return False
    is_archive = path.suffix.casefold() == ".npz" or zipfile.is_zipfile(path)
    return is_archive and not is_workbook(path)


def _read_table(
    path: Path,
    *,
    columns: Mapping[str, str] | None = None,
    images: Path | None = None,
    space: Space | None = None,
    size_mm: float | None = None,
    volumes: bool = False,
    may_lack_labels: bool = False,
) -> ImageDataset:
    suffix = path.suffix.casefold()
    if suffix in IMAGE_SUFFIXES:
        raise DataError(f"'{path.name}' is a single image; pass a folder or a table of images")
    if is_volume_name(path.name):
        raise DataError(f"'{path.name}' is a single volume; pass a folder or a table of volumes")
    if suffix in (".xls", ".xlsb", ".ods", ".numbers"):
        raise DataError(
            f"'{path.name}' is a spreadsheet in another format than .xlsx; save it as .xlsx or "
            "'CSV UTF-8', and pass that"
        )
    return read_manifest(
        path,
        columns=columns,
        images=images,
        space=space,
        size_mm=size_mm,
        volumes=volumes,
        may_lack_labels=may_lack_labels,
    )


FOLDERS = BuiltInReader(
    "folders",
    lambda path: path.is_dir() and not any(of(path) for of in (_is_tn5000, _is_ddti, _is_luna)),
    read_class_folders,
    is_general=True,
)
BUILT_IN = (
    BuiltInReader("TN5000", _is_tn5000, read_tn5000),
    BuiltInReader("DDTI", _is_ddti, read_ddti),
    BuiltInReader("LUNA16", _is_luna, read_luna16),
    BuiltInReader("MedMNIST", _is_medmnist, read_medmnist, is_general=True),
    BuiltInReader(
        "table",
        lambda path: path.is_file() and not _is_medmnist(path),
        _read_table,
        is_general=True,
    ),
    FOLDERS,
)
