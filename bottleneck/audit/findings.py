"""Findings of a leak audit, in words that name no patient and no file."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bottleneck.audit.image_check import ImageCheck
from bottleneck.audit.metadata_baseline import MetadataScore
from bottleneck.checks.check_registry import CHECKS, Severity
from bottleneck.data.splits.examination_names import group_examinations, is_from_names
from bottleneck.data.splits.patients import count_by_class
from bottleneck.data.splits.shortage import ESTIMATE_ONLY, shortage
from bottleneck.duplicates.kinds.duplicate_pair import DuplicatePair
from bottleneck.duplicates.leak_safe_groups import LeakSafeGroups
from bottleneck.duplicates.near_duplicates import NearDuplicateSearch
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.text.plurals import counted
from bottleneck.text.short_repr import describe

__all__ = [
    "Finding",
    "describe_examinations",
    "describe_largest_group",
    "describe_metadata",
    "describe_search",
    "describe_shared_patients",
    "describe_text",
]

Strings: TypeAlias = NDArray[np.str_]

# What tells the examinations.
_BY_HEADER = "the studies in headers of DICOM files"
_BY_NAME = "file names, which prove nothing"
# A group with more than this share of the patients can determine the result of a fold.
LARGE_GROUP = 0.05
# From this AUROC on, metadata alone are a baseline that images have to beat.
METADATA_AUROC = 0.6
# Metadata that differ between scanners and their settings.
_OF_FRAMES = frozenset({"width", "height", "brightness"})


@dataclasses.dataclass(frozen=True)
class Finding:
    """One finding of an audit.

    Attributes
    ----------
    code : str
        Code of the check, such as "BF101".
    severity : {"leak", "warning", "note"}
        A leak makes test samples known in training; a warning can make results too optimistic
        in other ways; a note is information, or says what could not be checked.
    count : int
        Number of patients, pairs or images.
    text : str
        The finding in a sentence that names no patient and no file.
    pairs : tuple of (int, int)
        Pairs of rows of the feature set that the finding is about.
    rows : tuple of int
        Single rows that the finding is about.
    duplicates : tuple of DuplicatePair
        What is known of each of ``pairs``, in their order; empty where they are not duplicates.
    """

    code: str
    severity: Severity
    count: int
    text: str
    pairs: tuple[tuple[int, int], ...] = ()
    rows: tuple[int, ...] = ()
    duplicates: tuple[DuplicatePair, ...] = ()

    def __repr__(self) -> str:
        return describe(self, f"{self.code} {self.severity}", self.text)

    @property
    def kind(self) -> str:
        """Name of the check, such as "shared patients"."""
        return CHECKS[self.code].name


def describe_shared_patients(
    features: FeatureSet, divisions: Mapping[str, Strings]
) -> list[Finding]:
    """Describe the patients with samples in several folds.

    Parameters
    ----------
    features : FeatureSet
        The features.
    divisions : mapping of str to ndarray of str, shape (n_samples,)
        The fold of every sample, "" for none, by the name of the division.
    """
    if features.stated_patients is None:
        text = (
            "The features name no patients: it cannot be checked whether a patient is in several "
            f"folds, and every {features.noun} counts as a patient of its own"
        )
        if features.loose_examinations is not None:
            text += ", unless its examination is known"
        text += "."
        return [Finding("BF901", "note", 0, text)]
    findings = []
    for name, fold in divisions.items():
        known = (features.stated_patients != "") & (fold != "")
        rows = np.unique(np.stack([features.stated_patients[known], fold[known]], axis=1), axis=0)
        patients, times = np.unique(rows[:, 0], return_counts=True)
        shared = patients[times > 1]
        if len(shared):
            text = (
                f"{counted(len(shared), 'patient')} in several {name}: the head is trained on "
                "patients that it is tested on."
            )
            at = tuple(np.flatnonzero(np.isin(features.stated_patients, shared)).tolist())
            findings.append(Finding("BF101", "leak", len(shared), text, rows=at))
    return findings


def describe_examinations(features: FeatureSet, divisions: Mapping[str, Strings]) -> list[Finding]:
    """Describe examinations in several folds, and those of several patients.

    Parameters
    ----------
    features : FeatureSet
        The features.
    divisions : mapping of str to ndarray of str, shape (n_samples,)
        As for ``describe_shared_patients``.
    """
    if features.examinations is None:
        return []
    names = group_examinations(features.examinations)
    by_name = is_from_names(names)
    findings = []
    loose = features.loose_examinations
    for of_source, source in ((~by_name, _BY_HEADER), (by_name, _BY_NAME)):
        for division, fold in divisions.items():
            if loose is None:
                break
            n, at = _count_several(loose, fold, of_source)
            if n:
                text = (
                    f"{counted(n, 'examination')} in several {division}, according to {source}: "
                    "the head is trained on examinations that it is tested on."
                )
                severity: Severity = "leak" if source == _BY_HEADER else "warning"
                findings.append(Finding("BF102", severity, n, text, rows=at))
        if features.stated_patients is None:
            continue
        n, at = _count_several(names, features.stated_patients, of_source)
        if n:
            text = (
                f"{counted(n, 'examination')} of several patients, according to {source}: one "
                "person may have several names, and be on both sides of a split. If so, correct "
                "the patients."
            )
            severity = "warning" if source == _BY_HEADER else "note"
            findings.append(Finding("BF102", severity, n, text, rows=at))
    return findings


def _count_several(
    names: Strings, parts: Strings, chosen: NDArray[np.bool_]
) -> tuple[int, tuple[int, ...]]:
    """Return how many of the names have rows in several parts, and these rows; "" is not a part."""
    known = chosen & (names != "") & (parts != "")
    pairs = np.unique(np.stack([names[known], parts[known]], axis=1), axis=0)
    found, times = np.unique(pairs[:, 0], return_counts=True)
    several = found[times > 1]
    return len(several), tuple(np.flatnonzero(known & np.isin(names, several)).tolist())


def describe_search(features: FeatureSet, search: NearDuplicateSearch | None) -> list[Finding]:
    """Describe which duplicates could not be searched for, or not reliably."""
    missing = []
    if not features.has_images:
        text = (
            "There are no images, only features: near-duplicates and burned-in text were not "
            "searched for."
        )
        if not features.has_columns:
            text = "There are neither images nor features: copies were not searched for."
        elif features.contents is None:
            text += (
                " The features have so few different values that two samples can be equal by "
                "chance: equal features do not count as copies."
            )
        return [Finding("BF902", "note", 0, text)]
    if features.pixels is None:
        missing.append(
            "The features hold no hashes of pixels: identical images were not searched for."
        )
    if features.has_volumes:
        missing.append(
            f"Copies are {features.noun}s with identical voxels. Near-duplicates of volumes, such "
            "as another reconstruction of a scan, are not searched for: the patient of each volume "
            "must be known."
        )
    elif search is None:
        missing.append(
            "The features hold no thumbnails: near-duplicates were not searched for. Extract the "
            "features again, or name their data set (--data, in Python dataset=)."
        )
    elif search.capped and search.compared:
        missing.append(
            "There are too few images, or images of different patients are too similar, to "
            "estimate the agreement above which a pair is a near-duplicate: "
            f"{search.threshold:.2f} was used; check the pairs by eye."
        )
    return [Finding("BF902", "note", 0, text) for text in missing]


def describe_text(features: FeatureSet, images: ImageCheck | None) -> list[Finding]:
    """Describe the images with burned-in text, and those that could not be checked."""
    if images is None and not features.has_images:
        return []
    if images is None and not features.has_volumes:
        text = (
            "Burned-in text was not searched for, since a feature file contains no images. "
            "Name their data set (--data, in Python dataset=)."
        )
        return [Finding("BF903", "note", 0, text)]
    findings = []
    if features.has_volumes:
        text = "Burned-in text was not searched for: volumes hold voxels of a scanner, no pictures."
        findings.append(Finding("BF903", "note", 0, text))
    if images is None:
        return findings
    if len(images.text):
        counts = count_by_class(features.y[images.text])
        share = ", ".join(f"{n} {label}" for label, n in counts.items())
        if features.preparation.mask_text:
            advice = "The strokes remain after masking; check these images by eye."
        else:
            advice = (
                "Check these images by eye, and compare the features with those of images in which "
                "text is masked (`bottleneck extract --mask-text`)."
            )
        text = (
            f"{counted(len(images.text), 'image')} with strokes like text ({share}): a network "
            f"can learn to read it. {advice}"
        )
        at = tuple(images.text.tolist())
        findings.append(Finding("BF202", "warning", len(at), text, rows=at))
    for reason, rows in (
        ("could not be read", images.unreadable),
        ("changed after the features were extracted", images.changed),
    ):
        if len(rows):
            text = f"{counted(len(rows), features.noun)} {reason}: not checked."
            at = tuple(rows.tolist())
            findings.append(Finding("BF905", "note", len(at), text, rows=at))
    return findings


def describe_metadata(score: MetadataScore, features: FeatureSet) -> Finding:
    """Describe how well metadata alone predict the label."""
    *others, last = score.columns
    auroc, columns = score.auroc, f"{', '.join(others)} and {last}" if others else last
    target = f"'{score.label}' against the rest" if len(features.classes) > 2 else "the label"
    lacking = shortage(np.where(features.y == score.label, "it", "rest"), features.patients)
    caution = f"; {ESTIMATE_ONLY}: {lacking} in the smaller class" if lacking else ""
    verb = "predicts" if len(score.columns) == 1 else "predict"
    noun = features.noun if features.has_images else "image"
    text = (
        f"Without any {noun}, {columns} {verb} {target} with an AUROC of {auroc.value:.2f} "
        f"({auroc.level:.0%} interval {auroc.low:.2f} to {auroc.high:.2f}{caution})"
    )
    flagged = auroc.low > 0.5 and auroc.value >= METADATA_AUROC
    if flagged and len(score.alone) > 1:
        text += "; each by itself: " + ", ".join(f"{k} {v:.2f}" for k, v in score.alone.items())
    has_frames = not features.has_volumes and not features.preparation.sector
    if flagged and has_frames and _OF_FRAMES.intersection(score.columns):
        text += (
            ". Size and brightness can come from the frame that a scanner draws, which a network "
            "recognises too: `bottleneck extract --sector auto` blackens it"
        )
    severity: Severity = "warning" if flagged else "note"
    return Finding("BF201", severity, len(score.columns), f"{text}.")


def describe_largest_group(
    patients: Strings | None, duplicates: LeakSafeGroups
) -> tuple[int, list[Finding]]:
    """Return the number of patients in the largest group, and a finding if duplicates join some.

    Parameters
    ----------
    patients : ndarray of str, shape (n_samples,), or None
        Patient of every sample; samples are counted where no patient is known.
    duplicates : LeakSafeGroups
        Result of ``leak_safe_groups``.
    """
    groups = duplicates.names
    if groups is None:
        return 1, []
    members = np.arange(len(groups)) if patients is None else patients
    _, one_each = np.unique(members, return_index=True)
    _, counts = np.unique(groups[one_each], return_counts=True)
    largest, n = int(counts.max()), len(one_each)
    if largest == 1:
        return largest, []
    share = largest / n
    members_are = "samples" if patients is None else "patients"
    text = (
        f"{duplicates.kept_words} join {largest} of {n} {members_are} into one group "
        f"({share:.1%}) that must stay on one side of every split"
    )
    if share > LARGE_GROUP:
        text += f": with more than {LARGE_GROUP:.0%}, it can determine the result of a fold"
        known = duplicates.examinations
        if known is not None and is_from_names(known).any():
            text += ". If the names do not indicate examinations, extract with --examinations dicom"
    severity: Severity = "warning" if share > LARGE_GROUP else "note"
    return largest, [Finding("BF106", severity, largest, f"{text}.")]
