"""DICOM images of every combination of encoding and display, by the words of the standard."""

from __future__ import annotations

import io
import itertools
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from dicom_standard import NATIVE, Lut, shown_grey, span, stream, to_rgb, write
from PIL import Image
from pydicom import uid

from bottleneck.data.images.decode import decode
from bottleneck.data.images.display import FAINT
from bottleneck.errors import DecodeError

LOSSLESS = (
    *NATIVE,
    uid.RLELossless,
    uid.JPEGLosslessSV1,
    uid.JPEGLSLossless,
    uid.JPEG2000Lossless,
)
SYNTAXES = (*LOSSLESS, uid.JPEGBaseline8Bit)
VIEWS = ("none", "LINEAR", "LINEAR_EXACT", "SIGMOID", "VOI 16", "VOI 12", "VOI 8")
RESCALES = ("none", "slope", "table")
RNG = np.random.default_rng(15)
SHADES = np.clip(np.add.outer(np.arange(48) * 20, np.arange(64) * 16) / 1952 * 1023, 0, 1023)
SHADES = np.clip(SHADES + RNG.integers(-40, 41, SHADES.shape), 0, 1023).astype(int)


def limits(bits: int, signed: bool) -> tuple[int, int]:
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)


def stored(bits: int, signed: bool, content: str) -> np.ndarray:
    """An image that uses all values, or the middle 64th of them."""
    low, high = limits(bits, signed)
    values = low + SHADES * (high - low) // 1023
    if content == "narrow":
        values = (low + high) // 2 + (values - low) // 64
    return values.astype(np.dtype(f"{'i' if signed else 'u'}{1 if bits <= 8 else 2}"))


def judge(data: bytes, expected: np.ndarray, is_plain: bool) -> str:
    """Return "right", "refused" or what is wrong; the limit of the guard may be off by a level."""
    wide = span(expected)
    try:
        shown = np.asarray(decode(data)).astype(float)
    except DecodeError as error:
        if "would show almost nothing" in str(error) and not is_plain and wide <= FAINT + 2:
            return "refused: almost nothing"
        return f"wrong: refused although it spans {wide}: {error}"
    if not is_plain and wide < FAINT - 2:
        return f"wrong: shown although it spans {wide}"
    if expected.ndim == 2:
        expected = expected[..., None]
    off = np.abs(shown - np.clip(expected, 0, 255)).max()
    return "right" if off <= 1 else f"wrong: off by {off:.1f}"


def grey_cases() -> Iterator[tuple[Any, ...]]:
    for case in itertools.product(
        ("MONOCHROME1", "MONOCHROME2"),
        SYNTAXES,
        (8, 10, 12, 16),
        (False, True),
        VIEWS,
        RESCALES,
        ("wide", "narrow"),
    ):
        if case[1] != uid.JPEGBaseline8Bit or (case[2] == 8 and not case[3]):
            yield case


def judge_grey(
    colours: str, syntax: uid.UID, bits: int, signed: bool, view: str, rescale: str, content: str
) -> str:
    values, (low, high) = stored(bits, signed, content), limits(bits, signed)
    little = syntax != uid.ExplicitVRBigEndian
    elements: dict[str, Any] = {}
    scaling: Any = None
    ends = low, high
    if rescale == "slope":
        elements |= {"RescaleSlope": "2.5", "RescaleIntercept": "-100"}
        scaling, ends = (2.5, -100), (int(low * 2.5 - 100), int(high * 2.5 - 100))
    elif rescale == "table":
        scaling = Lut(np.linspace(4095, 0, min(high - low + 1, 3000)).astype(int), low, 12)
        elements["ModalityLUTSequence"] = [scaling.item(little, signed)]
        ends = 0, 4095
    shape: Any = None
    if view.startswith("VOI"):
        depth = int(view.split()[1])
        first = max(-32768, ends[0] + 20)
        n_entries = min(65536, ends[1] - first + 1, 32768 if first < 0 else 65536)
        shape = Lut(np.linspace(0, 1, n_entries) ** 2 * (2**depth - 1) // 1, first, depth)
        shape = Lut(shape.entries.astype(int), first, depth)
        elements["VOILUTSequence"] = [shape.item(little, ends[0] < 0)]
    elif view != "none":
        part = 3 if content == "wide" or bits == 8 else 60
        centre = f"{(ends[0] + ends[1]) / 2 + 0.25:.6g}"
        width = f"{(ends[1] - ends[0]) / part:.6g}"
        elements |= {"WindowCenter": centre, "WindowWidth": width, "VOILUTFunction": view}
        shape = view, float(centre), float(width)
    data = write(values, syntax, colours, bits, **elements)
    if syntax == uid.JPEGBaseline8Bit:
        values = decoded_by_pillow(values)
    expected = shown_grey(
        values, (low, high), rescale=scaling, view=shape, inverse=colours == "MONOCHROME1"
    )
    is_plain = bits == 8 and view == "none" and rescale != "table"
    return judge(data, expected, is_plain)


def decoded_by_pillow(values: np.ndarray) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(stream(values, uid.JPEGBaseline8Bit, 8))))


