"""Tables in CSV files and Excel workbooks: their rows, and their columns matched to samples."""

from __future__ import annotations

import csv
import io
import itertools
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from bottleneck.data.readers.tables.spreadsheets import is_workbook, read_sheet
from bottleneck.data.spelling.identifiers import canonical
from bottleneck.data.spelling.missing_values import blank_if_missing
from bottleneck.data.spelling.spelling_keys import loose_key, match_ids, match_names
from bottleneck.errors import DataError, describe_os_error, unknown_name
from bottleneck.files.small_files import open_regular
from bottleneck.text.table_text import read_cell

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["read_columns", "read_lines", "read_rows", "read_table"]

# Characters. A longer line is none of a table.
_MAX_LINE = 1_000_000
# Bytes of a file; columns, as many as Excel has; and fields of a table that is kept in memory.
_MAX_BYTES, _MAX_COLUMNS, _MAX_FIELDS = 2**31, 16_384, 50_000_000
# Characters and rows that show which separator a table has.
_SAMPLE, _N_ROWS = 16_384, 50
_DELIMITERS = ",;\t|"
# Columns of a manifest and of predictions.
_KNOWN = frozenset({"path", "label", "patient", "split", "fold", "centre", "id"})
# What Excel writes so that it reads its own table: sep=;
_SEPARATOR_LINE = re.compile(r"\"?sep=(\\t|.)\"?[,;|\s]*", re.IGNORECASE)
_MARKS = {
    b"\xff\xfe\0\0": "utf-32",
    b"\0\0\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
_NO_TEXT = {
    b"\xd0\xcf\x11\xe0": "an Excel file of before 2007 (.xls)",
    b"pk\x03\x04": "an archive",
    b"<!doctype": "a web page",
    b"<html": "a web page",
    b"<table": "a web page",
    b"<?xml": "an XML file",
}


def read_rows(path: Path, notes: list[str] | None = None) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a table one by one, the header first.

    Parameters
    ----------
    path : Path
        A table with a header: an Excel workbook, or text in UTF-8 or UTF-16 with commas,
        semicolons, tabs or bars between the fields. A first line ``sep=;`` names the separator.
    notes : list of str, optional
        Notes on how a workbook was read are added to it.

    Yields
    ------
    line : int
        The number of the row's (last) line in the file, from 1.
    fields : list of str
        As many fields as the header has; missing ones are "". Blank rows and repeated headers
        are skipped, and blank fields beyond the header are dropped.

    Raises
    ------
    DataError
        If the file cannot be read, is empty or not text, or a row has more fields than the header.
    """
    notes = [] if notes is None else notes
    header: list[str] = []
    names: list[str] = []
    n_columns = 0
    for line, fields in _read_workbook_or_text(path, notes):
        # Tables that were joined end to end have their header several times.
        is_header = fields[-1:] == header[-1:] and list(map(canonical, fields)) == names
        if not any(map(str.strip, fields)) or is_header:
            continue
        if not header:
            header, names, n_columns = fields, list(map(canonical, fields)), len(fields)
            if n_columns > _MAX_COLUMNS:
                raise DataError(
                    f"the table {path} has {n_columns:,} columns, and {_MAX_COLUMNS:,} are "
                    "allowed; is it the right file?"
                )
        if any(map(str.strip, fields[n_columns:])):
            raise DataError(
                f"{path}, line {line}: {len(fields)} fields, but the header has {n_columns}; put "
                "fields that contain the separator in double quotes, and name every column"
            )
        yield line, fields[:n_columns] + [""] * (n_columns - len(fields))
    if not n_columns:
        raise DataError(f"the table {path} is empty: its first line must name the columns")


def _read_workbook_or_text(path: Path, notes: list[str]) -> Iterator[tuple[int, list[str]]]:
    try:
        if is_workbook(path):
            yield from read_sheet(path, notes)
            return
        with _open_text(path) as file:
            delimiter, n_before = _find_delimiter(file, path)
            lines = _read_lines(file, path)
            reader = csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=True)
            for fields in reader:
                if any("\0" in field for field in fields):
                    raise DataError(f"{path} contains NUL bytes and is not a text file")
                yield reader.line_num + n_before, fields
    except UnicodeError as error:
        raise DataError(
            f"{path.name} is not UTF-8 text; save the table as 'CSV UTF-8' "
            f"({getattr(error, 'reason', error)})"
        ) from error
    except csv.Error as error:
        raise DataError(f"the table {path} cannot be read: {_explain(error)}") from error
    except OSError as error:
        raise DataError(f"the table {path} cannot be read: {describe_os_error(error)}") from error


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the number and the text of every line of a text file.

    Raises
    ------
    DataError
        If it cannot be read, or is not text.
    """
    try:
        with _open_text(path) as file:
            for number, line in enumerate(_read_lines(file, path), 1):
                yield number, line.rstrip("\r\n")
    except (UnicodeError, OSError) as error:
        raise DataError(f"{path} cannot be read as text: {error}") from error


def _read_lines(file: TextIO, path: Path) -> Iterator[str]:
    """Yield the lines of a table, of a limited length and all together of a limited size."""
    left = _MAX_BYTES
    while line := file.readline(_MAX_LINE):
        left -= len(line)
        if len(line) == _MAX_LINE or left < 0:
            most = f"a line of {_MAX_LINE:,} characters" if left >= 0 else f"{_MAX_BYTES:,} bytes"
            raise DataError(f"the table {path} has more than {most}; is it the right file?")
        yield line


def _explain(error: csv.Error) -> str:
    """Return the reason why a table cannot be read, and what to do."""
    match str(error).split():
        case ["new-line", *_]:
            return (
                "a field contains a line break, or the file has line ends of several kinds; put "
                "such fields in double quotes"
            )
        case ["field", "larger", *_]:
            return (
                f"a field larger than field limit, which is {csv.field_size_limit():,} characters; "
                "a double quote may be left open"
            )
    return "a double quote may be left open; inside a field in double quotes, it must be doubled"


def _open_text(path: Path) -> TextIO:
    """Open a table in the encoding that its first bytes show."""
    with open_regular(path, "table", DataError) as opened:
        if os.fstat(opened.fileno()).st_size > _MAX_BYTES:
            raise DataError(
                f"the table {path} is larger than {_MAX_BYTES:,} bytes, the most that is read; is "
                "it the right file?"
            )
        start = opened.read(_SAMPLE) or b""
    for signature, what in _NO_TEXT.items():
        if start.lstrip().lower().startswith(signature):
            raise DataError(
                f"{path} is not a table but {what}; open it in a spreadsheet, and save it as .xlsx "
                "or 'CSV UTF-8'"
            )
    encoding = next((name for mark, name in _MARKS.items() if start.startswith(mark)), "utf-8-sig")
    # UTF-16 without a mark: every second byte of the ASCII characters is zero.
    even, odd = start[::2].count(0), start[1::2].count(0)
    if encoding == "utf-8-sig" and even + odd > len(start) // 3 and not (even and odd):
        encoding = "utf-16-le" if odd else "utf-16-be"
    # One kind of line end: another one in a field without quotes is an error, not a new row.
    outside = re.sub(r'"[^"]*"', "", start.decode(encoding, "ignore"))
    end = re.search(r"\r\n?|\n", outside)
    newline = "\r" if end and end[0] == "\r" else "\n"
    return io.TextIOWrapper(open_regular(path, "table", DataError), encoding, newline=newline)


def _find_delimiter(file: TextIO, path: Path) -> tuple[str, int]:
    """Return the separator of the fields, and how many lines precede the header.

    ``file`` is at the header then.
    """
    first = file.readline(_MAX_LINE)
    if len(first) == _MAX_LINE:
        raise DataError(f"{path} is not a table: its first line does not end")
    if match := _SEPARATOR_LINE.fullmatch(first.rstrip("\r\n")):
        return match[1].replace("\\t", "\t"), 1
    sample = first + file.read(_SAMPLE)
    file.seek(0)
    return max(_DELIMITERS, key=lambda delimiter: _fit(sample, delimiter)), 0


def _fit(sample: str, delimiter: str) -> tuple[float, int, int]:
    """Return how well the beginning of a table fits a separator; larger is better.

    A separator fits if the rows have as many fields as the header; then if it yields usual names
    of columns, and many of them.
    """
    try:
        reader = csv.reader(
            io.StringIO(sample, newline=""), delimiter=delimiter, skipinitialspace=True
        )
        header, *rows = (fields for fields in itertools.islice(reader, _N_ROWS) if fields)
    except (csv.Error, ValueError):
        return 0, 0, 0
    if len(header) < 2:
        return 0, 0, 0
    rows = [fields for fields in rows if any(fields)][:-1] or rows
    n_fitting = sum(1 < len(_without_end(fields)) <= len(header) for fields in rows)
    n_known = sum(name.strip().casefold() in _KNOWN for name in header)
    return n_fitting / max(1, len(rows)), n_known, len(header)


def _without_end(fields: list[str]) -> list[str]:
    """Return fields without the blank ones at the end."""
    while fields and not fields[-1]:
        fields = fields[:-1]
    return fields


def read_table(path: str | Path, notes: list[str] | None = None) -> tuple[pd.DataFrame, str]:
    """Return all fields of a table as text.

    Parameters
    ----------
    path, notes
        As for ``read_rows``.

    Returns
    -------
    table : DataFrame of str
        The fields, indexed by line number, without the guards of ``table_text.csv_cell``.
        Column names are in their canonical form; several columns may have the same name.
    delimiter : str
        The separator of the fields; a comma for a workbook.

    Raises
    ------
    DataError
        If ``read_rows`` cannot read the table.
    """
    import pandas as pd

    path = Path(path)
    rows = []
    for line, fields in read_rows(path, notes):
        rows.append((line, fields))
        # Fields that a row lacks are "" in memory, and nothing in the file.
        if len(rows) * len(fields) > _MAX_FIELDS:
            raise DataError(
                f"the table {path} has more than {_MAX_FIELDS:,} fields, the most that is kept in "
                "memory; leave out the rows and columns that are not needed"
            )
    (_, header), *rows = rows
    names = [canonical(read_cell(name)) for name in header]
    texts = [list(map(read_cell, row)) for _, row in rows]
    lines = [line for line, _ in rows]
    try:
        table = pd.DataFrame(texts, lines, names, dtype=str)
    except UnicodeEncodeError:
        # Arrow, which pandas uses where it is installed, refuses names that are not UTF-8.
        table = pd.DataFrame(texts, lines, names, dtype=object)
    if is_workbook(path):
        return table, ","
    with _open_text(path) as file:
        return table, _find_delimiter(file, path)[0]


def read_columns(
    path: str | Path,
    names: Sequence[str],
    ids: Sequence[str],
    notes: list[str] | None = None,
) -> dict[str, dict[str, str]]:
    """Return columns of a table, matched to samples by their ids.

    Parameters
    ----------
    path : str or Path
        A table as ``read_rows`` takes it.
    names : sequence of str
        The columns to read.
    ids : sequence of str
        The ids of the samples. One column of the table must contain each of them exactly once,
        perhaps in another spelling of the same canonical form.
    notes : list of str, optional
        Notes on how a workbook was read are added to it.

    Returns
    -------
    dict of str to dict of str to str
        For each column, the value of each sample by its id; "not recorded" for an empty field and
        codes such as "NA". Values that differ in letter case or spaces have the usual spelling.

    Raises
    ------
    DataError
        If the table cannot be read, or no column contains every id exactly once.
    UsageError
        If a column does not exist.
    """
    table, _ = read_table(path, notes)
    columns = table.columns.tolist()
    known = match_names(list(names), columns)
    for name in names:
        if name not in known:
            raise unknown_name(f"column of {Path(path).name}", name, columns)
        if columns.count(known[name]) > 1:
            raise DataError(f"{path} has several columns '{known[name]}'; rename all but one")
    key, keys = _find_ids(table, ids, path)
    wanted = set(ids)
    is_wanted = keys.isin(wanted)
    n_matched = len(set(keys[is_wanted]))
    if n_matched < len(wanted) or keys[is_wanted].duplicated().any():
        raise DataError(
            f"no column of {Path(path).name} contains each of the {len(wanted)} sample ids exactly "
            f"once (nearest: '{columns[key]}' with {n_matched}): add a column with the ids"
        )
    rows = table[is_wanted]
    return {
        name: dict(
            zip(
                keys[is_wanted],
                _join_spellings(rows.iloc[:, columns.index(known[name])].tolist()),
                strict=True,
            )
        )
        for name in names
    }


def _find_ids(table: pd.DataFrame, ids: Sequence[str], path: str | Path) -> tuple[int, pd.Series]:
    """Return the column with most of the ids, as they are spelled in ``ids``.

    A column "id" is preferred: the numbers of the rows may be ids of other samples.
    """
    wanted = set(ids)

    def rate(column: pd.Series) -> tuple[int, bool]:
        matched = column[column.isin(wanted)]
        return matched.nunique(), matched.is_unique

    names = table.columns.tolist()
    columns = [table.iloc[:, n] for n in range(table.shape[1])]
    rates = list(map(rate, columns))
    if max(rates)[0] < len(wanted):
        known = match_ids([text for column in columns for text in set(column)], ids)
        columns = [column.map(lambda text: known.get(text, text)) for column in columns]
        rates = list(map(rate, columns))
    if "id" in names and 2 * rates[names.index("id")][0] >= len(wanted):
        return names.index("id"), columns[names.index("id")]
    most = [n for n, rated in enumerate(rates) if rated == max(rates)]
    for n in most[1:]:
        if rates[n] == (len(wanted), True) and not columns[n].equals(columns[most[0]]):
            raise DataError(
                f"the columns '{names[most[0]]}' and '{names[n]}' of {Path(path).name} both "
                "contain the sample ids, in another order; name the column of the ids 'id'"
            )
    return most[0], columns[most[0]]


def _join_spellings(values: Sequence[str]) -> list[str]:
    """Return values in one spelling; "not recorded" for those that mean nothing."""
    names = [canonical(blank_if_missing(value)) or "not recorded" for value in values]
    usual: dict[str, str] = {}
    for name, _ in Counter(names).most_common():
        usual.setdefault(loose_key(name), name)
    return [usual[loose_key(name)] for name in names]
