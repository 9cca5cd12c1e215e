"""Samples from Python objects: ``Sample``, dicts, and the rows of a DataFrame."""

from __future__ import annotations

import dataclasses
import functools
import io
import numbers
import os
import sys
import zipfile
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bottleneck.data.dataset import FileSource, ImageDataset, ImageSource
from bottleneck.data.readers.manifest import (
    doubt_rows,
    name_region,
    normalise_split,
    read_field,
)
from bottleneck.data.readers.patients.examinations import Examinations, find_examinations
from bottleneck.data.readers.patients.patient_ids import name_volumes, read_patients
from bottleneck.data.readers.tables.table_columns import (
    POINT,
    REGION_ROLES,
    REQUIRED,
    ROLES,
    choose_columns,
    note_columns,
)
from bottleneck.data.readers.tables.table_paths import TablePaths
from bottleneck.data.readers.tables.volume_rows import RegionOptions
from bottleneck.data.samples.sample_table import Sample, collect, values_of
from bottleneck.data.sources.image_sources import ArchiveSource, MemorySource
from bottleneck.data.sources.untrusted_files import has_picture_suffix
from bottleneck.data.spelling.identifiers import canonical, is_missing_value, legible
from bottleneck.data.spelling.unclear_labels import check_unclear_labels
from bottleneck.data.volumes.volume import VolumeSource
from bottleneck.data.volumes.volume_files import VolumeFiles, is_volume_name
from bottleneck.data.volumes.volume_region import Space
from bottleneck.errors import DataError, UsageError, one_line
from bottleneck.text.plurals import counted
from bottleneck.text.short_repr import shorten

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["check_name", "read_records"]

# Fields of a sample that a table calls otherwise.
_FIELD_NAMES = {"path": "source", "patient": "group"}
# Fields of a sample that are not text.
_REGIONS = ("region", "volume_region")
# Beyond, not every whole number is a float: digits of an id would be lost.
_MAX_FLOAT = 2**53
# Python writes no number of thousands of digits, and no id has so many.
_MAX_WHOLE = 10**100
# Kinds of dicts with other keys.
_N_HEADERS = 64
# Folders of which it is known whether they are volumes.
_N_FOLDERS = 1_024
_NEEDED = "expected Sample objects, dicts with the keys path and label, or a DataFrame with these"


def read_records(
    samples: Iterable[Sample | Mapping[str, Any]] | pd.DataFrame,
    *,
    name: str,
    images: str | os.PathLike[str] | Mapping[str, Any] | ImageSource | None = None,
    columns: Mapping[str, str] | None = None,
    positive: str | None = None,
    space: Space | None = None,
    size_mm: float | None = None,
    may_lack_labels: bool = False,
    examinations: Examinations = "auto",
) -> ImageDataset:
    """Return a data set of samples in Python; see ``ImageDataset.from_samples``."""
    if columns is not None and not isinstance(columns, Mapping):
        raise UsageError(f"columns must be a dict of role to column, not {shorten(columns)}")
    source = _find_source(images)
    excluded, notes = Counter[str](), list[str]()
    required = ("path",) if may_lack_labels else REQUIRED
    reading = _RegionReading(RegionOptions(space, size_mm), source)
    given = collect(_read_samples(samples, columns or {}, required, reading, excluded, notes))
    reading.check(given)
    if isinstance(source, FileSource) and given:
        is_volume = [reading.holds(path) for path in values_of(given, "source")]
        given = _locate(given, source.root, any(is_volume), excluded, notes)
        source = _choose_source(source, is_volume)
    elif isinstance(source, MemorySource) and given:
        notes += _note_absent(given, source.images, "the mapping of images")
    elif isinstance(source, ArchiveSource) and given:
        notes += _note_absent(given, source.names, "the archive of images")
    dataset = ImageDataset(
        name,
        given,
        source,
        positive,
        excluded,
        tuple(dict.fromkeys(notes)),
        may_lack_labels=may_lack_labels,
    )
    dataset = find_examinations(name_volumes(read_patients(dataset)), examinations)
    unclear = tuple(check_unclear_labels(dataset.samples))
    return dataclasses.replace(dataset, notes=(*dataset.notes, *unclear)) if unclear else dataset


@dataclasses.dataclass(frozen=True)
class _RegionReading:
    """How the regions of rows are read: what was stated, and where the samples are."""

    options: RegionOptions
    source: ImageSource

    def holds(self, path: str) -> bool:
        """Return whether a path names a volume."""
        if isinstance(self.source, VolumeSource) or is_volume_name(path):
            return True
        if not isinstance(self.source, FileSource) or has_picture_suffix(path):
            return False
        return self._holds_series(VolumeFiles(self.source.root), path)

    @functools.cached_property
    def _holds_series(self) -> Callable[[VolumeFiles, str], bool]:
        """A look into a folder, which is not repeated for every point of a volume."""
        return functools.lru_cache(_N_FOLDERS)(VolumeFiles.holds_series)

    def check(self, samples: Sequence[Sample]) -> None:
        """Refuse a space or a size that no sample uses."""
        stated = next((name for name, value in vars(self.options).items() if value), None)
        if stated and not any(values_of(samples, "volume_region")):
            raise UsageError(
                f"{stated} applies only to rows with a point x, y, z in a volume: leave it out"
            )


