"""Tables in CSV files: their rows, and their columns matched to samples."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from bottleneck.data.missing_values import blank_if_missing
from bottleneck.errors import DataError, unknown_name

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["read_columns", "read_rows", "read_table"]

# Characters. A longer first line is not the header of a table.
_MAX_HEADER = 1_000_000


def read_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a table one by one, the header first.

    Parameters
    ----------
    path : Path
        A table with a header, in UTF-8, with commas, semicolons or tabs between the fields.

    Yields
    ------
    line : int
        The number of the row's (last) line in the file, from 1.
    fields : list of str
        As many fields as the header has; missing ones are "". Blank lines are skipped.

    Raises
    ------
    DataError
        If the file cannot be read, is empty or not text, or a row has more fields than the header.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            delimiter = _find_delimiter(file, path)
            n_columns = 0
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            for fields in reader:
                if not fields:
                    continue
                n_columns = n_columns or len(fields)
                if len(fields) > n_columns:
                    raise DataError(
                        f"{path}, line {reader.line_num}: {len(fields)} fields, but the header has "
                        f"{n_columns}; put fields that contain {delimiter!r} in double quotes"
                    )
                if any("\0" in field for field in fields):
                    raise DataError(f"{path} contains NUL bytes and is not a text file")
                yield reader.line_num, fields + [""] * (n_columns - len(fields))
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not UTF-8 text; save the table as 'CSV UTF-8' ({error.reason})"
        ) from error
    except csv.Error as error:
        raise DataError(
            f"the table {path} cannot be read: {error}; a double quote may be left open"
        ) from error
    except OSError as error:
        raise DataError(f"the table {path} cannot be read: {error.strerror or error}") from error
    if not n_columns:
        raise DataError(f"the table {path} is empty: its first line must name the columns")


def _find_delimiter(file: TextIO, path: Path) -> str:
    """Return the separator that is most frequent in the header; ``file`` is rewound."""
    header = file.readline(_MAX_HEADER)
    if len(header) == _MAX_HEADER:
        raise DataError(f"{path} is not a table: its first line does not end")
    file.seek(0)
    return max(",;\t", key=header.count)


def read_table(path: str | Path) -> tuple[pd.DataFrame, str]:
    """Return all fields of a table as text.

    Parameters
    ----------
    path : str or Path
        A table as ``read_rows`` takes it.

    Returns
    -------
    table : DataFrame of str
        The fields, indexed by line number. Column names are as in the file; several columns may
        have the same name.
    delimiter : {",", ";", "\\t"}
        The separator of the fields.

    Raises
    ------
    DataError
        If ``read_rows`` cannot read the table.
    """
    import pandas as pd

    path = Path(path)
    (_, header), *rows = read_rows(path)
    table = pd.DataFrame([row for _, row in rows], [line for line, _ in rows], header, dtype=str)
    with path.open(encoding="utf-8-sig", newline="") as file:
        return table, _find_delimiter(file, path)


def read_columns(
    path: str | Path, names: Sequence[str], ids: Sequence[str]
) -> dict[str, dict[str, str]]:
    """Return columns of a table, matched to samples by their ids.

    Parameters
    ----------
    path : str or Path
        A table as ``read_rows`` takes it.
    names : sequence of str
        The columns to read.
    ids : sequence of str
        The ids of the samples. One column of the table must contain each of them exactly once.

    Returns
    -------
    dict of str to dict of str to str
        For each column, the value of each sample by its id; "not recorded" for an empty field and
        codes such as "NA".

    Raises
    ------
    DataError
        If the table cannot be read, or no column contains every id exactly once.
    UsageError
        If a column does not exist.
    """
    table, _ = read_table(path)
    columns = table.columns.str.strip().tolist()
    for name in names:
        if name not in columns:
            raise unknown_name(f"column of {Path(path).name}", name, columns)
        if columns.count(name) > 1:
            raise DataError(f"{path} has several columns '{name}'; rename all but one")
    wanted = set(ids)
    n_matched = [len(wanted.intersection(table.iloc[:, n])) for n in range(len(columns))]
    key = n_matched.index(max(n_matched))
    rows = table[table.iloc[:, key].isin(wanted)]
    keys = rows.iloc[:, key]
    if n_matched[key] < len(wanted) or keys.duplicated().any():
        raise DataError(
            f"no column of {Path(path).name} contains each of the {len(wanted)} sample ids exactly "
            f"once (nearest: '{columns[key]}' with {n_matched[key]}): add a column with the ids"
        )
    return {
        name: {
            identity: blank_if_missing(value) or "not recorded"
            for identity, value in zip(keys, rows.iloc[:, columns.index(name)], strict=True)
        }
        for name in names
    }
