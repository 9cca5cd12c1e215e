"""Tables of text, and their columns by sample, for what is asked beside the labels."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bottleneck.errors import DataError, unknown_name

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["known", "read_columns", "read_table"]

# What other programs write where nothing is known, in lower case.
_NOTHING = frozenset({"na", "n/a", "#n/a", "nan", "<na>", "null"})


def known(text: str) -> str:
    """Return a field as it stands, or nothing where it says that nothing is known."""
    return "" if text.strip().casefold() in _NOTHING else text


def read_table(path: str | Path) -> tuple[pd.DataFrame, str]:
    """Read a table of text as it stands.

    Parameters
    ----------
    path : str or Path
        A table with a header, in UTF-8, with commas, semicolons or tabs between fields.

    Returns
    -------
    table : DataFrame of str
        Indexed by the lines of the file. Names of columns are as written and may come twice; a
        field that a row lacks is empty.
    delimiter : {",", ";", "\\t"}
        What stands most often in the header.

    Raises
    ------
    DataError
        If the file cannot be read or is no text, or a row has more fields than the header.
    """
    import pandas as pd

    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
        delimiter = max(",;\t", key=text.partition("\n")[0].count)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        lines = [(reader.line_num, row) for row in reader if row]
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
    if "\0" in text:
        raise DataError(f"the table {path} cannot be read: it holds NUL bytes, and is no text")
    if not lines:
        raise DataError(f"the table {path} is empty: its first line must name the columns")
    (_, header), *rows = lines
    for line, row in rows:
        if len(row) > len(header):
            raise DataError(
                f"{path}, line {line}: {len(row)} fields, and the header has {len(header)}; a "
                f"field that holds {delimiter!r} must stand in double quotes"
            )
        row += [""] * (len(header) - len(row))
    at, fields = [line for line, _ in rows], [row for _, row in rows]
    return pd.DataFrame(fields, at, header, dtype=str), delimiter


def read_columns(
    path: str | Path, names: Sequence[str], ids: Sequence[str]
) -> dict[str, dict[str, str]]:
    """Read columns of a CSV table and match its rows with samples.

    Parameters
    ----------
    path : str or Path
        A table with a header, in UTF-8, with commas, semicolons or tabs between fields.
    names : sequence of str
        The columns wanted.
    ids : sequence of str
        Ids of the samples. Rows are matched by the column that holds most of them; it must
        hold every one, once.

    Returns
    -------
    dict of str to dict of str to str
        For each column, what it says of each sample; an empty or missing field, "NA", "nan"
        and the like become "not recorded".

    Raises
    ------
    DataError
        If the table cannot be read, or no column names every sample once.
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
    held = [len(wanted.intersection(table.iloc[:, n])) for n in range(len(columns))]
    key = held.index(max(held))
    rows = table[table.iloc[:, key].isin(wanted)]
    keys = rows.iloc[:, key]
    if held[key] < len(wanted) or keys.duplicated().any():
        raise DataError(
            f"no column of {Path(path).name} names every one of the {len(wanted)} samples once "
            f"(nearest: '{columns[key]}' with {held[key]}): one column must hold the samples' ids"
        )
    return {
        name: {k: known(v) or "not recorded" for k, v in zip(keys, rows.iloc[:, at], strict=True)}
        for name, at in ((name, columns.index(name)) for name in names)
    }
