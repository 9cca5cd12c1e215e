"""The colours of compressed DICOM files."""

from __future__ import annotations

import io
import struct
from typing import Any

import imagecodecs
import numpy as np
import pytest
from dicom_standard import run_lengths, to_rgb, write
from made_dicom import changed, decoded, dicom, encoded
from PIL import Image
from pydicom import uid
from pydicom.encaps import encapsulate

from bottleneck.data.images.decode import decode, decode_with_notes
from bottleneck.errors import DecodeError

STEPS = np.add.outer(np.arange(48) * 2, np.arange(64) * 2)
COLOUR = np.stack([STEPS, 200 - STEPS, STEPS[::-1] // 2], -1).clip(0, 255).astype(np.uint8)
JFIF = b"\xff\xe0\x00\x10JFIF\0\1\1\0\0\1\0\1\0\0"
NOTE = "JPEG without colour markers and without subsampling: read as RGB, as its header states"


def adobe(transform: int) -> bytes:
    return b"\xff\xee\x00\x0eAdobe" + struct.pack(">HHHB", 100, 0, 0, transform)


def jpeg(is_rgb: bool, subsampling: int, marker: bytes, ids: bytes) -> tuple[bytes, np.ndarray]:
    """A stream with other markers and component identifiers, and what it shows."""
    image = Image.fromarray(COLOUR)
    plain = encoded(image, "JPEG", quality=95, subsampling=subsampling, keep_rgb=is_rgb)
    shown = np.asarray(Image.open(io.BytesIO(plain)).convert("RGB"))
    at, made = 2, bytearray(b"\xff\xd8" + marker)
    while True:
        kind, length = plain[at + 1], int.from_bytes(plain[at + 2 : at + 4], "big")
        segment = bytearray(plain[at : at + 2 + length])
        at += 2 + length
        if kind in (0xE0, 0xEE):
            continue
        if kind == 0xC0:
            segment[10::3] = ids
        if kind == 0xDA:
            segment[5:11:2] = ids
        made += segment
        if kind == 0xDA:
            return bytes(made) + plain[at:], shown


def shown_in_dicom(stream: bytes, colours: str) -> tuple[np.ndarray, tuple[str, ...]]:
    made = dicom(COLOUR, uid.JPEGBaseline8Bit, stream=stream, PhotometricInterpretation=colours)
    image, notes = decode_with_notes(made)
    return np.asarray(image).astype(int), notes


@pytest.mark.parametrize("colours", ["RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_422"])
@pytest.mark.parametrize(
    ("is_rgb", "subsampling", "marker", "ids"),
    [
        *[(False, subsampling, b"", b"\1\2\3") for subsampling in (1, 2)],
        *[(False, subsampling, b"", b"RGB") for subsampling in (1, 2)],
        *[(False, s, m, b"\1\2\3") for s in (0, 1, 2) for m in (JFIF, adobe(1), JFIF + adobe(1))],
        (True, 0, adobe(0), b"\1\2\3"),
        (True, 0, adobe(0), b"RGB"),
        (True, 0, b"", b"RGB"),
    ],
)
def test_a_stream_that_states_its_colours_is_believed(
    colours: str, is_rgb: bool, subsampling: int, marker: bytes, ids: bytes
) -> None:
    # ISO/IEC 10918-5 (JFIF), Adobe's note 5116, and libjpeg's treatment of identifiers.
    stream, expected = jpeg(is_rgb, subsampling, marker, ids)
    shown, notes = shown_in_dicom(stream, colours)
    assert abs(shown - expected).max() <= 1
    assert notes == ()


def test_a_stream_that_states_nothing_has_the_colours_of_the_header() -> None:
    for is_rgb, colours, noted in (
        (True, "RGB", (NOTE,)),
        (False, "YBR_FULL", ()),
        (False, "YBR_FULL_422", ()),
    ):
        stream, expected = jpeg(is_rgb, 0, b"", b"\1\2\3")
        shown, notes = shown_in_dicom(stream, colours)
        assert abs(shown - expected).max() <= 1
        assert notes == noted
    with pytest.raises(DecodeError, match="'YBR_PARTIAL_422' with 3 samples of 8 bits"):
        shown_in_dicom(stream, "YBR_PARTIAL_422")


@pytest.mark.parametrize("colours", ["RGB", "YBR_RCT", "YBR_ICT", "YBR_FULL"])
@pytest.mark.parametrize("mct", [False, True])
def test_the_colours_of_jpeg_2000(colours: str, mct: bool) -> None:
    stream = imagecodecs.jpeg2k_encode(COLOUR, level=0, reversible=True, codecformat="J2K", mct=mct)
    made = dicom(COLOUR, uid.JPEG2000Lossless, stream=stream, PhotometricInterpretation=colours)
    # PS3.5, 8.2.4: YBR_RCT and YBR_ICT are the transform of the stream, which the decoder inverts.
    is_ybr = colours == "YBR_FULL" and not mct
    assert abs(decoded(made) - (to_rgb(COLOUR) if is_ybr else COLOUR)).max() <= 1


@pytest.mark.parametrize("colours", ["RGB", "YBR_FULL", "YBR_FULL_422"])
@pytest.mark.parametrize("name", ["RLE", "JPEG-LS", "JPEG-LS by plane", "JPEG lossless"])
def test_lossless_streams_have_the_colours_of_the_header(colours: str, name: str) -> None:
    syntax, stream = {
        "RLE": lambda: (uid.RLELossless, run_lengths(COLOUR)),
        "JPEG-LS": lambda: (uid.JPEGLSLossless, imagecodecs.jpegls_encode(COLOUR)),
        "JPEG-LS by plane": lambda: (uid.JPEGLSLossless, jpeg_ls_by_plane(COLOUR)),
        "JPEG lossless": lambda: (
            uid.JPEGLosslessSV1,
            imagecodecs.jpeg8_encode(COLOUR, lossless=True),
        ),
    }[name]()
    made = dicom(COLOUR, syntax, stream=stream, PhotometricInterpretation=colours)
    expected = COLOUR if colours == "RGB" else to_rgb(COLOUR)
    assert abs(decoded(made) - expected).max() <= 1


def jpeg_ls_by_plane(pixels: np.ndarray) -> bytes:
    """Three scans of one component each (ISO/IEC 14495-1, interleave mode 0)."""
    frame, scans = b"", b""
    for number, plane in enumerate(np.moveaxis(pixels, -1, 0), 1):
        stream = imagecodecs.jpegls_encode(np.ascontiguousarray(plane))
        at = stream.index(b"\xff\xf7")
        length = int.from_bytes(stream[at + 2 : at + 4], "big")
        frame = stream[at : at + 2 + length]
        scan = bytearray(stream[stream.index(b"\xff\xda") : -2])
        scan[5] = number
        scans += scan
    components = b"".join(bytes([number, 0x11, 0]) for number in (1, 2, 3))
    header = frame[4:9] + b"\3" + components
    return b"\xff\xd8\xff\xf7" + struct.pack(">H", 2 + len(header)) + header + scans + b"\xff\xd9"


@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian])
def test_planar_configuration(planar: int, syntax: uid.UID) -> None:
    made = write(COLOUR, syntax, "RGB", 8, planar=planar)
    assert (decoded(made) == COLOUR).all()
    coded = dicom(COLOUR, uid.RLELossless, stream=run_lengths(COLOUR), PlanarConfiguration=planar)
    assert (decoded(coded) == COLOUR).all()


