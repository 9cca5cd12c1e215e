"""What a leak audit says of what it found, in words that name no patient and no file."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bottleneck.audit.image_check import Look
from bottleneck.audit.metadata_baseline import MetadataScore
from bottleneck.data.splits.patients import count_by_class, name_patients
from bottleneck.duplicates.near_duplicates import Copies, Pair
from bottleneck.features.file.feature_set import FeatureSet
from bottleneck.plurals import counted

__all__ = [
    "Finding",
    "describe_pairs",
    "describe_search",
    "describe_text",
    "find_shared_patients",
    "judge_metadata",
    "judge_units",
]

Strings: TypeAlias = NDArray[np.str_]
Severity = Literal["leak", "warning", "note"]

# A patient with more images than this share of the patients can sway a whole fold.
LARGE_UNIT = 0.05
# From here on metadata alone are a rival that the pictures have to beat.
METADATA_AUROC = 0.6


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that the audit found.

    Attributes
    ----------
    kind : str
        "shared patients", "identical pictures", "copies", "burned-in text", "metadata",
        "large unit" or "not looked at".
    severity : {"leak", "warning", "note"}
        A leak makes test samples known in training; a warning can make figures too good
        in other ways; a note says what else is known, or what could not be looked at.
    count : int
        How many patients, pairs or pictures.
    text : str
        For people; names no patient and no file.
    pairs : tuple of (int, int)
        Rows of the feature set that belong together.
    rows : tuple of int
        Rows that the finding is about, where these are no pairs.
    """

    kind: str
    severity: Severity
    count: int
    text: str
    pairs: tuple[tuple[int, int], ...] = ()
    rows: tuple[int, ...] = ()


def find_shared_patients(features: FeatureSet, parts: Mapping[str, Strings]) -> list[Finding]:
    """Find the patients that stand in several parts of a division."""
    if features.groups is None:
        text = (
            "The features name no patients: whether a patient stands in two folds cannot be told, "
            "and every picture is taken to be of a patient of its own."
        )
        return [Finding("not looked at", "note", 0, text)]
    found = []
    for name, part in parts.items():
        known = (features.groups != "") & (part != "")
        rows = np.unique(np.stack([features.groups[known], part[known]], axis=1), axis=0)
        patients, times = np.unique(rows[:, 0], return_counts=True)
        shared = patients[times > 1]
        if len(shared):
            text = (
                f"{counted(len(shared), 'patient')} in several {name}: the head is trained on "
                "patients that it is tested on."
            )
            at = tuple(np.flatnonzero(np.isin(features.groups, shared)).tolist())
            found.append(Finding("shared patients", "leak", len(shared), text, rows=at))
    return found


def describe_pairs(
    features: FeatureSet,
    pairs: Sequence[Pair],
    parts: Mapping[str, Strings],
    *,
    joined: bool = False,
) -> list[Finding]:
    """Say which pairs cross folds, patients or labels, and which do no harm."""
    known = name_patients(features.groups, features.ids)
    patients = features.ids if known is None else known
    a, b = (np.array([getattr(p, end) for p in pairs], int) for end in "ab")
    identical = np.array([p.identical for p in pairs], bool)
    apart: list[tuple[str, Severity, NDArray[np.bool_]]] = [
        (f"stand in different {name}", "leak", (p[a] != p[b]) & (p[a] != "") & (p[b] != ""))
        for name, p in parts.items()
    ]
    if known is None:
        relation = "may fall on both sides of a split, since no patients are known"
        if joined:
            relation = "are of no known patient"
    else:
        relation = "belong to different patients"
    grave: Severity = "note" if joined else "leak"
    if joined:
        relation += "; every such pair is kept on one side of each split"
    apart.append((relation, grave, patients[a] != patients[b]))
    apart.append(("have different labels", "warning", features.y[a] != features.y[b]))
    harmless = ~np.any([mask for _, _, mask in apart], axis=0)
    apart.append(("belong to one patient, whose pictures stay together: no leak", "note", harmless))
    found = []
    for relation, severity, mask in apart:
        for kind, chosen in (("identical pictures", identical), ("copies", ~identical)):
            rows = np.flatnonzero(mask & chosen)
            if len(rows):
                what = (
                    "identical pictures"
                    if kind == "identical pictures"
                    else ("pictures of which one is an altered copy of the other")
                )
                text = f"{counted(len(rows), 'pair')} of {what}: they {relation}."
                at = tuple((pairs[r].a, pairs[r].b) for r in rows.tolist())
                found.append(Finding(kind, severity, len(rows), text, pairs=at))
    return found


