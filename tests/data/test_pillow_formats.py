"""Declared depth decides: known samples in PNG, netpbm, JPEG 2000, BMP and JPEG files."""

from __future__ import annotations

import io
import itertools
import struct
import sys
import zlib

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from bottleneck.data.images.decode import decode, decode_with_notes
from bottleneck.data.images.display import Display
from bottleneck.errors import DecodeError, MissingExtraError

RNG = np.random.default_rng(0)
HEIGHT, WIDTH = 17, 29


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def levels(data: bytes, **options: object) -> NDArray[np.float64]:
    return np.asarray(decode(data, **options)).astype(float)


def assert_close(shown: NDArray, expected: NDArray, tolerance: float = 1) -> None:
    expected = expected.reshape(*shown.shape[:2], -1)
    assert np.abs(shown - expected).max() <= tolerance


def over_black(values: NDArray, top: int) -> NDArray[np.float64]:
    """Return the levels of samples, the last of which is alpha if their number is even."""
    shown = values * 255.0 / top
    return shown if shown.shape[2] % 2 else shown[:, :, :-1] * shown[:, :, -1:] / 255


def png(samples: NDArray, bits: int, colours: int, **chunks: bytes) -> bytes:
    """Write a PNG as its specification describes it (ISO 15948, 11.2)."""
    height, width = samples.shape[:2]
    if bits == 16:
        rows = samples.astype(">u2").reshape(height, -1).view(np.uint8)
    else:
        every = np.unpackbits(samples.astype(np.uint8).reshape(height, -1, 1), axis=2)
        rows = np.packbits(every[:, :, -bits:].reshape(height, -1), axis=1)

    def chunk(name: str, content: bytes) -> bytes:
        tagged = name.encode() + content
        return struct.pack(">I", len(content)) + tagged + struct.pack(">I", zlib.crc32(tagged))

    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, bits, colours, 0, 0, 0)
    middle = b"".join(chunk(name, content) for name, content in chunks.items())
    end = chunk("IDAT", zlib.compress(raw)) + chunk("IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk("IHDR", header) + middle + end


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_png_of_every_depth(bits: int) -> None:
    top = 2**bits - 1
    grey = RNG.integers(0, top + 1, (HEIGHT, WIDTH))
    grey[0, 0] = 0  # Is transparent below, so that white remains.
    assert_close(levels(png(grey, bits, 0)), grey * 255 / top)
    for name, content in {
        "gAMA": struct.pack(">I", 100_000),
        "sBIT": bytes([bits - bits // 4]),
    }.items():
        assert_close(levels(png(grey, bits, 0, **{name: content})), grey * 255 / top)
    clear = png(grey, bits, 0, tRNS=struct.pack(">H", top))
    if bits == 1:
        with pytest.raises(DecodeError, match="transparency that would show almost nothing"):
            decode(clear)
    else:
        assert_close(levels(clear), np.where(grey == top, 0, grey) * 255 / top)
    for colours, n in {2: 3, 4: 2, 6: 4}.items() if bits >= 8 else ():
        samples = RNG.integers(0, top + 1, (HEIGHT, WIDTH, n))
        # Pillow keeps the high byte of 16 bits, of colours and of their alpha.
        tolerance = {3: 1, 2: 1.5, 4: 2.1}[n]
        assert_close(levels(png(samples, bits, colours)), over_black(samples, top), tolerance)
    if bits <= 8:
        palette = RNG.integers(0, 256, (2**bits, 3)).astype(np.uint8)
        alpha = RNG.integers(0, 256, 2**bits).astype(np.uint8)
        assert_close(levels(png(grey, bits, 3, PLTE=palette.tobytes())), palette[grey])
        shown = levels(png(grey, bits, 3, PLTE=palette.tobytes(), tRNS=alpha.tobytes()))
        assert_close(shown, palette[grey] * (alpha[grey] / 255)[:, :, None])


def test_pixels_outside_their_palette_are_refused() -> None:
    # Viewers show them as black.
    indices = RNG.integers(0, 16, (HEIGHT, WIDTH))
    indices[0, 0] = 15
    palette = RNG.integers(0, 256, (16, 3)).astype(np.uint8)
    for make in (
        lambda n: png(indices, 4, 3, PLTE=palette[:n].tobytes()),
        lambda n: bmp(indices, 8, palette[:n]),
    ):
        assert_close(levels(make(16)), palette[indices].astype(float), 0)
        with pytest.raises(DecodeError, match="not in its palette"):
            decode(make(15))


def test_one_transparent_colour() -> None:
    samples = RNG.integers(0, 256, (HEIGHT, WIDTH, 3))
    samples[::2] = samples[0, 0]
    clear = struct.pack(">3H", *samples[0, 0].tolist())
    shown = levels(png(samples, 8, 2, tRNS=clear))
    assert (shown[::2] == 0).all()
    assert_close(shown[1::2], samples[1::2])
    with pytest.raises(DecodeError, match="16-bit PNG with one transparent colour"):
        decode(png(samples * 257, 16, 2, tRNS=clear))


@pytest.mark.parametrize(("colours", "n"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_12_bits_in_16_are_refused(colours: int, n: int) -> None:
    samples = RNG.integers(0, 4096, (HEIGHT, WIDTH, n))
    with pytest.raises(DecodeError, match=r"of 16 bits that would show almost nothing.*scale it"):
        decode(png(samples, 16, colours))


@pytest.mark.parametrize("top", [1, 15, 100, 254, 255, 256, 1000, 1023, 4095, 65534, 65535])
def test_the_maximum_of_netpbm_is_white(top: int) -> None:
    for n, plain, binary in ((1, 2, 5), (3, 3, 6)):
        samples = RNG.integers(0, top + 1, (HEIGHT, WIDTH, n))
        header = b"\n# comment\n%d %d\n%d\n" % (WIDTH, HEIGHT, top)
        raw = samples.astype(">u2" if top > 255 else np.uint8).tobytes()
        text = " ".join(map(str, samples.ravel().tolist())).encode()
        for data in (b"P%d" % binary + header + raw, b"P%d" % plain + header + text):
            assert_close(levels(data), samples * 255 / top)
        with pytest.raises(DecodeError, match="data end too early"):
            decode(b"P%d" % binary + header + raw[:-1])
        with pytest.raises(DecodeError, match="several frames"):
            decode((b"P%d" % binary + header + raw) * 2)


def test_stored_values_are_shown_through_a_window_or_rescaled() -> None:
    values = RNG.integers(0, 3000, (64, 64)).astype(np.uint16)
    header = b"P5 64 64 4095\n"
    files = [
        png(values, 16, 0),
        header + values.astype(">u2").tobytes(),
        b"P2 64 64 4095\n" + " ".join(map(str, values.ravel().tolist())).encode(),
        imagecodecs.jpeg2k_encode(values, codecformat="jp2", reversible=True, bitspersample=12),
    ]
    ordered = np.sort(values, axis=None).astype(float)
    n = ordered.size // 200
    for data in files:
        for display, start, stop in (
            (Display((1000, 801)), 600, 1400),
            (Display(rescale=True), ordered[n], ordered[-1 - n]),
        ):
            expected = np.clip((values.astype(float) - start) / (stop - start), 0, 1) * 255
            assert_close(levels(data, display=display), expected)
    opaque = np.stack([values, np.full_like(values, 65535)], -1)
    assert_close(levels(png(opaque, 16, 4), display=display), expected)
    plain = png(values // 16, 8, 0)
    assert (levels(plain, display=Display((5, 5))) == levels(plain)).all()


def test_floating_point_netpbm_needs_a_display() -> None:
    values = RNG.random((HEIGHT, WIDTH)).astype("<f4")
    data = b"Pf\n%d %d\n-1.0\n" % (WIDTH, HEIGHT) + values[::-1].tobytes()
    with pytest.raises(DecodeError, match="float32 pixels have no declared range"):
        decode(data)
    assert_close(levels(data, display=Display((0.5, 1))), values * 255)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [4, 7, 8, 9, 12, 16])
def test_jpeg_2000_of_every_depth(bits: int, signed: bool) -> None:
    low, top = -(2 ** (bits - 1)) * signed, 2**bits - 1
    kind = np.dtype(f"{'i' if signed else 'u'}{1 if bits <= 8 else 2}")
    for n, form in itertools.product((1, 2, 3, 4), ("jp2", "j2k")):
        samples = RNG.integers(0, top + 1, (32, 32, n))
        samples[0, 0] = top
        stored = (samples + low).astype(kind)
        data = imagecodecs.jpeg2k_encode(
            stored[:, :, 0] if n == 1 else stored,
            codecformat=form,
            reversible=True,
            bitspersample=bits,
            mct=False,
        )
        assert_close(levels(data), over_black(samples, top), 1 if n % 2 else 2)
        if bits == 16:
            faint = (samples // 16 + low).astype(kind)
            data = imagecodecs.jpeg2k_encode(
                faint[:, :, 0] if n == 1 else faint, codecformat=form, reversible=True, mct=False
            )
            with pytest.raises(DecodeError, match="of 16 bits that would show almost nothing"):
                decode(data)


@pytest.mark.parametrize("bits", [8, 12])
def test_jpeg_2000_colour_spaces(bits: int) -> None:
    smooth = RNG.integers(0, 256, (4, 4, 3)).astype(np.uint8)
    rgb = Image.fromarray(smooth).resize((32, 32))
    stored = np.asarray(rgb.convert("YCbCr")).astype(np.uint16) << (bits - 8)
    if bits == 8:
        stored = stored.astype(np.uint8)
    data = imagecodecs.jpeg2k_encode(
        stored, codecformat="jp2", reversible=True, bitspersample=bits, mct=False
    )
    at = data.index(b"colr") + 7  # ISO 15444-1, I.5.3.3.

    def declared(space: int) -> bytes:
        return data[:at] + struct.pack(">I", space) + data[at + 4 :]

    assert_close(levels(declared(18)), np.asarray(rgb).astype(float), 5)
    for space in (12, 14, 20):
        with pytest.raises(DecodeError, match="neither grey nor RGB nor sYCC"):
            decode(declared(space))


def test_jpeg_2000_with_a_palette_is_refused() -> None:
    indices = RNG.integers(0, 4, (32, 32)).astype(np.uint8)
    data = imagecodecs.jpeg2k_encode(indices, codecformat="jp2", reversible=True)
    # The boxes pclr and cmap (ISO 15444-1, I.5.3.4) at the end of jp2h; two colours are the same.
    palette = b"\0\4\3\7\7\7" + bytes([0, 0, 0, 0, 0, 0, 200, 9, 9, 9, 99, 255])
    channels = b"\0\0\1\0\0\0\1\1\0\0\1\2"
    boxes = b"".join(
        struct.pack(">I", 8 + len(content)) + name + content
        for name, content in ((b"pclr", palette), (b"cmap", channels))
    )
    at = data.index(b"jp2h") - 4
    (length,) = struct.unpack_from(">I", data, at)
    header = struct.pack(">I", length + len(boxes)) + data[at + 4 : at + length] + boxes
    header = header.replace(b"colr\1\0\0" + struct.pack(">I", 17), b"colr\1\0\0\0\0\0\x10")
    with pytest.raises(DecodeError, match="palette"):
        decode(data[:at] + header + data[at + length :])


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = RNG.integers(0, 4096, (32, 32, 3)).astype(np.uint16)
    deep = imagecodecs.jpeg2k_encode(samples, reversible=True, bitspersample=12)
    plain = encoded(Image.fromarray((samples // 16).astype(np.uint8)), "JPEG2000")
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    assert decode(plain).size == (32, 32)
    with pytest.raises(MissingExtraError, match=r"(?s)more than 8 bits.*medical"):
        decode(deep)


def bmp(indices: NDArray, bits: int, palette: NDArray) -> bytes:
    """Write a BMP with a palette."""
    every = np.unpackbits(indices[::-1].astype(np.uint8)[:, :, None], axis=2)[:, :, -bits:]
    rows = np.packbits(every.reshape(len(indices), -1), axis=1)
    raw = np.pad(rows, ((0, 0), (0, -rows.shape[1] % 4))).tobytes()
    colours = np.pad(palette[:, ::-1], ((0, 0), (0, 1))).astype(np.uint8).tobytes()
    start = 54 + len(colours)
    header = struct.pack("<IHHIIiiHHIIiiII", start + len(raw), 0, 0, start, 40, indices.shape[1],
                         indices.shape[0], 1, bits, 0, len(raw), 0, 0, len(palette), 0)  # fmt: skip
    return b"BM" + header + colours + raw


@pytest.mark.parametrize("bits", [1, 4, 8])
def test_bmp_with_a_palette_is_right_or_refused(bits: int) -> None:
    n = 2**bits
    steps = np.arange(n)[:, None].repeat(3, 1)
    palettes = {
        "random": RNG.integers(0, 256, (n, 3)),
        "its own indices": steps,
        "ramp": steps * 255 // (n - 1),
        "inverted": 255 - steps * 255 // (n - 1),
        "two": np.array([[0, 0, 0], [255, 255, 255]]),
    }
    for name, palette in palettes.items():
        indices = RNG.integers(0, len(palette), (HEIGHT, WIDTH))
        try:
            shown = levels(bmp(indices, bits, palette))
        except DecodeError as error:
            # Pillow would take these indices for samples of another width.
            if not (bits < 8 and name == "its own indices") and not (bits > 1 and name == "two"):
                pytest.fail(f"{bits}, {name}: {error}")
            continue
        assert_close(shown, palette[indices].astype(float), 0)


def test_the_first_image_of_a_phone_is_used() -> None:
    image = Image.fromarray(RNG.integers(0, 256, (6, 4, 3)).astype(np.uint8)).resize((64, 48))
    preview = image.resize((16, 12)).rotate(180)
    data = encoded(image, "MPO", save_all=True, append_images=[preview], quality=95)
    shown, notes = decode_with_notes(data)
    assert shown.tobytes() == decode(encoded(image, "JPEG", quality=95)).tobytes()
    assert len(notes) == 1
    assert "the first is used" in notes[0]
    assert not decode_with_notes(encoded(image, "JPEG"))[1]


@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP"])
def test_animations_are_refused(kind: str) -> None:
    image = Image.fromarray(RNG.integers(0, 256, (16, 16, 3)).astype(np.uint8))
    with pytest.raises(DecodeError, match="2 frames in one file"):
        decode(encoded(image, kind, save_all=True, append_images=[image.rotate(90)]))


def test_cmyk_without_the_mark_of_adobe_is_refused() -> None:
    samples = RNG.integers(0, 256, (4, 4, 4)).astype(np.uint8)
    data = encoded(Image.fromarray(samples, "CMYK").resize((32, 32)), "JPEG")
    assert decode(data).size == (32, 32)
    with pytest.raises(DecodeError, match="0 or 255 is full ink"):
        decode(data.replace(b"Adobe", b"other"))


def test_lossless_jpeg_of_8_bits_is_read() -> None:
    samples = RNG.integers(0, 256, (32, 32)).astype(np.uint8)
    assert_close(levels(imagecodecs.jpeg_encode(samples, lossless=True)), samples.astype(float), 0)
