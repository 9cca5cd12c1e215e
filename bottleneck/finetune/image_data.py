"""Images as inputs of a training, and the network that is trained on them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from bottleneck.backbones.backbone import Backbone
from bottleneck.data.dataset import ImageDataset, Sample
from bottleneck.data.images.decode import POLICY, THUMBNAIL_SIDE, PixelFacts, decode
from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.duplicates.leak_safe_groups import LeakSafeGroups, leak_safe_groups
from bottleneck.errors import DataError
from bottleneck.features import devices
from bottleneck.features.images.loader import load_images
from bottleneck.features.rows import ImageTable
from bottleneck.features.timing import Clock
from bottleneck.finetune.classifier import Classifier
from bottleneck.finetune.starting_network import StartingNetwork
from bottleneck.finetune.training_data import Inputs, Item
from bottleneck.finetune.training_options import TrainingAugmentation, TrainingOptions
from bottleneck.finetune.transforms import augment_pixels, derive_seed
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
        self.preprocessing = self.start.preprocessing
        self.notes = list(dataset.notes)
        self.samples, self._facts, read, self.digest = _scan(dataset, self.preprocessing)
        if failures := read.failures:
            self.notes.append(
                f"{counted(len(failures), 'image')} cannot be used and left out, as in extraction"
            )
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
            },
            "network": network,
            "decoding": POLICY,
        }

    def __getstate__(self) -> dict[str, Any]:
        # Other processes only read samples; the network is sent to them separately.
        return {**self.__dict__, "start": None, "_facts": []}

    @cached_property
    def leak_safe_groups(self) -> LeakSafeGroups:
        """Patients joined by identical and near-duplicate images; searched for once."""
        flat = np.frombuffer(b"".join(f.thumbnail for f in self._facts), np.uint8)
        return leak_safe_groups(
            flat.reshape(-1, THUMBNAIL_SIDE, THUMBNAIL_SIDE),
            self.patients,
            self.ids,
            pixels=np.array([f.pixels for f in self._facts], str),
            sizes=np.array([f.size for f in self._facts], np.int32),
            order_by=self.fold_columns,
        )

    def _describe_samples(self) -> None:
        self.ids = np.array([s.id for s in self.samples], str)
        self.y = np.array([s.label for s in self.samples], str)
        self.stated_patients, self.splits, self.folds, self.centres = (
            _column([getattr(s, field) for s in self.samples])
            for field in ("group", "split", "fold", "centre")
        )

    def _build(self, seed: int) -> Classifier:
        return self.start.build(len(self.classes), seed)

    def items(self, rows: NDArray[np.intp], augmented: tuple[int, int] | None) -> Dataset[Item]:
        """Return images of the network's input size, with pixels of shape (crop, crop, 3)."""
        samples = [self.samples[row] for row in rows]
        return _Images(
            self.dataset,
            samples,
            self.labels[rows],
            rows,
            self.preprocessing,
            self.config.augmentation if augmented else None,
            augmented,
        )


class _Images(Dataset[Item]):
    def __init__(
        self,
        dataset: ImageDataset,
        samples: list[Sample],
        labels: NDArray[np.int64],
        rows: NDArray[np.intp],
        preprocessing: Preprocessing,
        augmentation: TrainingAugmentation | None,
        seed: tuple[int, int] | None,
    ) -> None:
        self.dataset = dataset
        self.samples = samples
        self.labels = labels
        self.rows = rows
        self.preprocessing = preprocessing
        self.augmentation = augmentation
        self.seed = seed

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> Item:
        sample = self.samples[number]
        display = self.preprocessing.preparation.display
        image = decode(self.dataset.read(sample), sample.region, display)
        if self.augmentation is None:
            pixels = self.preprocessing.pixels(image)
        else:
            seed = derive_seed("augmentation", self.seed, sample.id)
            pixels = augment_pixels(image, self.preprocessing, self.augmentation, seed)
        if not pixels.flags.writeable:  # Without a resize, the memory belongs to Pillow.
            pixels = pixels.copy()
        return torch.from_numpy(pixels), int(self.labels[number]), int(self.rows[number])


def _scan(
    dataset: ImageDataset, preprocessing: Preprocessing
) -> tuple[list[Sample], list[PixelFacts], ImageTable, str]:
    """Return the usable samples with what is recorded of their pixels, the others and a digest."""
    workers = devices.default_workers()
    good, facts, images = [], [], ImageTable(len(dataset))
    # Not where an image lies: a data set that was moved or renamed is the same one.
    digest = hashlib.sha256()
    numbers, clock = range(len(dataset)), Clock(workers)
    for item in load_images(
        dataset, numbers, lambda key: [preprocessing], clock, ahead=4 * workers
    ):
        images.add(item)
        if item.facts is None:
            continue
        good.append(item.sample)
        facts.append(item.facts)
        fields = dataclasses.astuple(dataclasses.replace(item.sample, source=item.sha256))
        digest.update(json.dumps(fields).encode())
    if not good:
        failures = images.failures
        raise DataError(
            f"none of the {len(dataset)} images can be used; the first, {failures[0][0]}: "
            f"{failures[0][1]}"
        )
    return good, facts, images, digest.hexdigest()


def _column(values: list[str | None]) -> NDArray[np.str_] | None:
    known = any(value is not None for value in values)
    return np.array([value or "" for value in values], str) if known else None
