"""Known regions on the input of a network, where they get by the resize and crop of the image."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bottleneck.data.dataset import ImageDataset
from bottleneck.data.images.decode import decode
from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.data.regions.known_regions import RegionSource
from bottleneck.data.regions.mask_images import Region
from bottleneck.data.regions.outlines import Outlines
from bottleneck.data.samples.sample_table import Box, Sample
from bottleneck.text.plurals import counted

__all__ = ["InputMasks", "input_mask", "input_masks"]

# Share of the side of an image by which an outline may reach beyond it.
_BEYOND = 0.1


@dataclasses.dataclass(frozen=True, eq=False)
class InputMasks:
    """The regions of samples on the input of a network.

    Attributes
    ----------
    masks : tuple of ndarray or None
        That of each sample, as ``input_mask`` returns it; None where no region is known.
    notes : tuple of str
        Notes to the user on regions that cannot be used.
    """

    masks: tuple[NDArray[np.float32] | None, ...]
    notes: tuple[str, ...] = ()


def input_masks(
    dataset: ImageDataset,
    samples: Iterable[Sample],
    preprocessing: Preprocessing,
    regions: RegionSource,
) -> InputMasks:
    """Return the known regions of samples on the input of a network.

    Every image is decoded for its size. An outline that reaches beyond its image by more than a
    tenth of the side is left out: its coordinates are probably those of another size.

    Parameters
    ----------
    dataset : ImageDataset
        The data set.
    samples : iterable of Sample
        Samples of it.
    preprocessing : Preprocessing
        How pixels reach the network.
    regions : RegionSource
        From ``known_regions``.

    Raises
    ------
    DataError
        If an image, an annotation or a mask cannot be read, or a mask has another size than its
        image.
    """
    masks: list[NDArray[np.float32] | None] = []
    left_out: Counter[str] = Counter()
    for sample in samples:
        region = regions.find(sample)
        if region is None:
            masks.append(None)
            continue
        data = dataset.read(sample)
        display = preprocessing.preparation.display
        if _reaches_beyond(region, decode(data, None, display).size):
            left_out["beyond"] += 1
            masks.append(None)
            continue
        size = decode(data, sample.region, display).size
        masks.append(input_mask(region, size, sample.region, preprocessing))
    notes = [
        f"{counted(n, 'region')} left out that would reach far beyond the image: the coordinates "
        "are probably those of an image of another size"
        for n in left_out.values()
    ]
    return InputMasks(tuple(masks), tuple(notes))


def input_mask(
    region: Region, size: tuple[int, int], box: Box | None, preprocessing: Preprocessing
) -> NDArray[np.float32]:
    """Return a region on the input of a network.

    The region is drawn in white on black at the size of the image, and reaches the input by the
    same resize and crop as the image does.

    Parameters
    ----------
    region : Region
        A region in pixels of the upright image.
    size : tuple of int
        Width and height of the decoded image, after it was cut to the box.
    box : tuple of int or None
        ``Sample.region``.
    preprocessing : Preprocessing
        How pixels reach the network.

    Returns
    -------
    ndarray of float32, shape (crop, crop)
        The share of each pixel that is in the region, from 0 to 1; 0 everywhere if the region was
        cropped away.

    Raises
    ------
    DataError
        If a mask cannot be read, or has another size than the image.

    Examples
    --------
    The left half of an image of 64 × 32 pixels. The network gets the square in its middle:

    >>> half = Outlines((((0, 0), (32, 0), (32, 32), (0, 32)),))
    >>> unit = (0.5, 0.5, 0.5)
    >>> mask = input_mask(half, (64, 32), None, Preprocessing(32, 32, "bilinear", unit, unit))
    >>> mask[:, :16].min(), mask[:, 16:].max()
    (np.float32(1.0), np.float32(0.0))
    """
    drawn = Image.fromarray(region.fill(size, box).astype(np.uint8) * 255).convert("RGB")
    return (preprocessing.framed(drawn)[:, :, 0] / np.float32(255)).astype(np.float32)


def _reaches_beyond(region: Region, size: tuple[int, int]) -> bool:
    if not isinstance(region, Outlines):
        return False
    corners = np.concatenate([np.array(polygon) for polygon in region.polygons])
    slack = _BEYOND * np.array(size)
    return bool((corners < -slack).any() or (corners > size + slack).any())
