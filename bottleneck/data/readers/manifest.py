"""Reader of data sets that a table describes: one row per image."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from bottleneck.data.dataset import FileSource, ImageDataset
from bottleneck.data.readers.tables.csv_tables import read_rows
from bottleneck.data.readers.tables.table_columns import (
    REGION_ROLES,
    REQUIRED,
    ROLES,
    choose_columns,
    note_columns,
)
from bottleneck.data.readers.tables.table_paths import TablePaths
from bottleneck.data.readers.tables.volume_rows import RegionOptions
from bottleneck.data.samples.sample_table import (
    Sample,
    collect,
    count_named,
    repeated_ids,
    values_of,
)
from bottleneck.data.sources.untrusted_files import has_picture_suffix
from bottleneck.data.spelling.identifiers import legible
from bottleneck.data.spelling.missing_values import blank_if_missing
from bottleneck.data.volumes.volume_files import VolumeFiles, is_volume_name
from bottleneck.data.volumes.volume_region import Space, VolumeRegion
from bottleneck.errors import DataError, UsageError
from bottleneck.text.plurals import counted

__all__ = [
    "SPLITS",
    "doubt_rows",
    "name_region",
    "normalise_split",
    "read_field",
    "read_manifest",
]

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
    space: Space | None = None,
    size_mm: float | None = None,
    volumes: bool = False,
    may_lack_labels: bool = False,
) -> ImageDataset:
    """Read a table with one row per sample.

    The table is an Excel workbook, or text as ``read_rows`` reads it. White space around a field is
    dropped; ``NA``, ``nan``, ``#NV`` and similar codes are empty fields. Paths are absolute or
    relative to the table's folder, and may lead anywhere; a note names the folder of images
    outside. Rows are left out if they have no path or no label, or if the path is a special
    file or, in a table of images, a folder. Without a column ``id``, the path is the id. If the
    table has a column ``patient``, a row with an empty one becomes a patient of its own.

    If the paths name volumes, the columns ``x``, ``y`` and ``z`` make each row a region of a
    volume. Without a column ``id``, its id is the path and the point. Rows without a point are left
    out.

    Parameters
    ----------
    path : Path
        The table.
    columns : mapping of str to str, optional
        Names of the columns that are not called ``path``, ``label``, ``patient``,
        ``split``, ``fold``, ``centre`` or ``id``: ``{"path": "image"}``. Tables of volumes also
        have ``x``, ``y``, ``z``, ``space``, ``size_mm`` and ``lesion``.
    images : Path, optional
        The folder that the paths start from, by default the table's. If it is given, absolute
        paths that do not exist are read below it, all without the same beginning.
    space : {"lps", "ras", "voxel"}, optional
        Space of the points in volumes, for rows that do not state it.
    size_mm : float, optional
        Edge of the regions of volumes in mm, for rows that do not state it.
    volumes : bool
        Whether every path names a volume. Without it, the first one decides: files of a volume
        format and folders of DICOM slices are volumes.
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
        If the table cannot be read or lacks a column, an id occurs twice, a split is unknown, a
        point is incomplete or of an unknown space, it names both images and volumes, or two files
        differ from a path only in spelling; the message names the line.
    UsageError
        If ``columns`` names an unknown role or column, ``images`` is not a folder, or a space or
        size is stated for no point.
    """
    folder = path.parent if images is None else Path(os.path.normpath(images.absolute()))
    if not folder.is_dir():
        raise UsageError(f"--images: the folder '{images}' does not exist")
    excluded = Counter[str]()
    required = ("path",) if may_lack_labels else REQUIRED
    notes: list[str] = []
    rows = read_rows(path, notes)
    _, header = next(rows)
    table = _Table(path, header, columns or {}, required, RegionOptions(space, size_mm), volumes)

    def open_paths() -> TablePaths:
        named = (row["path"] for _, row in table.rows())
        moved = images is not None
        return TablePaths(folder, lambda: named, moved=moved, folders=table.volumes)

    def holds_series(path: str) -> bool:
        if has_picture_suffix(path):
            return False
        named = open_paths().find_folder(path)
        return named is not None and VolumeFiles(folder).holds_series(named)

    try:
        table = table.with_kind((fields for _, fields in rows), holds_series)
        notes += note_columns(path, header, table.columns, required, table.roles)
    except DataError as error:
        raise DataError(". ".join((str(error), *notes))) from None

    paths = open_paths()
    existing = Counter[str]()
    samples = collect(sample for _, sample in table.samples(paths, excluded, existing))
    if repeated := repeated_ids(samples):
        # The table is read a second time, only to write this message.
        again = table.samples(open_paths(), Counter(), Counter())
        (first, one), (second, other), *_ = (row for row in again if row[1].id == repeated[0])
        n_others = len(repeated) - 1
        raise DataError(
            f"{path.name}, line {second}: '{repeated[0]}' is already in line {first}, "
            + ("with the same fields" if one == other else "with other fields")
            + (f"; {counted(n_others, 'other id')} also repeated" if n_others else "")
            + f". Ids must be unique (without an id column, {table.default_id} is the id): delete "
            "one of the rows, or add an id column that distinguishes them" + table.ask_for_points()
        )
    if samples and not paths.n_existing:
        raise DataError(
            f"none of the {len(samples)} images in {path.name} exists, for example "
            f"{legible(samples[0].source)}. {paths.explain_missing(samples[0].source)}"
        )
    if paths.n_respelled:
        table.refuse_repeated_files(samples)
    return ImageDataset(
        name=_choose_name(path),
        samples=samples,
        images=VolumeFiles(folder) if table.volumes else FileSource(folder),
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
            "Delete the rows that are not images, and correct the paths of the others"
        )
    n_named, n_distinct = count_named(samples, "group")
    n_blank = len(samples) - n_named
    if 1 < n_named == n_distinct and n_blank > _MANY_BLANK * len(samples):
        yield (
            f"{counted(n_blank, 'image')} without a patient, while each patient has one image; "
            "these count as patients of their own. If a blank field stands for the patient above "
            "it, fill it in"
        )


@dataclasses.dataclass(frozen=True)
class _Table:
    """A table, how its columns are called, and whether its paths name volumes."""

    path: Path
    header: Sequence[str]
    columns: Mapping[str, str]
    required: Sequence[str]
    regions: RegionOptions
    volumes: bool = False

    @property
    def roles(self) -> tuple[str, ...]:
        return (*ROLES, *REGION_ROLES) if self.volumes else ROLES

    @property
    def chosen(self) -> dict[str, int]:
        """The position of the column of each role."""
        return choose_columns(self.path, self.header, self.columns, self.required, self.roles)

    @property
    def default_id(self) -> str:
        """What the id of a row is in a table without ids, in words."""
        return "the path and the point" if "x" in self.chosen else "the path"

    def ask_for_points(self) -> str:
        """Return what to do if the rows of a volume are points in it; "" if points are read."""
        if not self.volumes or "x" in self.chosen:
            return ""
        return ". If they are points in one volume, name the columns with --point-columns X,Y,Z"

    def with_kind(
        self, rows: Iterable[Sequence[str]], holds_series: Callable[[str], bool]
    ) -> _Table:
        """Return the table with its kind, which the first path in its rows decides."""
        others = {role: name for role, name in self.columns.items() if role not in REGION_ROLES}
        at = dataclasses.replace(self, columns=others).chosen["path"]
        first = next((text for fields in rows if (text := fields[at].strip())), "")
        is_volume = self.volumes or is_volume_name(first) or holds_series(first)
        table = dataclasses.replace(self, volumes=is_volume)
        if not table.volumes and (idle := [role for role in self.columns if role not in others]):
            raise UsageError(
                f"the column '{self.columns[idle[0]]}' was named as {idle[0]}, which is for tables "
                f"of volumes; {self.path.name} names images, such as {legible(first)}"
            )
        self.regions.check(self.path.name, table.chosen, volumes=table.volumes)
        return table

    def rows(self) -> Iterator[tuple[int, Row]]:
        """Yield the line number of each row, and its fields by role."""
        chosen = self.chosen
        rows = read_rows(self.path)
        next(rows)
        for line, fields in rows:
            yield line, {role: read_field(role, fields[n].strip()) for role, n in chosen.items()}

    def samples(
        self, paths: TablePaths, excluded: Counter[str], existing: Counter[str]
    ) -> Iterator[tuple[int, Sample]]:
        """Yield the line and the sample of each usable row; count the others in ``excluded``.

        Images that exist are counted by label in ``existing``.
        """
        for line, row in self.rows():
            place = f"{self.path.name}, line {line}"
            label = row.get("label", "")
            if lacking := [role for role in self.required if not row[role]]:
                excluded[f"no {lacking[0]}"] += 1
                continue
            n_before = paths.n_existing
            name, source, reason = paths.locate(row["path"], place)
            if has_picture_suffix(source) if self.volumes else is_volume_name(source):
                one, others = (
                    ("not a volume", "volumes") if self.volumes else ("a volume", "images")
                )
                raise DataError(
                    f"{place}: {legible(source)} is {one}, and the rows above name {others}: make "
                    "a table of each"
                )
            region = self.regions.read(row, source, place)
            if "x" in row and region is None:
                reason = reason or "no point"
            if reason:
                excluded[reason] += 1
                continue
            existing[label] += paths.n_existing - n_before
            yield (
                line,
                Sample(
                    id=row.get("id") or name_region(name, region),
                    source=source,
                    label=label,
                    group=row.get("patient") or None,
                    split=normalise_split(row.get("split"), place),
                    fold=row.get("fold") or None,
                    centre=row.get("centre") or None,
                    lesion=row.get("lesion") or None,
                    volume_region=region,
                ),
            )

    def refuse_repeated_files(self, samples: Sequence[Sample]) -> None:
        """Raise an error if two paths in a table without ids are spellings of one file."""
        n_files, n_distinct = count_named(samples, "source")
        chosen = self.chosen
        if n_files == n_distinct or "id" in chosen or "x" in chosen:
            return
        first: dict[str, str] = {}
        for sample in samples:
            other = first.setdefault(sample.source, sample.id)
            if other != sample.id:
                raise DataError(
                    f"{self.path.name}: {other!a} and {sample.id!a} are spellings of one file; "
                    "delete one of the rows, or add an id column that distinguishes them"
                )


def name_region(name: str, region: VolumeRegion | None) -> str:
    """Return the id of a sample without one: its path, and the point of a region.

    Examples
    --------
    >>> name_region("7.mhd", VolumeRegion(-100.5, 67.0, -231.85, "lps"))
    '7.mhd@-100.5,67,-231.85'
    """
    if region is None:
        return name
    return f"{name}@" + ",".join(f"{value:.10g}" for value in region[:3])


def _choose_name(path: Path) -> str:
    is_generic = path.stem.casefold() in _GENERIC_NAMES
    return (is_generic and path.parent.name) or path.stem


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
