"""Groups of images that must stay on one side of a split: joined by copies and examinations."""

from __future__ import annotations

import dataclasses
import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.splits.examination_names import is_from_names
from bottleneck.data.splits.folds import COPIES
from bottleneck.duplicates.kinds.duplicate_pair import DuplicatePair
from bottleneck.duplicates.near_duplicates import (
    MANY,
    NearDuplicateSearch,
    Progress,
    find_identical,
    find_near_duplicates,
)
from bottleneck.duplicates.similarity import round_aspects
from bottleneck.text.plurals import counted
from bottleneck.text.short_repr import show_fields

__all__ = [
    "VOLUMETRIC",
    "LeakSafeGroups",
    "connect",
    "describe_ties",
    "forget",
    "join_by_images",
    "leak_safe_groups",
    "without_names",
]

Strings: TypeAlias = NDArray[np.str_]

#: Samples of volumes. Small pictures of different places in CT agree as well as those of copies.
VOLUMETRIC = ("region", "volume")


@dataclasses.dataclass(frozen=True, eq=False)
class LeakSafeGroups:
    """Groups of images, and the duplicates that join patients into one group.

    Attributes
    ----------
    names : ndarray of str, shape (n_samples,), or None
        Group of every image, named after the patient of its first image. None where no patient
        is known and there are no duplicates.
    pairs : tuple of DuplicatePair
        All pairs of identical and near-duplicate images, those of one patient too.
    search : NearDuplicateSearch or None
        Thresholds of the search for near-duplicates; None where there were no thumbnails.
    noun : {"image", "region", "volume", "sample"}
        What a sample is. Equal features count as copies of a "sample", which has no image.
    searched : bool
        Whether copies could be searched for at all.
    examinations : ndarray of str, shape (n_samples,), or None
        Examination of each image that is in one with an image without a patient; "" for others.
    """

    names: Strings | None
    pairs: tuple[DuplicatePair, ...]
    search: NearDuplicateSearch | None
    noun: str = "image"
    searched: bool = True
    examinations: Strings | None = None

    __repr__ = show_fields

    @property
    def kept_words(self) -> str:
        """What the groups keep together, in words."""
        known = self.examinations
        if known is None:
            return COPIES
        by_name = is_from_names(known)
        certain = ((known != "") & ~by_name).any()
        told = "images of one examination" + (" by their file names" if by_name.any() else "")
        if certain and by_name.any():
            told = "images of one examination by their headers or file names"
        return f"{COPIES} and {told}" if self.pairs else f"I{told[1:]}"


def leak_safe_groups(
    thumbnails: NDArray[np.uint8] | None,
    patients: Strings | None,
    ids: Strings,
    *,
    pixels: Strings | None = None,
    noun: str = "image",
    sizes: NDArray | None = None,
    features: NDArray[np.float32] | None = None,
    searched: NDArray[np.intp] | None = None,
    order_by: Sequence[Strings] = (),
    examinations: Strings | None = None,
    progress: Progress | None = None,
) -> LeakSafeGroups:
    """Join the patients that share identical or near-duplicate images, or an examination.

    Near-duplicates of volumes and their regions are not searched for: ``docs/guide/leakage.md`` has
    the measurements.

    Parameters
    ----------
    thumbnails : ndarray of uint8, shape (n_samples, 32, 32), or None
        Grey thumbnails; without them only identical images are searched for.
    patients : ndarray of str, shape (n_samples,), or None
        Patient of every image, from ``name_patients``.
    ids : ndarray of str, shape (n_samples,)
        Unique ids of the images.
    pixels : ndarray of str, shape (n_samples,), or None
        Hashes of the decoded pixels; without them identical images count as near-duplicates.
    noun : {"image", "region", "volume", "sample"}
        What a sample is. The hashes of a "sample" are those of its row of features.
    sizes : ndarray of int, shape (n_samples, 2), or None
        Width and height in pixels.
    features : ndarray of float32, shape (n_samples, n_features), or None
        Features that confirm doubtful pairs; without them doubtful pairs are not counted.
    searched : ndarray of int or None
        Rows that have a thumbnail; by default all.
    order_by : sequence of ndarray of str, shape (n_samples,)
        Columns, such as labels and folds, by which images that occur more than 32 times are
        ordered before neighbours are paired; see ``find_identical``.
    examinations : ndarray of str, shape (n_samples,), or None
        Examinations that join their images, from ``SplitColumns.loose_examinations``.
    progress : callable or None
        Called with the number of images done, their total and a text.

    Returns
    -------
    LeakSafeGroups

    Examples
    --------
    >>> import numpy as np
    >>> groups = leak_safe_groups(
    ...     None,
    ...     np.array(["ann", "bob", "carl"]),
    ...     np.array(["1.png", "2.png", "3.png"]),
    ...     pixels=np.array(["a0", "b1", "a0"]),
    ... )
    >>> groups.names.tolist()
    ['ann', 'bob', 'ann']
    """
    owners = ids if patients is None else patients
    pairs, first = [], np.arange(len(ids))
    if pixels is not None:
        order = np.lexsort([owners, *order_by])
        pairs = [
            DuplicatePair(a, b, True, 1.0, 1.0, "identical")
            for a, b in find_identical(pixels, order)
        ]
        first = np.unique(pixels, return_index=True)[1]
    search = None
    if thumbnails is not None and noun not in VOLUMETRIC:
        # Of identical images one is searched for near-duplicates, and stands for all of them.
        first = np.sort(first if searched is None else np.intersect1d(first, searched))
        search = find_near_duplicates(
            thumbnails[first],
            round_aspects(sizes, len(ids))[first],
            owners[first],
            features,
            rows=first,
            progress=progress,
        )
        search = dataclasses.replace(search, pairs=tuple(_spread(search.pairs, first, pixels)))
        pairs += search.pairs
    pairs.sort(key=lambda pair: (pair.a, pair.b))
    return LeakSafeGroups(
        _join(patients, ids, pairs, examinations),
        tuple(pairs),
        search,
        noun,
        noun != "sample" or pixels is not None,
        examinations,
    )


