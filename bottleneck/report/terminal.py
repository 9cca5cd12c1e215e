"""Text and tables for a terminal of 80 columns."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from bottleneck.text.plain_text import visible

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["WIDTH", "make_table", "wrap"]

WIDTH = 80


# Quoted names, paths and commands are not folded, so that they can be copied.
_QUOTED = re.compile(r"`[^`\n]*`|(?<!\w)'[^'\n]*'(?!\w)")


def wrap(text: str, mark: str = "", whole: Iterable[str] = ()) -> str:
    """Fold text at 80 columns, but not within quotes.

    Parameters
    ----------
    text : str
        Text; lines that begin with a space, such as commands, are not folded.
    mark : str
        Prefix of the first line; the other lines are indented by its length.
    whole : iterable of str
        Further parts of the text that are not folded, such as paths.

    Returns
    -------
    str
        Lines of at most 80 characters, except those with a longer unfolded part.
    """
    hanging = " " * len(mark)
    kept = _QUOTED.sub(lambda found: found[0].replace(" ", "\0"), text)
    for part in whole:
        kept = kept.replace(part, part.replace(" ", "\0"))
    folded = [
        line
        if line.startswith(" ")
        else textwrap.fill(
            line,
            WIDTH,
            initial_indent=hanging if number else mark,
            subsequent_indent=hanging,
            expand_tabs=False,
            replace_whitespace=False,
            break_long_words=False,
            break_on_hyphens=False,
        )
        for number, line in enumerate(kept.split("\n"))
    ]
    return "\n".join(folded).replace("\0", " ")


def make_table(*title: str, caption: str = "", **options: Any) -> Table:
    """Return an empty table in the style of all commands.

    Texts are not markup, and are safe to print, each on one line.

    Parameters
    ----------
    *title : str
        Lines above the table.
    caption : str
        Text below the table.
    **options
        Options of ``rich``.

    Returns
    -------
    PlainTable
        A cell of several lines must be a ``rich`` Text, which is printed as it is.
    """
    from rich import box
    from rich.text import Text

    from bottleneck.report.wording.plain_table import PlainTable

    return PlainTable(
        title=Text("\n".join(map(visible, title))) if title else None,
        title_justify="left",
        title_style="",
        caption=Text(visible(caption)) if caption else None,
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        **options,
    )
