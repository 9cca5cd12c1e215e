"""Lists of samples: ids or image paths from Python or a file, and the samples that they name."""

from __future__ import annotations

import dataclasses
import difflib
import itertools
import posixpath
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

from bottleneck.data.readers.tables.csv_tables import read_lines, read_table
from bottleneck.data.readers.tables.spreadsheets import is_workbook
from bottleneck.data.spelling.identifiers import canonical, legible
from bottleneck.data.spelling.missing_values import blank_if_missing
from bottleneck.errors import DataError, UsageError
from bottleneck.text.plurals import counted

__all__ = [
    "NamedSamples",
    "SampleList",
    "find_samples",
    "list_samples",
    "match_entries",
    "read_sample_list",
]

# Names of a column that lists samples, without case, spaces and separators.
_HEADERS = re.compile(
    r"(sample|image)?(ids?|paths?|names?)|samples?|images?|exclude[ds]?|(image)?files?(names?|paths?)?"
)
# Entries and samples that a message shows, and samples that a near name is searched in.
_SHOWN, _SEARCHED = 3, 10_000

Columns = Callable[[str], Iterable[str]]


@dataclasses.dataclass(frozen=True)
class SampleColumn:
    """A column of a list that may hold names of samples.

    Attributes
    ----------
    entries : tuple of (str, str)
        Each different entry, with its place, such as "line 4".
    header : str or None
        The first line, which may name the column or a sample; None for a list in Python.
    is_header : bool
        Whether it names the column, unless there is a sample of that name.
    """

    entries: tuple[tuple[str, str], ...]
    header: str | None = None
    is_header: bool = True

    def named(self, known: Collection[str]) -> list[tuple[str, str]]:
        """Return the entries, with the first line among them if it is not a header."""
        first = self.header
        if first is None or (self.is_header and first not in known):
            return list(self.entries)
        return [(first, "line 1"), *(one for one in self.entries if one[0] != first)]


@dataclasses.dataclass(frozen=True)
class SampleList:
    """Names of samples: the name of the file, or "exclude", and the columns that may hold them."""

    source: str
    columns: tuple[SampleColumn, ...]


@dataclasses.dataclass(frozen=True)
class NamedSamples:
    """Samples that a list names.

    Attributes
    ----------
    rows : frozenset of int
        Numbers of these samples.
    lost : frozenset of str
        Ids of these that could not be read and have no row.
    unknown : tuple of str
        Entries that name no sample.
    problem : str
        An error message for these; empty where every entry names a sample.
    notes : tuple of str
        Notes to the user on how the list was read.
    """

    rows: frozenset[int] = frozenset()
    lost: frozenset[str] = frozenset()
    unknown: tuple[str, ...] = ()
    problem: str = ""
    notes: tuple[str, ...] = ()


def read_sample_list(path: str | Path) -> SampleList:
    """Read a list of samples: one id or path per line, or a table with a column of them.

    Parameters
    ----------
    path : str or Path
        Text or a workbook, as ``csv_tables.read_rows`` takes it. A first line is read as the
        name of the column if it is a usual one, such as "id", or if the table has more columns.

    Returns
    -------
    SampleList

    Raises
    ------
    DataError
        If the file cannot be read, or names nothing.
    """
    path = Path(path)
    columns = []
    try:
        table, _ = read_table(path)
    except DataError as error:
        # A list of paths with commas is not a table.
        problem: DataError | None = error
    else:
        problem = None
        for n, header in enumerate(table.columns):
            named = [(str(text), f"line {line}") for line, text in table.iloc[:, n].items()]
            columns.append(_column(header, named, alone=table.shape[1] == 1))
    if len(columns) != 1 and not is_workbook(path):
        try:
            lines = [(text.strip(), f"line {n}") for n, text in read_lines(path) if text.strip()]
        except DataError:
            pass
        else:
            if lines:
                columns.append(_column(lines[0][0], lines[1:], alone=True))
            else:
                problem = None  # It holds no text, and need not be a table.
    if not columns and problem is not None:
        raise problem
    if not any(column.named(()) for column in columns):
        raise DataError(f"the list {path.name} names no sample: write one id or path per line")
    return SampleList(path.name, tuple(columns))


def _column(header: str, named: Sequence[tuple[str, str]], *, alone: bool) -> SampleColumn:
    first: dict[str, str] = {}
    for text, place in named:
        if blank_if_missing(text):
            first.setdefault(text, place)
    is_usual = _HEADERS.fullmatch(re.sub(r"[\W_]+", "", header.casefold())) is not None
    return SampleColumn(tuple(first.items()), header, is_usual or not alone)


