"""The resize as a torch module: bit by bit the pixels of the preprocessing, for any size."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import bottleneck.backbones.inputs.resizing  # noqa: F401  # It adds torchvision's resize.
from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.export.classifier.pixel_frame import PixelFrame

UNIT = (0.5, 0.5, 0.5)
FILTERS = [
    *itertools.product(["pillow"], ["nearest", "bilinear", "bicubic", "lanczos"]),
    *itertools.product(["torchvision"], ["bilinear", "bicubic"]),
    ("opencv", "bilinear"),
]


def pixels_of_both(
    preprocessing: Preprocessing, image: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    framed = PixelFrame(preprocessing)(torch.from_numpy(image)[None])[0]
    return framed.permute(1, 2, 0).numpy(), preprocessing.pixels(Image.fromarray(image))


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(FILTERS),
    st.tuples(st.integers(1, 90), st.integers(1, 90)),
    st.tuples(st.integers(1, 240), st.integers(1, 240)),
    st.sampled_from(["RGB", "BGR", "L"]),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_pixels_are_those_of_the_preprocessing(
    how: tuple[str, str],
    sides: tuple[int, int],
    size: tuple[int, int],
    channels: str,
    squash: bool,
    seed: int,
) -> None:
    crop, resize = sorted(sides)
    rng = np.random.default_rng(seed)
    shape = (*np.minimum(size, 50 * min(size)), 3)
    # Noise of few levels has the largest overshoot.
    image = rng.choice([0, 255, *rng.integers(0, 256, seed % 9)], shape).astype(np.uint8)
    preprocessing = Preprocessing(
        resize, crop, how[1], UNIT, UNIT, channels=channels, squash=squash, resizer=how[0]
    )
    made, expected = pixels_of_both(preprocessing, image)
    np.testing.assert_array_equal(made, expected)


@pytest.mark.parametrize(("resizer", "interpolation"), FILTERS)
@pytest.mark.parametrize("size", [(128, 128), (112, 150), (256, 224), (49, 320), (8, 200)], ids=str)
def test_sizes_of_networks(resizer: str, interpolation: str, size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    preprocessing = Preprocessing(128, 112, interpolation, UNIT, UNIT, resizer=resizer)
    made, expected = pixels_of_both(preprocessing, image)
    np.testing.assert_array_equal(made, expected)
