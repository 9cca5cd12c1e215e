"""The samples of a data set that a training can use, and their digest."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Generator

import numpy as np
from numpy.typing import NDArray

from bottleneck.backbones.recipe import AnyPreprocessing
from bottleneck.data.dataset import ImageDataset, Sample
from bottleneck.data.images.decode import PixelFacts
from bottleneck.data.volumes.volume_preprocessing import VolumePreprocessing
from bottleneck.errors import DataError
from bottleneck.features import devices
from bottleneck.features.images.loader import load_images
from bottleneck.features.images.region_loader import load_regions, order_by_volume
from bottleneck.features.rows import ImageRow, ImageTable
from bottleneck.features.timing import Clock
from bottleneck.finetune.volumes.patch_store import PatchStore

__all__ = ["UsableSamples", "scan_samples"]


@dataclasses.dataclass(frozen=True, eq=False)
class UsableSamples:
    """The samples of a data set that can be used, in its order.

    Attributes
    ----------
    samples : list of Sample
        The samples.
    facts : list of PixelFacts
        What is recorded of their pixels.
    places : ndarray of int, shape (n_samples,)
        Place of each sample in the order in which they were read.
    images : ImageTable
        The samples that cannot be used, with the reasons, and notes.
    digest : str
        sha256 of what was read, and of what is stated about each sample.
    """

    samples: list[Sample]
    facts: list[PixelFacts]
    places: NDArray[np.intp]
    images: ImageTable
    digest: str


def scan_samples(
    dataset: ImageDataset, preprocessing: AnyPreprocessing, patches: PatchStore | None
) -> UsableSamples:
    """Read every image or volume of a data set once.

    Parameters
    ----------
    dataset : ImageDataset
        The data set.
    preprocessing : Preprocessing or VolumePreprocessing
        The preprocessing of the network.
    patches : PatchStore or None
        Gets the patches of volumes.

    Raises
    ------
    DataError
        If no sample can be used.
    """
    clock = Clock(devices.default_workers())
    images = ImageTable(len(dataset), dataset.noun)
    read: list[tuple[int, Sample, str, PixelFacts]] = []
    with contextlib.closing(_load(dataset, preprocessing, clock)) as loading:
        for item in loading:
            images.add(item)
            if item.facts is None:
                continue
            read.append((item.number, item.sample, item.sha256, item.facts))
            if patches is not None:
                patches.append(item.pixels[preprocessing].astype(np.float32, copy=False))
    if not read:
        failures = images.failures
        raise DataError(
            f"none of the {len(dataset)} {dataset.noun}s can be used; the first, {failures[0][0]}: "
            f"{failures[0][1]}"
        )
    # Volumes come in another order, in which each is opened once.
    places = np.argsort([number for number, *_ in read])
    ordered = [read[place] for place in places]
    # Not where an image lies: a data set that was moved or renamed is the same one.
    digest = hashlib.sha256()
    for _, sample, sha256, _ in ordered:
        fields = dataclasses.astuple(dataclasses.replace(sample, source=sha256))
        digest.update(json.dumps(fields).encode())
    return UsableSamples(
        [sample for _, sample, _, _ in ordered],
        [facts for *_, facts in ordered],
        places,
        images,
        digest.hexdigest(),
    )


def _load(
    dataset: ImageDataset, preprocessing: AnyPreprocessing, clock: Clock
) -> Generator[ImageRow]:
    numbers, ahead = range(len(dataset)), 4 * clock.workers

    def needed(key: str) -> list[AnyPreprocessing]:
        return [preprocessing]

    if isinstance(preprocessing, VolumePreprocessing):
        ordered = order_by_volume(dataset, numbers)
        return load_regions(dataset, ordered, preprocessing, needed, clock, ahead=ahead)
    return load_images(dataset, numbers, needed, clock, ahead=ahead)
