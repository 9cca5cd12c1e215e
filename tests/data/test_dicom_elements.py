"""DICOM headers with elements that are empty, missing, of another type or not valid."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from made_dicom import RAMP, WIDE, dicom, grey, written
from pydicom import dcmread, uid
from raw_dicom import (
    COLOUR,
    COLOURS,
    PLAIN,
    file_of,
    image,
    us,
)

from bottleneck.data.images.decode import decode, decode_with_notes
from bottleneck.data.images.display import Display
from bottleneck.errors import DecodeError

RNG = np.random.default_rng(3)


# Empty counts as absent; of several values, the first that is not empty counts.


@pytest.mark.parametrize(
    ("empty", "absent"),
    [
        ({"RescaleSlope": b"", "RescaleIntercept": b""}, ("RescaleSlope", "RescaleIntercept")),
        ({"RescaleSlope": b"  ", "RescaleIntercept": b"\0\0"}, ()),
        ({"NumberOfFrames": b""}, ()),
        ({"VOILUTFunction": b"  "}, ()),
        ({"PixelPaddingValue": b"", "PixelPaddingRangeLimit": b""}, ()),
        ({"PresentationLUTShape": b""}, ()),
        ({"PlanarConfiguration": b"", "HighBit": b""}, ()),
        ({"VOILUTSequence": b"", "ModalityLUTSequence": b""}, ()),
        ({"VOILUTSequence": [{}], "ModalityLUTSequence": [{}]}, ()),
        ({"VOILUTSequence": [{"LUTDescriptor": ("US", b""), "LUTData": ("OW", b"")}]}, ()),
        ({"SharedFunctionalGroupsSequence": b"", "PerFrameFunctionalGroupsSequence": [{}]}, ()),
    ],
)
def test_what_is_empty_counts_as_absent(empty: dict[str, Any], absent: tuple[str, ...]) -> None:
    vrs = {"RescaleSlope": "DS", "RescaleIntercept": "DS", "NumberOfFrames": "IS"}
    made = {
        name: (vrs.get(name, "SQ" if "Sequence" in name else "CS"), value)
        for name, value in empty.items()
    }
    plain = {name: value for name, value in PLAIN.items() if name not in absent}
    assert (grey(file_of(PLAIN | made)) == grey(file_of(plain))).all()


@pytest.mark.parametrize(
    ("centre", "width"),
    [
        (b"\\2048 ", b"\\4096 "),
        (b"\\2048\\1", b"\\4096\\1 "),
        (b" \\2048", b"\\4096 "),
        (b"1\\2048", b"\\4096 "),
        (b"2048\\1\\2", b"4096"),
    ],
)
def test_the_first_window_that_is_not_empty_counts(centre: bytes, width: bytes) -> None:
    made = PLAIN | {"WindowCenter": ("DS", centre), "WindowWidth": ("DS", width)}
    assert (grey(file_of(made)) == grey(file_of(PLAIN))).all()


def test_a_slope_without_an_intercept_is_not_applied() -> None:
    # C.11.1: both are required of a rescaling, as pydicom and DCMTK require them.
    shown, notes = decode_with_notes(file_of(PLAIN | {"RescaleSlope": ("DS", b"2 ")}))
    assert (np.asarray(shown)[..., 0] == grey(file_of(PLAIN))).all()
    assert notes == ("RescaleSlope without RescaleIntercept: not applied",)


@pytest.mark.parametrize("empty", [{}, {"RescaleSlope": ("DS", b"")}])
def test_an_intercept_without_a_slope_is_not_guessed(empty: dict[str, Any]) -> None:
    # pydicom and DCMTK ignore it, GDCM and fo-dicom do not.
    made = PLAIN | {"RescaleIntercept": ("DS", b"-1024 ")} | empty
    with pytest.raises(DecodeError, match=r"RescaleIntercept is -1024 and RescaleSlope is missing"):
        decode(file_of(made))
    with pytest.raises(DecodeError, match=r"write RescaleSlope into the file"):
        decode(file_of(made), display=Display(window=(2048, 4096)))
    # These do not depend on it.
    without = {name: value for name, value in made.items() if not name.startswith("Window")}
    unscaled = {name: value for name, value in without.items() if not name.startswith("Rescale")}
    shown, notes = decode_with_notes(file_of(without))
    assert (np.asarray(shown)[..., 0] == grey(file_of(unscaled))).all()
    assert notes == ("RescaleIntercept without RescaleSlope: not applied",)
    for one in (without, made):
        scaled = decode(file_of(one), display=Display(rescale=True))
        expected = decode(file_of(unscaled), display=Display(rescale=True))
        assert (np.asarray(scaled) == np.asarray(expected)).all()
    made |= {"RescaleIntercept": ("DS", b"0 ")}
    assert (grey(file_of(made)) == grey(file_of(PLAIN))).all()


# What is missing is deduced, with a note, or named.


@pytest.mark.parametrize(
    ("missing", "bits"), [(("BitsStored",), 12), (("BitsStored", "HighBit"), 16), (("HighBit",), 0)]
)
def test_bits_stored_are_deduced(missing: tuple[str, ...], bits: int) -> None:
    made = {name: value for name, value in PLAIN.items() if name not in missing}
    shown, notes = decode_with_notes(file_of(made))
    assert (np.asarray(shown)[..., 0] == grey(file_of(PLAIN))).all()
    assert notes == ((f"DICOM without BitsStored: read as {bits}",) if bits else ())


@pytest.mark.parametrize(
    "name",
    [
        "Rows",
        "Columns",
        "SamplesPerPixel",
        "PhotometricInterpretation",
        "BitsAllocated",
        "PixelRepresentation",
    ],
)
@pytest.mark.parametrize("is_empty", [False, True])
def test_what_is_required_is_named(name: str, is_empty: bool) -> None:
    made = PLAIN | {name: (PLAIN[name][0], b"")}
    if not is_empty:
        del made[name]
    with pytest.raises(DecodeError, match=f"the DICOM header has no {name}$"):
        decode(file_of(made))


def test_missing_planar_configuration_has_a_note() -> None:
    made = {name: value for name, value in COLOUR.items() if name != "PlanarConfiguration"}
    shown, notes = decode_with_notes(file_of(made))
    assert (np.asarray(shown) == COLOURS).all()
    assert notes == ("DICOM without PlanarConfiguration: read as 0, colour by pixel",)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("WindowCenter", b"2047,5", r"WindowCenter is '2047,5', which is not a number; .* point"),
        ("RescaleSlope", b"1,0 ", r"RescaleSlope is '1,0', which is not a number"),
        ("RescaleSlope", b"abc ", r"RescaleSlope is 'abc', which is not a number"),
        ("RescaleSlope", b"1_0 ", r"RescaleSlope is '1_0', which is not a number"),
        ("RescaleSlope", b"nan ", r"RescaleSlope is 'nan', which is not a number"),
        ("RescaleSlope", b"1e999 ", r"RescaleSlope is '1e999', which is not a finite number"),
        ("RescaleSlope", b"0 ", r"RescaleSlope is 0, which makes all values"),
        ("NumberOfFrames", b"one ", r"NumberOfFrames is 'one', which is not a number"),
        ("NumberOfFrames", b"1.5 ", r"NumberOfFrames is 1.5, which is not a whole number"),
        ("WindowWidth", b"0 ", r"WindowWidth is 0, and LINEAR needs at least 1: .*--window"),
        ("WindowWidth", b"-4", r"WindowWidth is -4, and LINEAR needs at least 1"),
        ("VOILUTFunction", b"SQUARE", r"VOILUTFunction is 'SQUARE', but the standard has LINEAR"),
        ("Rows", b"\1", r"Rows has 1 bytes, and its values have 2 each"),
        (
            "PixelRepresentation",
            b"\2\0",
            r"PixelRepresentation is 2, but the standard has only 0 "
            r"and 1",
        ),
        ("BitsAllocated", b"\x0c\0", r"12 of 12 bits|12 of 12|of 12 bits per value"),
    ],
)
def test_what_is_not_valid_is_named_with_its_value(name: str, value: bytes, says: str) -> None:
    vr = PLAIN.get(name, ("CS" if name == "VOILUTFunction" else "DS", b""))[0]
    made = {"RescaleIntercept": ("DS", b"0 ")} | PLAIN | {name: (vr, value)}
    with pytest.raises(DecodeError, match=says):
        decode(file_of(made))


# Pixel data of another length than the header describes.


def test_pixel_data_may_be_padded() -> None:
    for more in (b"\0\0", b"\1\2\3\4", bytes(100), b"\xff" * 8000):
        made = PLAIN | {"PixelData": ("OW", WIDE.tobytes() + more)}
        assert (grey(file_of(made)) == grey(file_of(PLAIN))).all()
    odd = RAMP[:15, :15].copy()
    made = image(odd) | {"PixelData": ("OB", odd.tobytes())}
    assert (grey(file_of(made)) == odd).all()


@pytest.mark.parametrize(
    ("length", "says"),
    [
        (8190, r"8,190 of 8,192 bytes"),
        (100, r"100 of 8,192"),
        (
            8320,
            r"8,320 bytes of pixel data, where the header describes 8,192: there may be several "
            r"frames, or val",
        ),
        (
            12288,
            r"there may be several frames, or val",
        ),  # 12-bit values where 8 bits are stated, for example.
        (16384, r"there may be several frames, or val"),
    ],
)
def test_pixel_data_of_another_length_are_refused(length: int, says: str) -> None:
    data = np.resize(WIDE, 8192).tobytes()[:length]
    with pytest.raises(DecodeError, match=says):
        decode(file_of(PLAIN | {"PixelData": ("OW", data)}))


# Bits that do not belong to the value (PS3.5, 8.1.1).


def test_an_overlay_in_unused_bits_is_ignored() -> None:
    high = (RNG.integers(0, 16, WIDE.shape) << 12).astype(np.uint16)
    covered = dicom(WIDE | high, bits=12)
    with pytest.raises(DecodeError, match="12 bits can hold 4095"):
        decode(covered)
    made = dcmread(io.BytesIO(covered))
    made.add_new(0x60000100, "US", 16)
    made.add_new(0x60000102, "US", 12)
    overlaid = written(made, uid.ExplicitVRLittleEndian)
    assert (grey(overlaid) == grey(dicom(WIDE, bits=12))).all()


def test_the_sign_is_that_of_the_highest_stored_bit() -> None:
    signed = WIDE.astype(np.int16) - 2048
    plain = grey(dicom(signed, bits=12))
    for words in (signed.view(np.uint16) & 0x0FFF, signed.view(np.uint16)):
        made = image(words, 12) | {"PixelRepresentation": us(1)}
        assert (grey(file_of(made)) == plain).all()
    made = image(signed.view(np.uint16) & 0x3FFF, 12) | {"PixelRepresentation": us(1)}
    with pytest.raises(DecodeError, match="bits above them that are not their sign"):
        decode(file_of(made))


def test_values_in_high_bits_are_shifted() -> None:
    made = image(WIDE << 4, 12) | {"HighBit": us(15)}
    assert (grey(file_of(made)) == grey(dicom(WIDE, bits=12))).all()
