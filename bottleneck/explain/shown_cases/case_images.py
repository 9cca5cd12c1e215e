"""The images of cases: as a network gets them, as they are shown, and as small thumbnails."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bottleneck.backbones.network_inputs import require_image_preprocessing
from bottleneck.backbones.recipe import AnyPreprocessing
from bottleneck.data.dataset import ImageDataset
from bottleneck.data.images.decode import PixelFacts
from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.explain.maps.overlay import displayed
from bottleneck.features.images.loader import load_images
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.features.timing import Clock
from bottleneck.processes.progress_bar import Progress

__all__ = ["CaseImages", "load_case_images", "thumbnail"]

_WORKERS, _AHEAD = 2, 8
# Side of the images of training images that are shown next to a case.
_SIDE = 112


@dataclasses.dataclass(frozen=True, eq=False)
class CaseImages:
    """Some images of a data set.

    Attributes
    ----------
    pixels : mapping of str to ndarray of uint8 or float32, shape (crop, crop, n_channels)
        Inputs of the network, by the id of the sample.
    facts : mapping of str to PixelFacts
        Size and thumbnail of the whole images, by id.
    failures : mapping of str to str
        Why an image could not be used, by id; samples that the data set lacks are in neither.
    preprocessing : Preprocessing
        How they reach the network.
    """

    pixels: Mapping[str, NDArray[np.uint8 | np.float32]]
    facts: Mapping[str, PixelFacts]
    failures: Mapping[str, str]
    preprocessing: Preprocessing

    def shown(self, sample: str) -> NDArray[np.uint8] | None:
        """Return an image in RGB, shape (crop, crop, 3); None where there is none."""
        pixels = self.pixels.get(sample)
        return None if pixels is None else displayed(pixels, self.preprocessing)


def load_case_images(
    dataset: ImageDataset,
    ids: Sequence[str],
    preprocessing: AnyPreprocessing,
    *,
    features: FeatureSet | None = None,
    progress: Progress | None = None,
) -> CaseImages:
    """Decode and resize some images of a data set; the others are not opened.

    Parameters
    ----------
    dataset : ImageDataset
        The data set.
    ids : sequence of str
        Samples.
    preprocessing : Preprocessing
        How pixels reach the network.
    features : FeatureSet or None
        Features that were extracted from these images: an image with other bytes fails.
    progress : callable or None
        Called with the number of images done, their total, and a text.
    """
    preprocessing = require_image_preprocessing(preprocessing, "explain")
    wanted = set(ids)
    numbers = [n for n, sample in enumerate(dataset.samples) if sample.id in wanted]
    recorded: dict[str, str] = {}
    if features is not None and features.sha256 is not None:
        recorded = dict(zip(features.ids.tolist(), features.sha256.tolist(), strict=True))
    pixels, failures = {}, {}
    facts: dict[str, PixelFacts] = {}
    rows = load_images(dataset, numbers, lambda _: [preprocessing], Clock(_WORKERS), ahead=_AHEAD)
    for done, row in enumerate(rows):
        if progress is not None:
            progress(done, len(numbers), "reading the images that are explained")
        name = row.sample.id
        if row.failure is not None:
            failures[name] = row.failure
        elif recorded.get(name, row.sha256) != row.sha256:
            failures[name] = "it is another image than the one that the features are of"
        else:
            pixels[name] = row.pixels[preprocessing]
            if row.facts is not None:
                facts[name] = row.facts
    return CaseImages(pixels, facts, failures, preprocessing)


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
