"""Tables of the scores that human readers gave: one row per reading, or one column per reader."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, Union

from bottleneck.data.spelling.identifiers import canonical, name_value
from bottleneck.data.spelling.missing_values import means_nothing
from bottleneck.data.spelling.spelling_keys import loose_key
from bottleneck.errors import DataError, UsageError
from bottleneck.features.arrays.matrix import is_frame
from bottleneck.text.plurals import counted
from bottleneck.text.short_repr import shorten

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ReaderInput", "ReaderTable", "Reading", "is_given", "read_reader_tables"]

#: One or several tables of readers' scores: paths or data frames.
ReaderInput: TypeAlias = Union[
    str, "os.PathLike[str]", "pd.DataFrame", Sequence["str | os.PathLike[str] | pd.DataFrame"]
]

_READER = ("reader", "rater", "observer")
_SCORE = ("score", "rating", "probability")
_LABEL, _PATIENT = ("label",), ("patient", "group")
# Columns of other tables of samples, which are not readers.
_OTHER_WORDS = """
    path file filename image split fold repeat part centre center site scanner age sex gender date
    time comment comments note notes predicted row number no nr index unnamed:0
"""
_OTHERS = frozenset(_OTHER_WORDS.split())


class Reading(NamedTuple):
    """What a reader wrote for a sample, and the line of the table."""

    line: int
    text: str


@dataclasses.dataclass(frozen=True, eq=False)
class ReaderTable:
    """A table of readers' scores, with its names as they are written.

    Attributes
    ----------
    source : str
        The name of the file, for messages.
    readers : mapping of str to list of (str, Reading)
        For each reader, the ids and what was written for them. Blank fields are left out.
    labels, patients : mapping of str to Reading
        The label and the patient of each id, where there are such columns.
    has_decimal_commas : bool
        Whether commas may be decimal ones, because they do not separate the fields.
    """

    source: str
    readers: dict[str, list[tuple[str, Reading]]]
    labels: dict[str, Reading]
    patients: dict[str, Reading]
    has_decimal_commas: bool

    @property
    def ids(self) -> list[str]:
        """All ids that have a score, in the order of the table."""
        return list(dict.fromkeys(i for rows in self.readers.values() for i, _ in rows))


def is_given(readers: ReaderInput) -> bool:
    """Return whether there is any table; a data frame has no truth value."""
    return not (isinstance(readers, list | tuple) and not readers)


def read_reader_tables(
    readers: ReaderInput, note: Callable[[str], None] | None = None
) -> list[ReaderTable]:
    """Read the tables of readers' scores.

    Parameters
    ----------
    readers : path or DataFrame, or a sequence of these
        Tables with the column id. With the columns reader and score (or rating, or probability),
        each row is one reading; otherwise each column is a reader, apart from label, patient and
        usual columns of other tables, such as age.
    note : callable or None
        Called with a sentence on columns that are not used, and on how a workbook was read.

    Raises
    ------
    UsageError
        If something is neither a path nor a data frame.
    DataError
        If a table cannot be read, lacks the columns, or has a row without an id or a reader.
    """
    listed = list(readers) if isinstance(readers, list | tuple) else [readers]
    return [_read(one, note or (lambda text: None)) for one in listed]


def _read(given: Any, note: Callable[[str], None]) -> ReaderTable:
    if isinstance(given, str | os.PathLike):
        from bottleneck.data.readers.tables.csv_tables import read_table

        path = Path(given)
        notes: list[str] = []
        frame, delimiter = read_table(path, notes)
        for text in notes:
            note(text)
        rows = [list(map(str, row)) for row in frame.to_numpy().tolist()]
        lines = [int(line) for line in frame.index]
        return _arrange(path.name, frame.columns.tolist(), lines, rows, delimiter != ",", note)
    if is_frame(given):
        rows = [list(map(_text_of, row)) for row in given.to_numpy(object).tolist()]
        names = [canonical(str(name)) for name in given.columns]
        lines = list(range(1, len(rows) + 1))
        return _arrange("the table of readers", names, lines, rows, False, note)
    raise UsageError(
        f"readers need a table: the path of a CSV file or workbook, or a data frame, not "
        f"{shorten(given)}"
    )


def _text_of(value: Any) -> str:
    if value is None or value != value:
        return ""
    try:
        return name_value(value)
    except TypeError:
        return str(value)


def _arrange(
    source: str,
    names: Sequence[str],
    lines: Sequence[int],
    rows: Sequence[Sequence[str]],
    commas: bool,
    note: Callable[[str], None],
) -> ReaderTable:
    keys = ["".join(name.casefold().replace("_", " ").split()) for name in names]
    if twice := [name for n, name in enumerate(names) if name and keys.count(keys[n]) > 1]:
        raise DataError(f"{source} has several columns '{twice[0]}'; rename all but one")

    def find(wanted: Sequence[str]) -> list[int]:
        return [n for n, key in enumerate(keys) if key in wanted]

    ids, by_row, scores = find(("id",)), find(_READER), find(_SCORE)
    labels, patients = find(_LABEL), find(_PATIENT)
    if not ids:
        raise DataError(
            f"{source} has no column 'id'; its columns are: {', '.join(names)}. Rename the one "
            "with the ids of the samples to 'id'"
        )
    if not rows:
        raise DataError(f"{source} has no row below its header: add the readers' scores")
    for found in (by_row, labels, patients, scores if by_row else []):
        if len(found) > 1:
            both = " and ".join(f"'{names[n]}'" for n in found)
            raise DataError(f"{source} has the columns {both}, which mean the same; keep one")
    if by_row and not scores:
        raise DataError(
            f"{source} has a column '{names[by_row[0]]}', so it needs a column 'score' with what "
            "each reader gave; or write one column per reader, under the reader's name"
        )
    used = {*ids, *by_row, *labels, *patients, *(scores if by_row else [])}
    rest = [n for n in range(len(names)) if n not in used and names[n]]
    columns = [] if by_row else [n for n in rest if keys[n] not in _OTHERS]
    if idle := [f"'{names[n]}'" for n in rest if n not in columns]:
        note(f"{source}: {', '.join(idle)} {'is' if len(idle) == 1 else 'are'} not read")
    if not by_row and not columns:
        raise DataError(
            f"{source} has no readers: write the columns id, reader and score, or the column id "
            "and one column per reader"
        )
    readers: dict[str, list[tuple[str, Reading]]] = {}
    spelled: dict[str, str] = {}
    facts: tuple[dict[str, Reading], ...] = ({}, {})
    for line, row in zip(lines, rows, strict=True):
        sample = row[ids[0]].strip()
        if means_nothing(sample):
            raise DataError(f"{source}, line {line}: a row has no id; write that of its sample")
        for found, values in zip((labels, patients), facts, strict=True):
            if found:
                _state(values, sample, Reading(line, row[found[0]]), names[found[0]], source)
        for at in by_row or columns:
            own = canonical(row[at]) if by_row else names[at]
            if by_row and means_nothing(own):
                raise DataError(
                    f"{source}, line {line}: a row has no reader; write a name or a number"
                )
            name = spelled.setdefault(loose_key(own), own)
            written = row[scores[0] if by_row else at].strip()
            given = readers.setdefault(name, [])
            if not means_nothing(written):
                given.append((sample, Reading(line, written)))
    if empty := [name for name, given in readers.items() if not given]:
        n = counted(len(empty), "such reader")
        raise DataError(
            f"{source}: the reader '{empty[0]}' gave no score ({n}): leave out this reader"
        )
    labels_of, patients_of = facts
    return ReaderTable(source, readers, labels_of, patients_of, commas)


def _state(
    values: dict[str, Reading], sample: str, reading: Reading, column: str, source: str
) -> None:
    """Record the label or the patient of a sample; refuse another one than before."""
    if means_nothing(reading.text):
        return
    before = values.setdefault(sample, reading)
    if loose_key(before.text) != loose_key(reading.text):
        raise DataError(
            f"{source} states two values of {column} for '{sample}': '{before.text}' in line "
            f"{before.line} and '{reading.text}' in line {reading.line}; correct one"
        )
