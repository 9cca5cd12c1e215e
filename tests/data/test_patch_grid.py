"""Where the voxels of a patch lie: closed forms on volumes in any direction."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from made_volumes import flipped_copy, linear_volume, make_affine, make_volume, random_rotation

from bottleneck.data.volumes.region_voxels import read_region
from bottleneck.data.volumes.volume_preprocessing import VolumePreprocessing
from bottleneck.data.volumes.volume_region import VolumeRegion
from bottleneck.errors import DecodeError, UsageError

_TO_LPS = {"L": (1, 0, 0), "P": (0, 1, 0), "S": (0, 0, 1)}
_TO_LPS |= {b: tuple(-v for v in _TO_LPS[a]) for a, b in zip("LPS", "RAI", strict=True)}
_RNG = np.random.default_rng(3)
_NOISE = _RNG.integers(-1000, 1000, (22, 20, 18), np.int16)
_FLIPS = list(
    itertools.product(itertools.permutations(range(3)), [(0, 0, 0), (1, 0, 1), (1, 1, 1)])
)


def _nearest_axis(direction: Any, letter: str) -> Any:
    """Return the direction of the file's axis that is nearest to one of the patient."""
    axis = np.abs(direction.T @ _TO_LPS[letter]).argmax()
    return direction[:, axis] * np.sign(direction[:, axis] @ _TO_LPS[letter])


@pytest.mark.parametrize("orientation", ["RAS", "LPS", "LPI", "PSL", "IRA"])
@pytest.mark.parametrize("seed", range(3))
def test_patch_has_the_values_of_its_world_coordinates(seed: int, orientation: str) -> None:
    """A linear function is interpolated without error, in a volume of any direction."""
    rng = np.random.default_rng(seed)
    # Up to 20 degrees from the axes of the patient, so that the nearest axes are beyond doubt.
    skew = np.linalg.qr(np.eye(3) + rng.uniform(-0.12, 0.12, (3, 3)))[0]
    skew *= np.sign(np.diag(skew))
    flips = np.diag(rng.choice([-1.0, 1.0], 3))
    direction = (skew @ flips)[:, rng.permutation(3)]
    affine = make_affine(rng.uniform(0.5, 3, 3), direction, rng.uniform(-200, 200, 3))
    slopes, offset = rng.uniform(-5, 5, 3), 40.0
    volume = linear_volume((40, 38, 36), affine, slopes, offset)
    centre = affine[:3, :3] @ (20.3, 19.1, 17.7) + affine[:3, 3]
    size, spacing = np.array((5, 4, 6)), np.array((0.7, 1.1, 0.6))
    how = VolumePreprocessing(size=(5, 4, 6), spacing=(0.7, 1.1, 0.6), orientation=orientation)
    found = read_region(volume, VolumeRegion(*centre, "lps"), how)

    axes = np.stack([_nearest_axis(direction, letter) for letter in orientation])
    offsets = np.moveaxis(np.indices(size), 0, -1) - (size - 1) / 2
    world = centre + (offsets * spacing) @ axes
    np.testing.assert_allclose(found.patch[..., 0], world @ slopes + offset, atol=2e-3)
    ends = np.array(list(itertools.product(*((-n / 2, n / 2) for n in size)))) * spacing
    corners = centre + ends @ axes
    np.testing.assert_allclose(found.box, [*corners.min(0), *corners.max(0)], atol=1e-9)
    ras = VolumeRegion(-centre[0], -centre[1], centre[2], "ras")
    np.testing.assert_array_equal(read_region(volume, ras, how).patch, found.patch)


def test_rotation_by_any_angle_keeps_the_grid_of_the_file() -> None:
    rng = np.random.default_rng(8)
    for _ in range(5):
        affine = make_affine((1, 1, 1), random_rotation(rng), rng.uniform(-50, 50, 3))
        volume = make_volume(_NOISE, affine)
        how = VolumePreprocessing(size=(6, 6, 6), orientation=volume.geometry.orientation)
        patch = read_region(volume, VolumeRegion(10, 9, 8, "voxel"), how).patch[..., 0]
        np.testing.assert_array_equal(patch, _NOISE[7:13, 6:12, 5:11])


