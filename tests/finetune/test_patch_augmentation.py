"""Random changes of patches: the rotations of a cube, and the options that apply."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from bottleneck.errors import UsageError
from bottleneck.finetune.training_options import TrainingAugmentation
from bottleneck.finetune.volumes.patch_augmentation import (
    augment_patch,
    describe_augmentation,
    rotations,
)

STILL = {"random_crop": 1.0, "rotation": 0.0, "flip": 0.0}


def test_rotations_are_those_of_the_octahedral_group() -> None:
    matrices = set()
    for axes, steps in rotations((4, 4, 4)):
        matrix = np.zeros((3, 3), int)
        matrix[[0, 1, 2], axes] = steps
        matrices.add(tuple(matrix.ravel().tolist()))
    group = Rotation.create_group("O").as_matrix().round().astype(int)
    assert matrices == {tuple(matrix.ravel().tolist()) for matrix in group}


@pytest.mark.parametrize(
    ("options", "n"),
    [
        ({}, 1),
        ({"rotate90": True}, 24),
        ({"flip": 0.5}, 8),
        ({"flip": 0.5, "rotate90": True}, 48),
    ],
)
def test_all_symmetries_of_a_cube_are_drawn_and_no_others(options: dict, n: int) -> None:
    patch = np.arange(27, dtype=np.float32).reshape(3, 3, 3, 1)
    augmentation = TrainingAugmentation(**{**STILL, **options})
    drawn = {
        augment_patch(patch, augmentation, seed, slices=False).tobytes() for seed in range(600)
    }
    assert len(drawn) == n


def test_a_flat_patch_keeps_its_shape() -> None:
    patch = np.arange(2 * 4 * 4, dtype=np.float32).reshape(4, 4, 2, 1)
    augmentation = TrainingAugmentation(**STILL, rotate90=True)
    drawn = [augment_patch(patch, augmentation, seed, slices=False) for seed in range(100)]
    assert {one.shape for one in drawn} == {patch.shape}
    assert len({one.tobytes() for one in drawn}) == 8


def test_slices_are_changed_together() -> None:
    patch = np.arange(3 * 2 * 2, dtype=np.float32).reshape(3, 2, 2, 1)
    augmentation = TrainingAugmentation(**{**STILL, "flip": 1.0}, flip_vertical=1.0)
    flipped = augment_patch(patch, augmentation, 0, slices=True)
    np.testing.assert_array_equal(flipped, np.flip(patch, (1, 2)))
    augmentation = TrainingAugmentation(**STILL, rotate90=True)
    drawn = {augment_patch(patch, augmentation, n, slices=True).tobytes() for n in range(50)}
    assert drawn == {np.rot90(patch, k, (1, 2)).tobytes() for k in range(4)}


def test_options_of_images_are_refused_unless_they_are_the_usual_ones() -> None:
    words = describe_augmentation(TrainingAugmentation(rotate90=True), slices=False)
    assert "flipped at random along each of the three axes and rotated" in words
    assert "not augmented" in describe_augmentation(TrainingAugmentation.none(), slices=False)
    for options in ({"noise": 3.0}, {"rotation": 20.0}, {"random_crop": 0.5}, {"jitter": 0.1}):
        with pytest.raises(UsageError, match=r"applies to images, and the samples are volumes"):
            describe_augmentation(TrainingAugmentation(**options), slices=True)
    vertical = TrainingAugmentation(flip_vertical=0.5)
    assert "each slice" in describe_augmentation(vertical, slices=True)
    with pytest.raises(UsageError, match=r"flip_vertical = 0\.5 applies to images"):
        describe_augmentation(vertical, slices=False)
