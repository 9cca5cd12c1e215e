"""The share of heat maps inside known regions, and that of a centred blob."""

import numpy as np
import pytest
from scipy import stats

from bottleneck.errors import UsageError
from bottleneck.explain.checks.region_shares import region_shares
from bottleneck.explain.checks.shares import centred_blob, share_inside
from bottleneck.explain.maps.heat_map import HeatMap


def heat(values) -> HeatMap:
    return HeatMap(np.asarray(values, np.float32), "ill", "occlusion", 1.0)


def square(top, left, side=80, of=224) -> np.ndarray:
    mask = np.zeros((of, of), bool)
    mask[top : top + side, left : left + side] = True
    return mask


@pytest.mark.parametrize("shape", [(7, 7), (8, 8), (14, 9), (1, 1), (20, 24), (37, 5)])
def test_a_share_is_the_sum_over_the_map_repeated_for_every_pixel(shape):
    rng = np.random.default_rng(0)
    values, mask = rng.normal(size=shape), rng.random((50, 41)) < 0.3
    # So fine a grid that every cell and every pixel is a block of it.
    fine = np.repeat(np.repeat(values, 50, 0), 41, 1)
    inside = np.repeat(np.repeat(mask, shape[0], 0), shape[1], 1)
    for part, kept in {"positive": np.maximum(fine, 0), "absolute": np.abs(fine)}.items():
        if kept.sum() > 0:
            expected = kept[inside].sum() / kept.sum()
            assert share_inside(values, mask, part) == pytest.approx(expected, rel=1e-9)
        else:
            assert np.isnan(share_inside(values, mask, part))


def test_a_blob_has_the_spread_of_the_map_and_lies_in_the_centre():
    rows, columns = np.mgrid[:14, :14]
    for deviation, centre in [(1.0, (3, 4)), (2.0, (6, 7)), (3.0, (7, 6))]:
        distance = (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2
        values = np.exp(-distance / (2 * deviation**2))
        blob = centred_blob(values)
        np.testing.assert_allclose(blob, blob[::-1, ::-1], atol=1e-12)
        for axis in (0, 1):
            place, of_map, of_blob = np.arange(14), values.sum(axis), blob.sum(axis)
            spread = np.cov(place, aweights=of_map, ddof=0)
            assert np.cov(place, aweights=of_blob, ddof=0) == pytest.approx(float(spread))
    normal = stats.norm(0, 2)
    narrow = np.diff(normal.cdf(np.arange(-7.5, 8)))
    np.testing.assert_allclose(centred_blob(np.outer(narrow, narrow)).sum(0), narrow, atol=1e-4)


def test_a_flat_map_has_a_flat_blob():
    np.testing.assert_allclose(centred_blob(np.ones((5, 4))), 1 / 20)
    corners = np.zeros((5, 5))
    corners[[0, 0, 4, 4], [0, 4, 0, 4]] = 1
    np.testing.assert_allclose(centred_blob(corners), 1 / 25)
    assert np.isnan(centred_blob(-np.ones((2, 2)))).all()


def maps_at(corners, rng):
    maps = []
    for row, column in corners:
        values = rng.random((7, 7)).astype(np.float32) * 0.2
        values[row : row + 2, column : column + 2] += 1
        maps.append(heat(values))
    return maps


def test_maps_that_follow_the_region_do_better_than_the_blob():
    rng = np.random.default_rng(1)
    corners = rng.integers(0, 6, (40, 2))
    masks = [square(32 * r, 32 * c, 64) for r, c in corners]
    shares = region_shares(maps_at(corners, rng), masks, np.arange(40) // 2)
    assert shares.verdict == "better"
    assert shares.better.low > 0.2
    assert (shares.inside.n, shares.inside.n_groups) == (40, 20)
    assert shares.area.value == pytest.approx((64 / 224) ** 2)
    assert "The map does better than the blob: the difference is +" in shares.words[1]
    frame = shares.to_frame().set_index(["part", "of"])
    assert frame.loc[("positive", "map"), "value"] == shares.inside.value


def test_the_interval_is_that_of_the_means_of_the_patients():
    rng = np.random.default_rng(2)
    maps = [heat(rng.random((4, 4))) for _ in range(36)]
    masks = [square(20, 60)] * 36
    shares = region_shares(maps, masks, np.repeat(np.arange(12), 3))
    values = np.array([share_inside(m, masks[0]) for m in maps]).reshape(12, 3).mean(1)
    error = values.std(ddof=1) / np.sqrt(12)
    assert shares.inside.standard_error == pytest.approx(error)
    assert shares.inside.value == pytest.approx(values.mean())


def test_maps_in_the_centre_do_no_better_than_the_blob():
    centre = np.zeros((7, 7))
    centre[2:5, 2:5] = 1
    rng = np.random.default_rng(3)
    maps = [heat(centre + rng.normal(0, 0.02, (7, 7))) for _ in range(30)]
    masks = [square(*rng.integers(40, 100, 2)) for _ in range(30)]
    shares = region_shares(maps, masks)
    assert shares.verdict == "no better"
    corner = [heat(np.roll(one.values, (-2, -2), (0, 1))) for one in maps]
    away = region_shares(corner, masks)
    assert away.verdict == "worse"
    assert "The map does worse than the blob" in away.words[1]


def test_few_patients_give_an_estimate_only():
    rng = np.random.default_rng(4)
    maps = [heat(rng.random((4, 4))) for _ in range(30)]
    shares = region_shares(maps, [square(20, 60)] * 30, [0] * 22 + list(range(1, 9)))
    assert shares.verdict == "not decided"
    assert not shares.is_interval_shown
    assert "an estimate from 9 patients only" in shares.words[1]
    assert "%:" not in shares.words[0]


def test_images_that_do_not_count_are_named():
    maps = [heat(np.ones((2, 2))), heat(np.ones((2, 2))), heat(-np.ones((2, 2))), heat(np.eye(2))]
    masks = [None, np.zeros((8, 8)), np.ones((8, 8)), np.ones((8, 8), bool)]
    shares = region_shares(maps, masks)
    assert (shares.n_unknown, shares.n_outside, shares.n_without) == (1, 1, 1)
    assert shares.inside.n == 1
    assert shares.absolute.n == 2
    assert shares.words[2:] == (
        "In 1 image no region is known.",
        "In 1 image the region was cropped away.",
        "In 1 image there is no evidence for the class.",
    )
    nothing = region_shares(maps, [None] * 4)
    assert nothing.words[0] == "No image has a known region on the input of the network."
    assert repr(nothing).startswith("<RegionShares 0 images")
    assert region_shares([], []).inside.n == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: share_inside(np.ones((2, 2)), np.ones(4)), "must be an array of shape"),
        (lambda: share_inside(np.ones((2, 2)), np.full((4, 4), 255)), "pass mask > 0"),
        (lambda: share_inside(np.ones((2, 2)), np.full((4, 4), np.nan)), "from 0 to 1"),
        (lambda: share_inside(np.full((2, 2), np.nan), np.ones((4, 4))), "finite numbers"),
        (lambda: share_inside(np.ones(4), np.ones((4, 4))), "matrix of finite"),
        (lambda: share_inside(np.ones((2, 2)), np.ones((4, 4)), "all"), "positive or absolute"),
        (lambda: region_shares([heat(np.eye(2))], []), "1 heat map.* and 0 masks"),
        (lambda: region_shares([heat(np.eye(2))], [None], [1, 2]), "groups"),
    ],
)
def test_wrong_uses(call, message):
    with pytest.raises(UsageError, match=message):
        call()
