"""What a heat map explains: a function from the input of a network to values of the classes."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.images.preprocessing import Preprocessing

__all__ = ["Explained"]


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
