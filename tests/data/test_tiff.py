"""TIFF tags in all combinations: known samples, as tifffile reads them, are right or refused."""

from __future__ import annotations

import collections
import io
import itertools
import logging
import random
import sys

import numpy as np
import pytest
from made_tiff import DEFLATE, LZW, NONE, PACKBITS, ZSTD, Layout, page, tiff, tiff_of
from numpy.typing import NDArray
from PIL import Image
from tifffile import TiffFile, imwrite

from bottleneck.data.images.decode import codec, decode, decode_with_notes
from bottleneck.data.images.display import Display
from bottleneck.errors import DecodeError, MissingExtraError

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (40, 48, 1)).astype(np.uint8)
COLOUR = RNG.integers(0, 256, (40, 48, 3)).astype(np.uint8)
PLAIN = Layout()

KINDS = [
    *(("uint", bits) for bits in (1, 2, 4, 6, 8, 10, 12, 14, 16, 32)),
    *(("int", bits) for bits in (8, 16, 32)),
    *(("float", bits) for bits in (16, 32, 64)),
]
# Photometric interpretation and alpha (1: associated, 2: not).
COLOURS = [*itertools.product((0, 1, 2), (0, 1, 2)), (3, 0), (5, 0), (6, 0)]
GRID = [
    Layout(photometric, alpha, kind, bits, planar, order, compression, predictor, tiled, fill_order)
    for (photometric, alpha), (kind, bits), planar, order, compression, predictor, tiled, fill_order
    in itertools.product(
        COLOURS, KINDS, (False, True), "<>", (NONE, LZW, DEFLATE, PACKBITS, ZSTD), (1, 2),
        (False, True), (1, 2),
    )
    if (kind != "float" and bits % 8 == 0) or predictor == 1
]  # fmt: skip
GRID = [layout for layout in GRID if layout.n_samples > 1 or not layout.planar]
random.Random(0).shuffle(GRID)
# Each of these refusals is a limit that the policy states.
REFUSED = {
    "have no declared range": lambda g: g.kind == "float" or g.bits > 16,
    "samples per pixel": lambda g: (g.photometric, g.alpha) == (0, 1),
    "palette, CMYK or YCbCr of type": lambda g: g.photometric in (3, 5, 6) and g.kind != "uint",
    "palette of": lambda g: g.photometric == 3 and g.bits not in (1, 2, 4, 8),
    "YCbCr TIFF": lambda g: g.photometric == 6 and g.bits != 8,
    "Predictor": lambda g: g.predictor == 2 and g.compression in (NONE, PACKBITS),
}


def samples_of(layout: Layout) -> NDArray:
    """Return random samples of which associated alpha is nowhere exceeded."""
    shape = 21, 37, layout.n_samples
    if layout.kind == "float":
        return RNG.uniform(-3, 9, shape).astype(layout.dtype)
    top = 2**layout.bits - 1
    samples = RNG.integers(0, top + 1, shape)
    if layout.alpha == 1:
        samples[:, :, :-1] = samples[:, :, :-1] * samples[:, :, -1:] // top
    low = 2 ** (layout.bits - 1) if layout.kind == "int" else 0
    return (samples - low).astype(layout.dtype)


def levels_of(layout: Layout, samples: NDArray, palette: NDArray | None) -> NDArray:
    """Return the levels by TIFF 6.0, sections 3 to 6 and 16 to 21."""
    low = 2 ** (layout.bits - 1) if layout.kind == "int" else 0
    levels = (samples.astype(float) + low) * 255 / (2**layout.bits - 1)
    colours = levels[:, :, :-1] if layout.alpha else levels
    if layout.photometric == 0:
        colours = 255 - colours
    elif palette is not None:
        colours = palette[samples[:, :, 0]] / 257
    elif layout.photometric == 5:
        colours = (255 - colours[:, :, :3]) * (1 - colours[:, :, 3:] / 255)
    elif layout.photometric == 6:
        y, cb, cr = np.moveaxis(colours, 2, 0) - [[[0]], [[128]], [[128]]]
        rgb = y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb
        colours = np.clip(np.stack(rgb, -1), 0, 255)
    if layout.alpha == 2:
        colours = colours * levels[:, :, -1:] / 255
    return np.broadcast_to(colours, (*colours.shape[:2], 3))


