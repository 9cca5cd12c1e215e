"""Lookup tables and palettes of DICOM files, by the words of PS3.3."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from dicom_standard import Lut, shown_grey
from made_dicom import RAMP, WIDE, decoded, dicom, grey
from pydicom import Dataset, uid
from pydicom.pixels.processing import apply_color_lut

from bottleneck.data.images.decode import decode, decode_with_notes
from bottleneck.errors import DecodeError

SIGNED = WIDE.astype(np.int16) - 2048
NATIVE = [uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian]
RNG = np.random.default_rng(4)


def item(descriptor: list[int], data: bytes, vr: str = "OW", kind: str = "US") -> Dataset:
    made = Dataset()
    made.add_new(0x00283002, kind, descriptor)
    made.add_new(0x00283006, vr, data)
    return made


def words(entries: np.ndarray, syntax: uid.UID = NATIVE[1]) -> bytes:
    little = syntax != uid.ExplicitVRBigEndian
    return entries.astype("<u2" if little else ">u2").tobytes()


def expected(values: np.ndarray, table: Lut, **options: Any) -> np.ndarray:
    low = -2048 if values.dtype.kind == "i" else 0
    return shown_grey(values.astype(int), (low, low + 4095), **options, view=table)


def is_shown(data: bytes, levels: np.ndarray) -> bool:
    return bool(abs(grey(data) - levels).max() <= 1)


# The first value of a descriptor: signed or unsigned, whatever the VR (C.11.1.1, C.11.2.1.1).


@pytest.mark.parametrize("syntax", NATIVE[:2])
@pytest.mark.parametrize("kind", ["US", "SS"])
def test_the_first_value_of_a_modality_table_is_signed_as_the_pixels_are(
    syntax: uid.UID, kind: str
) -> None:
    entries = np.linspace(0, 65535, 3000).astype(int)
    for values, first in ((SIGNED, -1500), (WIDE, 700), (SIGNED, 200)):
        written = first if kind == "SS" else first % 65536
        made = dicom(
            values,
            syntax,
            bits=12,
            ModalityLUTSequence=[item([3000, written, 16], words(entries), kind=kind)],
        )
        table = Lut(entries, first, 16)
        levels = shown_grey(values.astype(int), (0, 0), rescale=table)
        assert is_shown(made, levels)
    # Large unsigned values are not negative.
    deep = (WIDE.astype(np.uint16) << 4) | (WIDE & 15)
    made = dicom(deep, syntax, ModalityLUTSequence=[item([3000, 60000, 16], words(entries))])
    assert is_shown(made, shown_grey(deep.astype(int), (0, 0), rescale=Lut(entries, 60000, 16)))


@pytest.mark.parametrize("kind", ["US", "SS"])
@pytest.mark.parametrize("intercept", [-1024, 0, 100])
def test_the_first_value_of_a_voi_table_is_signed_if_measured_values_can_be_negative(
    kind: str, intercept: int
) -> None:
    entries = np.linspace(65535, 0, 1000).astype(int)
    first = intercept + 50
    if kind == "SS" and first >= 32768:
        return
    made = dicom(
        WIDE,
        bits=12,
        RescaleSlope=1,
        RescaleIntercept=intercept,
        VOILUTSequence=[
            item([1000, first if kind == "SS" else first % 65536, 16], words(entries), kind=kind)
        ],
    )
    assert is_shown(made, expected(WIDE, Lut(entries, first, 16), rescale=(1, intercept)))


def test_a_first_value_where_no_value_can_be_has_the_other_sign() -> None:
    entries = np.linspace(0, 65535, 1000).astype(int)
    made = dicom(WIDE, bits=12, VOILUTSequence=[item([1000, 65436, 16], words(entries))])
    shown, notes = decode_with_notes(made)
    levels = expected(WIDE, Lut(entries, -100, 16))
    assert abs(np.asarray(shown)[..., 0] - levels).max() <= 1
    assert notes == ("a lookup table from 65436 on, where no value can be: taken as -100",)


# The count and the bits of the entries.


@pytest.mark.parametrize("kind", ["US", "SS"])
@pytest.mark.parametrize("count", [32768, 40000, 65536])
def test_the_count_is_unsigned_and_0_means_65536(count: int, kind: str) -> None:
    deep = RNG.integers(0, 65536, (64, 64)).astype(np.uint16)
    entries = np.linspace(0, 65535, count).astype(int) // 2
    made = dicom(deep, VOILUTSequence=[item([count % 65536, 0, 16], words(entries), kind=kind)])
    assert is_shown(made, shown_grey(deep.astype(int), (0, 65535), view=Lut(entries, 0, 16)))


@pytest.mark.parametrize("bits", range(8, 17))
def test_entries_of_8_to_16_bits(bits: int) -> None:
    entries = np.linspace(0, (1 << bits) - 1, 4096).astype(int)
    voi = dicom(WIDE, bits=12, VOILUTSequence=[item([4096, 0, bits], words(entries))])
    assert is_shown(voi, expected(WIDE, Lut(entries, 0, bits)))
    modality = dicom(WIDE, bits=12, ModalityLUTSequence=[item([4096, 0, bits], words(entries))])
    assert is_shown(modality, expected(WIDE, Lut(entries, 0, bits)))
    both = dicom(
        WIDE,
        bits=12,
        ModalityLUTSequence=[item([4096, 0, bits], words(entries[::-1]))],
        WindowCenter=2.0 ** (bits - 1),
        WindowWidth=2.0 ** (bits - 2),
    )
    view = ("LINEAR", 2.0 ** (bits - 1), 2.0 ** (bits - 2))
    table = Lut(entries[::-1], 0, bits)
    assert is_shown(both, shown_grey(WIDE.astype(int), (0, 4095), rescale=table, view=view))


@pytest.mark.parametrize("syntax", NATIVE)
@pytest.mark.parametrize("count", [255, 256, 1000])
@pytest.mark.parametrize("vr", ["OW", "OB"])
def test_entries_of_8_bits_in_bytes_and_in_words(syntax: uid.UID, count: int, vr: str) -> None:
    entries = RNG.integers(0, 256, count)
    table = Lut(entries, 10, 8)
    packed = entries.astype(np.uint8).tobytes() + bytes(count % 2)
    if syntax == uid.ExplicitVRBigEndian and vr == "OW":
        packed = np.frombuffer(packed, "<u2").byteswap().tobytes()
    forms = [packed] if vr == "OB" else [packed, words(entries, syntax)]
    values = WIDE if syntax != uid.ExplicitVRBigEndian else WIDE.byteswap()
    for form in forms:
        made = dicom(values, syntax, bits=12, VOILUTSequence=[item([count, 10, 8], form, vr)])
        assert is_shown(made, expected(WIDE, table))


def test_entries_of_16_bits_that_are_declared_as_8() -> None:
    entries = RNG.integers(0, 128, 4096)
    made = dicom(WIDE, bits=12, VOILUTSequence=[item([4096, 0, 8], words(entries * 257))])
    assert is_shown(made, expected(WIDE, Lut(entries, 0, 8)))


def test_entries_that_are_narrower_than_declared() -> None:
    for needed in (8, 10, 12, 13):
        entries = np.linspace(0, (1 << needed) - 1, 4096).astype(int)
        made = dicom(WIDE, bits=12, VOILUTSequence=[item([4096, 0, 16], words(entries))])
        shown, notes = decode_with_notes(made)
        levels = expected(WIDE, Lut(entries, 0, needed))
        assert abs(np.asarray(shown)[..., 0] - levels).max() <= 1
        assert notes == (
            f"a lookup table declares 16 bits, its largest entry needs {needed}: scaled by "
            f"{needed} bits",
        )
    # An eighth of the declared range is not nothing.
    entries = np.linspace(0, (1 << 14) - 1, 4096).astype(int)
    made = dicom(WIDE, bits=12, VOILUTSequence=[item([4096, 0, 16], words(entries))])
    assert is_shown(made, expected(WIDE, Lut(entries, 0, 16)))
    flat = dicom(WIDE, bits=12, VOILUTSequence=[item([4096, 0, 16], words(entries // 16384))])
    with pytest.raises(DecodeError, match="would show almost nothing"):
        decode(flat)


@pytest.mark.parametrize(
    ("descriptor", "n_bytes", "says"),
    [
        ([4096, 0, 12], 4000, r"LUTData has 4,000 bytes, which are not the 4,096 entries of 12"),
        ([0, 0, 12], 8192, r"LUTData has 8,192 bytes, which are not the 65,536 entries"),
        ([100, 0, 8], 150, r"LUTData has 150 bytes, which are not the 100 entries of 8 bits"),
        ([4096, 0, 10], 8192, r"entries of up to 4095, and 10 bits can hold 1023"),
        ([4096, 0, 32], 8192, r"LUTDescriptor is 4096, 0, 32: not a table of 1–16 bits"),
        ([4096, 0], 8192, r"LUTDescriptor has 2 values, and a table needs 3"),
    ],
)
@pytest.mark.parametrize("sequence", ["VOILUTSequence", "ModalityLUTSequence"])
def test_tables_that_contradict_themselves_are_refused(
    sequence: str, descriptor: list[int], n_bytes: int, says: str
) -> None:
    data = words(np.arange(4096))[:n_bytes]
    with pytest.raises(DecodeError, match=says):
        decode(dicom(WIDE, bits=12, **{sequence: [item(descriptor, data)]}))


def test_more_entries_than_stated_are_ignored() -> None:
    entries = np.arange(4096)
    made = dicom(WIDE, bits=12, VOILUTSequence=[item([2000, 0, 12], words(entries))])
    assert is_shown(made, expected(WIDE, Lut(entries[:2000], 0, 12)))


def test_the_first_table_that_is_not_empty_counts_and_comes_before_a_window() -> None:
    entries = np.linspace(4095, 0, 4096).astype(int)
    made = dicom(
        WIDE,
        bits=12,
        VOILUTSequence=[
            Dataset(),
            item([4096, 0, 12], words(entries)),
            item([4096, 0, 12], words(entries[::-1])),
        ],
        WindowCenter=1,
        WindowWidth=2,
    )
    assert is_shown(made, expected(WIDE, Lut(entries, 0, 12)))


# Palettes.

COLOURS = ("Red", "Green", "Blue")


def palette(
    pixels: np.ndarray,
    descriptor: list[int],
    tables: list[bytes],
    syntax: uid.UID = NATIVE[1],
    segmented: str = "",
    **elements: Any,
) -> bytes:
    for colour, data in zip(COLOURS, tables, strict=True):
        elements[f"{colour}PaletteColorLookupTableDescriptor"] = descriptor
        elements[f"{segmented}{colour}PaletteColorLookupTableData"] = data
    elements.setdefault("PhotometricInterpretation", "PALETTE COLOR")
    return dicom(pixels, syntax, **elements)


def segments(kind: str) -> list[np.ndarray]:
    """Three palettes of 256 entries, in discrete, linear and indirect segments (C.7.9.2)."""
    scale = 1 if kind == "u1" else 257
    made = []
    for start in (0, 40, 90):
        discrete = [0, 16, *(np.arange(start, start + 16) * scale)]
        linear = [1, 120, (start + 135) * scale, 1, 60, 10 * scale]
        made.append(np.array([*discrete, *linear, 1, 60, 200 * scale], kind))
    return made


@pytest.mark.parametrize("kind", ["u1", "<u2"])
def test_palettes_in_segments(kind: str) -> None:
    tables = [table.tobytes() + bytes(table.nbytes % 2) for table in segments(kind)]
    bits = 8 if kind == "u1" else 16
    made = palette(RAMP, [256, 0, bits], tables, segmented="Segmented")
    header = Dataset()
    header.PhotometricInterpretation = "PALETTE COLOR"
    for colour, data in zip(COLOURS, tables, strict=True):
        setattr(header, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, bits])
        setattr(header, f"Segmented{colour}PaletteColorLookupTableData", data)
    header.set_original_encoding(False, True)
    looked_up = apply_color_lut(RAMP, header)[..., :3]
    assert abs(decoded(made) - looked_up / (1 if bits == 8 else 257)).max() <= 1


def test_a_segment_can_repeat_others() -> None:
    # An indirect segment: two segments from byte 0 on; 16 entries each time (C.7.9.2.3).
    for kind in ("u1", "<u2"):
        offset = [0, 0, 0, 0] if kind == "u1" else [0, 0]
        table = np.array([0, 4, 0, 80, 160, 240, 1, 12, 0, 2, 2, *offset], kind)
        scaled = table.copy()
        if kind != "u1":
            scaled[2:6] *= 257
        data = scaled.tobytes() + bytes(scaled.nbytes % 2)
        made = palette(RAMP // 8, [32, 0, 8 * table.itemsize], [data] * 3, segmented="Segmented")
        line = np.rint(np.linspace(240, 0, 13)[1:])
        once = np.array([0, 80, 160, 240, *line])
        assert abs(decoded(made)[..., 0] - np.tile(once, 2)[RAMP // 8]).max() <= 1


@pytest.mark.parametrize(
    "broken",
    [
        [1, 200, 9],
        [2, 1, 0, 0],
        [9, 1, 1],
        [0, 10, 1, 2, 3],
        [0, 1, 5, 2, 9, 0, 0],
        [0, 0, 0, 0, 0, 0],
        [0, 1, 1, 2, 65535, 3, 0, 2, 65535, 3, 0],
    ],
)
def test_segments_that_are_not_valid_are_refused(broken: list[int]) -> None:
    data = np.array(broken, "<u2").tobytes()
    with pytest.raises(DecodeError, match="a segmented palette"):
        decode(palette(RAMP, [256, 0, 16], [data] * 3, segmented="Segmented"))


def test_a_palette_that_shows_almost_nothing_is_refused() -> None:
    table = np.linspace(20, 40, 256).astype(np.uint8).tobytes()
    with pytest.raises(DecodeError, match=r"with a palette that would show .* save it as RGB"):
        decode(palette(RAMP, [256, 0, 8], [table] * 3))


def test_a_supplemental_palette_may_not_colour_what_is_used() -> None:
    tables = [np.arange(256, dtype=np.uint8).tobytes()] * 3
    grey_part = {"PhotometricInterpretation": "MONOCHROME2", "PixelPresentation": "COLOR"}
    used = palette(RAMP, [256, 200, 8], tables, **grey_part)
    with pytest.raises(DecodeError, match="a supplemental palette"):
        decode(used)
    low = RAMP // 2
    assert (grey(palette(low, [256, 200, 8], tables, **grey_part)) == low).all()
    # A palette that belongs to no presentation is not applied.
    assert (
        grey(palette(RAMP, [256, 0, 8], tables, PhotometricInterpretation="MONOCHROME2")) == RAMP
    ).all()


def test_presentation_luts() -> None:
    window = {"WindowCenter": 2000, "WindowWidth": 3000, "bits": 12}
    plain = grey(dicom(WIDE, **window))
    for colours, shape, inverse, note in (
        ("MONOCHROME2", "IDENTITY", False, ()),
        ("MONOCHROME1", "INVERSE", True, ()),
        ("MONOCHROME1", "IDENTITY", True, ()),
        (
            "MONOCHROME2",
            "INVERSE",
            True,
            ("PresentationLUTShape INVERSE with MONOCHROME2: inverted",),
        ),
    ):
        made = dicom(WIDE, **window, PhotometricInterpretation=colours, PresentationLUTShape=shape)
        shown, notes = decode_with_notes(made)
        levels = np.asarray(shown)[..., 0].astype(int)
        assert abs(levels - (255 - plain.astype(int) if inverse else plain)).max() <= 1
        assert notes == note


def test_every_pair_of_what_can_be_declared() -> None:
    """No combination of descriptor and length is read as something else than it is."""
    for count, bits, n_bytes in itertools.product(
        (0, 1, 255, 256, 257), (8, 12, 16), (256, 257, 512, 514, 131072)
    ):
        data = bytes(range(256)) * 512
        made = dicom(RAMP, VOILUTSequence=[item([count, 0, bits], data[: n_bytes // 2 * 2])])
        n = count or 65536
        try:
            decode(made)
        except DecodeError:
            continue
        assert n_bytes // 2 * 2 in (n, n + n % 2, 2 * n) or (bits > 8 and n_bytes > 2 * n)
