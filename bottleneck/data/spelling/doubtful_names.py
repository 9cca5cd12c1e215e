"""Names that a spreadsheet or another encoding may have damaged, or that may mean nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bottleneck.data.samples.sample_table import Sample, examples
from bottleneck.data.spelling.identifiers import canonical, has_lost_digits, legible
from bottleneck.data.spelling.missing_values import UNASSIGNED, may_be_missing, means_nothing
from bottleneck.data.spelling.spelling_keys import N_DIGITS, is_rounded
from bottleneck.errors import DataError
from bottleneck.text.plurals import counted

__all__ = ["NOUNS", "check_names", "is_missing"]

NOUNS = {"label": ("class", "classes"), "group": ("patient", "patients")}
NOUNS |= {"fold": ("fold", "folds"), "centre": ("centre", "centres")}
# So few images may have a long number that ends in zeros by chance.
_FEW = 2

# 2-Jan, Jan-02, 2. Jan, 01/02/2024, 2024/1/2 and 1月2日: what spreadsheets make of 1-2 and 01/02.
_MONTHS = "jan ene gen feb f[eé]v m[aä]r mrz apr abr avr ma[gijy] jui?n giu jui?l lug aug ago "
_MONTHS += "ao[uû]t? sep set o[ckt]t out nov d[eéi][czs]"
_MONTH = f"(?:{_MONTHS.replace(' ', '|')})[a-z.]{{0,2}}"
_DATE = re.compile(
    rf"\d{{1,2}}[-. ]{{1,2}}{_MONTH}(?:[-. ]\d{{2,4}})?|{_MONTH}[-. ]\d{{2,4}}"
    r"|\d{4}([-/])\d{1,2}\1\d{1,2}|\d{1,2}([./])\d{1,2}\2\d{4}|(?:\d{4}年)?\d{1,2}月(?:\d{1,2}日)?",
    re.IGNORECASE,
)
# A letter that became "?", and symbols next to a letter that stand for bytes in other encodings.
_SYMBOLS = "‰¥§®©¢£¶∂∆∏∑√∞∫≈≠◊"
_LOST_LETTER = re.compile(
    rf"[^\W\d_]\?[^\W\d_]|[^\W\d_][{_SYMBOLS}]|[{_SYMBOLS}][^\W\d_]|\w[¸ⁿ²³]+[^\W\d_]|[{_SYMBOLS}]{{2}}"
    r"|[\u2500-\u259f]"
)


def is_missing(field: str, name: str) -> bool:
    """Return whether a canonical name in a field of samples means that there is none."""
    is_code = field == "group" and (may_be_missing(name) or name == UNASSIGNED)
    return means_nothing(name) or is_code


def check_names(
    samples: Sequence[Sample], field: str, *, unlabelled: bool = False
) -> tuple[list[str], bool]:
    """Refuse names that lost characters; and labels that mean nothing, unless they may.

    Return notes about names that mean nothing, and whether a name is not in its canonical form.
    """
    noun, nouns = NOUNS[field]

    def fault(text: str) -> str:
        name = canonical(text)
        if "\ufffd" in name:
            return "letters"
        if has_lost_digits(name):
            return "digits"
        if name.startswith("=") and len(name) > 1:
            return "formula"
        if is_missing(field, name):
            return "missing"
        if field == "group" and name.isdigit() and len(name) > N_DIGITS:
            return "rounded" if is_rounded(name) else "long"
        if name.isascii() and name.isalnum():
            return "" if name == text else "respelled"
        if field == "group" and _DATE.fullmatch(name):
            return "date"
        if _LOST_LETTER.search(name) or (field == "group" and "?" in name):
            return "letter"
        return "" if name == text else "respelled"

    found = examples(samples, field, fault)
    if "letters" in found:
        raise DataError(
            f"the {noun} '{found['letters'][0]}' contains the character for a letter that could "
            "not be read, so different names may look alike. Export the table again as UTF-8"
        )
    if "digits" in found:
        raise DataError(
            f"the {noun} '{found['digits'][0]}' is a number from which a spreadsheet removed "
            f"digits. Format the column of the {nouns} as text before the data are pasted into it, "
            "and export the table again"
        )
    if "formula" in found:
        raise DataError(
            f"the {noun} {legible(found['formula'][0])} is a formula of a spreadsheet, not its "
            "value; export the table with values"
        )
    notes = []
    if "date" in found and len(found) > 1:
        notes.append(
            f"the {noun} {legible(found['date'][0])} looks like a date, into which a "
            f"spreadsheet may have turned a name such as 1-2; compare the {nouns} with the "
            "original data"
        )
    if "letter" in found:
        notes.append(
            f"the {noun} {legible(found['letter'][0])} may have lost a letter, or may have been "
            "read in another encoding; export the table again as UTF-8"
        )
    if "long" not in found and found.get("rounded", ("", 0))[1] > _FEW:
        notes.append(
            f"the {noun} '{found['rounded'][0]}' looks like a number that a spreadsheet or a join "
            f"of tables rounded, like all {nouns} of more than {N_DIGITS} digits, so different "
            f"{nouns} may have become one; compare the {nouns} with the original data"
        )
    changes = not set(found) <= {""}
    if "missing" not in found:
        return notes, changes
    text, n = found["missing"]
    if field == "label" and not unlabelled:
        raise DataError(
            f"{counted(n, 'image')} {'has' if n == 1 else 'have'} the label {legible(text)}, which "
            "means that there is none. Leave such images out; if it is a class, rename it"
        )
    if field != "group" or not canonical(text):
        return notes, True
    have, each = ("has", "it") if n == 1 else ("have", "each")
    note = (
        f"{counted(n, 'image')} {have} the patient {legible(text)} or the like, which is not a "
        f"name; {each} counts as a patient of its own"
    )
    return [*notes, note], True