def _choose_source(source: FileSource, is_volume: Sequence[bool]) -> ImageSource:
    """Return the source of images, or that of volumes if the samples name volumes."""
    if any(is_volume) and not all(is_volume):
        raise DataError(
            f"{sum(is_volume)} of {len(is_volume)} samples name volumes, and the others images: "
            "make a data set of each"
        )
    return VolumeFiles(source.root) if any(is_volume) else source


def check_name(name: object) -> str:
    """Return a name, or raise UsageError if it cannot be part of a file name."""
    if not isinstance(name, str):
        raise UsageError(f"the name of a data set must be text, not {shorten(name)}")
    if not name.strip() or name.startswith(".") or not name.isprintable() or set(name) & set("/\\"):
        raise UsageError(f"the name {name!r} cannot name a file; use letters, digits and '-'")
    return name


def _find_source(images: Any) -> ImageSource:
    """Return the source that ``images`` stands for."""
    if images is None or isinstance(images, str | os.PathLike):
        return _open_path(images)
    if isinstance(images, Mapping):
        return MemorySource(images)
    if isinstance(images, zipfile.ZipFile) and images.filename and Path(images.filename).is_file():
        return ArchiveSource(Path(images.filename).absolute())
    has_read = callable(getattr(images, "read", None))
    if not has_read or isinstance(images, type | io.IOBase):
        raise UsageError(
            f"images must be a folder, a mapping from paths to images, or an object with a method "
            f"read(path) that returns bytes, not {shorten(images)}"
        )
    return images


def _open_path(images: str | os.PathLike[str] | None) -> ImageSource:
    if images == "":
        raise UsageError("the folder of the images is empty; for the current folder, pass '.'")
    path = Path(os.path.normpath(Path(images or ".").absolute()))
    try:
        if path.is_dir():
            return FileSource(path)
        if path.is_file() and zipfile.is_zipfile(path):
            return ArchiveSource(path)
        what = "is neither a folder nor a zip archive" if path.exists() else "does not exist"
    except (OSError, ValueError) as error:  # ValueError: it contains a NUL.
        what = f"cannot be read ({one_line(error)})"
    raise UsageError(
        f"the folder of the images '{images}' {what}; pass a folder, a zip archive, a mapping of "
        "images in memory, or an object with a method read(path)"
    )


def _read_samples(
    samples: Any,
    columns: Mapping[str, str],
    required: Sequence[str],
    reading: _RegionReading,
    excluded: Counter[str],
    notes: list[str],
) -> Iterator[Sample]:
    """Yield every usable sample; count the others in ``excluded``."""
    for number, item in enumerate(_iterate(samples, columns, required, notes)):
        if isinstance(item, Sample):
            yield item
        elif lacking := [role for role in required if not item.get(role)]:
            excluded[f"no {lacking[0]}"] += 1
        else:
            path, place = item["path"], f"samples[{number}]"
            is_volume = reading.holds(path)
            region = item.get("volume_region")
            if is_volume and region is None:
                region = reading.options.read(item, path, place)
            if is_volume and "x" in item and region is None:
                excluded["no point"] += 1
                continue
            yield Sample(
                id=item.get("id") or name_region(path, region),
                source=path,
                label=item.get("label") or "",
                group=item.get("patient") or None,
                split=item.get("split") or None,
                fold=item.get("fold") or None,
                centre=item.get("centre") or None,
                lesion=(is_volume and item.get("lesion")) or None,
                region=item.get("region"),
                volume_region=region,
            )


def _iterate(
    samples: Any, columns: Mapping[str, str], required: Sequence[str], notes: list[str]
) -> Iterator[Sample | dict[str, Any]]:
    """Yield samples, and rows of tables as fields by role."""
    choose = functools.lru_cache(_N_HEADERS)(functools.partial(_choose, columns, required, notes))
    pandas = sys.modules.get("pandas")  # A DataFrame cannot be there without it.
    if pandas is not None and isinstance(samples, pandas.DataFrame):
        samples = _with_index(samples)
        chosen = choose(tuple(samples.columns), "the DataFrame")
        rows = samples.iloc[:, list(chosen.values())].itertuples(index=False, name=None)
        for number, values in enumerate(rows):
            yield _read_row(zip(chosen, values, strict=True), f"row {number} of the DataFrame")
        return
    if isinstance(samples, str | bytes | os.PathLike):
        raise UsageError(f"samples is {shorten(samples)}; load_dataset reads a path; {_NEEDED}")
    if isinstance(samples, Sample | Mapping | ImageDataset) or not isinstance(samples, Iterable):
        raise UsageError(f"samples is {type(samples).__name__}; {_NEEDED}, as a list or generator")
    for number, item in enumerate(samples):
        place = f"samples[{number}]"
        if isinstance(item, Sample):
            yield item
        elif isinstance(item, Mapping):
            chosen = choose(tuple(item), "a dict of samples")
            values = list(item.values())
            yield _read_row(((role, values[n]) for role, n in chosen.items()), place)
        else:
            raise DataError(f"{place} is {shorten(item)} ({type(item).__name__}); {_NEEDED}")


