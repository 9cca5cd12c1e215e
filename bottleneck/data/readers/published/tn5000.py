"""Reader of TN5000: thyroid nodules with pathology labels, in the layout of Pascal VOC."""

from __future__ import annotations

import codecs
import dataclasses
import functools
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath
from xml.etree.ElementTree import Element

from bottleneck.data.dataset import FileSource, ImageDataset
from bottleneck.data.readers.published.xml_files import parse_xml
from bottleneck.data.regions.outlines import Outlines, rectangle
from bottleneck.data.samples.sample_table import Box, Sample, collect
from bottleneck.data.sources.untrusted_files import IMAGE_SUFFIXES, MAX_COORDINATE, list_files
from bottleneck.errors import DataError
from bottleneck.files.small_files import read_small

__all__ = ["VocBoxes", "read_tn5000"]

_LABELS = {"0": "benign", "1": "malignant"}
_SPLITS = ("train", "val", "test")
# In bytes; the published lists have some ten thousand.
_MAX_LIST = 16_777_216

# Pascal VOC's lists may state in a second column whether the image shows the class of the list.
_SECOND_COLUMN = re.compile(r"\s+(-1|0|1)$")


def read_tn5000(folder: Path, *, crop: bool = False) -> ImageDataset:
    """Read the folders ``Annotations``, ``JPEGImages`` and ``ImageSets/Main`` of TN5000.

    An object called 0 is benign, 1 is malignant. The published lists ``train.txt``, ``val.txt``
    and ``test.txt`` define the splits; images in none of the lists are left out, as are
    listed images without a file. The lists name images with or without their suffix, and images
    may have any suffix. Patients are not published.

    Parameters
    ----------
    folder : Path
        The folder that contains these three.
    crop : bool
        Whether each annotated nodule, with its bounding box, is a sample, instead of each image.
        Without it, images with both benign and malignant nodules are left out.

    Returns
    -------
    ImageDataset
        Ids are ``000001``; with ``crop``, ``000001#1`` for the first nodule of that image.

    Raises
    ------
    DataError
        If no image is left, a list is missing, an image is in two lists, two files differ only in
        their suffix, an object has another name, or an XML file is damaged or harmful.
    """
    listing = list_files(folder)
    excluded = listing.excluded
    images = _find_files(listing.files, "JPEGImages", IMAGE_SUFFIXES)
    annotations = _find_files(listing.files, "Annotations", {".xml"})
    splits = _read_splits(folder, listing.files, images)
    excluded["image in no list of ImageSets/Main"] = len(images.keys() - splits.keys())
    samples: list[Sample] = []
    for name, split in splits.items():
        if name not in images:
            excluded["listed image that is missing"] += 1
        elif name not in annotations:
            excluded["image without an annotation file"] += 1
        else:
            source, annotation = images[name], annotations[name]
            objects = parse_xml(folder / annotation).findall("object")
            nodules = [
                Sample(
                    id=f"{name}#{number}",
                    source=source,
                    label=_read_label(element, annotation),
                    split=split,
                    region=_read_box(element),
                )
                for number, element in enumerate(objects, start=1)
            ]
            samples += _keep_boxed(nodules, excluded) if crop else _merge(name, nodules, excluded)
    return ImageDataset(
        name=folder.name,
        samples=collect(samples),
        images=FileSource(folder),
        excluded=+excluded,
        notes=listing.notes,
    )


@dataclasses.dataclass(frozen=True)
class VocBoxes:
    """The boxes in the annotations of Pascal VOC, read when they are asked for.

    Attributes
    ----------
    folder : Path
        The folder that contains ``Annotations`` and ``JPEGImages``.
    """

    folder: Path

    def find(self, sample: Sample) -> Outlines | None:
        """Return the boxes in an image, or that of the object that a sample is cut out for.

        Raises
        ------
        DataError
            If the annotation is damaged or harmful.
        """
        path = PurePosixPath(sample.source)
        if path.parts[0] != "JPEGImages":
            return None
        name = _normalise(str(path.relative_to("JPEGImages").with_suffix("")))
        if (annotation := self._annotations.get(name)) is None:
            return None
        objects = parse_xml(self.folder / annotation).findall("object")
        boxes = [box for one in objects if (box := _read_box(one)) is not None]
        own = [box for box in boxes if box == sample.region]
        return Outlines.of([rectangle(box) for box in own or boxes])

    @functools.cached_property
    def _annotations(self) -> dict[str, str]:
        return _find_files(list_files(self.folder).files, "Annotations", {".xml"})


