"""What stands in a terminal of 80 columns: prose folded at its words, and tables of one kind."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["WIDTH", "make_table", "wrap"]

WIDTH = 80


# Names, paths and commands: to be copied, and thus one word.
_QUOTED = re.compile(r"`[^`\n]*`|(?<!\w)'[^'\n]*'(?!\w)")


def wrap(text: str, mark: str = "", whole: Iterable[str] = ()) -> str:
    """Fold prose between words, but for what is quoted.

    Parameters
    ----------
    text : str
        Its lines that begin with a space, such as commands to be copied, are left as they are.
    mark : str
        What the first line begins with; the others begin with as many spaces.
    whole : iterable of str
        Paths and others that are not folded either, where the text has them.

    Returns
    -------
    str
        Lines of 80 characters at most, but for what is longer and not folded.
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
