"""Options that several commands share, as the fields of a dataclass."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any

__all__ = ["takes_fields"]


def takes_fields(kind: type) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Let a command take the fields of a dataclass as options of its own.

    Parameters
    ----------
    kind : type
        A dataclass whose fields are annotated as Typer's parameters are. The command has it
        as its last parameter, ``options``; Typer is shown the fields in its place.
    """
    names = [field.name for field in dataclasses.fields(kind)]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def called(**given: Any) -> None:
            fields = {name: given.pop(name) for name in names}
            command(**given, options=kind(**fields))

        # Typer reads what a signature says, not what the function takes.
        *own, _ = inspect.signature(command, eval_str=True).parameters.values()
        shared = inspect.signature(kind, eval_str=True).parameters.values()
        called.__signature__ = inspect.Signature([*own, *shared])  # type: ignore[attr-defined]
        return called

    return decorate
