"""What a model is given to predict: images or features, in any form."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard, Union

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.dataset import ImageDataset
from bottleneck.data.readers.new_images.image_inputs import load_new_images
from bottleneck.errors import UsageError
from bottleneck.features.arrays.feature_inputs import FeatureInput, SampleFields
from bottleneck.features.arrays.matrix import is_frame
from bottleneck.features.arrays.sample_columns import read_names
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.statistics.arguments import check_same_rows

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["NewInput", "is_of_features", "listed", "read_images"]

#: What a model predicts: features, or images.
NewInput: TypeAlias = Union[
    FeatureInput,
    ImageDataset,
    Sequence["str | os.PathLike[str]"],
    Sequence[NDArray[Any]],
    "pd.Series",
]

_FEATURE_SUFFIXES = (".h5", ".hdf5")
_MODEL_SUFFIX = ".skops"


def listed(given: Any) -> Any:
    """Return what a model is given; an iterator, which can be read only once, as a list."""
    return list(given) if isinstance(given, Iterator) else given


def is_of_features(given: Any, recipe: Mapping[str, Any]) -> TypeGuard[FeatureInput]:
    """Return whether a model is given features, and not images.

    Parameters
    ----------
    given : object
        What was given to ``Model.predict``.
    recipe : mapping
        Recipe of the features of the model.

    Raises
    ------
    UsageError
        If it is a model, a single image in memory, or several feature files; or if it is images,
        and the model was trained on numbers of which no network is known.
    """
    features = isinstance(given, FeatureSet)
    if isinstance(given, str | os.PathLike):
        suffix = Path(given).suffix.lower()
        if suffix == _MODEL_SUFFIX:
            raise UsageError(
                f"{os.fspath(given)} is a model: pass the images to predict, or their features"
            )
        features = suffix in _FEATURE_SUFFIXES
    elif not isinstance(given, ImageDataset | FeatureSet):
        features = _is_numbers(given, has_columns="columns" in recipe)
    if not features and "columns" in recipe:
        raise UsageError(
            f"the model was trained on the columns of an array ({recipe.get('backbone')}), and no "
            "network is known that computes them from images: pass these numbers for the new "
            "images, or a feature file with them"
        )
    return features


def _is_numbers(given: Any, *, has_columns: bool) -> bool:
    if is_frame(given):
        # A data frame with a column of paths is a table of images.
        return has_columns or all(kind.kind in "biuf" for kind in given.dtypes)
    first = given[0] if isinstance(given, list | tuple) and given else given
    if isinstance(first, str | os.PathLike):
        if Path(first).suffix.lower() in _FEATURE_SUFFIXES:
            raise UsageError("several feature files are given: predict them one by one")
        return False
    dimensions = getattr(first, "ndim", None)
    if first is not given:  # A list of images, or of rows.
        return isinstance(first, list | tuple | int | float) or dimensions in (0, 1)
    if getattr(given, "dtype", None) == np.uint8 and dimensions == 2 and not has_columns:
        raise UsageError(
            f"an array of uint8 of the shape {given.shape} may be a single image: pass images of "
            "the shape (n, height, width) or (n, height, width, 3), such as image[None]"
        )
    if dimensions is None:  # Nothing of both; the reader says so.
        return has_columns
    kind = getattr(getattr(given, "dtype", None), "kind", None)
    texts = kind in ("U", "T") or (kind == "O" and any(map(_is_path, np.ravel(given)[:1])))
    return not texts and dimensions < 3


def read_images(
    given: Any,
    fields: SampleFields,
    classes: Sequence[str],
    selection: Mapping[str, Any],
    **options: Any,
) -> ImageDataset:
    """Return new images with their labels and patients, as far as these are known.

    Parameters
    ----------
    given : object
        What ``load_new_images`` takes.
    fields : SampleFields
        Labels, patients and ids of a list of images or of an array; a label may be missing.
    classes, selection
        Classes of the model, and what was chosen of its training data.
    **options
        Further options of ``load_new_images``.

    Raises
    ------
    UsageError
        If labels, patients or ids are stated for images that have their own.
    BottleneckError
        As ``load_new_images`` does.
    """
    options = {"classes": classes, "selection": selection, **options}
    if not fields.stated:
        dataset = load_new_images(given, **options)
        if isinstance(given, ImageDataset) or not dataset.excluded:
            return dataset
        # Who gives a data set has its summary, which says this.
        reasons = ", ".join(f"{n} × {reason}" for reason, n in dataset.excluded.items())
        return dataclasses.replace(dataset, notes=(*dataset.notes, f"left out: {reasons}"))
    if isinstance(given, str | os.PathLike | ImageDataset) or is_frame(given):
        raise UsageError(
            "a data set, folder or table has labels, patients and ids of its own: leave out "
            f"{', '.join(f'{name}=' for name in fields.stated)}, or pass a list of images"
        )
    check_same_rows(images=given, y=fields.y, groups=fields.groups, ids=fields.ids)
    if hasattr(given, "iloc"):  # A column of paths.
        given = given.tolist()
    if isinstance(given, Sequence | np.ndarray) and len(given) and all(map(_is_path, given)):
        sources, images, name = [os.fspath(one) for one in given], None, "images"
    else:
        plain = load_new_images(given)
        sources = [sample.source for sample in plain.samples]
        images, name = plain.images, plain.name
    roles = {"y": "label", "groups": "patient", "ids": "id"}
    stated = {
        roles[what]: read_names(
            getattr(fields, what), what, len(sources), rows="images", may_lack=what == "y"
        )
        for what in fields.stated
    }
    rows = [
        {"path": source, **{field: values[n] for field, values in stated.items()}}
        for n, source in enumerate(sources)
    ]
    labelled = ImageDataset.from_samples(rows, name=name, images=images, may_lack_labels=True)
    return load_new_images(labelled, **options)


def _is_path(value: object) -> bool:
    return isinstance(value, str | os.PathLike)
