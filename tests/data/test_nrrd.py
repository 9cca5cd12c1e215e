"""NRRD volumes, beside pynrrd and SimpleITK."""

from __future__ import annotations

import gzip
from pathlib import Path

import nrrd
import numpy as np
import pytest
from volume_formats import make_voxels, read_with_simpleitk

from bottleneck.data.volumes.volume_files import open_volume
from bottleneck.errors import DecodeError

VOXELS = make_voxels()
FIELDS = {
    "type": "short",
    "dimension": "3",
    "space": "left-posterior-superior",
    "sizes": "7 6 5",
    "space directions": "(0,0.7,0) (-0.8,0,0) (0,0,2.5)",
    "kinds": "domain domain domain",
    "endian": "little",
    "encoding": "raw",
    "space origin": "(-195,12.5,-350)",
}


def write(
    folder: Path, data: bytes | None = None, name: str = "v.nrrd", **changed: str | None
) -> Path:
    """Write a volume whose header has other fields; None leaves a field out."""
    fields = {**FIELDS, **{key.replace("_", " "): value for key, value in changed.items()}}
    lines = [f"{key}: {value}\n" for key, value in fields.items() if value is not None]
    path = folder / name
    body = VOXELS.tobytes("F") if data is None else data
    path.write_bytes(("NRRD0005\n" + "".join(lines) + "\n").encode() + body)
    return path


def read_all(path: Path) -> np.ndarray:
    volume = open_volume(path)
    return volume.read((0, 0, 0), volume.geometry.shape)


@pytest.mark.parametrize(
    "space",
    [
        *("left-posterior-superior", "right-anterior-superior", "left-anterior-superior"),
        *("LPS", "RAS", "LAS"),
    ],
)
def test_spaces_as_simpleitk_reads_them(tmp_path: Path, space: str) -> None:
    path = write(tmp_path, space=space)
    values, affine = read_with_simpleitk(path)
    np.testing.assert_array_equal(read_all(path), values)
    np.testing.assert_allclose(open_volume(path).geometry.affine, affine, atol=1e-12)


@pytest.mark.parametrize(
    "changed",
    [
        {"type": "signed short int"},
        {"kinds": None, "content": "a: b := c", "space_units": '"mm" "mm" "mm"'},
        {"encoding": "gzip"},
        {"encoding": "gz", "measurement_frame": "(1,0,0) (0,1,0) (0,0,1)"},
        {"endian": "big"},
        {"byte_skip": "4"},
        {"space_dimension": None, "centerings": "cell cell cell"},
    ],
)
def test_forms_of_the_header_that_are_read(tmp_path: Path, changed: dict[str, str | None]) -> None:
    data = VOXELS.astype(">i2" if changed.get("endian") == "big" else "<i2").tobytes("F")
    if changed.get("encoding"):
        data = gzip.compress(data)
    if changed.get("byte_skip"):
        data = b"skip" + data
    path = write(tmp_path, data, **changed)
    np.testing.assert_array_equal(read_all(path), nrrd.read(str(path))[0])
    np.testing.assert_array_equal(read_all(path), VOXELS)


def test_keys_of_the_user_are_no_fields(tmp_path: Path) -> None:
    path = write(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"\nkinds", b"\n# space: RAS\nsizes:=1 1 1\nkinds"))
    np.testing.assert_array_equal(read_all(path), VOXELS)


def test_line_ends_of_windows(tmp_path: Path) -> None:
    path = write(tmp_path, b"")
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n") + VOXELS.tobytes("F"))
    np.testing.assert_array_equal(read_all(path), VOXELS)


