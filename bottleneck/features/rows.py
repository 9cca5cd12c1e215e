"""An image on its way to a row of features, and the table of all images of a data set."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bottleneck.backbones.recipe import AnyPreprocessing
from bottleneck.data.images.decode import PixelFacts
from bottleneck.data.samples.sample_table import Sample
from bottleneck.data.volumes.volume_region import VolumeRegion, check_volume_region
from bottleneck.errors import DataError
from bottleneck.features.sets.failed_samples import FailedSample
from bottleneck.files.disk_backed import DiskArray
from bottleneck.text.plurals import counted

__all__ = [
    "NO_STAMP",
    "Framing",
    "ImageRow",
    "ImageTable",
    "Stamp",
    "is_region_text",
    "key_of",
    "region_text",
    "row_key",
]

# How the input of a network is made of an image, or of a region of a volume.
Framing = AnyPreprocessing

# Size in bytes and modification time in nanoseconds of an image file.
Stamp = tuple[int, int]
NO_STAMP: Stamp = (-1, -1)
_IMAGE = np.dtype([("sha256", "S64"), ("stamp", np.int64, 2)])


@dataclasses.dataclass(slots=True, eq=False)
class ImageRow:
    """An image or volume on its way to a row of features: one record, filled in step by step.

    Attributes
    ----------
    number : int
        Position of the sample in its data set.
    sample : Sample
        Id, source, label and region of the image.
    sha256 : str
        Hash of the encoded bytes, or of the voxels that a patch needs; empty until they are read.
    stamp : tuple of int
        Size and modification time of the image file, or ``NO_STAMP``.
    facts : PixelFacts or None
        Description of the decoded image.
    pixels : mapping of Preprocessing or VolumePreprocessing to ndarray
        Network inputs, by the preprocessing that made them: of shape (crop, crop, 3), or patches.
        Empty where every network has a row of the image already, or the image cannot be used.
    failure : str or None
        Why the image cannot be used.
    """

    number: int
    sample: Sample
    sha256: str = ""
    stamp: Stamp = NO_STAMP
    facts: PixelFacts | None = None
    pixels: Mapping[Framing, NDArray[np.uint8 | np.float32]] = dataclasses.field(
        default_factory=dict
    )
    failure: str | None = None

    @property
    def key(self) -> str:
        """Name of the row: equal keys, equal features."""
        return row_key(self.sha256, self.sample)

    def without_pixels(self) -> ImageRow:
        """Return a copy that can be kept, or sent, when its pixels are no longer needed."""
        return dataclasses.replace(self, pixels={})


def row_key(sha256: str, sample: Sample) -> str:
    """Return the name of a row: the hash of what was read, and the region that was stated."""
    return key_of(sha256, sample.region, region_text(sample.volume_region))


def key_of(sha256: str, region: Sequence[int] | None, volume_region: str = "") -> str:
    """Return the name of a row.

    Parameters
    ----------
    sha256 : str
        Hash of the bytes of an image, or of the voxels of a volume.
    region : sequence of int or None
        Region of an image; −1 as its left stands for the whole image.
    volume_region : str
        Region of a volume, as ``region_text`` returns it.
    """
    if region is None or region[0] < 0:
        return f"{sha256}{volume_region}"
    return f"{sha256}{list(region)}"


def region_text(region: VolumeRegion | None) -> str:
    """Return the region of a volume as JSON; empty for a whole volume, and for an image."""
    return "" if region is None else json.dumps(region)


def is_region_text(text: str) -> bool:
    """Return whether a text is what ``region_text`` returns."""
    try:
        return not text or region_text(check_volume_region(json.loads(text), "")) == text
    except (DataError, ValueError, RecursionError):
        return False


class ImageTable:
    """Hash and stamp of every image of a data set, on the disk; failures, and notes.

    Parameters
    ----------
    n : int
        Number of samples.
    noun : str
        What a sample is in notes, as ``ImageDataset.noun``.
    """

    def __init__(self, n: int, noun: str = "image") -> None:
        self.noun = noun
        self._failures: dict[int, tuple[Sample, str]] = {}
        self._notes: dict[str, tuple[int, int, str]] = {}
        self._images = DiskArray(n, _IMAGE)

    @property
    def failures(self) -> list[tuple[str, str]]:
        """Id and reason of the samples without a row, in the order of the data set."""
        # A cluster returns images in the order in which they are finished.
        return [(sample.id, reason) for _, (sample, reason) in sorted(self._failures.items())]

    @property
    def failed(self) -> list[FailedSample]:
        """What the data set states of these samples, in the same order."""
        samples = [sample for _, (sample, _) in sorted(self._failures.items())]
        return [FailedSample(s.id, s.label, s.group or "", s.split or "") for s in samples]

    @property
    def notes(self) -> list[str]:
        """Notes on how images were decoded in this run, each with their number and an example."""
        return [
            f"{counted(n, self.noun)}, such as '{example}': {note}"
            for note, (n, _, example) in sorted(self._notes.items())
        ]

    def add(self, row: ImageRow) -> None:
        """Record an image that was read, or why it cannot be used."""
        if row.failure is not None:
            self._failures[row.number] = row.sample, row.failure
            return
        self.write(row.number, [(row.sha256, row.stamp)])
        for note in row.facts.notes if row.facts is not None else ():
            n, first, example = self._notes.get(note, (0, row.number, row.sample.id))
            if row.number < first:  # A cluster returns images in the order it finishes them.
                first, example = row.number, row.sample.id
            self._notes[note] = n + 1, first, example

    def write(self, start: int, images: Sequence[tuple[str, Stamp]]) -> None:
        """Record hashes and stamps of consecutive samples; ``start`` is the first one's number."""
        self._images.write(start, images)

    def read(self, start: int, stop: int) -> list[tuple[str, Stamp]]:
        """Return hashes and stamps of consecutive samples; the hash is empty if there is none."""
        images = self._images.read(start, stop)
        return [
            (sha256.decode(), (size, time))
            for sha256, (size, time) in zip(
                images["sha256"].tolist(), images["stamp"].tolist(), strict=True
            )
        ]
