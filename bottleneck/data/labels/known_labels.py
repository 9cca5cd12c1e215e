"""Labels of new images as a fitted model knows them, and samples without a label."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from bottleneck.data.spelling.identifiers import legible
from bottleneck.data.spelling.missing_values import may_be_missing
from bottleneck.data.spelling.spelling_keys import match_names
from bottleneck.errors import UsageError
from bottleneck.text.plurals import counted

__all__ = ["class_meanings", "match_labels", "require_labels"]

_SHOWN = 3


def match_labels(
    counts: Mapping[str, int],
    classes: Sequence[str] = (),
    selection: Mapping[str, Any] | None = None,
) -> tuple[dict[str, str], list[str]]:
    """Return the class of a fitted model that each label means, and notes for the user.

    Parameters
    ----------
    counts : mapping of str to int
        The labels of new images, each with the number of these; "" for no label.
    classes : sequence of str
        The classes of the model; empty where there is no model, and each label is kept unless it
        may mean that there is no label.
    selection : mapping or None
        What was chosen of the training data, as ``Choice.record`` has it: classes that were merged
        become the class that they were merged into, and one that was left out becomes "".

    Returns
    -------
    names : dict of str to str
        The class of each label, "" for a label that is none of the model.
    notes : list of str
        Which labels count as unlabelled, and why.

    Examples
    --------
    >>> match_labels({"Benign": 3, "cyst": 1}, ["benign", "malignant"])[0]
    {'Benign': 'benign', 'cyst': ''}
    """
    labels = [label for label in counts if label]
    if not classes:
        unclear = [label for label in labels if may_be_missing(label)]
        notes = [_note(counts, unclear, "may mean that there is no label")] if unclear else []
        return {label: "" if label in unclear else label for label in counts}, notes
    targets = class_meanings(classes, selection)
    spelled = match_names(labels, targets)
    names = dict.fromkeys(counts, "")
    for label, name in spelled.items():
        # A name that means one class before a selection and another one after it means neither.
        names[label] = next(iter(targets[name])) if len(targets[name]) == 1 else ""
    notes = []
    known = f"({', '.join(classes)})"
    if unknown := [label for label in labels if label not in spelled]:
        notes.append(_note(counts, unknown, f"{_be(unknown)} no class of the model {known}"))
    lost = [label for label in spelled if not names[label]]
    if left_out := [label for label in lost if targets[spelled[label]] == {""}]:
        reason = f"{_be(left_out)} not among the classes that the model was trained on"
        notes.append(_note(counts, left_out, reason))
    if double := [label for label in lost if label not in left_out]:
        notes.append(_note(counts, double, f"may be two classes of the model {known}"))
    return names, notes


def class_meanings(
    classes: Sequence[str], selection: Mapping[str, Any] | None = None
) -> Mapping[str, frozenset[str]]:
    """Return the names that a fitted model knows, and the classes that each may mean.

    Parameters
    ----------
    classes, selection
        As for ``match_labels``.

    Returns
    -------
    mapping of str to frozenset of str
        The classes themselves, those that were merged into one of them, and those that were left
        out, which mean "".
    """
    meanings: dict[str, set[str]] = defaultdict(set)
    for name in classes:
        meanings[name].add(name)
    record = selection or {}
    for new, parts in (record.get("merged") or {}).items():
        for part in parts:
            meanings[part].add(new if new in classes else "")
    for name in record.get("left_out") or {}:
        meanings[name].add("")
    return {name: frozenset(found) for name, found in meanings.items()}


def _be(labels: Sequence[str]) -> str:
    return "is" if len(labels) == 1 else "are"


def _note(counts: Mapping[str, int], labels: Sequence[str], reason: str) -> str:
    shown = ", ".join(legible(label) for label in labels[:_SHOWN])
    more = f" (and {len(labels) - _SHOWN} other labels)" if len(labels) > _SHOWN else ""
    n = sum(counts[label] for label in labels)
    label = "label" if len(labels) == 1 else "labels"
    return (
        f"the {label} {shown}{more} of {counted(n, 'image')} {reason}: "
        f"{'it counts' if n == 1 else 'these count'} as unlabelled"
    )


def require_labels(name: str, counts: Mapping[str, int]) -> None:
    """Raise UsageError if a sample has no label, for whatever needs one of each.

    Parameters
    ----------
    name : str
        The data set, for the message.
    counts : mapping of str to int
        The number of samples with each label; "" for no label.
    """
    n, n_all = counts.get("", 0), sum(counts.values())
    if not n:
        return
    if n == n_all:
        raise UsageError(
            f"the {counted(n, 'sample')} of '{name}' have no labels, but this step needs a label "
            "for each: read them from a table with labels or from one folder per class, or predict "
            "them with a fitted model (bottleneck predict)"
        )
    raise UsageError(
        f"{n} of {n_all} samples of '{name}' have no label, but this step needs a label for each: "
        "select those with a label (in Python features.select(features.y != '')), or predict all "
        "of them "
        "with a fitted model (bottleneck predict)"
    )
