"""Reader of data sets that a table describes: one row per image."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from bottleneck.data.dataset import FileSource, ImageDataset
from bottleneck.data.readers.tables.csv_tables import read_rows
from bottleneck.data.readers.tables.table_columns import REQUIRED, choose_columns, note_columns
from bottleneck.data.readers.tables.table_paths import TablePaths
from bottleneck.data.samples import Sample, collect, count_named, repeated_ids, values_of
from bottleneck.data.spelling.identifiers import legible
from bottleneck.data.spelling.missing_values import blank_if_missing
from bottleneck.errors import DataError, UsageError
from bottleneck.text.plurals import counted

__all__ = ["SPLITS", "doubt_rows", "normalise_split", "read_field", "read_manifest"]

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

# File names that do not identify the data set. It is then named after the folder.
_GENERIC_NAMES = frozenset(
    {"annotations", "data", "dataset", "index", "labels", "manifest", "metadata", "test", "train"}
)

# So large a share of rows without a patient may belong to the patients above.
_MANY_BLANK = 1 / 3

Row = dict[str, str]


def read_manifest(
    path: Path,
    *,
    columns: Mapping[str, str] | None = None,
    images: Path | None = None,
    may_lack_labels: bool = False,
) -> ImageDataset:
    """Read a table with one row per sample.

    The table is an Excel workbook, or text as ``read_rows`` reads it. White space around a field is
    dropped; ``NA``, ``nan``, ``#NV`` and similar codes are empty fields. Paths are absolute or
    relative to the table's folder, and may lead anywhere; a note names the folder of images
    outside. Rows are left out if they have no path or no label, or if the path is a folder or
    special file. Without a column ``id``, the path is the id. If the table has a column
    ``patient``, a row with an empty one becomes a patient of its own.

    Parameters
    ----------
    path : Path
        The table.
    columns : mapping of str to str, optional
        Names of the columns that are not called ``path``, ``label``, ``patient``,
        ``split``, ``fold``, ``centre`` or ``id``: ``{"path": "image"}``.
    images : Path, optional
        The folder that the paths start from, by default the table's. If it is given, absolute
        paths that do not exist are read below it, all without the same beginning.
    may_lack_labels : bool
        Whether the table may lack a column of labels, and rows a label: both are kept, with the
        label "".

    Returns
    -------
    ImageDataset
        Samples in the order of the table. It is named after the file, or after the folder if
        the file has a general name such as ``labels.csv``.

    Raises
    ------
    DataError
        If the table cannot be read or lacks a column, an id occurs twice, a split is unknown, or
        two files differ from a path only in spelling; the message names the line.
    UsageError
        If ``columns`` names an unknown role or column, or ``images`` is not a folder.
    """
    folder = path.parent if images is None else Path(os.path.normpath(images.absolute()))
    if not folder.is_dir():
        raise UsageError(f"--images: the folder '{images}' does not exist")
    excluded = Counter[str]()
    columns = columns or {}
    required = ("path",) if may_lack_labels else REQUIRED
    notes: list[str] = []
    _, header = next(read_rows(path, notes))
    try:
        notes += note_columns(path, header, columns, required)
    except DataError as error:
        raise DataError(". ".join((str(error), *notes))) from None

    def open_paths() -> TablePaths:
        rows = (row for _, row in _read_roles(path, columns, required))
        return TablePaths(folder, lambda: (row["path"] for row in rows), moved=images is not None)

    paths = open_paths()
    existing = Counter[str]()
    rows = _read_samples(path, columns, required, paths, excluded, existing)
    samples = collect(sample for _, sample in rows)
    if repeated := repeated_ids(samples):
        # The table is read a second time, only to write this message.
        rows = _read_samples(path, columns, required, open_paths(), Counter(), Counter())
        (first, one), (second, other), *_ = (row for row in rows if row[1].id == repeated[0])
        n_others = len(repeated) - 1
        raise DataError(
            f"{path.name}, line {second}: '{repeated[0]}' is already in line {first}, "
            + ("with the same fields" if one == other else "with other fields")
            + (f"; {counted(n_others, 'other id')} also repeated" if n_others else "")
            + ". Ids must be unique (without an id column, the path is the id): delete one of the "
            "rows, or add an id column that distinguishes them"
        )
    if samples and not paths.n_existing:
        raise DataError(
            f"none of the {len(samples)} images in {path.name} exists, for example "
            f"{legible(samples[0].source)}. {paths.explain_missing(samples[0].source)}"
        )
    if paths.n_respelled:
        _refuse_repeated_files(path, columns, required, samples)
    return ImageDataset(
        name=_choose_name(path),
        samples=samples,
        images=FileSource(folder),
        excluded=excluded,
        notes=(*notes, *paths.notes(), *doubt_rows(samples, existing)),
        may_lack_labels=may_lack_labels,
    )


def doubt_rows(samples: Sequence[Sample], existing: Mapping[str, int]) -> Iterator[str]:
    """Yield notes on rows that may be no images, and on patients that may be of the row above."""
    absent = {label for label in values_of(samples, "label") if label and not existing[label]}
    if absent:
        sample = next(sample for sample in samples if sample.label in absent)
        several = f" ({len(absent)} such classes)" if len(absent) > 1 else ""
        yield (
            f"no image of the class '{sample.label}' exists, such as '{sample.source}'{several}. "
            "Delete the rows that are no images, and correct the paths of the others"
        )
    n_named, n_distinct = count_named(samples, "group")
    n_blank = len(samples) - n_named
    if 1 < n_named == n_distinct and n_blank > _MANY_BLANK * len(samples):
        yield (
            f"{counted(n_blank, 'image')} without a patient, while each patient has one image; "
            "these count as patients of their own. If a blank field means the patient above it, "
            "fill it in"
        )


def _refuse_repeated_files(
    path: Path, columns: Mapping[str, str], required: Sequence[str], samples: Sequence[Sample]
) -> None:
    """Raise an error if two paths in a table without ids are spellings of one file."""
    n_files, n_distinct = count_named(samples, "source")
    if n_files == n_distinct or any(
        "id" in row for _, row in islice(_read_roles(path, columns, required), 1)
    ):
        return
    first: dict[str, str] = {}
    for sample in samples:
        other = first.setdefault(sample.source, sample.id)
        if other != sample.id:
            raise DataError(
                f"{path.name}: {other!a} and {sample.id!a} are spellings of one file; "
                "delete one of the rows, or add an id column that distinguishes them"
            )


def _read_samples(
    path: Path,
    columns: Mapping[str, str],
    required: Sequence[str],
    paths: TablePaths,
    excluded: Counter[str],
    existing: Counter[str],
) -> Iterator[tuple[int, Sample]]:
    """Yield the line and the sample of each usable row; count the others in ``excluded``.

    Images that exist are counted by label in ``existing``.
    """
    for line, row in _read_roles(path, columns, required):
        place = f"{path.name}, line {line}"
        label = row.get("label", "")
        if lacking := [role for role in required if not row[role]]:
            excluded[f"no {lacking[0]}"] += 1
            continue
        n_before = paths.n_existing
        name, source, reason = paths.locate(row["path"], place)
        if reason:
            excluded[reason] += 1
            continue
        existing[label] += paths.n_existing - n_before
        yield (
            line,
            Sample(
                id=row.get("id") or name,
                source=source,
                label=label,
                group=row.get("patient") or None,
                split=normalise_split(row.get("split"), place),
                fold=row.get("fold") or None,
                centre=row.get("centre") or None,
            ),
        )


def _choose_name(path: Path) -> str:
    is_generic = path.stem.casefold() in _GENERIC_NAMES
    return (is_generic and path.parent.name) or path.stem


def _read_roles(
    path: Path, columns: Mapping[str, str], required: Sequence[str]
) -> Iterator[tuple[int, Row]]:
    """Yield the line number of each row, and its fields by role."""
    rows = read_rows(path)
    _, header = next(rows)
    chosen = choose_columns(path, header, columns, required)
    for line, fields in rows:
        yield line, {role: read_field(role, fields[n].strip()) for role, n in chosen.items()}


def read_field(role: str, text: str) -> str:
    """Return a field, or "" for a code that stands for nothing."""
    # The data set counts the patients that mean nothing; "." is a folder in a path.
    if role == "patient" or (role == "path" and not text.strip(".")):
        return text
    return blank_if_missing(text)


def normalise_split(split: str | None, place: str) -> str | None:
    """Return train, val or test for a word of a table; ``place`` is for the message."""
    if not split:
        return None
    if split.casefold() not in SPLITS:
        raise DataError(f"{place}: unknown split '{split}'; known: {', '.join(SPLITS)}")
    return SPLITS[split.casefold()]
