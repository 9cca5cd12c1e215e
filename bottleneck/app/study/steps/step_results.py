"""What each step of a study gives."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

__all__ = [
    "ComparedArm",
    "ComparedHeads",
    "DataSummary",
    "FeatureSummary",
    "KeptModel",
    "OfferedNetwork",
    "PatternPreview",
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataSummary:
    """What was read of a data set.

    Attributes
    ----------
    name : str
        Name of the data set.
    n_images : int
        Number of images.
    n_patients : int or None
        Number of patients; None if they are not known.
    class_counts : mapping of str to int
        Number of images of each class.
    positive : str or None
        The positive class, if it is recognised.
    excluded : mapping of str to int
        Reasons why files were left out, each with their number.
    notes : tuple of str
        Notes on how the data set was read.
    sources : tuple of str
        Paths of some images, to try a patient pattern on.
    proposed_pattern : str or None
        A patient pattern for folders that may be patients.
    """

    name: str
    n_images: int
    n_patients: int | None
    class_counts: Mapping[str, int]
    positive: str | None
    excluded: Mapping[str, int]
    notes: tuple[str, ...]
    sources: tuple[str, ...]
    proposed_pattern: str | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class PatternPreview:
    """The patients that a pattern finds in some paths.

    Attributes
    ----------
    examples : tuple of (str, str or None)
        Some paths with their patients; None where the pattern does not match.
    n_paths, n_unmatched, n_patients : int
        Number of paths, of those without a patient, and of patients.
    unmatched : str or None
        The first path without a patient.
    """

    examples: tuple[tuple[str, str | None], ...]
    n_paths: int
    n_unmatched: int
    n_patients: int
    unmatched: str | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class OfferedNetwork:
    """A network whose weights are on this machine.

    Attributes
    ----------
    backbone, weights : str
        As for ``extract``.
    weights_name : str
        The weights in a word: a name, or that of a file.
    licence : str or None
        Licence of the weights.
    """

    backbone: str
    weights: str
    weights_name: str
    licence: str | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class FeatureSummary:
    """A feature file.

    Attributes
    ----------
    path : Path
        The file.
    n_rows, width : int
        Number of rows, and of features in each.
    n_new : int
        Number of rows that were computed in this step.
    failures : tuple of (str, str)
        Id and reason of each image without a row.
    notes : tuple of str
        Notes that the data set did not have.
    weights, licence : str
        Name of the network's weights, and their licence.
    """

    path: Path
    n_rows: int
    width: int
    n_new: int
    failures: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    weights: str
    licence: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class ComparedArm:
    """An arm of a comparison that can be kept as a model.

    Attributes
    ----------
    head : str
        Name of its head.
    auroc : float
        Its AUROC.
    at_sensitivity : float or None
        The sensitivity of its threshold; None if it has none.
    """

    head: str
    auroc: float
    at_sensitivity: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ComparedHeads:
    """A comparison and its report.

    Attributes
    ----------
    report : Path
        Folder of the report.
    arms : tuple of ComparedArm
        Arms that can be kept, that with the highest AUROC first.
    positive : str or None
        The positive class.
    cautions : tuple of str
        How the figure of the first of them is to be read.
    """

    report: Path
    arms: tuple[ComparedArm, ...]
    positive: str | None
    cautions: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class KeptModel:
    """A model that was saved.

    Attributes
    ----------
    path : Path
        Its file.
    words : tuple of str
        Sentences on what it was trained on, its threshold, and how it was evaluated.
    """

    path: Path
    words: tuple[str, ...]
