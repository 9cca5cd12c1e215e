"""Voxels behind a header: streams beside Python's gzip, lengths, and sizes that no memory holds."""

from __future__ import annotations

import gzip
import io
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
from bottleneck.data.volumes.formats.stored_voxels import InflatedStream, find_sibling, map_voxels
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
        map_voxels(tmp_path / "v.raw", 0, (4, 3, 2), values.dtype),
        stream.read_voxels((4, 3, 2), values.dtype),
    ):
        np.testing.assert_array_equal(voxels[1, 2, 1], 1 + 4 * 2 + 12 * 1)


def test_a_map_cannot_be_changed(tmp_path: Path) -> None:
    path = write_volume(tmp_path / "v.mha", make_voxels(), AFFINES["upright"])
    with pytest.raises(ValueError, match="read-only"):
        open_volume(path).stored[0, 0, 0] = 1  # type: ignore[index]  # That is what is tested.


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