def test_what_is_called_subsampled_and_is_not() -> None:
    full = write(COLOUR, uid.ExplicitVRLittleEndian, "YBR_FULL_422", 8)
    assert abs(decoded(full) - to_rgb(COLOUR)).max() <= 1
    # C.7.6.3.1.3: subsampled values have no planes.
    half = write(COLOUR, uid.ExplicitVRLittleEndian, "YBR_FULL_422", 8, subsampled=True)
    with pytest.raises(DecodeError, match=r"YBR_FULL_422 needs .* PlanarConfiguration 0"):
        decode(changed(half, PlanarConfiguration=1))


@pytest.mark.parametrize(
    ("elements", "says"),
    [
        ({"PhotometricInterpretation": "ARGB"}, "'ARGB' without compression"),
        ({"PhotometricInterpretation": "YBR_PARTIAL_420"}, "'YBR_PARTIAL_420' without"),
        ({"PhotometricInterpretation": "MONOCHROME2"}, "'MONOCHROME2' with 3 samples"),
        ({"PlanarConfiguration": 2}, "PlanarConfiguration is 2"),
        ({"PixelRepresentation": 1}, "PixelRepresentation is 1, but colours have no sign"),
        ({"SamplesPerPixel": 4}, "4 samples per pixel: 1 and 3 are supported"),
    ],
)
def test_other_colours_are_refused(elements: dict[str, Any], says: str) -> None:
    with pytest.raises(DecodeError, match=says):
        decode(dicom(COLOUR, **elements))


