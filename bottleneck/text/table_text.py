"""CSV and Markdown that hold any name: nothing in them is a formula, a command or a link."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bottleneck.text.plain_text import escape_character, is_hidden, visible

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["BOM", "csv_cell", "csv_text", "frame_csv", "markdown_text", "read_cell", "text_frame"]

# Byte order mark: Excel reads a CSV file as UTF-8 only if it begins with it.
BOM = "\ufeff"

# Columns of predictions that are named after a class: score_<class> belongs to the label <class>.
_PREFIX = re.compile(r"(score_|probability_)(?=.)", re.DOTALL)
# A spreadsheet computes a cell that begins with one of these, the forms of other scripts included.
_STARTS = "=+@\\-\u2212\ufe62\ufe63\ufe66\ufe6b\uff0b\uff0d\uff1d\uff20"
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
# The same after another separator than the comma.
_AFTER_SEPARATOR = re.compile(rf"(?<=[;|])([\s\"]*)([{_STARTS}])")
_FORMULA = re.compile(rf"[\s\"]*[{_STARTS}]")
_ESCAPED = re.compile(r"\\(?:\\|x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8}))")


def csv_cell(text: str) -> str:
    """Return a text as a cell of a CSV file; ``read_cell`` returns the text again.

    Most texts are unchanged. A text is guarded by an apostrophe, and its backslashes are doubled,
    if it

    - would be a formula (``=``, ``+``, ``-``, ``@``), and is not a number,
    - would begin one after a semicolon or bar, at which spreadsheets of some countries split a
      line; that character becomes an escape,
    - holds characters that ``plain_text.is_hidden`` names, which become escapes,
    - begins with an apostrophe, or begins or ends with a space.

    Examples
    --------
    >>> print(csv_cell("=1+1"), csv_cell("-0.5"), csv_cell("scan\\x1b.png"), csv_cell("P-7"))
    '=1+1 -0.5 'scan\\x1b.png P-7
    """
    hidden = not (text.isascii() and text.isprintable()) and any(map(is_hidden, text))
    formula = _FORMULA.match(text) and not _NUMBER.fullmatch(text)
    inner = _AFTER_SEPARATOR.search(text)
    if not (hidden or formula or inner or text.startswith("'") or text.strip() != text):
        return text
    text = text.replace("\\", "\\\\")
    if hidden:
        text = "".join(escape_character(c) if is_hidden(c) else c for c in text)
    # An escape may have followed the separator.
    text = _AFTER_SEPARATOR.sub(lambda match: match[1] + escape_character(match[2]), text)
    return f"'{text}"


def read_cell(cell: str) -> str:
    """Return the text of a cell that ``csv_cell`` wrote; other cells are unchanged.

    An apostrophe that ``csv_cell`` would not have written belongs to the name.

    Examples
    --------
    >>> read_cell("'=1+1"), read_cell("P-7"), read_cell("'s-Hertogenbosch")
    ('=1+1', 'P-7', "'s-Hertogenbosch")
    """
    if cell.startswith("'"):
        text = _ESCAPED.sub(_unescape, cell[1:])
        return text if csv_cell(text) == cell else cell
    prefix = _PREFIX.match(cell)
    if prefix and cell.startswith("'", prefix.end()):
        return prefix[0] + read_cell(cell[prefix.end() :])
    return cell


def _unescape(match: re.Match[str]) -> str:
    code = next(filter(None, match.groups()), None)
    if code is None:
        return "\\"
    return chr(int(code, 16)) if int(code, 16) < 0x110000 else match[0]


def csv_text(rows: Iterable[Sequence[object]], *, bom: bool = False) -> str:
    """Return rows as the text of a CSV file, the header first; texts as ``csv_cell`` has them."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows([csv_cell(c) if isinstance(c, str) else c for c in row] for row in rows)
    return (BOM if bom else "") + out.getvalue()


def text_frame(columns: Mapping[str, Any]) -> pd.DataFrame:
    """Return a table with texts that need not be valid Unicode, as names of files are not."""
    import pandas as pd

    try:
        return pd.DataFrame(columns)
    except UnicodeEncodeError:
        # Arrow, which pandas uses where it is installed, refuses halves of surrogate pairs.
        texts = {
            name: pd.Series(values, dtype=object)
            for name, values in columns.items()
            if getattr(values, "dtype", np.dtype(int)).kind in "UO"
        }
        return pd.DataFrame({**columns, **texts})


def frame_csv(frame: pd.DataFrame, *, float_format: str | None = None, bom: bool = False) -> str:
    """Return a table as the text of a CSV file, without its index; texts as in ``csv_cell``.

    The names of columns are texts too. In ``score_<class>`` and ``probability_<class>``, the
    class is written as in the column of labels.
    """
    import pandas as pd

    written = {}
    for number in range(frame.shape[1]):
        column = frame.iloc[:, number]
        if not pd.api.types.is_numeric_dtype(column):
            column = column.astype(object)
            # Not column.unique(): before pandas 3.1, it takes texts that differ after a NUL as one.
            texts = {v: csv_cell(v) for v in set(column.tolist()) if isinstance(v, str)}
            column = column.map(lambda value, texts=texts: texts.get(value, value))
        written[number] = column
    table = pd.DataFrame(written)
    table.columns = [_header(str(name)) for name in frame.columns]
    text = table.to_csv(index=False, float_format=float_format, lineterminator="\n")
    return (BOM if bom else "") + text


def _header(name: str) -> str:
    prefix = _PREFIX.match(name)
    return prefix[0] + csv_cell(name[prefix.end() :]) if prefix else csv_cell(name)


# Characters that begin a code span, emphasis, a link, a formula, or end a cell.
_SPECIAL = re.compile(
    r"[\\`*\[\]|~$]"
    r"|<(?=\S)|(?<=\S)>"  # Not in "p < 0.001".
    r"|(?<![^\W_])_|_(?![^\W_])"  # Not within a word: tp_fn.
    r"|&(?=#?\w+;)"  # The entity &lt;
    r"|(?<=\w):(?=//)|(?<=www)\.|(?<=\w)@(?=\w)"  # Addresses become links by themselves.
)
# What makes a heading, a list, a quotation or a rule of a line.
_BLOCK = re.compile(r"(\d+)(?=[.)](?:\s|$))|(?=(?:#{1,6}|[+-])(?:\s|$)|>|[-=]{2,}\s*$)")


# An address that shows where it leads: in ASCII, without a user name, between blanks.
_ADDRESS = re.compile(
    r"(?<![^\s(])(https://(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,}(?:[/?#][\w/.~%?=&#+:;,-]*[\w/=])?/?)"
    r"(?=[).,;:]*(?:\s|$))",
    re.ASCII,
)


def markdown_text(text: str, *, links: bool = False) -> str:
    """Return a text for Markdown, also in a cell of a table: on one line, and nothing but text.

    Parameters
    ----------
    text : str
        Any text.
    links : bool
        Whether addresses that begin with https:// become links.

    Examples
    --------
    >>> print(markdown_text("a|b <i>*x*</i>"))
    a\\|b \\<i\\>\\*x\\*\\</i\\>
    """
    parts = _ADDRESS.split(visible(text)) if links else [visible(text)]
    parts[::2] = [_SPECIAL.sub(r"\\\g<0>", part) for part in parts[::2]]
    parts[1::2] = [f"<{address}>" for address in parts[1::2]]
    text = "".join(parts).lstrip(" ")
    block = _BLOCK.match(text)
    return f"{block[0]}\\{text[block.end() :]}" if block else text
