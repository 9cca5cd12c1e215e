"""The values, the hashes and the picture of a patch."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_volumes import make_affine, make_volume

from bottleneck.data.volumes.region_voxels import read_region
from bottleneck.data.volumes.volume_preprocessing import VolumePreprocessing
from bottleneck.data.volumes.volume_region import VolumeRegion
from bottleneck.errors import DecodeError, UsageError

_RNG = np.random.default_rng(7)
_VALUES = _RNG.integers(-1000, 1000, (40, 38, 36), np.int16)
_MIDDLE = VolumeRegion(20, 19, 18, "voxel")


def _patch(volume: Any, region: Any = _MIDDLE, **fields: Any) -> Any:
    how = VolumePreprocessing(**{"size": (8, 8, 8), "orientation": "LPS", **fields})
    patch = read_region(volume, region, how).patch
    assert patch.shape == how.input_shape
    assert patch.dtype == np.float32
    return patch


def test_window_and_output_scale_and_clip() -> None:
    raw = _VALUES[16:24, 15:23, 14:22].astype(float)
    volume = make_volume(_VALUES)
    scaled = (raw + 500) / 800 * 3 - 1
    patch = _patch(volume, window=(-500, 300), output=(-1, 2), clip=False)[..., 0]
    np.testing.assert_allclose(patch, scaled, rtol=1e-5, atol=1e-6)
    clipped = _patch(volume, window=(-500, 300), output=(-1, 2))[..., 0]
    np.testing.assert_allclose(clipped, scaled.clip(-1, 2), rtol=1e-5, atol=1e-6)
    inverted = _patch(volume, window=(-500, 300), output=(1, 0))[..., 0]
    np.testing.assert_allclose(inverted, 1 - ((raw + 500) / 800).clip(0, 1), rtol=1e-5, atol=1e-6)


def test_standardise_uses_all_or_the_nonzero_values() -> None:
    values = _VALUES.copy()
    values[18:20] = 0
    raw = values[16:24, 15:23, 14:22].astype(float)
    everything = _patch(make_volume(values), standardise="all")[..., 0]
    np.testing.assert_allclose(everything, (raw - raw.mean()) / raw.std(), atol=1e-6)
    nonzero = _patch(make_volume(values), standardise="nonzero")[..., 0]
    kept = raw[raw != 0]
    np.testing.assert_allclose(nonzero[raw != 0], (kept - kept.mean()) / kept.std(), atol=1e-6)
    assert (nonzero[raw == 0] == 0).all()
    assert not _patch(make_volume(np.full((20, 20, 20), 5)), None, standardise="all").any()


def test_values_that_were_not_imaged_become_the_fill_before_interpolation() -> None:
    values = np.full((20, 20, 20), -1000, np.int16)
    values[:10] = -3024
    region = VolumeRegion(9.5, 10, 10, "voxel")
    fields: Any = {"spacing": (0.5, 1, 1), "fill": -1000.0}
    assert _patch(make_volume(values), region, **fields).min() == -3024
    cleaned = _patch(make_volume(values), region, outside=-2048.0, **fields)
    assert np.unique(cleaned).tolist() == [-1000]


def test_fill_is_the_lower_end_of_the_window_unless_stated() -> None:
    volume, border = make_volume(np.full((9, 9, 9), 40, np.int16)), VolumeRegion(0, 0, 0, "voxel")
    assert _patch(volume, border)[0, 0, 0] == 0
    assert _patch(volume, border, window=(-100, 100), output=(3, 4))[0, 0, 0] == 3
    assert _patch(volume, border, window=(-100, 100), fill=0)[0, 0, 0] == 0.5


def test_channels_repeat_the_values() -> None:
    patch = _patch(make_volume(_VALUES), n_channels=3)
    np.testing.assert_array_equal(patch[..., 0], patch[..., 2])


@pytest.mark.parametrize("spacing", [None, (0.7, 0.7, 0.7)])
def test_orthogonal_slices_are_the_planes_through_the_centre(spacing: Any) -> None:
    """An odd size has its middle voxel at the centre, so that the patch holds the planes."""
    volume = make_volume(_VALUES)
    fields: Any = {"size": (9, 9, 9), "spacing": spacing}
    cube = _patch(volume, **fields)
    axial, coronal, sagittal = _patch(volume, slices="orthogonal", **fields)
    np.testing.assert_allclose(axial, cube[:, :, 4].transpose(1, 0, 2), atol=2e-3)
    np.testing.assert_allclose(coronal, cube[:, 4].transpose(1, 0, 2), atol=2e-3)
    np.testing.assert_allclose(sagittal, cube[4].transpose(1, 0, 2), atol=2e-3)


def test_orthogonal_slices_of_an_even_size_keep_whole_voxels() -> None:
    axial, coronal, sagittal = _patch(make_volume(_VALUES), slices="orthogonal")[..., 0]
    np.testing.assert_array_equal(axial, _VALUES[16:24, 15:23, 18].T)
    np.testing.assert_array_equal(coronal, _VALUES[16:24, 19, 14:22].T)
    np.testing.assert_array_equal(sagittal, _VALUES[20, 15:23, 14:22].T)


@pytest.mark.parametrize("step", [1, 3, 8])
def test_axial_slices_lie_evenly_around_the_middle(step: int) -> None:
    volume = make_volume(_VALUES)
    cube = _patch(volume)
    first = {1: 0, 3: 0, 8: 3}[step]
    planes = _patch(volume, slices="axial", slice_step=step)
    expected = cube[:, :, first::step].transpose(2, 1, 0, 3)
    np.testing.assert_array_equal(planes, expected)


def test_hash_of_the_pixels_is_that_of_every_preprocessing() -> None:
    volume = make_volume(_VALUES, make_affine((0.7, 0.7, 1.25)))
    hows = [
        VolumePreprocessing(size=(8, 8, 8)),
        VolumePreprocessing(size=(8, 8, 8), orientation="PSL"),
        VolumePreprocessing(size=(9, 8, 8)),
        VolumePreprocessing(size=(8, 8, 8), spacing=(1, 1, 1)),
        VolumePreprocessing(size=(8, 8, 8), spacing=(1.1, 1, 1)),
        VolumePreprocessing(size=(8, 8, 8), slices="orthogonal"),
        VolumePreprocessing(size=(8, 8, 8), slices="axial", slice_step=2),
    ]
    made = [read_region(volume, _MIDDLE, how) for how in hows]
    assert len({each.sha256 for each in made}) == len(hows)
    assert len({each.pixels_sha256 for each in made}) == 1
    whole = [read_region(volume, None, how) for how in hows]
    assert len({each.pixels_sha256 for each in whole} | {made[0].pixels_sha256}) == 2


def test_hashes_change_with_the_voxels_the_place_and_the_spacing() -> None:
    how = VolumePreprocessing(size=(8, 8, 8), spacing=(0.5, 0.5, 0.5))
    volume = make_volume(_VALUES)
    one = read_region(volume, _MIDDLE, how)
    touched = _VALUES.copy()
    touched[20, 19, 18] += 1
    coarser = make_volume(_VALUES, make_affine((1, 1, 1.1)))
    moved = VolumeRegion(20.1, 19, 18, "voxel")
    for other in (
        read_region(make_volume(touched), _MIDDLE, how),
        read_region(coarser, _MIDDLE, how),
        read_region(volume, VolumeRegion(21, 19, 18, "voxel"), how),
    ):
        assert other.sha256 != one.sha256
        assert other.pixels_sha256 != one.pixels_sha256
    assert read_region(volume, moved, how).sha256 != one.sha256
    far = _VALUES.copy()
    far[0, 0, 0] += 1  # More than 16 mm from the centre.
    assert read_region(make_volume(far), _MIDDLE, how).sha256 == one.sha256
    assert read_region(make_volume(far), _MIDDLE, how).pixels_sha256 == one.pixels_sha256


def test_hashes_survive_the_rounding_of_headers() -> None:
    """NIfTI rounds its matrix to 32 bits, which other formats do not."""
    rng = np.random.default_rng(11)
    same = 0
    for _ in range(40):
        spacing = rng.choice([0.5, 0.625, 0.6875, 0.703125, 1.0, 1.25, 2.5], 3)
        origin = np.round(rng.uniform(-300, 300, 3), 4)
        exact = make_affine(spacing, None, origin)
        rounded = exact.astype(np.float32).astype(np.float64)
        region = VolumeRegion(*(exact[:3, :3] @ rng.uniform(8, 28, 3) + origin), "lps")
        resampled: Any = (None, (1, 1, 1), (2, 2, 2))[rng.integers(3)]
        how = VolumePreprocessing(size=(8, 8, 8), spacing=resampled)
        one, two = (read_region(make_volume(_VALUES, a), region, how) for a in (exact, rounded))
        assert one.pixels_sha256 == two.pixels_sha256
        np.testing.assert_allclose(one.patch, two.patch, atol=0.2)
        same += one.sha256 == two.sha256
    assert same >= 38


@pytest.mark.parametrize(
    ("orientation", "slices"),
    [("LPS", None), ("SAR", None), ("LPI", "orthogonal"), ("RIA", "orthogonal"), ("RAS", "axial")],
)
def test_picture_shows_the_planes_as_radiologists_look_at_them(
    orientation: str, slices: Any
) -> None:
    values = np.zeros((33, 33, 33), np.int16)  # Axes to L, P and S.
    values[4:13, 14:19, 14:19] = 100  # The patient's right.
    values[14:19, 4:13, 14:19] = 200  # The front.
    values[14:19, 14:19, 20:29] = 50  # Towards the head.
    how = VolumePreprocessing(
        size=(33, 33, 33), orientation=orientation, window=(0, 200), slices=slices
    )
    picture = read_region(make_volume(values), VolumeRegion(16, 16, 16, "voxel"), how).picture(68)
    assert (picture.mode, picture.size) == ("L", (68, 68))
    (axial, rest), (coronal, sagittal) = _tiles(picture)
    assert not rest.any()

    def centre(plane: Any, level: int) -> list[float]:
        at = np.argwhere(np.abs(plane.astype(int) - level) <= 1)
        return (at.mean(0) - 16).round().tolist()

    assert centre(axial, 127) == [0, -8]  # Rows, columns.
    assert centre(axial, 255) == [-8, 0]
    assert centre(coronal, 127) == [0, -8]
    assert centre(coronal, 63) == [-8, 0]
    assert centre(sagittal, 255) == [0, -8]
    assert centre(sagittal, 63) == [-8, 0]


def test_picture_is_drawn_at_one_scale() -> None:
    thin = make_volume(np.full((40, 40, 4), 9, np.int16), make_affine((1, 1, 2)))
    how = VolumePreprocessing(size=(40, 40, 4), window=(0, 9))
    (axial, _), (coronal, sagittal) = _tiles(read_region(thin, None, how).picture(82))
    sizes = [np.ptp(np.argwhere(tile), axis=0) + 1 for tile in (axial, coronal, sagittal)]
    assert np.array_equal(sizes, [(40, 40), (8, 40), (8, 40)])


def _tiles(picture: Any) -> Any:
    """Return the four planes of a picture, without the line between them."""
    half = picture.width // 2
    parts = (slice(0, half - 1), slice(half + 1, None))
    return [[np.asarray(picture)[rows, columns] for columns in parts] for rows in parts]


def test_thumbnails_leave_out_what_lies_outside_the_volume() -> None:
    how = VolumePreprocessing(size=(24, 24, 24), window=(0, 255), fill=255)
    corner, rng = VolumeRegion(4, 4, 4, "voxel"), np.random.default_rng(0)
    thumbnails = []
    for _ in range(10):
        volume = make_volume(rng.integers(0, 128, (24, 24, 24)).astype(np.int16))
        thumbnails.append(list(read_region(volume, corner, how).facts().thumbnail))
    correlations = np.corrcoef(thumbnails)[~np.eye(10, dtype=bool)]
    assert np.abs(correlations).max() < 0.3


def test_thumbnails_of_thin_patches_have_no_border_that_makes_them_alike() -> None:
    how = VolumePreprocessing(size=(24, 24, 8), window=(0, 255))
    rng = np.random.default_rng(0)
    thumbnails = []
    for _ in range(10):
        volume = make_volume(rng.integers(0, 256, (24, 24, 8)).astype(np.int16))
        thumbnails.append(list(read_region(volume, None, how).facts().thumbnail))
    correlations = np.corrcoef(thumbnails)[~np.eye(10, dtype=bool)]
    assert np.abs(correlations).max() < 0.3


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused_only_where_they_are_read(value: float) -> None:
    values = _VALUES.astype(np.float32)
    values[19, 19, 18] = value
    with pytest.raises(DecodeError, match="NaN or infinity"):
        _patch(make_volume(values))
    _patch(make_volume(values), VolumeRegion(38, 5, 5, "voxel"))


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, -1024.0), (0.1, 0.3), (-2.5, 7.0)])
@pytest.mark.parametrize("kind", ["<i2", ">i2", "u1", "<i4", ">f4", "<f8"])
def test_slope_and_intercept_are_applied_in_double_precision(
    kind: str, slope: float, intercept: float
) -> None:
    stored = np.abs(_VALUES) % 200 if kind == "u1" else _VALUES
    volume = make_volume(stored.astype(kind), slope=slope, intercept=intercept)
    expected = stored[16:24, 15:23, 14:22].astype(np.float64) * slope + intercept
    np.testing.assert_array_equal(_patch(volume)[..., 0], expected.astype(np.float32))


def test_values_at_indices_equal_those_of_numpy() -> None:
    volume = make_volume(_VALUES)
    for _ in range(20):
        at = [np.flatnonzero(_RNG.random(n) < _RNG.choice([0.1, 0.5, 1])) for n in _VALUES.shape]
        if all(map(len, at)):
            np.testing.assert_array_equal(volume.read_at(at), _VALUES[np.ix_(*at)])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"orientation": "RAX"}, "three letters"),
        ({"orientation": "RLS"}, "three letters"),
        ({"window": (300.0, -500.0)}, "LOW < HIGH"),
        ({"size": (512, 512, 512), "n_channels": 3}, "too large"),
        ({"placement": "truncated", "spacing": (1.0, 1.0, 1.0)}, "whole voxels"),
        ({"size": (8, 8, 9), "slices": "orthogonal"}, "one size"),
        ({"slices": "axial", "orientation": "SLP"}, "third letter"),
        ({"slice_step": 2}, "distance between axial slices"),
        ({"slices": "axial", "slice_step": 9}, "at most the 8 voxels"),
        ({"fill": float("nan")}, "fill"),
        ({"mean": (0.1, 0.2)}, "mean needs one value"),
    ],
)
def test_preprocessings_that_are_refused(fields: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        VolumePreprocessing(**{"size": (8, 8, 8), **fields})


def test_letters_of_the_orientation_may_be_small() -> None:
    assert VolumePreprocessing(size=(8, 8, 8), orientation="lps").orientation == "LPS"


def test_air_is_the_same_in_two_patients_and_no_copy() -> None:
    how = VolumePreprocessing(size=(8, 8, 8))
    made = []
    for seed in (0, 1):
        values = np.full((64, 40, 40), -1000, np.int16)
        values[50:] = np.random.default_rng(seed).integers(-1000, 1000, (14, 40, 40))
        volume = make_volume(values)
        made += [read_region(volume, VolumeRegion(x, 20, 20, "voxel"), how) for x in (18, 19)]
    assert len({one.pixels_sha256 for one in made}) == len({one.sha256 for one in made}) == 4
    larger = dataclasses.replace(how, size=(9, 9, 9))
    again = read_region(volume, VolumeRegion(19, 20, 20, "voxel"), larger)
    assert again.pixels_sha256 == made[-1].pixels_sha256


@settings(max_examples=30)
@given(st.tuples(*[st.integers(0, 1 << 20)] * 3))
def test_a_whole_volume_is_identified_by_each_cube_as_large_as_the_steps(place: Any) -> None:
    shape, edges = (300, 20, 140), (3, 1, 2)  # At most 128 voxels an axis are looked at.
    how = VolumePreprocessing(size=(2, 2, 2))
    values = np.zeros(shape, np.int16)
    one = read_region(make_volume(values), None, how)
    cube = tuple(
        slice(at % (n - edge + 1), at % (n - edge + 1) + edge)
        for at, n, edge in zip(place, shape, edges, strict=True)
    )
    values[cube] = 1
    assert read_region(make_volume(values), None, how).pixels_sha256 != one.pixels_sha256


def test_a_header_that_moves_the_volume_changes_the_row_and_no_copy() -> None:
    how = VolumePreprocessing(size=(8, 8, 8))
    one, moved = (
        read_region(make_volume(_VALUES, make_affine((1, 1, 1), None, o)), _MIDDLE, how)
        for o in ((0, 0, 0), (0, 5, 0))
    )
    assert moved.box[1] == one.box[1] + 5
    assert moved.sha256 != one.sha256
    assert moved.pixels_sha256 == one.pixels_sha256
