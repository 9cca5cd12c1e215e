"""Features in memory, with ids, labels, patients and provenance."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bottleneck.errors import FeatureFileError

__all__ = ["FeatureSet"]

Strings = NDArray[np.str_]


@dataclasses.dataclass(frozen=True)
class FeatureSet:
    """One row of features per sample, and what made it.

    Attributes
    ----------
    X : ndarray of float32, shape (n_samples, n_features)
        The bottleneck features.
    y : ndarray of str, shape (n_samples,)
        The labels.
    ids : ndarray of str, shape (n_samples,)
        Sample ids, unique.
    provenance : mapping
        What made the rows; see ``features/README.md`` for its fields.
    groups, splits, folds, centres : ndarray of str, shape (n_samples,), or None
        Patient, fixed split, published fold and centre. None if the data set names none; an
        empty string if it names none for that row.
    sha256, pixels : ndarray of str, shape (n_samples,), or None
        Hashes of the encoded bytes and of the decoded pixels.
    sources : ndarray of str, shape (n_samples,), or None
        Path of the image relative to the data set.
    size : ndarray of int32, shape (n_samples, 2), or None
        Width and height in pixels.
    brightness : ndarray of float32, shape (n_samples,), or None
        Mean grey value, 0 to 255.
    thumbnails : ndarray of uint8, shape (n_samples, 32, 32), or None
        Grey images, too small to read text in, in which near-duplicates are recognised.
    failures : tuple of (str, str)
        Id and reason of every sample without a row.
    path : Path or None
        The feature file.
    """

    X: NDArray[np.float32]
    y: Strings
    ids: Strings
    provenance: Mapping[str, Any]
    groups: Strings | None = None
    splits: Strings | None = None
    folds: Strings | None = None
    centres: Strings | None = None
    sha256: Strings | None = None
    pixels: Strings | None = None
    sources: Strings | None = None
    size: NDArray[np.int32] | None = None
    brightness: NDArray[np.float32] | None = None
    thumbnails: NDArray[np.uint8] | None = None
    failures: tuple[tuple[str, str], ...] = ()
    path: Path | None = None

    def __post_init__(self) -> None:
        n = len(self.ids)
        if self.X.ndim != 2 or len(self.X) != n or len(self.y) != n:
            raise FeatureFileError(
                f"features need one row per sample, but X has the shape {self.X.shape}, with "
                f"{len(self.y)} labels and {n} ids"
            )

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """All labels, sorted."""
        return tuple(str(c) for c in np.unique(self.y))

    @property
    def dataset(self) -> str:
        """Name of the data set."""
        return str(self.provenance["dataset"]["name"])

    @property
    def backbone(self) -> str:
        """Name of the backbone."""
        return str(self.provenance["recipe"]["backbone"])

    @property
    def weights(self) -> str:
        """Name of the weights: imagenet, radimagenet, random, or a file's name."""
        return str(self.provenance["recipe"]["weights"])

    @property
    def positive(self) -> str | None:
        """The positive class that was stated at extraction, if any."""
        return self.provenance["dataset"].get("positive")

    @property
    def recipe_hash(self) -> str:
        """Hash of all that changes the values; rows of equal hashes can be mixed."""
        return str(self.provenance["recipe_hash"])
