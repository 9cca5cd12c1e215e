"""Where the voxels of a volume lie, beside nibabel and SimpleITK."""

from __future__ import annotations

from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK
from hypothesis import given
from hypothesis import strategies as st
from made_volumes import make_affine, random_rotation

from bottleneck.data.volumes.geometry import VolumeGeometry
from bottleneck.data.volumes.volume_region import VolumeRegion
from bottleneck.errors import DecodeError

SHAPE = (9, 8, 7)
TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def random_affine(seed: int) -> Any:
    """A rotation of any size, with or without a reflection."""
    rng = np.random.default_rng(seed)
    direction = random_rotation(rng) * (1, 1, rng.choice([-1, 1]))
    return make_affine(rng.uniform(0.3, 6, 3), direction, rng.uniform(-500, 500, 3))


@given(st.integers(0, 2**32 - 1))
def test_orientation_is_that_of_nibabel(seed: int) -> None:
    affine = random_affine(seed)
    expected = "".join(nibabel.aff2axcodes(TO_LPS @ affine))
    assert VolumeGeometry(SHAPE, affine).orientation == expected


@given(st.integers(0, 2**32 - 1))
def test_coordinates_are_those_of_simpleitk(seed: int) -> None:
    geometry = VolumeGeometry(SHAPE, random_affine(seed))
    image = SimpleITK.Image(SHAPE, SimpleITK.sitkUInt8)
    image.SetSpacing(geometry.spacing)
    image.SetOrigin(geometry.affine[:3, 3].tolist())
    image.SetDirection((geometry.affine[:3, :3] / geometry.spacing).ravel().tolist())
    index = np.random.default_rng(seed).uniform(-20, 20, 3)
    point = image.TransformContinuousIndexToPhysicalPoint(index.tolist())
    np.testing.assert_allclose(geometry.to_lps(index), point, atol=1e-9)
    np.testing.assert_allclose(geometry.to_voxels(point), index, atol=1e-9)
    x, y, z = point
    for region in (VolumeRegion(x, y, z, "lps"), VolumeRegion(-x, -y, z, "ras")):
        np.testing.assert_allclose(geometry.centre_of(region), index, atol=1e-9)
    np.testing.assert_array_equal(geometry.centre_of(VolumeRegion(1, 2, 3, "voxel")), (1, 2, 3))
    np.testing.assert_array_equal(geometry.centre_of(None), (4, 3.5, 3))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({(0, 0): np.nan}, "not finite"),
        ({(0, 3): np.inf}, "not finite"),
        ({(2, 2): 0}, "spacing of its voxels is 0"),
        ({(2, 2): 1e-12}, "spacing of its voxels is 0"),
        ({(1, 1): 1e7}, "an unusual size"),
        ({(1, 3): -1e7}, "an unusual size"),
        ({(3, 3): 2}, "an unusual size"),
        ({(0, 1): 0.002}, "sheared or singular"),
        ({(0, 0): 0, (1, 0): 1}, "sheared or singular"),
    ],
)
def test_matrices_that_are_refused(change: dict[Any, float], message: str) -> None:
    affine = np.eye(4)
    for place, value in change.items():
        affine[place] = value
    with pytest.raises(DecodeError, match=message):
        VolumeGeometry(SHAPE, affine)


def test_rounding_in_a_header_is_no_shear() -> None:
    for seed in range(20):
        VolumeGeometry(SHAPE, random_affine(seed).round(4))


def test_shapes_and_matrices_of_other_dimensions_are_refused() -> None:
    for shape in ((4, 4), (4, 4, 0), (4, 4, 4, 4)):
        with pytest.raises(DecodeError, match="three dimensions"):
            VolumeGeometry(shape, np.eye(4))
    with pytest.raises(DecodeError, match="matrix"):
        VolumeGeometry(SHAPE, np.eye(3))


def test_the_matrix_is_a_copy() -> None:
    affine = np.eye(4)
    geometry = VolumeGeometry(SHAPE, affine)
    affine[0, 0] = 5
    assert geometry.spacing == (1, 1, 1)
    with pytest.raises(ValueError, match="read-only"):
        geometry.affine[0, 0] = 5
