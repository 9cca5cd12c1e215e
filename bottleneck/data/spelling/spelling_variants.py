"""One spelling for every class, patient, fold and centre of a data set."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

from bottleneck.data.samples.sample_table import Sample, alike, collect, examples
from bottleneck.data.spelling.doubtful_names import NOUNS, check_names, is_missing
from bottleneck.data.spelling.identifiers import canonical, legible
from bottleneck.data.spelling.spelling_keys import (
    N_DIGITS,
    loose_key,
    near_key,
    roundings,
    truth_value,
    wide_key,
)
from bottleneck.errors import DataError
from bottleneck.text.plurals import counted

__all__ = ["new_notes", "unify_spellings"]

# What notes say of names that stay apart.
_APART = "count as two"
_THREE_ZEROS = re.compile(r"([1-9]\d{0,2})[.,]000")

# Renames of names, and notes about them.
_Plan = tuple[dict[str, str], list[str]]


def unify_spellings(
    samples: Sequence[Sample], *, unlabelled: bool = False
) -> tuple[Sequence[Sample], list[str]]:
    """Return samples in which every class, patient, fold and centre has one spelling.

    A patient with two spellings would count as two patients, which may be on both sides of a
    split. All spellings with one canonical form, and those that differ in letter case or spaces,
    become one name. A patient, fold or centre that means nothing, such as "NA", becomes None.

    Parameters
    ----------
    samples : sequence of Sample
        The samples of a data set.
    unlabelled : bool
        Whether samples may have no label. A label that means nothing then becomes "".

    Returns
    -------
    samples : sequence of Sample
        With canonical names; the same object if nothing changed.
    notes : list of str
        Notes that name the spellings that were joined, and those that may need to be.

    Raises
    ------
    DataError
        If names differ only in the zeros of a number, a spreadsheet cut the digits of a number, a
        name lost letters in a wrong encoding, or a label means nothing.
    """
    notes, renames, changes = [], {}, False
    for field in NOUNS:
        more, differs = check_names(samples, field, unlabelled=unlabelled)
        renames[field], others = _plan(samples, field)
        notes += more + others
        changes = changes or differs or bool(renames[field])
    notes += _note_ids(samples)
    return collect(_rename(s, renames) for s in samples) if changes else samples, notes


def _rename(sample: Sample, renames: Mapping[str, Mapping[str, str]]) -> Sample:
    names: dict[str, Any] = {}
    for field, renamed in renames.items():
        text = getattr(sample, field)
        if text is not None:
            name = canonical(text)
            missing = "" if field == "label" else None
            kept = missing if is_missing(field, name) else renamed.get(name, name)
            if kept != text:
                names[field] = kept
    return dataclasses.replace(sample, **names) if names else sample


def _plan(samples: Sequence[Sample], field: str) -> _Plan:
    """Return the renames of canonical names, and the notes about a field."""
    noun, nouns = NOUNS[field]
    notes: list[str] = []
    spelled: list[tuple[str, str]] = []
    joined: list[tuple[str, str]] = []
    rounded: tuple[str, str] | None = None
    renames: dict[str, str] = {}
    for group in alike(samples, field, wide_key):
        # Spellings of each canonical name, and canonical names of each loose key.
        n_images: dict[str, int] = {}
        first: dict[str, str] = {}
        for text, n in group:
            name = canonical(text)
            if is_missing(field, name):
                continue
            if first.setdefault(name, text) != text:
                spelled.append((first[name], text))
            n_images[name] = n_images.get(name, 0) + n
        rounded = rounded or _find_rounded(n_images)
        families: dict[str, list[str]] = {}
        for name in n_images:
            families.setdefault(loose_key(name), []).append(name)
        kept = [max(names, key=n_images.__getitem__) for names in families.values()]
        _refuse_numbers(list(n_images), noun, nouns)
        for names, name in zip(families.values(), kept, strict=True):
            others = [other for other in names if other != name]
            renames |= dict.fromkeys(others, name)
            joined += [(name, other) for other in others]
    notes += _describe(spelled, noun, nouns, "are read as one")
    notes += _describe(
        joined,
        noun,
        nouns,
        f"differ only in letter case, spaces or number format and are read as one {noun}; "
        f"if they are different, give the {nouns} names that differ in more",
    )
    if field == "label":
        words, more = _join_truth_values(samples, renames)
        renames |= words
        notes += more
    if rounded:
        one, other = rounded
        notes.append(
            f"the {nouns} '{one}' and '{other}' {_APART}, but spreadsheets and joins of tables "
            f"round numbers of more than {N_DIGITS} digits in this way: compare the {nouns} with "
            "the original data"
        )
    return renames, notes + _note_near(samples, field)


def _find_rounded(names: Mapping[str, int]) -> tuple[str, str] | None:
    """Return a long number that another one becomes by rounding, and that other one."""
    pairs = ((name, roundings(name) & names.keys()) for name in names)
    return next(((min(others), name) for name, others in pairs if others), None)


def _describe(pairs: list[tuple[str, str]], noun: str, nouns: str, words: str) -> list[str]:
    if not pairs:
        return []
    one, other = _show(*pairs[0])
    n = len({name for name, _ in pairs})
    several = f" ({counted(n, noun) if n == 1 else f'{n} {nouns}'} with several spellings)"
    return [f"the {nouns} {one} and {other} {words}{several if n > 1 else ''}"]


def _show(one: str, other: str) -> tuple[str, str]:
    """Return two names in quotes; escaped if letters of two scripts may look alike."""
    if one.isascii() != other.isascii() and loose_key(one) == loose_key(other):
        return ascii(one), ascii(other)
    return legible(one), legible(other)


def _refuse_numbers(names: list[str], noun: str, nouns: str) -> None:
    """Refuse numbers of one wide key that differ in leading zeros, or may differ by 1000."""
    numbers: dict[str, str] = {}
    for name in names:
        key = loose_key(name)
        if not key.isdigit():
            continue
        other = numbers.setdefault(key.lstrip("0") or "0", name)
        if loose_key(other) != key:
            raise DataError(
                f"the {nouns} '{other}' and '{name}' differ only in leading zeros, which "
                f"spreadsheets remove. Write each {noun} in one way; if they are different, give "
                "them names that differ in more than zeros"
            )
    for name in names:
        match = _THREE_ZEROS.fullmatch(name)
        if match and match[1] in numbers:
            raise DataError(
                f"the {noun} '{name}' may be {match[1]} with decimals, or {match[1]}000, and there "
                f"is also '{numbers[match[1]]}'. Write each {noun} in one way, without decimals"
            )


def _join_truth_values(samples: Sequence[Sample], renames: Mapping[str, str]) -> _Plan:
    """Join classes such as "1" and "True"; refuse them where other classes leave it open."""
    found = examples(samples, "label", lambda text: renames.get(canonical(text), canonical(text)))
    found = {name: example for name, example in found.items() if not is_missing("label", name)}
    pairs = []
    values = {name: truth_value(name) for name in found}
    # Letters alone, such as S, N and F, are as likely to stand for something else.
    has_word = any(len(name) > 1 or name in ("0", "1") for name in found)
    all_true_or_false = has_word and None not in values.values() and len(found) > 2
    for value in ("1", "0"):
        strict = [name for name in found if truth_value(name, strict=True) == value]
        names = [name for name in found if values[name] == value] if all_true_or_false else strict
        if len(names) > 1:
            pairs.append(names)
    if not pairs:
        return {}, []
    one, other = pairs[0][:2]
    if not (all_true_or_false or None not in (truth_value(n, strict=True) for n in found)):
        third = next(name for name, value in values.items() if value is None)
        raise DataError(
            f"the classes '{one}' and '{other}' may be one class, but there is also '{third}'. "
            "Write each class in one way"
        )
    words = {name: value for name, value in values.items() if value is not None and name != value}
    note = f"the classes {legible(one)} and {legible(other)} are read as one, '{values[one]}'" + (
        f"; so are {legible(pairs[1][0])} and {legible(pairs[1][1])}, as '{values[pairs[1][0]]}'"
        if len(pairs) > 1
        else ""
    )
    return words | {old: words[new] for old, new in renames.items() if new in words}, [note]


def _note_near(samples: Sequence[Sample], field: str) -> list[str]:
    """Return a note about names that stay apart but may be one."""
    _, nouns = NOUNS[field]
    pairs = []
    for group in [*alike(samples, field, near_key), *_find_lost_letters(samples, field)]:
        names: dict[str, str] = {}
        for text, _ in group:
            if not is_missing(field, canonical(text)):
                names.setdefault(loose_key(text), canonical(text))
        if len(names) > 1:
            pairs.append(tuple(names.values())[:2])
    if not pairs:
        return []
    one, other = _show(*pairs[0])
    return [
        f"the {nouns} {one} and {other} {_APART}; if they are one, write them in one way"
        + (f" ({len(pairs)} names are as similar to another)" if len(pairs) > 1 else "")
    ]


def _find_lost_letters(samples: Sequence[Sample], field: str) -> list[list[tuple[str, int]]]:
    """Return pairs of names of which one is the other without the letters that are not ASCII."""
    if len(examples(samples, field, lambda text: str(text.isascii()))) < 2:
        return []
    pairs = []
    for group in alike(samples, field, _ascii_key):
        is_ascii = [canonical(text).isascii() for text, _ in group]
        if len(set(is_ascii)) > 1:
            pairs.append([group[is_ascii.index(True)], group[is_ascii.index(False)]])
    return pairs


def _ascii_key(text: str) -> str:
    name = canonical(text)
    return near_key(name.encode("ascii", "ignore").decode()) or name


def _note_ids(samples: Sequence[Sample]) -> list[str]:
    # Faster than a search among a million ids that are all canonical.
    if set(examples(samples, "id", lambda text: str(text == canonical(text)))) <= {"True"}:
        return []
    if not (groups := alike(samples, "id", canonical)):
        return []
    (one, _), (other, _) = groups[0][:2]
    return [
        f"the ids {legible(one)} and {legible(other)} differ only in spelling and {_APART} "
        f"images; if they are one, delete one of them ({counted(len(groups), 'such id')})"
    ]


def new_notes(notes: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """Return the notes that differ from all known ones, apart from names and numbers.

    What stays as it is would be noted again of every part of a data set, with other names.
    """
    forms = set(map(_without_names, known))
    return tuple(note for note in notes if _without_names(note) not in forms)


def _without_names(note: str) -> str:
    return re.sub(r"'[^']*'| ?\(.*\)|\d+", "", note)
