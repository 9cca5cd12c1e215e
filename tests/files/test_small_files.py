"""Reading files that must be small."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from bottleneck.errors import DataError, UsageError
from bottleneck.files.small_files import read_small

posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no such files")


def test_a_regular_file_is_read_up_to_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_bytes(b"12345")
    assert read_small(path, "study", limit=5) == b"12345"
    with pytest.raises(DataError, match=r"the study .*study.toml is larger than 4 bytes"):
        read_small(path, "study", limit=4, error=DataError)


@posix
def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "absent").symlink_to(tmp_path / "nothing")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(os.path.relpath(tmp_path / "socket"))
        for path, why in {
            tmp_path / "pipe": "is a pipe",
            tmp_path / "folder": "is a folder",
            tmp_path / "socket": "is a socket",
            tmp_path / "absent": "cannot be read: No such file",
            Path("/dev/zero"): "is a device",
        }.items():
            with pytest.raises(UsageError, match=f"the record {path} {why}"):
                read_small(path, "record", limit=100)


@posix
def test_a_sparse_file_of_a_terabyte_takes_no_memory(tmp_path: Path) -> None:
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(UsageError, match="larger than 1,000 bytes"):
        read_small(tmp_path / "huge", "table", limit=1000)
