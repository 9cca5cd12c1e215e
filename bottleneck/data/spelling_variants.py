"""Names that differ in their spelling alone, which tables that went through a spreadsheet have."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from bottleneck.data.samples import Sample, first_alike
from bottleneck.errors import DataError

__all__ = ["refuse_spelling_variants", "spelling_key"]

_WHOLE_NUMBER = re.compile(r"0*(\d+)(\.0*)?")
_NAMES = {"label": "classes", "group": "patients", "fold": "folds", "centre": "centres"}


def refuse_spelling_variants(samples: Sequence[Sample], where: str) -> None:
    """Refuse samples of which a class, a patient, a fold or a centre is written in two ways.

    A patient that counts as two may stand on both sides of a split.

    Parameters
    ----------
    samples : sequence of Sample
        What to look at.
    where : str
        Where they are from, for the message.

    Raises
    ------
    DataError
        If two names have one ``spelling_key``.
    """
    for field, names in _NAMES.items():
        if alike := first_alike(samples, field, spelling_key):
            a, b = alike
            raise DataError(
                f"{where}: the {names} '{a}' and '{b}' differ in their spelling alone. Write them "
                "in one way; if they are two, give them names that differ in more than case, "
                "spaces, or zeros"
            )


def spelling_key(text: str) -> str:
    """Return what is left of a name without its spelling.

    Case, spaces and the form of a whole number do not matter: "P 7" is "p7", and "7.0" is "007".

    Examples
    --------
    >>> spelling_key("007.0"), spelling_key(" Bösartig")
    ('7', 'bösartig')
    """
    folded = "".join(unicodedata.normalize("NFC", text).casefold().split())
    number = _WHOLE_NUMBER.fullmatch(folded)
    return number[1] if number else folded