@pytest.mark.parametrize("orientation", ["LPS", "RAS", "SPR"])
def test_native_spacing_keeps_whole_voxels_of_the_orientation(orientation: str) -> None:
    """The judge is nibabel's reorientation; size // 2 is where MONAI's crop puts the centre."""
    from nibabel.orientations import (
        apply_orientation,
        axcodes2ornt,
        io_orientation,
        ornt_transform,
    )

    affine = make_affine((0.8, 0.7, 2.5), np.diag([-1, 1, -1])[:, [2, 0, 1]], (5, -60, 30))
    volume = make_volume(_NOISE, affine)
    turn = ornt_transform(
        io_orientation(np.diag([-1, -1, 1, 1]) @ affine), axcodes2ornt(orientation)
    )
    turned = apply_orientation(_NOISE, turn)
    marked = np.zeros(_NOISE.shape)
    marked[11, 8, 9] = 1
    i, j, k = np.argwhere(apply_orientation(marked, turn))[0]
    how = VolumePreprocessing(size=(4, 5, 6), orientation=orientation)
    for nudge in (0, 0.3, -0.3):
        patch = read_region(volume, VolumeRegion(11 + nudge, 8, 9 - nudge, "voxel"), how).patch
        expected = turned[i - 2 : i + 2, j - 2 : j + 3, k - 3 : k + 3]
        np.testing.assert_array_equal(patch[..., 0], expected)


@pytest.mark.parametrize(("order", "flips"), _FLIPS)
@pytest.mark.parametrize("spacing", [None, (1.3, 0.9, 0.5)])
def test_order_of_the_axes_in_the_file_changes_nothing(
    order: tuple[int, ...], flips: tuple[bool, ...], spacing: Any
) -> None:
    volume = make_volume(_NOISE, make_affine((0.7, 0.9, 1.25), None, (-20, 10, 5)))
    copy = flipped_copy(volume, order, flips)
    how = VolumePreprocessing(size=(8, 8, 6), spacing=spacing)
    for point in ((10.5, 9.5, 8.5), (2.1, 18.9, 0.2)):  # Halfway between voxels, and a border.
        region = VolumeRegion(*volume.geometry.to_lps(point), "lps")
        one, two = read_region(volume, region, how), read_region(copy, region, how)
        np.testing.assert_allclose(one.patch, two.patch, atol=2e-4)
        assert one.sha256 == two.sha256
        assert one.pixels_sha256 == two.pixels_sha256
        assert one.facts().thumbnail == two.facts().thumbnail


def test_region_with_a_size_is_resampled_to_the_cube() -> None:
    affine = make_affine((1, 1, 2), None, (0, 0, 0))
    volume = linear_volume((40, 40, 20), affine, (1, 10, 100), 0)
    how = VolumePreprocessing(size=(4, 4, 4), orientation="LPS", spacing=(9, 9, 9))
    found = read_region(volume, VolumeRegion(20, 19, 18, "lps", size_mm=12), how)
    x, y, z = np.meshgrid(
        *[c + np.array([-4.5, -1.5, 1.5, 4.5]) for c in (20, 19, 18)], indexing="ij"
    )
    np.testing.assert_allclose(found.patch[..., 0], x + 10 * y + 100 * z, rtol=1e-6)
    assert found.box == pytest.approx((14, 13, 12, 26, 25, 24))


def test_whole_volume_is_resampled_to_the_size() -> None:
    volume = make_volume(np.arange(8 * 6 * 4, dtype=np.int16).reshape(8, 6, 4))
    whole = VolumePreprocessing(size=(8, 6, 4), orientation="LPS")
    np.testing.assert_array_equal(read_region(volume, None, whole).patch[..., 0], volume.stored)
    half = read_region(volume, None, VolumePreprocessing(size=(4, 3, 2), orientation="LPS"))
    means = np.asarray(volume.stored, float).reshape(4, 2, 3, 2, 2, 2).mean((1, 3, 5))
    np.testing.assert_allclose(half.patch[..., 0], means, rtol=1e-6)
    assert half.box == (-0.5, -0.5, -0.5, 7.5, 5.5, 3.5)


