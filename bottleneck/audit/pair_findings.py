"""Findings on pairs of duplicates: what they likely are, and what they are apart in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bottleneck.audit.findings import Finding
from bottleneck.checks.check_registry import Severity
from bottleneck.data.splits.protocol import Conflicts
from bottleneck.duplicates.kinds.duplicate_pair import DuplicatePair, PairKind
from bottleneck.duplicates.label_conflicts import find_conflicting
from bottleneck.duplicates.leak_safe_groups import LeakSafeGroups
from bottleneck.duplicates.near_duplicates import NearDuplicateSearch
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.text.plurals import counted

__all__ = ["describe_pairs", "name_kind"]

Strings: TypeAlias = NDArray[np.str_]

_EITHER = "an altered copy or a neighbouring frame"
_ARTICLES: Mapping[str, str] = {"altered copy": "an", "neighbouring frame": "a"}
_KINDS: tuple[tuple[PairKind, str, str], ...] = (
    ("altered copy", "altered copy", "altered copies"),
    ("neighbouring frame", "neighbouring frame", "neighbouring frames"),
    ("unclear", "unclear pair", "unclear pairs"),
)
_DECIDED = {
    "drop": " and are left out of every figure (--conflicts drop)",
    "keep": " and are used as they are labelled (--conflicts keep)",
    "majority": " and take the label of most copies (--conflicts majority)",
    "stop": "",
}


def describe_pairs(
    features: FeatureSet,
    pairs: Sequence[DuplicatePair],
    divisions: Mapping[str, Strings],
    *,
    joined: bool = True,
    given: bool = False,
    search: NearDuplicateSearch | None = None,
    conflicts: Conflicts = "drop",
) -> list[Finding]:
    """Describe the pairs of duplicates in different folds, of different patients or labels.

    Parameters
    ----------
    features : FeatureSet
        The features.
    pairs : sequence of DuplicatePair
        Identical and near-duplicate images.
    divisions : mapping of str to ndarray of str, shape (n_samples,)
        The fold of every sample, "" for none, by the name of the division.
    joined : bool
        Whether duplicates of different patients are kept together, as all commands do by default.
    given : bool
        Whether the folds may have been made without features, as those of a trained network.
        Pairs that only features confirm are then a warning where the folds divide them, no leak.
    search : NearDuplicateSearch or None
        The search that found the near-duplicates.
    conflicts : {"drop", "keep", "majority", "stop"}
        What is done with copies that have different labels, as in ``Protocol``.
    """
    patients = features.ids if features.patients is None else features.patients
    a, b = (np.array([getattr(p, end) for p in pairs], int) for end in "ab")
    identical = np.array([p.identical for p in pairs], bool)
    doubtful = np.array([given and _is_doubtful(p, search) for p in pairs], bool)
    # A code of its own where a relation is no matter of copies alone.
    relations: list[tuple[str, Severity, NDArray[np.bool_], str]] = []
    for name, fold in divisions.items():
        apart = (fold[a] != fold[b]) & (fold[a] != "") & (fold[b] != "")
        relations.append((f"are in different {name}", "leak", apart & ~doubtful, ""))
        relation = f"are doubtful copies, confirmed by features alone, in different {name}"
        relations.append((relation, "warning", apart & doubtful, ""))
    if features.patients is not None:
        relation = "belong to different patients"
    elif joined:
        relation = "have no known patient"
    else:
        relation = "may be on both sides of a split, since no patients are known"
    if joined:
        relation += "; no split may divide such a pair"
    severity: Severity = "note" if joined else "leak"
    relations.append((relation, severity, patients[a] != patients[b], ""))
    differ = features.y[a] != features.y[b]
    found = LeakSafeGroups(None, tuple(pairs), search)
    conflicting = [row for copies in find_conflicting(found, features.y) for row in copies]
    decided = np.isin(a, conflicting) & np.isin(b, conflicting)
    relation = f"have different labels{_DECIDED[conflicts]}"
    relations.append((relation, "warning", differ & decided, "BF203"))
    relations.append(("have different labels", "warning", differ & ~decided, "BF203"))
    harmless = ~np.any([mask for _, _, mask, _ in relations], axis=0)
    relations.append(("belong to one patient and stay together: no leak", "note", harmless, ""))
    same = "identical images"
    if not features.has_images:
        same = "samples with equal features, which count as copies"
    elif features.has_volumes:
        same = f"{features.noun}s with identical voxels"
    kinds = (("BF103", identical, same), ("BF104", ~identical, "near-duplicate images"))
    findings = []
    for relation, severity, mask, own in relations:
        for code, chosen, what in kinds:
            rows = np.flatnonzero(mask & chosen)
            if len(rows):
                about = tuple(pairs[row] for row in rows.tolist())
                text = (
                    f"{counted(len(rows), 'pair')} of {what}{_how_alike(about)}: they {relation}."
                )
                at = tuple((pair.a, pair.b) for pair in about)
                known = about if features.has_images else ()
                findings.append(
                    Finding(own or code, severity, len(rows), text, pairs=at, duplicates=known)
                )
    return findings


def _is_doubtful(pair: DuplicatePair, search: NearDuplicateSearch | None) -> bool:
    return not pair.identical and search is not None and pair.agreement < search.threshold


def _how_alike(pairs: Sequence[DuplicatePair]) -> str:
    """Return what near-duplicates likely are, and the ranges of agreement and similarity."""
    if all(pair.identical for pair in pairs):
        return ""
    known = {
        "agreement": [pair.agreement for pair in pairs],
        "similarity of features": [p.similarity for p in pairs if p.similarity is not None],
    }
    ranges = [
        f"{name} {min(values):.2f}" + (f" to {max(values):.2f}" if len(values) > 1 else "")
        for name, values in known.items()
        if values
    ]
    return f" ({_name_kinds(pairs)}; {', '.join(ranges)})"


def _name_kinds(pairs: Sequence[DuplicatePair]) -> str:
    kinds = Counter(pair.kind for pair in pairs)
    if kinds["unclear"] == len(pairs):
        return "altered copies or neighbouring frames" if len(pairs) > 1 else _EITHER
    if len(pairs) == 1:
        return f"likely {_ARTICLES[pairs[0].kind]} {name_kind(pairs[0])}"
    named = [
        f"{kinds[kind]} {noun if kinds[kind] == 1 else plural}"
        for kind, noun, plural in _KINDS
        if kinds[kind]
    ]
    return f"likely {', '.join(named)}"


def name_kind(pair: DuplicatePair) -> str:
    """Return what a pair likely is, and the alterations of a copy.

    Examples
    --------
    >>> name_kind(DuplicatePair(0, 1, False, 0.9, None, "altered copy", ("mirrored",)))
    'altered copy: mirrored'
    """
    return ": ".join(filter(None, (pair.kind, ", ".join(pair.alterations))))
