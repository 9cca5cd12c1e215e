"""DICOM files: every supported encoding of pixels, and what is refused."""

from __future__ import annotations

import io
import re
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
from made_dicom import RAMP, WIDE, changed, decoded, dicom, encoded, grey, rle
from PIL import Image
from pydicom import uid
from pydicom.encaps import get_frame

from bottleneck.data.images.decode import codec, decode, pixel_facts
from bottleneck.data.images.pixel_cache import PixelCache
from bottleneck.errors import DecodeError, MissingExtraError

BUNDLED = Path(pydicom.__file__).parent / "data" / "test_files"
RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (16, 24, 3), np.uint8)


def bundled(name: str) -> bytes:
    return (BUNDLED / name).read_bytes()


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
    image = Image.fromarray(smooth.astype(np.uint8))
    stream = encoded(image, "JPEG", quality=90, subsampling=subsampling)
    made = dicom(
        np.asarray(image),
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


REASONS = (
    r"\d+ frames in one file: ",
    r"a DICOM file without pixels \(",
    r"pixels: each side needs at least 8",
    r"would show almost nothing",
    r"32 of 32 bits per value",
    r"not a JPEG 2000 codestream",
    r"its pixel data cannot be decoded as JPEG 2000",
    r"[\d,]+ of [\d,]+ bytes of pixel data",
    r"NumberOfFrames is '1A', which is not a number",
    r"the DICOM header has no Rows",
    r"transfer syntax of the DICOM file is 'Deflated",
    r"not an image in a supported format",
)


def test_files_of_other_programs_are_read_or_refused(capfd: pytest.CaptureFixture[str]) -> None:
    read, refused = 0, []
    for path in sorted(BUNDLED.glob("*.dcm")):
        try:
            decode(path.read_bytes())
            read += 1
        except DecodeError as error:
            refused.append(str(error))
    assert read >= 39
    assert [e for e in refused if not any(re.search(reason, e) for reason in REASONS)] == []
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
        (dicom(RAMP, Rows=65535, Columns=65535), "the limit is 89 million"),
        (dicom(RAMP, Rows=9000), "damaged"),
        (dicom(RAMP, BitsStored=60000), "60000 of 8 bits"),
        (dicom(RAMP, Rows=0), "damaged"),
        (dicom(WIDE, bits=12, HighBit=15), "HighBit 15 with 12 bits stored"),
        (dicom(WIDE, bits=12, HighBit=10), "HighBit 10 with 12 bits stored"),
        (dicom(RAMP, PhotometricInterpretation="YBR_PARTIAL_422"), "'YBR_PARTIAL_422' without"),
        (dicom(RAMP, PhotometricInterpretation="HSV"), "'HSV' without compression"),
        (dicom(RAMP[:4, :4]), "4×4 pixels"),
        (dicom(RAMP)[:-100], "damaged"),
        (dicom(RAMP)[:140], "without pixels"),
        (bundled("image_dfl.dcm"), "'Deflated Explicit VR Little Endian'"),
        (bundled("meta_missing_tsyntax.dcm"), "has no Rows"),
        (bundled("no_meta.dcm"), "not an image in a supported format"),
        (
            dicom(RAMP, WindowCenter=3, WindowWidth=0),
            "WindowWidth is 0, and LINEAR needs at least 1: correct its header",
        ),
        (dicom(RAMP, RescaleSlope="1e308", RescaleIntercept="0"), "is not a finite number"),
        (
            dicom(RAMP, PhotometricInterpretation="PALETTE COLOR"),
            "has no RedPaletteColorLookupTableDescriptor",
        ),
    ],
)
def test_what_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(DecodeError, match=says):
        decode(data)


@pytest.mark.parametrize("name", LOSSLESS)
def test_streams_of_another_size_than_the_header_says_are_refused(name: str) -> None:
    large = np.zeros((2000, 2000), np.uint8)
    with pytest.raises(DecodeError, match=r"2000|RLE segment has more"):
        decode(changed(LOSSLESS[name](large), Rows=16, Columns=16))
    with pytest.raises(DecodeError, match=r"damaged|the DICOM header states"):
        decode(changed(LOSSLESS[name](RAMP), Rows=9000, Columns=9000))


def segment(runs: bytes, **elements: Any) -> bytes:
    """A file like RAMP, whose pixels are one segment of RLE (PS3.5, G.5)."""
    header = struct.pack("<16I", 1, 64, *[0] * 14)
    return dicom(RAMP, uid.RLELossless, stream=header + runs + bytes(len(runs) % 2), **elements)


def test_rle_that_would_burst_is_refused_before_it_is_expanded() -> None:
    made = segment(b"\x81\x00" * 1_000_000)  # 128 MB
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError, match=r"states 256 pixels, an RLE segment has more"):
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
        with pytest.raises(DecodeError, match="an RLE segment has"):
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
from bottleneck.data.images.decode import decode
from bottleneck.errors import MissingExtraError
try:
    decode(Path(sys.argv[1]).read_bytes())
except MissingExtraError as error:
    print(error)
"""
UNTOUCHED = """
import sys
from pathlib import Path
from bottleneck.data.images.decode import decode, pixel_facts
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
    for number, name in enumerate("ab"):
        (tmp_path / name).mkdir()
        Image.fromarray(RAMP + np.uint8(number)).save(tmp_path / name / "1.png")
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
    monkeypatch.setattr(
        "bottleneck.data.images.dicom.dicom_images.CODEC", "pydicom-9.9.9-imagecodecs-9.9.9"
    )
    assert cache.find("ab" * 32, None, codec(data)) is None
    assert codec(encoded(Image.fromarray(RAMP), "PNG")) == ""


def test_a_missing_extra_is_no_fault_of_an_image() -> None:
    # Else it would be listed with each image, and a run would end with none.
    assert not issubclass(MissingExtraError, DecodeError | OSError)
