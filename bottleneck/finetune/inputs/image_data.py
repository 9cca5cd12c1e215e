"""Images as inputs of a training, and the network that is trained on them."""

from __future__ import annotations

from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from bottleneck.backbones.backbone import Backbone
from bottleneck.backbones.recipe import name_decoding
from bottleneck.data.dataset import ImageDataset
from bottleneck.data.images.decode import THUMBNAIL_SIDE
from bottleneck.data.volumes.volume_preprocessing import VolumePreprocessing
from bottleneck.duplicates.leak_safe_groups import LeakSafeGroups, leak_safe_groups
from bottleneck.finetune.inputs.sample_items import SampleItems, read_image, read_patch
from bottleneck.finetune.inputs.training_data import Inputs, Item
from bottleneck.finetune.inputs.usable_samples import scan_samples
from bottleneck.finetune.networks.classifier import Classifier
from bottleneck.finetune.networks.starting_network import StartingNetwork
from bottleneck.finetune.training_options import TrainingOptions
from bottleneck.finetune.volumes.patch_augmentation import describe_augmentation
from bottleneck.finetune.volumes.patch_store import PatchStore
from bottleneck.text.plurals import counted

__all__ = ["ImageInputs"]


class ImageInputs(Inputs):
    """The images of a data set, and a backbone to fine-tune or an architecture to train.

    Every image is first read and decoded once, as in extraction. Unusable images are left out with
    a note, so that the folds are those of the features.

    Parameters
    ----------
    dataset : ImageDataset
        The images.
    config : TrainingOptions
        Options, with the name of the network.
    backbone : Backbone, optional
        A loaded backbone, in place of the one that ``config`` names.

    Raises
    ------
    UsageError
        If the network is unknown or the options do not fit it.
    WeightsError
        If the weights are not available or do not fit.
    DataError
        If no image can be used.
    """

    def __init__(
        self, dataset: ImageDataset, config: TrainingOptions, backbone: Backbone | None = None
    ) -> None:
        self.dataset = dataset
        self.config = config
        self.start = StartingNetwork(config, backbone)
        self.start.refuse_dataset(holds_volumes=dataset.holds_volumes)
        self.preprocessing = self.start.preprocessing
        self.notes = list(dataset.notes)
        self._patches: PatchStore | None = None
        if isinstance(self.preprocessing, VolumePreprocessing):
            is_sliced = self.preprocessing.slices is not None
            self.notes.append(describe_augmentation(config.augmentation, slices=is_sliced))
            self._patches = PatchStore(self.preprocessing.input_shape)
        scan = scan_samples(dataset, self.preprocessing, self._patches)
        self.samples, self._facts, self._places = scan.samples, scan.facts, scan.places
        self.digest, read = scan.digest, scan.images
        if failures := read.failures:
            n = counted(len(failures), dataset.noun)
            self.notes.append(f"{n} cannot be used and left out, as in extraction")
        self.notes += read.notes
        self._describe_samples()
        self.name, network, notes = self.start.describe()
        self.notes += notes
        self.described = {
            "dataset": {
                "name": dataset.name,
                "fingerprint": dataset.fingerprint,
                "positive": dataset.positive,
                "n_samples": len(self.samples),
                "failures": len(failures),
                "excluded": dict(dataset.excluded),
                "selection": dict(dataset.selection),
                "n_regions": sum(s.volume_region is not None for s in self.samples)
                if dataset.holds_volumes
                else None,
            },
            "network": network,
            "decoding": name_decoding(self.preprocessing, "reference"),
        }

    def __getstate__(self) -> dict[str, Any]:
        # Other processes only read samples; the network is sent to them separately.
        return {**self.__dict__, "start": None, "_facts": []}

    @property
    def is_of_volumes(self) -> bool:
        """Whether the network takes volumes, and not images, slices or features."""
        stated = self.preprocessing
        return isinstance(stated, VolumePreprocessing) and stated.slices is None

    @cached_property
    def leak_safe_groups(self) -> LeakSafeGroups:
        """Patients joined by identical and near-duplicate images; searched for once."""
        flat = np.frombuffer(b"".join(f.thumbnail for f in self._facts), np.uint8)
        return leak_safe_groups(
            flat.reshape(-1, THUMBNAIL_SIDE, THUMBNAIL_SIDE),
            self.patients,
            self.ids,
            pixels=np.array([f.pixels for f in self._facts], str),
            noun=self.dataset.noun,
            sizes=np.array([f.size for f in self._facts], np.int32),
            order_by=self.fold_columns,
            examinations=self.loose_examinations,
        )

    def _describe_samples(self) -> None:
        self.ids = np.array([s.id for s in self.samples], str)
        self.y = np.array([s.label for s in self.samples], str)
        self.stated_patients, self.splits, self.folds, self.centres, self.examinations = (
            _column([getattr(s, field) for s in self.samples])
            for field in ("group", "split", "fold", "centre", "examination")
        )

    def _build(self, seed: int) -> Classifier:
        return self.start.build(len(self.classes), seed)

    def items(self, rows: NDArray[np.intp], augmented: tuple[int, int] | None) -> Dataset[Item]:
        """Return images or patches of the network's input size, with the channels last."""
        samples = [self.samples[row] for row in rows]
        augmentation = self.config.augmentation
        read: partial[NDArray[Any]]
        if isinstance(self.preprocessing, VolumePreprocessing):
            assert self._patches is not None
            places = self._places[rows]
            read = partial(read_patch, self._patches, places, self.preprocessing, augmentation)
        else:
            read = partial(read_image, self.dataset, samples, self.preprocessing, augmentation)
        return SampleItems(read, samples, self.labels[rows], rows, augmented)


def _column(values: list[str | None]) -> NDArray[np.str_] | None:
    known = any(value is not None for value in values)
    return np.array([value or "" for value in values], str) if known else None
