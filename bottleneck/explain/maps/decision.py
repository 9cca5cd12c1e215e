"""What a heat map explains: a function from the input of a network to values of the classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bottleneck.backbones.inputs.network_inputs import patch_shape
from bottleneck.backbones.recipe import AnyPreprocessing
from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.errors import UsageError, unknown_name
from bottleneck.text.plurals import counted
from bottleneck.text.short_repr import shorten

__all__ = ["Explained", "class_columns", "refuse_other_pixels"]

# Preprocessing with the resizer "opencv" gives float32.
_TYPES = (np.uint8, np.float32)


class Explained(Protocol):
    """A decision on images: of a fitted head on a frozen network, or of a trained network.

    Attributes
    ----------
    classes : tuple of str
        All labels, in the order of the columns of ``decisions``.
    preprocessing : Preprocessing
        How pixels reach the network.
    """

    @property
    def classes(self) -> tuple[str, ...]:
        """All labels, in the order of the columns of ``decisions``."""
        ...

    @property
    def preprocessing(self) -> Preprocessing:
        """How pixels reach the network."""
        ...

    def decisions(self, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return the value of each class, before any calibration.

        Parameters
        ----------
        pixels : ndarray of uint8, shape (n_images, crop, crop, n_channels)
            Preprocessed images, as ``Preprocessing.pixels`` returns them.

        Returns
        -------
        ndarray of float64, shape (n_images, n_classes)
            The larger, the more the image is taken for the class. With two classes, and a
            decision function of one value d, these are -d and d.
        """
        ...


def refuse_other_pixels(pixels: object, preprocessing: AnyPreprocessing) -> None:
    """Raise ``UsageError`` if something is not a batch of preprocessed images, or of patches.

    Parameters
    ----------
    pixels : ndarray of uint8 or float32, shape (n_images, crop, crop, n_channels)
        Values from 0 to 255; patches of volumes have the shape ``VolumePreprocessing.input_shape``.
    preprocessing : Preprocessing or VolumePreprocessing
        How pixels or voxels reach the network.
    """
    shape = patch_shape(preprocessing)
    got = shorten(pixels)
    if isinstance(pixels, np.ndarray):
        if pixels.ndim and pixels.shape[1:] == shape and pixels.dtype in _TYPES:
            return
        got = f"the shape {pixels.shape} and type {pixels.dtype}"
    raise UsageError(
        f"the network takes preprocessed images of shape (n, {', '.join(map(str, shape))}) and "
        f"type uint8, but got {got}: make them with preprocessing.pixels(image)"
    )


def class_columns(
    explained: Explained, pixels: NDArray[Any], towards: str | Sequence[str]
) -> list[int]:
    """Return the column of the class that the map of each image is towards.

    Parameters
    ----------
    explained : Explained
        What decides.
    pixels : ndarray of uint8, shape (n_images, crop, crop, n_channels)
        Preprocessed images.
    towards : str or sequence of str
        The class, or that of each image.

    Raises
    ------
    UsageError
        If there is no such class, there are more or fewer classes than images, or the images have
        another shape or type.
    """
    refuse_other_pixels(pixels, explained.preprocessing)
    classes, n_images = explained.classes, len(pixels)
    if isinstance(towards, str):
        names = [towards]
    elif isinstance(towards, Sequence | np.ndarray):
        names = list(towards)
        if len(names) != n_images:
            raise UsageError(
                f"towards needs one class, or one for each of {counted(n_images, 'image')}, but "
                f"got {len(names)}"
            )
    else:
        raise UsageError(
            f"towards needs a class ({', '.join(classes)}), or one for each image, not "
            f"{shorten(towards)}"
        )
    for name in names:
        if not isinstance(name, str) or name not in classes:
            raise unknown_name("class", name, classes)
    columns = [list(classes).index(name) for name in names]
    return columns * n_images if isinstance(towards, str) else columns