def _spread(
    pairs: Sequence[DuplicatePair], first: NDArray[np.intp], pixels: Strings | None
) -> Iterator[DuplicatePair]:
    """Yield every pair once for each image that is identical to one of its two images."""
    rows: dict[str, list[int]] = defaultdict(list)
    for row, key in enumerate([] if pixels is None else pixels.tolist()):
        rows[key].append(row)
    for pair in pairs:
        a, b = int(first[pair.a]), int(first[pair.b])
        many = [[row] if pixels is None else rows[pixels[row]][:MANY] for row in (a, b)]
        for one, other in itertools.product(*many):
            yield dataclasses.replace(pair, a=min(one, other), b=max(one, other))


def join_by_images(
    duplicates: LeakSafeGroups, patients: Strings | None, ids: Strings
) -> Strings | None:
    """Return the groups that follow from the images alone, without features and file names.

    Groups of ``leak_safe_groups`` may be larger, since features confirm doubtful pairs there, and
    file names join images. A training on images has no features, and published folds follow no
    names, so that folds can divide those groups, and only those.

    Parameters
    ----------
    duplicates : LeakSafeGroups
        Result of ``leak_safe_groups``.
    patients, ids : ndarray of str, shape (n_samples,), or None
        As for ``leak_safe_groups``.
    """
    search = duplicates.search
    pairs = [
        p
        for p in duplicates.pairs
        if p.identical or search is None or p.agreement >= search.threshold
    ]
    certain = without_names(duplicates, patients, ids)
    if len(pairs) == len(duplicates.pairs):
        return certain.names
    return _join(patients, ids, pairs, certain.examinations)


def without_names(
    duplicates: LeakSafeGroups, patients: Strings | None, ids: Strings
) -> LeakSafeGroups:
    """Return the duplicates, and the groups that do not rest on file names.

    Parameters
    ----------
    duplicates : LeakSafeGroups
        Result of ``leak_safe_groups``; it is returned where file names join nothing.
    patients, ids : ndarray of str, shape (n_samples,), or None
        As for ``leak_safe_groups``.
    """
    known = duplicates.examinations
    if known is None or not is_from_names(known).any():
        return duplicates
    certain = np.where(is_from_names(known), "", known)
    kept = certain if (certain != "").any() else None
    names = _join(patients, ids, duplicates.pairs, kept)
    return dataclasses.replace(duplicates, names=names, examinations=kept)


def forget(
    duplicates: LeakSafeGroups,
    patients: Strings | None,
    ids: Strings,
    rows: NDArray[np.intp],
) -> LeakSafeGroups:
    """Return the duplicates, and the groups that they join, without those of some rows.

    Parameters
    ----------
    duplicates : LeakSafeGroups
        Result of ``leak_safe_groups``.
    patients, ids : ndarray of str, shape (n_samples,), or None
        As for ``leak_safe_groups``.
    rows : ndarray of int
        Rows that join nobody.
    """
    gone = set(rows.tolist())
    pairs = tuple(p for p in duplicates.pairs if p.a not in gone and p.b not in gone)
    kept = duplicates.examinations
    if kept is not None:
        kept = np.where(np.isin(np.arange(len(kept)), rows), "", kept)
    names = _join(patients, ids, pairs, kept)
    return dataclasses.replace(duplicates, names=names, pairs=pairs, examinations=kept)


