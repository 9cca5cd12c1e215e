"""Voxels behind a header: streams beside Python's gzip, lengths, and sizes that no memory holds."""

from __future__ import annotations

import gzip
import io
import tempfile
import tracemalloc
import zlib
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from volume_formats import AFFINES, make_voxels, write_volume

from bottleneck.data.volumes.formats import stored_voxels
from bottleneck.data.volumes.formats.stored_voxels import FileVoxels, InflatedStream, find_sibling
from bottleneck.data.volumes.volume_files import open_volume
from bottleneck.errors import DecodeError


@settings(max_examples=40)
@given(st.lists(st.binary(max_size=300), min_size=1), st.lists(st.integers(1, 200)), st.booleans())
def test_streams_are_read_as_gzip_reads_them(
    members: list[bytes], sizes: list[int], padded: bool
) -> None:
    data = b"".join(map(gzip.compress, members)) + b"\0" * 5 * padded
    expected = io.BytesIO(gzip.decompress(data))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stored_voxels, "_CHUNK", 7)
        stream = InflatedStream(io.BytesIO(data), len(data))
        for size in [*sizes, 10**6]:
            assert stream.read(size) == expected.read(size)


@settings(max_examples=40)
@given(st.binary(min_size=1, max_size=2_000), st.integers(1, 40))
def test_streams_that_are_cut_off(content: bytes, missing: int) -> None:
    for data in (gzip.compress(content), zlib.compress(content)):
        cut = data[: max(0, len(data) - missing)]
        with pytest.raises(DecodeError, match="cut off"):
            InflatedStream(io.BytesIO(cut), len(cut)).read_voxels(
                (len(content), 1, 1), np.dtype("u1")
            )


def test_the_first_axis_is_the_fastest(tmp_path: Path) -> None:
    values = np.arange(24, dtype="<i2")
    (tmp_path / "v.raw").write_bytes(values.tobytes())
    packed = gzip.compress(values.tobytes())
    stream = InflatedStream(io.BytesIO(packed), len(packed))
    for voxels in (
        FileVoxels(tmp_path / "v.raw", 0, (4, 3, 2), values.dtype),
        stream.read_voxels((4, 3, 2), values.dtype),
    ):
        (value,) = voxels[slice(1, 2), slice(2, 3), slice(1, 2)].ravel()
        assert value == 1 + 4 * 2 + 12 * 1


BOXES = st.tuples(*(st.tuples(st.integers(0, n - 1), st.integers(1, n)) for n in (7, 5, 4)))


@settings(max_examples=40)
@given(BOXES, st.sampled_from(["u1", "<i2", ">i2", ">f4", "<f8"]), st.integers(0, 9))
def test_boxes_of_a_file_are_those_of_a_memory_map(
    box: tuple[tuple[int, int], ...], dtype: str, start: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "v.raw")
        values = np.arange(7 * 5 * 4).astype(dtype)
        path.write_bytes(bytes(start) + values.tobytes())
        voxels = FileVoxels(path, start, (7, 5, 4), values.dtype)
        x, y, z = (slice(a, max(b, a + 1)) for a, b in box)
        read = voxels[x, y, z]
        assert read.dtype == values.dtype
        expected = np.memmap(path, dtype, "r", start, (7, 5, 4), "F")[x, y, z]
        np.testing.assert_array_equal(read, expected)
        del expected


@pytest.mark.parametrize("size", [4, 47, 48, 49])
def test_a_file_that_changes_while_it_is_read(tmp_path: Path, size: int) -> None:
    """A memory map of it would end the process where the file is cut off."""
    path = tmp_path / "v.raw"
    path.write_bytes(bytes(48))
    voxels = FileVoxels(path, 0, (4, 3, 2), np.dtype("<i2"))
    path.write_bytes(b"1" * size)
    with pytest.raises(DecodeError, match="changed while it was read"):
        voxels[slice(0, 1), slice(0, 3), slice(0, 2)]
    path.unlink()
    with pytest.raises(FileNotFoundError):
        voxels[slice(0, 1), slice(0, 3), slice(0, 2)]


def test_sizes_that_no_memory_holds(tmp_path: Path) -> None:
    path = write_volume(tmp_path / "v.nii", make_voxels(), AFFINES["upright"])
    data = bytearray(path.read_bytes())
    header = np.frombuffer(data, nibabel.Nifti1Header.template_dtype, 1)
    packed = tmp_path / "v.nii.gz"
    for side, message in ((2_000, "the limit is 4,294,967,296"), (1_000, "has another number")):
        header["dim"][0, 1:4] = side
        packed.write_bytes(gzip.compress(bytes(data)))
        tracemalloc.start()
        with pytest.raises(DecodeError, match=message):
            open_volume(packed)
        assert tracemalloc.get_traced_memory()[1] < 2**22
        tracemalloc.stop()


def test_a_stream_that_inflates_without_end_is_read_to_the_stated_length(tmp_path: Path) -> None:
    path = write_volume(tmp_path / "v.nii", make_voxels(), AFFINES["upright"])
    packed = tmp_path / "v.nii.gz"
    packed.write_bytes(gzip.compress(path.read_bytes() + bytes(2**24)))
    tracemalloc.start()
    with pytest.raises(DecodeError, match="has another number: it is cut off, or its header"):
        open_volume(packed)
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()


def test_a_link_beside_the_header_is_followed(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "x").write_bytes(b"")
    (tmp_path / "v.raw").symlink_to(tmp_path / "store" / "x")
    assert find_sibling(tmp_path / "v.mhd", "v.raw") == tmp_path / "v.raw"
