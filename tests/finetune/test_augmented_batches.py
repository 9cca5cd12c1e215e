"""Augmentation: what each option does, and that it depends on the seed alone."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from bottleneck.data.images.preparation import Preparation
from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.finetune.inputs.transforms import augment_pixels, derive_seed
from bottleneck.finetune.training_options import TrainingAugmentation

INPUT = Preprocessing(32, 32, "bilinear", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
PIXELS = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
IMAGE = Image.fromarray(PIXELS)
NONE = TrainingAugmentation.none()
ALL = TrainingAugmentation(
    random_crop=0.5, flip_vertical=0.5, rotate90=True, jitter=0.2, noise=8, despeckle="lee"
)


def altered(seed: int = 0, **options: Any) -> np.ndarray:
    return augment_pixels(IMAGE, INPUT, dataclasses.replace(NONE, **options), seed)


def test_none_is_the_evaluations_input() -> None:
    large = Image.fromarray(np.random.default_rng(1).integers(0, 256, (50, 70, 3), np.uint8))
    for preprocessing in (INPUT, dataclasses.replace(INPUT, channels="BGR", resizer="opencv")):
        np.testing.assert_array_equal(
            augment_pixels(large, preprocessing, NONE, 3), preprocessing.pixels(large)
        )


def test_it_depends_on_the_seed_alone() -> None:
    before = torch.random.get_rng_state()
    first = augment_pixels(IMAGE, INPUT, ALL, 5)
    torch.rand(3)
    np.testing.assert_array_equal(first, augment_pixels(IMAGE, INPUT, ALL, 5))
    assert not np.array_equal(first, augment_pixels(IMAGE, INPUT, ALL, 6))
    torch.random.set_rng_state(before)
    augment_pixels(IMAGE, INPUT, ALL, 5)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert len({derive_seed(s, e, i) for s in range(9) for e in range(9) for i in "abc"}) == 243


def test_flips_and_turns() -> None:
    np.testing.assert_array_equal(altered(flip=1.0), PIXELS[:, ::-1])
    np.testing.assert_array_equal(altered(flip_vertical=1.0), PIXELS[::-1])
    turned = {altered(seed, rotate90=True).tobytes() for seed in range(20)}
    assert turned == {np.rot90(PIXELS, k).tobytes() for k in range(4)}


def test_random_crop_keeps_its_share_of_the_area() -> None:
    # The value of a pixel tells its place: the crop's extent can be read off the result.
    x, y = np.meshgrid(np.arange(200), np.arange(200))
    ramp = Image.fromarray(np.stack([x, y, x], -1).astype(np.uint8))
    shares = []
    for seed in range(60):
        cropping = dataclasses.replace(NONE, random_crop=0.3)
        crop = augment_pixels(ramp, INPUT, cropping, seed).astype(float)
        assert crop.shape == (32, 32, 3)
        # Pixel centres span 31 of 32 pixels.
        width, height = (np.ptp(crop[..., c]) * 32 / 31 for c in (0, 1))
        shares.append(width * height / 200**2)
        assert 0.7 < width / height < 1.43
    assert 0.27 < min(shares) < 0.5
    assert 0.8 < max(shares) <= 1.04


def test_noise_has_its_deviation_and_is_grey() -> None:
    grey = Image.new("RGB", (64, 64), (128, 128, 128))
    noisy = augment_pixels(grey, dataclasses.replace(INPUT, resize=64, crop=64),
                    dataclasses.replace(NONE, noise=8.0), 0)  # fmt: skip
    np.testing.assert_array_equal(noisy[..., 0], noisy[..., 2])
    assert noisy.std() == pytest.approx(8, rel=0.05)


def test_jitter_stays_within_its_bounds() -> None:
    grey = Image.new("RGB", (32, 32), (100, 100, 100))
    means = [
        augment_pixels(grey, INPUT, dataclasses.replace(NONE, jitter=0.2), s).mean()
        for s in range(40)
    ]
    # Contrast leaves an even image as it is; brightness multiplies.
    assert 79 <= min(means) < 90
    assert 110 < max(means) <= 121


def test_order_of_channels_comes_last() -> None:
    other = dataclasses.replace(INPUT, channels="BGR")
    np.testing.assert_array_equal(
        augment_pixels(IMAGE, INPUT, ALL, 2), augment_pixels(IMAGE, other, ALL, 2)[:, :, ::-1]
    )


def test_despeckling_is_of_about_every_second_image() -> None:
    changed = sum(
        not np.array_equal(altered(seed, despeckle="median"), PIXELS) for seed in range(100)
    )
    assert 30 < changed < 70


def test_images_are_prepared_before_they_are_cropped() -> None:
    # A median over the cropped and resized pixels would differ from one over the image's own.
    large = Image.fromarray(np.random.default_rng(2).integers(0, 256, (90, 90, 3), np.uint8))
    preparation = Preparation(denoise="median")
    prepared = dataclasses.replace(INPUT, preparation=preparation)
    np.testing.assert_array_equal(
        augment_pixels(large, prepared, ALL, 4),
        augment_pixels(preparation.prepared(large), INPUT, ALL, 4),
    )
