"""Patches are those of MONAI and SimpleITK, and the same in every format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_volumes import make_affine, make_volume

from bottleneck.data.volumes.region_voxels import RegionVoxels, read_region
from bottleneck.data.volumes.volume import Volume
from bottleneck.data.volumes.volume_files import open_volume
from bottleneck.data.volumes.volume_preprocessing import VolumePreprocessing
from bottleneck.data.volumes.volume_region import VolumeRegion

# SimpleITK, which writes the files of some formats, and MONAI take seconds to import.
pytestmark = pytest.mark.slow

_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_RNG = np.random.default_rng(9)
_WHICH = [pytest.param("ct", marks=pytest.mark.shared), "flipped", "oblique"]


def _values(volume: Volume) -> Any:
    return volume.read((0, 0, 0), volume.geometry.shape)


def _read(volume: Volume, point: Any, **fields: Any) -> RegionVoxels:
    """Read the region around a position along the axes of the file."""
    region = VolumeRegion(*volume.geometry.to_lps(point), "lps")
    return read_region(volume, region, VolumePreprocessing(**fields))


@pytest.fixture
def ct(shared: Path) -> Volume:
    """A CT of 122 × 101 × 30 voxels of 3 mm."""
    return open_volume(shared / "data" / "ct" / "example_ct_sm.nii.gz")


def _flipped() -> Volume:
    affine = make_affine((0.7, 0.9, 2.2), np.diag([-1, 1, -1])[:, [1, 2, 0]], (60, -20, 90))
    return make_volume(_RNG.integers(-1000, 1500, (40, 44, 36), np.int16), affine)


def _oblique() -> Volume:
    direction = np.linalg.qr(np.eye(3) + _RNG.uniform(-0.3, 0.3, (3, 3)))[0] @ np.diag([1, 1, -1])
    affine = make_affine((0.8, 1.1, 1.7), direction, (-150, 60, -300))
    return make_volume(_RNG.integers(-1000, 1500, (40, 44, 36), np.int16), affine)


@pytest.mark.parametrize("interpolation", ["linear", "nearest"])
@pytest.mark.parametrize("which", _WHICH)
@pytest.mark.parametrize("where", [0.5, 0.07])
def test_resampled_patches_are_those_of_simpleitk(
    request: pytest.FixtureRequest, which: str, where: float, interpolation: Any
) -> None:
    import SimpleITK

    volume = request.getfixturevalue("ct") if which == "ct" else globals()[f"_{which}"]()
    geometry = volume.geometry
    direction = geometry.affine[:3, :3] / geometry.spacing
    image = SimpleITK.GetImageFromArray(_values(volume).T)
    image.SetSpacing(geometry.spacing)
    image.SetDirection(direction.ravel().tolist())
    image.SetOrigin(geometry.affine[:3, 3].tolist())

    size, spacing = np.array((31, 24, 20)), np.array((0.93, 1.21, 1.13))
    point = np.array(geometry.shape) * where + 0.213
    found = _read(
        volume,
        point,
        size=(31, 24, 20),
        spacing=tuple(spacing.tolist()),
        orientation=geometry.orientation,
        fill=-777.0,
        interpolation=interpolation,
    )
    first = geometry.to_lps(point) - direction @ ((size - 1) / 2 * spacing)
    judge = SimpleITK.Resample(
        image,
        size.tolist(),
        SimpleITK.Transform(),
        SimpleITK.sitkLinear if interpolation == "linear" else SimpleITK.sitkNearestNeighbor,
        first.tolist(),
        spacing.tolist(),
        direction.ravel().tolist(),
        -777.0,
        SimpleITK.sitkFloat32,
    )
    np.testing.assert_allclose(found.patch[..., 0], SimpleITK.GetArrayFromImage(judge).T, atol=1e-3)


@pytest.mark.parametrize("orientation", ["RAS", "LPS", "SAL"])
@pytest.mark.parametrize("which", _WHICH)
def test_patches_are_those_of_monai(
    request: pytest.FixtureRequest, which: str, orientation: str
) -> None:
    """Its grid begins with the first voxel: the centre is one of its positions."""
    import torch
    from monai.data import MetaTensor
    from monai.transforms import Compose, Orientation, ScaleIntensityRange, Spacing, SpatialCrop

    volume = request.getfixturevalue("ct") if which == "ct" else globals()[f"_{which}"]()
    affine = torch.as_tensor(_TO_RAS @ volume.geometry.affine)
    image = MetaTensor(torch.as_tensor(_values(volume))[None], affine=affine)
    labels = (("L", "R"), ("P", "A"), ("I", "S"))
    orient = Orientation(axcodes=orientation, labels=labels)
    window: Any = {"window": (-400.0, 600.0), "output": (-1.0, 1.0)}
    scale = ScaleIntensityRange(-400, 600, -1, 1, clip=True)
    for spacing in (None, (1.9, 1.6, 2.3)):
        space = [] if spacing is None else [Spacing(spacing, mode="bilinear", dtype=torch.float64)]
        whole = Compose([orient, *space])(image)
        middle = [n // 2 for n in whole.shape[1:]]
        world = (whole.affine.numpy() @ [*middle, 1])[:3]
        how = VolumePreprocessing(
            size=(9, 11, 7), spacing=spacing, orientation=orientation, **window
        )
        found = read_region(volume, VolumeRegion(*world.tolist(), "ras"), how)
        judge = scale(SpatialCrop(roi_center=middle, roi_size=(9, 11, 7))(whole))
        np.testing.assert_allclose(found.patch[..., 0], judge[0].numpy(), atol=2e-6)


@pytest.mark.shared
def test_native_patches_of_an_even_size_are_those_of_monai(ct: Volume) -> None:
    from monai.transforms import SpatialCrop

    crop = SpatialCrop(roi_center=(50, 40, 15), roi_size=(8, 6, 10))
    found = _read(ct, (50.2, 39.9, 15.3), size=(8, 6, 10), orientation="RAS")
    np.testing.assert_array_equal(found.patch[..., 0], crop(_values(ct)[None])[0].numpy())


@pytest.mark.shared
@pytest.mark.parametrize("nonzero", [False, True])
def test_standardised_values_are_those_of_monai(ct: Volume, nonzero: bool) -> None:
    from monai.transforms import NormalizeIntensity

    fields: Any = {"size": (12, 12, 12), "fill": 0.0}
    raw = _read(ct, (3, 40, 15), **fields).patch[..., 0]
    raw[:2] = 0
    kind = "nonzero" if nonzero else "all"
    again = read_region(
        make_volume(raw), None, VolumePreprocessing(standardise=kind, orientation="LPS", **fields)
    )
    judge = NormalizeIntensity(nonzero=nonzero)(raw[None])[0]
    np.testing.assert_allclose(again.patch[..., 0], np.asarray(judge), atol=1e-5)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".mhd", ".mha", ".nrrd", ".nhdr", "folder"])
@pytest.mark.parametrize("which", _WHICH)
def test_patches_are_the_same_in_every_format(
    request: pytest.FixtureRequest, tmp_path: Path, which: str, suffix: str
) -> None:
    from made_series import slices, write_series
    from volume_formats import write_volume

    volume = request.getfixturevalue("ct") if which == "ct" else globals()[f"_{which}"]()
    stored, geometry = np.asarray(volume.stored), volume.geometry
    if suffix == "folder":
        if np.linalg.det(geometry.affine[:3, :3]) < 0:  # The axes of a series are right-handed.
            stored = stored[::-1]
            mirrored = geometry.affine.copy()
            mirrored[:, 3] += mirrored[:, 0] * (geometry.shape[0] - 1)
            mirrored[:, 0] *= -1
            geometry = type(geometry)(geometry.shape, mirrored)
        whole = stored.astype(int) + 1024
        path = write_series(tmp_path / "series", slices(whole.astype(np.uint16), geometry))
    else:
        path = write_volume(tmp_path / f"v{suffix}", stored, geometry.affine)
    copy = open_volume(path)
    point = np.array(volume.geometry.shape) * (0.5, 0.4, 0.6) + 0.21
    for fields in (
        {"size": (16, 16, 16)},
        {"size": (12, 13, 14), "spacing": (1.1, 1.3, 2.1)},
        {"size": (16, 16, 16), "slices": "orthogonal", "orientation": "LPI"},
    ):
        region = VolumeRegion(*volume.geometry.to_lps(point), "lps")
        how = VolumePreprocessing(**fields)
        one, two = (read_region(each, region, how) for each in (volume, copy))
        assert one.sha256 == two.sha256
        assert one.pixels_sha256 == two.pixels_sha256
        if "spacing" in fields:  # Headers of NIfTI have 32 bits; these values are noise.
            np.testing.assert_allclose(one.patch, two.patch, atol=1e-3 if which == "ct" else 0.1)
        else:
            np.testing.assert_array_equal(one.patch, two.patch)
