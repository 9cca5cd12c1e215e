"""Occlusion against the closed form of a linear decision on pixels."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

from bottleneck.data.images.preprocessing import Preprocessing
from bottleneck.errors import UsageError
from bottleneck.explain.maps.exact.explained_head import ExplainedHead
from bottleneck.explain.maps.occlusion import occlusion_maps
from bottleneck.testing import tiny_backbone


@dataclasses.dataclass(frozen=True, eq=False)
class Linear:
    """A decision that is a weighted sum of all pixels."""

    weights: NDArray[np.float64]
    classes: tuple[str, ...] = ("benign", "malignant")
    batches: list[int] = dataclasses.field(default_factory=list)

    @property
    def preprocessing(self) -> Preprocessing:
        side = len(self.weights)
        return Preprocessing(side, side, "bilinear", (0.5,) * 3, (0.5,) * 3)

    def decisions(self, pixels: NDArray[Any]) -> NDArray[np.float64]:
        self.batches.append(len(pixels))
        d = (pixels * self.weights).sum(axis=(1, 2, 3)) + 0.5
        return np.column_stack([-d, d])


def made(side: int, n: int = 2) -> tuple[Linear, NDArray[np.uint8]]:
    rng = np.random.default_rng(side)
    pixels = rng.integers(0, 256, (n, side, side, 3), dtype=np.uint8)
    return Linear(rng.normal(size=(side, side, 3))), pixels


@pytest.mark.parametrize(
    ("side", "patch", "stride", "cells"),
    [(12, 4, 4, 3), (12, 4, 2, 6), (13, 5, 3, 13), (16, 16, 1, 1), (9, 1, 1, 9), (10, 4, 3, 10)],
)
def test_a_linear_decision_falls_by_what_the_covered_pixels_add(
    side: int, patch: int, stride: int, cells: int
) -> None:
    linear, pixels = made(side)
    maps = occlusion_maps(linear, pixels, "malignant", patch=patch, stride=stride)
    for image, one in zip(pixels, maps, strict=True):
        colour = image.reshape(-1, 3).mean(axis=0).round()
        adds = (linear.weights * (image - colour)).sum(axis=2)
        sums, counts = np.zeros((side, side)), np.zeros((side, side))
        starts = [*range(0, side - patch, stride), side - patch]
        for row in starts:
            for column in starts:
                place = np.s_[row : row + patch, column : column + patch]
                sums[place] += adds[place].sum()
                counts[place] += 1
        assert one.values.shape == (cells, cells)
        at_pixels = one.values.repeat(side // cells, axis=0).repeat(side // cells, axis=1)
        np.testing.assert_allclose(at_pixels, sums / counts, rtol=1e-5, atol=1e-3)
        assert one.decision == linear.decisions(image[np.newaxis])[0, 1]
        assert (one.method, one.intercept) == ("occlusion", None)


def test_each_image_may_have_its_class_and_two_classes_are_opposite() -> None:
    linear, pixels = made(12)
    mixed = occlusion_maps(linear, pixels, ["benign", "malignant"], patch=4)
    one, other = occlusion_maps(linear, pixels, "malignant", patch=4)
    np.testing.assert_array_equal(mixed[0].values, -one.values)
    np.testing.assert_array_equal(mixed[1].values, other.values)


def test_an_even_image_has_an_empty_map() -> None:
    linear, pixels = made(12)
    (one,) = occlusion_maps(linear, np.full_like(pixels[:1], 77), "malignant")
    assert not one.values.any()


@pytest.mark.parametrize(("side", "cells"), [(224, 14), (256, 16), (299, 13), (150, 15)])
def test_the_usual_patch_gives_a_map_of_few_cells(side: int, cells: int) -> None:
    class Constant(Linear):
        def decisions(self, pixels: NDArray[Any]) -> NDArray[np.float64]:
            self.batches.append(len(pixels))
            return np.zeros((len(pixels), 2))

    constant = Constant(np.zeros((side, 1, 1)))
    steps: list[tuple[int, int, str]] = []
    (one,) = occlusion_maps(
        constant,
        np.zeros((1, side, side, 3), np.uint8),
        "benign",
        progress=lambda *step: steps.append(step),
    )
    assert one.values.shape == (cells, cells)
    assert max(constant.batches) <= 32  # This bounds the memory.
    assert sum(constant.batches) == (cells - 1) ** 2 + 1
    assert steps[-1] == ((cells - 1) ** 2, (cells - 1) ** 2, "patches of image 1 of 1")


def test_any_head_has_maps() -> None:
    backbone, pixels = tiny_backbone(), made(16, 6)[1]
    forest = RandomForestClassifier(5, random_state=0).fit(np.eye(8), list("abababab"))
    head = ExplainedHead(backbone, forest, ("a", "b"))
    maps = occlusion_maps(head, pixels, "b", patch=8)
    assert [one.values.shape for one in maps] == [(4, 4)] * 6
    assert occlusion_maps(head, pixels[:0], "b") == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patch": 0}, "patch must be a whole number of pixels from 1 to 12, the side of the"),
        ({"patch": 13}, "the side of the input, not 13"),
        ({"patch": 2.5}, "not 2.5"),
        ({"patch": True}, "not True"),
        ({"patch": 4, "stride": 5}, "from 1 to 4, the patch, or places are left out, not 5"),
        ({"stride": -1}, "stride must be"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(options: dict[str, Any], message: str) -> None:
    linear, pixels = made(12)
    with pytest.raises(UsageError, match=message):
        occlusion_maps(linear, pixels, "malignant", **options)