def describe_ties(duplicates: LeakSafeGroups, patients: Strings | None, n_samples: int) -> str:
    """Return sentences on the copies and examinations that join patients, with their numbers.

    Every command and report states them in these sentences.

    Parameters
    ----------
    duplicates : LeakSafeGroups
        Result of ``leak_safe_groups``.
    patients : ndarray of str, shape (n_samples,), or None
        Patient of every sample; samples are counted where no patient is known.
    n_samples : int
        Number of samples.

    Examples
    --------
    >>> ids = np.array(["1.png", "2.png", "3.png"])
    >>> found = leak_safe_groups(None, ids, ids, pixels=np.array(["a0", "b1", "a0"]))
    >>> describe_ties(found, ids, 3)
    '1 pair of copies (identical or near-duplicate images) ties 2 of 3 patients into 1 group.'
    """
    about = _describe_copies(duplicates, patients, n_samples)
    return " ".join(filter(None, (about, _describe_examinations(duplicates.examinations))))


def _describe_copies(duplicates: LeakSafeGroups, patients: Strings | None, n_samples: int) -> str:
    owners = np.arange(n_samples) if patients is None else patients
    one = duplicates.noun
    noun = one if patients is None else "patient"
    copies = {
        "image": "identical or near-duplicate images",
        "sample": "samples with equal features",
    }
    across = [pair for pair in duplicates.pairs if owners[pair.a] != owners[pair.b]]
    if not duplicates.searched:
        return "Copies could not be searched for."
    if not across:
        both = f"{one}s are copies" if patients is None else "patients share a copy"
        kind = "identical image; near-duplicates could not be searched for"
        if one in VOLUMETRIC:
            kind = "identical voxels; near-duplicates of volumes are not searched for"
        elif one == "sample":
            kind = "equal features"
        elif duplicates.search is not None:
            kind = "identical or near-duplicate image"
        return f"No two {both} ({kind})."
    names, codes = np.unique(owners, return_inverse=True)
    component = connect([(int(codes[p.a]), int(codes[p.b])) for p in across], len(names))
    sizes = np.bincount(component)
    joined = sizes[sizes > 1]
    ties = "ties" if len(across) == 1 else "tie"
    return (
        f"{counted(len(across), 'pair')} of copies "
        f"({copies.get(one, f'{one}s with identical voxels')}) {ties} "
        f"{joined.sum()} of {counted(len(names), noun)} into {counted(len(joined), 'group')}."
    )


def _describe_examinations(examinations: Strings | None) -> str:
    if examinations is None:
        return ""
    by_name = is_from_names(examinations)
    told = []
    for chosen, source in (
        ((examinations != "") & ~by_name, "the headers of DICOM files"),
        (by_name, "file names, which prove nothing,"),
    ):
        if n := int(chosen.sum()):
            n_groups = len(np.unique(examinations[chosen]))
            told.append(
                f"{source} indicate that {counted(n, 'image')} belong to "
                f"{counted(n_groups, 'examination')}"
            )
    words = ", and ".join(told)
    return (
        f"{words[0].upper()}{words[1:]}: without a patient, each examination stays on one side of "
        "every split."
        if told
        else ""
    )


def connect(pairs: Sequence[tuple[int, int]], n: int) -> NDArray[np.intp]:
    """Return the number of the connected component of each of n nodes.

    Examples
    --------
    >>> connect([(0, 2)], 3).tolist()
    [0, 1, 0]
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    a, b = np.array(pairs, np.intp).reshape(-1, 2).T
    links = coo_array((np.ones(len(a)), (a, b)), shape=(n, n))
    return connected_components(links, directed=False)[1].astype(np.intp)


def _join(
    patients: Strings | None,
    ids: Strings,
    pairs: Sequence[DuplicatePair],
    examinations: Strings | None = None,
) -> Strings | None:
    """Name the connected components of patients that share a pair or an examination."""
    if patients is None:
        if not pairs and examinations is None:
            return None
        patients = np.char.add("sample ", ids)
    names, codes = np.unique(patients, return_inverse=True)
    ties = [(int(codes[pair.a]), int(codes[pair.b])) for pair in pairs]
    if examinations is not None:
        order = np.argsort(examinations, kind="stable")
        ordered = examinations[order]
        same = (ordered[1:] == ordered[:-1]) & (ordered[1:] != "")
        ties += zip(codes[order[:-1][same]].tolist(), codes[order[1:][same]].tolist(), strict=True)
    component = connect(ties, len(names))
    _, first = np.unique(component[codes], return_index=True)
    return patients[first][component[codes]]
