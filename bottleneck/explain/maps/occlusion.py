"""Occlusion: how much a decision falls where a patch of the image is covered."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bottleneck.errors import UsageError
from bottleneck.explain.maps.decision import Explained, class_columns
from bottleneck.explain.maps.heat_map import HeatMap
from bottleneck.processes.progress_bar import Progress
from bottleneck.text.short_repr import shorten

__all__ = ["occlusion_maps"]

# By default about so many steps cross the image, and a patch is two steps wide: 32 of 224 pixels.
_STEPS = 14
# Covered copies that are kept in memory and predicted at once.
_BATCH = 32


def occlusion_maps(
    explained: Explained,
    pixels: NDArray[Any],
    towards: str | Sequence[str],
    *,
    patch: int | None = None,
    stride: int | None = None,
    progress: Progress | None = None,
) -> list[HeatMap]:
    """Return how much the decision value of a class falls where each place is covered.

    A square patch slides over the image (Zeiler & Fergus 2014, section 4.2). Wherever it lies, it
    gets the mean colour of the image, which hides what is there and leaves the brightness of the
    image as it was; black would be a new dark object, and a fixed grey a bright one in ultrasound.
    The value of a patch is the decision for the image minus the decision with the patch covered.
    The value of a place is the mean over the patches that cover it. It needs no gradient, and so
    serves any head; but each patch is one more forward pass, and what two places say together
    does not show.

    Parameters
    ----------
    explained : Explained
        What decides.
    pixels : ndarray of uint8, shape (n_images, crop, crop, n_channels)
        Preprocessed images, as ``Preprocessing.pixels`` returns them.
    towards : str or sequence of str
        The class, or that of each image.
    patch : int, optional
        Side of the patch in pixels of the input; by default about a seventh of the side.
    stride : int, optional
        Pixels from one patch to the next, at most ``patch``; by default half of it. Where the last
        patch would leave an edge uncovered, one more lies at that edge.
    progress : callable or None
        Called with the number of patches done, their total, and a text.

    Returns
    -------
    list of HeatMap
        One per image, in units of the decision value. The grid has the largest cells that follow
        the edges of all patches: 14 × 14 for patches of 32 every 16 of 224 pixels.

    Raises
    ------
    UsageError
        If the class is unknown, the pixels have another shape, or patch or stride do not fit.

    Examples
    --------
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from bottleneck.explain.maps.exact.explained_head import ExplainedHead
    >>> from bottleneck.testing import tiny_backbone
    >>> import torch
    >>> pixels = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), dtype=np.uint8)
    >>> backbone = tiny_backbone()
    >>> X = backbone.embed(torch.from_numpy(pixels)).numpy()
    >>> estimator = KNeighborsClassifier(3).fit(X, ["benign", "malignant"] * 3)
    >>> head = ExplainedHead(backbone, estimator, ("benign", "malignant"))
    >>> occlusion_maps(head, pixels[:1], "malignant", patch=4)[0].values.shape
    (8, 8)
    """
    columns = class_columns(explained, pixels, towards)
    whole = explained.decisions(pixels)
    side = explained.preprocessing.crop
    patch, stride = _sizes(side, patch, stride)
    starts = sorted({*range(0, side - patch + 1, stride), side - patch})
    corners = [(row, column) for row in starts for column in starts]
    falls = np.empty((len(pixels), len(corners)))
    for number, (image, column) in enumerate(zip(pixels, columns, strict=True)):
        for start in range(0, len(corners), _BATCH):
            part = slice(start, start + _BATCH)
            covered = explained.decisions(_cover(image, corners[part], patch))
            falls[number, part] = whole[number, column] - covered[:, column]
            if progress is not None:
                done = number * len(corners) + start + len(covered)
                progress(done, falls.size, f"patches of image {number + 1} of {len(pixels)}")
    maps = _spread(falls, corners, patch, cell=math.gcd(side, patch, *starts), side=side)
    return [
        HeatMap(one, explained.classes[column], "occlusion", float(values[column]))
        for one, column, values in zip(maps, columns, whole, strict=True)
    ]


def _sizes(side: int, patch: int | None, stride: int | None) -> tuple[int, int]:
    """Return patch and stride, in pixels."""
    for name, value, most in (("patch", patch, side), ("stride", stride, patch or side)):
        is_whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
        if value is not None and not (is_whole and 1 <= value <= most):
            limit = "the side of the input" if most == side else "the patch, or places are left out"
            raise UsageError(
                f"{name} must be a whole number of pixels from 1 to {most}, {limit}, not "
                f"{shorten(value)}"
            )
    if patch is None:
        # A step that divides the side gives a map of few cells.
        even = [n for n in range(1, side + 1) if side % n == 0 and side / 20 <= n <= side / 10]
        step = min(even, key=lambda n: abs(n - side / _STEPS), default=max(1, side // _STEPS))
        patch = min(side, 2 * max(step, stride or 0))
    return int(patch), int(stride or max(1, patch // 2))


def _cover(image: NDArray[Any], corners: Sequence[tuple[int, int]], patch: int) -> NDArray[Any]:
    """Return copies of an image, each with one patch in the mean colour of the image."""
    mean = image.mean(axis=(0, 1), dtype=np.float64)
    colour = mean.round() if image.dtype == np.uint8 else mean
    copies = np.repeat(image[np.newaxis], len(corners), axis=0)
    for copy, (row, column) in zip(copies, corners, strict=True):
        copy[row : row + patch, column : column + patch] = colour
    return copies


def _spread(
    falls: NDArray[np.float64],
    corners: Sequence[tuple[int, int]],
    patch: int,
    *,
    cell: int,
    side: int,
) -> NDArray[np.float32]:
    """Return the mean over the patches that cover each cell, of shape (n_images, cells, cells)."""
    sums = np.zeros((len(falls), side // cell, side // cell))
    counts = np.zeros(sums.shape[1:])
    for values, (row, column) in zip(falls.T, corners, strict=True):
        place = (
            slice(row // cell, (row + patch) // cell),
            slice(column // cell, (column + patch) // cell),
        )
        sums[:, *place] += values[:, np.newaxis, np.newaxis]
        counts[place] += 1
    return (sums / counts).astype(np.float32)
