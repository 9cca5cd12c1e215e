"""Names of the data sets that are concatenated, which go before ids, patients and centres."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from bottleneck.errors import UsageError

__all__ = ["SEPARATOR", "name_sources", "prefixed", "refuse_unclear"]

#: Stands between the name of a data set and what it names.
SEPARATOR = "/"


def name_sources(
    given: Any, kinds: tuple[type, ...], expected: str
) -> tuple[list[str | None], list[Any]]:
    """Return the names that data sets are given, None where they keep their own, and the data sets.

    Parameters
    ----------
    given : mapping of str to value, or iterable
        Data sets, by name or in order.
    kinds : tuple of type
        What each of them may be.
    expected : str
        The same in words, for messages.

    Raises
    ------
    UsageError
        If there are fewer than two, or one is of another type.
    """
    if isinstance(given, (*kinds, bytes)) or not isinstance(given, Iterable):
        raise UsageError(
            f"concatenate takes several data sets in a list, or as {{name: data set}}, each "
            f"{expected}; this is a single {type(given).__name__}"
        )
    names: list[str | None]
    if isinstance(given, Mapping):
        names, sets = list(given), list(given.values())
        for name in names:
            if not isinstance(name, str) or not name.strip():
                raise UsageError(f"the name of a data set must be a text, not {name!r}")
    else:
        sets = list(given)
        names = [None] * len(sets)
    for number, one in enumerate(sets):
        if not isinstance(one, kinds):
            raise UsageError(
                f"data set {number + 1} of {len(sets)} is {type(one).__name__}, where {expected} "
                "was expected"
            )
    if len(sets) < 2:
        raise UsageError(
            f"concatenate needs at least two data sets, not {len(sets)}: one alone stays as it is"
        )
    return names, sets


def refuse_unclear(names: Iterable[str]) -> None:
    """Refuse names under which two data sets, or their ids, could be mistaken for each other.

    Raises
    ------
    UsageError
        If two names are equal, or one begins with another and a slash.
    """
    counts = Counter(names)
    for name, n in counts.items():
        if n > 1:
            raise UsageError(
                f"{n} of the data sets are named '{name}': give each a name of its own, as "
                "{'Bern': one, 'Basel': other} in Python and Bern=FILE on the command line"
            )
        for other in counts:
            if other.startswith(prefixed(name, "")):
                raise UsageError(
                    f"the names '{name}' and '{other}' would give equal ids to different samples: "
                    f"give one of them another name, without '{SEPARATOR}'"
                )


def prefixed(source: str, text: str) -> str:
    """Return the name of a sample, patient or centre with its data set before it.

    Examples
    --------
    >>> prefixed("Bern", "p7")
    'Bern/p7'
    """
    return f"{source}{SEPARATOR}{text}"