def check(layouts: list[Layout]) -> collections.Counter[str]:
    """Count what is right and what is refused, by reason; fail for what is wrong."""
    counts: collections.Counter[str] = collections.Counter()
    for layout in layouts:
        samples = samples_of(layout)
        palette = None
        if layout.photometric == 3 and layout.kind == "uint" and layout.bits <= 8:
            palette = RNG.integers(0, 65536, (2**layout.bits, 3))
        data = tiff(layout, samples, palette)
        try:
            levels = np.asarray(decode(data)).astype(float)
        except DecodeError as error:
            words = next((words for words in REFUSED if words in str(error)), None)
            if words is None or not REFUSED[words](layout):
                pytest.fail(f"{layout}: {error}")
            counts[f"refused: {words}"] += 1
            continue
        with TiffFile(io.BytesIO(data)) as file:
            read = file.pages[0].asarray()
        read = np.moveaxis(read, 0, -1) if layout.planar else read.reshape(samples.shape)
        assert np.array_equal(read, samples), layout
        # Half a level from rounding once; alpha, CMYK and YCbCr are rounded twice.
        tolerance = 1 if layout.photometric < 4 and layout.alpha != 2 else 2
        assert np.abs(levels - levels_of(layout, samples, palette)).max() <= tolerance, layout
        counts["right"] += 1
    return counts


def test_a_sample_of_all_combinations_of_tags_is_right_or_refused() -> None:
    counts = check(GRID[::20])
    assert counts["right"] > 350
    assert len(counts) == 1 + len(REFUSED)


@pytest.mark.slow
def test_all_combinations_of_tags_are_right_or_refused() -> None:
    print(check(GRID))


UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: np.rot90,
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize(
    ("bits", "order", "big"), [(8, "<", False), (16, ">", False), (16, ">", True), (8, "<", True)]
)
def test_orientation_is_undone(orientation: int, bits: int, order: str, big: bool) -> None:
    samples = GREY if bits == 8 else GREY.astype(np.uint16) * 257
    for photometric in (0, 1):
        layout = Layout(photometric, bits=bits, order=order, big=big, orientation=orientation)
        levels = np.asarray(decode(tiff(layout, samples)))
        expected = UPRIGHT[orientation](GREY if photometric else 255 - GREY)
        assert np.array_equal(levels, np.repeat(expected, 3, axis=2))


def test_the_full_size_page_is_the_image() -> None:
    full, small = page(PLAIN, GREY), GREY[::2, ::2]
    for tags in ({"t254": [1]}, {"t255": [2]}, {"t254": [4]}):
        reduced = page(PLAIN, small, **tags)
        for pages in ([full, reduced], [reduced, full]):
            image, notes = decode_with_notes(tiff_of(pages))
            assert (np.asarray(image) == GREY).all()
            assert [note for note in notes if "full-size image is used" in note]
    with pytest.raises(DecodeError, match="only a reduced copy"):
        decode(tiff_of([page(PLAIN, small, t254=[1])]))


