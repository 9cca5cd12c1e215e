"""DICOM files: the display that their headers specify."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from made_dicom import RAMP, WIDE, changed, decoded, dicom, grey
from PIL import Image
from pydicom import Dataset, uid

from bottleneck.data.images.decode import decode
from bottleneck.errors import DecodeError

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (16, 24, 3), np.uint8)


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
    with pytest.raises(DecodeError, match=r"levels are \d+–\d+ of .*--window .*WindowCenter"):
        decode(dicom(dark))
    with pytest.raises(DecodeError, match="would show almost nothing"):
        decode(dicom(np.full((16, 16), 7, kind)))


def surrounded(padding: range, kind: Any = np.uint16, **elements: Any) -> bytes:
    """An image that uses 32 values of 12 bits, amid others."""
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
        with pytest.raises(DecodeError, match="would show almost nothing"):
            decode(made)
    # Declared, but not what surrounds it.
    assert np.ptp(grey(surrounded(range(1), PixelPaddingValue=5))) > 50


def test_padding_is_shown_as_the_value_that_it_is() -> None:
    assert (grey(dicom(WIDE, bits=12, PixelPaddingValue=0)) == grey(dicom(WIDE, bits=12))).all()
    alone = dicom(np.full((16, 16), 4095, np.uint16), bits=12, PixelPaddingValue=4095)
    with pytest.raises(DecodeError, match="nothing but padding"):
        decode(alone)


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
