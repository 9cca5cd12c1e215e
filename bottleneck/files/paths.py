"""Paths that functions are given."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from bottleneck.errors import UsageError
from bottleneck.text.short_repr import shorten

__all__ = ["as_path"]


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
        If it is no text and no Path, is empty, or holds the character NUL.

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
