"""The images of cases: as a network gets them, as they are shown, and as small thumbnails."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bottleneck.audit.region_reading import read_regions
from bottleneck.backbones.recipe import AnyPreprocessing
from bottleneck.data.dataset import ImageDataset
from bottleneck.data.images.decode import PixelFacts
from bottleneck.data.samples.sample_table import Sample
from bottleneck.data.volumes.region_voxels import RegionVoxels
from bottleneck.data.volumes.volume_preprocessing import VolumePreprocessing
from bottleneck.explain.maps.overlay import displayed
from bottleneck.features.images.loader import load_images
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.features.timing import Clock
from bottleneck.processes.progress_bar import Progress

__all__ = ["CaseImages", "load_case_images", "thumbnail"]

_WORKERS, _AHEAD = 2, 8
_READING = "reading the explained images"
_ANOTHER = "it is not the image that the features were computed from"
# Side of the images of training images that are shown next to a case.
_SIDE = 112


@dataclasses.dataclass(frozen=True, eq=False)
class CaseImages:
    """Some images, or regions of volumes, of a data set.

    Attributes
    ----------
    pixels : mapping of str to ndarray of uint8 or float32, shape (crop, crop, n_channels)
        Inputs of the network, by the id of the sample; of volumes, patches.
    facts : mapping of str to PixelFacts
        Size and thumbnail of the whole images, by id.
    failures : mapping of str to str
        Why an image could not be used, by id; samples that the data set lacks are in neither.
    preprocessing : Preprocessing or VolumePreprocessing
        How they reach the network.
    planes : mapping of str to ndarray of uint8, shape (height, width, 3)
        Pictures of regions of volumes, by id.
    """

    pixels: Mapping[str, NDArray[np.uint8 | np.float32]]
    facts: Mapping[str, PixelFacts]
    failures: Mapping[str, str]
    preprocessing: AnyPreprocessing
    planes: Mapping[str, NDArray[np.uint8]] = dataclasses.field(default_factory=dict)

    def shown(self, sample: str) -> NDArray[np.uint8] | None:
        """Return an image, or planes of a volume, in RGB; None where there is none."""
        pixels = self.pixels.get(sample)
        if isinstance(self.preprocessing, VolumePreprocessing):
            return self.planes.get(sample)
        return None if pixels is None else displayed(pixels, self.preprocessing)


def load_case_images(
    dataset: ImageDataset,
    ids: Sequence[str],
    preprocessing: AnyPreprocessing,
    *,
    features: FeatureSet | None = None,
    progress: Progress | None = None,
) -> CaseImages:
    """Decode and resize some images of a data set, or read regions; the others are not opened.

    Parameters
    ----------
    dataset : ImageDataset
        The data set.
    ids : sequence of str
        Samples.
    preprocessing : Preprocessing or VolumePreprocessing
        How pixels or voxels reach the network.
    features : FeatureSet or None
        Features that were extracted from these images: an image with other bytes fails.
    progress : callable or None
        Called with the number of images done, their total, and a text.
    """
    wanted = set(ids)
    numbers = [n for n, sample in enumerate(dataset.samples) if sample.id in wanted]
    recorded: dict[str, str] = {}
    if features is not None and features.sha256 is not None:
        recorded = dict(zip(features.ids.tolist(), features.sha256.tolist(), strict=True))
    if isinstance(preprocessing, VolumePreprocessing):
        samples = [dataset.samples[n] for n in numbers]
        return _load_regions(dataset, samples, preprocessing, recorded, progress)
    pixels, failures = {}, {}
    facts: dict[str, PixelFacts] = {}
    rows = load_images(dataset, numbers, lambda _: [preprocessing], Clock(_WORKERS), ahead=_AHEAD)
    for done, row in enumerate(rows):
        if progress is not None:
            progress(done, len(numbers), _READING)
        name = row.sample.id
        if row.failure is not None:
            failures[name] = row.failure
        elif recorded.get(name, row.sha256) != row.sha256:
            failures[name] = _ANOTHER
        else:
            pixels[name] = row.pixels[preprocessing]
            if row.facts is not None:
                facts[name] = row.facts
    return CaseImages(pixels, facts, failures, preprocessing)


def _load_regions(
    dataset: ImageDataset,
    samples: Sequence[Sample],
    preprocessing: VolumePreprocessing,
    recorded: Mapping[str, str],
    progress: Progress | None,
) -> CaseImages:
    pixels, planes, failures = {}, {}, {}
    facts: dict[str, PixelFacts] = {}
    regions = read_regions(dataset, samples, preprocessing, lambda _, voxels: _Shown.of(voxels))
    for done, (sample, shown) in enumerate(regions):
        if progress is not None:
            progress(done, len(samples), _READING)
        if shown is None:
            failures[sample.id] = "its region of the volume cannot be read"
        elif recorded.get(sample.id, shown.sha256) != shown.sha256:
            failures[sample.id] = _ANOTHER
        else:
            pixels[sample.id], planes[sample.id] = shown.patch, shown.planes
            facts[sample.id] = shown.facts
    return CaseImages(pixels, facts, failures, preprocessing, planes)


@dataclasses.dataclass(frozen=True, eq=False)
class _Shown:
    """What is needed of a region, without the voxels of its volume."""

    sha256: str
    patch: NDArray[np.float32]
    planes: NDArray[np.uint8]
    facts: PixelFacts

    @classmethod
    def of(cls, voxels: RegionVoxels) -> _Shown:
        planes = np.asarray(voxels.picture().convert("RGB"))
        return cls(voxels.sha256, voxels.patch, planes, voxels.facts())


def thumbnail(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a small copy of an image.

    Parameters
    ----------
    image : ndarray of uint8, shape (height, width, 3)
        The image.
    """
    from PIL import Image

    small = Image.fromarray(image)
    small.thumbnail((_SIDE, _SIDE))
    return np.asarray(small)
