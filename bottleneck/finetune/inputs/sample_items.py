"""Images, and patches of volumes, as items of a training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from bottleneck.data.dataset import ImageDataset, Sample
from bottleneck.data.images.decode import decode
from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.data.volumes.volume_preprocessing import VolumePreprocessing
from bottleneck.finetune.inputs.training_data import Item
from bottleneck.finetune.inputs.transforms import augment_pixels, derive_seed
from bottleneck.finetune.training_options import TrainingAugmentation
from bottleneck.finetune.volumes.patch_augmentation import augment_patch
from bottleneck.finetune.volumes.patch_store import PatchStore

__all__ = ["SampleItems", "read_image", "read_patch"]


class SampleItems(Dataset[Item]):
    """Samples as items of a training.

    Parameters
    ----------
    read : callable
        Returns the input of the network, with the channels last, for the number of an item and the
        seed of its random changes; of None, there are none.
    samples : sequence of Sample
        The samples.
    labels, rows : ndarray of int, shape (n_items,)
        Class index and row of each sample.
    augmented : tuple of int, or None
        Seed and epoch of the random changes; None for no changes.
    """

    def __init__(
        self,
        read: Callable[[int, int | None], NDArray[Any]],
        samples: Sequence[Sample],
        labels: NDArray[np.int64],
        rows: NDArray[np.intp],
        augmented: tuple[int, int] | None,
    ) -> None:
        self.read = read
        self.samples = samples
        self.labels = labels
        self.rows = rows
        self.augmented = augmented

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> Item:
        seed = None
        if self.augmented is not None:
            seed = derive_seed("augmentation", self.augmented, self.samples[number].id)
        pixels = self.read(number, seed)
        return torch.from_numpy(pixels), int(self.labels[number]), int(self.rows[number])


def read_image(
    dataset: ImageDataset,
    samples: Sequence[Sample],
    preprocessing: Preprocessing,
    augmentation: TrainingAugmentation,
    number: int,
    seed: int | None,
) -> NDArray[Any]:
    """Return the input of a network from the image of a sample.

    Parameters
    ----------
    dataset : ImageDataset
        The data set of the samples.
    samples : sequence of Sample
        The samples of the items.
    preprocessing : Preprocessing
        Makes the input of an image.
    augmentation : TrainingAugmentation
        The random changes.
    number : int
        Number of the item.
    seed : int or None
        Seed of the random changes; None for no changes.

    Returns
    -------
    ndarray of uint8 or float32, shape (rows, columns, channels)
    """
    sample = samples[number]
    image = decode(dataset.read(sample), sample.region, preprocessing.preparation.display)
    if seed is None:
        pixels = preprocessing.pixels(image)
    else:
        pixels = augment_pixels(image, preprocessing, augmentation, seed)
    # Without a resize, the memory belongs to Pillow.
    return pixels if pixels.flags.writeable else pixels.copy()


def read_patch(
    patches: PatchStore,
    places: NDArray[np.intp],
    preprocessing: VolumePreprocessing,
    augmentation: TrainingAugmentation,
    number: int,
    seed: int | None,
) -> NDArray[np.float32]:
    """Return the patch of a sample.

    Parameters
    ----------
    patches : PatchStore
        The patches of all samples.
    places : ndarray of int, shape (n_items,)
        Place of the patch of each item in the store.
    preprocessing : VolumePreprocessing
        How the patches were made.
    augmentation, number, seed
        As for ``read_image``.

    Returns
    -------
    ndarray of float32, shape (x, y, z, channels) or (slices, rows, columns, channels)
    """
    patch = patches.read(int(places[number]))
    if seed is None:
        return patch
    slices = preprocessing.slices is not None
    return augment_patch(patch, augmentation, seed, slices=slices)
