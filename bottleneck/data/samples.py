"""Samples in memory where they are few, and in a table on the disk where they are many."""

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

from bottleneck.disk_backed import Database
from bottleneck.errors import DataError

__all__ = [
    "Box",
    "Sample",
    "SampleTable",
    "blocks_of",
    "collect",
    "count_named",
    "fingerprint_of",
    "first_alike",
    "repeated_ids",
    "values_of",
]

Box = tuple[int, int, int, int]

# Samples that take a few megabytes of memory.
_FEW = 10_000
# Samples that are made at once: few enough to be gone before Python's garbage collector counts
# them as old. A collection of all that is old takes as long as thousands of samples.
_SLICE = 512
# The table reads so many at once, and keeps so many blocks: threads work near each other.
_BLOCK, _KEPT = 256, 4
# Values that are read at once.
_VALUES = 4096
# Of an id, a path or a label. Arrays of text take four bytes a row for each character of the
# longest; readers of feature files rely on it.
_MAX_TEXT = 1_000


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    """One image, or one region of an image, with what is known of it.

    Attributes
    ----------
    id : str
        Unique within the data set.
    source : str
        Path of the image relative to the data set, with ``/``.
    label : str
        The class.
    group : str or None
        The patient. Samples of one group never stand on both sides of a split.
    split : str or None
        ``"train"``, ``"val"`` or ``"test"`` where the data set fixes it.
    fold : str or None
        Name of the test fold where the data set publishes folds.
    centre : str or None
        Hospital, scanner or site.
    region : tuple of int or None
        Left, top, right, bottom in pixels of the upright image; None for all of it.
    """

    id: str
    source: str
    label: str
    group: str | None = None
    split: str | None = None
    fold: str | None = None
    centre: str | None = None
    region: Box | None = None


_FIELDS = tuple(field.name for field in dataclasses.fields(Sample))
# Quoted: a group is a word of SQL as well.
_COLUMNS = ", ".join(f'"{name}"' for name in _FIELDS)


class SampleTable(Sequence[Sample]):
    """Samples in a temporary table on the disk, made anew whenever they are asked for.

    Parameters
    ----------
    samples : iterable of Sample
        Taken one by one.

    Attributes
    ----------
    fingerprint : str
        As ``fingerprint_of`` returns it.
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
        ((self._n,),) = self._data.rows("SELECT COUNT(*) FROM samples")
        self._block = functools.lru_cache(_KEPT)(self._load)

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
        # Another process cannot open the table.
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
        """Yield what every sample has in a field of text."""
        for start in range(0, self._n, _VALUES):
            numbers = range(start, min(start + _VALUES, self._n))
            yield from (value for (value,) in self._rows(f'"{field}"', numbers))

    def repeated_ids(self) -> list[str]:
        """Return the ids that several samples have."""
        return [
            identity
            for (identity,) in self._data.rows(
                "SELECT id FROM samples GROUP BY id HAVING COUNT(*) > 1 ORDER BY MIN(number)"
            )
        ]

    def first_alike(self, field: str, key: Callable[[str], str]) -> tuple[str, str] | None:
        """Return two values of a field of text that have one key; None where all are apart."""
        self._data.define("key", key)
        found = self._data.rows(
            f'SELECT MIN(value), MAX(value) FROM (SELECT DISTINCT "{field}" AS value FROM samples '
            "WHERE value IS NOT NULL) GROUP BY key(value) HAVING COUNT(*) > 1 LIMIT 1"
        )
        return found[0] if found else None

    def count_named(self, field: str) -> tuple[int, int]:
        """Count the samples that have something in a field, and how many different ones."""
        ((named, distinct),) = self._data.rows(
            f'SELECT COUNT("{field}"), COUNT(DISTINCT "{field}") FROM samples'
        )
        return named, distinct


# Not astuple, which copies every field deeply: ten times slower.
_values = operator.attrgetter(*_FIELDS)


def _line(sample: Sample) -> bytes:
    return json.dumps(_values(sample), ensure_ascii=True).encode() + b"\n"


def _to_row(sample: Sample) -> tuple[Any, ...]:
    *texts, region = _values(sample)
    return *texts, None if region is None else json.dumps(region)


def _from_row(row: tuple[Any, ...]) -> Sample:
    if row[-1] is not None:
        row = (*row[:-1], tuple(json.loads(row[-1])))
    return Sample(*row)


def collect(samples: Iterable[Sample]) -> Sequence[Sample]:
    """Keep samples: in memory where they are few, else on the disk.

    Raises
    ------
    DataError
        If a text is one that files of features and tables cannot hold.
    """
    checked = map(_check_text, samples)
    few = tuple(itertools.islice(checked, _FEW + 1))
    return few if len(few) <= _FEW else SampleTable(itertools.chain(few, checked))


def _check_text(sample: Sample) -> Sample:
    for key in ("id", "source", "label", "group", "fold", "centre"):
        text = getattr(sample, key)
        if text is None:
            continue
        if len(text) > _MAX_TEXT:
            raise DataError(
                f"{key} '{text[:50]}…' has {len(text):,} characters, and {_MAX_TEXT:,} are "
                f"the most that is read; shorten it"
            )
        broken = "\0" in text or (key in ("id", "source") and ("\r" in text or "\n" in text))
        if broken or not _is_unicode(text):
            what = "a line break or NUL" if broken else "bytes that are not UTF-8"
            raise DataError(f"{key} {text!r} holds {what}; rename it")
    return sample


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def blocks_of(samples: Sequence[Sample]) -> Iterator[tuple[int, Sequence[Sample]]]:
    """Yield the samples some hundreds at a time, with the number of the first."""
    for start in range(0, len(samples), _SLICE):
        yield start, samples[start : start + _SLICE]


def values_of(samples: Sequence[Sample], field: str) -> Iterator[Any]:
    """Yield what every sample has in a field of text."""
    if isinstance(samples, SampleTable):
        return samples.values(field)
    return (getattr(sample, field) for sample in samples)


def repeated_ids(samples: Sequence[Sample]) -> list[str]:
    """Return the ids that several samples have, the one that stands first at first."""
    if isinstance(samples, SampleTable):
        return samples.repeated_ids()
    return [i for i, n in Counter(s.id for s in samples).items() if n > 1]


def fingerprint_of(samples: Sequence[Sample]) -> str:
    """Return the sha256 over every field of every sample."""
    if isinstance(samples, SampleTable):
        return samples.fingerprint
    digest = hashlib.sha256()
    for sample in samples:
        digest.update(_line(sample))
    return digest.hexdigest()


def count_named(samples: Sequence[Sample], field: str) -> tuple[int, int]:
    """Count the samples that have something in a field of text, and how many different ones."""
    if isinstance(samples, SampleTable):
        return samples.count_named(field)
    named = [value for value in values_of(samples, field) if value is not None]
    return len(named), len(set(named))


def first_alike(
    samples: Sequence[Sample], field: str, key: Callable[[str], str]
) -> tuple[str, str] | None:
    """Return two values of a field of text that have one key; None where all are apart."""
    if isinstance(samples, SampleTable):
        return samples.first_alike(field, key)
    first: dict[str, str] = {}
    for value in values_of(samples, field):
        if value is not None and first.setdefault(key(value), value) != value:
            return first[key(value)], value
    return None
