"""Reader of DDTI, the open-access thyroid ultrasound database.

Pedraza et al., "An open access thyroid ultrasound image database", Proc. SPIE 9287, 2015.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

from bottleneck.data.dataset import FileSource, ImageDataset
from bottleneck.data.readers.published.xml_files import parse_xml
from bottleneck.data.regions.outlines import Outlines, Polygon
from bottleneck.data.samples.sample_table import Box, Sample, collect
from bottleneck.data.sources.untrusted_files import IMAGE_SUFFIXES, MAX_COORDINATE, list_files

__all__ = ["CASE_FILE", "DdtiOutlines", "read_ddti"]

CASE_FILE = re.compile(r"(\d+)\.xml", re.ASCII | re.IGNORECASE)
_IMAGE_FILE = re.compile(r"(\d+)_(\d+)(\.[a-z0-9]+)", re.ASCII | re.IGNORECASE)
_TIRADS = re.compile(r"(?:ti-?\s?rads)?\s*([2-5])\s*[abc]?", re.IGNORECASE)

# Margin around a nodule, as a fraction of its width and height. The polygon follows the border of
# the nodule, and how sharp this border is helps to diagnose it.
_MARGIN = 0.05


def read_ddti(folder: Path, *, crop: bool = False) -> ImageDataset:
    """Read cases ``N.xml`` and their images ``N_1.jpg``, ``N_2.jpg`` in the same folder.

    The images may have the suffix of any image format.
    TI-RADS 2 and 3 are benign; 4 (4a, 4b, 4c) and 5 are malignant. Cases with another score
    or without one are left out. The number of the case is the patient.

    Parameters
    ----------
    folder : Path
        The folder with the files.
    crop : bool
        Whether each annotated nodule is a sample, instead of each image. The region is the
        bounding box of the polygon, enlarged on each side by 5 % of its width or height and
        clipped at 0. It may extend beyond the right and lower edge of the image.

    Returns
    -------
    ImageDataset
        Ids are ``N_1``; with ``crop``, ``N_1#1`` for the first nodule of that image.

    Raises
    ------
    DataError
        If no image is left, or an XML file is damaged or harmful.
    """
    listing = list_files(folder)
    excluded = listing.excluded
    images: dict[str, list[str]] = defaultdict(list)
    for file in listing.files:
        match = _IMAGE_FILE.fullmatch(file)
        if match and match[3].casefold() in IMAGE_SUFFIXES:
            images[match[1]].append(file)
    cases = {match[1]: match[0] for file in listing.files if (match := CASE_FILE.fullmatch(file))}
    excluded["image without an XML file"] = sum(len(images[case]) for case in images.keys() - cases)
    samples: list[Sample] = []
    for case in sorted(cases, key=int):
        root = parse_xml(folder / cases[case])
        score = (root.findtext("tirads") or "").strip()
        label = _read_label(score)
        if label is None:
            reason = "with an unknown TI-RADS score" if score else "without a TI-RADS score"
            excluded[f"case {reason}"] += 1
            excluded[f"image of a case {reason}"] += len(images[case])
            continue
        regions = _read_marks(root)
        numbers = {_number(file) for file in images[case]}
        excluded["image that an XML file names but is missing"] += len(regions.keys() - numbers)
        for file in sorted(images[case], key=lambda file: int(_number(file))):
            sample = Sample(id=Path(file).stem, source=file, label=label, group=case)
            samples += _crop(sample, regions[_number(file)], excluded) if crop else [sample]
    return ImageDataset(
        name=folder.name,
        samples=collect(samples),
        images=FileSource(folder),
        excluded=+excluded,
        notes=("labels come from TI-RADS scores, not from pathology",) * bool(samples)
        + listing.notes,
        description={
            "labels": "TI-RADS scores (2 and 3 benign, 4a to 5 malignant), not pathology",
            "images": "nodules cut out of frames" if crop else "whole frames",
        },
    )


def _number(file: str) -> str:
    """Return the number of an image within its case, as text."""
    return Path(file).stem.split("_")[1]


def _read_label(score: str) -> str | None:
    match = _TIRADS.fullmatch(score)
    if match is None:
        return None
    return "benign" if match[1] in "23" else "malignant"


@dataclasses.dataclass(frozen=True)
class DdtiOutlines:
    """The outlines of nodules in the XML files of DDTI, read when they are asked for.

    Attributes
    ----------
    folder : Path
        The folder with the files.
    """

    folder: Path

    def find(self, sample: Sample) -> Outlines | None:
        """Return the outlines in an image, or that of the nodule that a sample is cut out for.

        Raises
        ------
        DataError
            If the XML file is damaged or harmful.
        """
        match = _IMAGE_FILE.fullmatch(sample.source)
        case = self._cases.get(match[1]) if match else None
        if match is None or case is None:
            return None
        marks = _read_marks(parse_xml(self.folder / case))[match[2]]
        regions = [one for one in marks if one is not None]
        own = [outline for box, outline in regions if box == sample.region]
        # A region of the user's own choice contains what it contains.
        return Outlines.of(own or [outline for _, outline in regions])

    @functools.cached_property
    def _cases(self) -> dict[str, str]:
        matches = (CASE_FILE.fullmatch(file) for file in list_files(self.folder).files)
        return {match[1]: match[0] for match in matches if match}


_Mark = tuple[Box, Polygon]


def _read_marks(root: Element) -> dict[str, list[_Mark | None]]:
    """Return the regions of each image by its number; None for an unusable region."""
    regions: dict[str, list[_Mark | None]] = defaultdict(list)
    for mark in root.iter("mark"):
        number = (mark.findtext("image") or "").strip()
        regions[number] += _read_regions(mark.findtext("svg") or "")
    return regions


def _read_regions(svg: str) -> list[_Mark | None]:
    try:
        content = json.loads(svg) if svg.strip() else []
    except (ValueError, RecursionError):
        return [None]
    return [_read_mark(region) for region in content] if isinstance(content, list) else [None]


def _read_mark(region: Any) -> _Mark | None:
    """Return a polygon and its bounding box with the margin; None if the polygon is unusable."""
    try:
        xs = [float(point["x"]) for point in region["points"]]
        ys = [float(point["y"]) for point in region["points"]]
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    if not all(abs(value) <= MAX_COORDINATE for value in xs + ys):  # False for NaN.
        return None
    if not xs or min(xs) == max(xs) or min(ys) == max(ys):
        return None
    left, right = _grow(xs)
    top, bottom = _grow(ys)
    if right <= 0 or bottom <= 0:
        return None
    return (left, top, right, bottom), tuple(zip(xs, ys, strict=True))


def _grow(values: list[float]) -> tuple[int, int]:
    margin = _MARGIN * (max(values) - min(values))
    return max(0, math.floor(min(values) - margin)), math.ceil(max(values) + margin)


def _crop(sample: Sample, regions: list[_Mark | None], excluded: Counter[str]) -> list[Sample]:
    """Return one sample per nodule, numbered in the order of the file."""
    nodules = [
        dataclasses.replace(sample, id=f"{sample.id}#{number}", region=region[0])
        for number, region in enumerate(regions, start=1)
        if region is not None
    ]
    if not nodules:
        excluded["image without a usable outline"] += 1
    else:
        excluded["outline that cannot be used"] += len(regions) - len(nodules)
    return nodules
