"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from bottleneck.errors import FeatureFileError, UsageError
from bottleneck.files.locks import lock
from bottleneck.files.writing import (
    continue_file,
    create_file,
    make_folder,
    replacing,
    sweep,
    write_whole,
)

KILLED = """
import os, signal, sys
from pathlib import Path
from bottleneck.files.writing import replacing
with replacing(Path(sys.argv[1])) as file:
    file.write(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no permissions and no such links")


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
        with replacing(target) as file:
            file.write(b"ha")
            raise failure

    with pytest.raises(type(failure)):
        write()
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


@posix
def test_a_link_under_any_name_is_replaced_and_never_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    folder = tmp_path / "output"
    folder.mkdir()
    for name in ("results.json", ".results.json.writing", ".probe", ".writable"):
        (folder / name).symlink_to(victim)
    make_folder(folder)
    write_whole(folder / "results.json", b"{}")
    assert victim.read_bytes() == b"precious"
    assert (folder / "results.json").read_bytes() == b"{}"
    with pytest.raises(FileExistsError):
        create_file(folder / ".probe")


@posix
def test_an_unfinished_file_is_private_and_a_finished_one_follows_the_umask(tmp_path: Path) -> None:
    def mode(path: Path) -> int:
        return stat.S_IMODE(path.stat().st_mode)

    umask = os.umask(0o027)
    try:
        with replacing(tmp_path / "table.csv"):
            assert [mode(path) for path in tmp_path.iterdir()] == [0o600]
        write_whole(tmp_path / "pixels", b"", private=True)
    finally:
        os.umask(umask)
    assert mode(tmp_path / "table.csv") == 0o640
    assert mode(tmp_path / "pixels") == 0o600


def test_what_a_killed_run_left_is_swept_and_what_a_running_one_writes_is_not(
    tmp_path: Path,
) -> None:
    subprocess.run([sys.executable, "-c", KILLED, tmp_path / "model.skops"])
    (left,) = tmp_path.iterdir()
    with replacing(tmp_path / "model.skops") as file:
        file.write(b"whole")
        assert len(list(tmp_path.iterdir())) == 2
        sweep(tmp_path)
        assert not left.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["model.skops"]
    assert (tmp_path / "model.skops").read_bytes() == b"whole"


@posix
def test_an_output_that_is_no_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UsageError, match=r"file cannot be written: .*--output"):
        make_folder(tmp_path / "file")


@posix
def test_only_the_log_of_an_own_run_is_continued(tmp_path: Path) -> None:
    log, victim = tmp_path / "log", tmp_path / "victim"
    with continue_file(log, "a log") as file:
        file.write(b"one")
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    with continue_file(log, "a log") as file:
        assert file.read() == b"one"
    victim.write_bytes(b"precious")
    (tmp_path / "symbolic").symlink_to(victim)
    (tmp_path / "hard").hardlink_to(victim)
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name, why in {
        "symbolic": "a symbolic link",
        "hard": "one of 2 names of a file",
        "folder": "a folder",
        "pipe": "not a regular file",
    }.items():
        with pytest.raises(FeatureFileError, match=f"{name} is {why}.*, not a log: remove it"):
            continue_file(tmp_path / name, "a log", FeatureFileError)
    assert victim.read_bytes() == b"precious"


as_root = pytest.mark.skipif(
    os.name == "nt" or os.geteuid() != 0, reason="only root can give files to another user"
)


@as_root
def test_a_file_of_another_user_is_not_continued(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"theirs")
    os.chown(tmp_path / "log", 12345, 12345)
    with pytest.raises(UsageError, match=r"log is a file of another user: .* Remove it"):
        continue_file(tmp_path / "log", "a log")
    assert [path.name for path in tmp_path.iterdir()] == ["log"]
    # In a container, root writes into the folders of a user.
    os.chown(tmp_path, 12345, 12345)
    with continue_file(tmp_path / "log", "a log") as file:
        assert file.read() == b"theirs"


@as_root
def test_an_output_behind_a_link_of_another_user_is_refused(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "output").symlink_to(tmp_path / "disk")
    make_folder(tmp_path / "output" / "features")
    os.chown(tmp_path / "output", 12345, 12345, follow_symlinks=False)
    with pytest.raises(UsageError, match=r"output, a symbolic link of another user: .*--output"):
        make_folder(tmp_path / "output" / "features")


@posix
@pytest.mark.parametrize("link", [Path.symlink_to, Path.hardlink_to])
def test_a_lock_under_the_name_of_a_link_leaves_what_it_leads_to(tmp_path: Path, link: Any) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    victim.chmod(0o644)
    link(tmp_path / ".model.skops.lock", victim)
    with lock(tmp_path / "model.skops", "training"):
        pass
    assert victim.read_bytes() == b"precious"
    assert stat.S_IMODE(victim.stat().st_mode) == 0o644
    assert [path.name for path in tmp_path.iterdir()] == ["victim"]


@posix
def test_a_run_keeps_a_lock_that_a_backup_has_linked(tmp_path: Path) -> None:
    with lock(tmp_path, "comparison"):
        (tmp_path / "backup").hardlink_to(tmp_path / ".lock")
        with (
            pytest.raises(UsageError, match="is being written by another comparison"),
            lock(tmp_path, "comparison"),
        ):
            pass
    with lock(tmp_path, "comparison"):
        pass


@posix
@pytest.mark.parametrize(("folder", "mode"), [(0o755, 0o600), (0o2775, 0o660), (0o777, 0o666)])
def test_who_can_write_into_a_folder_can_lock_it(tmp_path: Path, folder: int, mode: int) -> None:
    tmp_path.chmod(folder)
    for path in (tmp_path / "model.skops", tmp_path):
        with lock(path, "training"):
            (name,) = tmp_path.iterdir()
            assert stat.S_IMODE(name.stat().st_mode) == mode
            with pytest.raises(UsageError, match="another training"), lock(path, "training"):
                pass
            assert name.exists()
        assert not name.exists()


@posix
def test_a_lock_that_a_later_run_holds_is_not_removed(tmp_path: Path) -> None:
    name = tmp_path / ".model.skops.lock"
    with lock(tmp_path / "model.skops", "training"):
        name.unlink()
        with lock(tmp_path / "model.skops", "training"):
            later = name.stat()
            with lock(tmp_path / "other", "training"):
                pass
            assert os.path.samestat(name.stat(), later)


@as_root
def test_a_lock_of_another_user_is_explained(tmp_path: Path) -> None:
    (tmp_path / ".model.skops.lock").touch(0o600)
    code = """