def test_several_frames_that_the_header_does_not_count_are_refused() -> None:
    stream = encoded(Image.fromarray(COLOUR), "JPEG")
    made = dicom(COLOUR, uid.JPEGBaseline8Bit, stream=stream, NumberOfFrames="")
    assert decode(made).size == (64, 48)
    rle = encapsulate([run_lengths(COLOUR)] * 3, has_bot=False)
    for data, syntax, count in (
        (encapsulate([stream, stream]), uid.JPEGBaseline8Bit, 2),
        (encapsulate([stream, stream], has_bot=False), uid.JPEGBaseline8Bit, 2),
        (rle, uid.RLELossless, 3),
    ):
        several = dicom(COLOUR, syntax, stream=stream, PixelData=data, NumberOfFrames="")
        with pytest.raises(DecodeError, match=f"{count} frames in one file"):
            decode(several)


def test_a_frame_may_be_in_several_fragments() -> None:
    stream = encoded(Image.fromarray(COLOUR), "JPEG")
    made = dicom(COLOUR, uid.JPEGBaseline8Bit, stream=stream)
    for has_bot in (False, True):
        parts = dicom(
            COLOUR,
            uid.JPEGBaseline8Bit,
            stream=stream,
            PixelData=encapsulate([stream], fragments_per_frame=3, has_bot=has_bot),
        )
        assert (decoded(parts) == decoded(made)).all()


@pytest.mark.parametrize(
    ("syntax", "encode"),
    [
        (uid.JPEGLosslessSV1, lambda words: imagecodecs.ljpeg_encode(words, bitspersample=12)),
        (uid.JPEG2000Lossless, lambda words: imagecodecs.jpeg2k_encode(
            words, level=0, codecformat="j2k", bitspersample=12)),
    ],
)  # fmt: skip
def test_a_sign_that_a_shorter_stream_may_hold_is_refused(syntax: uid.UID, encode: Any) -> None:
    # The highest of 12 bits is a sign if the header states 12 bits, and unclear if it states 16.
    values = STEPS.astype(np.int16) * 16 - 1500
    window = {"WindowCenter": 0, "WindowWidth": 4000}
    stream = encode((values & 0xFFF).astype(np.uint16))
    expected = decoded(dicom(values, bits=12, **window))
    assert (decoded(dicom(values, syntax, stream=stream, bits=12, **window)) == expected).all()
    with pytest.raises(DecodeError, match=r"16 bits, the compressed stream has 12.*unclear"):
        decode(dicom(values, syntax, stream=stream, bits=16, **window))
    positive = (STEPS * 9).astype(np.int16)  # Less than 2048: the same in both readings.
    stream = encode(positive.astype(np.uint16))
    expected = decoded(dicom(positive, **window))
    assert (decoded(dicom(positive, syntax, stream=stream, **window)) == expected).all()
