"""Volumes in files: the same one in every format, and what every format refuses."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
from volume_formats import AFFINES, SUFFIXES, make_voxels, read_with_simpleitk, write_volume

from bottleneck.data.volumes.region_voxels import read_region
from bottleneck.data.volumes.volume import Volume
from bottleneck.data.volumes.volume_files import VolumeFiles, is_volume_name, open_volume
from bottleneck.data.volumes.volume_preprocessing import VolumePreprocessing
from bottleneck.data.volumes.volume_region import VolumeRegion
from bottleneck.errors import DataError, DecodeError, MissingExtraError

DETACHED = {".mhd": ".raw", ".nhdr": ".raw.gz"}


def read_all(volume: Volume) -> np.ndarray:
    return volume.read((0, 0, 0), volume.geometry.shape)


@pytest.mark.parametrize("directions", AFFINES)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_values_and_place_are_those_of_simpleitk(
    tmp_path: Path, suffix: str, directions: str
) -> None:
    path = write_volume(tmp_path / f"v{suffix}", make_voxels(), AFFINES[directions])
    volume = open_volume(path)
    expected, affine = read_with_simpleitk(path)
    np.testing.assert_array_equal(read_all(volume), expected)
    np.testing.assert_allclose(volume.geometry.affine, affine, atol=2e-4)
    np.testing.assert_allclose(volume.geometry.affine, AFFINES[directions], atol=2e-4)
    assert volume.notes == ()


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_type_of_voxel_compressed_and_not(tmp_path: Path, suffix: str, dtype: str) -> None:
    voxels = make_voxels(dtype)
    for compress in (False, True):
        path = write_volume(tmp_path / f"v{suffix}", voxels, AFFINES["upright"], compress=compress)
        np.testing.assert_array_equal(read_all(open_volume(path)), voxels)


def test_voxels_without_compression_stay_in_their_file(tmp_path: Path) -> None:
    for suffix in SUFFIXES:
        path = write_volume(tmp_path / f"v{suffix}", make_voxels(), AFFINES["upright"])
        assert isinstance(open_volume(path).stored, np.ndarray) == (suffix == ".nii.gz"), suffix


@pytest.mark.parametrize("directions", AFFINES)
def test_a_region_is_the_same_in_every_format(tmp_path: Path, directions: str) -> None:
    affine = AFFINES[directions]
    voxels = np.random.default_rng(0).integers(-1000, 1000, (20, 19, 18)).astype("i2")
    x, y, z = affine[:3, :3] @ (9.3, 8.2, 7.6) + affine[:3, 3]
    region = VolumeRegion(x, y, z, "lps", size_mm=8)
    preprocessing = VolumePreprocessing(size=(8, 8, 8))
    paths = (write_volume(tmp_path / f"v{s}", voxels, affine, compress=True) for s in SUFFIXES)
    first, *others = (read_region(open_volume(p), region, preprocessing) for p in paths)
    for other in others:
        np.testing.assert_allclose(other.patch, first.patch, atol=0.1)
        np.testing.assert_allclose(other.box, first.box, atol=1e-4)
        assert other.pixels_sha256 == first.pixels_sha256


@pytest.mark.shared
def test_a_ct_is_the_same_in_every_format(shared: Path, tmp_path: Path) -> None:
    source = shared / "data" / "ct" / "example_ct_sm.nii.gz"
    image = nibabel.load(source)
    voxels = np.asanyarray(image.dataobj)
    for suffix in SUFFIXES:
        affine = np.diag([-1, -1, 1, 1]) @ image.affine
        path = write_volume(tmp_path / f"ct{suffix}", voxels, affine, compress=True)
        volume, original = open_volume(path), open_volume(source)
        np.testing.assert_array_equal(read_all(volume), read_all(original))
        np.testing.assert_array_equal(read_all(volume), image.get_fdata())
        np.testing.assert_allclose(volume.geometry.affine, original.geometry.affine, atol=1e-4)


@pytest.mark.parametrize("compress", [False, True], ids=["plain", "compressed"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_files_that_are_too_short_or_too_long_are_refused(
    tmp_path: Path, suffix: str, compress: bool
) -> None:
    voxels = np.random.default_rng(0).integers(-1000, 1000, (16, 15, 14)).astype("i2")
    path = write_volume(tmp_path / f"v{suffix}", voxels, AFFINES["upright"], compress=compress)
    data = next((p for p in tmp_path.iterdir() if p != path), path)
    sound = data.read_bytes()
    for damaged in (sound[:-1], sound[: len(sound) // 2], sound[:-400], sound + b"x"):
        data.write_bytes(damaged)
        with pytest.raises(DecodeError, match=r"cut off|further bytes"):
            open_volume(path)
    data.write_bytes(sound)
    open_volume(path)


@pytest.mark.parametrize("suffix", [".nii.gz", ".mha", ".nrrd"])
def test_a_wrong_checksum_is_refused(tmp_path: Path, suffix: str) -> None:
    path = write_volume(tmp_path / f"v{suffix}", make_voxels(), AFFINES["upright"], compress=True)
    data = bytearray(path.read_bytes())
    data[-2 if suffix == ".mha" else -6] ^= 1
    path.write_bytes(data)
    with pytest.raises(DecodeError, match=r"damaged \(incorrect data check\): copy or"):
        open_volume(path)


@pytest.mark.parametrize("suffix", DETACHED)
def test_a_stamp_shows_changes_of_both_files(tmp_path: Path, suffix: str) -> None:
    path = write_volume(tmp_path / f"v{suffix}", make_voxels(), AFFINES["upright"], compress=True)
    (data,) = (p for p in tmp_path.iterdir() if p != path)
    files = VolumeFiles(tmp_path)
    stamps = [files.stamp(path.name)]
    for file in (path, data):
        os.utime(file, ns=(0, file.stat().st_mtime_ns - 10**9))
        stamps.append(files.stamp(path.name))
    assert len(set(stamps)) == 3
    # It is compared with the time of reading: a file that is as young may have changed since.
    assert stamps[0][1] == max(path.stat().st_mtime_ns, data.stat().st_mtime_ns) + 10**9
    data.unlink()
    with pytest.raises(OSError, match="No such file"):
        files.stamp(path.name)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_files_without_a_volume(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"v{suffix}"
    for content in (b"", b"\0" * 2000, b"\x1f\x8b", b"NRRD0004\n", b"ObjectType = Image\n", b"x\n"):
        path.write_bytes(content)
        with pytest.raises(DecodeError):
            open_volume(path)
        assert VolumeFiles(tmp_path).stamp(path.name)[0] == len(content)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        open_volume(path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(path)
        with pytest.raises(DecodeError, match="special file"):
            open_volume(path)


@pytest.mark.parametrize(
    ("suffix", "package"), [(".nii", "nibabel"), (".nrrd", "pynrrd"), (".nhdr", "pynrrd")]
)
def test_packages_that_are_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, package: str
) -> None:
    path = write_volume(tmp_path / f"v{suffix}", make_voxels(), AFFINES["upright"])
    monkeypatch.setitem(sys.modules, package.removeprefix("py"), None)
    with pytest.raises(MissingExtraError, match=rf"needs {package}.*\n.*\[volumes\]"):
        open_volume(path)
    assert VolumeFiles(tmp_path).stamp(path.name)[0] > 0


def test_names_of_volumes(tmp_path: Path) -> None:
    assert is_volume_name("a/b.MHD")
    assert not is_volume_name("b.raw")
    (tmp_path / "a.raw").write_bytes(b"voxels")
    with pytest.raises(DecodeError, match=r"ends in \.nii, \.nii\.gz, \.mhd"):
        open_volume(tmp_path / "a.raw")
    with pytest.raises(DataError, match="a volume, from which regions are read"):
        VolumeFiles(tmp_path).read("a.mhd")
    upper = write_volume(tmp_path / "a.nii", make_voxels(), AFFINES["upright"])
    assert open_volume(upper.rename(tmp_path / "A.NII")).geometry.shape == (7, 6, 5)
