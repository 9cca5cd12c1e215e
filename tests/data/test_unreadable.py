"""Images that cannot be read: the reason is in words for the user, never Python's own."""

from __future__ import annotations

import io
import random
import re
import struct

import imagecodecs
import numpy as np
import pytest
from made_tiff import DEFLATE, LZW, ZSTD, Layout, tiff
from PIL import Image

from bottleneck.data.images.decode import decode
from bottleneck.errors import DecodeError

RNG = np.random.default_rng(0)
IMAGE = Image.fromarray(RNG.integers(0, 256, (24, 32, 3)).astype(np.uint8))
DEEP = RNG.integers(0, 4096, (24, 32)).astype(np.uint16)
PYTHON = re.compile(
    r"none\b|nonetype|object|operand|attribute|index|identify|buffer|tuple|struct|unpack|argument|"
    r"expected|iterable|\bint\b|float\b|subscript|reshape|codec|errno|traceback|error|exception|"
    r"keyword|\bstr\b|bytes-like|not enough values|0x|[<>{}]|__|\w\(",
    re.IGNORECASE,
)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


SEEDS = {
    "PNG": encoded(IMAGE, "PNG"),
    "PNG, 16 bits": encoded(Image.fromarray(DEEP * 16), "PNG"),
    "PNG, palette": encoded(IMAGE.quantize(32), "PNG"),
    "JPEG": encoded(IMAGE, "JPEG"),
    "MPO": encoded(IMAGE, "MPO", save_all=True, append_images=[IMAGE]),
    "JPEG 2000": encoded(IMAGE, "JPEG2000"),
    "JPEG 2000, 12 bits": imagecodecs.jpeg2k_encode(
        np.stack([DEEP] * 3, -1), codecformat="jp2", reversible=True, bitspersample=12
    ),
    "BMP": encoded(IMAGE, "BMP"),
    "BMP, palette": encoded(IMAGE.quantize(16), "BMP"),
    "GIF": encoded(IMAGE, "GIF"),
    "WebP": encoded(IMAGE, "WEBP"),
    "PPM": encoded(IMAGE, "PPM"),
    "PGM, 12 bits": b"P5 32 24 4095\n" + DEEP.astype(">u2").tobytes(),
    "PGM, text": b"P2 32 24 4095\n" + b" ".join(b"%d" % value for value in DEEP.ravel()),
    "TIFF, LZW": encoded(IMAGE, "TIFF", compression="tiff_lzw"),
    "TIFF, JPEG": encoded(IMAGE, "TIFF", compression="jpeg"),
    "TIFF, fax": encoded(IMAGE.convert("1"), "TIFF", compression="group4"),
    "TIFF, 12 bits": tiff(Layout(bits=12), DEEP[:, :, None]),
    "TIFF, 12 bits, LZW": tiff(Layout(bits=12, compression=LZW), DEEP[:, :, None]),
    "TIFF, planes": tiff(
        Layout(2, bits=16, planar=True, compression=DEFLATE, predictor=2, tiled=True),
        np.stack([DEEP * 16] * 3, -1),
    ),
    "TIFF, big": tiff(Layout(0, kind="int", bits=16, order=">", big=True),
                      (DEEP.astype(np.int16) * 8)[:, :, None]),
    "TIFF, alpha": tiff(Layout(1, 2, bits=16, compression=ZSTD), np.stack([DEEP * 16] * 2, -1)),
}  # fmt: skip


def damaged(data: bytes, source: random.Random) -> bytes:
    """Return data with some bytes changed, mostly in its header, and perhaps cut off."""
    result = bytearray(data)
    for _ in range(source.randint(1, 6)):
        ends = (
            source.randrange(min(len(data), 400)),
            len(data) - 1 - source.randrange(330) % len(data),
        )
        at = source.choice([*ends, source.randrange(len(data))])
        result[at] = source.choice([0, 1, 2, 255, source.randrange(256)])
    return bytes(result[: source.randrange(len(data))] if source.random() < 0.3 else result)


@pytest.mark.parametrize("name", SEEDS)
@pytest.mark.filterwarnings("ignore")  # Those of Pillow about metadata.
def test_no_message_has_words_of_python(name: str) -> None:
    assert decode(SEEDS[name]).mode == "RGB"
    source = random.Random(name)
    messages = set()
    for _ in range(60):
        try:
            decode(damaged(SEEDS[name], source))
        except DecodeError as error:
            messages.add(str(error))
    assert messages
    assert not [message for message in messages if PYTHON.search(message)]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\0\0\0\x18ftypheic" + bytes(99), "HEIC.* save it as PNG or JPEG"),
        (b"\0\0\0\x18ftypavif" + bytes(99), "AVIF.* save it as PNG"),
        (imagecodecs.jpegxl_encode(np.asarray(IMAGE)), "JPEG XL"),
        (imagecodecs.jpegxr_encode(np.asarray(IMAGE)), "JPEG XR"),
        (imagecodecs.jpegls_encode(np.asarray(IMAGE)), "JPEG-LS is not supported"),
        (imagecodecs.jpeg_encode(DEEP, bitspersample=12), "JPEG with 12 bits per sample"),
        (imagecodecs.jpeg_encode(DEEP * 16, bitspersample=16, lossless=True), "JPEG with 16 bits"),
        (b"P7\nWIDTH 9\n", "PAM"),
        (b"PF\n9 9\n-1\n", "PFM"),
        (b"%PDF-1.7", "PDF"),
        (b"\x1f\x8b\x08" + bytes(99), "gzip"),
        (bytes(344) + b"n+1\0" + bytes(99), r"a volume \(NIfTI\), not an image"),
        (bytes(344) + b"ni1\0" + bytes(99), r"NIfTI in two files.*convert it to \.nii"),
        (b"NRRD0005\ntype: short\n", r"its name must end in \.nrrd"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:", "Git LFS.*git lfs pull"),
        (b"\n<!doctype html>\n<html><body>Sign in", "a web page.* again"),
        (bytes(5000), "zero bytes .* again"),
        (SEEDS["PNG"][:20], "damaged image: its (data end|header)"),
        (SEEDS["PNG"][:900], "damaged image: its data end too early"),
        (SEEDS["JPEG"][:700], "damaged image: its data end too early"),
        (SEEDS["GIF"][:900], "damaged image"),
        (b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR", "damaged image"),
    ],
)  # fmt: skip
def test_the_reason_is_named(data: bytes, says: str) -> None:
    with pytest.raises(DecodeError, match=says):
        decode(data)
