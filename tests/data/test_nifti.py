"""NIfTI volumes, beside nibabel and SimpleITK."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from volume_formats import AFFINES, make_voxels, read_with_simpleitk

from bottleneck.data.volumes.volume_files import open_volume
from bottleneck.errors import DecodeError

TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
RAS = TO_LPS @ AFFINES["oblique"]


def image(voxels: Any = None, affine: Any = RAS, kind: Any = nibabel.Nifti1Image) -> Any:
    return kind(make_voxels() if voxels is None else voxels, affine)


def save(folder: Path, made: Any, name: str = "v.nii") -> Path:
    nibabel.save(made, folder / name)
    return folder / name


def with_field(folder: Path, name: str, value: Any, made: Any = None) -> Path:
    """Save a volume, and replace one field of its header."""
    path = save(folder, image() if made is None else made)
    data = bytearray(path.read_bytes())
    header = np.frombuffer(data, nibabel.Nifti1Header.template_dtype, 1)
    header[name] = value
    path.write_bytes(data)
    return path


def read_all(path: Path) -> np.ndarray:
    volume = open_volume(path)
    return volume.read((0, 0, 0), volume.geometry.shape)


@pytest.mark.parametrize("name", ["v.nii", "v.nii.gz"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["Nifti1", "Nifti2"])
def test_versions_and_byte_orders(tmp_path: Path, kind: str, order: str, name: str) -> None:
    header = getattr(nibabel, f"{kind}Header")(endianness=order)
    header.set_data_dtype("i2")
    made = getattr(nibabel, f"{kind}Image")(make_voxels(), RAS, header)
    path = save(tmp_path, made, name)
    np.testing.assert_array_equal(read_all(path), make_voxels())
    np.testing.assert_allclose(open_volume(path).geometry.affine, TO_LPS @ RAS, atol=1e-4)


def test_slope_and_intercept_as_nibabel_applies_them(tmp_path: Path) -> None:
    made = image()
    made.header.set_slope_inter(0.1, -1024)
    path = save(tmp_path, made)
    np.testing.assert_array_equal(read_all(path), np.float32(nibabel.load(path).get_fdata()))
    for slope in (0, np.nan, np.inf):  # These mean values as stored.
        path = with_field(tmp_path, "scl_slope", slope)
        np.testing.assert_array_equal(read_all(path), make_voxels())
    made.header.set_slope_inter(1, 5)
    for slope in (0, np.nan):
        with pytest.raises(DecodeError, match=f"its slope is {slope} and its intercept 5: some"):
            open_volume(with_field(tmp_path, "scl_slope", slope, made))


@pytest.mark.parametrize(("unit", "mm"), [("mm", 1), ("meter", 1e3), ("micron", 1e-3)])
def test_units_as_simpleitk_applies_them(tmp_path: Path, unit: str, mm: float) -> None:
    made = image()
    made.header.set_xyzt_units(unit)
    path = save(tmp_path, made)
    affine = open_volume(path).geometry.affine
    np.testing.assert_allclose(affine, read_with_simpleitk(path)[1], rtol=1e-5, atol=1e-4 * mm)


def test_the_sform_is_used_and_a_different_qform_noted(tmp_path: Path) -> None:
    made = image()
    made.set_sform(RAS, 1)
    made.set_qform(np.diag([1, 1, 2, 1]), 1)
    path = save(tmp_path, made)
    volume = open_volume(path)
    np.testing.assert_allclose(volume.geometry.affine, TO_LPS @ nibabel.load(path).affine)
    assert volume.notes == ("its qform and its sform differ: the sform is used",)
    # SimpleITK takes another one.
    assert np.abs(read_with_simpleitk(path)[1] - volume.geometry.affine).max() > 0.5


def test_another_spacing_beside_the_sform_is_noted(tmp_path: Path) -> None:
    path = with_field(tmp_path, "pixdim", (1, 1, 1, 1, 1, 1, 1, 1))
    volume = open_volume(path)
    np.testing.assert_allclose(volume.geometry.affine, TO_LPS @ nibabel.load(path).affine)
    assert volume.notes == ("its pixdim and its sform differ: the sform is used",)
    assert np.abs(read_with_simpleitk(path)[1] - volume.geometry.affine).max() > 0.5


@pytest.mark.parametrize("directions", AFFINES)
def test_a_qform_alone(tmp_path: Path, directions: str) -> None:
    made = image(affine=None)
    made.set_qform(TO_LPS @ AFFINES[directions], 1)
    path = save(tmp_path, made)
    np.testing.assert_allclose(open_volume(path).geometry.affine, AFFINES[directions], atol=2e-4)


def test_a_file_beside_one_of_almost_the_same_name(tmp_path: Path) -> None:
    save(tmp_path, image(np.zeros((4, 4, 4), "i2")))
    path = save(tmp_path, image(), "v.nii.gz")
    np.testing.assert_array_equal(read_all(path), make_voxels())


def test_several_gzip_members_and_padding_are_one_stream(tmp_path: Path) -> None:
    data = save(tmp_path, image()).read_bytes()
    path = tmp_path / "v.nii.gz"
    for cut in (100, 348, 360, len(data)):
        path.write_bytes(gzip.compress(data[:cut]) + gzip.compress(data[cut:]) + b"\0" * 9)
        np.testing.assert_array_equal(read_all(path), make_voxels())
        assert np.array_equal(nibabel.load(path).get_fdata(), make_voxels())


def test_extensions_are_skipped(tmp_path: Path) -> None:
    for name in ("v.nii", "v.nii.gz"):
        made = image()
        made.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"x" * 5_000))
        np.testing.assert_array_equal(read_all(save(tmp_path, made, name)), make_voxels())


def test_lengths_of_one_after_the_third_dimension(tmp_path: Path) -> None:
    assert open_volume(save(tmp_path, image(make_voxels()[..., None]))).geometry.shape == (7, 6, 5)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("datatype", 128, "bitpix|real numbers"),
        ("sizeof_hdr", 1, "sizeof_hdr should be 348"),
        ("magic", b"ni1", r"a pair of \.hdr and \.img is not read"),
        ("magic", b"n+3", "does not begin with a header"),
        ("dim", (4, 7, 6, 5, 2, 1, 1, 1), "4 dimensions .7×6×5×2., but a volume has three"),
        ("dim", (2, 42, 5, 1, 1, 1, 1, 1), "2 dimensions"),
        ("dim", (0, 7, 6, 5, 1, 1, 1, 1), "0 dimensions"),
        ("dim", (3, 7, -6, 5, 1, 1, 1, 1), "without voxels"),
        ("dim", (3, 7, 6, 4, 1, 1, 1, 1), "which are 336 bytes, and the file has 420"),
        ("dim", (3, 32767, 32767, 32767, 1, 1, 1, 1), "cut off, or its header is wrong"),
        ("pixdim", (5, 1, 1, 1, 1, 1, 1, 1), r"pixdim\[0\] is 5"),
        ("pixdim", (1, 0, 1, 1, 1, 1, 1, 1), "should be non-zero"),
        ("pixdim", (1, -1, 1, 1, 1, 1, 1, 1), "should be positive"),
        ("pixdim", (1, np.nan, 1, 1, 1, 1, 1, 1), "not finite"),
        ("vox_offset", 0, "begin at byte 0"),
        ("vox_offset", np.nan, "damaged header"),
        ("vox_offset", np.inf, "damaged header"),
        ("vox_offset", 1e30, "has 0"),
        ("vox_offset", 336, "vox offset 336 too low"),
        ("vox_offset", 368, "the file has 404"),
        ("qform_code", 77, "qform_code 77 not valid"),
        ("sform_code", -1, "sform_code -1 not valid"),
        ("quatern_b", 2, "its qform"),
        ("srow_x", np.nan, "not finite"),
        ("srow_x", (1e30, 0, 0, 0), "an unusual size"),
        ("srow_x", (0, 0, 0, 4), "sheared or singular|spacing"),
        ("srow_y", (0.3, 0.9, 0, 4), "sheared or singular"),
        ("xyzt_units", 5, "unit of length has the unknown code 5"),
        ("scl_slope", 1e-20, "its slope is 1e-20 and its intercept 0: some programs"),
        ("scl_inter", np.nan, "its intercept is nan"),
    ],
)
def test_headers_that_are_refused(tmp_path: Path, field: str, value: Any, message: str) -> None:
    made = image()
    made.set_qform(RAS, 1)
    with pytest.raises(DecodeError, match=message):
        open_volume(with_field(tmp_path, field, value, made))


def test_place_must_be_stated(tmp_path: Path) -> None:
    with pytest.raises(DecodeError, match="neither a qform nor an sform"):
        open_volume(save(tmp_path, image(affine=None)))


@pytest.mark.parametrize("dtype", ["c8", [("R", "u1"), ("G", "u1"), ("B", "u1")]])
def test_complex_numbers_and_colours_are_refused(tmp_path: Path, dtype: Any) -> None:
    with pytest.raises(DecodeError, match=r"type (RGB|complex64), but a volume has real"):
        open_volume(save(tmp_path, image(np.zeros((4, 4, 4), dtype))))


def test_values_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    voxels = make_voxels("f4")
    voxels[3, 3, 3] = np.nan
    volume = open_volume(save(tmp_path, image(voxels)))
    assert volume.read((0, 0, 0), (3, 3, 3)).shape == (3, 3, 3)
    with pytest.raises(DecodeError, match="NaN or infinity"):
        volume.read((2, 2, 2), (4, 4, 4))
    made = image(make_voxels("f8"))
    made.header.set_slope_inter(1e38, 0)
    with pytest.raises(DecodeError, match="NaN or infinity"):
        read_all(save(tmp_path, made))


def test_names_that_do_not_fit_the_content(tmp_path: Path) -> None:
    path = save(tmp_path, image())
    with pytest.raises(DecodeError, match=r"not compressed, although its name ends in \.gz"):
        open_volume(path.rename(tmp_path / "a.nii.gz"))
    path = save(tmp_path, image(), "v.nii.gz")
    with pytest.raises(DecodeError, match=r"its name does not end in \.gz"):
        open_volume(path.rename(tmp_path / "b.nii"))
