"""Reader of LUNA16: candidates for lung nodules in CT scans, as the challenge publishes them.

Setio et al., "Validation, comparison, and combination of algorithms for automatic detection of
pulmonary nodules in computed tomography images", Medical Image Analysis 42:1-13, 2017.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bottleneck.data.dataset import ImageDataset
from bottleneck.data.readers.tables.volume_rows import RegionOptions
from bottleneck.data.readers.volume_sets.luna16_tables import (
    AnnotatedNodule,
    find_nodule,
    is_sampled,
    read_candidates,
    read_nodules,
)
from bottleneck.data.samples.sample_table import Sample, collect
from bottleneck.data.sources.untrusted_files import list_files
from bottleneck.data.volumes.candidates import Candidates
from bottleneck.data.volumes.volume_files import SUFFIXES, VolumeFiles, is_volume_name
from bottleneck.data.volumes.volume_region import VolumeRegion
from bottleneck.errors import DataError, UsageError
from bottleneck.text.plurals import counted
from bottleneck.text.short_repr import shorten

__all__ = ["is_luna16", "read_luna16"]

POSITIVE, NEGATIVE = "nodule", "non-nodule"

_SUBSET = re.compile(r"subset\d", re.IGNORECASE)
_SECOND, _FIRST, _ANNOTATIONS = "candidates_v2.csv", "candidates.csv", "annotations.csv"
# LIDC-IDRI-0332 has two scans. Each other scan is the only one of its patient.
_TWICE = "LIDC-IDRI-0332"
_PATIENTS = {
    "1.3.6.1.4.1.14519.5.2.1.6279.6001.159996104466052855396410079250": _TWICE,
    "1.3.6.1.4.1.14519.5.2.1.6279.6001.316900421002460665752357657094": _TWICE,
}
_DESCRIPTION = {
    "labels": "nodules of 3 mm or more that at least three of four radiologists marked (LUNA16)",
    "images": "regions of chest CT around the candidates of detection algorithms (LUNA16)",
}
_NO_SCAN, _NOT_SAMPLED = "missing scan", "negative that was not sampled"


def is_luna16(folder: Path) -> bool:
    """Return whether a folder has subsets of LUNA16, and a table beside them."""
    if not folder.is_dir():
        return False
    entries = list(folder.iterdir())
    if not any(_SUBSET.fullmatch(entry.name) and entry.is_dir() for entry in entries):
        return False
    names = {entry.name.casefold() for entry in (*entries, *folder.glob("*/*.csv"))}
    return not names.isdisjoint({_SECOND, _FIRST, _ANNOTATIONS})


def read_luna16(
    folder: Path, *, negatives: float = 1.0, size_mm: float | None = None
) -> ImageDataset:
    """Read the candidates of LUNA16 in the scans that are there.

    The folder has ``subset0`` to ``subset9``, or some of them, with the scans, and the tables
    ``candidates_V2.csv`` (otherwise ``candidates.csv``) and ``annotations.csv``, at the top or in
    folders of their own. Each candidate is a region of a scan. Its label is "nodule" or
    "non-nodule", its fold is the subset, and its lesion the annotated nodule that it lies in.
    Scans may have been converted to another format, under their names.

    Parameters
    ----------
    folder : Path
        The folder.
    negatives : float
        Share of the negative candidates that are read, above 0 and at most 1. A hash of the scan
        and the row chooses them: other subsets change nothing, and a lower share is part of a
        higher one. The name of the data set then ends in the share.
    size_mm : float, optional
        Edge of the regions in mm; by default, the preprocessing of the network decides.

    Returns
    -------
    ImageDataset
        Samples in the order of the table; ids are the scan and the number of its row in it. A
        patient is a scan, except for the one patient of two scans.

    Raises
    ------
    DataError
        If there are no scans, a table is missing or not as published, or a scan is there twice.
    UsageError
        If ``negatives`` is out of range.
    """
    is_number = isinstance(negatives, int | float) and not isinstance(negatives, bool)
    if not (is_number and 0 < negatives <= 1):
        raise UsageError(
            "the share of negative candidates must be above 0 and at most 1, such as 0.004 for "
            f"one of 250, not {shorten(negatives)}"
        )
    edge = RegionOptions(size_mm=size_mm).size_mm
    listing = list_files(folder)
    scans = _find_scans(folder, listing.files)
    if not scans:
        reasons = (
            f"'{folder}' has subsets of LUNA16 without a scan: expected files such as "
            "subset0/1.3.6.1.4.1.14519.….mhd",
            *listing.notes,
        )
        raise DataError(". ".join(reasons))
    table = _find_table(folder, listing.files, _SECOND) or _find_table(
        folder, listing.files, _FIRST
    )
    annotations = _find_table(folder, listing.files, _ANNOTATIONS)
    if table is None:
        raise DataError(
            f"'{folder}' has subsets of LUNA16, but neither candidates_V2.csv nor candidates.csv, "
            "which name the candidates: put one of them beside the subsets"
        )
    if annotations is None:
        raise DataError(
            f"'{folder}' has subsets of LUNA16, but no annotations.csv, which names the nodules: "
            "put it beside the subsets"
        )
    nodules = {scan: own for scan, own in read_nodules(annotations).items() if scan in scans}
    excluded = Counter[str]()
    samples = collect(_read_samples(table, scans, nodules, float(negatives), edge, excluded))
    notes = [*listing.notes, *_note_pair(scans)]
    if table.name.casefold() == _FIRST:
        notes.append(
            "candidates.csv is the first version of the candidates. candidates_V2.csv has "
            "candidates of more algorithms, for more of the nodules, and is used if it exists"
        )
    n_outside = sum(s.label == POSITIVE and s.lesion is None for s in samples)
    if n_outside:
        notes.append(
            f"{counted(n_outside, 'positive candidate')} within the radius of no annotated nodule"
        )
    return ImageDataset(
        name=folder.name if negatives == 1 else f"{folder.name}-negatives{negatives:g}",
        samples=samples,
        images=VolumeFiles(folder),
        positive=POSITIVE if any(s.label == POSITIVE for s in samples) else None,
        excluded=excluded,
        notes=tuple(notes),
        description=_DESCRIPTION,
        candidates=Candidates(
            float(negatives),
            {source: _PATIENTS.get(scan, scan) for scan, source in scans.items()},
            {nodule.name: scans[scan] for scan, own in nodules.items() for nodule in own},
        ),
    )


def _find_scans(folder: Path, files: Sequence[str]) -> dict[str, str]:
    """Return the path of each scan in the subsets, by its SeriesInstanceUID."""
    scans: dict[str, str] = {}
    for file in files:
        if not is_volume_name(file) or _subset_of(file) is None:
            continue
        name = file.rpartition("/")[2]
        suffix = max((s for s in SUFFIXES if name.casefold().endswith(s)), key=len)
        other = scans.setdefault(name[: -len(suffix)], file)
        if other != file:
            raise DataError(
                f"'{folder}' has the scan {name[: -len(suffix)]} twice, as '{other}' and '{file}': "
                "keep one of them"
            )
    return scans


def _subset_of(file: str) -> str | None:
    """Return the name of the subset that a file is in; None if it is in none."""
    folders = file.split("/")[:-1]
    return next((name.casefold() for name in reversed(folders) if _SUBSET.fullmatch(name)), None)


def _find_table(folder: Path, files: Sequence[str], name: str) -> Path | None:
    """Return the table of this name."""
    named = [file for file in files if file.rpartition("/")[2].casefold() == name]
    if len(named) > 1:
        raise DataError(
            f"'{folder}' has several tables called {name}, such as '{named[0]}' and '{named[1]}': "
            "keep one of them"
        )
    return folder / named[0] if named else None


def _read_samples(
    table: Path,
    scans: Mapping[str, str],
    nodules: Mapping[str, Sequence[AnnotatedNodule]],
    rate: float,
    size_mm: float | None,
    excluded: Counter[str],
) -> Iterator[Sample]:
    """Yield the samples, and count the other rows in ``excluded``."""
    for candidate in read_candidates(table):
        scan = candidate.scan
        source = scans.get(scan)
        if source is None:
            excluded[_NO_SCAN] += 1
            continue
        if not candidate.positive and not is_sampled(candidate, rate):
            excluded[_NOT_SAMPLED] += 1
            continue
        own = find_nodule(candidate, nodules.get(scan, ())) if candidate.positive else None
        yield Sample(
            id=f"{scan}/{candidate.number}",
            source=source,
            label=POSITIVE if candidate.positive else NEGATIVE,
            group=_PATIENTS.get(scan, scan),
            fold=_subset_of(source),
            lesion=None if own is None else own.name,
            volume_region=VolumeRegion(*candidate.point, "lps", size_mm),
        )


def _note_pair(scans: Mapping[str, str]) -> Iterator[str]:
    subsets = sorted({str(_subset_of(scans[scan])) for scan in _PATIENTS.keys() & scans.keys()})
    if len(subsets) > 1:
        where = " and ".join(subsets)
        yield (
            f"the subsets divide one patient, {_TWICE}, with a scan in {where}: as folds they are "
            "refused, unless --merge-folds (in Python merge_folds=True) keeps both scans in one"
        )
