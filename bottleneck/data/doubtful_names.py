"""Names that a spreadsheet or another encoding may have damaged, or that may mean nothing."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence

from bottleneck.data.identifiers import canonical, has_lost_digits, legible
from bottleneck.data.missing_values import is_class_word, may_be_missing, means_nothing
from bottleneck.data.samples import Sample, examples
from bottleneck.data.spelling_keys import N_DIGITS, is_rounded, loose_key
from bottleneck.errors import DataError
from bottleneck.plurals import counted

__all__ = ["NOUNS", "check_names", "check_unclear_labels", "is_missing"]

NOUNS = {"label": ("class", "classes"), "group": ("patient", "patients")}
NOUNS |= {"fold": ("fold", "folds"), "centre": ("centre", "centres")}
# A word such as "None" is a class if at least this share of the images has it.
_FREQUENT = 0.2
# No patient, and no class next to 0; next to 1 alone it is the other class.
_UNASSIGNED = "-1"
# So many classes of one image, for half of the images, are hardly classes.
_MANY = 10
# Short words that differ in one letter are often different: ill and all.
_MIN_LETTERS = 5
# Of more classes than these, names that differ in one letter are not searched for.
_MAX_CLASSES = 100
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
_SYMBOLS = "‰¥§®©¢£¶∂∆∏∑√∞∫≈≠≤≥◊"
_LOST_LETTER = re.compile(
    rf"[^\W\d_]\?[^\W\d_]|[{_SYMBOLS}]+\w|\w[¸ⁿ²³{_SYMBOLS}]+[^\W\d_]|[\u2500-\u259f]|[{_SYMBOLS}]{{2}}"
)
# Between two labels of one image.
_BETWEEN_LABELS = re.compile(r"[;|,/&+]")


def is_missing(field: str, name: str) -> bool:
    """Return whether a canonical name in a field of samples means that there is none."""
    is_code = field == "group" and (may_be_missing(name) or name == _UNASSIGNED)
    return means_nothing(name) or is_code


def check_names(samples: Sequence[Sample], field: str) -> tuple[list[str], bool]:
    """Refuse names that lost characters.

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
            f"the {noun} {legible(found['date'][0])} looks like a date that a spreadsheet made of "
            f"another name, such as 1-2; compare the {nouns} with the original data"
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
    if field == "label":
        raise DataError(
            f"{counted(n, 'image')} {'has' if n == 1 else 'have'} the label {legible(text)}, which "
            "means that there is none. Leave such images out; if it is a class, rename it"
        )
    if field != "group" or not canonical(text):
        return notes, True
    have, each = ("has", "it") if n == 1 else ("have", "each")
    note = (
        f"{counted(n, 'image')} {have} the patient {legible(text)} or the like, which names "
        f"nobody; {each} counts as a patient of its own"
    )
    return [*notes, note], True


def _note_several(classes: Iterable[str]) -> list[str]:
    """Return a note on a class that consists of another and something else: "benign;cyst"."""
    keys = {loose_key(name): name for name in classes}
    for name in classes:
        parts = [loose_key(part) for part in _BETWEEN_LABELS.split(name)]
        found = [keys[part] for part in parts if part in keys]
        if found and len(list(filter(None, parts))) > 1:
            return [
                f"the class '{name}' stays a class of its own, but may be '{found[0]}' and a "
                "second label; if it is, write one label for each image"
            ]
    return []


def _note_one_edit(classes: Sequence[str]) -> list[str]:
    """Return a note on two words that are classes, and may be one that was typed in two ways."""
    words = [name for name in classes if name.isalpha()]
    for one, other in itertools.combinations(words[:_MAX_CLASSES], 2):
        if _is_one_edit(one.casefold(), other.casefold()):
            return [
                f"the classes '{one}' and '{other}' count as two; if one is a short form or was "
                "mistyped, write them in one way"
            ]
    return []


def _is_one_edit(one: str, other: str) -> bool:
    """Return whether a word begins with another, or differs from it in one letter of five."""
    short, long = sorted((one, other), key=len)
    if long.startswith(short):
        return len(long) >= _MIN_LETTERS
    begin = _count_shared(short, long)
    end = _count_shared(short[begin:][::-1], long[begin:][::-1])
    rest = short[begin : len(short) - end], long[begin : len(long) - end]
    is_swapped = len(rest[0]) == 2 and rest[0] == rest[1][::-1]
    return len(short) >= _MIN_LETTERS and (len(rest[1]) == 1 or is_swapped)


def _count_shared(one: str, other: str) -> int:
    """Return how many letters two words have in common at their beginnings."""
    pairs = zip(one, other, strict=False)
    return len(list(itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)))


def check_unclear_labels(samples: Sequence[Sample]) -> list[str]:
    """Return notes about labels that may be several, or may mean that there is no label.

    "None" and "unknown" are classes if at least a fifth of the images has them.

    Parameters
    ----------
    samples : sequence of Sample
        All samples of a data set, with canonical labels.

    Raises
    ------
    DataError
        If fewer images have such a label.
    """
    counts = dict(examples(samples, "label", str).values())
    notes = _note_several(counts) + _note_one_edit(list(counts))
    alone = [name for name, n in counts.items() if n == 1]
    if len(alone) >= max(_MANY, len(samples) / 2):
        notes.append(
            f"{len(alone)} of {len(counts)} classes have one image, such as {legible(alone[0])}; "
            "if these are texts or measurements, name another column with --label-column"
        )
    for name, n in counts.items():
        is_unclear = may_be_missing(name) or (name == _UNASSIGNED and "0" in counts)
        if not (is_unclear or is_class_word(name)):
            continue
        who = f"{n} of {counted(len(samples), 'image')}"
        if is_unclear and n < _FREQUENT * len(samples):
            raise DataError(
                f"is '{name}', the label of {who}, a class, or does it mean that there is no "
                f"label? If there is none, empty these fields in the table, and the images are "
                "left out; if it is a class, give it a name that states it, such as 'no nodule'"
            )
        if is_unclear:
            notes.append(
                f"'{name}' is read as a class ({who}); if it means that there is no label, empty "
                "these fields in the table"
            )
        elif n < _FREQUENT * len(samples) and len(counts) > 2:
            notes.append(
                f"'{name}' is read as a class ({who}); if it means that something was not looked "
                "for, empty these fields in the table"
            )
    return notes
