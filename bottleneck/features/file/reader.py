"""Reads feature files into arrays; ``features/README.md`` specifies the files."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from bottleneck.backbones.licences import weights_record
from bottleneck.errors import FeatureFileError, UsageError
from bottleneck.features.file.format import HASHES, OPTIONAL_FIELDS, Members, are_boxes
from bottleneck.features.rows import is_region_text
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.text.short_repr import shorten

__all__ = ["feature_files", "is_of_prediction", "load_features", "read_provenance"]

_TEXTS = ("sources", *HASHES)

# Columns of numbers: type, number of columns (0 for none), and whether values are sound.
_NUMBERS: Mapping[str, tuple[str, int, Callable[[Any], Any]]] = {
    "size": ("<i4", 2, lambda size: (size > 0).all()),
    "brightness": ("<f4", 0, lambda grey: ((grey >= 0) & (grey <= 255)).all()),
    "regions": ("<i4", 4, lambda regions: True),
    "boxes": ("<f8", 6, are_boxes),
}


def feature_files(folder: Path) -> list[Path]:
    """Return the feature files of a folder, sorted by name."""
    return sorted(folder.glob("*.h5"))


def read_provenance(path: Path) -> Mapping[str, Any]:
    """Return the provenance of a feature file, without reading its rows.

    Raises
    ------
    UsageError
        If it is not a path.
    FeatureFileError
        If the file is missing, damaged, no feature file, or of another format.
    """
    with Members.opened(path) as file:
        return file.provenance()


def is_of_prediction(provenance: Mapping[str, Any]) -> bool:
    """Return whether a feature file holds new images that a model predicted."""
    return "purpose" in (provenance["dataset"].get("reader") or {})


def load_features(path: str | Path, *, memory_map: bool = False) -> FeatureSet:
    """Read a feature file.

    Parameters
    ----------
    path : str or Path
        What ``extract`` wrote.
    memory_map : bool
        Map features and thumbnails into memory, read-only, instead of reading them: only what
        is used is read.

    Returns
    -------
    FeatureSet

    Raises
    ------
    FeatureFileError
        If the file is missing, damaged, no feature file, or of another format.

    Examples
    --------
    >>> from bottleneck import extract, load_dataset
    >>> from bottleneck.testing import tiny_backbone
    >>> run = extract(load_dataset("phantom", limit=2), tiny_backbone(), output="features")
    >>> load_features(run.path).X.shape
    (4, 8)
    """
    if not isinstance(path, str | os.PathLike):
        raise UsageError(
            f"a feature file is named by its path, not by {shorten(path)}: features in memory "
            "become a set with FeatureSet.from_arrays(X, y)"
        )
    path = Path(path)
    with Members.opened(path) as file:
        provenance = _with_licence(file.provenance())
        ids = file.texts("ids")
        if len(set(ids.tolist())) < len(ids):
            raise file.malformed("ids")
        if not len(ids):
            raise FeatureFileError(
                f"{path} has no rows; extract the features of at least one image"
            )
        X = file.member("embeddings", len(ids), ndim=2, kind="<f4")
        if not X.shape[1]:
            raise file.malformed("embeddings")
        absent = [name for name in provenance.get("absent", ()) if name not in file]
        columns: dict[str, Any] = {
            name: file.texts(name, len(ids)) for name in OPTIONAL_FIELDS if name in file
        }
        columns["stated_patients"] = columns.pop("groups", None)
        columns |= {name: file.texts(name, len(ids)) for name in _TEXTS if name not in absent}
        if "volume_regions" in file:
            columns["volume_regions"] = file.texts("volume_regions", len(ids))
            if not all(map(is_region_text, columns["volume_regions"].tolist())):
                raise file.malformed("volume_regions")
        for name, (kind, n_columns, is_sound) in _NUMBERS.items():
            if name in absent or (name in ("regions", "boxes") and name not in file):
                continue
            how = {"ndim": 2, "columns": n_columns} if n_columns else {}
            columns[name] = file.member(name, len(ids), kind=kind, **how)[:]
            if not is_sound(columns[name]):
                raise file.malformed(name)
        if "thumbnails" not in absent:
            columns["thumbnails"] = _array(path, file.thumbnails(len(ids)), memory_map)
        return FeatureSet(
            X=_array(path, X, memory_map),
            y=file.texts("labels", len(ids)),
            ids=ids,
            provenance=provenance,
            failures=tuple(file.failures()),
            failed_samples=file.failed_samples(),
            path=path,
            **columns,
        )


def _with_licence(provenance: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a provenance with the licence of its weights that is known now."""
    if not provenance.get("weights"):
        return provenance
    weights = weights_record(provenance)
    recipe = {**provenance["recipe"], "licence": weights["licence"]}
    return {**provenance, "recipe": recipe, "weights": weights}


def _array(path: Path, member: h5py.Dataset, memory_map: bool) -> NDArray[Any]:
    start = member.id.get_offset() if memory_map else None  # None if it is stored in chunks.
    if start is None:
        return member[:]
    return np.memmap(path, member.dtype, "r", start, shape=member.shape)
