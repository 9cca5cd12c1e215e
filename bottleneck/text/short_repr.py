"""Short texts of objects: what ``repr`` shows of them, without arrays, and without ids.

A result may name patients, and a notebook keeps what it shows. So the texts here hold numbers and
names of classes, columns and arms, but no sample and no patient.
"""

from __future__ import annotations

import dataclasses
import re
import textwrap
from collections.abc import Collection, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from bottleneck.text.plain_text import visible, without_paths
from bottleneck.text.plurals import counted

__all__ = [
    "class_counts",
    "class_names",
    "describe",
    "folded",
    "shorten",
    "shortened",
    "show_fields",
    "show_html",
    "show_values",
]

_WIDTH = 80
# Characters of a name, and of a text among other fields.
_LONGEST_NAME, _LONGEST_TEXT = 40, 30
_LONGEST_VALUE = 50
_MOST_CLASSES = 6
_BREAK = re.compile(r"\s*\n\s*")
# Blanks where no line is broken: "8 features", "0.853 [0.801, 0.905]".
_IN_NUMBERS = re.compile(r"(?<=\d) (?=[\[a-z])|(?<=\d,) (?=\d)|(?<=[^;:,])(?<! of)(?<! on) (?=\d)")


def describe(value: object, name: str, *facts: str) -> str:
    """Return the text of a result: its class, its name and what is known of it, in a few lines.

    Parameters
    ----------
    value : object
        The result.
    name : str
        Its name; "" for none.
    *facts : str
        Phrases; empty ones are left out.

    Examples
    --------
    >>> describe(object(), "phantom", "24 samples of 12 patients", "", "no leak found")
    '<object phantom: 24 samples of 12 patients; no leak found>'
    """
    head = " ".join(filter(None, [type(value).__name__, shortened(name)]))
    text = f"<{head}: {visible('; '.join(filter(None, facts)))}>"
    return folded(_IN_NUMBERS.sub("\xa0", text))


def show_fields(value: Any) -> str:
    """Return the text of a dataclass of numbers: its fields, each in a few characters.

    It serves as ``__repr__`` of a class. Fields without a value, or made by
    ``dataclasses.field(repr=False)``, are left out.

    Examples
    --------
    >>> @dataclasses.dataclass
    ... class Curve:
    ...     name: str
    ...     area: float
    ...     points: list[float]
    ...     note: str = ""
    ...     __repr__ = show_fields
    >>> Curve("roc", 0.123456, [0.0, 0.5, 1.0])
    Curve(name='roc', area=0.1235, points=3 values)
    """
    fields = ((f.name, getattr(value, f.name)) for f in dataclasses.fields(value) if f.repr)
    return show_values(value, {k: v for k, v in fields if not _is_empty(v)})


def show_values(value: object, fields: Mapping[str, Any]) -> str:
    """Return the text of an object: its class, and some of its fields, each in a few characters.

    Examples
    --------
    >>> show_values(object(), {"size": 3, "names": ["a", "b"]})
    'object(size=3, names=2 values)'
    """
    parts = [f"{name}={_brief(held)}" for name, held in fields.items()]
    return folded(f"{type(value).__name__}({', '.join(parts)})")


def show_html(value: object) -> str:
    """Return the HTML of a result; it serves as ``_repr_html_``, by which notebooks show objects.

    The rooms of results are left of the report, which draws it. The package knows both.
    """
    import bottleneck

    return bottleneck.to_html(value)


def shorten(value: object) -> str:
    """Return a value for a message, on one line, and without its end where it is long.

    Examples
    --------
    >>> shorten([1, 2]), shorten(range(10**6)), shorten("a" * 60)
    ('[1, 2]', 'range(0, 1000000)', "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…")
    """
    try:
        text = _BREAK.sub(" ", repr(value))
    # Any code may raise, and Python writes no number of thousands of digits.
    except Exception:  # noqa: BLE001
        return f"<{type(value).__name__} object>"
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"


def shortened(name: str, most: int = _LONGEST_NAME) -> str:
    """Return a name on one line that hides nothing, without the middle of a long one.

    Examples
    --------
    >>> shortened("a" * 30 + "b" * 30)
    'aaaaaaaaaaaaaaaaaaa…bbbbbbbbbbbbbbbbbbbb'
    """
    text = visible(name)
    half = most // 2
    return text if len(text) <= most else f"{text[: most - half - 1]}…{text[-half:]}"


def class_counts(counts: Mapping[str, int]) -> str:
    """Return the number of samples of each class, of at most six of them.

    The class "" stands for samples without a label.

    Examples
    --------
    >>> class_counts({"malignant": 12, "benign": 30})
    'benign 30, malignant 12'
    >>> class_counts({"0": 12, "1": 30})
    '0: 12, 1: 30'
    >>> class_counts({"": 3})
    'unlabelled 3'
    """
    # "grade 2 30" would be unclear.
    colon = ":" if any(name[-1:].isdigit() for name in counts) else ""
    names = {name: shortened(name, _LONGEST_TEXT) or "unlabelled" for name in counts}
    return _few([f"{names[name]}{colon} {n}" for name, n in sorted(counts.items())])


def class_names(names: Collection[str]) -> str:
    """Return the names of classes, of at most six of them.

    Examples
    --------
    >>> class_names("ABCDEFGHI")
    'A, B, C, D, E, F and 3 more classes'
    """
    return _few([shortened(name, _LONGEST_TEXT) for name in names])


def _few(texts: Sequence[str]) -> str:
    n_more = len(texts) - _MOST_CLASSES
    return ", ".join(texts[:_MOST_CLASSES]) + (f" and {n_more} more classes" if n_more > 0 else "")


def folded(text: str) -> str:
    """Return a text in lines of at most 80 characters."""
    lines = textwrap.wrap(text, _WIDTH, subsequent_indent="    ", break_on_hyphens=False)
    return "\n".join(lines).replace("\xa0", " ")


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, str | tuple | list | Mapping) and len(value) == 0)


def _brief(value: Any) -> str:
    if isinstance(value, str | PurePath):
        return repr(shortened(without_paths(str(value)), _LONGEST_TEXT))
    if isinstance(value, bool | int):
        return repr(value)
    if isinstance(value, float):
        return f"{value:.4g}"
    if hasattr(value, "shape"):
        return f"array of shape {tuple(value.shape)}"
    if isinstance(value, Mapping):
        return counted(len(value), "value")
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return counted(len(value), "value")
    return " ".join(repr(value).split())
