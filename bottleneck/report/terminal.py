"""What stands in a terminal of 80 columns: prose folded at its words, and tables of one kind."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["WIDTH", "make_table", "wrap"]

WIDTH = 80


def wrap(text: str, mark: str = "") -> str:
    """Fold prose between words.

    Parameters
    ----------
    text : str
        Its lines that begin with a space, such as commands to be copied, are left as they are.
    mark : str
        What the first line begins with; the others begin with as many spaces.

    Returns
    -------
    str
        Lines of 80 characters at most, but for longer words, such as paths.
    """
    hanging = " " * len(mark)
    folded = [
        line
        if line.startswith(" ")
        else textwrap.fill(
            line,
            WIDTH,
            initial_indent=hanging if number else mark,
            subsequent_indent=hanging,
            break_long_words=False,
            break_on_hyphens=False,
        )
        for number, line in enumerate(text.split("\n"))
    ]
    return "\n".join(folded)


def make_table(title: str = "", caption: str = "", **options: Any) -> Table:
    """Make the frame that all tables of the commands have; options are those of ``rich``."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    return Table(
        title=Text(title) if title else None,
        title_justify="left",
        title_style="",
        caption=Text(caption) if caption else None,
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        **options,
    )
