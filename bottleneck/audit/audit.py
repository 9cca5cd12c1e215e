"""The leak audit: what stands on both sides of a split, or gives the label away."""

from __future__ import annotations

import dataclasses
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bottleneck.audit.findings import (
    Finding,
    describe_pairs,
    describe_search,
    describe_text,
    find_shared_patients,
    judge_metadata,
    judge_units,
)
from bottleneck.audit.image_check import Look, look_at
from bottleneck.audit.metadata_baseline import MetadataScore, predict_from_metadata
from bottleneck.data.dataset import ImageDataset
from bottleneck.data.splits.patients import name_patients
from bottleneck.duplicates.near_duplicates import MANY, Copies, Pair, find_copies, find_identical
from bottleneck.duplicates.similarity import round_aspects
from bottleneck.errors import ProtocolError, UsageError
from bottleneck.features.file.feature_set import FeatureSet

__all__ = ["Audit", "Finding", "audit_features", "retell", "units"]

Strings: TypeAlias = NDArray[np.str_]


@dataclasses.dataclass(frozen=True)
class Audit:
    """What a leak audit found.

    Attributes
    ----------
    dataset : str
        Name of the data set.
    n_samples : int
        Rows that were looked at.
    n_patients : int or None
        None where no patients are known.
    findings : tuple of Finding
        The gravest first.
    pairs : tuple of Pair
        All pictures that come twice, those of one patient too.
    copies : Copies or None
        What was called a copy; None where the pictures were not known.
    metadata : MetadataScore or None
        What metadata alone predict; None where there are none.
    largest_unit : int
        Patients that the largest unit holds after copies joined them.
    """

    dataset: str
    n_samples: int
    n_patients: int | None
    findings: tuple[Finding, ...]
    pairs: tuple[Pair, ...]
    copies: Copies | None
    metadata: MetadataScore | None
    largest_unit: int

    @property
    def leaks(self) -> tuple[Finding, ...]:
        """The findings that make test samples known in training."""
        return tuple(f for f in self.findings if f.severity == "leak")


def audit_features(
    features: FeatureSet | str | Path,
    *,
    dataset: ImageDataset | None = None,
    folds: Sequence[str] | Strings | None = None,
    joined: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
) -> Audit:
    """Look for leaks before anything is scored.

    Parameters
    ----------
    features : FeatureSet, str or Path
        Features, or the file that holds them.
    dataset : ImageDataset or None
        The pictures that the features were made of, matched by id. Without them text
        cannot be looked for.
    folds : sequence of str, shape (n_samples,), or None
        Part that each sample will stand in, "" for none; by default the data set's own
        splits and folds.
    joined : bool
        Whether pictures that come twice will be kept on one side of every split, as
        ``units`` joins them; then they are no leak where no given part parts them.
    progress : callable or None
        Called with the number of pictures read, their number, and what is done.

    Returns
    -------
    Audit

    Raises
    ------
    UsageError
        If ``folds`` has another length.
    DataError
        If the data set holds none of the samples.
    FeatureFileError
        If the file cannot be read.
    """
    if not isinstance(features, FeatureSet):
        from bottleneck.features.file.reader import load_features

        features = load_features(features)
    parts = _name_parts(features, folds)
    look = None if dataset is None else look_at(features, dataset, progress)
    pairs, copies = _find_pairs(features, look, parts)
    patients = name_patients(features.groups, features.ids)
    metadata, tested = _test_metadata(features)
    largest, tied = judge_units(patients, units(pairs, features))
    findings = [
        *find_shared_patients(features, parts),
        *describe_pairs(features, pairs, parts, joined=joined),
        *tied,
        *describe_text(features, look),
        *tested,
        *describe_search(features, copies),
    ]
    return Audit(
        dataset=features.dataset,
        n_samples=len(features),
        n_patients=None if patients is None else len(np.unique(patients)),
        findings=_sort(findings),
        pairs=pairs,
        copies=copies,
        metadata=metadata,
        largest_unit=largest,
    )


def retell(found: Audit, features: FeatureSet, folds: Strings, *, joined: bool) -> Audit:
    """Say what an audit's findings mean under other folds, without looking again.

    Parameters
    ----------
    found : Audit
        Of the features.
    features : FeatureSet
    folds : ndarray of str, shape (n_samples,)
        Part that each sample stands in, "" for none.
    joined : bool
        As for ``audit``.
    """
    parts = {"folds": folds}
    about_folds = ("shared patients", "identical pictures", "copies")
    findings = [
        *(find_shared_patients(features, parts) if features.groups is not None else ()),
        *describe_pairs(features, found.pairs, parts, joined=joined),
        *(f for f in found.findings if f.kind not in about_folds),
    ]
    return dataclasses.replace(found, findings=_sort(findings))


