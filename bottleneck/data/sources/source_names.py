"""Names of the data sets that are concatenated, which go before ids, patients and centres."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from bottleneck.data.spelling.spelling_keys import match_names
from bottleneck.errors import UsageError
from bottleneck.text.plurals import counted

__all__ = [
    "SEPARATOR",
    "common_positive",
    "describe_sources",
    "join_descriptions",
    "name_sources",
    "prefixed",
    "refuse_unclear",
    "spell_alike",
]

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
        names = [str(name).strip() for name in names]
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
            f"concatenate needs at least two data sets, not {len(sets)}: a single one needs no "
            "concatenation"
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


def spell_alike(
    names: Sequence[str], classes: Sequence[Sequence[str]], tell: Callable[[str], None]
) -> list[dict[str, str]]:
    """Return new spellings of the labels of each data set, so that each class has one.

    Parameters
    ----------
    names : sequence of str
        Names of the data sets.
    classes : sequence of sequence of str
        The labels of each of them; none where no sample has one.
    tell : callable
        Called with a sentence on each label that is respelled, and on classes that are lacking.

    Raises
    ------
    UsageError
        If a data set has no class of those before it.
    """
    known: dict[str, None] = {}
    renames: list[dict[str, str]] = []
    for name, own in zip(names, classes, strict=True):
        new = {a: b for a, b in match_names(own, known).items() if a != b}
        if len({new.get(c, c) for c in own}) < len(own):
            new = {}  # Two classes of one data set would become one.
        for old, spelling in new.items():
            tell(f"the label '{old}' of '{name}' is spelled '{spelling}', as in the others")
        spelled = [new.get(c, c) for c in own]
        if known and own and not known.keys() & set(spelled):
            raise UsageError(
                f"'{name}' has the classes {', '.join(spelled)}, and the data sets before it have "
                f"{', '.join(known)}: they share no class. Give equal classes equal names"
            )
        renames.append(new)
        known |= dict.fromkeys(spelled)
    for name, own, new in zip(names, classes, renames, strict=True):
        if own and (lacking := [c for c in known if c not in {new.get(o, o) for o in own}]):
            tell(
                f"'{name}' has no sample of {', '.join(repr(c) for c in lacking)}: where data "
                "sets have different classes, a model can recognise the class by the data set"
            )
    return renames


def common_positive(stated: Mapping[str, str | None], classes: Iterable[str]) -> str | None:
    """Return the positive class that data sets state, by their names; None if none states one.

    Raises
    ------
    UsageError
        If two of them state different ones.
    """
    known = list(classes)
    found: dict[str, str] = {}
    for name, label in stated.items():
        if label is not None:
            found.setdefault(match_names([label], known).get(label, label), name)
    if len(found) > 1:
        (a, one), (b, other), *_ = found.items()
        raise UsageError(
            f"the positive class of '{one}' is '{a}', and that of '{other}' is '{b}': state the "
            "same one for both (--positive at extraction, positive= in Python)"
        )
    return next(iter(found), None)


def join_descriptions(described: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return texts that all data sets share as they are, and others with the name before them."""
    joined = {}
    for field in dict.fromkeys(field for about in described.values() for field in about):
        texts = {name: about[field] for name, about in described.items() if field in about}
        is_shared = len(texts) == len(described) and len(set(texts.values())) == 1
        named = "; ".join(f"{name}: {text}" for name, text in texts.items())
        joined[field] = next(iter(texts.values())) if is_shared else named
    return joined


def describe_sources(dataset: Mapping[str, Any]) -> str:
    """Return the data sets that one combines, in words.

    Examples
    --------
    >>> describe_sources({"sources": {"Bern": 12, "Basel": 1}})
    'Bern (12 samples) and Basel (1 sample)'
    """
    *first, last = (f"{name} ({counted(n, 'sample')})" for name, n in dataset["sources"].items())
    return f"{', '.join(first)} and {last}"