def _with_index(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a DataFrame with the named levels of its index as columns: one may be the patient."""
    import pandas as pd

    rows = range(len(frame))
    levels = [
        pd.Series(frame.index.get_level_values(n), rows, name=name)
        for n, name in enumerate(frame.index.names)
        if name is not None and name not in frame.columns
    ]
    return pd.concat([*levels, frame.set_axis(rows)], axis=1) if levels else frame


def _choose(
    columns: Mapping[str, str],
    required: Sequence[str],
    notes: list[str],
    header: tuple[Any, ...],
    what: str,
) -> dict[str, int]:
    """Return the position of the column of each role; add notes on those that are not used."""
    names = [canonical(name if isinstance(name, str) else str(name)) for name in header]
    known = {str(role): str(column) for role, column in columns.items()}
    for role, field in _FIELD_NAMES.items():
        if role not in known and role not in names and field in names:
            known[role] = field
    place = Path(what)
    roles = (*ROLES, *REGION_ROLES)
    chosen = choose_columns(place, names, known, required, roles)
    chosen |= {field: names.index(field) for field in _REGIONS if field in names}
    of_images = {role: name for role, name in known.items() if role in ROLES}
    notes += note_columns(place, names, of_images, required)
    used = {names[n] for n in chosen.values()}
    if idle := [legible(name) for name in names if name not in used]:
        shown = ", ".join(idle[:5]) + (f" and {len(idle) - 5} more" if len(idle) > 5 else "")
        usable = ", ".join((*roles, *_REGIONS))
        notes.append(f"columns of {what} that are not used: {shown}; used are {usable}")
    return chosen


def _read_row(cells: Iterable[tuple[str, Any]], place: str) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for role, value in cells:
        if role in _REGIONS:
            row[role] = None if is_missing_value(value) else value
        else:
            row[role] = read_field(role, _read_text(role, value, place).strip())
    if row.get("split"):
        row["split"] = normalise_split(row["split"], place)
    return row


def _read_text(role: str, value: Any, place: str) -> str:
    """Return a cell as text; "" for a missing value."""
    if isinstance(value, str):
        return str.__str__(value)
    if is_missing_value(value):
        return ""
    if role == "path" and isinstance(value, os.PathLike):
        value = os.fspath(value)
        if isinstance(value, str):
            return value
    if type(value).__name__ in ("bool", "bool_"):
        return str(value)
    reason = f"is {type(value).__name__}, not text: write it as text"
    if role in (*POINT, "size_mm"):
        return repr(float(value)) if isinstance(value, numbers.Real) else str(value)
    if role != "path" and isinstance(value, numbers.Integral):
        if abs(int(value)) < _MAX_WHOLE:
            return str(int(value))
    elif role != "path" and isinstance(value, numbers.Real):
        number = float(value)
        if number.is_integer() and abs(number) < _MAX_FLOAT:
            return str(int(number))  # Of a column of whole numbers with gaps.
        reason = (
            "has so many digits that some were lost: read the column as text"
            if number.is_integer()
            else "is a number with decimals, which cannot be a name: write it as text"
        )
    raise DataError(f"{place}: the {role} {shorten(value)} {reason}")


def _locate(
    samples: Sequence[Sample],
    folder: Path,
    of_volumes: bool,
    excluded: Counter[str],
    notes: list[str],
) -> Sequence[Sample]:
    """Return samples with the files that their paths name, as in a table."""
    every = functools.partial(values_of, samples, "source")
    paths = TablePaths(folder, every, moved=True, folders=of_volumes)
    existing = Counter[str]()

    def located() -> Iterator[Sample]:
        for sample in samples:
            n_before = paths.n_existing
            name, source, reason = paths.locate(sample.source, f"the sample '{sample.id}'")
            if reason:
                excluded[reason] += 1
                continue
            existing[sample.label] += paths.n_existing - n_before
            identity = name if sample.id == sample.source else sample.id
            yield dataclasses.replace(sample, id=identity, source=source)

    kept = collect(located())
    if kept and not paths.n_existing:
        hint = paths.explain_missing(kept[0].source).replace("--images ", "images=")
        raise DataError(
            f"none of the {len(kept)} images exists, for example "
            f"{legible(kept[0].source)}. {hint.replace('--images', 'images=')}"
        )
    notes += [*paths.notes(), *doubt_rows(kept, existing)]
    return kept


def _note_absent(samples: Sequence[Sample], names: Container[str], where: str) -> list[str]:
    absent = [name for name in values_of(samples, "source") if name not in names]
    if len(absent) == len(samples):
        raise DataError(
            f"none of the {len(samples)} images is in {where}, for example "
            f"{legible(absent[0])}: its names must be the paths of the samples"
        )
    if not absent:
        return []
    return [f"{counted(len(absent), 'image')} absent from {where}, such as {legible(absent[0])}"]
