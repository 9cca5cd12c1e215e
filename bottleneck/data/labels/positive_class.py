"""The label of the positive class: as it is stated, or recognised."""

from __future__ import annotations

from collections.abc import Collection

from bottleneck.data.spelling.identifiers import name_value
from bottleneck.data.spelling.spelling_keys import match_names
from bottleneck.errors import UsageError, unknown_name
from bottleneck.text.short_repr import shorten

__all__ = ["choose_positive", "find_label", "recognise_positive", "spell_label"]

# Labels that are recognised as the positive class, after casefold.
_POSITIVE_LABELS = ("malignant", "cancer", "positive", "true")
# Of 1 and 2, 1 is "yes" in one questionnaire and "benign" in another table.
_NUMBERED = ({"0", "1"}, {"-1", "1"})


def choose_positive(classes: tuple[str, ...], stated: str | float | None = None) -> str | None:
    """Return the label of the positive class.

    If it is not stated, "malignant", "cancer", "positive" and "true" are recognised, and 1 of 0
    and 1, or of -1 and 1. Alphabetical order does not decide: it would swap sensitivity and
    specificity at random.

    Parameters
    ----------
    classes : tuple of str
        All labels.
    stated : str, int, bool or None
        The label that the user stated; 1 is the label "1".

    Returns
    -------
    str or None
        None for three or more classes if no label is stated.

    Raises
    ------
    UsageError
        If the stated label does not exist, or neither of two labels is recognised.

    Examples
    --------
    >>> choose_positive(("benign", "malignant"))
    'malignant'
    """
    if stated is not None:
        return find_label(stated, classes)
    if len(classes) != 2:
        return None
    if len(recognised := recognise_positive(classes)) == 1:
        return recognised[0]
    raise UsageError(
        f"which label is the positive class, '{classes[0]}' or '{classes[1]}'? "
        f"State it with --positive LABEL (in Python: positive=LABEL)."
    )


def recognise_positive(classes: Collection[str]) -> list[str]:
    """Return the classes with a name that is recognised as the positive one.

    Examples
    --------
    >>> recognise_positive(["0", "1"]), recognise_positive(["1", "2"])
    (['1'], [])
    """
    if set(classes) in _NUMBERED:
        return ["1"]
    return [name for name in classes if name.casefold() in _POSITIVE_LABELS]


def spell_label(label: object) -> str:
    """Return a stated label as text: 1 is "1".

    Raises
    ------
    UsageError
        If it is not text, a whole number or a truth value.
    """
    try:
        return name_value(label)
    except TypeError:
        raise UsageError(f"the positive label must be text, not {shorten(label)}") from None


def find_label(label: object, classes: tuple[str, ...]) -> str:
    """Return the class that a label is a spelling of; a number stands for its text."""
    name = spell_label(label)
    found = match_names([name], classes)
    if name not in found:
        raise unknown_name("positive label", name, classes)
    return found[name]
