"""Columns of a table, by sample, for what is asked about samples beside their labels."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from bottleneck.errors import DataError, unknown_name

__all__ = ["read_columns"]


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
        For each column, what it says of each sample; an empty field becomes "not recorded".

    Raises
    ------
    DataError
        If the table cannot be read, or no column names every sample once.
    UsageError
        If a column does not exist.
    """
    import pandas as pd

    try:
        table = pd.read_csv(path, sep=None, engine="python", dtype=str, keep_default_na=False)
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"the table {path} cannot be read: {error}") from error
    table.columns = table.columns.str.strip()
    for name in names:
        if name not in table:
            raise unknown_name(f"column of {Path(path).name}", name, list(table.columns))
    wanted = set(ids)
    held = {str(column): len(wanted & set(table[column])) for column in table}
    key = max(held, key=held.__getitem__)
    rows = table[table[key].isin(wanted)]
    if held[key] < len(wanted) or rows[key].duplicated().any():
        raise DataError(
            f"no column of {Path(path).name} names every one of the {len(wanted)} samples once "
            f"(nearest: '{key}' with {held[key]}): one column must hold the samples' ids"
        )
    keys = rows[key].tolist()
    return {
        name: {k: v or "not recorded" for k, v in zip(keys, rows[name].tolist(), strict=True)}
        for name in names
    }
