"""Altered copies of a data set's images, as samples beside the originals.

This is augmentation before the split, as published work often does it: a data set that has
become several times as large, and whose copies a split at random scatters over training and
test. Here it serves to reproduce such work, and to measure what it pretends
(``bottleneck.evaluation.leak_experiment.experiment``). No other part of the package augments before
it splits.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import re
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from bottleneck.data.dataset import ImageDataset, Sample
from bottleneck.data.images.decode import decode
from bottleneck.errors import DataError, UsageError

__all__ = ["Augmentation", "AugmentedSource", "augment", "original_ids"]

_COPY = re.compile(r"#\d+$")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Augmentation:
    """What is done to a copy, in this order: mirror, rotate, add noise.

    Attributes
    ----------
    copies : int
        Altered copies of each image.
    flip : bool
        Whether half of the copies, drawn at random, are mirrored left to right.
    rotation : float
        Degrees; each copy is turned by an angle drawn uniformly from ±rotation about its
        centre. The size stays, and what was outside the image is black.
    noise : float
        Standard deviation of the Gaussian noise that is added to every pixel, on the scale
        of 0 to 255. A grey image stays grey; the three channels of any other are drawn
        independently.
    seed : int
        Draws everything.

    Raises
    ------
    UsageError
        If a value cannot be.
    """

    copies: int = 6
    flip: bool = True
    rotation: float = 15.0
    noise: float = 8.0
    seed: int = 0

    def __post_init__(self) -> None:
        for field, least in (("copies", 1), ("seed", 0)):
            value = getattr(self, field)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise UsageError(f"{field} must be a whole number from {least} on, not {value!r}")
        for field, most in (("rotation", 180.0), ("noise", 255.0)):
            value = getattr(self, field)
            # NaN compares as false.
            if not 0 <= value <= most:
                raise UsageError(f"{field} must be a number from 0 to {most:g}, not {value!r}")

    @property
    def tag(self) -> str:
        """All that decides a copy's pixels, as a part of a file name."""
        parts = (
            "flip" if self.flip else "",
            f"rotation{self.rotation:g}" if self.rotation else "",
            f"noise{self.noise:g}" if self.noise else "",
            f"seed{self.seed}" if self.seed else "",
        )
        return "-".join(part for part in parts if part) or "unaltered"

    @property
    def words(self) -> str:
        """What is done, for a methods section."""
        steps = (
            "mirrored left to right at random" if self.flip else "",
            f"rotated by up to ±{self.rotation:g}°" if self.rotation else "",
            f"Gaussian noise of standard deviation {self.noise:g} added" if self.noise else "",
        )
        said = ", ".join(step for step in steps if step) or "unaltered"
        copies = "1 copy" if self.copies == 1 else f"{self.copies} copies"
        return f"{copies} of each image: {said}"

    def alter(self, image: Image.Image, identity: str, number: int) -> Image.Image:
        """Return a copy of an image.

        Parameters
        ----------
        image : PIL.Image.Image
            Mode RGB.
        identity : str
            Id of its sample. With the seed and the number it decides what is drawn, so
            that a copy is the same whatever is read before or beside it.
        number : int
            Which copy, from 1.

        Returns
        -------
        PIL.Image.Image
            Of the same size; mode L where all three channels are the same.
        """
        digest = hashlib.sha256(f"{self.seed}\n{identity}\n{number}".encode()).digest()
        rng = np.random.default_rng(int.from_bytes(digest))
        # Always drawn, so that the one does not depend on whether the other is asked for.
        mirrored, angle = rng.random() < 0.5, rng.uniform(-self.rotation, self.rotation)
        image = _grey_if_possible(image)
        if self.flip and mirrored:
            image = ImageOps.mirror(image)
        if self.rotation:
            image = image.rotate(angle, Image.Resampling.BILINEAR)
        if self.noise:
            pixels = np.asarray(image)
            noisy = pixels + rng.normal(0.0, self.noise, pixels.shape)
            image = Image.fromarray(np.rint(noisy).clip(0, 255).astype(np.uint8))
        return image


@dataclasses.dataclass(frozen=True)
class AugmentedSource:
    """Images of a data set, and copies that are made when they are read, in any order.

    Attributes
    ----------
    dataset : ImageDataset
        The originals.
    augmentation : Augmentation
        What is done to a copy.
    """

    dataset: ImageDataset
    augmentation: Augmentation

    def copies_of(self, sample: Sample) -> tuple[Sample, ...]:
        """Return the copies of an original; label, patient, split and fold are the original's."""
        return tuple(
            dataclasses.replace(
                sample,
                id=f"{sample.id}#{number}",
                # Part of the fingerprint, which thus tells one augmentation from another.
                source=f"{sample.id}#{number}-{self.augmentation.tag}",
                region=None,
            )
            for number in range(1, self.augmentation.copies + 1)
        )

    def read(self, source: str) -> bytes:
        """Return the bytes of an original as they are, or of a copy as binary PPM or PGM.

        These formats have no compressor, whose next version would change the bytes and with
        them the names of all rows of features.

        Raises
        ------
        OSError, DataError
            If the original cannot be read or decoded.
        """
        if source not in self._copies:
            return self.dataset.images.read(source)
        sample, number = self._copies[source]
        image = decode(self.dataset.read(sample), sample.region)
        encoded = io.BytesIO()
        self.augmentation.alter(image, sample.id, number).save(encoded, "PPM")
        return encoded.getvalue()

    @cached_property
    def _copies(self) -> dict[str, tuple[Sample, int]]:
        return {
            copy.source: (sample, number)
            for sample in self.dataset.samples
            for number, copy in enumerate(self.copies_of(sample), start=1)
        }


def augment(dataset: ImageDataset, augmentation: Augmentation) -> ImageDataset:
    """Add altered copies to a data set.

    Parameters
    ----------
    dataset : ImageDataset
        The originals.
    augmentation : Augmentation
        What is done to a copy. A sample that is a region of an image is cut out first.

    Returns
    -------
    ImageDataset
        Each original followed by its copies, whose ids are ``<id>#1``, ``<id>#2`` and so on.
        Its name and fingerprint say how it was augmented, so that its features are kept
        apart.

    Raises
    ------
    DataError
        If an id of the data set already looks like a copy's.
    """
    copied = [sample.id for sample in dataset.samples if _COPY.search(sample.id)]
    if copied:
        raise DataError(
            f"data set '{dataset.name}' has {len(copied)} ids that end in '#' and a number, as "
            f"the ids of altered copies do, the first being '{copied[0]}': it is augmented "
            "already, or needs other ids"
        )
    source = AugmentedSource(dataset, augmentation)
    samples = [one for s in dataset.samples for one in (s, *source.copies_of(s))]
    return dataclasses.replace(
        dataset,
        name=f"{dataset.name}-augmented-x{1 + augmentation.copies}-{augmentation.tag}",
        samples=tuple(samples),
        images=source,
        notes=(*dataset.notes, f"augmented, {augmentation.words}"),
    )


def original_ids(ids: Sequence[str] | NDArray[np.str_]) -> NDArray[np.str_]:
    """Return of each sample of an augmented data set the id of its original.

    Parameters
    ----------
    ids : sequence of str, shape (n_samples,)
        Ids of originals and copies.

    Returns
    -------
    ndarray of str, shape (n_samples,)
        An original's is its own.
    """
    return np.array([_COPY.sub("", str(identity)) for identity in ids], dtype=np.str_)


def _grey_if_possible(image: Image.Image) -> Image.Image:
    pixels = np.asarray(image)
    alike = (pixels == pixels[:, :, :1]).all()
    return image.getchannel(0) if alike else image
