"""The images of a prediction in the order of the input, those without a prediction included."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.samples.sample_table import Sample
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.text.short_repr import show_fields

__all__ = ["InputRows"]

Strings = NDArray[np.str_]


@dataclasses.dataclass(frozen=True, eq=False)
class InputRows:
    """Ids, labels and patients of all images.

    Attributes
    ----------
    ids : ndarray of str, shape (n_images,)
        Unique ids.
    labels, patients : ndarray of str, shape (n_images,)
        "" where they are not known.
    """

    ids: Strings
    labels: Strings
    patients: Strings

    __repr__ = show_fields

    @classmethod
    def of_samples(cls, samples: Sequence[Sample]) -> InputRows:
        """Return the rows of the samples of a data set."""
        fields = [(sample.id, sample.label, sample.group or "") for sample in samples]
        ids, labels, patients = np.array(fields, dtype=str).reshape(-1, 3).T
        return cls(ids, labels, patients)

    @classmethod
    def of_features(cls, features: FeatureSet) -> InputRows:
        """Return the rows of features, and then those of the images without any."""
        none = np.full(len(features.failures), "")
        stated = features.stated_patients
        known = np.full(len(features), "") if stated is None else stated
        return cls(
            np.concatenate([features.ids, np.array([one for one, _ in features.failures], str)]),
            np.concatenate([features.y, none]),
            np.concatenate([known, none]),
        )
