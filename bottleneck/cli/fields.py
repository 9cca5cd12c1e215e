"""Options of commands that are made from the fields of dataclasses and schemas."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, get_args

import typer

from bottleneck.settings.schema import bare, choices

__all__ = ["Options", "takes_fields"]

_MAX_DIGITS = 100


@dataclasses.dataclass(frozen=True)
class Options:
    """Fields of a schema that a command takes as options.

    Attributes
    ----------
    schema : type
        A class made by ``bottleneck.settings.schema.schema``.
    names : tuple of str
        Fields, in this order; by default all.
    panel : str or None
        Heading in place of the schema's.
    defaults : mapping of str to value
        Defaults of this command that differ from the schema's.
    """

    schema: type
    names: tuple[str, ...] = ()
    panel: str | None = None
    defaults: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def parameters(self) -> dict[str, inspect.Parameter]:
        """Return the parameters that Typer turns into options, with None for "not given"."""
        return {name: self._parameter(name) for name in self.names or self._fields}

    @property
    def _fields(self) -> Mapping[str, Any]:
        # pydantic adds the attribute; ``type`` does not declare it.
        return self.schema.__pydantic_fields__  # type: ignore[attr-defined]

    def _parameter(self, name: str) -> inspect.Parameter:
        field = self._fields[name]
        about = field.json_schema_extra
        default = self.defaults.get(name, field.default)
        flag = f"--{about['name'] or name.replace('_', '-')}"
        kind = bare(field.annotation)
        kind = kind if kind in (bool, int, float) else str
        shown: str | bool = f"{default:g}" if isinstance(default, float) else str(default)
        if default is None or default is False:
            shown = about["shown"] or False
        if kind is bool and default:
            shown = flag.removeprefix("--")
            flag = f"{flag}/--no-{shown}"
        help = str(field.description)
        names = choices(field.annotation)
        if not all(name in help for name in names):
            help = f"{help.removesuffix('.')}: {', '.join(names[:-1])} or {names[-1]}."
        option = typer.Option(
            flag,
            help=help,
            rich_help_panel=self.panel or about["panel"],
            show_default=shown,
        )
        return inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[kind | None, option],
        )

    def collect(self, **values: Any) -> dict[str, Any]:
        """Return the options that were given, and the command's own defaults."""
        given = {
            # A field such as "a number, or auto" comes as text.
            name: int(value) if _is_number(value) and _is_or_int(self._fields[name]) else value
            for name, value in values.items()
            if value is not None
        }
        return {**self.defaults, **given}


def takes_fields(*kinds: type | Options) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Let a command take the fields of dataclasses and schemas as options of its own.

    Parameters
    ----------
    *kinds : type or Options
        Dataclasses with fields annotated as Typer's parameters are, or fields of schemas. The
        command has one last parameter for each: an object of the dataclass, or a dict of the
        options that were given. Panels of ``--help`` come in the order of these fields.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        parameters = list(inspect.signature(command, eval_str=True).parameters.values())
        own, last = parameters[: -len(kinds)], parameters[-len(kinds) :]
        shared = [
            dict(kind.parameters())
            if isinstance(kind, Options)
            else dict(inspect.signature(kind, eval_str=True).parameters)
            for kind in kinds
        ]

        @functools.wraps(command)
        def called(**given: Any) -> None:
            made = {
                parameter.name: (kind.collect if isinstance(kind, Options) else kind)(
                    **{name: given.pop(name) for name in names}
                )
                for parameter, kind, names in zip(last, kinds, shared, strict=True)
            }
            command(**given, **made)

        fields = [field for each in shared for field in each.values()]
        panels = dict.fromkeys(panel for panel in map(_panel, fields) if panel)
        order = {panel: number for number, panel in enumerate(panels)}

        def place(one: inspect.Parameter) -> tuple[int, bool]:
            panel = _panel(one)
            # Without a panel, the command's own options come first; in a panel, last.
            return (order[panel], one in own) if panel in order else (-1, one in fields)

        options = sorted([*own, *fields], key=place)
        keyword = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in options]
        # Typer reads the signature; functions are not declared to have one.
        called.__signature__ = inspect.Signature(keyword)  # type: ignore[attr-defined]
        return called

    return decorate


def _is_number(value: Any) -> bool:
    # Python converts no text of thousands of digits; the schema refuses it as text.
    return str(value).isdecimal() and len(str(value)) <= _MAX_DIGITS


def _is_or_int(field: Any) -> bool:
    """Whether a field takes a whole number among others."""
    return int in map(bare, get_args(field.annotation))


def _panel(parameter: inspect.Parameter) -> str | None:
    return next((about.rich_help_panel for about in get_args(parameter.annotation)[1:]), None)
