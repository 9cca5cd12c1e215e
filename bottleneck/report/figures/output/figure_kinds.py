"""The formats in which a report writes its figures."""

from __future__ import annotations

__all__ = ["KINDS"]

#: Endings of the files of each figure.
KINDS: tuple[str, ...] = ("svg", "pdf", "png")
