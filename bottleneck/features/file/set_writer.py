"""Writes a feature set in memory to a feature file, which reads back equal."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.samples.sample_checks import check_sample
from bottleneck.data.samples.sample_table import Sample
from bottleneck.errors import DataError, FeatureFileError, UsageError, describe_os_error
from bottleneck.features.file.format import FORMAT, HASHES, IMAGE_MEMBERS, are_boxes
from bottleneck.features.file.provenance_record import read_record
from bottleneck.features.file.writer import MEMBERS, write_members
from bottleneck.features.rows import is_region_text
from bottleneck.files.locks import lock
from bottleneck.files.paths import as_path
from bottleneck.files.writing import make_folder

if TYPE_CHECKING:
    from bottleneck.features.sets.feature_set import FeatureSet

__all__ = ["content_of", "save_features"]

_BLOCK = 4096
# Fields of a feature set with another name than the member.
_FIELDS = {"labels": "y", "groups": "stated_patients"}


def save_features(features: FeatureSet, path: str | Path, *, overwrite: bool = False) -> Path:
    """Write a feature file; see ``FeatureSet.save``."""
    path = as_path(path, "a feature file", "mine.h5")
    # ``os.path`` has no errors of its own for names that no folder can have.
    if (is_folder := os.path.isdir(path)) or path.suffix != ".h5":  # noqa: PTH112
        what = "is a folder" if is_folder else "does not end in .h5"
        example = path / "mine.h5" if is_folder else f"{path}.h5"
        raise UsageError(f"{path} {what}: name a feature file, such as {example}")
    columns = _check(features)
    provenance = _provenance(features, columns, path)
    make_folder(path.parent)
    try:
        with lock(path, "extraction", FeatureFileError, other="another name"):
            if path.exists() and not overwrite:
                raise UsageError(
                    f"{path} exists: choose another name, or replace it with overwrite=True (on "
                    "the command line --overwrite)"
                )
            write_members(
                path,
                tuple(columns),
                _blocks(features, columns),
                shape=(len(features), features.X.shape[1]),
                failures=features.failures,
                failed_samples=features.failed_samples,
                provenance=provenance,
            )
    except OSError as error:
        raise FeatureFileError(
            f"{path} cannot be written: {describe_os_error(error)}; the previous file is unchanged"
        ) from None
    return path


def content_of(features: FeatureSet) -> str:
    """Return the sha256 over ids, image hashes and failures, as ``extract`` records it.

    It is empty where hashes are not known.
    """
    if features.sha256 is None:
        return ""
    digest = hashlib.sha256()
    for name, key in zip(features.ids.tolist(), features.keys(), strict=True):
        digest.update(f"{name}\n{key}\n".encode())
    for failure in features.failures:
        digest.update("\n".join(failure).encode())
    return digest.hexdigest()


def _check(features: FeatureSet) -> dict[str, NDArray[Any]]:
    """Return the columns by the names of their members, which the loader will accept."""
    n = len(features)
    columns: dict[str, NDArray[Any]] = {}
    for name, (_, of_row) in MEMBERS.items():
        column = getattr(features, _FIELDS.get(name, name), None)
        if column is None:
            continue
        if np.shape(column) != (n, *of_row):
            raise UsageError(
                f"'{name}' has the shape {np.shape(column)}, where {(n, *of_row)} is needed: "
                "these features cannot be saved"
            )
        if name in ("size", "regions") and column.dtype.kind not in "iu":
            raise UsageError(f"'{name}' must be whole numbers, not {column.dtype}")
        columns[name] = column
    X = features.X
    if X.dtype.kind != "f" or X.shape[1] < 1:
        raise UsageError(
            f"X must be numbers of at least one column, not {X.dtype} of the shape {X.shape}"
        )
    if X.dtype != np.float32 and not _fits(X):
        raise UsageError(
            f"feature files hold 32 bits per number, but X has {X.dtype}: round it yourself with "
            "dataclasses.replace(features, X=features.X.astype('float32'))"
        )
    if len(set(features.ids.tolist())) < n:
        raise UsageError("two samples have the same id: these features cannot be saved")
    _refuse_texts(features)
    for name, is_sound in (
        ("size", features.size is None or bool((features.size > 0).all())),
        ("brightness", _is_grey(features.brightness)),
        ("boxes", features.boxes is None or are_boxes(features.boxes)),
        ("volume_regions", _are_regions(features.volume_regions)),
        *((name, _is_hash(getattr(features, name))) for name in HASHES),
    ):
        if not is_sound:
            raise UsageError(f"'{name}' has values out of range: these features cannot be saved")
    return columns


def _fits(X: NDArray[Any]) -> bool:
    return all(
        np.array_equal(X[start : start + _BLOCK].astype(np.float32), X[start : start + _BLOCK])
        for start in range(0, len(X), _BLOCK)
    )


def _is_grey(brightness: NDArray[np.float32] | None) -> bool:
    return brightness is None or bool(((brightness >= 0) & (brightness <= 255)).all())


def _is_hash(column: NDArray[np.str_] | None) -> bool:
    return column is None or all(len(t) <= 64 and t.isascii() for t in column.tolist())


def _are_regions(column: NDArray[np.str_] | None) -> bool:
    return column is None or all(map(is_region_text, column.tolist()))


def _refuse_texts(features: FeatureSet) -> None:
    """Refuse texts that a feature file cannot hold, as a data set is refused for them."""
    fields = {
        "group": "stated_patients",
        "fold": "folds",
        "centre": "centres",
        "lesion": "lesions",
        "examination": "examinations",
    }
    columns = {"id": "ids", "source": "sources", "label": "y", **fields}
    known = {
        field: column.tolist()
        for field, name in columns.items()
        if (column := getattr(features, name)) is not None
    }
    known.setdefault("source", ["unknown"] * len(features))
    try:
        for values in zip(*known.values(), strict=True):
            texts: dict[str, Any] = dict(zip(known, map(str, values), strict=True))
            check_sample(Sample(**texts))
    except DataError as error:
        raise UsageError(f"these features cannot be saved: {error}") from None


def _provenance(features: FeatureSet, columns: Mapping[str, Any], path: Path) -> dict[str, Any]:
    absent = [name for name in IMAGE_MEMBERS if name not in columns]
    made = {**features.provenance, "format": FORMAT, "content": content_of(features)}
    made.pop("absent", None)
    if absent:
        made["absent"] = absent
    try:
        read_record(json.dumps(made), path)
    except (FeatureFileError, TypeError, ValueError) as error:
        reason = str(error)
        if isinstance(error, FeatureFileError):  # Without the advice on a file that exists.
            reason = reason.partition(": ")[2].rpartition("; move it away")[0]
        raise UsageError(f"these features cannot be saved: {reason}") from None
    return made


def _blocks(
    features: FeatureSet, columns: Mapping[str, NDArray[Any]]
) -> Iterator[dict[str, NDArray[Any]]]:
    for start in range(0, len(features), _BLOCK):
        rows = slice(start, start + _BLOCK)
        block = {name: column[rows] for name, column in columns.items()}
        yield {**block, "embeddings": features.X[rows]}