def _find_files(files: list[str], folder: str, suffixes: Collection[str]) -> dict[str, str]:
    """Return the files of a subfolder by their name in it without suffix, in NFC."""
    paths: dict[str, str] = {}
    for file in files:
        path = PurePosixPath(file)
        if path.parts[0] != folder or path.suffix.casefold() not in suffixes:
            continue
        name = _normalise(str(path.relative_to(folder).with_suffix("")))
        if name in paths:
            raise DataError(
                f"the files '{paths[name]}' and '{file}' have the same name but for the suffix or "
                "the spelling of a letter; remove or rename one of them"
            )
        paths[name] = file
    return paths


def _normalise(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _keep_boxed(nodules: list[Sample], excluded: Counter[str]) -> list[Sample]:
    boxed = [nodule for nodule in nodules if nodule.region is not None]
    if not nodules:
        excluded["image without a nodule"] += 1
    excluded["nodule with an impossible box"] += len(nodules) - len(boxed)
    return boxed


def _merge(name: str, nodules: list[Sample], excluded: Counter[str]) -> list[Sample]:
    """Return the sample of a whole image, or none if its nodules have different labels."""
    labels = {nodule.label for nodule in nodules}
    if len(labels) == 1:
        return [dataclasses.replace(nodules[0], id=name, region=None)]
    reason = "image with benign and malignant nodules" if labels else "image without a nodule"
    excluded[reason] += 1
    return []


def _read_splits(folder: Path, files: list[str], images: Collection[str]) -> dict[str, str]:
    """Return the split of each listed image, in the order of the lists."""
    lists = {file.casefold(): file for file in files if file.startswith("ImageSets/Main/")}
    splits: dict[str, str] = {}
    for split in _SPLITS:
        name = f"ImageSets/Main/{split}.txt"
        path = folder / lists.get(name.casefold(), name)
        place = f"the list ImageSets/Main/{path.name} of '{folder}'"
        try:
            data = read_small(path, "list", limit=_MAX_LIST, error=DataError)
            is_utf_16 = data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
            lines = data.decode("utf-16" if is_utf_16 else "utf-8-sig").splitlines()
        except ValueError as error:
            raise DataError(f"{place} cannot be read: it is not UTF-8 text; save it so") from error
        for name in (_find_name(line.strip(), images) for line in lines if line.strip()):
            if splits.setdefault(name, split) != split:
                raise DataError(
                    f"'{folder}': image '{name}' is in both {splits[name]}.txt and {path.name}; "
                    "an image can only be in one split"
                )
    return splits


def _find_name(line: str, images: Collection[str]) -> str:
    """Return the image that a line of a list names, or what is probably its name."""
    candidates = list(_possible_names(_normalise(line)))
    return next((name for name in candidates if name in images), candidates[-1])


def _possible_names(line: str) -> Iterator[str]:
    for text in (line, _SECOND_COLUMN.sub("", line)):
        yield text
        yield text.removeprefix("JPEGImages/")
        if PurePosixPath(text).suffix.casefold() in IMAGE_SUFFIXES:
            yield str(PurePosixPath(text.removeprefix("JPEGImages/")).with_suffix(""))


def _read_label(element: Element, annotation: str) -> str:
    name = (element.findtext("name") or "").strip()
    if name not in _LABELS:
        raise DataError(
            f"{annotation}: object '{name}'; the objects of TN5000 are 0 (benign) and 1 (malignant)"
        )
    return _LABELS[name]


def _read_box(element: Element) -> Box | None:
    try:
        edges = [
            float(element.findtext(f"bndbox/{e}") or "") for e in ("xmin", "ymin", "xmax", "ymax")
        ]
    except ValueError:
        return None
    if not all(abs(edge) <= MAX_COORDINATE for edge in edges):  # False for NaN.
        return None
    # Pascal VOC counts pixels from 1, and its boxes include the last pixel.
    left, top, right, bottom = (round(edge) for edge in edges)
    left, top = max(0, left - 1), max(0, top - 1)
    return (left, top, right, bottom) if left < right and top < bottom else None
