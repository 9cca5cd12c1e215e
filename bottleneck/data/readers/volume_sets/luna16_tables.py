"""The tables of LUNA16: candidates, and the annotated nodules that they may lie in."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from bottleneck.data.readers.tables.csv_tables import read_rows
from bottleneck.data.readers.tables.volume_rows import read_number
from bottleneck.data.spelling.identifiers import canonical, legible
from bottleneck.errors import DataError

__all__ = [
    "AnnotatedNodule",
    "Candidate",
    "find_nodule",
    "is_sampled",
    "read_candidates",
    "read_nodules",
]

_POINT = ("seriesuid", "coordX", "coordY", "coordZ")
# All numbers that the first eight bytes of a hash can be.
_HASHES = 2**64


@dataclasses.dataclass(frozen=True, slots=True)
class Candidate:
    """A row of a table of candidates.

    Attributes
    ----------
    scan : str
        The SeriesInstanceUID.
    number : int
        The number of the row among those of its scan, from 1.
    point : tuple of float
        LPS coordinates, in mm.
    positive : bool
        Whether its class is 1.
    """

    scan: str
    number: int
    point: tuple[float, float, float]
    positive: bool


@dataclasses.dataclass(frozen=True, slots=True)
class AnnotatedNodule:
    """An annotated nodule.

    Attributes
    ----------
    name : str
        The scan, and the number of the nodule in it, from 1.
    point : tuple of float
        LPS coordinates of the centre, in mm.
    diameter : float
        In mm.
    """

    name: str
    point: tuple[float, float, float]
    diameter: float


def read_candidates(path: Path) -> Iterator[Candidate]:
    """Yield the rows of ``candidates_V2.csv`` or ``candidates.csv``.

    Raises
    ------
    DataError
        If the table cannot be read, lacks a column, or has a field that is not as published.
    """
    counts = Counter[str]()
    for place, (scan, x, y, z, kind) in _read(path, (*_POINT, "class")):
        if kind not in ("0", "1"):
            raise DataError(f"{place}: the class must be 0 or 1, not {legible(kind)}")
        counts[scan] += 1
        point = _point(x, y, z, place)
        yield Candidate(scan, counts[scan], point, kind == "1")


def read_nodules(path: Path) -> dict[str, list[AnnotatedNodule]]:
    """Return the nodules of ``annotations.csv`` by scan.

    Raises
    ------
    DataError
        If the table cannot be read, lacks a column, or has a field that is not as published.
    """
    nodules: dict[str, list[AnnotatedNodule]] = {}
    for place, (scan, x, y, z, diameter) in _read(path, (*_POINT, "diameter_mm")):
        own = nodules.setdefault(scan, [])
        point = _point(x, y, z, place)
        own.append(
            AnnotatedNodule(
                f"{scan}/nodule {len(own) + 1}", point, read_number(diameter, "diameter_mm", place)
            )
        )
    return nodules


def find_nodule(candidate: Candidate, nodules: Sequence[AnnotatedNodule]) -> AnnotatedNodule | None:
    """Return the nearest nodule that a candidate lies in; None if it lies in none.

    LUNA16 counts a nodule as detected by a candidate within its radius (Setio et al., Medical Image
    Analysis 42, 2017).
    """
    near = [(math.dist(candidate.point, nodule.point), nodule) for nodule in nodules]
    inside = [(d, nodule) for d, nodule in near if d <= nodule.diameter / 2]
    return min(inside, key=lambda pair: pair[0])[1] if inside else None


def is_sampled(candidate: Candidate, rate: float) -> bool:
    """Return whether a negative candidate is in a sample of a rate.

    A hash of the scan and the number of the row decides. Another scan changes nothing, and a sample
    of a lower rate is part of one of a higher rate.

    Examples
    --------
    >>> rows = [Candidate("1.2.3", n, (0.0, 0.0, 0.0), False) for n in range(1, 1001)]
    >>> sum(is_sampled(row, 0.25) for row in rows)
    242
    """
    digest = hashlib.sha256(f"{candidate.scan} {candidate.number}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < rate * _HASHES


def _read(path: Path, columns: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield the place of each row in the table, for messages, and its fields in these columns."""
    rows = read_rows(path)
    _, header = next(rows)
    names = [canonical(name).casefold() for name in header]
    lacking = [name for name in columns if names.count(name.casefold()) != 1]
    if lacking:
        raise DataError(
            f"{path.name} must have one column '{lacking[0]}', as LUNA16 is published; its columns "
            f"are: {', '.join(header)}"
        )
    order = [names.index(name.casefold()) for name in columns]
    for line, fields in rows:
        yield f"{path.name}, line {line}", [fields[n].strip() for n in order]


def _point(x: str, y: str, z: str, place: str) -> tuple[float, float, float]:
    return (
        read_number(x, "coordX", place),
        read_number(y, "coordY", place),
        read_number(z, "coordZ", place),
    )
