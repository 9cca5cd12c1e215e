"""The private folder of a run, which the next run removes if it is left."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bottleneck.errors import UsageError
from bottleneck.files import temporary

pytestmark = pytest.mark.skipif(os.name == "nt", reason="folders are locked on Unix only")

CODE = """
import os, signal, sys
sys.path[:] = sys.argv[1:]
from bottleneck.files.temporary import own_folder
folder = own_folder()
(folder / "scan.png").write_text("a patient")
print(folder, flush=True)
sys.stdin.read()
if {killed}:
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def parent(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="b", dir="/tmp") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        yield Path(folder)


def begin(*, killed: bool) -> tuple[subprocess.Popen[str], Path]:
    child = subprocess.Popen(
        [sys.executable, "-c", CODE.format(killed=killed), *sys.path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout
    return child, Path(child.stdout.readline().strip())


def test_only_what_a_killed_run_left_is_swept(parent: Path) -> None:
    (gone, left), (running, used) = begin(killed=True), begin(killed=False)
    assert gone.communicate()
    assert left.parent == used.parent == parent
    assert left.stat().st_mode & 0o777 == 0o700
    kept = []
    # Folders of the user, whatever their names are.
    for name in ("bottleneck-tmp-mine", "bottleneck-tmp-12345678", "bottleneck-tmp-abcdefgh"):
        (parent / name).mkdir()
        (parent / name / "result.csv").write_text("kept")
        kept.append(parent / name / "result.csv")
    (parent / "bottleneck-tmp-abcdefgh").chmod(0o700)
    (parent / "bottleneck-tmp-12345678" / "semaphores").write_text("mine")
    outside = parent / "outside"
    outside.mkdir(0o700)
    (outside / "semaphores").touch()
    (parent / "bottleneck-tmp-87654321").symlink_to(outside)
    temporary.sweep(parent)
    assert not left.exists()
    assert (used / "scan.png").exists()
    assert all(path.exists() for path in kept)
    assert (outside / "semaphores").exists()
    running.communicate()
    assert not used.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="semaphores are files")
def test_semaphores_that_a_killed_run_left(parent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = parent / "shm"
    shared.mkdir()
    monkeypatch.setattr(temporary, "_SHARED_MEMORY", shared)
    for name in ("sem.loky-17-abcdefgh", "sem.mp-12345678", "other", "sem.another"):
        (shared / name).touch()
    gone, left = begin(killed=True)
    gone.communicate()
    listed = "sem.loky-17-abcdefgh\nsem.mp-12345678\nother\n../shm/other\nsem.another\n"
    (left / "semaphores").write_text(listed)
    temporary.sweep(parent)
    assert sorted(path.name for path in shared.iterdir()) == ["other", "sem.another"]


@pytest.mark.skipif(sys.platform != "linux", reason="semaphores are files")
def test_semaphores_of_a_process_are_noted(tmp_path: Path) -> None:
    from multiprocessing import get_context

    context = get_context("spawn")
    lock = context.Lock()
    child = context.Process(target=note, args=(lock, tmp_path))
    child.start()
    child.join()
    name = f"sem.{lock._semlock.name.removeprefix('/')}"  # type: ignore[attr-defined]
    assert name in (tmp_path / "semaphores").read_text().split()


def note(lock: object, folder: Path) -> None:
    temporary.note_semaphores(folder)


def test_no_folder_can_be_used(parent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(parent / "none"))
    monkeypatch.setattr(temporary, "_parent", lambda _: parent / "none")
    with pytest.raises(UsageError, match=r"No such file or directory.*TMPDIR"):
        temporary.own_folder()
    with temporary.used_by_all():
        assert os.environ["TMPDIR"] == str(parent)


def test_everything_temporary_is_in_it(parent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    temporary._parent.cache_clear()
    with temporary.used_by_all():
        folder = temporary.own_folder()
        assert folder.parent == parent
        assert os.environ["TMPDIR"] == tempfile.gettempdir() == str(folder)
    assert os.environ["TMPDIR"] == tempfile.gettempdir() == str(parent)
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    temporary._parent.cache_clear()
    with pytest.raises(OSError, match="of the block"), temporary.used_by_all():
        raise OSError("of the block")
    temporary._parent.cache_clear()
