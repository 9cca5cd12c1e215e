"""Paths that functions are given."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bottleneck.errors import UsageError
from bottleneck.text.short_repr import shorten

__all__ = ["as_path", "as_paths"]


def as_path(value: Any, what: str, example: str) -> Path:
    """Return a path that was given to a function.

    Parameters
    ----------
    value : str or Path
        The path.
    what : str
        What it names, for messages: "the model".
    example : str
        Such a name, for messages.

    Raises
    ------
    UsageError
        If it is not text and no Path, is empty, or holds the character NUL.

    Examples
    --------
    >>> as_path("svm.skops", "the model", "svm.skops").suffix
    '.skops'
    """
    if (
        not isinstance(value, str | os.PathLike)
        or not (text := os.fspath(value))
        or not isinstance(text, str)
        or "\0" in text
    ):
        raise UsageError(f"{what} needs a path, such as '{example}', not {shorten(value)}")
    return Path(text)


def as_paths(values: Any, what: str, example: str) -> list[Path]:
    """Return paths that were given to a function, or the one that was.

    Parameters are those of ``as_path``, with an iterable of paths or a path in place of its value.

    Examples
    --------
    >>> [path.name for path in as_paths("scans", "a folder", "scans")]
    ['scans']
    """
    is_many = isinstance(values, Iterable) and not isinstance(values, str | bytes)
    return [as_path(one, what, example) for one in (values if is_many else [values])]
