"""Checks that a user ignores: they run, and what they find is counted and not shown."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

from bottleneck.checks.check_registry import CHECKS
from bottleneck.errors import UsageError, did_you_mean
from bottleneck.text.plurals import counted

__all__ = ["Ignore", "describe_ignored", "leave_out", "read_codes", "separate"]

#: A code or several, such as "BF201".
Ignore: TypeAlias = str | Sequence[str]


class _Coded(Protocol):
    @property
    def code(self) -> str: ...


Coded = TypeVar("Coded", bound=_Coded)
Result = TypeVar("Result")


def read_codes(ignore: Ignore) -> tuple[str, ...]:
    """Return the codes of checks to ignore, each once.

    Raises
    ------
    UsageError
        If there is no such check; the message lists all.

    Examples
    --------
    >>> read_codes(["BF201", "BF301", "BF201"])
    ('BF201', 'BF301')
    """
    codes = (ignore,) if isinstance(ignore, str) else tuple(dict.fromkeys(ignore))
    for code in codes:
        if code not in CHECKS:
            known = ", ".join(f"{one} ({check.name})" for one, check in CHECKS.items())
            hint = did_you_mean(str(code), list(CHECKS)) or "."
            raise UsageError(f"there is no check '{code}' to ignore{hint} Known: {known}.")
    return codes


def separate(
    found: Iterable[Coded], codes: Sequence[str]
) -> tuple[tuple[Coded, ...], dict[str, int]]:
    """Return what is not ignored, and how much of each ignored check there is.

    Parameters
    ----------
    found : iterable of Finding or CheckWarning
        Findings or warnings.
    codes : sequence of str
        Codes to ignore, from ``read_codes``.

    Examples
    --------
    >>> from bottleneck.checks.check_warnings import CheckWarning
    >>> few = CheckWarning("BF301", "estimate only: 8 patients")
    >>> separate([few], ["BF201", "BF301"])
    ((), {'BF201': 0, 'BF301': 1})
    """
    found = tuple(found)
    counts = {code: sum(one.code == code for one in found) for code in codes}
    return tuple(one for one in found if one.code not in counts), counts


def leave_out(result: Result, codes: Sequence[str]) -> Result:
    """Return a result without the warnings of ignored checks, which ``ignored`` then counts.

    Parameters
    ----------
    result : dataclass with the fields ``warnings`` and ``ignored``
        The result.
    codes : sequence of str
        Codes to ignore, from ``read_codes``.
    """
    made: Any = result
    if codes:
        warnings, counts = separate(made.warnings, codes)
        made = dataclasses.replace(made, warnings=warnings, ignored=counts)
    kept: Result = made
    return kept


def describe_ignored(ignored: Mapping[str, int]) -> str:
    """Return which checks were ignored and how much each had found; "" for none.

    Parameters
    ----------
    ignored : mapping of str to int
        Number of findings by code.

    Examples
    --------
    >>> describe_ignored({"BF201": 1, "BF301": 0})
    'Checks that were ignored: BF201, metadata (1 finding); BF301, few patients (0 findings)'
    """
    each = [f"{code}, {CHECKS[code].name} ({counted(n, 'finding')})" for code, n in ignored.items()]
    return f"Checks that were ignored: {'; '.join(each)}" if each else ""