def find_samples(
    listed: SampleList, columns: Columns, lost: Sequence[str], dataset: str
) -> NamedSamples:
    """Return the samples that a list names, by id or by path.

    An entry that is an id names that sample; another one that is a path names every sample of that
    image. Both may be spelled in another way of the same canonical form, where only one fits.
    Paths may all begin with the same folders above those of the data set.

    Parameters
    ----------
    listed : SampleList
        The list. Of several columns, the one that names most samples is read.
    columns : callable
        Returns the values of the column "id", "source" or "group" (patients) for every sample; no
        value where there are none.
    lost : sequence of str
        Ids of samples that could not be read.
    dataset : str
        Name of the data set, for messages.
    """
    texts = {text for column in listed.columns for text, _ in column.entries}
    texts |= {column.header for column in listed.columns if column.header is not None}
    found = _match_ids(texts, columns("id"))
    gone = {text: lost[row] for text, (row,) in _match_ids(texts - set(found), lost).items()}
    found |= _match_paths(texts - set(found) - set(gone), columns("source"))
    known = {*found, *gone}
    each = [column.named(known) for column in listed.columns]
    column = max(each, key=lambda named: sum(text in known for text, _ in named))
    unknown = [(text, place) for text, place in column if text not in known]
    notes = []
    beginning, moved = _match_below({text for text, _ in unknown}, columns)
    if moved:
        n = counted(len(moved), "path")
        notes.append(f"{n} of {listed.source} read without the beginning '{beginning}/'")
        found |= moved
        unknown = [(text, place) for text, place in unknown if text not in moved]
    rows = itertools.chain.from_iterable(found.get(text, ()) for text, _ in column)
    return NamedSamples(
        rows=frozenset(rows),
        lost=frozenset(gone[text] for text, _ in column if text in gone),
        unknown=tuple(text for text, _ in unknown),
        problem=_explain(listed, column, unknown, columns, dataset) if unknown else "",
        notes=tuple(notes),
    )


def match_entries(texts: set[str], columns: Columns) -> dict[str, list[int]]:
    """Return the rows of each entry that is the id of a sample, or else the path of its image.

    Parameters
    ----------
    texts : set of str
        Entries of a list.
    columns : callable
        As for ``find_samples``.
    """
    found = _match_ids(texts, columns("id"))
    return found | _match_paths(texts - set(found), columns("source"))


def _match_ids(texts: set[str], ids: Iterable[str]) -> dict[str, list[int]]:
    """Return the row of each entry that is an id, or the only one of its canonical form."""
    keys: dict[str, list[str]] = {}
    for text in texts:
        keys.setdefault(canonical(text), []).append(text)
    exact: dict[str, list[int]] = {}
    alike: dict[str, list[int]] = {}
    for row, name in enumerate(ids):
        if name in texts:
            exact[name] = [row]
        if (key := canonical(name)) in keys:
            alike.setdefault(key, []).append(row)
    loose = {text: rows for key, rows in alike.items() if len(rows) == 1 for text in keys[key]}
    return loose | exact


def _match_paths(texts: set[str], sources: Iterable[str]) -> dict[str, list[int]]:
    """Return the rows of each entry that is the path of an image; an image may have several."""
    keys: dict[str, list[str]] = {}
    for text in texts:
        keys.setdefault(_path_key(text), []).append(text)
    rows: dict[str, dict[str, list[int]]] = {}
    for row, source in enumerate(sources):
        if (key := _path_key(source)) in keys:
            rows.setdefault(key, {}).setdefault(source, []).append(row)
    found = {}
    for key, of_source in rows.items():
        for text in keys.get(key, ()):
            if text in of_source:
                found[text] = of_source[text]
            elif len(of_source) == 1:
                (found[text],) = of_source.values()
    return found


def _path_key(text: str) -> str:
    return posixpath.normpath(canonical(text).replace("\\", "/"))


def _match_below(texts: set[str], columns: Columns) -> tuple[str, dict[str, list[int]]]:
    """Return the folders without which most entries are paths, and the rows that they name."""
    parts = {text: _path_key(text).split("/") for text in texts}
    shared = list(posixpath.commonprefix([p[:-1] for p in parts.values()])) if parts else []
    best: tuple[str, dict[str, list[int]]] = "", {}
    # The longest rest comes first: it could not be the path of another image.
    for n in range(1, len(shared) + 1):
        rest = {"/".join(p[n:]): text for text, p in parts.items()}
        found = _match_paths(set(rest), columns("source"))
        if len(found) > len(best[1]):
            best = "/".join(shared[:n]), {rest[text]: rows for text, rows in found.items()}
    return best


def _explain(
    listed: SampleList,
    column: Sequence[tuple[str, str]],
    unknown: Sequence[tuple[str, str]],
    columns: Columns,
    dataset: str,
) -> str:
    shown = ", ".join(f"{legible(text)} ({place})" for text, place in unknown[:_SHOWN])
    names = list(itertools.islice(columns("id"), _SEARCHED))
    patients = {canonical(name) for name in columns("group") if name}
    near = difflib.get_close_matches(unknown[0][0], names, n=1)
    # The first line may be the header of a column.
    named = [text for text, _ in unknown if canonical(text) in patients]
    if named:
        hint = f"; {legible(named[0])} is a patient: list the samples of that patient."
    elif near:
        hint = f"; did you mean {legible(near[0])}?"
    else:
        hint = f"; ids there are such as {', '.join(map(legible, names[:2]))}."
    n = f"{len(unknown)} of {len(column)}" if len(column) > 1 else "the only"
    return (
        f"{listed.source} must name samples of '{dataset}' by id or by path, but {n} "
        f"{'entries name' if len(column) > 1 else 'entry names'} none: {shown}{hint} Correct these "
        "entries, or remove them from the list"
    )


def list_samples(exclude: Sequence[str] | Path) -> SampleList:
    """Return the list that ``Selection.exclude`` stands for.

    Raises
    ------
    UsageError
        If it is a name without a file.
    """
    if not isinstance(exclude, Path):
        named = tuple((text, f"number {n}") for n, text in enumerate(exclude, 1))
        return SampleList("exclude", (SampleColumn(named),))
    if not exclude.exists():
        raise UsageError(
            f"there is no list '{exclude}': exclude takes the path of a list, or in Python a "
            f"sequence of ids, such as exclude=[{str(exclude)!r}]"
        )
    return read_sample_list(exclude)