import os
from pathlib import Path
from bottleneck.errors import UsageError
from bottleneck.files.locks import lock
with lock(Path("other"), "training"):
    os.setuid(12345)
try:
    with lock(Path("model.skops"), "training"):
        pass
except UsageError as error:
    print(error)
"""
    tmp_path.chmod(0o777)
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "was left by another user" in run.stdout


@posix
@pytest.mark.slow
def test_one_run_at_a_time_has_a_lock_whatever_a_backup_links(tmp_path: Path) -> None:
    end, inside, held, wrong = time.monotonic() + 4, threading.Lock(), [0], [0]

    def work(number: int) -> None:
        while time.monotonic() < end:
            with contextlib.suppress(UsageError), lock(tmp_path / "x", "run"):
                if not inside.acquire(blocking=False):
                    wrong[0] += 1
                    continue
                held[0] += 1
                if held[0] % 3 == 0:
                    (tmp_path / f"backup-{number}-{held[0]}").hardlink_to(tmp_path / ".x.lock")
                time.sleep(0.0005)
                inside.release()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert held[0] > 20
    assert wrong[0] == 0


def test_a_device_a_pipe_or_a_folder_is_not_replaced(tmp_path: Path) -> None:
    pipe, folder = tmp_path / "pipe", tmp_path / "folder"
    os.mkfifo(pipe)
    folder.mkdir()
    for target, kind in ((pipe, "a device or a pipe"), (folder, "a folder")):
        before = target.lstat()
        with pytest.raises(OSError, match=f"it is {kind}, but a file is needed"):
            write_whole(target, b"")
        assert target.lstat() == before
