"""A table for the terminal in which no name is markup or steers the terminal."""

from __future__ import annotations

from typing import Any

from rich.table import Table
from rich.text import Text

from bottleneck.text.plain_text import visible, visible_lines

__all__ = ["PlainTable"]


class PlainTable(Table):
    """A ``rich`` table that takes text as it is, on one line."""

    def add_row(self, *cells: Any, **options: Any) -> None:
        """Add a row; a cell of several lines is a ``rich`` Text."""
        super().add_row(*map(_plain, cells), **options)

    def add_column(self, header: Any = "", *arguments: Any, **options: Any) -> None:
        """Add a column with a heading, which may have several lines."""
        header = Text(visible_lines(header)) if isinstance(header, str) else header
        super().add_column(header, *arguments, **options)


def _plain(cell: Any) -> Any:
    return Text(visible(cell)) if isinstance(cell, str) else cell
