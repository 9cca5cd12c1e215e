"""Labels that may be no class: they may mean nothing, be mistyped, or be several."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence

from bottleneck.data.samples.sample_table import Sample, examples
from bottleneck.data.spelling.identifiers import legible
from bottleneck.data.spelling.missing_values import UNASSIGNED, is_class_word, may_be_missing
from bottleneck.data.spelling.spelling_keys import loose_key
from bottleneck.errors import DataError
from bottleneck.text.plurals import counted

__all__ = ["check_unclear_labels"]

# A word such as "None" is a class if at least this share of the images has it.
_FREQUENT = 0.2
# So many classes of one image, for half of the images, are hardly classes.
_MANY = 10
# Short words that differ in one letter are often different: ill and all.
_MIN_LETTERS = 5
# Of more classes than these, names that differ in one letter are not searched for.
_MAX_CLASSES = 100
# Between two labels of one image.
_BETWEEN_LABELS = re.compile(r"[;|,/&+]")
# Around a word, these are a remark on the label: "benign?".
_MARKS = "?!*.()[]"


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
    words = [name for name in classes if name.strip(_MARKS).isalpha()]
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
    counts = {name: n for name, n in examples(samples, "label", str).values() if name}
    n_labelled = sum(counts.values())
    notes = _note_several(counts) + _note_one_edit(list(counts))
    alone = [name for name, n in counts.items() if n == 1]
    if len(alone) >= max(_MANY, n_labelled / 2):
        notes.append(
            f"{len(alone)} of {len(counts)} classes have one image, such as {legible(alone[0])}; "
            "if these are texts or measurements, name another column with --label-column"
        )
    for name, n in counts.items():
        is_unclear = may_be_missing(name) or (name == UNASSIGNED and "0" in counts)
        if not (is_unclear or is_class_word(name)):
            continue
        who = f"{n} of {counted(n_labelled, 'image')}"
        if is_unclear and n < _FREQUENT * n_labelled:
            raise DataError(
                f"is '{name}', the label of {who}, a class, or does it mean that there is no "
                "label? If there is none, empty these fields in the table, and the images are "
                "left out. If it is a class, give it a clear name, such as 'no nodule'"
            )
        if is_unclear:
            notes.append(
                f"'{name}' is read as a class ({who}); if it means that there is no label, empty "
                "these fields in the table"
            )
        elif n < _FREQUENT * n_labelled and len(counts) > 2:
            notes.append(
                f"'{name}' is read as a class ({who}); if it means that something was not "
                "examined, empty these fields in the table"
            )
    return notes
