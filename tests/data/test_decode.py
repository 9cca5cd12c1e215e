"""The decoding policy, on files that other programs write."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bottleneck.data.images.decode import decode, pixel_facts
from bottleneck.errors import DecodeError

RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def decoded(data: bytes, **options: object) -> np.ndarray:
    image = decode(data, **options)
    assert image.mode == "RGB"
    return np.asarray(image)


def test_grey_is_repeated() -> None:
    pixels = decoded(encoded(Image.fromarray(RAMP)))
    assert (pixels == RAMP[:, :, None]).all()


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_is_scaled_from_its_full_range(kind: str) -> None:
    wide = RAMP.astype(np.uint16) * 257
    pixels = decoded(encoded(Image.fromarray(wide), kind))
    assert (pixels == RAMP[:, :, None]).all()


def test_16_bit_that_would_come_out_black_is_refused() -> None:
    dark = RAMP.astype(np.uint16) * 16  # 12 bits in 16
    with pytest.raises(DecodeError, match=r"grey image of 16 bits.*levels are 0–16 of.*scale it"):
        decode(encoded(Image.fromarray(dark)))


def test_palette_with_alpha_lies_over_black() -> None:
    image = Image.new("P", (16, 16), 0)
    image.putpalette([200, 100, 50] + [10, 20, 30] * 255)
    image.paste(1, (8, 0, 16, 16))
    pixels = decoded(encoded(image, transparency=bytes([255, 0] + [255] * 254)))
    assert (pixels[:, :8] == (200, 100, 50)).all()
    assert (pixels[:, 8:] == 0).all()


def test_half_transparent_white_is_half_grey() -> None:
    image = Image.new("RGBA", (16, 16), (255, 255, 255, 128))
    image.paste((255, 255, 255, 0), (8, 0, 16, 16))
    pixels = decoded(encoded(image))
    assert (pixels[:, :8] == 128).all()
    assert (pixels[:, 8:] == 0).all()


def test_cmyk_jpeg_shows_its_colour() -> None:
    # No ink is white, all cyan takes the red away.
    image = Image.new("CMYK", (32, 16), (0, 0, 0, 0))
    image.paste((255, 0, 0, 0), (16, 0, 32, 16))
    pixels = decoded(encoded(image, "JPEG", quality=95)).astype(int)
    assert (pixels[:, :12] > 245).all()
    assert (pixels[:, 20:, 0] < 10).all()
    assert (pixels[:, 20:, 1:] > 245).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_undone(orientation: int) -> None:
    upright = np.zeros((16, 24, 3), np.uint8)
    upright[:8, :12] = 255
    # How a camera held in each of the eight ways stores the upright image (EXIF 2.32, 4.6.4).
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: np.rot90(upright.transpose(1, 0, 2), 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(np.ascontiguousarray(stored)), "PNG", exif=exif)
    assert (decoded(data) == upright).all()


def test_region_is_cut_from_the_upright_image_and_clipped() -> None:
    data = encoded(Image.fromarray(RAMP))
    assert (decoded(data, region=(2, 4, 12, 14))[:, :, 0] == RAMP[4:14, 2:12]).all()
    assert decoded(data, region=(-5, 0, 99, 99)).shape == (16, 16, 3)
    with pytest.raises(DecodeError, match="outside"):
        decode(data, region=(20, 20, 30, 30))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"this is text, not an image", "not an image"),
        (encoded(Image.effect_noise((64, 64), 50))[:2000], "damaged"),
        (encoded(Image.effect_noise((64, 64), 50), "JPEG")[:700], "damaged"),
        (encoded(Image.new("L", (1, 1))), "1×1 pixels"),
        (encoded(Image.new("F", (16, 16)), "TIFF"), "float32 .* range"),
        (
            encoded(
                Image.new("L", (16, 16)),
                "TIFF",
                save_all=True,
                append_images=[Image.new("L", (16, 16), 9)],
            ),
            "2 frames",
        ),
        (b"P5 20000 20000 255\n", "decompression bomb"),
        (b"P5 8500 12000 255\n", "the limit is 89 million"),
    ],
)
def test_what_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(DecodeError, match=says):
        decode(data)


@settings(max_examples=150)
@given(st.data())
def test_damaged_bytes_decode_or_are_refused(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP", "PPM"]))
    whole = bytearray(encoded(Image.fromarray(RAMP).convert("RGB"), kind))
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(whole)))
    try:
        image = decode(bytes(whole[:cut] if data.draw(st.booleans()) else whole))
    except DecodeError:
        return
    assert image.mode == "RGB"


def test_facts() -> None:
    image = Image.effect_noise((64, 48), 60)
    png, bmp = decode(encoded(image)), decode(encoded(image, "BMP"))
    facts = pixel_facts(png)
    assert facts == pixel_facts(bmp)
    assert facts.pixels != pixel_facts(png.rotate(180)).pixels
    assert facts.size == (64, 48)
    assert facts.brightness == pytest.approx(np.asarray(image).mean())
    small = image.resize((32, 32), Image.Resampling.LANCZOS)
    assert facts.thumbnail == small.tobytes()
