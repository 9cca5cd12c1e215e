"""What a selection means for one data set: samples that are kept, and names of classes."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.labels.positive_class import recognise_positive, spell_label
from bottleneck.data.spelling.identifiers import legible
from bottleneck.data.spelling.spelling_keys import match_names
from bottleneck.errors import UsageError, unknown_name

__all__ = ["Choice", "Selectable", "describe_merges", "follow_positive", "join_records"]

_EXCLUDED = "excluded by list"


@dataclasses.dataclass(frozen=True)
class Selectable:
    """What a selection needs to know of a data set.

    Attributes
    ----------
    name : str
        Its name, for messages.
    column : callable
        Returns the values of "id", "source", "group" (patients) or "label" for every sample; no
        value for "source" or "group" where there are none.
    lost : sequence of str
        Ids of samples that could not be read and are not among these.
    positive : str or None
        The positive class.
    """

    name: str
    column: Callable[[str], Iterable[str]]
    lost: Sequence[str] = ()
    positive: str | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Choice:
    """What a selection means for one data set.

    Attributes
    ----------
    rows : ndarray of bool, shape (n_samples,)
        Whether each sample is kept.
    names : mapping of str to str
        The name of each class after merging.
    kept : tuple of str
        Classes that are kept, sorted.
    positive : str or None
        The positive class.
    excluded : tuple of str
        Ids of samples that are excluded by the list, sorted.
    left_out : mapping of str to int
        Classes that are left out, each with the number of its samples.
    merged : mapping of str to tuple of str
        New classes, and the classes that were merged into each.
    notes : tuple of str
        Notes to the user on how the list was read.
    unknown : tuple of str
        Entries of the list that name no sample.
    problem : str
        An error message for these.
    """

    rows: NDArray[np.bool_]
    names: Mapping[str, str]
    kept: tuple[str, ...]
    positive: str | None
    excluded: tuple[str, ...]
    left_out: Mapping[str, int]
    merged: Mapping[str, tuple[str, ...]]
    notes: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    problem: str = ""

    @property
    def changes(self) -> bool:
        """Whether anything is left out or merged."""
        return bool(self.excluded or self.left_out or self.merged)

    def refuse_unknown(self) -> Choice:
        """Return this choice if its list names samples only.

        Raises
        ------
        UsageError
            If an entry of the list names no sample.
        """
        if self.problem:
            raise UsageError(self.problem)
        return self

    def rename(self, labels: Iterable[str]) -> list[str]:
        """Return labels as they are called after merging."""
        return [self.names.get(label, label) for label in labels]

    def record(self, before: Mapping[str, Any]) -> dict[str, Any]:
        """Return this choice, made after earlier ones, for the record of a data set.

        Parameters
        ----------
        before : mapping
            The record of the earlier ones; may be empty.

        Returns
        -------
        dict
            excluded (number of samples), left_out (class to number of samples), merged (new class
            to the classes of the data set) and ``words``.
        """
        earlier = before.get("merged", {})
        used = {part for parts in self.merged.values() for part in parts}
        merged = {new: parts for new, parts in earlier.items() if new not in used}
        for new, parts in self.merged.items():
            merged[new] = [own for part in parts for own in earlier.get(part, (part,))]
        record = {
            "excluded": before.get("excluded", 0) + len(self.excluded),
            "left_out": {**before.get("left_out", {}), **self.left_out},
            "merged": merged,
        }
        return {**record, "words": _describe(record)}

    def count(self, before: Mapping[str, int]) -> dict[str, int]:
        """Return the number of samples left out for each reason, those left out before included."""
        counts = Counter(before)
        counts[_EXCLUDED] += len(self.excluded)
        for name, n in self.left_out.items():
            counts[f"class {name} left out"] += n
        return {reason: n for reason, n in counts.items() if n or reason in before}

    def fingerprint(self, before: str) -> str:
        """Return a fingerprint of what is kept of a data set with another fingerprint."""
        what = [before, self.excluded, sorted(self.left_out), sorted(self.merged.items())]
        return hashlib.sha256(json.dumps(what).encode()).hexdigest()


def _describe(record: Mapping[str, Any]) -> str:
    """Return a record of what was chosen in words."""
    words = [f"{_EXCLUDED}: {record['excluded']}"] if record["excluded"] else []
    words += [f"class {name} left out: {n}" for name, n in record["left_out"].items()]
    return "; ".join([*words, *describe_merges(record)])


def join_records(records: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return one record of what was chosen of several data sets; empty if nothing was."""
    chosen = [record for record in records if record]
    if not chosen:
        return {}
    left_out: Counter[str] = Counter()
    merged: dict[str, list[str]] = {}
    for record in chosen:
        left_out.update(record["left_out"])
        for new, parts in record["merged"].items():
            merged[new] = sorted({*merged.get(new, ()), *parts})
    excluded = sum(record["excluded"] for record in chosen)
    joined = {"excluded": excluded, "left_out": dict(left_out), "merged": merged}
    return {**joined, "words": _describe(joined)}


def describe_merges(record: Mapping[str, Any]) -> list[str]:
    """Return a phrase on each merged class, such as "a and b merged into c".

    Parameters
    ----------
    record : mapping
        From ``Choice.record``, or empty.
    """
    phrases = []
    for new, parts in record.get("merged", {}).items():
        *first, last = parts
        listed = f"{', '.join(first)} and {last}" if first else last
        phrases.append(f"{listed} {'merged into' if first else 'renamed'} {new}")
    return phrases


def follow_positive(
    stated: object, recorded: str | None, names: Mapping[str, str], kept: Sequence[str]
) -> str | None:
    """Return the positive class after merging."""
    if stated is not None:
        stated = spell_label(stated)
        if (same := match_names([stated], kept).get(stated)) is not None:
            return same
        old = match_names([stated], names).get(stated)
        if old is None and stated not in names.values():
            raise unknown_name("positive label", stated, kept)
        target = stated if old is None else names[old]
        if target not in kept:
            raise UsageError(
                f"the positive class {legible(stated)} is left out: keep it, or state another one "
                f"({', '.join(kept)})"
            )
        return target
    if recorded is not None and names.get(recorded) in kept:
        return names[recorded]
    recognised = sorted({names[c] for c in recognise_positive(names)} & set(kept))
    return recognised[0] if len(kept) == 2 and len(recognised) == 1 else None
