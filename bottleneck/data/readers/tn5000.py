"""Reader of TN5000: thyroid nodules with pathology labels, in the layout of Pascal VOC."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path
from xml.etree.ElementTree import Element

from bottleneck.data.dataset import FileSource, ImageDataset
from bottleneck.data.readers.untrusted_files import MAX_COORDINATE, list_files, parse_xml
from bottleneck.data.samples import Box, Sample, collect
from bottleneck.errors import DataError

__all__ = ["read_tn5000"]

_LABELS = {"0": "benign", "1": "malignant"}
_SPLITS = ("train", "val", "test")


def read_tn5000(folder: Path, *, crop: bool = False) -> ImageDataset:
    """Read the folders ``Annotations``, ``JPEGImages`` and ``ImageSets/Main`` of TN5000.

    An object called 0 is benign, 1 is malignant. The published lists ``train.txt``, ``val.txt``
    and ``test.txt`` define the splits; images in none of the lists are left out, as are
    listed images without a file. Patients are not published.

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
        If no image is left, a list is missing, an image is in two lists, an object has another
        name, or an XML file is damaged or harmful.
    """
    files, excluded = list_files(folder)
    present = set(files)
    splits = _read_splits(folder)
    excluded["image in no list of ImageSets/Main"] = sum(
        file.startswith("JPEGImages/") and Path(file).stem not in splits for file in files
    )
    samples: list[Sample] = []
    for name, split in splits.items():
        source, annotation = f"JPEGImages/{name}.jpg", f"Annotations/{name}.xml"
        if source not in present:
            excluded["listed image that is missing"] += 1
        elif annotation not in present:
            excluded["image without an annotation file"] += 1
        else:
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
    )


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


def _read_splits(folder: Path) -> dict[str, str]:
    """Return the split of each listed image, in the order of the lists."""
    splits: dict[str, str] = {}
    for split in _SPLITS:
        path = folder / "ImageSets" / "Main" / f"{split}.txt"
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, ValueError) as error:
            raise DataError(
                f"the list ImageSets/Main/{path.name} of '{folder}' cannot be read: {error}"
            ) from error
        for name in (line.split()[0] for line in lines if line.strip()):
            if splits.setdefault(name, split) != split:
                raise DataError(
                    f"'{folder}': image '{name}' is in both {splits[name]}.txt and {path.name}; "
                    "an image can only be in one split"
                )
    return splits


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
