"""Tables of regions: polygons, boxes or masks of samples that are named by id or by path."""

from __future__ import annotations

import dataclasses
import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.dataset import ImageDataset
from bottleneck.data.readers.sample_lists import match_entries
from bottleneck.data.readers.tables.csv_tables import read_table
from bottleneck.data.regions.mask_images import MaskImages, Region
from bottleneck.data.regions.outlines import Outlines, Polygon, rectangle
from bottleneck.data.samples.sample_table import Box, Sample, values_of
from bottleneck.data.sources.image_sources import FileSource
from bottleneck.data.sources.untrusted_files import MAX_COORDINATE
from bottleneck.data.spelling.identifiers import legible
from bottleneck.data.spelling.missing_values import blank_if_missing
from bottleneck.data.spelling.spelling_keys import match_names
from bottleneck.errors import DataError

__all__ = ["read_region_table"]

_EDGES = ("left", "top", "right", "bottom")
_ROLES = ("id", "path", "polygon", "mask", *_EDGES)
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?"
_CORNER = re.compile(rf"[\s,;(\[]*({_NUMBER})(?:\s*,\s*|\s+)({_NUMBER})[)\]]*[\s,;]*", re.I)
_LEAST_CORNERS = 3


@dataclasses.dataclass(frozen=True)
class _Union:
    """A region that consists of several."""

    regions: tuple[Region, ...]

    def fill(self, size: tuple[int, int], box: Box | None) -> NDArray[np.bool_]:
        return np.any([region.fill(size, box) for region in self.regions], axis=0)


@dataclasses.dataclass(frozen=True)
class _TableRegions:
    """The regions of samples by their ids."""

    regions: Mapping[str, Region]

    def find(self, sample: Sample) -> Region | None:
        return self.regions.get(sample.id)


def read_region_table(path: Path, dataset: ImageDataset) -> _TableRegions:
    """Return the regions in a table, which ``known_regions`` describes.

    Raises
    ------
    DataError
        If the table cannot be read, has no usable columns, or names no sample; or if a region is
        none, or is not in pixels. The message names the line.
    """
    table, _ = read_table(path)
    names = match_names(_ROLES, table.columns.tolist())
    columns = {role: table[name].tolist() for role, name in names.items()}
    has_box = all(edge in columns for edge in _EDGES)
    kinds = [*(kind for kind in ("polygon", "mask") if kind in columns), *["box"] * has_box]
    # A column "ID" often names the patient.
    keys = [key for key in ("id", "path") if key in columns and (key, names[key]) != ("id", "ID")]
    if len(kinds) != 1 or not keys:
        raise DataError(
            f"{path.name} needs a column id or path, and one of these: polygon, mask, or "
            f"left, top, right and bottom. Its columns are: {', '.join(table.columns)}"
        )
    samples = dataset.samples

    def find(key: str) -> dict[str, list[int]]:
        return match_entries(set(columns[key]), lambda field: values_of(samples, field))

    key = max(keys, key=lambda key: len(find(key)))
    named, rows = columns[key], find(key)
    regions: dict[str, list[Region]] = defaultdict(list)
    for n, line in enumerate(table.index):
        place = f"{path.name}, line {line}"
        fields = {role: blank_if_missing(column[n]).strip() for role, column in columns.items()}
        region = _read_region(fields, kinds[0], path.parent, place)
        if region is not None:
            for row in rows.get(named[n], ()):
                regions[samples[row].id].append(region)
    if not regions:
        raise DataError(
            f"no region in {path.name} belongs to a sample of '{dataset.name}': the {key}s "
            f"there are such as {legible(named[0]) if named else 'none'}, and the ids of the data "
            f"set such as {legible(samples[0].id)}"
        )
    _refuse_shares(path, regions)
    return _TableRegions(
        {key: one[0] if len(one) == 1 else _Union(tuple(one)) for key, one in regions.items()}
    )


def _read_region(fields: Mapping[str, str], kind: str, folder: Path, place: str) -> Region | None:
    """Return the region of a row; None for a row without one."""
    if kind == "mask":
        return MaskImages(FileSource(folder), (fields["mask"],)) if fields["mask"] else None
    if kind == "polygon":
        return Outlines((_read_polygon(fields["polygon"], place),)) if fields["polygon"] else None
    texts = [fields[edge] for edge in _EDGES]
    if not any(texts):
        return None
    left, top, right, bottom = box = [_read_number(text, place) for text in texts]
    if left >= right or top >= bottom:
        raise DataError(
            f"{place}: left must be below right, and top below bottom, not {', '.join(texts)}"
        )
    return Outlines((rectangle(box),))


def _read_number(text: str, place: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not abs(number) <= MAX_COORDINATE:  # False for NaN.
        raise DataError(f"{place}: a coordinate must be a number of pixels, not {legible(text)}")
    return number


def _read_polygon(text: str, place: str) -> Polygon:
    corners, end = [], 0
    # In JSON and in well-known text, brackets stand around the whole.
    inner = re.sub(r"^\s*polygon\b", "", text, flags=re.IGNORECASE)
    while match := _CORNER.match(inner, end):
        corners.append((_read_number(match[1], place), _read_number(match[2], place)))
        end = match.end()
    if inner[end:].strip(")]") or len(set(corners)) < _LEAST_CORNERS:
        raise DataError(
            f"{place}: a polygon must be at least {_LEAST_CORNERS} corners x,y in pixels, such as "
            f"10,20 80,20 45,60, not {legible(text)}"
        )
    return tuple(corners)


def _refuse_shares(path: Path, regions: Mapping[str, Sequence[Region]]) -> None:
    """Refuse coordinates that are shares of the width and height of the image."""
    outlines = [one for each in regions.values() for one in each if isinstance(one, Outlines)]
    values = [value for one in outlines for corner in one.polygons[0] for value in corner]
    if values and max(map(abs, values)) <= 1:
        raise DataError(
            f"all coordinates in {path.name} are between 0 and 1: write them in pixels of the "
            "image, not as shares of its width and height"
        )
