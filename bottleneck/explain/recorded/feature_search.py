"""The features that an arm or a model was made of, searched for on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias, Union

from bottleneck.data.labels.selection import Selection
from bottleneck.errors import FeatureFileError, UsageError
from bottleneck.evaluation.results.arm_origin import ArmOrigin, samples_digest
from bottleneck.features.file.reader import (
    feature_files,
    is_of_prediction,
    load_features,
    read_provenance,
)
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.text.short_repr import shorten

__all__ = ["FeatureSource", "find_arm_features", "sets_of_recipe"]

Path_: TypeAlias = Union[str, "os.PathLike[str]"]
#: Feature sets, feature files or folders of these.
FeatureSource: TypeAlias = FeatureSet | Path_ | Sequence[FeatureSet | Path_]


def sets_of_recipe(source: FeatureSource, recipe_hash: str) -> Iterator[FeatureSet]:
    """Yield the feature sets of a recipe; rows of files are mapped into memory.

    Parameters
    ----------
    source : FeatureSet, path, or sequence of these
        Where to search; a folder stands for the feature files in it.
    recipe_hash : str
        Hash of the recipe.

    Raises
    ------
    UsageError
        If it is none of these.
    FeatureFileError
        If a file that is named cannot be read.
    """
    listed = [source] if isinstance(source, FeatureSet | str | os.PathLike) else source
    if not isinstance(listed, Sequence):
        raise UsageError(
            f"features must be feature sets, feature files or a folder of these, not "
            f"{shorten(source)}"
        )
    for one in listed:
        if isinstance(one, FeatureSet):
            if one.recipe_hash == recipe_hash:
                yield one
            continue
        if not isinstance(one, str | os.PathLike):
            raise UsageError(f"features are named by a path, not by {shorten(one)}")
        path = Path(one)
        is_named = not path.is_dir() and path.suffix == ".h5"
        for file in [path] if is_named else feature_files(path):
            try:
                provenance = read_provenance(file)
            except FeatureFileError:
                if is_named:
                    raise
                continue  # A damaged file in the folder may be of anything.
            if provenance["recipe_hash"] == recipe_hash and not is_of_prediction(provenance):
                yield load_features(file, memory_map=True)


def find_arm_features(
    source: FeatureSource, origin: ArmOrigin, selection: Selection | None
) -> FeatureSet | None:
    """Return the features that an arm was trained and tested on; None if they are not there.

    Parameters
    ----------
    source : FeatureSet, path, or sequence of these
        Where to search.
    origin : ArmOrigin
        What the arm was made of.
    selection : Selection or None
        What the comparison chose.

    Raises
    ------
    UsageError
        If the selection does not fit the samples.
    """
    for one in sets_of_recipe(source, origin.recipe_hash):
        chosen = one if selection is None else one.choose(selection)
        if samples_digest(chosen) == origin.samples:
            return chosen
    return None
