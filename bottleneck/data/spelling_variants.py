"""Names that differ only in spelling, as tables edited in a spreadsheet often contain."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from bottleneck.data.samples import Sample, first_alike
from bottleneck.errors import DataError

__all__ = ["refuse_spelling_variants", "spelling_key"]

_WHOLE_NUMBER = re.compile(r"0*(\d+)(\.0*)?")
_NAMES = {"label": "classes", "group": "patients", "fold": "folds", "centre": "centres"}


def refuse_spelling_variants(samples: Sequence[Sample], source: str) -> None:
    """Raise an error if a class, patient, fold or centre is spelled in two ways.

    A patient with two spellings counts as two patients, which may be on both sides of a split.

    Parameters
    ----------
    samples : sequence of Sample
        The samples to check.
    source : str
        The data set that they come from, for the message.

    Raises
    ------
    DataError
        If two names have the same ``spelling_key``.
    """
    for field, names in _NAMES.items():
        if alike := first_alike(samples, field, spelling_key):
            a, b = alike
            raise DataError(
                f"{source}: the {names} '{a}' and '{b}' differ only in spelling. Write them in one "
                "way; if they are different, give them names that differ in more than case, "
                "spaces or zeros"
            )


def spelling_key(text: str) -> str:
    """Return a key that all spellings of one name share.

    Case, spaces and the form of a whole number are ignored: "P 7" equals "p7", "7.0" equals "007".

    Examples
    --------
    >>> spelling_key("007.0"), spelling_key(" Bösartig")
    ('7', 'bösartig')
    """
    folded = "".join(unicodedata.normalize("NFC", text).casefold().split())
    number = _WHOLE_NUMBER.fullmatch(folded)
    return number[1] if number else folded