def test_a_preview_is_never_the_image() -> None:
    # As in camera files: a thumbnail, and the full-size page in its SubIFDs.
    deep = Layout(bits=16, compression=LZW)
    data = bytearray(
        tiff_of(
            [
                page(PLAIN, GREY[::2, ::2], t254=[1], t330=[99999]),
                page(deep, GREY.astype(np.uint16) * 257),
            ]
        )
    )
    with TiffFile(io.BytesIO(data)) as file:
        first, second = file.pages
        link = data.index(second.offset.to_bytes(4, "little"), first.offset)
        place = first.tags[330].valueoffset
        data[place : place + 4] = second.offset.to_bytes(4, "little")
        data[link : link + 4] = bytes(4)
    image, notes = decode_with_notes(bytes(data))
    assert (np.asarray(image) == GREY).all()
    assert len(notes) == 1


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (tiff_of([page(PLAIN, GREY), page(PLAIN, GREY)]), "2 frames in one file"),
        (tiff_of([page(PLAIN, GREY[:8, :8])] * 301), "300 or more frames in one file"),
        (tiff(PLAIN, GREY, t270=b"ImageJ=1.53t\nimages=5\nslices=5\n"), "5 frames"),
        (tiff(PLAIN, GREY, t270=b'{"shape": [3, 40, 48]}'), "3 frames"),
        (tiff(PLAIN, GREY, t33629=[1] * 4), "4 frames"),
        (tiff(PLAIN, GREY, t32997=[2]), "volume"),
        (tiff(PLAIN, GREY, t262=[4]), "transparency mask"),
        (tiff(Layout(2), COLOUR, t262=[8]), "CIELab"),
        (tiff(PLAIN, GREY, t262=[32803]), "raw sensor data"),
        (tiff(PLAIN, GREY, t259=[6]), "compression 6"),
        (tiff(PLAIN, GREY, t259=[34712]), "compression 34712"),
        (tiff(Layout(2), COLOUR, t258=[8, 8, 16]), r"\(8, 8, 16\) bits"),
        (tiff(PLAIN, GREY, t339=[6]), "format 6"),
        (tiff(Layout(2, 2), COLOUR[:, :, [0, 1, 2, 0]], t338=[0]), "4 samples per pixel"),
        (tiff(Layout(1, 2), COLOUR[:, :, :2], t338=[0]), "2 samples per pixel"),
        (tiff(Layout(5), COLOUR[:, :, [0, 1, 2, 0]], t332=[2]), "inks are not CMYK"),
        (tiff(Layout(6), COLOUR, t530=[2, 2]), "subsampled"),
        (tiff(Layout(3), GREY), "palette of 0 colours, not 256"),
        (tiff(PLAIN, GREY, t256=[0]), "does not state its size"),
        (tiff(PLAIN, GREY, t256=[20_000], t257=[20_000]), "the limit is 89 million"),
        (tiff(Layout(tiled=True), GREY, t322=[60_000], t323=[60_000]), "the limit is 89 million"),
        (tiff(PLAIN, GREY, t257=[1_000_000], t278=[1]), "1,000,000 strips"),
        (tiff(PLAIN, GREY, t278=[8]), "lists 3 strips or tiles, where its size needs 5"),
        (tiff(PLAIN, GREY, t279=[768, 768, 0]), "missing"),
        (tiff(PLAIN, GREY, t279=[768, 768, 60_000]), "missing"),
        (tiff(PLAIN, GREY, t279=[768, 768, 100]), "do not have the size"),
        (tiff(PLAIN, GREY, t258=[1]), "do not have the size"),
        (tiff(PLAIN, GREY)[:1000], "ends before its first page"),
        *(
            (tiff(Layout(bits=16, compression=c), GREY.astype(np.uint16), t258=[12]), "12 bits")
            for c in (NONE, LZW, DEFLATE, PACKBITS, ZSTD)
        ),
    ],
)  # fmt: skip
def test_what_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(DecodeError, match=says):
        decode(data)