@pytest.mark.parametrize("interpolation", ["linear", "nearest"])
def test_half_a_voxel_around_the_volume_has_its_values_and_the_rest_the_fill(
    interpolation: Any,
) -> None:
    volume = make_volume(np.full((6, 6, 6), 7, np.int16))
    how = VolumePreprocessing(
        size=(9, 1, 1),
        spacing=(0.4, 1, 1),
        orientation="LPS",
        fill=-3,
        interpolation=interpolation,
    )
    row = read_region(volume, VolumeRegion(0, 3, 3, "voxel"), how).patch.ravel()
    # Positions −1.6, −1.2, … 1.6; the volume begins at −0.5.
    assert row.tolist() == [-3, -3, -3, 7, 7, 7, 7, 7, 7]


def test_truncated_placement_equals_the_published_code() -> None:
    """Zeros of 49 voxels before and 47 behind the volume; 96 voxels from the truncated index."""
    rng = np.random.default_rng(5)
    stored = rng.integers(-1000, 1000, (60, 50, 40), np.int16)
    origin, spacing = np.array((-195.1, -171.7, -311.25)), np.array((0.7617, 0.7617, 2.5))
    padded = np.zeros([n + 96 for n in stored.shape])
    padded[tuple(slice(49, 49 + n) for n in stored.shape)] = stored
    how = VolumePreprocessing(
        size=(96, 96, 96),
        orientation="PSL",
        placement="truncated",
        window=(0, 1),
        output=(-1, 1),
        clip=False,
    )
    volume = make_volume(stored, make_affine(spacing, None, origin))
    for at in ((0.0, 0.0, 0.0), (59.9, 49.2, 39.99), (31.5, 20.4, 7.7), (-0.4, 3.0, 3.0)):
        world = origin + np.array(at) * spacing
        a, b, c = (int((w - o) / s) for w, o, s in zip(world, origin, spacing, strict=True))
        expected = padded[a : a + 96, b : b + 96, c : c + 96]
        # It moved the axes twice, and scaled as (x − 0.5) / 0.5.
        expected = expected.transpose(2, 0, 1).transpose(2, 0, 1) * 2 - 1
        found = read_region(volume, VolumeRegion(*world, "lps"), how)
        np.testing.assert_array_equal(found.patch[..., 0], expected)
        assert found.patch[49, 49, 49, 0] == 2 * float(stored[a, b, c]) - 1


def test_truncated_placement_ignores_the_directions() -> None:
    volume = make_volume(_NOISE, make_affine((1, 1, 1), np.diag([-1, -1, 1]), (50, 60, 0)))
    how = VolumePreprocessing(size=(4, 4, 4), placement="truncated", orientation="LPS")
    patch = read_region(volume, VolumeRegion(57.8, 66.2, 5.5, "lps"), how).patch[..., 0]
    np.testing.assert_array_equal(patch, _NOISE[4:8, 3:7, 2:6])
    with pytest.raises(DecodeError, match="if the directions of its axes are ignored"):
        read_region(volume, VolumeRegion(43, 54, 5, "lps"), how)
    for region in (None, VolumeRegion(55, 65, 5, "lps", size_mm=4)):
        with pytest.raises(UsageError, match="whole voxels around a point"):
            read_region(volume, region, how)


@pytest.mark.parametrize(
    ("region", "fields", "message"),
    [
        (VolumeRegion(-0.6, 5, 5, "voxel"), {}, "lies outside the volume"),
        (VolumeRegion(5, 5, 17.6, "voxel"), {}, "lies outside the volume"),
        (VolumeRegion(5, 5, 5, "voxel", size_mm=0.5), {}, "between a voxel"),
        (VolumeRegion(5, 5, 5, "voxel", size_mm=500), {}, "ten times the volume"),
        (VolumeRegion(5, 5, 5, "voxel"), {"spacing": (900.0, 1.0, 1.0)}, "farther apart"),
    ],
)
def test_regions_that_are_refused(region: Any, fields: Any, message: str) -> None:
    with pytest.raises(DecodeError, match=message):
        read_region(make_volume(_NOISE), region, VolumePreprocessing(size=(4, 4, 4), **fields))


def test_patch_of_too_many_voxels_is_refused_before_anything_is_read() -> None:
    huge = np.broadcast_to(np.int16(0), (1500, 1500, 1500))
    how = VolumePreprocessing(size=(500, 500, 500))
    with pytest.raises(DecodeError, match=r"3,375,000,000 voxels .*at most 268,435,456"):
        read_region(make_volume(huge), None, how)
    small = VolumePreprocessing(size=(16, 16, 16))  # Of a large box, only some planes are read.
    assert not read_region(make_volume(huge[:200]), None, small).patch.any()
