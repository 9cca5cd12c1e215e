"""MetaImage volumes, beside SimpleITK: the one form of the header that is read."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest
from volume_formats import make_voxels, read_with_simpleitk

from bottleneck.data.volumes.volume_files import open_volume
from bottleneck.errors import DecodeError

VOXELS = make_voxels()
FIELDS = {
    "ObjectType": "Image",
    "NDims": "3",
    "BinaryData": "True",
    "BinaryDataByteOrderMSB": "False",
    "CompressedData": "False",
    "TransformMatrix": "0 1 0 0 0 -1 -1 0 0",
    "Offset": "-195 12.5 -3.5e2",
    "CenterOfRotation": "0 0 0",
    "AnatomicalOrientation": "RAI",
    "ElementSpacing": "0.7 0.8 2.5",
    "DimSize": "7 6 5",
    "ElementType": "MET_SHORT",
    "ElementDataFile": "v.raw",
}


def write(folder: Path, raw: bytes | None = None, **changed: str | None) -> Path:
    """Write a volume whose header has other fields; None leaves a field out."""
    fields = {**FIELDS, **changed}
    last = fields.pop("ElementDataFile")
    lines = [f"{name} = {value}\n" for name, value in fields.items() if value is not None]
    path = folder / "v.mhd"
    path.write_text("".join(lines) + ("" if last is None else f"ElementDataFile = {last}\n"))
    (folder / "v.raw").write_bytes(VOXELS.tobytes("F") if raw is None else raw)
    return path


def read_all(path: Path) -> np.ndarray:
    volume = open_volume(path)
    return volume.read((0, 0, 0), volume.geometry.shape)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"CompressedData": None, "AnatomicalOrientation": None, "CenterOfRotation": None},
        {"Offset": None, "Position": "1 2 3"},
        {
            "Offset": None,
            "Origin": "1 2 3",
            "TransformMatrix": None,
            "Rotation": "1 0 0 0 1 0 0 0 1",
        },
        {"TransformMatrix": None, "Orientation": "0 0 1 1 0 0 0 1 0"},
        {"BinaryDataByteOrderMSB": None, "ElementByteOrderMSB": "False"},
        {"Modality": "MET_MOD_CT", "0008|0060": "CT", "Comment": "a = b", "ElementSize": "9 9 9"},
        {"ElementToIntensityFunctionSlope": "1", "ElementToIntensityFunctionOffset": "0.0"},
        {"HeaderSize": "0", "DistanceUnits": "mm", "ElementNumberOfChannels": "1"},
    ],
)
def test_forms_of_the_header_that_are_read(tmp_path: Path, changed: dict[str, str | None]) -> None:
    path = write(tmp_path, **changed)
    values, affine = read_with_simpleitk(path)
    np.testing.assert_array_equal(read_all(path), values)
    np.testing.assert_array_equal(values, VOXELS)
    np.testing.assert_allclose(open_volume(path).geometry.affine, affine, atol=1e-12)


def test_the_other_byte_order_and_bytes_before_the_voxels(tmp_path: Path) -> None:
    swapped = VOXELS.astype(">i2").tobytes("F")
    path = write(tmp_path, b"before" + swapped, BinaryDataByteOrderMSB="True", HeaderSize="6")
    np.testing.assert_array_equal(read_all(path), VOXELS)
    np.testing.assert_array_equal(read_with_simpleitk(path)[0], VOXELS)


def test_the_size_of_compressed_voxels_may_be_left_out_for_a_file_of_their_own(
    tmp_path: Path,
) -> None:
    packed = zlib.compress(VOXELS.tobytes("F"))
    path = write(tmp_path, packed, CompressedData="True")
    np.testing.assert_array_equal(read_all(path), VOXELS)
    np.testing.assert_array_equal(read_with_simpleitk(path)[0], VOXELS)
    path = write(tmp_path, CompressedData="True", ElementDataFile="LOCAL")
    path.write_bytes(path.read_bytes() + packed)  # Of which SimpleITK reads zeros.
    with pytest.raises(DecodeError, match="does not state CompressedDataSize"):
        open_volume(path)


def test_line_ends_of_windows(tmp_path: Path) -> None:
    path = write(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    np.testing.assert_array_equal(read_all(path), VOXELS)


def test_a_name_with_spaces_and_letters_of_any_language(tmp_path: Path) -> None:
    path = write(tmp_path, ElementDataFile="Schädel 1.raw")
    (tmp_path / "v.raw").rename(tmp_path / "Schädel 1.raw")
    np.testing.assert_array_equal(read_all(path), VOXELS)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"ElementSpacing": None}, "does not state ElementSpacing, for which programs assume"),
        ({"ElementSpacing": None, "ElementSize": "1 1 1"}, "does not state ElementSpacing"),
        ({"ElementSpacing": "0 1 1"}, "ElementSpacing = 0 1 1: a spacing is above 0"),
        ({"ElementSpacing": "-1 1 1"}, "a spacing is above 0"),
        ({"ElementSpacing": "nan 1 1"}, "expected 3 numbers"),
        ({"ElementSpacing": "0,7 0,8 2,5"}, "expected 3 numbers"),
        ({"ElementSpacing": "0.7 0.8"}, "expected 3 numbers"),
        ({"ElementSpacing": "1e9 1 1"}, "an unusual size"),
        ({"Offset": None}, "does not state Offset"),
        ({"Offset": "0 0 1e400"}, "not finite"),
        ({"Position": "0 0 0"}, "states Offset twice"),
        ({"TransformMatrix": None}, "does not state TransformMatrix"),
        ({"TransformMatrix": "1 0 0 0 1 0 0 0 0"}, "do not have length 1"),
        ({"TransformMatrix": "2 0 0 0 1 0 0 0 1"}, "do not have length 1"),
        ({"TransformMatrix": "1 0 0 0.6 0.8 0 0 0 1"}, "sheared or singular"),
        ({"TransformMatrix": "1 0 0 1 0 0 0 0 1"}, "sheared or singular"),
        ({"CenterOfRotation": "1 0 0"}, "which most programs ignore: only 0 is read"),
        ({"ElementToIntensityFunctionSlope": "2"}, "which most programs ignore: only 1 is read"),
        ({"ElementToIntensityFunctionOffset": "-1024"}, "only 0 is read"),
        ({"DistanceUnits": "cm"}, "DistanceUnits = cm: only mm is read"),
        ({"DimSize": "7 6"}, "expected 3 whole numbers"),
        ({"DimSize": "7 6.5 5"}, "DimSize = 7 6.5 5: expected 3 whole numbers"),
        ({"DimSize": "7 0 5"}, "three dimensions, not the shape"),
        (
            {"DimSize": "7 6 4"},
            "7×6×4 voxels of 2 bytes, which are 336 bytes, and the file has 420",
        ),
        ({"DimSize": "7 6 999999999999"}, "the file has 420"),
        ({"NDims": "4"}, "NDims = 4: only 3 is read"),
        ({"NDims": None}, "does not state NDims"),
        ({"ObjectType": "Tube"}, "ObjectType = Tube: only Image is read"),
        ({"ObjectType": None}, "no header of MetaImage"),
        ({"BinaryData": "False"}, "BinaryData = False: only True is read"),
        ({"BinaryDataByteOrderMSB": None}, "does not state BinaryDataByteOrderMSB"),
        ({"BinaryDataByteOrderMSB": "yes"}, "expected True or False"),
        ({"ElementType": None}, "does not state ElementType"),
        ({"ElementType": "MET_USHORT_ARRAY"}, "expected one of MET_CHAR, MET_UCHAR"),
        ({"ElementType": "MET_FLOAT"}, "voxels of 4 bytes, which are 840"),
        ({"ElementNumberOfChannels": "3"}, "only 1 is read"),
        ({"HeaderSize": "-1"}, "HeaderSize = -1: only a number of bytes before"),
        ({"HeaderSize": "4.5"}, "HeaderSize = 4.5: expected a whole number"),
        ({"HeaderSize": "8"}, "the file has 412"),
        ({"CompressedData": "True"}, "incorrect header check"),
        ({"CompressedData": "True", "CompressedDataSize": "9"}, "states 9 bytes of .*file has 420"),
        ({"CompressedData": "True", "CompressedDataSize": "420"}, "incorrect header check"),
        ({"ElementDataFile": None}, "from ObjectType to ElementDataFile"),
        ({"ElementDataFile": ""}, "expected the name of a file beside the header"),
        ({"ElementDataFile": "/etc/passwd"}, "'/etc/passwd': expected the name of a file beside"),
        ({"ElementDataFile": "../v.raw"}, "expected the name of a file beside"),
        ({"ElementDataFile": "sub/v.raw"}, "expected the name of a file beside"),
        ({"ElementDataFile": "..\\v.raw"}, "expected the name of a file beside"),
        ({"ElementDataFile": "C:v.raw"}, "expected the name of a file beside"),
        ({"ElementDataFile": ".."}, "expected the name of a file beside"),
        ({"ElementDataFile": "w.raw"}, "there is no file 'w.raw' beside the header"),
        ({"ElementDataFile": "v.mhd"}, "cut off, or its header is wrong"),
        ({"ElementDataFile": "LIST"}, "several files"),
        ({"ElementDataFile": "v%03d.raw 1 5 1"}, "several files"),
        ({"ElementDataFile": "LOCAL"}, "the file has 0"),
    ],
)
def test_headers_that_are_refused(
    tmp_path: Path, changed: dict[str, str | None], message: str
) -> None:
    with pytest.raises(DecodeError, match=message):
        read_all(write(tmp_path, **changed))


def test_headers_that_simpleitk_reads_with_other_values(tmp_path: Path) -> None:
    _, place = read_with_simpleitk(write(tmp_path))
    for changed in (
        {"ElementSpacing": None},
        {"ElementType": "MET_CHAR"},
        {"DimSize": "7 6 4"},
        {"BinaryDataByteOrderMSB": "True"},
    ):
        path = write(tmp_path, **changed)
        values, affine = read_with_simpleitk(path)
        assert not np.array_equal(values, VOXELS) or not np.allclose(affine, place), changed
        if "BinaryDataByteOrderMSB" not in changed:  # Nothing shows that it is wrong.
            with pytest.raises(DecodeError):
                open_volume(path)


def test_damaged_lines(tmp_path: Path) -> None:
    path = write(tmp_path)
    sound = path.read_bytes()
    for damaged, message in (
        (sound.replace(b"NDims = 3", b"NDims 3"), "not of the form"),
        (sound.replace(b"NDims = 3", b"NDims = 3\nNDims = 3"), "states NDims twice"),
        (sound.replace(b"NDims = 3\n", b"").replace(b"ElementT", b"NDims = 3\nElementT"), "before"),
        (sound.replace(b"\n", b""), "no header of MetaImage"),
        (b"x" * 2**19, "no header of MetaImage"),
        (b"\xff\xfe\0\n" + sound, "control characters"),
    ):
        path.write_bytes(damaged)
        with pytest.raises(DecodeError, match=message):
            open_volume(path)
