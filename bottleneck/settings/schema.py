"""Schemas: frozen dataclasses that check their values, for options and for tables of TOML files."""

from __future__ import annotations

import collections.abc
import dataclasses
import datetime
import functools
import json
import types
from collections.abc import Iterator, Sequence
from typing import (
    Annotated,
    Any,
    Literal,
    TypeVar,
    Union,
    dataclass_transform,
    get_args,
    get_origin,
)

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from bottleneck.errors import UsageError, unknown_name
from bottleneck.settings.ranges import Expected, refuse_absurd
from bottleneck.text.short_repr import shorten, show_values

__all__ = [
    "Expected",
    "Field",
    "bare",
    "choices",
    "from_table",
    "option",
    "schema",
    "validate",
]

T = TypeVar("T")

_RULES = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
# Errors that are looked at for the first one: each takes a kilobyte.
_MAX_ERRORS = 10_000
_UNKNOWN = "unexpected_keyword_argument"
_MISSING = ("missing", "missing_keyword_only_argument", "missing_argument")
_KINDS = {
    bool: "true or false",
    float: "a number",
    int: "a whole number",
    str: "a string",
    tuple: "a list",
}
_LIMITS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}


@dataclass_transform(
    frozen_default=True, kw_only_default=True, field_specifiers=(Field, dataclasses.field)
)
def schema(cls: type[T] | None = None, *, kw_only: bool = True, closed: bool = True) -> Any:
    """Make a frozen dataclass with values that pydantic checks.

    Types are strict: a bool is not a number and "3" is not a number, but a whole number is a float.
    A value that does not fit raises UsageError.

    Parameters
    ----------
    cls : type
        A class with annotated fields.
    kw_only : bool
        Whether its arguments are keywords only.
    closed : bool
        Whether other fields are refused, not ignored.
    """
    if cls is None:
        return functools.partial(schema, kw_only=kw_only, closed=closed)
    rules = _RULES if closed else ConfigDict(**{**_RULES, "extra": "ignore"})
    made: Any = dataclass(frozen=True, kw_only=kw_only, config=rules)(cls)
    checked = made.__init__

    @functools.wraps(checked)
    def __init__(self: Any, *values: Any, **named: Any) -> None:
        try:
            checked(self, *values, **named)
        except ValidationError as error:
            raise _explain(error, made, named, "") from None

    made.__init__ = __init__
    made.__repr__ = _show_changed
    return made


def _show_changed(value: Any) -> str:
    """Return the text of a schema: its class, and the fields that differ from their defaults."""
    fields = type(value).__pydantic_fields__
    held = {name: getattr(value, name) for name in fields}
    changed = {
        name: held[name]
        for name, field in fields.items()
        if held[name] != field.get_default(call_default_factory=True)
    }
    return show_values(value, changed)


def option(
    default: Any,
    help: str,
    *,
    panel: str | None = None,
    name: str | None = None,
    shown: str | None = None,
    **limits: Any,
) -> Any:
    """Return a field that is an option of a command as well.

    Parameters
    ----------
    default
        Value where none is given.
    help : str
        Text of ``--help``; also the field's description.
    panel : str, optional
        Heading that the option stands under.
    name : str, optional
        Name of the option; by default the field's.
    shown : str, optional
        Text for the default.
    **limits
        ``ge``, ``gt``, ``le`` and ``lt``, as pydantic's ``Field`` takes them.
    """
    extra: dict[str, Any] = {"panel": panel, "name": name, "shown": shown}
    return Field(default, description=help, json_schema_extra=extra, **limits)


