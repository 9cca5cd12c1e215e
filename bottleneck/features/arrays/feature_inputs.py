"""Feature sets from whatever a function is given: sets, paths of files, arrays, data frames."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bottleneck.data.labels.known_labels import match_labels, require_labels
from bottleneck.data.splits.patients import count_by_class
from bottleneck.errors import UsageError
from bottleneck.features.arrays.array_features import (
    OWN_FEATURES,
    from_arrays,
    renamed,
)
from bottleneck.features.arrays.matrix import index_of, is_frame
from bottleneck.features.arrays.sample_columns import name_ids
from bottleneck.features.file.reader import load_features
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.statistics.arguments import check_same_rows
from bottleneck.text.short_repr import shorten

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Column",
    "FeatureInput",
    "NamedFeatures",
    "SampleFields",
    "any_numbers",
    "read_features",
    "read_samples",
    "read_sets",
    "refuse_several",
]

_Matrix: TypeAlias = Union[FeatureSet, str, "os.PathLike[str]", NDArray[Any], "pd.DataFrame"]
#: What a function takes as the features of samples.
FeatureInput: TypeAlias = _Matrix | Sequence[Sequence[float]]
#: Features of the same samples, several of them. The elements of a list are features, or rows;
#: type checkers would not read a list of sets and paths if it were one of two kinds of lists.
NamedFeatures: TypeAlias = (
    _Matrix | Sequence[_Matrix | Sequence[float]] | Mapping[str, FeatureInput]
)
#: Labels, patients or ids of samples.
Column: TypeAlias = Union[ArrayLike, "pd.Series", "pd.Index", None]


@dataclasses.dataclass(frozen=True, eq=False)
class SampleFields:
    """Labels, patients and ids of the samples in arrays; for sets and files, all are None."""

    y: Any = None
    groups: Any = None
    ids: Any = None

    @property
    def stated(self) -> list[str]:
        """Names of the fields that are stated."""
        return [f.name for f in dataclasses.fields(self) if getattr(self, f.name) is not None]


def read_features(
    features: FeatureInput, fields: SampleFields = SampleFields(), *, recipe: str = OWN_FEATURES
) -> FeatureSet:
    """Return one feature set with a label for every sample.

    Parameters
    ----------
    features : FeatureSet, path, array, data frame or list of rows
        A set, the path of a feature file, or numbers with one row per sample.
    fields : SampleFields
        Labels, patients and ids; only with numbers.
    recipe : str
        Name of features that are numbers.

    Raises
    ------
    UsageError
        If it is nothing of this, numbers come without labels, a set or a file with them, or a
        sample has no label.
    BottleneckError
        As ``load_features`` and ``FeatureSet.from_arrays`` do.
    """
    read = _read(features, fields, recipe)
    require_labels(read.dataset, count_by_class(read.y))
    return read


def _read(
    features: FeatureInput, fields: SampleFields, recipe: str, *, may_lack_labels: bool = False
) -> FeatureSet:
    if isinstance(features, FeatureSet | str | os.PathLike):
        if fields.stated:
            what = "set" if isinstance(features, FeatureSet) else "file"
            raise UsageError(
                f"a feature {what} has labels, patients and ids of its own: leave out "
                f"{', '.join(f'{name}=' for name in fields.stated)}"
            )
        # mypy does not exclude arrays that are paths.
        return features if isinstance(features, FeatureSet) else load_features(features)  # type: ignore[arg-type]
    if not _is_matrix(features):
        raise UsageError(
            f"features need a FeatureSet, the path of a feature file, an array or a data frame, "
            f"not {shorten(features)}"
        )
    if fields.y is None and not may_lack_labels:
        raise UsageError(
            "an array of features needs labels: pass y=, and the patients as groups= (in a "
            "feature set: FeatureSet.from_arrays(X, y, groups))"
        )
    return from_arrays(
        features,
        fields.y,
        fields.groups,
        fields.ids,
        recipe=recipe,
        may_lack_labels=may_lack_labels,
    )


def read_samples(
    features: FeatureInput,
    fields: SampleFields,
    recipe: Mapping[str, Any],
    classes: Sequence[str] = (),
    selection: Mapping[str, Any] | None = None,
) -> FeatureSet:
    """Return the features of samples for a fitted model; labels may be unknown.

    Parameters
    ----------
    features, fields
        As for ``read_features``.
    recipe : mapping
        Recipe of the features of the model.
    classes, selection
        As for ``match_labels``: labels that are other spellings of classes of the model, or that
        were merged into one, become these. All others stay.

    Raises
    ------
    BottleneckError
        As ``read_features`` does, but for missing labels; or if there are numbers and the model
        needs a network.
    """
    if isinstance(features, FeatureSet | str | os.PathLike):
        read = _read(features, fields, OWN_FEATURES)
    elif "columns" not in recipe:
        raise UsageError(
            f"the model was trained on features of the network {recipe.get('backbone')}, but an "
            "array has no recipe: pass a FeatureSet or a feature file"
        )
    else:
        name = str(recipe["backbone"])
        read = _read(features, fields, name, may_lack_labels=True)
    counts = count_by_class(read.y)
    names = match_labels(counts, classes, selection)[0]
    if all(names[label] in ("", label) for label in counts):
        return read
    y = np.array([names[label] or label for label in read.y.tolist()], str)
    return dataclasses.replace(read, y=y)


def read_sets(features: NamedFeatures, fields: SampleFields = SampleFields()) -> list[FeatureSet]:
    """Return the feature sets of the same samples that are given.

    Parameters
    ----------
    features : what ``read_features`` takes, or a sequence or mapping of these
        The names of a mapping name the features of arrays.
    fields : SampleFields
        Labels, patients and ids of the samples of all arrays.

    Raises
    ------
    UsageError
        If nothing is given, a name of a mapping is not text, or data frames have different indexes.
    BottleneckError
        As ``read_features`` does.
    """
    named = isinstance(features, Mapping)
    given = dict(_name_each(features))
    if not given:
        raise UsageError("there are no features to compare: name at least one feature file")
    arrays = {name: one for name, one in given.items() if _is_matrix(one)}
    if fields.stated and not arrays:
        read_features(next(iter(given.values())), fields)
    check_same_rows(**{f"features {name}": one for name, one in arrays.items()})
    known = [index for one in arrays.values() if (index := index_of(one)) is not None]
    if fields.ids is None and known and len(arrays) > 1:
        fields = dataclasses.replace(fields, ids=name_ids(None, known[0], len(known[0])))
    sets = []
    for name, one in given.items():
        own = one if name in arrays else read_features(one)
        if name in arrays:
            own = read_features(one, fields, recipe=name)
        elif named and not own.has_images:
            own = renamed(own, name)
        sets.append(own)
    return sets


def any_numbers(features: NamedFeatures) -> bool:
    """Return whether any of the features are an array or a data frame."""
    return any(_is_matrix(one) for _, one in _name_each(features))


def refuse_several(features: Any) -> None:
    """Raise ``UsageError`` for several features, where one arm is wanted."""
    if isinstance(features, Mapping | list | tuple) and (n := len(list(_name_each(features)))) != 1:
        raise UsageError(f"evaluate takes one feature set, not {n}: pass several to compare")


def _name_each(features: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(features, Mapping):
        for name, one in features.items():
            if not isinstance(name, str) or not name.strip():
                raise UsageError(
                    f"features need a text as their name, such as 'radiomics', not {shorten(name)}"
                )
            yield name, one
        return
    if isinstance(features, Iterator):
        features = list(features)
    if not _is_several(features):
        features = [features]
    n_arrays = sum(map(_is_matrix, features))
    for number, one in enumerate(features, start=1):
        several = n_arrays > 1 and _is_matrix(one)
        alone = OWN_FEATURES if _is_matrix(one) else f"{number}"
        yield f"{OWN_FEATURES} {number}" if several else alone, one


def _is_several(features: Any) -> bool:
    """Return whether something is a sequence of features, and not a list of rows."""
    if not isinstance(features, list | tuple):
        return False
    return all(
        isinstance(one, FeatureSet | str | os.PathLike | Mapping) or _dimensions(one) != 1
        for one in features
    ) and not (features and all(_dimensions(one) == 0 for one in features))


def _is_matrix(value: Any) -> bool:
    """Return whether something may be the features of samples as numbers."""
    if isinstance(value, FeatureSet | str | bytes | os.PathLike | Mapping):
        return False
    return is_frame(value) or hasattr(value, "__array__") or isinstance(value, list | tuple)


def _dimensions(value: Any) -> int:
    """Return the number of dimensions of an array; for lists, how deep they are."""
    if hasattr(value, "ndim"):
        return int(value.ndim)
    if is_frame(value):
        return 2
    if isinstance(value, list | tuple):
        return 1 + (_dimensions(value[0]) if value else 0)
    return 0 if isinstance(value, int | float | np.generic) else -1
