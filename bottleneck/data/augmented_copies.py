"""Augmentation before the split: altered copies of images as additional samples.

Published work often augments a data set first and splits it at random afterwards, so that copies
of one image are in both the training set and the test set. This module reproduces such work and
serves to measure how far it inflates results
(``bottleneck.evaluation.leak_experiment.experiment``). No other part of the package augments
before it splits.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import re
from collections.abc import Sequence
from functools import cached_property
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le
from numpy.typing import NDArray
from PIL import Image, ImageOps

from bottleneck.data.dataset import ImageDataset, Sample
from bottleneck.data.images.decode import decode
from bottleneck.data.images.display import AS_STORED, Display
from bottleneck.errors import DataError, UsageError
from bottleneck.settings.ranges import Seed
from bottleneck.settings.schema import option, schema

__all__ = ["Augmentation", "AugmentedSource", "augment", "original_ids"]

_PANEL = "Altered copies"
_COPY = re.compile(r"#\d+$")


@schema
class Augmentation:
    """How a copy is altered, in this order: mirror, rotate, add noise.

    Attributes
    ----------
    copies : int
        Number of altered copies of each image.
    flip : bool
        Whether to mirror each copy left to right with probability 0.5.
    rotation : float
        Largest rotation in degrees. Each copy is rotated about its centre by an angle drawn
        uniformly from ±rotation. The size stays the same, and new corners are black.
    noise : float
        Standard deviation of the Gaussian noise that is added to every pixel, on the scale
        of 0 to 255. A grey image stays grey; otherwise the noise of the three channels is
        independent.
    seed : int
        Seed of all random draws.

    Raises
    ------
    UsageError
        If a value has the wrong type or is out of range.

    Examples
    --------
    >>> Augmentation(copies=2, noise=0).words
    '2 copies of each image: mirrored left to right at random, rotated by up to ±15°'
    """

    copies: Annotated[int, Ge(1), Le(10_000)] = option(
        6, "Number of copies of each image.", panel=_PANEL
    )
    flip: bool = option(True, "Mirror each copy left to right with probability 0.5.", panel=_PANEL)
    rotation: float = option(
        15.0, "Largest angle of rotation, in degrees.", panel=_PANEL, ge=0, le=180
    )
    noise: float = option(
        8.0,
        "Standard deviation of Gaussian noise, in grey values of 0 to 255.",
        panel=_PANEL,
        ge=0,
        le=255,
    )
    seed: Seed = option(0, "Seed of the copies.", panel=_PANEL)

    @property
    def tag(self) -> str:
        """The settings that determine a copy's pixels, as part of a file name."""
        parts = (
            "flip" if self.flip else "",
            f"rotation{self.rotation:g}" if self.rotation else "",
            f"noise{self.noise:g}" if self.noise else "",
            f"seed{self.seed}" if self.seed else "",
        )
        return "-".join(part for part in parts if part) or "unaltered"

    @property
    def words(self) -> str:
        """The augmentation in words, for a methods section."""
        steps = (
            "mirrored left to right at random" if self.flip else "",
            f"rotated by up to ±{self.rotation:g}°" if self.rotation else "",
            f"Gaussian noise of standard deviation {self.noise:g} added" if self.noise else "",
        )
        alteration = ", ".join(step for step in steps if step) or "unaltered"
        copies = "1 copy" if self.copies == 1 else f"{self.copies} copies"
        return f"{copies} of each image: {alteration}"

    def alter(self, image: Image.Image, identity: str, number: int) -> Image.Image:
        """Return an altered copy of an image.

        Parameters
        ----------
        image : PIL.Image.Image
            The original, in mode RGB.
        identity : str
            The id of the sample. Together with the seed and the number it determines the random
            draws, so that a copy does not depend on the order in which copies are made.
        number : int
            The number of the copy, from 1.

        Returns
        -------
        PIL.Image.Image
            An image of the same size, in mode L if the three channels are equal.

        Examples
        --------
        >>> image = Image.new("RGB", (64, 48), "grey")
        >>> Augmentation(noise=4).alter(image, "P001/1", 1).size
        (64, 48)
        """
        digest = hashlib.sha256(f"{self.seed}\n{identity}\n{number}".encode()).digest()
        rng = np.random.default_rng(int.from_bytes(digest))
        # Both are always drawn, so that the angle does not depend on whether copies are mirrored.
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
    """The images of a data set, and altered copies that are created when they are read.

    Attributes
    ----------
    dataset : ImageDataset
        The originals.
    augmentation : Augmentation
        How copies are altered.
    display : Display
        How values of more than 8 bits become the levels of copies, which have 8 bits.
    """

    dataset: ImageDataset
    augmentation: Augmentation
    display: Display = AS_STORED

    def copies_of(self, sample: Sample) -> tuple[Sample, ...]:
        """Return the copies of a sample, with its label, patient, split and fold."""
        return tuple(
            dataclasses.replace(
                sample,
                id=f"{sample.id}#{number}",
                # The source is part of the fingerprint, which thus differs between augmentations.
                source=f"{sample.id}#{number}-{self._tag}",
                region=None,
            )
            for number in range(1, self.augmentation.copies + 1)
        )

    def read(self, source: str) -> bytes:
        """Return the bytes of an original unchanged, or of a copy as binary PPM or PGM.

        These formats are uncompressed: the bytes of a copy, by which cached features are looked
        up, do not change with the version of a compression library.

        Raises
        ------
        OSError, DataError
            If the original cannot be read or decoded.
        """
        if source not in self._copies:
            return self.dataset.images.read(source)
        sample, number = self._copies[source]
        image = decode(self.dataset.read(sample), sample.region, self.display)
        encoded = io.BytesIO()
        self.augmentation.alter(image, sample.id, number).save(encoded, "PPM")
        return encoded.getvalue()

    @property
    def _tag(self) -> str:
        tag = self.augmentation.tag
        if self.display.window is not None:
            tag += "-window" + ",".join(f"{number:g}" for number in self.display.window)
        return f"{tag}-rescaled" if self.display.rescale else tag

    @cached_property
    def _copies(self) -> dict[str, tuple[Sample, int]]:
        return {
            copy.source: (sample, number)
            for sample in self.dataset.samples
            for number, copy in enumerate(self.copies_of(sample), start=1)
        }


