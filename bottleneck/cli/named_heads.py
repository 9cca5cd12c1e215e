"""Heads that a command line names, and the types of models that it trusts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bottleneck.heads.head_catalogue import CHOICES, get_head, get_heads

if TYPE_CHECKING:
    from bottleneck.heads.head import Head

__all__ = ["HEAD_HELP", "Trust", "find_own_modules", "get_all_named", "get_named"]

HEAD_HELP = (
    f"{CHOICES}; or package.module:Class, which is imported, also from the current folder. May be "
    "given several times."
)

Trust = Annotated[
    list[str] | None,
    typer.Option(
        help="A type in a model that you trust, as `fit` named it. Its code runs. May be given "
        "several times.",
        show_default=False,
    ),
]


def get_named(head: str) -> Head:
    """Return a head by name, or by an import path that may lead into the current folder."""
    if ":" in head:
        find_own_modules()
    return get_head(head)


def get_all_named(heads: list[str]) -> list[Head]:
    """Return several heads with distinct names."""
    if any(":" in head for head in heads):
        find_own_modules()
    return get_heads(heads)


def find_own_modules() -> None:
    """Let modules of the current folder be imported, after all that are installed.

    Worker processes take over the path.
    """
    here = str(Path.cwd())
    if here not in {str(Path(one).absolute()) for one in sys.path}:
        sys.path.append(here)