def choices(annotation: Any) -> tuple[str, ...]:
    """Return the values of a Literal, or of a union of them; empty for any other type."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    values = [choices(bare(branch)) for branch in _branches(annotation)]
    return tuple(value for each in values for value in each) if all(values) else ()


def from_table(cls: type[T], table: object, source: str) -> T:
    """Make a schema of a table of a TOML or JSON file.

    Parameters
    ----------
    cls : type
        A class made by :func:`schema`.
    table : mapping
        The table; its lists become tuples, and its tables become nested schemas.
    source : str
        Name of the file, for the message.

    Raises
    ------
    UsageError
        If a key is unknown or missing, or a value does not fit.
    """
    try:
        refuse_absurd(table)
        made = TypeAdapter(cls).validate_json(json.dumps(table, default=str))
    except ValueError as error:
        if not isinstance(error, ValidationError):
            raise UsageError(f"{source}: {error}") from None
        raise _explain(error, cls, table, source) from None
    except UsageError as error:
        raise UsageError(f"{source}: {error}") from None
    _refuse_time(cls, table, source)
    return made


def validate(kind: Any, value: Any, name: str) -> Any:
    """Return a value after checking it.

    Parameters
    ----------
    kind : type
        Its type, such as ``Seed``.
    value
        The value.
    name : str
        Its name, for the message.

    Raises
    ------
    UsageError
        If it does not fit.

    Examples
    --------
    >>> from bottleneck.settings.ranges import Seed
    >>> validate(Seed, -1, "seed")
    Traceback (most recent call last):
        ...
    bottleneck.errors.UsageError: seed must be a whole number from 0 to 2,147,483,647, not -1
    """
    try:
        return TypeAdapter(kind, config=_RULES).validate_python(value)
    except ValidationError:
        raise UsageError(f"{name} must be {_expected(kind)}, not {_given(kind, value)}") from None


def _refuse_time(cls: type, table: object, source: str) -> None:
    """Refuse a date or time of TOML, which JSON can hold only as a string."""
    for steps, value in _values(table):
        if isinstance(value, datetime.date | datetime.time):
            path, _, kind = _walk(cls, table, steps)
            before = "".join(f"{one}: " for one in (source, *path[:-1]))
            raise UsageError(
                f"{before}{path[-1]} must be {_expected(kind)}, not the date or time {value}"
            )


def _values(table: object, *steps: str | int) -> Iterator[tuple[Sequence[str | int], object]]:
    """Yield every value of a table and of the tables and lists in it, after the steps to it."""
    if isinstance(table, collections.abc.Mapping):
        for key, value in table.items():
            yield from _values(value, *steps, key)
    elif isinstance(table, list | tuple):
        for number, value in enumerate(table):
            yield from _values(value, *steps, number)
    else:
        yield steps, table


def _explain(error: ValidationError, cls: type, table: object, source: str) -> UsageError:
    """Return an error that names the key, what was expected, and what was given."""
    if error.error_count() > _MAX_ERRORS:
        return UsageError(
            f"{source}: {error.error_count():,} values do not fit; is it the right file?"
        )
    errors = error.errors(include_url=False)
    # A misspelt key often makes another one missing. Of the branches of a union, the one that was
    # followed furthest is meant.
    unknown = [one for one in errors if one["type"] == _UNKNOWN]
    chosen = unknown[0] if unknown else max(errors, key=lambda one: len(one["loc"]))
    path, holder, kind = _walk(cls, table, chosen["loc"])
    before = "".join(f"{one}: " for one in (source, *path[:-1]) if one)
    key, value = path[-1], chosen["input"]
    if unknown:
        known = [field.name for field in dataclasses.fields(holder)]
        around, _, name = key.rpartition(".")
        return UsageError(
            f"{before}{unknown_name(f'key of {around}' if around else 'key', name, known)}"
        )
    if chosen["type"] in _MISSING:
        lacking = [str(one["loc"][-1]) for one in errors if one["loc"][:-1] == chosen["loc"][:-1]]
        if len(lacking) > 1:
            return UsageError(f"{before}the keys {', '.join(lacking)} are missing")
        return UsageError(f"{before}the key '{key}' is missing; it must be {_expected(kind)}")
    if isinstance(value, str) and choices(bare(kind)):
        return UsageError(f"{before}{unknown_name(key, value, choices(bare(kind)))}")
    if chosen["type"] == "finite_number":
        return UsageError(f"{before}{key} must be a finite number, not {value}")
    what = key or "the content"
    return UsageError(f"{before}{what} must be {_expected(kind)}, not {_given(kind, value)}")


def _given(kind: Any, value: object) -> str:
    """Return a value that does not fit, and the share that it is if it is a percentage."""
    limits = [getattr(one, name, None) for one in _marks(kind) for name in ("lt", "le")]
    if 1 in limits and isinstance(value, int | float) and 1 < value <= 100:
        return f"{_write_number(value)} (write {_write_number(value)} % as {value / 100:g})"
    return shorten(value)


def _marks(kind: Any) -> list[Any]:
    """Return what annotates a type, and the branches of a union."""
    if get_origin(kind) is Annotated:
        inner, *about = get_args(kind)
        return about + _marks(inner)
    return [one for branch in _branches(kind) for one in _marks(branch)]


def _walk(kind: Any, table: Any, steps: Sequence[str | int]) -> tuple[list[str], Any, Any]:
    """Follow pydantic's location of an error.

    Returns
    -------
    path : list of str
        The entries of lists that were entered, such as "arms 'frozen'", and last the key.
    holder : type
        The schema that has, or lacks, the key.
    kind : type
        The type of the value.
    """
    path: list[str] = []
    keys: list[str] = []
    holder = kind
    for number, step in enumerate(steps, start=1):
        inside = bare(kind)
        if dataclasses.is_dataclass(inside) and isinstance(step, int):
            step = dataclasses.fields(inside)[step].name  # A positional argument.
        if _branches(inside):  # The step names a branch; only a table has anything inside.
            if number < len(steps):
                tables = [one for one in _branches(inside) if _is_table(bare(one))]
                named = [one for one in tables if getattr(bare(one), "__name__", "") == step]
                kind = (*named, *tables, Any)[0]
            continue
        if isinstance(step, int):
            path.append(f"{'.'.join(keys)} {_label(table, step)}")
            keys, kind = [], (*get_args(inside), Any)[0]
        elif dataclasses.is_dataclass(inside):
            field = getattr(inside, "__pydantic_fields__", {}).get(step)
            holder = inside
            keys.append((field and (field.json_schema_extra or {}).get("name")) or step)
            kind = Annotated[(field.annotation, *field.metadata, None)] if field else Any
        else:
            keys.append(step)
            kind = (*get_args(inside), Any)[1] if _is_table(inside) else Any
        try:
            table = table[step]
        except (LookupError, TypeError):
            table = None
    if keys or not path:
        path.append(".".join(keys))
    return path, holder, kind


def _label(table: Any, number: int) -> str:
    """Return the name of an entry of a list of tables, or its number."""
    try:
        named = table[number]
        return repr(named.get("name") or named["model"])
    except (AttributeError, LookupError, TypeError):
        return str(number + 1)


def bare(kind: Any) -> Any:
    """Return a type without its limits and without None."""
    if get_origin(kind) is Annotated:
        return bare(get_args(kind)[0])
    branches = _branches(kind)
    return bare(branches[0]) if len(branches) == 1 else kind


def _write_number(limit: float) -> str:
    return f"{limit:,}" if isinstance(limit, int) else f"{limit:,.10g}"


def _branches(kind: Any) -> list[Any]:
    """Return the types of a union but None; empty for any other type."""
    if get_origin(kind) not in (Union, types.UnionType):
        return []
    return [one for one in get_args(kind) if one is not types.NoneType]


def _is_table(kind: Any) -> bool:
    return dataclasses.is_dataclass(kind) or get_origin(kind) is collections.abc.Mapping


def _expected(kind: Any) -> str:
    """Describe the values of a type, in words that follow "must be"."""
    if get_origin(kind) is Annotated:
        inner, *about = get_args(kind)
        if words := [one.words for one in about if isinstance(one, Expected)]:
            return words[0]
        limits = [
            f"{words} {_write_number(getattr(one, name))}"
            for one in about
            for name, words in _LIMITS.items()
            if hasattr(one, name)
        ]
        if len(limits) == 2 and all(limit.startswith("at ") for limit in limits):
            low, high = (limit.split()[-1] for limit in limits)
            return f"{_expected(inner)} from {low} to {high}"
        joint = " of " if limits and limits[0].startswith("at ") else " "
        return joint.join([_expected(inner), *([" and ".join(limits)] if limits else [])])
    if branches := _branches(kind):
        return ", or ".join(dict.fromkeys(map(_expected, branches)))
    if choices(kind):
        return " or ".join(choices(kind))
    if _is_table(kind):
        return "a table"
    if get_origin(kind) is tuple and _is_table(bare(get_args(kind)[0])):
        return "a list of tables"
    return _KINDS.get(get_origin(kind) or kind, "text, a number, true or false, a list or a table")