def augment(
    dataset: ImageDataset, augmentation: Augmentation, display: Display = AS_STORED
) -> ImageDataset:
    """Return a data set with altered copies of its images.

    Parameters
    ----------
    dataset : ImageDataset
        The originals.
    augmentation : Augmentation
        How copies are altered. A region of an image is cut out first.
    display : Display
        How values of more than 8 bits become levels, as the originals are extracted.

    Returns
    -------
    ImageDataset
        Each original followed by its copies, with the ids ``<id>#1``, ``<id>#2`` and so on.
        Its name and fingerprint depend on the augmentation, so that its features are stored
        separately.

    Raises
    ------
    DataError
        If an id of the data set already ends like the id of a copy.
    UsageError
        If the data set holds volumes.

    Examples
    --------
    >>> from bottleneck.data.readers import load_dataset
    >>> dataset = load_dataset("phantom", limit=1)
    >>> [sample.id for sample in augment(dataset, Augmentation(copies=2)).samples[:4]]
    ['P001/1', 'P001/1#1', 'P001/1#2', 'P001/2']
    """
    if dataset.holds_volumes:
        raise UsageError(
            f"the data set '{dataset.name}' holds volumes, and only images are augmented: name a "
            "data set of images"
        )
    copied = [sample.id for sample in dataset.samples if _COPY.search(sample.id)]
    if copied:
        raise DataError(
            f"data set '{dataset.name}' has {len(copied)} ids that end in '#' and a number, as the "
            f"ids of augmented copies do, such as '{copied[0]}'. If it is augmented already, pass "
            "the original data set; if not, change its ids"
        )
    source = AugmentedSource(dataset, augmentation, display)
    samples = [one for s in dataset.samples for one in (s, *source.copies_of(s))]
    return dataclasses.replace(
        dataset,
        name=f"{dataset.name}-augmented-x{1 + augmentation.copies}-{augmentation.tag}",
        samples=tuple(samples),
        images=source,
        notes=(*dataset.notes, f"augmented, {augmentation.words}"),
    )


def original_ids(ids: Sequence[str] | NDArray[np.str_]) -> NDArray[np.str_]:
    """Return the id of the original of each sample in an augmented data set.

    Parameters
    ----------
    ids : sequence of str, shape (n_samples,)
        The ids of originals and copies.

    Returns
    -------
    ndarray of str, shape (n_samples,)
        The id of the original; for an original, its own id.

    Examples
    --------
    >>> original_ids(["P001/1", "P001/1#2"]).tolist()
    ['P001/1', 'P001/1']
    """
    return np.array([_COPY.sub("", str(identity)) for identity in ids], dtype=np.str_)


def _grey_if_possible(image: Image.Image) -> Image.Image:
    pixels = np.asarray(image)
    is_grey = (pixels == pixels[:, :, :1]).all()
    return image.getchannel(0) if is_grey else image
