"""The heat map of one image: how much each place speaks for a class."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bottleneck.text.short_repr import describe

__all__ = ["HeatMap", "MapMethod"]

#: "class activation" is exact; the others are approximations.
MapMethod = Literal["class activation", "grad-cam", "occlusion"]


@dataclasses.dataclass(frozen=True, eq=False)
class HeatMap:
    """The heat map of one image, on a grid over the input of the network.

    Attributes
    ----------
    values : ndarray of float32, shape (n_rows, n_columns)
        How much each place speaks for the class; negative values speak against it. The grid
        covers the whole input, which is the image after resizing and cropping.
    towards : str
        The class.
    method : {"class activation", "grad-cam", "occlusion"}
        How the map was made.
    decision : float
        Value of the decision function for the class, before any calibration.
    intercept : float or None
        With "class activation", the mean of ``values`` plus this is ``decision``; None with the
        other methods, which have no such identity.

    Examples
    --------
    >>> one = HeatMap(np.ones((7, 7), np.float32), "malignant", "class activation", 1.5, 0.5)
    >>> one
    <HeatMap malignant: 7 × 7, class activation, decision 1.5>
    """

    values: NDArray[np.float32]
    towards: str
    method: MapMethod
    decision: float
    intercept: float | None = None

    def __repr__(self) -> str:
        rows, columns = self.values.shape
        made = f"{rows} × {columns}, {self.method}, decision {self.decision:.4g}"
        return describe(self, self.towards, made)