def colour_cases() -> Iterator[tuple[Any, ...]]:
    for colours, syntax, bits, planar in itertools.product(
        ("RGB", "YBR_FULL", "YBR_FULL_422"), SYNTAXES, (8, 10, 12, 16), (0, 1)
    ):
        is_coded = syntax not in NATIVE
        if (is_coded or colours == "YBR_FULL_422") and planar:
            continue
        if syntax == uid.JPEGBaseline8Bit and bits > 8:
            continue
        for content in ("wide", "narrow"):
            yield colours, syntax, bits, planar, content


def judge_colour(colours: str, syntax: uid.UID, bits: int, planar: int, content: str) -> str:
    grey = stored(bits, False, content)
    values = np.stack([grey, grey[::-1], grey[:, ::-1]], -1)
    subsampled = colours == "YBR_FULL_422" and syntax in NATIVE
    if subsampled:
        values[:, 1::2, 1:] = values[:, ::2, 1:]
    data = write(values, syntax, colours, bits, planar=planar, subsampled=subsampled)
    if syntax == uid.JPEGBaseline8Bit:  # Pillow encodes RGB as YCbCr and says so.
        expected = decoded_by_pillow(values).astype(float)
    else:
        expected = values / (2.0**bits - 1) * 255
        expected = expected if colours == "RGB" else to_rgb(expected)
    if bits > 8 and (colours != "RGB" or syntax == uid.JPEG2000Lossless):
        with pytest.raises(
            DecodeError, match=r"(is not supported|YBR_FULL_422 needs .*): save it as RGB"
        ):
            decode(data)
        return "refused: not supported"
    return judge(data, expected, bits == 8)


def palette_cases() -> Iterator[tuple[Any, ...]]:
    return itertools.product(
        LOSSLESS,
        (8, 12, 16),
        (False, True),
        ("16 bits", "8 bits in words", "8 bits packed", "8 of 16 bits", "segments"),
        ("wide", "narrow"),
    )


def judge_palette(syntax: uid.UID, bits: int, signed: bool, kind: str, content: str) -> str:
    values, (low, high) = stored(bits, signed, content), limits(bits, signed)
    little = syntax != uid.ExplicitVRBigEndian
    n_entries = min(high - low + 1, 1000) - 10
    ramps = np.stack(
        [np.linspace(0, 255, n_entries).astype(int), *RNG.integers(0, 256, (2, n_entries))]
    )
    word = "<u2" if little else ">u2"
    elements: dict[str, Any] = {}
    for name, ramp in zip(("Red", "Green", "Blue"), ramps, strict=True):
        first = low + 5
        keyword, suffix = f"{name}PaletteColorLookupTable", "Data"
        match kind:
            case "16 bits":
                depth, entries = 16, (ramp * 257).astype(word)
            case "8 bits in words":
                depth, entries = 8, ramp.astype(word)
            case "8 bits packed":
                padded = np.append(ramp, 0)[: n_entries + n_entries % 2].astype(np.uint8)
                depth, entries = 8, padded if little else padded.view("<u2").byteswap()
            case "8 of 16 bits":
                depth, entries = 16, ramp.astype(word)
            case _:
                depth, entries = 16, np.array([0, n_entries, *ramp * 257]).astype(word)
                keyword = f"Segmented{keyword}"
        descriptor = keyword.removeprefix("Segmented") + "Descriptor"
        elements[descriptor] = [n_entries, first if signed else first % 65536, depth]
        elements[keyword + suffix] = entries.tobytes()
    data = write(values, syntax, "PALETTE COLOR", bits, **elements)
    expected = ramps.T[np.clip(values.astype(int) - low - 5, 0, n_entries - 1)].astype(float)
    return judge(data, expected, is_plain=False)


GRIDS = {
    judge_grey: list(grey_cases()),
    judge_colour: list(colour_cases()),
    judge_palette: list(palette_cases()),
}


def counted(judged: Any, cases: list[tuple[Any, ...]]) -> Counter[str]:
    """Return how many cases are right and refused; none may be wrong."""
    counts: Counter[str] = Counter()
    for case in cases:
        verdict = judged(*case)
        assert not verdict.startswith("wrong"), (case, verdict)
        counts[verdict] += 1
    return counts


@pytest.mark.parametrize("judged", GRIDS)
def test_a_sample_of_the_grid(judged: Any) -> None:
    cases = GRIDS[judged]
    counts = counted(judged, cases[:: max(1, len(cases) // 100) | 1])
    assert counts["right"] > counts.total() / 4


@pytest.mark.slow
@pytest.mark.parametrize("judged", GRIDS)
def test_the_whole_grid(judged: Any, record_property: Any) -> None:
    counts = counted(judged, GRIDS[judged])
    assert counts["right"] > counts.total() / 4
    record_property("counts", dict(counts))
