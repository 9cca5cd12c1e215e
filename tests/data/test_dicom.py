"""DICOM files: the view that their headers describe, and what is refused."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from made_dicom import changed, dicom, encoded, rle
from PIL import Image
from pydicom import Dataset, uid
from pydicom.encaps import get_frame

from bottleneck.data.decode import codec, decode, pixel_facts
from bottleneck.data.pixel_cache import PixelCache
from bottleneck.errors import DecodeError, MissingExtraError

BUNDLED = Path(pydicom.__file__).parent / "data" / "test_files"
RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)
WIDE = np.arange(4096, dtype=np.uint16).reshape(64, 64)  # every value of 12 bits
RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (16, 24, 3), np.uint8)


def decoded(data: bytes) -> np.ndarray:
    image = decode(data)
    assert image.mode == "RGB"
    return np.asarray(image)


def grey(data: bytes) -> np.ndarray:
    pixels = decoded(data)
    assert (pixels == pixels[:, :, :1]).all()
    return pixels[:, :, 0]


def bundled(name: str) -> bytes:
    return (BUNDLED / name).read_bytes()


def table(values: np.ndarray, first: int, bits: int) -> Dataset:
    """A lookup table as PS3.3 C.11.1.1 describes it."""
    item = Dataset()
    item.LUTDescriptor = [len(values), first, bits]
    item["LUTDescriptor"].VR = "SS"
    item.LUTData = values.astype("<u2").tobytes()
    item["LUTData"].VR = "OW"
    return item


# Without a window: the declared range.


def test_8_bits_stay_as_they_are() -> None:
    assert (grey(dicom(RAMP)) == RAMP).all()
    assert (decoded(dicom(COLOUR)) == COLOUR).all()


def test_more_bits_are_scaled_from_their_declared_range() -> None:
    assert (grey(dicom(WIDE, bits=12)) == np.rint(WIDE / 4095 * 255)).all()
    full = RAMP.astype(np.uint16) * 257
    assert (grey(dicom(full)) == RAMP).all()
    signed = (full.astype(np.int32) - 32768).astype(np.int16)
    assert (grey(dicom(signed)) == RAMP).all()
    colours = COLOUR.astype(np.uint16) * 257
    assert (decoded(dicom(colours)) == COLOUR).all()


def test_one_bit_is_black_and_white() -> None:
    bits = np.packbits(RAMP % 3 == 0, bitorder="little")
    made = dicom(RAMP, PixelData=bits.tobytes(), BitsAllocated=1, BitsStored=1, HighBit=0)
    assert (grey(made) == np.where(RAMP % 3 == 0, 255, 0)).all()


def test_rescaling_alone_changes_nothing_but_its_sign() -> None:
    raised = dicom(RAMP, RescaleSlope=2, RescaleIntercept=-1000)
    assert (grey(raised) == RAMP).all()
    turned = dicom(RAMP, RescaleSlope=-2, RescaleIntercept=0)
    assert (grey(turned) == 255 - RAMP).all()


@pytest.mark.parametrize("kind", [np.uint16, np.int16])
def test_what_would_come_out_as_one_grey_is_refused(kind: Any) -> None:
    dark = (RAMP * 16.0).astype(kind)  # 12 bits in 16
    with pytest.raises(DecodeError, match=r"uses only 0–4080 .*WindowCenter"):
        decode(dicom(dark))
    assert (grey(dicom(np.full((16, 16), 7, kind))) < 129).all()


def surrounded(padding: range, kind: Any = np.uint16, **elements: Any) -> bytes:
    """A picture that uses 32 values of 12 bits, amid others."""
    pixels = np.resize(np.array(padding, kind), (24, 24))
    pixels[4:20, 4:20] = 1000 + RAMP.astype(kind) // 8
    return dicom(pixels, bits=12, **elements)


def test_padding_does_not_count_as_used() -> None:
    # PS3.3 C.7.5.1.1.2: one value, or all between two, whichever is the larger.
    assert grey(surrounded(range(0, 4000, 100))).max() > 200
    for made in (
        surrounded(range(1), PixelPaddingValue=0),
        surrounded(range(-2000, -1999), np.int16, PixelPaddingValue=-2000),
        surrounded(range(200), PixelPaddingValue=0, PixelPaddingRangeLimit=199),
        surrounded(range(200), PixelPaddingValue=199, PixelPaddingRangeLimit=0),
    ):
        with pytest.raises(DecodeError, match="uses only 1000–1031 "):
            decode(made)
    # Declared, but not what surrounds it.
    assert np.ptp(grey(surrounded(range(1), PixelPaddingValue=5))) > 50


def test_padding_is_shown_as_the_value_that_it_is() -> None:
    assert (grey(dicom(WIDE, bits=12, PixelPaddingValue=0)) == grey(dicom(WIDE, bits=12))).all()
    alone = dicom(np.full((16, 16), 4095, np.uint16), bits=12, PixelPaddingValue=4095)
    assert (grey(alone) == 255).all()


# With one.


def test_windows_are_those_of_the_standard() -> None:
    # PS3.3 C.11.2.1.2.1, C.11.2.1.3.1 and C.11.2.1.3.2, with output from 0 to 255.
    values = WIDE * 2.0 - 1024
    centre, width = 40, 400
    linear = ((values - (centre - 0.5)) / (width - 1) + 0.5) * 255
    exact = ((values - centre) / width + 0.5) * 255
    sigmoid = 255 / (1 + np.exp(-4 * (values - centre) / width))
    for name, expected in (("LINEAR", linear), ("LINEAR_EXACT", exact), ("SIGMOID", sigmoid)):
        made = dicom(
            WIDE,
            bits=12,
            RescaleSlope=2,
            RescaleIntercept=-1024,
            WindowCenter=[centre, 1000],
            WindowWidth=[width, 10],
            VOILUTFunction=name,
        )
        off = grey(made) - np.clip(expected, 0, 255)
        assert abs(off).max() <= 0.5 + 1e-9, name
    unnamed = changed(made, VOILUTFunction=None)
    assert abs(grey(unnamed) - np.clip(linear, 0, 255)).max() <= 0.5 + 1e-9


def test_a_window_makes_visible_what_is_refused_without() -> None:
    dark = RAMP.astype(np.uint16) * 16
    made = dicom(dark, WindowCenter=2040, WindowWidth=4080, VOILUTFunction="LINEAR_EXACT")
    assert (grey(made) == RAMP).all()


def test_monochrome1_is_inverted() -> None:
    window = {"WindowCenter": 2000, "WindowWidth": 3000}
    plain = grey(dicom(WIDE, bits=12, **window))
    turned = grey(dicom(WIDE, bits=12, PhotometricInterpretation="MONOCHROME1", **window))
    assert abs(turned - (255.0 - plain)).max() <= 1  # halves are rounded to even
    assert (
        grey(dicom(RAMP, PhotometricInterpretation="MONOCHROME1")) == 255 - RAMP.astype(int)
    ).all()


@pytest.mark.parametrize(("bits", "top"), [(8, 255), (12, 4095), (16, 65535)])
def test_a_voi_table_is_looked_up(bits: int, top: int) -> None:
    # 1,000 entries from -100 on; values outside have the nearest (C.11.2.1.1).
    entries = np.linspace(top, 0, 1000).astype(int)
    made = dicom(
        WIDE,
        bits=12,
        RescaleSlope=1,
        RescaleIntercept=-1024,
        WindowCenter=1,
        WindowWidth=2,
        VOILUTSequence=[table(entries, -100, bits), table(entries[::-1], 0, bits)],
    )
    found = grey(made)
    indices = np.clip(WIDE.astype(int) - 1024 + 100, 0, 999)
    assert (found == np.rint(entries[indices] * 255 / top)).all()


def test_a_modality_table_is_looked_up() -> None:
    entries = np.linspace(0, 1, 256) ** 2 * 65535
    made = dicom(RAMP, ModalityLUTSequence=[table(entries.astype(int), 0, 16)])
    assert (grey(made) == np.rint(entries.astype(int) / 257)[RAMP]).all()


def test_what_an_enhanced_image_says_of_its_frame_is_heard() -> None:
    rescaled, view, group = Dataset(), Dataset(), Dataset()
    rescaled.RescaleSlope, rescaled.RescaleIntercept = 2, -1024
    view.WindowCenter, view.WindowWidth = 40, 400
    group.PixelValueTransformationSequence, group.FrameVOILUTSequence = [rescaled], [view]
    enhanced = dicom(
        WIDE, bits=12, NumberOfFrames=1, SharedFunctionalGroupsSequence=[group], PixelSpacing=[1, 1]
    )
    flat = dicom(
        WIDE, bits=12, RescaleSlope=2, RescaleIntercept=-1024, WindowCenter=40, WindowWidth=400
    )
    assert (grey(enhanced) == grey(flat)).all()


# Colours.


@pytest.mark.parametrize(("kind", "factor"), [("u1", 1), ("<u2", 257)])
def test_a_palette_is_looked_up(kind: str, factor: int) -> None:
    red, green, blue = RNG.integers(0, 256, (3, 200))
    tables: dict[str, Any] = {}
    for name, entries in (("Red", red), ("Green", green), ("Blue", blue)):
        tables[f"{name}PaletteColorLookupTableDescriptor"] = [200, 10, 8 if kind == "u1" else 16]
        tables[f"{name}PaletteColorLookupTableData"] = (entries * factor).astype(kind).tobytes()
    made = dicom(
        RAMP, uid.ImplicitVRLittleEndian, PhotometricInterpretation="PALETTE COLOR", **tables
    )
    indices = np.clip(RAMP.astype(int) - 10, 0, 199)
    assert (decoded(made) == np.stack([red, green, blue], -1)[indices]).all()


def test_ybr_becomes_rgb_as_in_jfif() -> None:
    ybr = np.asarray(Image.fromarray(COLOUR).convert("YCbCr"))
    found = decoded(dicom(ybr, PhotometricInterpretation="YBR_FULL")).astype(int)
    expected = np.asarray(Image.fromarray(ybr, "YCbCr").convert("RGB"))
    assert abs(found - expected).max() <= 1


# Compressed pixels.


def jpeg_2000(pixels: np.ndarray) -> bytes:
    return encoded(Image.fromarray(pixels), "JPEG2000", no_jp2=True)


LOSSLESS = {
    "RLE": rle,
    "JPEG 14": lambda p, **e: dicom(
        p, uid.JPEGLosslessSV1, stream=imagecodecs.jpeg8_encode(p, lossless=True), **e
    ),
    "JPEG-LS": lambda p, **e: dicom(
        p, uid.JPEGLSLossless, stream=imagecodecs.jpegls_encode(p), **e
    ),
    "JPEG 2000": lambda p, **e: dicom(p, uid.JPEG2000Lossless, stream=jpeg_2000(p), **e),
}


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_pixels_are_those_of_the_plain_file(name: str) -> None:
    window = {"WindowCenter": 30000, "WindowWidth": 50000}
    deep = RNG.integers(0, 65536, (16, 24), np.uint16)
    assert (grey(LOSSLESS[name](deep, **window)) == grey(dicom(deep, **window))).all()
    for pixels in (RAMP, COLOUR):
        assert (decoded(LOSSLESS[name](pixels)) == decoded(dicom(pixels))).all()


@pytest.mark.parametrize("subsampling", [0, 2])
def test_jpeg_is_what_other_programs_show(subsampling: int) -> None:
    smooth = np.stack([np.add.outer(np.arange(64), np.arange(48)) * n for n in (1, 2, 1)], -1)
    picture = Image.fromarray(smooth.astype(np.uint8))
    stream = encoded(picture, "JPEG", quality=90, subsampling=subsampling)
    made = dicom(
        np.asarray(picture),
        uid.JPEGBaseline8Bit,
        stream=stream,
        PhotometricInterpretation="YBR_FULL_422",
    )
    shown = np.asarray(Image.open(io.BytesIO(stream)).convert("RGB")).astype(int)
    assert abs(decoded(made) - shown).max() <= 1


def test_12_bit_jpeg() -> None:
    smooth = np.add.outer(np.arange(64), np.arange(64)).astype(np.uint16) * 30
    made = dicom(
        smooth,
        uid.JPEGExtended12Bit,
        stream=imagecodecs.jpeg8_encode(smooth, level=95, bitspersample=12),
        bits=12,
    )
    assert abs(grey(made) - smooth / 4095 * 255).max() <= 1


# Files of other programs, which come with pydicom.


def test_files_of_other_programs_are_read_or_refused(capfd: pytest.CaptureFixture[str]) -> None:
    read = 0
    for path in sorted(BUNDLED.glob("*.dcm")):
        try:
            decode(path.read_bytes())
            read += 1
        except DecodeError:
            pass
    assert read >= 40
    assert capfd.readouterr() == ("", "")


def test_one_image_in_eight_encodings() -> None:
    names = ["", "_RLE", "_bigendian", "_expb", "_implicit", "_jp2klossless", "_jpeg_ls_lossless"]
    shown = [grey(bundled(f"MR_small{name}.dcm")) for name in [*names, "_padded"]]
    stored = pydicom.dcmread(BUNDLED / "MR_small.dcm").pixel_array
    window = ((stored - 599.5) / 1599 + 0.5) * 255  # C.11.2.1.2.1 with its 600 and 1600
    assert abs(shown[0] - np.clip(window, 0, 255)).max() <= 0.5
    assert all((one == shown[0]).all() for one in shown)


def test_colour_bars_in_many_encodings() -> None:
    # What the files show, whoever compressed it: PS3.5 has no second opinion on pure colours.
    plain = decoded(bundled("SC_rgb_rle.dcm"))
    assert (plain[5, 5] == (255, 0, 0)).all()
    for name in ("SC_rgb_jpeg_gdcm", "SC_rgb_gdcm_KY", "SC_rgb_rle_16bit"):
        assert (decoded(bundled(f"{name}.dcm")) == plain).all(), name
    lossy = [path.name for path in BUNDLED.glob("SC_rgb_dcmtk_+eb*.dcm")]
    lossy += ["SC_rgb_jpeg_dcmtk.dcm", "SC_rgb_jpeg_lossy_gdcm.dcm", "SC_rgb_jls_lossy_line.dcm"]
    lossy += ["SC_ybr_full_422_uncompressed.dcm", "SC_rgb_jls_lossy_sample.dcm"]
    for name in lossy:
        # Red, from the middle of the bar; chroma is blurred at its edges.
        red = decoded(bundled(name))[3:7, 20:80].reshape(-1, 3).mean(0)
        assert red[0] > 245, name
        assert red[0] - red[1:].max() > 100, name


def test_the_palette_of_an_ultrasound_image() -> None:
    header = pydicom.dcmread(BUNDLED / "examples_palette.dcm")
    tables = [
        np.frombuffer(header[f"{name}PaletteColorLookupTableData"].value, "<u2")
        for name in ("Red", "Green", "Blue")
    ]
    expected = np.rint(np.stack(tables, -1)[header.pixel_array] / 257)
    assert (decoded(bundled("examples_palette.dcm")) == expected).all()


def test_a_jpeg_that_says_what_its_colours_are() -> None:
    header = pydicom.dcmread(BUNDLED / "SC_rgb_jpeg_app14_dcmd.dcm")
    stream = get_frame(header.PixelData, 0, number_of_frames=1)
    shown = np.asarray(Image.open(io.BytesIO(stream)).convert("RGB")).astype(int)
    assert abs(decoded(bundled("SC_rgb_jpeg_app14_dcmd.dcm")) - shown).max() <= 1


# What is refused.


def floating() -> bytes:
    pixels = np.zeros((16, 16), np.float32)
    made = dicom(pixels.astype(np.uint16), PixelData=None, FloatPixelData=pixels.tobytes())
    return changed(made, BitsAllocated=32)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (dicom(RAMP, NumberOfFrames=3), "3 frames in one file"),
        (dicom(None), "without pixels .*Secondary Capture"),
        (dicom(RAMP, PixelData=None), "without pixels"),
        (floating(), "floating-point pixels"),
        (dicom(RAMP.astype(np.uint32)), "32 of 32 bits"),
        (dicom(RAMP, Rows=65535, Columns=65535), "more than 89 million"),
        (dicom(RAMP, Rows=9000), "damaged"),
        (dicom(RAMP, BitsStored=60000), "60000 of 8 bits"),
        (dicom(RAMP, Rows=0), "damaged"),
        (dicom(WIDE << 4, bits=12, HighBit=15), "HighBit 15 with 12 bits stored"),
        (dicom(RAMP, PhotometricInterpretation="YBR_PARTIAL_422"), "YBR_PARTIAL_422|damaged"),
        (dicom(RAMP, PhotometricInterpretation="HSV"), "'HSV' with 1 samples"),
        (dicom(RAMP[:4, :4]), "4×4 pixels"),
        (dicom(RAMP)[:-100], "damaged"),
        (dicom(RAMP)[:140], "transfer syntax|damaged"),
        (bundled("image_dfl.dcm"), "'Deflated Explicit VR Little Endian'"),
        (bundled("meta_missing_tsyntax.dcm"), "names none as its transfer syntax"),
        (bundled("no_meta.dcm"), "not an image in a format that can be read"),
        (dicom(RAMP, WindowCenter=3, WindowWidth=0), "Window Width"),
        (dicom(RAMP, RescaleSlope="1e308", RescaleIntercept="0"), "is no number"),
        (dicom(RAMP, PhotometricInterpretation="PALETTE COLOR"), "damaged"),
    ],
)
def test_what_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(DecodeError, match=says):
        decode(data)


@pytest.mark.parametrize("name", LOSSLESS)
def test_streams_of_another_size_than_the_header_says_are_refused(name: str) -> None:
    large = np.zeros((2000, 2000), np.uint8)
    with pytest.raises(DecodeError, match=r"2000|RLE holds more"):
        decode(changed(LOSSLESS[name](large), Rows=16, Columns=16))
    with pytest.raises(DecodeError, match=r"damaged|its header says"):
        decode(changed(LOSSLESS[name](RAMP), Rows=9000, Columns=9000))


def segment(runs: bytes, **elements: Any) -> bytes:
    """A file like RAMP, whose pixels are one segment of RLE (PS3.5, G.5)."""
    header = struct.pack("<16I", 1, 64, *[0] * 14)
    return dicom(RAMP, uid.RLELossless, stream=header + runs + bytes(len(runs) % 2), **elements)


def test_rle_that_would_burst_is_refused_before_it_is_expanded() -> None:
    made = segment(b"\x81\x00" * 1_000_000)  # 128 MB
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError, match=r"says 256 pixels, and a segment .* holds more"):
            decode(made)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_rle_may_be_padded_to_an_even_length() -> None:
    odd = RNG.integers(0, 256, (15, 17), np.uint8)
    assert (grey(rle(odd)) == odd).all()
    plain = RAMP.tobytes()
    for more in (b"", b"\0"):
        assert (grey(segment(imagecodecs.packbits_encode(plain + more))) == RAMP).all()
    for other in (plain + b"\0\0", plain[:-1]):
        with pytest.raises(DecodeError, match="segment of its RLE"):
            decode(segment(imagecodecs.packbits_encode(other)))


def test_a_jpeg_of_thousands_of_scans_is_refused() -> None:
    stream = encoded(Image.new("L", (4000, 4000)), "JPEG", progressive=True)
    last = stream[stream.rindex(b"\xff\xda") : -2]
    made = dicom(
        np.zeros((4000, 4000), np.uint8),
        uid.JPEGBaseline8Bit,
        stream=stream[:-2] + last * 3000 + stream[-2:],
    )
    with pytest.raises(DecodeError, match="scans of 4000×4000 pixels"):
        decode(made)


def test_a_jpeg_ls_stream_that_is_cut_off_is_refused() -> None:
    stream = imagecodecs.jpegls_encode(RNG.integers(0, 256, (64, 64), np.uint8))
    made = dicom(np.zeros((64, 64), np.uint8), uid.JPEGLSLossless, stream=stream[:-100])
    with pytest.raises(DecodeError, match="cut off"):
        decode(made)


def test_jpeg_2000_in_a_file_format_of_its_own_is_refused() -> None:
    # A box of length 0 leads nowhere.
    boxes = b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(100)
    for stream in (encoded(Image.fromarray(RAMP), "JPEG2000"), boxes):
        with pytest.raises(DecodeError, match="not a JPEG 2000 codestream"):
            decode(dicom(RAMP, uid.JPEG2000, stream=stream))


# The extra, and what is recorded of it.

WITHOUT = """
import sys
sys.modules["pydicom"] = None
from pathlib import Path
from bottleneck.data.decode import decode
from bottleneck.errors import MissingExtraError
try:
    decode(Path(sys.argv[1]).read_bytes())
