"""Nouns in the singular and the plural."""

from __future__ import annotations

__all__ = ["counted"]


def counted(n: int, noun: str) -> str:
    """Return a number with its noun in the right form.

    Examples
    --------
    >>> counted(1, "patient"), counted(2, "patient")
    ('1 patient', '2 patients')
    """
    return f"{n} {noun}{'' if n == 1 else 's'}"
