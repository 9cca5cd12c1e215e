import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.errors import UsageError
from bottleneck.explain.maps.heat_map import HeatMap
from bottleneck.explain.maps.overlay import (
    colour_bar,
    common_limit,
    displayed,
    legend,
    overlay,
    resized,
)


def made(values: Any) -> HeatMap:
    return HeatMap(np.asarray(values, np.float32), "malignant", "class activation", 0.0, 0.0)


@pytest.mark.parametrize("grid", [(1, 1), (7, 7), (1, 5), (5, 8), (16, 16), (37, 37)])
@pytest.mark.parametrize("size", [(224, 224), (37, 50), (129, 300)])
def test_values_are_interpolated_between_the_centres_of_cells(
    grid: tuple[int, int], size: tuple[int, int]
) -> None:
    values = np.random.default_rng(0).normal(size=grid).astype(np.float32)
    known = interpolate(
        torch.from_numpy(values).double()[None, None], size, mode="bilinear", align_corners=False
    )
    np.testing.assert_allclose(resized(made(values), *size), known[0, 0].numpy(), atol=1e-6)


def test_the_strongest_place_is_where_the_map_says() -> None:
    values = np.zeros((4, 6))
    values[1, 4] = 2
    image = np.full((80, 120, 3), 90, np.uint8)
    changed = abs(overlay(image, made(values), 2).astype(int) - 90).sum(axis=2)
    row, column = np.unravel_index(changed.argmax(), changed.shape)
    assert (row // 20, column // 20) == (1, 4)
    assert not changed[40:, :60].any()
    np.testing.assert_array_equal(image, 90)


def test_red_is_for_and_blue_against_and_both_are_equally_light() -> None:
    grey = np.full((8, 8, 3), 128, np.uint8)
    positive, negative = (overlay(grey, made([[v]]), 1)[0, 0].astype(int) for v in (0.8, -0.8))
    assert positive[0] > positive[2] + 60
    assert negative[2] > negative[0] + 60
    luma = np.array([0.2126, 0.7152, 0.0722])
    assert abs((positive - negative) @ luma) < 25
    # The same with the cone response of a protanope (Viénot et al. 1999): still far apart.
    protan = np.array([[0.112, 0.888, 0], [0.112, 0.888, 0], [0.004, -0.004, 1]])
    assert np.linalg.norm(protan @ positive - protan @ negative) > 60


def test_one_limit_makes_the_colours_of_maps_comparable() -> None:
    maps = [made([[0.5]]), made([[-2.0]]), made([[0.0]])]
    assert common_limit(maps) == 2
    assert common_limit(maps[2:]) == common_limit([]) == 1
    many = np.random.default_rng(0).normal(size=(100, 49))
    many[0, 0] = 1e6
    limit = common_limit(made(one.reshape(7, 7)) for one in many)
    assert limit == pytest.approx(np.percentile(abs(many), 99), rel=0.01)
    grey = np.full((1, 1, 3), 128, np.uint8)
    weak, strong, none = (abs(overlay(grey, m, 2).astype(int) - 128).sum() for m in maps)
    assert strong > 1.5 * weak > none == 0
    beyond, limit = (overlay(grey, made([[v]]), 2) for v in (50, 2))
    np.testing.assert_array_equal(beyond, limit)


def test_the_colour_bar_has_the_colours_of_the_overlay() -> None:
    bar = colour_bar(3, width=7, height=2)
    assert bar.shape == (2, 7, 3)
    grey = np.full((1, 7, 3), 128, np.uint8)
    values = np.linspace(-3, 3, 7)
    np.testing.assert_array_equal(bar[:1], overlay(grey, made(values[None]), 3))
    assert legend(3, "b", ("a", "b")) == ("−3: for a", "0", "+3: for b")


def test_images_are_shown_in_rgb() -> None:
    half = (0.5, 0.5, 0.5)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), dtype=np.uint8)
    plain = Preprocessing(4, 4, "bilinear", half, half)
    np.testing.assert_array_equal(displayed(pixels, plain), pixels)
    reverse = Preprocessing(4, 4, "bilinear", half, half, channels="BGR")
    np.testing.assert_array_equal(displayed(pixels, reverse), pixels[..., ::-1])
    grey = Preprocessing(4, 4, "bilinear", half, half, channels="L")
    assert displayed(pixels[..., :1], grey).shape == (2, 4, 4, 3)
    floats = Preprocessing(4, 4, "bilinear", half, half, resizer="opencv")
    shown = displayed(pixels[0] + np.float32(0.3), floats)
    assert shown.dtype == np.uint8
    np.testing.assert_array_equal(shown, pixels[0])


@pytest.mark.parametrize(
    ("pixels", "values", "limit", "reason"),
    [
        (np.zeros((4, 4), np.uint8), [[1]], 1, r"shape \(height, width, 3\)"),
        (np.zeros((4, 4, 3), np.float32), [[1]], 1, "float32"),
        (np.zeros((4, 4, 3), np.uint8), [[1]], 0, "positive number, not 0"),
        (np.zeros((4, 4, 3), np.uint8), [[1]], float("nan"), "positive number, not nan"),
        (np.zeros((4, 4, 3), np.uint8), [[1]], "1", "positive number, not '1'"),
        (np.zeros((4, 4, 3), np.uint8), [[np.nan]], 1, "not finite"),
    ],
)
def test_other_images_limits_and_values_are_refused(
    pixels: Any, values: Any, limit: Any, reason: str
) -> None:
    with pytest.raises(UsageError, match=reason):
        overlay(pixels, made(values), limit)


@pytest.mark.slow
def test_overlays_need_no_torch_and_load_matplotlib_when_they_are_made() -> None:
    code = (
        "import sys, bottleneck.explain.maps.overlay as o\n"
        "assert not {'torch', 'matplotlib'} & set(sys.modules), 'loaded'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
