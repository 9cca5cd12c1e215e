"""A CSV table that names the images."""

from __future__ import annotations

import csv
import functools
import os
import posixpath
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PureWindowsPath

from bottleneck.data.dataset import FileSource, ImageDataset
from bottleneck.data.readers.csv_tables import known
from bottleneck.data.readers.untrusted_files import LEAVES, leaves
from bottleneck.data.samples import Sample, collect, repeated_ids
from bottleneck.errors import DataError, UsageError, unknown_name
from bottleneck.plurals import counted

__all__ = ["ROLES", "SPLITS", "read_manifest"]

ROLES = ("path", "label", "patient", "split", "fold", "centre", "id")
_REQUIRED = ("path", "label")

SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}

# File names that say nothing of the data set; the folder's name does.
_GENERIC_NAMES = frozenset(
    {"annotations", "data", "dataset", "index", "labels", "manifest", "metadata", "test", "train"}
)

_MAX_HEADER = 1_000_000

Row = dict[str, str]


def read_manifest(
    path: Path, *, columns: Mapping[str, str] | None = None, images: Path | None = None
) -> ImageDataset:
    """Read a table with one row a sample.

    The text is UTF-8, with commas, semicolons or tabs between the fields; space
    around a field is dropped, and ``NA``, ``nan``, ``null`` and the like are empty
    fields. Paths are relative to the table's folder; links that lead
    out of it are left out, and so is what is no file. A sample's id is its path where the
    table gives no other. A row without a patient, in a table that names patients, becomes
    a patient of its own.

    Parameters
    ----------
    path : Path
        The table.
    columns : mapping of str to str, optional
        Names of columns that are not called ``path``, ``label``, ``patient``,
        ``split``, ``fold``, ``centre`` or ``id``: ``{"path": "image"}``.

    images : Path, optional
        The folder that paths start from, in place of the table's; absolute paths below it
        are read as well.

    Returns
    -------
    ImageDataset
        Samples in the order of the table; named after the file, or after its folder
        where the file's name is a general one (``labels.csv``).

    Raises
    ------
    DataError
        If the table cannot be read, lacks a column, repeats an id, names an unknown
        split, or a path leaves its folder; the message names the line.
    UsageError
        If ``columns`` names something that does not exist.
    """
    folder = path.parent if images is None else Path(os.path.normpath(images.absolute()))
    if not folder.is_dir():
        raise UsageError(f"there is no folder '{images}' for --images")
    excluded = Counter[str]()
    samples = collect(sample for _, sample in _read_samples(path, folder, columns or {}, excluded))
    if twice := repeated_ids(samples):
        # The table is read again for this message alone.
        rows = _read_samples(path, folder, columns or {}, Counter())
        (first, one), (again, other), *_ = (row for row in rows if row[1].id == twice[0])
        raise DataError(
            f"{path.name}, line {again}: '{twice[0]}' stands in line {first} already, "
            + ("in the same words" if one == other else "and there it has other fields")
            + (f", and {counted(len(twice) - 1, 'other id')} as well" if len(twice) > 1 else "")
            + ". Ids must be unique (without an id column, the path is the id): delete one of the "
            "rows, or give samples of one image ids of their own"
        )
    if samples and not any(_exists(folder / sample.source) for sample in samples):
        raise DataError(
            f"none of the {len(samples)} images that {path.name} names exists, such as "
            f"'{samples[0].source}'; paths are relative to {folder}, with '/' between folders. "
            "--images FOLDER names another one"
        )
    return ImageDataset(
        name=_choose_name(path),
        samples=samples,
        images=FileSource(folder),
        excluded=excluded,
    )


def _read_samples(
    path: Path, folder: Path, columns: Mapping[str, str], excluded: Counter[str]
) -> Iterator[tuple[int, Sample]]:
    """Yield the line and the sample of every row that is read, and count the others."""
    why_not = _reach(folder)
    for line, row in _read_rows(path, columns):
        where = f"{path.name}, line {line}"
        if lacking := [role for role in _REQUIRED if not row[role]]:
            excluded[f"no {lacking[0]}"] += 1
            continue
        source = _check_path(row["path"], folder, where)
        if reason := why_not(source):
            excluded[reason] += 1
            continue
        yield (
            line,
            Sample(
                id=row.get("id") or source,
                source=source,
                label=row["label"],
                group=row.get("patient") or None,
                split=_normalise_split(row.get("split"), where),
                fold=row.get("fold") or None,
                centre=row.get("centre") or None,
            ),
        )


