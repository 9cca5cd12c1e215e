"""Leak audit of a feature set: patients, duplicates, burned-in text and metadata."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bottleneck.audit.findings import (
    Finding,
    describe_examinations,
    describe_largest_group,
    describe_metadata,
    describe_search,
    describe_shared_patients,
    describe_text,
)
from bottleneck.audit.image_check import ImageCheck, check_images
from bottleneck.audit.metadata_baseline import MetadataScore, predict_from_metadata
from bottleneck.audit.pair_findings import describe_pairs
from bottleneck.audit.pretraining_data import describe_pretraining
from bottleneck.audit.region_overlap import describe_overlaps
from bottleneck.checks.ignored_checks import Ignore, read_codes, separate
from bottleneck.data.dataset import ImageDataset
from bottleneck.data.splits.examination_names import group_examinations
from bottleneck.data.splits.protocol import Conflicts
from bottleneck.duplicates.kinds.pair_kinds import name_kinds
from bottleneck.duplicates.leak_safe_groups import (
    LeakSafeGroups,
    describe_ties,
    leak_safe_groups,
)
from bottleneck.errors import ProtocolError, UsageError
from bottleneck.features.arrays.feature_inputs import (
    Column,
    FeatureInput,
    SampleFields,
    read_features,
)
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.processes.work_steps import shows_progress
from bottleneck.text.plurals import counted
from bottleneck.text.short_repr import describe, show_html
from bottleneck.text.table_text import text_frame

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Audit", "audit_features", "leave_out_findings", "restate"]

Strings: TypeAlias = NDArray[np.str_]
Progress: TypeAlias = Callable[[int, int, str], None]

_SEVERITIES = ("leak", "warning", "note")
# Shared patients, examinations, copies and regions; and the labels of copies.
_ABOUT_FOLDS = ("BF101", "BF102", "BF103", "BF104", "BF105", "BF203")


@dataclasses.dataclass(frozen=True, eq=False)
class Audit:
    """Findings of a leak audit.

    Attributes
    ----------
    dataset : str
        Name of the data set.
    n_samples : int
        Number of samples.
    n_patients : int or None
        Number of patients; None where none are known.
    findings : tuple of Finding
        The most severe first.
    groups : LeakSafeGroups
        Duplicates, and the groups of patients that they join.
    metadata : MetadataScore or None
        Prediction of the label from metadata alone; None where there are no metadata.
    largest_group : int
        Number of patients in the largest group.
    ties : str
        A sentence on the copies that join patients, from ``describe_ties``.
    ignored : mapping of str to int
        Number of findings of each check that was ignored, by its code.
    """

    dataset: str
    n_samples: int
    n_patients: int | None
    findings: tuple[Finding, ...]
    groups: LeakSafeGroups
    metadata: MetadataScore | None
    largest_group: int
    ties: str = ""
    ignored: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def __repr__(self) -> str:
        size = counted(self.n_samples, "sample")
        if self.n_patients is not None:
            size += f" of {counted(self.n_patients, 'patient')}"
        return describe(self, self.dataset, self.verdict, size)

    _repr_html_ = show_html

    def to_frame(self) -> pd.DataFrame:
        """Return the findings as a table with the columns code, severity, kind, count and text.

        Its rows are those of ``findings``, which also hold the rows and pairs that each is about.
        """
        columns = ("code", "severity", "kind", "count", "text")
        rows = [[getattr(finding, name) for finding in self.findings] for name in columns]
        frame = text_frame(
            {n: np.array(row, dtype=object) for n, row in zip(columns, rows, strict=True)}
        )
        return frame.astype({"count": int})

    @property
    def leaks(self) -> tuple[Finding, ...]:
        """The findings that make test samples known in training."""
        return tuple(f for f in self.findings if f.severity == "leak")

    @property
    def verdict(self) -> str:
        """The number of leaks and warnings in words, such as "no leak found, 1 warning".

        Every command and report states them in these words, followed by ``ties``.
        """
        n_warnings = sum(f.severity == "warning" for f in self.findings)
        leaks = f"{counted(len(self.leaks), 'leak')} found" if self.leaks else "no leak found"
        words = [leaks, counted(n_warnings, "warning") if n_warnings else ""]
        if ignored := {code: n for code, n in self.ignored.items() if n}:
            n = counted(sum(ignored.values()), "finding")
            words.append(f"{n} of ignored checks ({', '.join(ignored)})")
            # An ignored finding may be a leak.
            words[0] = leaks.replace("no leak found", "no leak reported")
        return ", ".join(filter(None, words))


@shows_progress("images")
def audit_features(
    features: FeatureInput,
    *,
    y: Column = None,
    groups: Column = None,
    ids: Column = None,
    dataset: ImageDataset | None = None,
    folds: Sequence[str] | Strings | None = None,
    joined: bool = True,
    ignore: Ignore = (),
    progress: Progress | None = None,
    quiet: bool = False,
) -> Audit:
    """Search a feature set for leaks.

    Parameters
    ----------
    features : FeatureSet, path, array or data frame
        Features, or a feature file. An array or a data frame needs ``y``.
    y, groups, ids : array-like of shape (n_samples,) or None
        Labels, patients and ids of the samples in an array, as for ``FeatureSet.from_arrays``.
    dataset : ImageDataset or None
        Images that the features were extracted from, matched by id; they are searched for
        burned-in text.
    folds : sequence of str, shape (n_samples,), or None
        Fold of every sample, "" for none; by default the splits and folds of the data set.
    joined : bool
        Whether the folds keep duplicates together, as those of all commands do. Duplicates are
        then a leak only where the given folds separate them. False for folds that keep patients
        together and nothing else.
    ignore : str or sequence of str
        Codes of checks whose findings are not shown, such as "BF201". They are counted in
        ``ignored``, and the checks protect the split as before.
    progress : callable or None
        Called with the number of images or steps done, their total, and a description.
    quiet : bool
        Whether no progress bar is shown; by default, one is on a terminal and in a notebook.

    Returns
    -------
    Audit

    Raises
    ------
    UsageError
        If ``folds`` has another length, or there is no such check.
    DataError
        If the data set holds none of the samples.
    FeatureFileError
        If the file cannot be read.

    Examples
    --------
    Two patients with images in two folds:

    >>> import numpy as np
    >>> from bottleneck import FeatureSet
    >>> X = np.random.default_rng(0).normal(size=(4, 3))
    >>> features = FeatureSet.from_arrays(X, [0, 0, 1, 1], groups=["a", "a", "b", "b"])
    >>> audit_features(features, folds=["1", "2", "1", "2"])
    <Audit arrays: 1 leak found; 4 samples of 2 patients>
    """
    codes = read_codes(ignore)
    features = read_features(features, SampleFields(y, groups, ids))
    divisions = _name_divisions(features, folds)
    images = None if dataset is None else check_images(features, dataset, progress)
    copies = _name_kinds(features, images, _group(features, images, progress), progress)
    metadata, about_metadata = _test_metadata(features, progress)
    largest, about_group = describe_largest_group(features.patients, copies)
    findings = [
        *describe_shared_patients(features, divisions),
        *describe_examinations(features, divisions),
        *describe_pairs(features, copies.pairs, divisions, joined=joined, search=copies.search),
        *describe_overlaps(features, divisions),
        *about_group,
        *describe_text(features, images),
        *about_metadata,
        *describe_pretraining(features),
        *describe_search(features, copies.search),
    ]
    patients = features.patients
    audit = Audit(
        dataset=features.dataset,
        n_samples=len(features),
        n_patients=None if patients is None else len(np.unique(patients)),
        findings=_sort(findings),
        groups=copies,
        metadata=metadata,
        largest_group=largest,
        ties=describe_ties(copies, patients, len(features)),
    )
    return leave_out_findings(audit, codes)


def leave_out_findings(audit: Audit, codes: Sequence[str]) -> Audit:
    """Return an audit without the findings of ignored checks, which ``ignored`` then counts.

    Parameters
    ----------
    audit : Audit
        The audit.
    codes : sequence of str
        Codes to ignore, from ``read_codes``.
    """
    if not codes:
        return audit
    findings, ignored = separate(audit.findings, codes)
    return dataclasses.replace(audit, findings=findings, ignored=ignored)


def restate(
    audit: Audit,
    features: FeatureSet,
    folds: Strings,
    *,
    joined: bool,
    given: bool = False,
    conflicts: Conflicts = "drop",
) -> Audit:
    """Return an audit with its findings stated for other folds, without another search.

    Parameters
    ----------
    audit : Audit
        Audit of the features.
    features : FeatureSet
        The features.
    folds : ndarray of str, shape (n_samples,)
        Fold of every sample, "" for none.
    joined : bool
        As for ``audit_features``.
    given : bool
        Whether the folds may have been made without features, as those of a trained network.
        Pairs that only features confirm are then a warning where the folds divide them, no leak.
    conflicts : {"drop", "keep", "majority", "stop"}
        What is done with copies that have different labels, as in ``Protocol``.
    """
    divisions = {"folds": folds}
    findings = [
        *(
            describe_shared_patients(features, divisions)
            if features.stated_patients is not None
            else ()
        ),
        *describe_examinations(features, divisions),
        *describe_pairs(
            features,
            audit.groups.pairs,
            divisions,
            joined=joined,
            given=given,
            search=audit.groups.search,
            conflicts=conflicts,
        ),
        *describe_overlaps(features, divisions),
        *(f for f in audit.findings if f.code not in _ABOUT_FOLDS),
    ]
    return dataclasses.replace(audit, findings=_sort(findings))


def _sort(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda f: _SEVERITIES.index(f.severity)))


def _name_divisions(
    features: FeatureSet, folds: Sequence[str] | Strings | None
) -> Mapping[str, Strings]:
    if folds is None:
        known = {"sets of the split": features.splits, "folds": features.folds}
        return {name: column for name, column in known.items() if column is not None}
    column = np.asarray(folds).astype(str)
    if column.shape != features.y.shape:
        raise UsageError(
            f"folds must name the fold of each of the {len(features)} samples, "
            f"not have the shape {column.shape}"
        )
    return {"folds": column}


def _group(
    features: FeatureSet, images: ImageCheck | None, progress: Progress | None
) -> LeakSafeGroups:
    if features.thumbnails is not None or images is None:
        return features.join_duplicates(progress)
    return leak_safe_groups(
        images.thumbnails,
        features.patients,
        features.ids,
        pixels=features.pixels,
        noun=features.noun,
        sizes=features.size,
        features=features.X,
        searched=images.checked,
        order_by=features.fold_columns,
        examinations=features.loose_examinations,
        progress=progress,
    )


def _name_kinds(
    features: FeatureSet,
    images: ImageCheck | None,
    copies: LeakSafeGroups,
    progress: Progress | None,
) -> LeakSafeGroups:
    """Return the duplicates with what each pair likely is."""
    thumbnails = features.thumbnails
    if thumbnails is None and images is not None:
        thumbnails = images.thumbnails
    if thumbnails is None or not copies.pairs:
        return copies
    a, b = (np.array([getattr(pair, end) for pair in copies.pairs]) for end in "ab")
    stated = features.stated_patients
    related = np.zeros(len(a), bool)
    known = [] if stated is None else [stated]
    if features.examinations is not None:
        known.append(group_examinations(features.examinations))
    for column in known:
        related |= (column[a] == column[b]) & (column[a] != "")
    named = name_kinds(copies.pairs, thumbnails, features.size, related, progress)
    return dataclasses.replace(copies, pairs=named)


def _test_metadata(
    features: FeatureSet, progress: Progress | None
) -> tuple[MetadataScore | None, list[Finding]]:
    try:
        score = predict_from_metadata(features, progress)
    except ProtocolError as error:
        text = f"It was not tested whether metadata predict the label: {error}."
        return None, [Finding("BF904", "note", 0, text)]
    return score, [] if score is None else [describe_metadata(score, features)]
