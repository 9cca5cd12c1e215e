"""A second look at the pictures that features were made of."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bottleneck.audit.burned_in_text import find_text
from bottleneck.data.dataset import ImageDataset, Sample
from bottleneck.data.images.decode import THUMBNAIL_SIDE, PixelFacts, decode, pixel_facts
from bottleneck.errors import DataError
from bottleneck.features.file.feature_set import FeatureSet

__all__ = ["Look", "look_at"]

Rows: TypeAlias = NDArray[np.intp]

_THREADS = 4
# Of 255 in a thumbnail; parts of one image differ by more, and what decoders make of it by less.
_ROUNDING = 16


@dataclasses.dataclass(frozen=True)
class Look:
    """What a second look at the pictures showed.

    Attributes
    ----------
    thumbnails : ndarray of uint8, shape (n_samples, 32, 32)
        Zeros where the picture was not seen.
    seen, text, unread, changed : ndarray of int
        Rows that were looked at; of these, rows with text; rows whose picture is missing
        or cannot be decoded; rows whose pixels are no longer those of the features.
    """

    thumbnails: NDArray[np.uint8]
    seen: Rows
    text: Rows
    unread: Rows
    changed: Rows


def look_at(
    features: FeatureSet,
    dataset: ImageDataset,
    progress: Callable[[int, int, str], None] | None = None,
) -> Look:
    """Read the pictures again, matched by id.

    Parameters
    ----------
    features : FeatureSet
    dataset : ImageDataset
        May hold more samples than the features.
    progress : callable or None
        Called with the number of pictures read, their number, and what is done.

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

    def read(sample: Sample | None) -> tuple[str, PixelFacts, bool] | None:
        if sample is None:
            return None
        try:
            data = dataset.read(sample)
            image = decode(data, sample.region)
        except (OSError, DataError):
            return None
        return hashlib.sha256(data).hexdigest(), pixel_facts(image), len(find_text(image)) > 0

    thumbnails = np.zeros((len(features), THUMBNAIL_SIDE, THUMBNAIL_SIDE), np.uint8)
    rows: dict[str, list[int]] = {"seen": [], "text": [], "unread": [], "changed": []}
    with ThreadPoolExecutor(_THREADS) as pool:
        for row, result in enumerate(pool.map(read, known)):
            if progress is not None:
                progress(row + 1, len(features), "looking at the pictures")
            if result is None:
                rows["unread"].append(row)
                continue
            sha256, facts, has_text = result
            flat = np.frombuffer(facts.thumbnail, np.uint8)
            thumbnail = flat.reshape(thumbnails.shape[1:])
            same = features.pixels is None or features.pixels[row] == facts.pixels
            if not (same or _is_rounding(features, row, sha256, thumbnail)):
                rows["changed"].append(row)
                continue
            thumbnails[row] = thumbnail
            rows["seen"].append(row)
            if has_text:
                rows["text"].append(row)
    return Look(thumbnails, **{name: np.array(found, int) for name, found in rows.items()})


def _is_rounding(features: FeatureSet, row: int, sha256: str, thumbnail: NDArray[np.uint8]) -> bool:
    """Whether other pixels are those of the same part of the same file, decoded by a device."""
    if features.sha256 is None or features.thumbnails is None or features.sha256[row] != sha256:
        return False
    off = np.abs(features.thumbnails[row].astype(np.int16) - thumbnail)
    return bool(off.max() <= _ROUNDING)
