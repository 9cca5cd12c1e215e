"""Numbers of things."""

from __future__ import annotations

__all__ = ["counted"]


def counted(n: int, noun: str) -> str:
    """Say a number of things: "1 patient", "2 patients"."""
    return f"{n} {noun}{'' if n == 1 else 's'}"
