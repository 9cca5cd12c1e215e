"""Patches of volumes as items of a training."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from bottleneck.data.volumes.volume_preprocessing import VolumePreprocessing
from bottleneck.finetune.training_data import Item
from bottleneck.finetune.training_options import TrainingAugmentation
from bottleneck.finetune.transforms import derive_seed
from bottleneck.finetune.volumes.patch_augmentation import augment_patch
from bottleneck.finetune.volumes.patch_store import PatchStore

__all__ = ["PatchItems"]


class PatchItems(Dataset[Item]):
    """Patches of samples as items of a training.

    Parameters
    ----------
    patches : PatchStore
        The patches of all samples.
    places : ndarray of int, shape (n_items,)
        Place of each patch in the store.
    ids : list of str
        Ids of the samples.
    labels, rows : ndarray of int, shape (n_items,)
        Class index and row of each sample.
    preprocessing : VolumePreprocessing
        How the patches were made.
    augmentation : TrainingAugmentation or None
        Random changes; None for none.
    seed : tuple of int, or None
        Seed and epoch of the random changes.
    """

    def __init__(
        self,
        patches: PatchStore,
        places: NDArray[np.intp],
        ids: list[str],
        labels: NDArray[np.int64],
        rows: NDArray[np.intp],
        preprocessing: VolumePreprocessing,
        augmentation: TrainingAugmentation | None,
        seed: tuple[int, int] | None,
    ) -> None:
        self.patches = patches
        self.places = places
        self.ids = ids
        self.labels = labels
        self.rows = rows
        self.preprocessing = preprocessing
        self.augmentation = augmentation
        self.seed = seed

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> Item:
        patch = self.patches.read(int(self.places[number]))
        if self.augmentation is not None:
            seed = derive_seed("augmentation", self.seed, self.ids[number])
            slices = self.preprocessing.slices is not None
            patch = augment_patch(patch, self.augmentation, seed, slices=slices)
        return torch.from_numpy(patch), int(self.labels[number]), int(self.rows[number])
