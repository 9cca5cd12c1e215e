"""Samples of a data set: a few thousand in memory, more in a table on disk."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import itertools
import json
import operator
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, overload

from bottleneck.data.samples.sample_checks import check_sample
from bottleneck.data.volumes.volume_region import VolumeRegion
from bottleneck.errors import DataError
from bottleneck.files.disk_backed import Database
from bottleneck.text.short_repr import show_fields

__all__ = [
    "Box",
    "Sample",
    "SampleTable",
    "alike",
    "blocks_of",
    "collect",
    "count_named",
    "examples",
    "fingerprint_of",
    "repeated_ids",
    "values_of",
]

Box = tuple[int, int, int, int]

# The most samples that are kept in memory, where they take a few megabytes.
_MAX_IN_MEMORY = 10_000
# Samples per block in ``blocks_of``: so few that they are freed before Python's garbage collector
# moves them to its oldest generation. Collecting that takes as long as thousands of samples.
_SLICE = 512
# The table reads blocks of 256 samples and caches four of them: threads work near each other.
_BLOCK, _N_CACHED_BLOCKS = 256, 4
# Values of one field that are read at once.
_VALUES_PER_QUERY = 4096


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    """One image or volume, or one region of it, with its label and its patient.

    Attributes
    ----------
    id : str
        Identifier, unique within the data set.
    source : str
        Path of the image relative to the data set, with ``/`` as separator; absolute for an image
        that a table names so.
    label : str
        The class; "" for a sample without a label, in a data set that may lack labels.
    group : str or None
        The patient. All samples of a group are on the same side of every split.
    split : str or None
        ``"train"``, ``"val"`` or ``"test"`` if the data set has fixed splits.
    fold : str or None
        Name of the test fold if the data set publishes folds.
    centre : str or None
        Hospital, scanner or site.
    lesion : str or None
        The annotated lesion that a candidate belongs to; None for a candidate without one.
    examination : str or None
        The examination that an image was recorded in, as ``find_examinations`` writes it.
    region : tuple of int or None
        Left, top, right and bottom in pixels of the upright image; None for the whole image.
    volume_region : VolumeRegion or None
        Point and size of a region of a volume; None for a whole volume, and for an image.

    Examples
    --------
    >>> Sample(id="p7-1", source="scans/p7-1.png", label="benign", group="p7").group
    'p7'
    """

    id: str = dataclasses.field(repr=False)
    source: str = dataclasses.field(repr=False)
    label: str
    group: str | None = dataclasses.field(default=None, repr=False)
    split: str | None = None
    fold: str | None = None
    centre: str | None = None
    lesion: str | None = None
    examination: str | None = None
    region: Box | None = None
    volume_region: VolumeRegion | None = None

    __repr__ = show_fields


_FIELDS = tuple(field.name for field in dataclasses.fields(Sample))
# Quoted: a group is a word of SQL as well.
_COLUMNS = ", ".join(f'"{name}"' for name in _FIELDS)


class SampleTable(Sequence[Sample]):
    """Samples in a temporary table on disk; ``Sample`` objects are created on access.

    Parameters
    ----------
    samples : iterable of Sample
        The samples; they are consumed one by one.

    Attributes
    ----------
    fingerprint : str
        The sha256 that ``fingerprint_of`` returns.
    is_unified : bool
        Whether every name is known to have one spelling.
    """

    def __init__(self, samples: Iterable[Sample]) -> None:
        self._data = Database(f"CREATE TABLE samples (number INTEGER PRIMARY KEY, {_COLUMNS})")
        marks = ", ".join("?" * len(_FIELDS))
        digest = hashlib.sha256()

        def rows() -> Iterator[tuple[Any, ...]]:
            for sample in samples:
                digest.update(_line(sample))
                yield _to_row(sample)

        self._data.insert(f"INSERT INTO samples ({_COLUMNS}) VALUES ({marks})", rows())
        self.fingerprint = digest.hexdigest()
        # Set when all names have been brought into one spelling, which takes seconds for millions.
        self.is_unified = False
        ((self._n,),) = self._data.rows("SELECT COUNT(*) FROM samples")
        self._block = functools.lru_cache(_N_CACHED_BLOCKS)(self._load)

    def __len__(self) -> int:
        return self._n

    @overload
    def __getitem__(self, number: int) -> Sample: ...
    @overload
    def __getitem__(self, number: slice) -> tuple[Sample, ...]: ...
    def __getitem__(self, number: int | slice) -> Sample | tuple[Sample, ...]:
        if isinstance(number, slice):
            chosen = range(self._n)[number]
            if chosen.step != 1:
                return tuple(self[n] for n in chosen)
            return tuple(map(_from_row, self._rows(_COLUMNS, chosen)))
        block, place = divmod(range(self._n)[number], _BLOCK)
        return self._block(block)[place]

    def __iter__(self) -> Iterator[Sample]:
        return (sample for _, block in blocks_of(self) for sample in block)

    def __reduce__(self) -> Any:
        # Another process cannot open the table: pickle the samples instead.
        return tuple, (list(self),)

    def _load(self, block: int) -> tuple[Sample, ...]:
        return self[block * _BLOCK : (block + 1) * _BLOCK]

    def _rows(self, columns: str, numbers: range) -> list[tuple[Any, ...]]:
        # SQLite counts from one.
        return self._data.rows(
            f"SELECT {columns} FROM samples WHERE number BETWEEN ? AND ?",
            numbers.start + 1,
            numbers.stop,
        )

    def values(self, field: str) -> Iterator[Any]:
        """Yield the value of a text field for every sample."""
        for start in range(0, self._n, _VALUES_PER_QUERY):
            numbers = range(start, min(start + _VALUES_PER_QUERY, self._n))
            yield from (value for (value,) in self._rows(f'"{field}"', numbers))

    def repeated_ids(self) -> list[str]:
        """Return the ids that more than one sample has."""
        return [
            identity
            for (identity,) in self._data.rows(
                "SELECT id FROM samples GROUP BY id HAVING COUNT(*) > 1 ORDER BY MIN(number)"
            )
        ]

    def alike(self, field: str, key: Callable[[str], str]) -> list[list[tuple[str, int]]]:
        """Return what the function ``alike`` does."""
        self._data.define("key", key)
        rows = self._data.rows(
            f'WITH names AS (SELECT "{field}" AS value, COUNT(*) AS n, MIN(number) AS first '
            f'FROM samples WHERE "{field}" IS NOT NULL GROUP BY "{field}"), '
            "keyed AS MATERIALIZED (SELECT value, n, first, key(value) AS shared FROM names) "
            "SELECT shared, value, n FROM keyed WHERE shared IN "
            "(SELECT shared FROM keyed GROUP BY shared HAVING COUNT(*) > 1) ORDER BY first"
        )
        groups: dict[str, list[tuple[str, int]]] = {}
        for shared, value, n in rows:
            groups.setdefault(shared, []).append((value, n))
        return list(groups.values())

    def examples(self, field: str, key: Callable[[str], str]) -> dict[str, tuple[str, int]]:
        """Return what the function ``examples`` does."""
        self._data.define("key", key)
        rows = self._data.rows(
            f'WITH names AS (SELECT "{field}" AS value, COUNT(*) AS n, MIN(number) AS first '
            f'FROM samples WHERE "{field}" IS NOT NULL GROUP BY "{field}"), '
            "keyed AS (SELECT value, n, first, key(value) AS shared FROM names) "
            # SQLite takes the other columns from the row with the minimum.
            "SELECT shared, value, SUM(n), MIN(first) FROM keyed GROUP BY shared"
        )
        return {shared: (value, n) for shared, value, n, _ in rows}

    def count_named(self, field: str) -> tuple[int, int]:
        """Return how many samples have a value in a field, and how many values differ."""
        ((named, distinct),) = self._data.rows(
            f'SELECT COUNT("{field}"), COUNT(DISTINCT "{field}") FROM samples'
        )
        return named, distinct


_EXAMINATION = _FIELDS.index("examination")
# Ten times faster than dataclasses.astuple, which makes deep copies.
_values = operator.attrgetter(*_FIELDS)


def _line(sample: Sample) -> bytes:
    values = list(_values(sample))
    if sample.examination is None:  # A data set without examinations keeps its fingerprint.
        del values[_EXAMINATION]
    return json.dumps(values, ensure_ascii=True).encode() + b"\n"


def _to_row(sample: Sample) -> tuple[Any, ...]:
    *texts, region, volume_region = _values(sample)
    return *texts, *(each and json.dumps(each) for each in (region, volume_region))


def _from_row(row: tuple[Any, ...]) -> Sample:
    fields = dict(zip(_FIELDS, row, strict=True))
    if fields["region"] is not None:
        fields["region"] = tuple(json.loads(fields["region"]))
    if fields["volume_region"] is not None:
        fields["volume_region"] = VolumeRegion(*json.loads(fields["volume_region"]))
    return Sample(**fields)


def collect(samples: Iterable[Sample]) -> Sequence[Sample]:
    """Return samples as a sequence: a tuple, or a table on disk if there are many.

    Parameters
    ----------
    samples : iterable of Sample
        The samples; they are consumed one by one.

    Raises
    ------
    DataError
        If one of them is not a Sample, or ``check_sample`` refuses it.
    """
    checked = itertools.starmap(_check, enumerate(samples))
    first = tuple(itertools.islice(checked, _MAX_IN_MEMORY + 1))
    if len(first) <= _MAX_IN_MEMORY:
        return first
    return SampleTable(itertools.chain(first, checked))


def _check(number: int, sample: Any) -> Sample:
    if not isinstance(sample, Sample):
        raise DataError(
            f"samples[{number}] is {type(sample).__name__}, not a Sample; "
            "ImageDataset.from_samples reads dicts and DataFrames"
        )
    return check_sample(sample)


def blocks_of(samples: Sequence[Sample]) -> Iterator[tuple[int, Sequence[Sample]]]:
    """Yield blocks of a few hundred samples, each with the position of its first sample."""
    for start in range(0, len(samples), _SLICE):
        yield start, samples[start : start + _SLICE]


def values_of(samples: Sequence[Sample], field: str) -> Iterator[Any]:
    """Yield the value of a text field for every sample."""
    if isinstance(samples, SampleTable):
        return samples.values(field)
    return (getattr(sample, field) for sample in samples)


def repeated_ids(samples: Sequence[Sample]) -> list[str]:
    """Return the ids that more than one sample has, in order of appearance."""
    if isinstance(samples, SampleTable):
        return samples.repeated_ids()
    return [i for i, n in Counter(s.id for s in samples).items() if n > 1]


def fingerprint_of(samples: Sequence[Sample]) -> str:
    """Return the sha256 over all fields of all samples, as 64 hexadecimal digits."""
    if isinstance(samples, SampleTable):
        return samples.fingerprint
    digest = hashlib.sha256()
    for sample in samples:
        digest.update(_line(sample))
    return digest.hexdigest()


def count_named(samples: Sequence[Sample], field: str) -> tuple[int, int]:
    """Return how many samples have a value in a text field, and how many values differ."""
    if isinstance(samples, SampleTable):
        return samples.count_named(field)
    named = [value for value in values_of(samples, field) if value is not None]
    return len(named), len(set(named))


def alike(
    samples: Sequence[Sample], field: str, key: Callable[[str], str]
) -> list[list[tuple[str, int]]]:
    """Return the different values of a text field that share a key with another value.

    Parameters
    ----------
    samples : sequence of Sample
        The samples to search.
    field : str
        A text field of ``Sample``; None is skipped.
    key : callable
        Maps a value to its key, such as ``loose_key``.

    Returns
    -------
    list of list of (str, int)
        One list for each such key: the values in order of appearance, each with its number of
        samples.
    """
    if isinstance(samples, SampleTable):
        return samples.alike(field, key)
    groups: dict[str, list[tuple[str, int]]] = {}
    for value, n in _counts(samples, field).items():
        groups.setdefault(key(value), []).append((value, n))
    return [group for group in groups.values() if len(group) > 1]


def examples(
    samples: Sequence[Sample], field: str, key: Callable[[str], str]
) -> dict[str, tuple[str, int]]:
    """Return, for each key of a text field, its first value and its number of samples.

    Parameters
    ----------
    samples : sequence of Sample
        The samples to search.
    field : str
        A text field of ``Sample``; None is skipped.
    key : callable
        Maps a value to one of a few keys.
    """
    if isinstance(samples, SampleTable):
        return samples.examples(field, key)
    found: dict[str, tuple[str, int]] = {}
    for value, n in _counts(samples, field).items():
        first, before = found.setdefault(key(value), (value, 0))
        found[key(value)] = first, before + n
    return found


def _counts(samples: Sequence[Sample], field: str) -> Counter[str]:
    return Counter(value for value in values_of(samples, field) if value is not None)