def _sort(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    order = {"leak": 0, "warning": 1, "note": 2}
    return tuple(sorted(findings, key=lambda f: order[f.severity]))


def units(audit: Audit | Iterable[Pair], features: FeatureSet) -> Strings | None:
    """Join what must not be split: a patient's samples, and pictures that come twice.

    Parameters
    ----------
    audit : Audit or iterable of Pair
        What was found.
    features : FeatureSet
        What it was found in.

    Returns
    -------
    ndarray of str, shape (n_samples,), or None
        Names for ``FeatureSet.groups``: a unit bears the name of its first patient. None
        where no patient is known and nothing comes twice.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pairs = list(audit.pairs if isinstance(audit, Audit) else audit)
    known = name_patients(features.groups, features.ids)
    if known is None and not pairs:
        return None
    patients = np.char.add("sample ", features.ids) if known is None else known
    names, codes = np.unique(patients, return_inverse=True)
    a, b = (codes[[getattr(p, end) for p in pairs]] if pairs else codes[:0] for end in "ab")
    links = coo_array((np.ones(len(pairs)), (a, b)), shape=(len(names),) * 2)
    _, unit = connected_components(links, directed=False)
    _, first = np.unique(unit[codes], return_index=True)
    return patients[first][unit[codes]]


def _name_parts(features: FeatureSet, folds: Sequence[str] | Strings | None) -> dict[str, Strings]:
    if folds is None:
        known = {"parts of the split": features.splits, "folds": features.folds}
        return {name: part for name, part in known.items() if part is not None}
    given = np.asarray(folds).astype(str)
    if given.shape != features.y.shape:
        raise UsageError(
            f"folds must name a part for each of the {len(features)} samples, "
            f"not have the shape {given.shape}"
        )
    return {"folds": given}


def _find_pairs(
    features: FeatureSet, look: Look | None, parts: dict[str, Strings]
) -> tuple[tuple[Pair, ...], Copies | None]:
    known = name_patients(features.groups, features.ids)
    patients = features.ids if known is None else known
    pixels, thumbnails = features.pixels, features.thumbnails
    first = np.arange(len(features))
    found = []
    if pixels is not None:
        order = np.lexsort([features.y, patients, *parts.values()])
        found = [Pair(a, b, True, 1.0, 1.0) for a, b in find_identical(pixels, order)]
        first = np.unique(pixels, return_index=True)[1]
    if thumbnails is None and look is not None:
        thumbnails = look.thumbnails
        first = np.intersect1d(first, look.seen)
    if thumbnails is None:
        return tuple(sorted(found, key=lambda p: (p.a, p.b))), None
    first = np.sort(first)
    aspects = round_aspects(features.size, len(features))
    copies = find_copies(thumbnails[first], aspects[first], features.X[first], patients[first])
    renumbered = tuple(_spread(copies.pairs, first, pixels))
    copies = dataclasses.replace(copies, pairs=renumbered)
    return tuple(sorted([*found, *renumbered], key=lambda p: (p.a, p.b))), copies


def _spread(
    pairs: Iterable[Pair], first: NDArray[np.intp], pixels: Strings | None
) -> Iterator[Pair]:
    """Give a copy's pair to all pictures that are identical to either of its two."""
    rows: dict[str, list[int]] = defaultdict(list)
    for row, key in enumerate([] if pixels is None else pixels.tolist()):
        rows[key].append(row)
    for pair in pairs:
        a, b = int(first[pair.a]), int(first[pair.b])
        many = [[row] if pixels is None else rows[pixels[row]][:MANY] for row in (a, b)]
        for one, other in itertools.product(*many):
            yield dataclasses.replace(pair, a=min(one, other), b=max(one, other))


def _test_metadata(features: FeatureSet) -> tuple[MetadataScore | None, list[Finding]]:
    try:
        score = predict_from_metadata(features)
    except ProtocolError as error:
        text = f"Whether metadata predict the label was not tested: {error}."
        return None, [Finding("not looked at", "note", 0, text)]
    return score, [] if score is None else [judge_metadata(score, features)]
