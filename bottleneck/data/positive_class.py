"""The label of the positive class: as it is stated, or recognised."""

from __future__ import annotations

import numbers

import numpy as np

from bottleneck.data.sample_checks import shorten
from bottleneck.data.spelling_keys import match_names
from bottleneck.errors import UsageError, unknown_name

__all__ = ["choose_positive", "find_label"]

# Labels that are recognised as the positive class, after casefold.
_POSITIVE_LABELS = ("malignant", "cancer", "positive", "1")


def choose_positive(classes: tuple[str, ...], stated: str | None = None) -> str | None:
    """Return the label of the positive class.

    If it is not stated, "malignant", "cancer", "positive" and "1" are recognised. Alphabetical
    order does not decide: it would swap sensitivity and specificity at random.

    Parameters
    ----------
    classes : tuple of str
        All labels.
    stated : str or None
        The label that the user stated.

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
    recognised = [c for c in classes if c.casefold() in _POSITIVE_LABELS]
    if len(recognised) == 1:
        return recognised[0]
    raise UsageError(
        f"which label is the positive class, '{classes[0]}' or '{classes[1]}'? "
        f"State it with --positive LABEL (in Python: positive=LABEL)."
    )


def find_label(label: object, classes: tuple[str, ...]) -> str:
    """Return the class that a label is a spelling of; a number stands for its text."""
    if isinstance(label, bool | np.bool_ | numbers.Integral):
        label = str(label)
    if not isinstance(label, str):
        raise UsageError(f"the positive label must be text, not {shorten(label)}")
    found = match_names([label], classes)
    if label not in found:
        raise unknown_name("positive label", label, classes)
    return found[label]
