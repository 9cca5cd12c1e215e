"""Masks of images in files: which of them belongs to an image, and what it encloses."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.dataset import ImageDataset
from bottleneck.data.images.decode import decode
from bottleneck.data.readers.folders.mask_files import match_masks, split_masks
from bottleneck.data.samples.sample_table import Box, Sample, values_of
from bottleneck.data.sources.image_sources import FileSource
from bottleneck.data.sources.untrusted_files import is_image, list_files
from bottleneck.errors import DataError, DecodeError, describe_os_error

__all__ = ["MaskFiles", "MaskImages", "Region", "find_masks"]

# A lossy format changes black pixels a little.
_JPEG, _HALF = b"\xff\xd8", 127


class Region(Protocol):
    """A region of an image."""

    def fill(self, size: tuple[int, int], box: Box | None) -> NDArray[np.bool_]:
        """Return the pixels in the region, of the image cut to a box; shape (height, width)."""
        ...


@dataclasses.dataclass(frozen=True)
class MaskImages:
    """The region that one or several mask images show: what is not black in any of them.

    Attributes
    ----------
    images : FileSource
        The folder of the masks.
    names : tuple of str
        Their paths in it.
    """

    images: FileSource
    names: tuple[str, ...]

    def fill(self, size: tuple[int, int], box: Box | None) -> NDArray[np.bool_]:
        """Return the pixels in the region; parameters as for ``Outlines.fill``.

        Raises
        ------
        DataError
            If a mask cannot be read, or has another size than its image.
        """
        mask = np.zeros((size[1], size[0]), bool)
        for name in self.names:
            try:
                data = self.images.read(name)
                image = decode(data, box)
            except OSError as error:
                reason = describe_os_error(error)
                raise DataError(f"the mask '{name}' cannot be read: {reason}") from None
            except (DecodeError, DataError) as error:
                raise DataError(f"the mask '{name}' cannot be used: {error}") from None
            if image.size != size:
                (width, height), (own_width, own_height) = size, image.size
                raise DataError(
                    f"the mask '{name}' has {own_width}×{own_height} pixels, and its image "
                    f"{width}×{height}: a mask must have the size of its image"
                )
            mask |= np.asarray(image).max(-1) > (_HALF if data.startswith(_JPEG) else 0)
        return mask


@dataclasses.dataclass(frozen=True)
class MaskFiles:
    """The masks of images in files.

    Attributes
    ----------
    images : FileSource
        The folder of the masks.
    names : mapping of str to tuple of str
        The masks of each image, by the source of its samples.
    """

    images: FileSource
    names: Mapping[str, tuple[str, ...]]

    def find(self, sample: Sample) -> MaskImages | None:
        """Return the masks of a sample's image; None if it has none."""
        names = self.names.get(sample.source)
        return None if names is None else MaskImages(self.images, names)


def find_masks(folder: Path, dataset: ImageDataset) -> MaskFiles | None:
    """Return the masks in a folder that belong to images of a data set; None if none does.

    In the folder of the images themselves, masks are what ``split_masks`` takes for masks. In
    another folder every image is a mask.

    Raises
    ------
    DataError
        If a mask has the name of several images.
    """
    files = [file for file in list_files(folder).files if is_image(folder, file)]
    own = isinstance(dataset.images, FileSource) and dataset.images.root.samefile(folder)
    sources = values_of(dataset.samples, "source")
    pairs = split_masks(files)[1] if own else match_masks(files, sources)
    names: dict[str, list[str]] = defaultdict(list)
    for mask, image in pairs:
        names[image].append(mask)
    kept = {image: tuple(masks) for image, masks in names.items()}
    return MaskFiles(FileSource(folder), kept) if kept else None
