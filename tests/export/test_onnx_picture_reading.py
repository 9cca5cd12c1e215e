"""The program of an export reads pictures as the package does, or refuses them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bottleneck.data.images.decode import decode
from bottleneck.errors import DecodeError
from bottleneck.export.standalone.picture_reading import read_picture

_ROTATION = 0x0112


def _picture(mode: str, seed: int, size: tuple[int, int] = (19, 14)) -> Image.Image:
    rng = np.random.default_rng(seed)
    width, height = size
    if mode == "I;16":
        return Image.fromarray(rng.integers(0, 65536, (height, width), np.uint16))
    grey = Image.fromarray(rng.integers(0, 256, (height, width), np.uint8))
    if mode in ("L", "1"):
        return grey.convert(mode)
    colours = Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))
    if mode in ("LA", "RGBA"):
        image = grey if mode == "LA" else colours
        image.putalpha(Image.fromarray(rng.integers(0, 256, (height, width), np.uint8)))
        return image
    return colours.quantize(8) if mode == "P" else colours.convert(mode)


def _written(image: Image.Image, kind: str, rotation: int, **options: Any) -> bytes:
    exif = Image.Exif()
    exif[_ROTATION] = rotation
    file = io.BytesIO()
    image.save(file, kind, **({} if kind in ("BMP", "GIF", "PPM") else {"exif": exif}), **options)
    return file.getvalue()


_KINDS = (
    *((mode, "PNG") for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")),
    *((mode, "JPEG") for mode in ("L", "RGB", "CMYK")),
    *((mode, "WEBP") for mode in ("L", "RGB", "RGBA")),
    *((mode, "GIF") for mode in ("L", "P")),
    *((mode, "BMP") for mode in ("P", "RGB")),
)


@pytest.mark.parametrize(("mode", "kind"), _KINDS)
@settings(max_examples=4)
@given(seed=st.integers(0, 2**31), rotation=st.integers(1, 8))
def test_pictures_of_common_kinds_are_read_as_by_the_package(
    mode: str, kind: str, seed: int, rotation: int
) -> None:
    data = _written(_picture(mode, seed), kind, rotation)
    np.testing.assert_array_equal(read_picture(io.BytesIO(data)), np.asarray(decode(data)))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "I;16"])
def test_a_png_with_one_transparent_colour_is_read_as_by_the_package_or_refused(mode: str) -> None:
    transparent: Any = (3, 4, 5) if mode == "RGB" else 1
    data = _written(_picture(mode, 0), "PNG", 1, transparency=transparent)
    try:
        pixels = read_picture(io.BytesIO(data))
    except ValueError:
        assert mode in ("1", "I;16")
        return
    np.testing.assert_array_equal(pixels, np.asarray(decode(data)))


def _twelve_bits(text: bool) -> Image.Image:
    values = np.random.default_rng(0).integers(0, 4096, (60, 60), np.uint16)
    if text:
        values[:10, :10] = 65535
    return Image.fromarray(values)


@pytest.mark.parametrize(
    ("image", "kind", "options"),
    [
        (_twelve_bits(False), "PNG", {}),
        (_twelve_bits(True), "PNG", {}),
        (_picture("L", 0, (4, 9)), "PNG", {}),
        (_picture("L", 0), "GIF", {"save_all": True, "append_images": [_picture("L", 1)]}),
        (_picture("RGB", 0), "TIFF", {}),
        (_picture("L", 0), "BMP", {}),
    ],
    ids=["12 bits", "12 bits with text", "small", "two frames", "TIFF", "grey BMP"],
)
def test_other_pictures_are_refused(image: Image.Image, kind: str, options: Any) -> None:
    data = _written(image, kind, 1, **options)
    with pytest.raises((ValueError, OSError)):
        read_picture(io.BytesIO(data))
    if kind in ("PNG", "GIF"):
        with pytest.raises(DecodeError):
            decode(data)


@pytest.mark.shared
def test_real_crops_are_read_as_by_the_package(shared: Path) -> None:
    paths = sorted((shared / "data" / "ddti-crops").rglob("*.png"))[:20]
    assert paths
    for path in paths:
        np.testing.assert_array_equal(read_picture(path), np.asarray(decode(path.read_bytes())))