def describe_search(features: FeatureSet, copies: Copies | None) -> list[Finding]:
    """Say what was not sought, or could not be told."""
    missing = []
    if features.pixels is None:
        missing.append("The features hold no hashes of pixels: identical pictures were not sought.")
    if copies is None:
        missing.append(
            "The features hold no thumbnails: altered copies were not sought. Extract the features "
            "again, or name their data set (--data, in Python dataset=)."
        )
    elif copies.capped and copies.compared:
        missing.append(
            "Too few pictures, or pictures of different patients too much alike, to say from how "
            f"much agreement on a pair is a copy: {copies.threshold:.2f} was taken, and pairs "
            "should be looked at."
        )
    return [Finding("not looked at", "note", 0, text) for text in missing]


def describe_text(features: FeatureSet, look: Look | None) -> list[Finding]:
    """Say where text was seen, and which pictures were not."""
    if look is None:
        text = (
            "Text burned into pictures was not looked for: a feature file does not hold the "
            "pictures. Name their data set (--data, in Python dataset=)."
        )
        return [Finding("not looked at", "note", 0, text)]
    found = []
    if len(look.text):
        counts = count_by_class(features.y[look.text])
        share = ", ".join(f"{n} {label}" for label, n in counts.items())
        text = (
            f"{counted(len(look.text), 'picture')} with strokes like text ({share}): a network can "
            "learn to read what it says. Look at them."
        )
        at = tuple(look.text.tolist())
        found.append(Finding("burned-in text", "warning", len(at), text, rows=at))
    for reason, unseen in (("could not be read", look.unread), ("have changed", look.changed)):
        if len(unseen):
            text = (
                f"{counted(len(unseen), 'picture')} {reason} since the features were made, and "
                "were not looked at."
            )
            at = tuple(unseen.tolist())
            found.append(Finding("not looked at", "note", len(at), text, rows=at))
    return found


def judge_metadata(score: MetadataScore, features: FeatureSet) -> Finding:
    """Say how well metadata alone predict the label."""
    *others, last = score.columns
    auroc, columns = score.auroc, f"{', '.join(others)} and {last}" if others else last
    against = f"'{score.label}' against the rest" if len(features.classes) > 2 else "the label"
    verb = "predicts" if len(score.columns) == 1 else "predict"
    text = (
        f"Without any picture, {columns} {verb} {against} with an AUROC of {auroc.value:.2f} "
        f"({auroc.level:.0%} interval {auroc.low:.2f} to {auroc.high:.2f})"
    )
    flagged = auroc.low > 0.5 and auroc.value >= METADATA_AUROC
    if flagged and len(score.alone) > 1:
        text += "; each by itself: " + ", ".join(f"{k} {v:.2f}" for k, v in score.alone.items())
    severity: Severity = "warning" if flagged else "note"
    return Finding("metadata", severity, len(score.columns), f"{text}.")


def judge_units(patients: Strings | None, joined: Strings | None) -> tuple[int, list[Finding]]:
    """Return how many patients the largest unit holds, and what is to be said of it.

    Parameters
    ----------
    patients, joined : ndarray of str, shape (n_samples,), or None
        Every sample's patient, and its unit; samples count where no patient is known.
    """
    if joined is None:
        return 1, []
    members = np.arange(len(joined)) if patients is None else patients
    _, one_each = np.unique(members, return_index=True)
    _, counts = np.unique(joined[one_each], return_counts=True)
    largest, n = int(counts.max()), len(one_each)
    if largest == 1:
        return largest, []
    share = largest / n
    text = (
        f"Pictures that come twice tie {largest} of {n} "
        f"{'samples' if patients is None else 'patients'} into one unit ({share:.1%}) that has to "
        "stand on one side of every split"
    )
    if share > LARGE_UNIT:
        text += f": above {LARGE_UNIT:.0%}, one fold depends on it"
    severity: Severity = "warning" if share > LARGE_UNIT else "note"
    return largest, [Finding("large unit", severity, largest, f"{text}.")]
