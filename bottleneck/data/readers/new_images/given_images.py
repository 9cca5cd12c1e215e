"""Images as a scikit-learn estimator gets them: a column of paths, or arrays of pixels."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.dataset import ImageDataset
from bottleneck.data.samples.sample_table import Sample
from bottleneck.data.sources.image_sources import FileSource, MemorySource
from bottleneck.data.volumes.volume_files import is_volume_name
from bottleneck.errors import UsageError
from bottleneck.text.plain_text import visible
from bottleneck.text.short_repr import shorten

__all__ = ["VOLUME_ADVICE", "GivenImages", "read_inputs"]

_EXPECTED = (
    "expected a list or column of paths, or images of uint8 in an array of shape (n, height, "
    "width) or (n, height, width, 3)"
)
VOLUME_ADVICE = (
    "this step takes images. Extract the features of volumes with bottleneck.extract, and pass "
    "load_features(path).X to the next step"
)


@dataclasses.dataclass(frozen=True)
class GivenImages:
    """Images that were given as paths or as arrays.

    Attributes
    ----------
    sources : tuple of str
        The paths, or the numbers of the arrays.
    images : FileSource or MemorySource
        Returns the bytes of an image by its source.
    """

    sources: tuple[str, ...]
    images: FileSource | MemorySource

    def __len__(self) -> int:
        return len(self.sources)

    def name(self, number: int) -> str:
        """Return the name of an image for messages."""
        if isinstance(self.images, FileSource):
            return f"'{self.sources[number]}'"
        return f"image {number} of the array"

    def dataset(self, name: str, ids: Mapping[int, str] | None = None) -> ImageDataset:
        """Return a data set of the images.

        Parameters
        ----------
        name : str
            Its name.
        ids : mapping of int to str, optional
            Numbers of the images that it contains, and their ids; by default all of them, with
            their numbers as ids.
        """
        chosen = {n: str(n) for n in range(len(self))} if ids is None else ids
        samples = tuple(Sample(one, self.sources[n], "") for n, one in chosen.items())
        return ImageDataset(name, samples, self.images, may_lack_labels=True)


def read_inputs(X: Any) -> GivenImages:
    """Return the images of what a scikit-learn estimator was given.

    Parameters
    ----------
    X : sequence of str or Path, Series, DataFrame of one column, or ndarray
        Paths of image files; or images as uint8, of shape (n, height, width), (n, height, width,
        1) or (n, height, width, 3), or a list of such images of different sizes.

    Raises
    ------
    UsageError
        If it is none of these.
    """
    items = _items(X)
    if not len(items):
        raise UsageError(f"X is empty: {_EXPECTED}")
    if isinstance(items, np.ndarray) and items.dtype.kind not in "OUT":
        return _in_memory(_images(items))
    of_paths = _is_path(items[0])
    fits = _is_path if of_paths else _is_image
    for number, item in enumerate(items):
        if not fits(item):
            after = f", after {'paths' if of_paths else 'images'}" if number else ""
            raise UsageError(f"item {number} of X is {_kind(item)}{after}: {_EXPECTED}")
    if of_paths:
        return GivenImages(tuple(map(_path, items)), FileSource(Path()))
    return _in_memory([_images(np.asarray(item)[np.newaxis])[0] for item in items])


def _is_path(item: object) -> bool:
    return isinstance(item, str | os.PathLike)


def _is_image(item: object) -> bool:
    # An array of numpy, or a tensor. Numbers of numpy have the method as well.
    return hasattr(item, "__array__") and not isinstance(item, np.generic | np.ma.MaskedArray)


def _kind(item: object) -> str:
    advice = " (use np.asarray(image.convert('RGB')))" if hasattr(item, "convert") else ""
    return f"{visible(shorten(item))}{advice}"


def _in_memory(images: Sequence[NDArray[np.uint8]]) -> GivenImages:
    named = {str(number): image for number, image in enumerate(images)}
    return GivenImages(tuple(named), MemorySource(named))


def _items(X: Any) -> Sequence[Any]:
    if isinstance(X, str | bytes | os.PathLike):
        raise UsageError(f"X is a single path: {_EXPECTED}; write [X]")
    if isinstance(X, np.ma.MaskedArray):
        raise UsageError("X is a masked array: fill it first, X.filled(0), or leave images out")
    if hasattr(X, "to_numpy"):  # A column or table of pandas or polars.
        X = X.to_numpy()
    elif not isinstance(X, list | tuple) and hasattr(X, "__array__"):
        try:
            X = np.asarray(X)
        except (TypeError, ValueError, RuntimeError) as error:
            kind = type(X).__name__
            raise UsageError(f"X, a {kind}, is not an array ({error}): {_EXPECTED}") from None
    if isinstance(X, list | tuple):
        return X
    if not isinstance(X, np.ndarray) or not X.ndim:
        kind = "None" if X is None else f"a {type(X).__name__}"
        raise UsageError(f"X is {kind}: {_EXPECTED}")
    if X.dtype.kind in "OUT" and X.ndim > 1:
        columns = int(np.prod(X.shape[1:]))
        if columns != 1:
            raise UsageError(
                f"X is a table of {columns} columns: give the one of the paths, for example with "
                "ColumnTransformer"
            )
        X = X.reshape(-1)
    return X


def _path(item: str | os.PathLike[str]) -> str:
    path = os.fspath(item)
    if not isinstance(path, str) or not path or "\0" in path:
        raise UsageError(f"X has the path {path!r}, which names no file")
    if is_volume_name(path):
        raise UsageError(f"X has the path {path!r}, which is a volume: {VOLUME_ADVICE}")
    return path


def _images(array: NDArray[Any]) -> Sequence[NDArray[np.uint8]]:
    """Return the images of an array, each of shape (height, width) or (height, width, 3)."""
    shape = str(array.shape)
    if array.dtype.kind in "SV":
        raise UsageError(f"X holds bytes ({array.dtype}): {_EXPECTED}")
    if array.ndim < 3:
        raise UsageError(f"X is a table of numbers of the shape {shape}: {_EXPECTED}")
    if array.dtype != np.uint8:
        advice = "scale them to 0 to 255 and use astype('uint8')"
        if array.dtype.kind == "f":
            advice = "for values from 0 to 1 use (X * 255).round().astype('uint8')"
        raise UsageError(
            f"the images of X are {array.dtype}, which states no range of grey values; {advice}"
        )
    if array.ndim == 4 and array.shape[3] == 1:
        array = array[..., 0]
    if array.ndim > 4 or (array.ndim == 4 and array.shape[3] != 3):
        advice = _EXPECTED
        if array.ndim == 4 and array.shape[1] in (1, 3):
            advice = "channels come last: use X.transpose(0, 2, 3, 1)"
        elif array.ndim == 4 and array.shape[3] == 4:
            advice = "without an alpha channel: composite it over black, as for files"
        raise UsageError(f"the images of X have the shape {shape}; {advice}")
    if array.ndim == 3 and array.shape[2] in (1, 3, 4):
        raise UsageError(f"X has the shape {shape}, of a single image: {_EXPECTED}; write X[None]")
    return list(array)
