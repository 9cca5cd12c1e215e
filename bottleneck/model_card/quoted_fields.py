"""Fields of JSON documents, shown in Markdown with a pointer to the field behind each value.

The pointer is an HTML comment, which renderers of Markdown hide. Its form is that of RFC 6901: of
``results.json`` "/arms/0/n", and of another document its name, "#" and the pointer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from bottleneck.text.table_text import markdown_text

__all__ = ["POINTER", "STYLES", "QuotedField", "show"]

#: A pointer in a card. Its group is the pointer.
POINTER = re.compile(r"<!--((?:[a-z0-9./-]+#)?/[^\s<>]*)-->")

_NOT_DEFINED = "not defined"


class QuotedField:
    """A field of a JSON document that knows where it is.

    Parameters
    ----------
    raw : object
        The value: a mapping, list, text, number, truth value or None.
    pointer : str
        Where it is.

    Examples
    --------
    >>> document = QuotedField({"arms": [{"n": 456, "name": "a|b"}]})
    >>> show(document["arms"][0]["n"]), show(document["arms"][0]["name"])
    ('456<!--/arms/0/n-->', 'a\\\\|b<!--/arms/0/name-->')
    """

    __slots__ = ("pointer", "raw")

    def __init__(self, raw: Any, pointer: str = "") -> None:
        self.raw = raw
        self.pointer = pointer

    def __getitem__(self, key: str | int) -> QuotedField:
        raw = self.raw
        if (isinstance(raw, Mapping) and isinstance(key, str)) or (
            isinstance(raw, list) and isinstance(key, int)
        ):
            return QuotedField(raw[key], f"{self.pointer}/{_escape(str(key))}")  # type: ignore[index] # The two pairs of types are checked.
        raise KeyError(key)

    def __iter__(self) -> Iterator[QuotedField]:
        return (self[n] for n in range(len(self.raw)))

    def __len__(self) -> int:
        return len(self.raw)

    def __bool__(self) -> bool:
        return bool(self.raw)

    def __eq__(self, other: object) -> bool:
        return bool(self.raw == (other.raw if isinstance(other, QuotedField) else other))

    __hash__ = None  # type: ignore[assignment]  # Its value may be a list.

    def items(self) -> Iterator[tuple[str, QuotedField]]:
        """Return the keys and fields of a mapping."""
        return ((key, self[key]) for key in self.raw)


#: How numbers are shown: with three decimals, with a sign, whole, with up to six digits, or
#: as a small number with two.
STYLES: Mapping[str, str] = {
    "three": "z.3f",
    "signed": "+z.3f",
    "count": ",",
    "plain": ".6g",
    "small": ".2g",
}


def show(field: QuotedField, style: str | None = None) -> str:
    """Return a field as Markdown, with its pointer.

    Parameters
    ----------
    field : QuotedField
        A text, number, truth value or None.
    style : str, optional
        A name of ``STYLES``, for a number; by default three decimals, or a whole number.
    """
    raw = field.raw
    if raw is None:
        text = _NOT_DEFINED
    elif isinstance(raw, bool):
        text = "yes" if raw else "no"
    elif isinstance(raw, int | float):
        usual = "count" if isinstance(raw, int) else "three"
        text = format(raw, STYLES[style or usual]).replace("-", "−")
    elif isinstance(raw, str):
        text = markdown_text(raw)
    else:
        raise TypeError(f"{field.pointer} does not hold a single value")
    return f"{text}<!--{field.pointer}-->"


def _escape(key: str) -> str:
    """Return a key for a pointer in a comment, which neither ends nor begins another one."""
    key = quote(key.replace("~", "~0").replace("/", "~1"), safe="~", errors="surrogatepass")
    return re.sub(r"-(?=-|$)", "%2D", key)
