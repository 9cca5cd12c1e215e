"""What features come from, as their provenance records it: data set, network and preparation."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from bottleneck.backbones.recipe import name_feature_file, recorded_words
from bottleneck.data.images.preparation import Preparation, recorded_preparation

__all__ = ["FeatureOrigin"]


class FeatureOrigin:
    """Data set and recipe of features, for classes that hold their provenance.

    Attributes
    ----------
    provenance : mapping
        Data set, recipe and versions that the rows come from.
    """

    provenance: Mapping[str, Any]

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
        """Name of the weights: imagenet, radimagenet, random, or the name of a file."""
        return str(self.provenance["recipe"]["weights"])

    @cached_property
    def preparation(self) -> Preparation:
        """What was done to the images before the preprocessing."""
        return recorded_preparation(self.provenance["recipe"])

    @cached_property
    def input_words(self) -> str:
        """The preparation of the images, or the slices of volumes, in a few words."""
        return recorded_words(self.provenance["recipe"])

    @property
    def title(self) -> str:
        """The backbone, with its weights and what distinguishes its input in brackets."""
        about = ", ".join(filter(None, [self.weights, self.input_words]))
        return f"{self.backbone} ({about})"

    @property
    def file_name(self) -> str:
        """Name of a feature file of the samples, as ``extract`` names it."""
        recipe = self.provenance["recipe"]
        more = [str(recipe.get(field) or "") for field in ("layer", "pooling")]
        parts = [self.dataset, self.backbone, self.weights, *more, self.input_words]
        return name_feature_file(parts, self.recipe_hash)

    @property
    def selection(self) -> Mapping[str, Any]:
        """What was chosen with ``choose``, as in ``Model``; empty if nothing was."""
        return self.provenance["dataset"].get("selection") or {}

    @property
    def positive(self) -> str | None:
        """The positive class stated at extraction, or None."""
        return self.provenance["dataset"].get("positive")

    @property
    def recipe_hash(self) -> str:
        """Hash of everything that determines the values; rows of equal hashes are comparable."""
        return str(self.provenance["recipe_hash"])
