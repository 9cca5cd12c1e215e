"""Mean heat maps of the classes."""

import numpy as np
import pytest

from bottleneck.errors import UsageError
from bottleneck.explain.checks.mean_maps import mean_maps
from bottleneck.explain.maps.heat_map import HeatMap


def heat(values, decision=1.0, towards="ill", intercept=None) -> HeatMap:
    return HeatMap(np.asarray(values, np.float32), towards, "occlusion", decision, intercept)


def test_each_patient_counts_once():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(6, 7, 7))
    groups = np.array([1, 1, 1, 2, 3, 3])
    labels = ["ill"] * 4 + ["well"] * 2
    means = mean_maps([heat(v, k) for k, v in enumerate(values)], labels, groups)
    by_patient = np.stack([values[groups == g].mean(0) for g in (1, 2, 3)])
    np.testing.assert_allclose(means.overall.values, by_patient.mean(0), atol=1e-6)
    np.testing.assert_allclose(means.classes["ill"].values, by_patient[:2].mean(0), atol=1e-6)
    assert means.overall.decision == pytest.approx((1 + 3 + 4.5) / 3)
    assert means.counts == {"ill": (4, 2), "well": (2, 1)}
    assert "ill 4 images of 2 patients, well 2 images of 1 patient" in means.words[0]
    assert repr(means) == "<MeanMaps 6 images: 7 × 7; occlusion>"


def test_the_mean_of_exact_maps_is_exact():
    # The heads of two folds have constants of their own.
    maps = [heat(np.full((2, 2), k), k + c, intercept=c) for k, c in ((1, 0.5), (4, 2.5))]
    made = mean_maps(maps, ["a", "b"]).overall
    assert made.values.mean() + made.intercept == made.decision


def test_text_at_a_fixed_place_stays_and_what_moves_is_blurred():
    rng = np.random.default_rng(1)
    maps = []
    for _ in range(40):
        values = rng.random((14, 14)) * 0.05
        values[0, :3] += 3  # Burned-in text.
        row, column = rng.integers(2, 10, 2)
        values[row : row + 2, column : column + 2] += 1
        maps.append(heat(values))
    means = mean_maps(maps, ["ill"] * 40)
    assert means.overall.values[0, :3].min() > 5 * means.overall.values[2:-2, 2:-2].max()
    assert means.words[1].endswith("look there for burned-in text, rulers and edges of the image.")
    flat = mean_maps([heat(np.ones((14, 14)))], ["ill"])
    assert flat.border_share == pytest.approx(1 - (10 / 14) ** 2)
    assert flat.words[1].endswith("of the area.")
    assert len(mean_maps([heat(np.zeros((3, 3)))], ["ill"]).words) == 1


@pytest.mark.parametrize(
    ("maps", "labels", "message"),
    [
        ([], [], "at least one heat map"),
        ([heat(np.eye(2)), heat(np.eye(3))], ["a", "b"], "maps on one grid, not of 2×2, 3×3"),
        ([heat(np.eye(2)), heat(np.eye(2), towards="well")], ["a", "b"], "towards one class"),
        ([heat(np.eye(2))], ["a", "b"], "labels"),
    ],
)
def test_wrong_uses(maps, labels, message):
    with pytest.raises(UsageError, match=message):
        mean_maps(maps, labels)
