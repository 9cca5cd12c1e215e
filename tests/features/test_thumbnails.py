"""Thumbnails made on a device are those of Pillow."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from PIL import Image

from bottleneck.data.decode import make_thumbnail
from bottleneck.data.preprocessing import Preprocessing
from bottleneck.features import decoders, thumbnails
from bottleneck.features.thumbnails import shrink, shrink_fast

SIZES = [(560, 360), (360, 360), (33, 17), (32, 32), (8, 9), (640, 700), (3000, 40)]
# Here Pillow goes down first, from 13 on.
HIGH = (60, 400)


def noise(seed: int, size: tuple[int, int]) -> Image.Image:
    width, height = size
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8))


@pytest.mark.parametrize("size", SIZES)
def test_thumbnails_are_those_of_pillow(size: tuple[int, int]) -> None:
    for seed in range(5):
        image = noise(seed, size)
        found = shrink(torch.from_numpy(np.array(image, np.int32))[None])[0].numpy()
        np.testing.assert_array_equal(found, make_thumbnail(image))


def test_thumbnails_of_high_pictures_are_those_of_one_pillow_or_the_next() -> None:
    image = noise(0, HIGH)
    found = shrink(torch.from_numpy(np.array(image, np.int32))[None])[0].numpy()
    assert np.abs(found.astype(int) - make_thumbnail(image)).max() <= 8


@pytest.fixture
def _no_size_is_known() -> Iterator[None]:
    thumbnails._size.cache_clear()
    yield
    thumbnails._size.cache_clear()


@pytest.mark.usefixtures("_no_size_is_known")
@pytest.mark.parametrize("size", [*SIZES, HIGH])
def test_products_of_bytes_give_what_pillow_gives(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    fast = thumbnails._multiplies_bytes()
    # Their products are exact everywhere; or else noise tells, and Pillow is asked.
    monkeypatch.setattr(thumbnails, "_multiplies_bytes", lambda: True)
    monkeypatch.setattr(thumbnails, "_OFTEN", 1)
    pictures = [noise(seed, size) for seed in range(5)]
    pictures += [Image.new("L", size, level) for level in (0, 127, 128, 255)]
    for picture in pictures:
        found = shrink_fast(picture)
        assert (found.dtype, found.shape) == (np.uint8, (32, 32))
        np.testing.assert_array_equal(found, make_thumbnail(picture))
    if fast and size != HIGH:
        assert thumbnails._size(size).is_exact


@pytest.mark.usefixtures("_no_size_is_known")
def test_pillow_is_not_asked_where_products_are_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    if not thumbnails._multiplies_bytes():
        pytest.skip("this processor has no instructions for products of bytes")
    picture = noise(0, (560, 360))
    for _ in range(thumbnails._OFTEN + 1):
        shrink_fast(picture)
    monkeypatch.setattr(thumbnails, "shrink_grey", None)
    np.testing.assert_array_equal(shrink_fast(picture), make_thumbnail(picture))


@pytest.mark.usefixtures("_no_size_is_known")
def test_sizes_that_do_not_come_often_are_pillows(monkeypatch: pytest.MonkeyPatch) -> None:
    # Their weights would take longer to make than they save.
    monkeypatch.setattr(thumbnails, "_lanczos", None)
    for width in range(100, 110):
        for seed in range(thumbnails._OFTEN):
            picture = noise(seed, (width, 90))
            np.testing.assert_array_equal(shrink_fast(picture), make_thumbnail(picture))


@pytest.mark.usefixtures("_no_size_is_known")
def test_a_processor_that_saturates_leaves_it_to_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    multiply = torch._int_mm

    def saturating(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        return multiply(left, right).clamp(-32768, 32767)

    monkeypatch.setattr(thumbnails, "_multiplies_bytes", lambda: True)
    monkeypatch.setattr(torch, "_int_mm", saturating)
    monkeypatch.setattr(thumbnails, "_OFTEN", 1)
    for seed in range(4):
        picture = noise(seed, (560, 360))
        np.testing.assert_array_equal(shrink_fast(picture), make_thumbnail(picture))
    assert not thumbnails._size((560, 360)).is_exact


def test_torch_is_used_where_it_resizes() -> None:
    plain = Preprocessing(20, 16, "bilinear", (0.5,) * 3, (0.5,) * 3)
    assert decoders._shrinker([plain]) is None
    assert decoders._shrinker([plain, plain.fast()]) is shrink_fast