@pytest.mark.parametrize("key", ["data_file", "datafile"])
def test_voxels_in_a_file_beside_the_header(tmp_path: Path, key: str) -> None:
    (tmp_path / "v 1.raw").write_bytes(VOXELS.tobytes("F"))
    path = write(tmp_path, b"", "v.nhdr", **{key: "v 1.raw"})
    np.testing.assert_array_equal(read_all(path), VOXELS)
    np.testing.assert_array_equal(nrrd.read(str(path))[0], VOXELS)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"space": None}, "states no space, such as left-posterior-superior"),
        ({"space": "scanner-xyz"}, "'scanner-xyz', which is not a space of the patient"),
        ({"space": "left-posterior-superior-time"}, "not a space of the patient"),
        ({"space_directions": None, "spacings": "1 1 1"}, "does not state both 'space directions'"),
        ({"space_origin": None}, "does not state both 'space directions' and 'space origin'"),
        ({"space_directions": "none (1,0,0) (0,1,0)"}, "not finite"),
        ({"space_directions": "(1,0) (0,1) (1,1)"}, "not of 3 axes"),
        ({"space_directions": "(1,0,0) (0,1,0)"}, "not of 3 axes"),
        ({"space_directions": "(1,0,0) (0,0,0) (0,0,1)"}, "spacing of its voxels is 0"),
        ({"space_directions": "(1,0,0) (0.6,0.8,0) (0,0,1)"}, "sheared or singular"),
        ({"space_directions": "(nan,0,0) (0,1,0) (0,0,1)"}, "not finite"),
        ({"space_directions": "1 2 3"}, "damaged header"),
        ({"space_origin": "(0,0,1e99)"}, "an unusual size"),
        ({"space_units": '"cm" "cm" "cm"'}, "only mm is read"),
        (
            {"dimension": "4", "sizes": "1 7 6 5"},
            "4 dimensions .1×7×6×5., but a volume has three",
        ),
        ({"dimension": "2"}, "dimension and sizes do not fit together"),
        ({"sizes": None}, "dimension and sizes do not fit"),
        ({"sizes": "7.4 6 5"}, "the sizes 7.4 6 5 are not whole numbers"),
        ({"sizes": "-7 6 5"}, "not whole numbers"),
        ({"sizes": "7 0 5"}, "the shape 7×0×5, without voxels|not the shape"),
        ({"sizes": "7 6 4"}, "which are 336 bytes, and the file has 420"),
        ({"type": None}, "of the type ''"),
        ({"type": "block"}, "of the type 'block', but a volume has real numbers"),
        ({"type": "float"}, "which are 840 bytes, and the file has 420"),
        ({"endian": None}, "the endian of its header is '': expected little or big"),
        ({"endian": "middle"}, "expected little or big"),
        ({"encoding": "ascii"}, "'ascii': only raw and gzip and gz are read"),
        ({"encoding": "bzip2"}, "'bzip2'"),
        ({"encoding": None}, "the encoding of its voxels is ''"),
        ({"encoding": "gzip"}, "damaged .incorrect header check"),
        ({"line_skip": "1"}, "a line skip, which is not read"),
        ({"byte_skip": "-1"}, "a byte skip of -1: only a number of bytes"),
        ({"byte_skip": "2"}, "the file has 418"),
        ({"byte_skip": "2", "byteskip": "2"}, "states 'byte skip' twice"),
        ({"data_file": "/etc/passwd"}, "expected the name of a file beside the header"),
        ({"data_file": "../v.raw"}, "expected the name of a file beside the header"),
        ({"data_file": "w.raw"}, "there is no file 'w.raw' beside the header"),
        ({"data_file": "LIST"}, "several files"),
        ({"data_file": "v%d.raw 1 5 1"}, "several files"),
    ],
)
def test_headers_that_are_refused(
    tmp_path: Path, changed: dict[str, str | None], message: str
) -> None:
    with pytest.raises(DecodeError, match=message):
        read_all(write(tmp_path, **changed))


def test_damaged_lines(tmp_path: Path) -> None:
    path = write(tmp_path)
    sound = path.read_bytes()
    for damaged, message in (
        (sound.replace(b"NRRD0005", b"NRRD0006"), "does not begin with the header"),
        (sound.replace(b"kinds: ", b"kinds "), "a line that is not a field"),
        (sound.replace(b"kinds: ", b" \nkinds: "), "a line that is not a field"),
        (sound.replace(b"kinds: ", b"sizes: 7 6 5\nkinds: "), "Duplicate header field"),
        (sound.replace(b"dimension: 3", b"dimension: x"), "a field has no value of its type"),
        (sound.replace(b"\nkinds", b"\n# a\rb\nkinds"), "control characters"),
        (sound.replace(b"kinds: ", b"kidns: "), "a line that is not a field"),
        (sound.replace(b"dimension: 3\n", b"").replace(b"kinds", b"dimension: 3\nkinds"), "before"),
        (sound[: sound.index(b"\n\n") + 1], "no empty line ends it"),
        (b"NRRD0005\n" + b"# \n" * 2**19, "no empty line ends it"),
    ):
        path.write_bytes(damaged)
        with pytest.raises(DecodeError, match=message):
            open_volume(path)
