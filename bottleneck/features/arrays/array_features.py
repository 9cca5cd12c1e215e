"""Feature sets from arrays: features that no network of this package computed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import platform
import warnings
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

import bottleneck
from bottleneck.data.readers.sample_records import check_name
from bottleneck.data.splits.patients import count_by_class, name_patients
from bottleneck.errors import BottleneckError, UsageError
from bottleneck.features.arrays.matrix import Matrix, index_of, read_matrix
from bottleneck.features.arrays.sample_columns import (
    name_ids,
    name_samples,
    read_names,
)
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.statistics.arguments import check_same_rows
from bottleneck.text.plurals import counted
from bottleneck.text.short_repr import shorten

__all__ = ["OWN_FEATURES", "from_arrays", "renamed", "without_features"]

Strings = NDArray[np.str_]

#: Name of features in arrays that nobody named.
OWN_FEATURES = "own features"


def from_arrays(
    X: object,
    y: object,
    groups: object = None,
    ids: object = None,
    *,
    name: str = "arrays",
    recipe: str = OWN_FEATURES,
    may_lack_labels: bool = False,
) -> FeatureSet:
    """Return what ``FeatureSet.from_arrays`` documents.

    With ``may_lack_labels``, samples without a label are kept, with the label "", and ``y`` may be
    None.
    """
    check_name(name)
    if not isinstance(recipe, str) or not recipe.strip():
        raise UsageError(
            f"recipe names the features, such as 'radiomics', and cannot be {shorten(recipe)}"
        )
    if isinstance(X, FeatureSet):
        raise UsageError("X is already a feature set with labels and patients: use it as it is")
    check_same_rows(X=X, y=y, groups=groups, ids=ids)
    matrix = read_matrix(X)
    n = len(matrix.X)
    if y is None and may_lack_labels:
        y = [""] * n
    labels = read_names(y, "y", n, may_lack=may_lack_labels)
    patients = None if groups is None else read_names(groups, "groups", n)
    index = index_of(y) if matrix.index is None else matrix.index
    identities = name_ids(ids, index, n)
    try:
        names, stated, notes = name_samples(
            identities, labels, patients, may_lack_labels=may_lack_labels
        )
    except BottleneckError as error:
        raise type(error)(f"y, groups and ids: {error}") from error
    notes += _note_labels_among(matrix, names)
    for note in notes:
        warnings.warn(f"{name}: {note}", UserWarning, stacklevel=3)
    provenance = _provenance(name, recipe, matrix, identities, names, stated)
    return FeatureSet(matrix.X, names, identities, provenance, stated_patients=stated)


def without_features(ids: Strings, y: Strings, patients: Sequence[str]) -> FeatureSet:
    """Return samples with labels and patients, and without a column of features.

    Parameters
    ----------
    ids, y : ndarray of str, shape (n_samples,)
        Unique ids, and labels.
    patients : sequence of str, length n_samples
        Patients; "" where one is unknown.
    """
    stated = np.array(patients, str) if any(patients) else None
    matrix = Matrix(np.empty((len(ids), 0), np.float32))
    provenance = _provenance("own predictions", "no features", matrix, ids, y, stated)
    return FeatureSet(matrix.X, y, ids, provenance, stated_patients=stated)


def renamed(features: FeatureSet, recipe: str) -> FeatureSet:
    """Return a feature set of arrays under another name of its features."""
    changed = {**features.provenance["recipe"], "backbone": recipe}
    provenance = {**features.provenance, "recipe": changed, "recipe_hash": _hash(changed)}
    return dataclasses.replace(features, provenance=provenance)


def _recipe(columns: Sequence[str] | None, width: int, name: str) -> dict[str, Any]:
    return {
        "backbone": name,
        "weights": counted(width, "column"),
        "columns": None if columns is None else list(columns),
        "n_columns": width,
    }


def _provenance(
    name: str,
    recipe: str,
    matrix: Matrix,
    ids: Strings,
    y: Strings,
    patients: Strings | None,
) -> dict[str, Any]:
    fields = _recipe(matrix.columns, matrix.X.shape[1], recipe)
    owners = name_patients(patients, ids)
    stated = [None] * len(ids) if patients is None else patients.tolist()
    return {
        "dataset": {
            "name": name,
            # The same samples in another order are the same data set.
            "fingerprint": _hash(sorted(zip(ids.tolist(), y.tolist(), stated, strict=True))),
            "n_samples": len(ids),
            "n_patients": None if owners is None else len(np.unique(owners)),
            "classes": count_by_class(y[y != ""]),
        },
        "recipe": fields,
        "recipe_hash": _hash(fields),
        "content": hashlib.sha256(np.ascontiguousarray(matrix.X).data).hexdigest(),
        "versions": {
            "bottleneck": bottleneck.__version__,
            "python": platform.python_version(),
            "numpy": version("numpy"),
        },
    }


def _hash(content: object) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _note_labels_among(matrix: Matrix, y: Strings) -> list[str]:
    """Return a note on a column that has one value for each class."""
    X, y = matrix.X[y != ""], y[y != ""]
    low, high = np.empty((2, len(np.unique(y)), X.shape[1]), X.dtype)
    for row, label in enumerate(np.unique(y)):
        part = X[y == label]
        low[row], high[row] = part.min(axis=0), part.max(axis=0)
    same = np.flatnonzero((low == high).all(axis=0))
    labels = [at for at in same.tolist() if len(np.unique(low[:, at])) == len(low) > 1]
    if not labels or len(y) <= 2 * len(low):
        return []
    at = labels[0]
    named = f"column {at}" if matrix.columns is None else f"column '{matrix.columns[at]}'"
    return [
        f"{named} of X has one value for each label and determines it: if it is the label in "
        "another form, leave it out"
    ]
