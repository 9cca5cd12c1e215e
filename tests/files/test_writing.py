"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bottleneck.files.writing import replacing, write_whole


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="names of open files are in /proc")
def test_the_disk_has_the_bytes_before_they_take_their_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, events = tmp_path / "report.html", []
    fsync, replace = os.fsync, Path.replace

    def flushing(descriptor: int) -> None:
        events.append(("flush", str(Path(f"/proc/self/fd/{descriptor}").readlink())))
        fsync(descriptor)

    def replacing_it(self: Path, other: Path) -> Path:
        events.append(("rename", str(other)))
        return replace(self, other)

    monkeypatch.setattr(os, "fsync", flushing)
    monkeypatch.setattr(Path, "replace", replacing_it)
    write_whole(target, b"new")
    flushed, renamed, folder = events
    assert flushed[0] == "flush"
    assert renamed == ("rename", str(target))
    assert folder == ("flush", str(tmp_path))
    assert target.read_bytes() == b"new"


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, failure: BaseException
) -> None:
    target = tmp_path / "report.html"
    target.write_bytes(b"old")

    def write() -> None:
        with replacing(target) as beside:
            beside.write_bytes(b"ha")
            raise failure

    with pytest.raises(type(failure)):
        write()
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]
