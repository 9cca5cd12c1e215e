"""Lines of headers that are text."""

from __future__ import annotations

import os
import re

from bottleneck.errors import DecodeError

__all__ = ["read_line"]

_CONTROL = re.compile(r"[\0-\x08\x0a-\x1f\x7f]")


def read_line(line: bytes) -> str:
    """Return a line of a header as text, without its end.

    Parameters
    ----------
    line : bytes
        The line; it may end with a carriage return. Bytes that are not text, as in names of files,
        are kept as ``os.fsdecode`` does.

    Raises
    ------
    DecodeError
        If it contains another control character, at which some readers end a line.

    Examples
    --------
    >>> read_line(b"NDims = 3\\r")
    'NDims = 3'
    """
    text = os.fsdecode(line.removesuffix(b"\r"))
    if _CONTROL.search(text):
        raise DecodeError("damaged header: it contains control characters")
    return text
