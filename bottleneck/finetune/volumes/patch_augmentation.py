"""Random flips and rotations by 90° of the patches of volumes."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
from numpy.typing import NDArray

from bottleneck.errors import UsageError
from bottleneck.finetune.training_options import TrainingAugmentation

__all__ = ["augment_patch", "describe_augmentation", "rotations"]

_OF_IMAGES = ("random_crop", "rotation", "jitter", "noise", "despeckle")

# The axis of the array that becomes each axis, and the step along it: −1 reverses it.
_Rotation = tuple[tuple[int, int, int], tuple[int, int, int]]


def describe_augmentation(options: TrainingAugmentation, *, slices: bool) -> str:
    """Return a note on the random changes of patches.

    Parameters
    ----------
    options : TrainingAugmentation
        The options of a training.
    slices : bool
        Whether a patch is a stack of slices for a network of images.

    Raises
    ------
    UsageError
        If an option that applies to images only was given.
    """
    usual, none = TrainingAugmentation(), TrainingAugmentation.none()
    names = [*_OF_IMAGES, *(() if slices else ("flip_vertical",))]
    for name in names:
        if (value := getattr(options, name)) not in (getattr(usual, name), getattr(none, name)):
            raise UsageError(
                f"{name} = {value} applies to images, and the samples are volumes: their patches "
                "are flipped and rotated by 90° only (flip, rotate90)"
            )
    if dataclasses.replace(options, random_crop=1.0, rotation=0.0) == none:
        return "patches of training samples are not augmented"
    ways = []
    if options.flip or options.flip_vertical:
        along = "each slice" if slices else "along each of the three axes"
        ways.append(f"flipped at random {along}")
    if options.rotate90:
        ways.append("rotated at random by multiples of 90°")
    return f"patches of training samples are {' and '.join(ways)}, and not cropped"


def rotations(shape: tuple[int, ...]) -> list[_Rotation]:
    """Return the rotations by multiples of 90° that keep the shape of a box.

    Parameters
    ----------
    shape : tuple of three int
        Lengths of its edges.

    Returns
    -------
    list
        24 for a cube. Each has the axis that becomes each axis, and the step along it.

    Examples
    --------
    >>> len(rotations((8, 8, 8))), len(rotations((8, 8, 4))), len(rotations((8, 6, 4)))
    (24, 8, 4)
    """
    made: list[_Rotation] = []
    for a, b, c in itertools.permutations(range(3)):
        for x, y, z in itertools.product((1, -1), repeat=3):
            matrix = np.zeros((3, 3), int)
            matrix[[0, 1, 2], [a, b, c]] = x, y, z
            keeps = (shape[a], shape[b], shape[c]) == shape
            if keeps and round(float(np.linalg.det(matrix))) == 1:
                made.append(((a, b, c), (x, y, z)))
    return made


def augment_patch(
    patch: NDArray[np.float32], options: TrainingAugmentation, seed: int, *, slices: bool
) -> NDArray[np.float32]:
    """Return a patch that was flipped and rotated at random.

    Parameters
    ----------
    patch : ndarray of float32, shape (x, y, z, channels) or (slices, rows, columns, channels)
        The patch.
    options : TrainingAugmentation
        ``flip`` is the probability of a flip along each axis of a volume, and from left to right
        of all slices together; ``flip_vertical`` of one from top to bottom of slices.
    seed : int
        Seed of all random numbers.
    slices : bool
        Whether the first axis counts slices.
    """
    rng = np.random.default_rng(seed)
    if slices:
        steps = [-1 if rng.random() < p else 1 for p in (options.flip_vertical, options.flip)]
        patch = patch[:, :: steps[0], :: steps[1]]
        if options.rotate90:
            square = patch.shape[1] == patch.shape[2]
            patch = np.rot90(
                patch, int(rng.integers(4)) if square else 2 * int(rng.integers(2)), (1, 2)
            )
        return np.ascontiguousarray(patch)
    x, y, z = (-1 if rng.random() < options.flip else 1 for _ in range(3))
    patch = patch[::x, ::y, ::z]
    if options.rotate90:
        choices = rotations(patch.shape[:3])
        axes, (x, y, z) = choices[int(rng.integers(len(choices)))]
        patch = patch.transpose(*axes, 3)[::x, ::y, ::z]
    return np.ascontiguousarray(patch)
