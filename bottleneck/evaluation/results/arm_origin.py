"""What an arm was made of, by which ``fit`` trains the same head on the same samples again."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.heads.head import Head
from bottleneck.heads.head_catalogue import HEADS
from bottleneck.text.short_repr import show_fields

__all__ = ["READER", "ArmOrigin", "file_of", "head_digest", "samples_digest"]

#: What stands for the head of an arm that is a human reader.
READER = "reader"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ArmOrigin:
    """What an arm was made of.

    Attributes
    ----------
    recipe_hash : str
        Hash of the recipe of its features; "" for trained networks.
    samples : str
        Digest of the samples, from ``samples_digest``; "" for trained networks.
    head : str
        Digest of the head, from ``head_digest``; "" for trained networks.
    head_name : str or None
        Name or import path of the head; None for an object, and for trained networks.
    file : str or None
        The feature file, or the folder of trained networks, as it was given; None for features in
        memory.
    has_images : bool
        Whether the features are of images, not of arrays.
    """

    recipe_hash: str = ""
    samples: str = ""
    head: str = ""
    head_name: str | None = None
    file: str | None = None
    has_images: bool = True

    __repr__ = show_fields

    @classmethod
    def of(cls, features: FeatureSet, head: Head, samples: str, file: str | None) -> ArmOrigin:
        """Return the origin of an arm of features with a head.

        Parameters
        ----------
        features : FeatureSet
            The features, after a selection.
        head : Head
            The head.
        samples : str
            From ``samples_digest``.
        file : str or None
            From ``file_of``.
        """
        return cls(
            recipe_hash=features.recipe_hash,
            samples=samples,
            head=head_digest(head.record),
            head_name=head.name if head.name in HEADS else head.import_path,
            file=file,
            has_images=features.has_images,
        )

    @property
    def is_trained_network(self) -> bool:
        """Whether the arm is a folder of trained networks."""
        return not self.recipe_hash


def samples_digest(features: FeatureSet) -> str:
    """Return a digest of the ids, labels and patients of features, in any order.

    The recipe determines the rows of images. Those of arrays are part of the digest.
    """
    order = np.argsort(features.ids)
    stated = features.stated_patients
    columns = [features.ids, features.y, *([] if stated is None else [stated])]
    made = hashlib.sha256(json.dumps([one[order].tolist() for one in columns]).encode())
    if not features.has_images:
        made.update(np.ascontiguousarray(features.X[order]).data)
    return made.hexdigest()


def head_digest(record: Mapping[str, Any]) -> str:
    """Return a digest of the classes, parameters and search space in the record of a head."""
    kept = [record.get("steps"), record.get("grid")]
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def file_of(features: FeatureSet, *, renamed: bool = False) -> str | None:
    """Return the file that holds exactly these features, as it was given; None if none does.

    Parameters
    ----------
    features : FeatureSet
        Features, before a selection.
    renamed : bool
        Whether features of arrays were given another name, which their file does not have.
    """
    # Samples that were chosen in memory have no hash of a file's content.
    if features.path is None or "content" not in features.provenance:
        return None
    return None if renamed and not features.has_images else str(features.path)
