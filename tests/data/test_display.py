"""Windows against pydicom, and the refusal of images that show almost nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.pixels.processing import apply_windowing

from bottleneck.data.images.display import Conversion, Display, refuse_faint, used_range, windowed
from bottleneck.errors import DecodeError, UsageError

DEEP = Conversion("a 16-bit image", "save it with 8 bits", is_deep=True)


@given(st.floats(-2000, 4000), st.floats(1.5, 5000))
def test_windows_are_those_of_pydicom(centre: float, width: float) -> None:
    values = np.arange(-1024, 3072)
    header = Dataset()
    header.WindowCenter, header.WindowWidth = f"{centre:.6g}"[:16], f"{width:.6g}"[:16]
    header.PhotometricInterpretation = "MONOCHROME2"
    header.BitsStored, header.PixelRepresentation = 8, 0
    expected = apply_windowing(values, header)
    window = float(header.WindowCenter), float(header.WindowWidth)
    np.testing.assert_allclose(windowed(values, window), expected, atol=1e-6)


@given(st.integers(0, 222), st.integers(1, 254), st.integers(0, 2**32))
def test_images_of_few_levels_are_refused(low: int, span: int, seed: int) -> None:
    high = min(low + span, 255)
    levels = np.random.default_rng(seed).integers(low, high + 1, 5000)
    # Half a percent of text in white does not make an image.
    levels[:20] = 255
    p = np.percentile(levels, [0.5, 99.5], method="inverted_cdf")
    counts = np.bincount(levels, minlength=256)
    if p[1] - p[0] <= 32:
        with pytest.raises(DecodeError, match=r"shows? almost nothing.*save it"):
            refuse_faint(counts, DEEP)
    else:
        refuse_faint(counts, DEEP)


@given(st.integers(0, 2**32), st.floats(0.01, 0.99), st.floats(0, 0.5), st.booleans())
def test_dark_values_and_white_text_are_no_image(
    seed: int, share: float, edges: float, is_inverted: bool
) -> None:
    # 12-bit values in 16 bits are levels 0 to 16, whatever share of the pixels is burned in.
    source = np.random.default_rng(seed)
    levels = source.integers(0, 17, 10_000)
    n_white = int(share * 10_000)
    n_edges = int(edges * min(n_white, 200))
    levels[:n_white] = 255
    levels[:n_edges] = source.integers(33, 223, n_edges)
    counts = np.bincount(255 - levels if is_inverted else levels, minlength=256)
    with pytest.raises(DecodeError, match=r"show (almost nothing|only black and white).*: save it"):
        refuse_faint(counts, DEEP)
    if share < 0.99:
        refuse_faint(counts, Conversion("a drawing with a palette", ""))
    # A uniform object on black, a hot spot, and three levels are images.
    for object_ in (np.full(400, 150), np.linspace(33, 255, 150), np.full(400, 60)):
        shown = np.concatenate([source.integers(0, 17, 10_000), object_.astype(int)])
        refuse_faint(np.bincount(shown, minlength=256), DEEP)


def test_one_channel_in_use_is_an_image() -> None:
    black, ramp = np.eye(256, dtype=int)[0] * 256, np.ones(256, int)
    refuse_faint(np.stack([black, black, ramp]), DEEP)
    with pytest.raises(DecodeError):
        refuse_faint(np.stack([black, black, black]), DEEP)
    with pytest.raises(DecodeError, match="padding"):
        refuse_faint(np.zeros((3, 256), int), DEEP)


@given(st.lists(st.integers(0, 400), min_size=3, max_size=60).filter(any))
def test_the_used_range_is_that_of_numpy(counts: list[int]) -> None:
    values = np.repeat(np.arange(len(counts)), counts)
    high = np.percentile(values, 99.5, method="inverted_cdf")
    low = -np.percentile(-values, 99.5, method="inverted_cdf")
    assert used_range(np.array(counts)) == (low, high)


@pytest.mark.parametrize("window", [(40, 0), (40, -1), (float("nan"), 1), (0, float("inf"))])
def test_impossible_windows_are_refused(window: tuple[float, float]) -> None:
    with pytest.raises(UsageError, match="positive width"):
        Display(window)
    with pytest.raises(UsageError, match="exclude"):
        Display((40, 400), rescale=True)
