"""A made LUNA16 tree: small volumes with bright nodules, and the tables as they are published."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

ROOT = "1.3.6.1.4.1.14519.5.2.1.6279.6001."
# The two scans of one patient (LIDC-IDRI-0332), which are published in two subsets.
PAIR = (
    f"{ROOT}159996104466052855396410079250",
    f"{ROOT}316900421002460665752357657094",
)
# That of each scan in turn; those of the pair as published.
_SUBSETS = (2, 6, 0, 1, 3, 4, 5, 7, 8, 9)
_HEADER = """ObjectType = Image
NDims = 3
BinaryData = True
BinaryDataByteOrderMSB = False
CompressedData = False
TransformMatrix = {sign} 0 0 0 {sign} 0 0 0 1
Offset = {offset}
CenterOfRotation = 0 0 0
AnatomicalOrientation = RAI
ElementSpacing = {spacing}
DimSize = {shape}
ElementType = MET_SHORT
ElementDataFile = {name}.raw
"""
_FIELDS = ("seriesuid", "coordX", "coordY", "coordZ")
_LUNG, _TISSUE, _OUTSIDE = (-1000, 150), 300, -3024
_MARGIN = 40.0
_MM = tuple[float, float, float]


@dataclasses.dataclass(frozen=True)
class MadeScan:
    """A scan: where its voxels are, and its nodules as (x, y, z, diameter) in LPS mm."""

    uid: str
    subset: int
    offset: _MM
    spacing: _MM
    sign: int
    nodules: tuple[tuple[float, float, float, float], ...]


def make_luna16(
    folder: Path,
    n_scans: int = 12,
    *,
    annotations: Path | None = None,
    seriesuids: Path | None = None,
    size: int = 24,
    n_negatives: int = 6,
    seed: int = 0,
) -> list[MadeScan]:
    """Write a tree of LUNA16, and return its scans.

    Parameters
    ----------
    folder : Path
        Gets ``subset0`` to ``subset9`` with ``.mhd`` and ``.raw`` files, ``annotations.csv``,
        ``candidates.csv`` and ``candidates_V2.csv``.
    n_scans : int
        Number of scans, at least two: the first two are of one patient in two subsets. The last
        fifth of the others has no nodule. From twelve on, every subset has a nodule. One nodule has
        no candidate, and one scan is stored with two axes reversed.
    annotations, seriesuids : Path, optional
        The published tables: scans and nodules are then real ones, in volumes that span them, and
        the annotations are those of all scans.
    size : int
        Voxels along each axis.
    n_negatives : int
        Negative candidates of each scan in the second version; the first has half of them.
    """
    rng = np.random.default_rng(seed)
    if annotations is None:
        nodules = _made_nodules(rng, n_scans)
    else:
        assert seriesuids is not None
        nodules = _real_nodules(annotations, seriesuids, n_scans)
    scans = [_place(uid, n, own, size) for n, (uid, own) in enumerate(nodules.items())]
    for number in range(10):
        (folder / f"subset{number}").mkdir(parents=True, exist_ok=True)
    for scan in scans:
        _write_volume(folder, scan, size, rng)
    rows = [row for scan in scans for row in _candidates(scan, size, n_negatives, rng)]
    _write(folder / "candidates_V2.csv", (*_FIELDS, "class"), rows)
    kept = [row for number, row in enumerate(rows) if row[-1] or number % 2]
    _write(folder / "candidates.csv", (*_FIELDS, "class"), kept)
    if annotations is None:
        listed = [(scan.uid, *nodule) for scan in scans for nodule in scan.nodules]
        _write(folder / "annotations.csv", (*_FIELDS, "diameter_mm"), listed)
    else:
        (folder / "annotations.csv").write_bytes(annotations.read_bytes())
    return scans


def _made_nodules(
    rng: np.random.Generator, n_scans: int
) -> dict[str, tuple[tuple[float, float, float, float], ...]]:
    uids = [*PAIR, *(f"{ROOT}{10**29 + n}" for n in range(n_scans - 2))]
    made = {}
    for number, uid in enumerate(uids):
        n = 0 if number >= n_scans - _n_without(n_scans) else 1 + number % 2
        centres = rng.uniform(-60, 60, 3) + 45.0 * np.arange(n)[:, np.newaxis] - 200 * (number % 2)
        diameters = rng.uniform(8, 20, n)
        made[uid] = tuple(
            (*map(float, c.round(3)), float(d)) for c, d in zip(centres, diameters, strict=True)
        )
    return made


def _real_nodules(
    annotations: Path, seriesuids: Path, n_scans: int
) -> dict[str, tuple[tuple[float, float, float, float], ...]]:
    own: dict[str, list[tuple[float, ...]]] = {}
    with annotations.open(newline="") as file:
        for row in csv.DictReader(file):
            numbers = (*(float(row[name]) for name in _FIELDS[1:]), float(row["diameter_mm"]))
            own.setdefault(row["seriesuid"], []).append(numbers)
    uids = [uid for uid in seriesuids.read_text().split() if uid not in PAIR]
    with_any = [uid for uid in uids if uid in own]
    without = [uid for uid in uids if uid not in own]
    n_without = _n_without(n_scans)
    chosen = [*PAIR, *with_any[: n_scans - 2 - n_without], *without[:n_without]]
    return {uid: tuple(own.get(uid, ())) for uid in chosen}


def _n_without(n_scans: int) -> int:
    return (n_scans - 2) // 5


def _place(
    uid: str, number: int, nodules: Sequence[tuple[float, float, float, float]], size: int
) -> MadeScan:
    """Return a scan whose voxels span its nodules and a margin."""
    points = np.array([nodule[:3] for nodule in nodules] or [[0.0, 0.0, -100.0]])
    low = np.floor(points.min(axis=0) - _MARGIN)
    spacing = np.ceil(points.max(axis=0) + _MARGIN - low) / (size - 1)
    sign = -1 if number % 7 == 3 else 1
    offset = np.where([sign < 0, sign < 0, False], low + spacing * (size - 1), low)
    subset = _SUBSETS[number % len(_SUBSETS)]
    x, y, z = offset.tolist()
    a, b, c = spacing.tolist()
    return MadeScan(uid, subset, (x, y, z), (a, b, c), sign, tuple(nodules))


def _world(scan: MadeScan, size: int) -> np.ndarray:
    """Return LPS coordinates of all voxels, shape (x, y, z, 3)."""
    signs = np.array([scan.sign, scan.sign, 1])
    grid = np.stack(np.meshgrid(*[np.arange(size)] * 3, indexing="ij"), axis=-1)
    return np.array(scan.offset) + grid * np.array(scan.spacing) * signs


def _distance(scan: MadeScan, nodule: tuple[float, ...], points: np.ndarray) -> np.ndarray:
    """Return distances from the centre of a nodule, in radii, or in voxels if these are larger."""
    *centre, diameter = nodule
    return np.linalg.norm((points - centre) / np.maximum(diameter / 2, scan.spacing), axis=-1)


def _write_volume(folder: Path, scan: MadeScan, size: int, rng: np.random.Generator) -> None:
    # Patches of different scans must not look like copies of each other.
    values = rng.uniform(*_LUNG, (size,) * 3)
    world = _world(scan, size)
    for nodule in scan.nodules:
        distance = _distance(scan, nodule, world)
        values[distance <= rng.uniform(1, 1.8, distance.shape)] = _TISSUE
    values[0, 0, :] = _OUTSIDE
    path = folder / f"subset{scan.subset}" / scan.uid
    # The first axis varies fastest in the file.
    voxels = values.round().astype("<i2").tobytes(order="F")
    Path(f"{path}.raw").write_bytes(voxels)
    header = _HEADER.format(
        sign=scan.sign,
        offset=" ".join(map(repr, scan.offset)),
        spacing=" ".join(map(repr, scan.spacing)),
        shape=f"{size} {size} {size}",
        name=scan.uid,
    )
    Path(f"{path}.mhd").write_text(header)


def _candidates(
    scan: MadeScan, size: int, n_negatives: int, rng: np.random.Generator
) -> list[tuple[object, ...]]:
    """Return the rows of a scan: one or two candidates in each nodule, and others outside."""
    found = []
    # The last one of the second scan is missed.
    hit = scan.nodules[:-1] if scan.uid == PAIR[1] else scan.nodules
    for number, (*centre, diameter) in enumerate(hit):
        for _ in range(1 + number % 2):
            shift = rng.uniform(-0.2, 0.2, 3) * diameter
            found.append((*(np.array(centre) + shift), 1))
    ends = np.stack([_world(scan, size)[0, 0, 0], _world(scan, size)[-1, -1, -1]])
    low, high = ends.min(axis=0), ends.max(axis=0)
    negatives = 0
    while negatives < n_negatives:
        point = rng.uniform(low, high)
        if all(_distance(scan, nodule, point) > 2.5 for nodule in scan.nodules):
            found.append((*point, 0))
            negatives += 1
    order = rng.permutation(len(found)).tolist()
    return [(scan.uid, *(round(float(x), 2) for x in found[n][:3]), found[n][3]) for n in order]


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
