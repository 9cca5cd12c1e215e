"""Check of the original images of a feature set: unchanged, readable, with burned-in text."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bottleneck.audit.region_reading import find_volume_preprocessing, read_regions
from bottleneck.data.dataset import ImageDataset, Sample
from bottleneck.data.images.decode import THUMBNAIL_SIDE, PixelFacts, decode, pixel_facts
from bottleneck.data.images.preparation import Preparation
from bottleneck.data.images.preparation_steps.burned_in_text import find_text
from bottleneck.errors import DataError, DecodeError
from bottleneck.features.sets.feature_set import FeatureSet

__all__ = ["ImageCheck", "check_images", "is_unchanged", "without_text"]

Rows: TypeAlias = NDArray[np.intp]
# Hash of the file or the patch, facts, and whether there is text; None for what is unreadable.
_Read: TypeAlias = tuple[str, PixelFacts, bool] | None

_THREADS = 4
# Largest difference between thumbnails of one image by two decoders, of 255. Thumbnails of
# different parts of an image differ by more.
_ROUNDING = 16


@dataclasses.dataclass(frozen=True, eq=False)
class ImageCheck:
    """Results of reading the images of a feature set again.

    Attributes
    ----------
    thumbnails : ndarray of uint8, shape (n_samples, 32, 32)
        Grey thumbnails; zeros for images that were not checked.
    checked : ndarray of int
        Rows of the images that were checked.
    text : ndarray of int
        Rows of the images with burned-in text.
    unreadable : ndarray of int
        Rows of the images that are missing or cannot be decoded.
    changed : ndarray of int
        Rows of the images with other pixels than when the features were extracted.
    """

    thumbnails: NDArray[np.uint8]
    checked: Rows
    text: Rows
    unreadable: Rows
    changed: Rows


def check_images(
    features: FeatureSet,
    dataset: ImageDataset,
    progress: Callable[[int, int, str], None] | None = None,
) -> ImageCheck:
    """Read the images of a feature set again, and search them for text.

    Text that the preparation of the features masks does not count. Volumes are not searched: text
    is burned into pictures, not into voxels.

    Parameters
    ----------
    features : FeatureSet
        The features.
    dataset : ImageDataset
        Their images, matched by id; it may hold more.
    progress : callable or None
        Called with the number of images read, their total, and a description.

    Returns
    -------
    ImageCheck

    Raises
    ------
    DataError
        If the data set holds none of the samples.
    """
    samples = {sample.id: sample for sample in dataset.samples}
    known = [samples.get(identity) for identity in features.ids.tolist()]
    if not any(known):
        raise DataError(
            f"data set '{dataset.name}' holds none of the {len(features)} samples of the features "
            f"(the first is '{features.ids[0]}'); name the data set that they were extracted from, "
            "with the same options"
        )

    thumbnails = np.zeros((len(features), THUMBNAIL_SIDE, THUMBNAIL_SIDE), np.uint8)
    rows: dict[str, list[int]] = {"checked": [], "text": [], "unreadable": [], "changed": []}
    read = _read_volumes if dataset.holds_volumes else _read_images
    for n, (row, result) in enumerate(read(features, dataset, known)):
        if progress is not None:
            progress(n + 1, len(features), f"checking the {dataset.noun}s")
        if result is None:
            rows["unreadable"].append(row)
            continue
        sha256, facts, has_text = result
        flat = np.frombuffer(facts.thumbnail, np.uint8)
        thumbnail = flat.reshape(thumbnails.shape[1:])
        if not is_unchanged(features, row, sha256, facts):
            rows["changed"].append(row)
            continue
        thumbnails[row] = thumbnail
        rows["checked"].append(row)
        if has_text:
            rows["text"].append(row)
    arrays = {name: np.array(sorted(at), int) for name, at in rows.items()}
    return ImageCheck(thumbnails, **arrays)


def _read_images(
    features: FeatureSet, dataset: ImageDataset, samples: Sequence[Sample | None]
) -> Iterator[tuple[int, _Read]]:
    """Yield each row with hash, facts, and whether there is text."""
    preparation = features.preparation

    def read(sample: Sample | None) -> _Read:
        if sample is None:
            return None
        try:
            data = dataset.read(sample)
            image = decode(data, sample.region, preparation.display)
        except (OSError, DataError):
            return None
        has_text = len(find_text(without_text(image, preparation))) > 0
        return hashlib.sha256(data).hexdigest(), pixel_facts(image), has_text

    with ThreadPoolExecutor(_THREADS) as pool:
        yield from enumerate(pool.map(read, samples))


def _read_volumes(
    features: FeatureSet, dataset: ImageDataset, samples: Sequence[Sample | None]
) -> Iterator[tuple[int, _Read]]:
    """Yield each row with hash and facts."""
    row_of = {sample.id: row for row, sample in enumerate(samples) if sample is not None}
    yield from ((row, None) for row, sample in enumerate(samples) if sample is None)
    for sample, result in read_regions(
        dataset,
        filter(None, samples),
        find_volume_preprocessing(features),
        lambda _, voxels: (voxels.sha256, voxels.facts(), False),
    ):
        yield row_of[sample.id], result


def without_text(image: Image.Image, preparation: Preparation) -> Image.Image:
    """Return what the network was shown of an image, without the filter against speckle.

    Parameters
    ----------
    image : PIL.Image.Image
        Mode RGB, as ``decode`` returns it.
    preparation : Preparation
        Preparation of the features; it may mask text, and what lies outside the sector.
    """
    try:
        return dataclasses.replace(preparation, denoise=None).prepared(image)
    except DecodeError:  # The mask has another size, so that the image has no features.
        return image


def is_unchanged(features: FeatureSet, row: int, sha256: str, facts: PixelFacts) -> bool:
    """Return whether an image is the one that a row of features was computed from.

    Its pixels are the same, or are those of another decoder on the same part of the same file.

    Parameters
    ----------
    features : FeatureSet
        The features; without hashes of pixels, any image is taken for unchanged.
    row : int
        The row.
    sha256 : str
        Hash of the file.
    facts : PixelFacts
        Facts about the image.
    """
    if features.pixels is None or features.pixels[row] == facts.pixels:
        return True
    if features.sha256 is None or features.thumbnails is None or features.sha256[row] != sha256:
        return False
    thumbnail = np.frombuffer(facts.thumbnail, np.uint8).reshape(features.thumbnails[row].shape)
    off = np.abs(features.thumbnails[row].astype(np.int16) - thumbnail)
    return bool(off.max() <= _ROUNDING)
