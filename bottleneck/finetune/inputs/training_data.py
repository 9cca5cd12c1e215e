"""Inputs of a training: samples and their network; and the case of features."""

from __future__ import annotations

import abc
import hashlib
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from bottleneck.backbones.licences import weights_record
from bottleneck.data.images.preparation import Preparation
from bottleneck.data.splits.patients import SplitColumns
from bottleneck.duplicates.leak_safe_groups import LeakSafeGroups
from bottleneck.errors import UsageError
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.features.sets.sample_extents import count_regions
from bottleneck.finetune.inputs.transforms import derive_seed
from bottleneck.finetune.networks.architectures import NEW_FC, new_fc
from bottleneck.finetune.networks.classifier import Classifier, wrap
from bottleneck.finetune.training_options import TrainingOptions

__all__ = ["FeatureInputs", "Inputs", "Item"]

Strings = NDArray[np.str_]
Item = tuple[Tensor, int, int]


class Inputs(SplitColumns, abc.ABC):
    """Samples, and the network that is trained on them.

    Attributes
    ----------
    ids, y : ndarray of str, shape (n_samples,)
        As in a ``FeatureSet``.
    groups, splits, folds, centres : ndarray of str, shape (n_samples,), or None
        As in a ``FeatureSet``, so that the folds are the same.
    classes : tuple of str
        All labels, sorted.
    name : str
        Name of the arm.
    digest : str
        sha256 of the samples.
    described : mapping
        Description of data set and network, for the record.
    notes : list of str
        Notes for the user.
    """

    name: str
    digest: str
    described: dict[str, Any]
    notes: list[str]

    @property
    @abc.abstractmethod
    def leak_safe_groups(self) -> LeakSafeGroups:
        """Patients joined by identical and near-duplicate images."""

    @property
    def is_of_volumes(self) -> bool:
        """Whether the network takes volumes, and not images, slices or features."""
        return False

    @property
    def labels(self) -> NDArray[np.int64]:
        """Index of the class of every sample."""
        return np.searchsorted(np.array(self.classes), self.y).astype(np.int64)

    def stored_features(self, rows: NDArray[np.intp]) -> NDArray[np.float32] | None:
        """Return the features that samples were given as; None for images."""
        return None

    def network(self, seed: int) -> Classifier:
        """Return the network, with its new weights drawn from a seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed("network", seed))
            return self._build(seed)

    @abc.abstractmethod
    def _build(self, seed: int) -> Classifier: ...

    @abc.abstractmethod
    def items(self, rows: NDArray[np.intp], augmented: tuple[int, int] | None) -> Dataset[Item]:
        """Return input, class index and row of samples, in the order of the rows.

        Parameters
        ----------
        rows : ndarray of int
            Rows of the samples.
        augmented : tuple of int, or None
            Seed and epoch of the augmentation; None for no augmentation.
        """


class FeatureInputs(Inputs):
    """Features of a frozen network, for the classifier "new_fc".

    Parameters
    ----------
    features : FeatureSet
        The features, which are not scaled.

    Raises
    ------
    UsageError
        If ``config`` names a network other than "new_fc", or a preparation of images.
    """

    def __init__(self, features: FeatureSet, config: TrainingOptions) -> None:
        if config.backbone != NEW_FC:
            raise UsageError(
                f"on features, only '{NEW_FC}' can be trained, not '{config.backbone}': name a "
                f"data set of images, or --backbone {NEW_FC}"
            )
        if config.preparation != Preparation():
            raise UsageError(
                f"features come from images that were prepared at extraction, so "
                f"'{config.preparation.words}' has no effect on them: leave it out"
            )
        self.features, self.config = features, config
        self.ids, self.y = features.ids, features.y
        self.stated_patients, self.centres = features.stated_patients, features.centres
        self.splits, self.folds = features.splits, features.folds
        self.examinations = features.examinations
        self.notes = []
        self.name = f"{features.title} + {NEW_FC}"
        digest = hashlib.sha256(np.ascontiguousarray(features.X).data)
        digest.update("\n".join([*self.ids, *self.y]).encode())
        self.digest = digest.hexdigest()
        about = features.provenance["dataset"]
        weights = weights_record(features.provenance)
        self.described = {
            "dataset": {
                "name": features.dataset,
                "fingerprint": about.get("fingerprint"),
                "positive": features.positive,
                "n_samples": len(features),
                "failures": len(features.failures),
                "excluded": dict(about.get("excluded", {})),
                "selection": dict(features.selection),
                "n_regions": count_regions(features),
            },
            "network": {
                "backbone": features.backbone,
                "weights": features.weights,
                "weights_sha256": weights.get("sha256"),
                "licence": weights.get("licence"),
                "recipe_hash": features.recipe_hash,
                "head": NEW_FC,
            },
            "features": {
                "n_features": features.X.shape[1],
                "recipe": dict(features.provenance["recipe"]),
                "recipe_hash": features.recipe_hash,
                "weights": weights,
            },
        }

    @property
    def leak_safe_groups(self) -> LeakSafeGroups:
        """Patients joined by identical and near-duplicate images."""
        return self.features.leak_safe_groups

    def stored_features(self, rows: NDArray[np.intp]) -> NDArray[np.float32] | None:
        """Return the features of some samples."""
        return self.features.X[rows]

    def _build(self, seed: int) -> Classifier:
        shape = self.features.X.shape[1], len(self.classes)
        return wrap(new_fc(*shape, self.config.hidden, self.config.dropout), None)

    def items(self, rows: NDArray[np.intp], augmented: tuple[int, int] | None) -> Dataset[Item]:
        """Return features, which are never augmented."""
        return _Rows(self.features.X[rows], self.labels[rows], rows)


class _Rows(Dataset[Item]):
    def __init__(
        self, X: NDArray[np.float32], labels: NDArray[np.int64], rows: NDArray[np.intp]
    ) -> None:
        self.X = X
        self.labels = labels
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> Item:
        return (
            torch.from_numpy(self.X[number]),
            int(self.labels[number]),
            int(self.rows[number]),
        )