def _choose_name(path: Path) -> str:
    is_generic = path.stem.casefold() in _GENERIC_NAMES
    return (is_generic and path.parent.name) or path.stem


def _reach(folder: Path) -> Callable[[str], str | None]:
    """Make a function that says why a path is not read; None where it is, or is missing."""
    inside = folder.resolve()
    # Rows name few folders, and following links takes a call for each part of a path.
    leads_out = functools.cache(lambda parent: leaves(folder / parent, inside))

    def why_not(source: str) -> str | None:
        path = folder / source
        try:
            if leads_out(posixpath.dirname(source)) or (path.is_symlink() and leaves(path, inside)):
                return LEAVES
            # A named pipe would be waited for without end.
            return "folder or special file" if path.exists() and not path.is_file() else None
        except (OSError, ValueError):  # a name that is too long, or holds a NUL
            return None

    return why_not


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that is too long, or holds a NUL
        return False


def _read_rows(path: Path, columns: Mapping[str, str]) -> Iterator[tuple[int, Row]]:
    """Yield the number of every line and its fields by role."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = file.readline(_MAX_HEADER)
            if len(header) == _MAX_HEADER:
                raise DataError(f"{path.name} is no table: its first line does not end")
            file.seek(0)
            delimiter = max(",;\t", key=header.count)
            reader = csv.DictReader(file, delimiter=delimiter, restval="")
            reader.fieldnames = present = [n.strip() for n in reader.fieldnames or ()]
            names = _choose_columns(path, present, columns)
            for row in reader:
                if None in row:
                    raise DataError(
                        f"{path.name}, line {reader.line_num}: more fields than the header has; "
                        f"a field that holds '{delimiter}' must stand in double quotes"
                    )
                fields = {role: row[name].strip() for role, name in names.items()}
                yield reader.line_num, {role: known(text) for role, text in fields.items()}
    except UnicodeDecodeError as error:
        raise DataError(f"{path.name} is not UTF-8 text; save the table as 'CSV UTF-8'") from error
    except (OSError, csv.Error) as error:
        raise DataError(f"the table {path} cannot be read: {error}") from error


def _choose_columns(path: Path, present: list[str], columns: Mapping[str, str]) -> dict[str, str]:
    """Return the column of every role that the table has."""
    for role, column in columns.items():
        if role not in ROLES:
            raise unknown_name("column role", role, ROLES)
        if column not in present:
            raise unknown_name(f"column of {path.name} for --{role}-column", column, present)
    chosen = {role: columns.get(role, role) for role in ROLES if columns.get(role, role) in present}
    for role in _REQUIRED:
        if role not in chosen:
            raise DataError(
                f"{path.name} has no column '{role}'; it has: {', '.join(present) or 'none'}. "
                f"Say which one it is: --{role}-column NAME (in Python: columns={{'{role}': NAME}})"
            )
    if twice := [column for column in chosen.values() if present.count(column) > 1]:
        raise DataError(f"{path.name} has several columns '{twice[0]}'; rename all but one")
    return chosen


def _check_path(path: str, folder: Path, where: str) -> str:
    source = posixpath.normpath(path)
    if PureWindowsPath(path).anchor:
        # The second look is for folders that are reached through links.
        for absolute, above in ((source, folder), (os.path.realpath(source), folder.resolve())):
            if Path(absolute).is_relative_to(above):
                source = Path(absolute).relative_to(above).as_posix()
                break
        else:
            raise DataError(
                f"{where}: the path '{path}' is absolute, and not below {folder}: name the folder "
                "above all images with --images"
            )
    if ".." in PureWindowsPath(source).parts:
        raise DataError(
            f"{where}: the path '{path}' leaves the folder {folder}: name the one above all "
            "images with --images, and write paths relative to it"
        )
    return source


def _normalise_split(split: str | None, where: str) -> str | None:
    if not split:
        return None
    if split.casefold() not in SPLITS:
        raise DataError(f"{where}: unknown split '{split}'; known: {', '.join(SPLITS)}")
    return SPLITS[split.casefold()]
