"""DICOM files: the display that their headers specify."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from made_dicom import RAMP, WIDE, changed, decoded, dicom, grey, written
from PIL import Image
from pydicom import Dataset, dcmread, uid

from bottleneck.data.images.decode import decode
from bottleneck.data.images.display import Display
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
    big = dcmread(io.BytesIO(dicom(RAMP, uid.ExplicitVRBigEndian, BitsAllocated=1, BitsStored=1)))
    big.HighBit = 0
    big.PixelData = bits.reshape(-1, 2)[:, ::-1].tobytes()
    big["PixelData"].VR = "OW"  # Words of big-endian order.
    assert (grey(written(big, uid.ExplicitVRBigEndian)) == grey(made)).all()


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
    with pytest.raises(DecodeError, match="only padding"):
        decode(alone)


@pytest.mark.parametrize("shade", [0, 90, 255])
def test_8_bits_that_nothing_changes_may_show_nothing(shade: int) -> None:
    flat = np.full((16, 16), shade, np.uint8)
    for elements in (
        {},
        {"RescaleSlope": 2, "RescaleIntercept": -100},
        {"WindowCenter": 128, "WindowWidth": 256},
    ):
        assert (grey(dicom(flat, **elements)) == shade).all()
        inverted = dicom(flat, PhotometricInterpretation="MONOCHROME1", **elements)
        assert (grey(inverted) == 255 - shade).all()
    assert (decoded(dicom(np.full((16, 16, 3), shade, np.uint8))) == shade).all()
    for elements in (
        {"WindowCenter": 100, "WindowWidth": 30},
        {"ModalityLUTSequence": [table(np.arange(255, -1, -1) ** 2, 0, 16)]},
    ):
        with pytest.raises(DecodeError, match="would show almost nothing"):
            decode(dicom(flat, **elements))


@pytest.mark.parametrize("shape", [(16, 16), (16, 16, 3)])
def test_deep_images_without_contrast_are_refused(shape: tuple[int, ...]) -> None:
    # The rule of refuse_faint: the 0.5th and 99.5th percentile are at most 32 levels apart.
    for levels, is_refused in ((30, True), (35, False)):
        values = np.linspace(10_000, 10_000 + levels * 257, 256).astype(np.uint16)
        pixels = np.resize(np.repeat(values, shape[2] if shape[2:] else 1), shape)
        if is_refused:
            with pytest.raises(DecodeError, match="would show almost nothing"):
                decode(dicom(pixels))
        else:
            assert np.ptp(decoded(dicom(pixels))) >= 34


@pytest.mark.parametrize(
    ("elements", "kind"),
    [
        ({"WindowCenter": 40, "WindowWidth": 400}, "with the window 40,400 of its header"),
        ({"WindowCenter": 20_000, "WindowWidth": 400_000}, "with the window 20000,400000"),
        ({"WindowCenter": 60_000, "WindowWidth": 1, "VOILUTFunction": "SIGMOID"}, "with the wind"),
        ({"VOILUTSequence": [table(np.arange(4096), 30_000, 12)]}, "with the VOI LUT"),
        ({"RescaleSlope": "1e-9", "RescaleIntercept": "0", "WindowCenter": 9}, "without a window"),
    ],
)
def test_a_window_beside_the_values_or_too_wide_is_refused(
    elements: dict[str, Any], kind: str
) -> None:
    values = WIDE + np.uint16(8000)
    with pytest.raises(DecodeError, match=f"{kind}.* almost nothing.*--window.*--rescale"):
        decode(dicom(values, **elements))


# A window or a scaling that the user states.


@pytest.mark.parametrize(
    "elements",
    [
        {},
        {"WindowCenter": 30_000, "WindowWidth": 5},
        {"WindowCenter": 0, "WindowWidth": 0},
        {"VOILUTSequence": [table(np.arange(4096), 30_000, 12)]},
        {"VOILUTFunction": "SIGMOID", "WindowCenter": 1, "WindowWidth": 1},
    ],
)
def test_a_stated_window_replaces_that_of_the_file(elements: dict[str, Any]) -> None:
    made = dicom(WIDE, bits=12, RescaleSlope=2, RescaleIntercept=-1024, **elements)
    measured = WIDE * 2.0 - 1024
    levels = np.clip(((measured - 39.5) / 399 + 0.5) * 255, 0, 255)  # C.11.2.1.2.1
    shown = np.asarray(decode(made, display=Display(window=(40, 400))))[..., 0]
    assert abs(shown - levels).max() <= 0.5 + 1e-9
    inverted = changed(made, PhotometricInterpretation="MONOCHROME1")
    shown = np.asarray(decode(inverted, display=Display(window=(40, 400))))[..., 0]
    assert abs(shown - (255 - levels)).max() <= 0.5 + 1e-9
    with pytest.raises(DecodeError, match=r"with the window 90000,10 that would show almost"):
        decode(made, display=Display(window=(90_000, 10)))


@pytest.mark.parametrize(("slope", "centre", "width"), [("0.001", 2.0, 3.0), ("0.0001", 0.2, 0.25)])
def test_a_stated_window_of_fractions_has_its_width(
    slope: str, centre: float, width: float
) -> None:
    made = dicom(WIDE, bits=12, RescaleSlope=slope, RescaleIntercept=0)
    levels = np.clip((WIDE * float(slope) - centre) / width + 0.5, 0, 1) * 255  # C.11.2.1.3.2
    shown = np.asarray(decode(made, display=Display(window=(centre, width))))[..., 0]
    assert abs(shown - levels).max() <= 0.5 + 1e-9


@pytest.mark.parametrize("slope", [1.0, -0.5])
@pytest.mark.parametrize("kind", [np.uint16, np.int16])
def test_rescaling_uses_the_values_of_the_image(kind: Any, slope: float) -> None:
    values = (RNG.normal(900, 60, (64, 64))).astype(kind)
    values[:3] = 0  # Padding, which is not counted.
    values[3, 0] = 30_000  # Fewer than half a percent.
    made = dicom(
        values,
        RescaleSlope=slope,
        RescaleIntercept=7,
        PixelPaddingValue=0,
        WindowCenter=1,
        WindowWidth=1,
    )
    used = np.sort(values[values != 0]) * slope + 7
    low, high = np.percentile(used, (0.5, 99.5), method="inverted_cdf")
    levels = np.clip((values * slope + 7 - low) / (high - low), 0, 1) * 255
    shown = np.asarray(decode(made, display=Display(rescale=True)))[..., 0]
    assert abs(shown - levels).max() <= 1
    with pytest.raises(DecodeError, match="scaled by its own values that would show almost"):
        decode(dicom(np.full((16, 16), 9, kind)), display=Display(rescale=True))
    with pytest.raises(DecodeError, match="only padding"):
        decode(
            dicom(np.full((16, 16), 9, kind), PixelPaddingValue=9), display=Display(rescale=True)
        )


@pytest.mark.parametrize("display", [Display(window=(10, 20)), Display(rescale=True)])
def test_images_of_8_bits_and_colours_are_not_changed_by_it(display: Display) -> None:
    colours = COLOUR.astype(np.uint16) * 257
    for made in (
        dicom(RAMP),
        dicom(RAMP, WindowCenter=100, WindowWidth=100),
        dicom(COLOUR),
        dicom(colours),
    ):
        assert decode(made, display=display).tobytes() == decode(made).tobytes()


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