except MissingExtraError as error:
    print(error)
"""
UNTOUCHED = """
import sys
from pathlib import Path
from bottleneck.data.decode import decode, pixel_facts
from bottleneck.data.readers import load_dataset
dataset = load_dataset(sys.argv[1])
pixel_facts(decode(dataset.read(dataset.samples[0])))
print([name for name in ("pydicom", "imagecodecs") if name in sys.modules])
"""


def run(code: str, *arguments: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_without_the_extra_the_message_says_how_to_install_it(tmp_path: Path) -> None:
    (tmp_path / "x.dcm").write_bytes(dicom(RAMP))
    assert "pip install 'bottleneck-features[medical]'" in run(WITHOUT, tmp_path / "x.dcm")


def test_nothing_of_it_is_imported_for_other_images(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    Image.fromarray(RAMP).save(tmp_path / "a" / "1.png")
    assert run(UNTOUCHED, tmp_path) == "[]\n"


def test_what_is_kept_is_kept_by_the_version_of_the_codec(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, cache = dicom(RAMP), PixelCache(tmp_path)
    image = decode(data)
    cache.keep("ab" * 32, None, image, pixel_facts(image), codec(data))
    found = cache.find("ab" * 32, None, codec(data))
    assert found is not None
    assert found[0].tobytes() == image.tobytes()
    for version in (pydicom.__version__, imagecodecs.__version__):
        assert version in codec(data)
    monkeypatch.setattr("bottleneck.data.dicom.CODEC", "pydicom-9.9.9-imagecodecs-9.9.9")
    assert cache.find("ab" * 32, None, codec(data)) is None
    assert codec(encoded(Image.fromarray(RAMP), "PNG")) == ""


def test_a_missing_extra_is_no_fault_of_an_image() -> None:
    # Else it would be listed with each image, and a run would end with none.
    assert not issubclass(MissingExtraError, DecodeError | OSError)