@pytest.mark.parametrize("compression", [LZW, DEFLATE, PACKBITS, ZSTD])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_strips_that_end_too_early_are_refused(compression: int, bits: int) -> None:
    layout = Layout(0, bits=bits, compression=compression)
    tags, strips = page(layout, GREY.astype(layout.dtype))
    with pytest.raises(DecodeError, match="damaged"):
        decode(tiff_of([(tags, [*strips[:-1], strips[-1][: len(strips[-1]) // 2]])]))


def test_a_palette_of_8_bit_values_is_used_as_such() -> None:
    palette = RNG.integers(0, 256, (256, 3))
    image, notes = decode_with_notes(tiff(Layout(3), GREY, palette))
    assert (np.asarray(image) == palette[GREY[:, :, 0]]).all()
    assert "8-bit values in 16-bit entries" in notes[0]
    assert not decode_with_notes(tiff(Layout(3), GREY, palette * 257))[1]
    with pytest.raises(DecodeError, match=r"palette that would show almost nothing.*palette"):
        decode(tiff(Layout(3), GREY, palette * 16))


@pytest.mark.parametrize(
    "layout",
    [
        Layout(0, bits=16), Layout(1, bits=16), Layout(kind="int", bits=16), Layout(2, bits=16),
        Layout(2, bits=16, planar=True), Layout(1, 2, bits=16), Layout(2, 2, bits=16),
        Layout(5, bits=16, order=">"),
    ],
)  # fmt: skip
def test_12_bits_in_16_are_refused(layout: Layout) -> None:
    samples = RNG.integers(0, 4096, (40, 48, layout.n_samples)).astype(layout.dtype)
    with pytest.raises(DecodeError, match=r"would show almost nothing.*scale it"):
        decode(tiff(layout, samples))


@pytest.mark.parametrize(
    ("kind", "bits"),
    [("int", 16), ("uint", 16), ("int", 32), ("uint", 32), ("float", 32), ("float", 64)],
)
def test_stored_values_are_shown_through_a_window_or_rescaled(kind: str, bits: int) -> None:
    layout = Layout(kind=kind, bits=bits)
    values = np.abs(RNG.normal(500, 300, (40, 48, 1))) - (300 if kind == "int" else 0)
    values = values.astype(layout.dtype)
    with pytest.raises(DecodeError, match=rf"{kind}{bits}[\s\S]*--window"):
        decode(tiff(layout, values))
    data = {p: tiff(Layout(p, kind=kind, bits=bits), values) for p in (0, 1)}
    ordered = np.sort(values, axis=None)
    low, high = float(ordered[9]), float(ordered[-10])  # 0.5 % of 1920 pixels at each end.
    for display, start, stop in (
        (Display((400, 601)), 100, 700),
        (Display(rescale=True), low, high),
    ):
        expected = np.clip((values.astype(float) - start) / (stop - start), 0, 1) * 255
        shown = np.asarray(decode(data[1], display=display)).astype(float)
        assert np.abs(shown - expected).max() <= 1
        inverted = np.asarray(decode(data[0], display=display)).astype(float)
        assert np.abs(inverted - (255 - expected)).max() <= 1


def test_a_window_of_fractions_has_its_width() -> None:
    values = RNG.random((40, 48, 1)).astype(np.float32)
    data = tiff(Layout(kind="float", bits=32), values)
    shown = np.asarray(decode(data, display=Display((0.5, 1)))).astype(float)
    assert np.abs(shown - values * 255).max() <= 0.5 + 1e-4


def test_values_that_are_not_finite_are_refused() -> None:
    values = np.full((40, 48, 1), np.nan, np.float32)
    with pytest.raises(DecodeError, match="not finite"):
        decode(tiff(Layout(kind="float", bits=32), values), display=Display(rescale=True))


@pytest.mark.parametrize("photometric", ["minisblack", "rgb", "ycbcr"])
@pytest.mark.parametrize("tile", [None, (16, 16)])
@pytest.mark.parametrize("subsampling", [(1, 1), (2, 2)])
def test_jpeg_in_tiff_is_what_tifffile_reads(
    photometric: str, tile: tuple[int, int] | None, subsampling: tuple[int, int]
) -> None:

    smooth = np.asarray(Image.fromarray(COLOUR[:5, :5]).resize((48, 40)))
    buffer = io.BytesIO()
    imwrite(
        buffer, smooth[:, :, 0] if photometric == "minisblack" else smooth, photometric=photometric,
        compression="jpeg", tile=tile, subsampling=subsampling,
    )  # fmt: skip
    with TiffFile(io.BytesIO(buffer.getvalue())) as file:
        expected = file.pages[0].asarray().astype(int)
    shown = np.asarray(decode(buffer.getvalue())).astype(int)
    assert np.abs(shown - expected.reshape(40, 48, -1)).max() <= 1


def test_a_jpeg_stream_that_ends_too_early_is_refused() -> None:
    buffer = io.BytesIO()
    imwrite(buffer, COLOUR, photometric="rgb", compression="jpeg", rowsperstrip=16)
    data = bytearray(buffer.getvalue())
    with TiffFile(io.BytesIO(data)) as file:
        counts = file.pages[0].tags[279]
        size = {3: 2, 4: 4}[counts.dtype]
        last = counts.valueoffset + size * (counts.count - 1)
        data[last : last + size] = (counts.value[-1] * 9 // 10).to_bytes(size, "little")
    with pytest.raises(DecodeError, match="its data end too early"):
        decode(bytes(data))


@pytest.mark.parametrize("compression", ["group3", "group4", "tiff_ccitt"])
@pytest.mark.parametrize("photometric", [0, 1])
def test_fax_compression_is_read(compression: str, photometric: int) -> None:
    image = Image.fromarray(GREY[:, :, 0]).convert("1")
    buffer = io.BytesIO()
    image.save(buffer, "TIFF", compression=compression, tiffinfo={262: photometric})
    assert np.array_equal(np.asarray(decode(buffer.getvalue()))[:, :, 0] > 0, np.asarray(image))


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    compressed = tiff(Layout(bits=12, compression=LZW), GREY.astype(np.uint16) * 16)
    plain = tiff(Layout(0, bits=16), GREY.astype(np.uint16) * 257)
    assert "tifffile" in codec(plain)
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    with pytest.raises(MissingExtraError, match=r"(?s)LZW compression, 12 bits.*medical"):
        decode(compressed)
    assert decode(plain).size == (48, 40)


def test_nothing_is_logged_about_damaged_files(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), pytest.raises(DecodeError):
        decode(tiff(PLAIN, GREY, t273=[5]))
    assert not caplog.records
