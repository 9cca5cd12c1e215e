"""Filters against speckle, compared with other libraries and with their formulas."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image, ImageFilter

from bottleneck.data.images.preparation_steps import speckle_filters
from bottleneck.data.images.preparation_steps.speckle_filters import (
    FILTERS,
    lee_filter,
    median_filter,
    nlm_filter,
)
from bottleneck.errors import MissingExtraError


def speckled(seed: int = 0, shape: tuple[int, int] = (40, 50), black: int = 0) -> np.ndarray:
    """Grey levels with multiplicative speckle; the last columns are black."""
    rng = np.random.default_rng(seed)
    truth = np.where(np.arange(shape[1]) < shape[1] // 2, 60.0, 150.0)
    pixels = (truth * rng.gamma(9, 1 / 9, shape)).clip(0, 255).astype(np.uint8)
    if black:
        pixels[:, -black:] = 0
    return pixels[..., None]


@pytest.mark.parametrize("seed", range(3))
def test_median_is_that_of_pillow(seed: int) -> None:
    pixels = speckled(seed)
    expected = Image.fromarray(pixels[..., 0]).filter(ImageFilter.MedianFilter(3))
    np.testing.assert_array_equal(median_filter(pixels)[..., 0], np.asarray(expected))


def slow_lee(pixels: np.ndarray) -> np.ndarray:
    """Lee's filter written as its formula, one pixel after the other."""
    height, width = pixels.shape
    padded = np.pad(pixels.astype(float), 2, mode="edge")
    means, variances = np.empty(pixels.shape), np.empty(pixels.shape)
    for y in range(height):
        for x in range(width):
            window = padded[y : y + 5, x : x + 5]
            means[y, x], variances[y, x] = window.mean(), window.var()
    used = means > 0
    noise = np.median(variances[used] / means[used] ** 2)
    result = np.empty(pixels.shape)
    for y in range(height):
        for x in range(width):
            m, v = means[y, x], variances[y, x]
            k = (v - m * m * noise) / (v * (1 + noise)) if v else 0.0
            result[y, x] = m + min(max(k, 0.0), 1.0) * (pixels[y, x] - m)
    return result


# With more than half of the image black, the noise is that of the rest.
@pytest.mark.parametrize("black", [0, 13, 40])
def test_lee_is_its_formula(black: int) -> None:
    pixels = speckled(1, black=black)
    filtered = lee_filter(pixels.astype(np.float32))[..., 0]
    np.testing.assert_allclose(filtered, slow_lee(pixels[..., 0]), atol=1e-4)
    off = lee_filter(pixels)[..., 0] - slow_lee(pixels[..., 0])
    assert np.abs(off).max() <= 0.5 + 1e-6


def test_lee_smooths_speckle_and_keeps_edges() -> None:
    # Multiplicative speckle of a known coefficient of variation on two even halves.
    rng = np.random.default_rng(0)
    truth = np.where(np.arange(80) < 40, 60.0, 150.0) * np.ones((80, 1))
    noisy = np.repeat((truth * rng.normal(1, 0.1, truth.shape))[..., None], 3, -1)
    filtered = lee_filter(noisy.astype(np.float32))[..., 0]
    flat = filtered[:, 5:30]
    assert flat.std() < 0.45 * noisy[:, 5:30, 0].std()
    assert flat.mean() == pytest.approx(60, rel=0.01)
    # A mean of the same window would blur the edge to half its height two pixels away.
    assert filtered[:, 37].mean() == pytest.approx(60, rel=0.06)
    assert filtered[:, 42].mean() == pytest.approx(150, rel=0.06)


def test_lee_leaves_an_image_without_noise_as_it_is() -> None:
    # Most windows are even, so that the estimate of the noise is 0.
    steps = np.repeat(np.repeat(np.array([[40, 90], [200, 10]], np.uint8), 40, 0), 40, 1)
    np.testing.assert_array_equal(lee_filter(steps[..., None])[..., 0], steps)


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("level", [0, 1, 77, 255])
def test_an_even_image_is_not_changed(name: str, level: int) -> None:
    even = np.full((17, 19, 3), level, np.uint8)
    np.testing.assert_array_equal(FILTERS[name](even), even)


@pytest.mark.parametrize("name", FILTERS)
def test_filters_are_deterministic_in_threads(name: str) -> None:
    images = [speckled(seed) for seed in range(8)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(FILTERS[name], images))
    for image, filtered in zip(images, together, strict=True):
        np.testing.assert_array_equal(filtered, FILTERS[name](image))
        assert filtered.dtype == np.uint8


def test_nlm_is_scikit_images_with_the_noise_that_was_added() -> None:
    from skimage.restoration import denoise_nl_means

    rng = np.random.default_rng(0)
    x, y = np.meshgrid(np.arange(120), np.arange(100))
    truth = 100 + 40 * np.sin(x / 15) + 30 * np.cos(y / 20)
    noisy = np.rint(truth + rng.normal(0, 8, truth.shape)).astype(np.uint8)[..., None]
    filtered = nlm_filter(noisy)[..., 0]
    expected = denoise_nl_means(
        noisy[..., 0].astype(np.float32), 5, 6, 0.8 * 8, sigma=8, fast_mode=True
    )
    assert np.abs(filtered - expected).mean() < 0.5
    assert np.abs(filtered - truth).mean() < 0.5 * np.abs(noisy[..., 0] - truth).mean()


def test_nlm_without_its_library_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speckle_filters, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'bottleneck-features\[denoise\]'"):
        nlm_filter(speckled())
