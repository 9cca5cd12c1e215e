"""Thumbnails made on a device are those of Pillow."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from bottleneck.data.images.decode import make_thumbnail
from bottleneck.features.thumbnails import shrink


def noise(seed: int, size: tuple[int, int]) -> Image.Image:
    width, height = size
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8))


@pytest.mark.parametrize("size", [(560, 360), (360, 360), (33, 17), (32, 32), (8, 9), (640, 700)])
def test_thumbnails_are_those_of_pillow(size: tuple[int, int]) -> None:
    for seed in range(5):
        image = noise(seed, size)
        found = shrink(torch.from_numpy(np.array(image, np.int32))[None])[0].numpy()
        np.testing.assert_array_equal(found, make_thumbnail(image))


def test_thumbnails_of_high_pictures_are_those_of_one_pillow_or_the_next() -> None:
    image = noise(0, (60, 400))
    found = shrink(torch.from_numpy(np.array(image, np.int32))[None])[0].numpy()
    assert np.abs(found.astype(int) - make_thumbnail(image)).max() <= 8
