"""Regions of the images of a data set that are known: outlines, boxes and masks."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from bottleneck.data.dataset import ImageDataset
from bottleneck.data.readers.built_in_readers import BUILT_IN
from bottleneck.data.readers.published.ddti import DdtiOutlines
from bottleneck.data.readers.published.tn5000 import VocBoxes
from bottleneck.data.regions.mask_images import Region, find_masks
from bottleneck.data.regions.region_tables import read_region_table
from bottleneck.data.samples.sample_table import Sample
from bottleneck.data.sources.image_sources import CombinedSource, FileSource, ImageSource
from bottleneck.data.spelling.identifiers import legible
from bottleneck.errors import DataError, UsageError

__all__ = ["RegionSource", "known_regions"]


class RegionSource(Protocol):
    """Anything that returns the known region of a sample."""

    def find(self, sample: Sample) -> Region | None:
        """Return the known region of a sample; None if there is none."""
        ...


@dataclasses.dataclass(frozen=True)
class _CombinedRegions:
    """The regions of several data sets, by the names that go before their samples."""

    images: CombinedSource
    parts: Mapping[str, RegionSource]

    def find(self, sample: Sample) -> Region | None:
        name, source = self.images.split(sample.source)
        part = self.parts.get(name)
        return None if part is None else part.find(dataclasses.replace(sample, source=source))


def known_regions(dataset: ImageDataset, regions: str | Path | None = None) -> RegionSource | None:
    """Return what knows the regions of the images of a data set; they are read when asked for.

    The outlines in the XML files of DDTI, the boxes of Pascal VOC (TN5000), and the masks in a
    folder of images are recognised by their files.

    Parameters
    ----------
    dataset : ImageDataset
        The data set.
    regions : str or Path, optional
        Regions of your own: a table, or a folder of masks with the names of the images.

        The table has one region per row, with the columns "id" or "path" of the sample, and
        "polygon" (``10,20 80,20 45,60``: x,y of each corner), or "left", "top", "right" and
        "bottom", or "mask" (a file). All are in pixels of the upright image, from 0 at its upper
        left corner. Several rows of a sample are regions of one image.

    Returns
    -------
    RegionSource or None
        None if no region of the data set is known.

    Raises
    ------
    UsageError
        If there is no such table or folder.
    DataError
        If the table cannot be read, or the masks do not fit the images.

    Examples
    --------
    >>> from bottleneck import load_dataset
    >>> data = load_dataset("phantom", limit=2)
    >>> known_regions(data) is None
    True
    >>> table = f"id,left,top,right,bottom\\n{data.samples[0].id},10,20,80,60\\n"
    >>> _ = Path("regions.csv").write_text(table)
    >>> known_regions(data, "regions.csv").find(data.samples[0])
    Outlines(polygons=(((10.0, 20.0), (80.0, 20.0), (80.0, 60.0), (10.0, 60.0)),))
    """
    if regions is None:
        return _beside(dataset, dataset.images)
    path = Path(regions)
    if path.is_dir():
        if (masks := find_masks(path, dataset)) is None:
            raise DataError(
                f"no mask in '{path}' has the name of an image of '{dataset.name}', such as "
                f"{legible(dataset.samples[0].source)}: name masks after their images"
            )
        return masks
    if not path.is_file():
        raise UsageError(
            f"there is no table or folder of regions '{regions}': pass a CSV with the columns id "
            "and polygon, or a folder of masks"
        )
    return read_region_table(path, dataset)


def _beside(dataset: ImageDataset, images: ImageSource) -> RegionSource | None:
    """Return what is known of the regions of images from the files around them."""
    if isinstance(images, CombinedSource):
        found = {name: _beside(dataset, inner) for name, inner in images.images.items()}
        parts = {name: one for name, one in found.items() if one is not None}
        return _CombinedRegions(images, parts) if parts else None
    if not isinstance(images, FileSource) or not images.root.is_dir():
        return None
    # A table may name images anywhere below a folder that holds all else as well.
    readers = [r.name for r in BUILT_IN if not r.is_general and r.matches(images.root)]
    if readers == ["DDTI"]:
        return DdtiOutlines(images.root)
    if readers == ["TN5000"]:
        return VocBoxes(images.root)
    return find_masks(images.root, dataset) if dataset.reader.get("name") == "folders" else None
