"""Options that several commands share, as the fields of a dataclass."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

__all__ = ["takes_fields"]


def takes_fields(*kinds: type) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Let a command take the fields of dataclasses as options of its own.

    Parameters
    ----------
    *kinds : type
        Dataclasses whose fields are annotated as Typer's parameters are. The command has one of
        each as its last parameters; Typer is shown the fields in their place.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        parameters = list(inspect.signature(command, eval_str=True).parameters.values())
        own, last = parameters[: -len(kinds)], parameters[-len(kinds) :]
        shared = {kind: inspect.signature(kind, eval_str=True).parameters for kind in kinds}

        @functools.wraps(command)
        def called(**given: Any) -> None:
            made = {
                parameter.name: kind(**{name: given.pop(name) for name in shared[kind]})
                for parameter, kind in zip(last, kinds, strict=True)
            }
            command(**given, **made)

        # Typer reads what a signature says, not what the function takes; functions are not declared
        # to have one.
        fields = [field for kind in kinds for field in shared[kind].values()]
        called.__signature__ = inspect.Signature([*own, *fields])  # type: ignore[attr-defined]
        return called

    return decorate
