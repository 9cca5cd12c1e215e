"""Who can read an output."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bottleneck.cli.console import note_readers
from bottleneck.files.permissions import find_readers

as_root = pytest.mark.skipif(
    os.name == "nt" or os.geteuid() != 0, reason="only root can become another user"
)


def can_read(path: Path, user: int, group: int) -> bool:
    """Whether the kernel lets another user read a file."""
    done = subprocess.run(
        ["cat", path], user=user, group=group, extra_groups=[], capture_output=True
    )
    return done.returncode == 0


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that everyone can reach; pytest's own folders are private."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


@as_root
@pytest.mark.parametrize("folder_mode", [0o755, 0o750, 0o711])
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
@pytest.mark.parametrize("own_group", [True, False])
def test_it_is_what_the_kernel_says(
    place: Path, folder_mode: int, mode: int, own_group: bool
) -> None:
    folder = place / "report"
    folder.mkdir()
    path = folder / "predictions.csv"
    path.write_text("id")
    path.chmod(mode)
    os.chown(path, 0, 54321)
    os.chown(folder, 0, 54321 if own_group else 0)
    folder.chmod(folder_mode)
    expected = ""
    if can_read(path, 54322, 54321):
        expected = "the group 54321"
    if can_read(path, 54322, 54322):
        expected = "everyone"
    assert find_readers(path) == expected


@as_root
def test_a_group_of_the_user_alone_is_nobody_else(place: Path) -> None:
    path = place / "predictions.csv"
    path.write_text("id")
    path.chmod(0o640)
    assert find_readers(path) == ""  # The group root has no member but root.


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
def test_one_note_says_who_reads_what_and_how_to_end_it(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("report.html", "predictions.csv", "inner_scores.csv")
    for name in names:
        (place / name).write_text("id")
        (place / name).chmod(0o604)
    files = [place / name for name in (*names, "absent.csv")]
    place.chmod(0o701)
    note_readers(place, files, quiet=True)
    note_readers(place, files, quiet=False)
    said = " ".join(capsys.readouterr().err.split())
    if find_readers(place / "report.html") == "":
        pytest.skip("a folder of another user leads to the temporary files")
    assert said.startswith("note: everyone can read report.html, predictions.csv and 1 more in")
    assert said.endswith(f"chmod -R go= {place}")
    place.chmod(0o721)  # Who can write there is meant to read it.
    note_readers(place, files, quiet=False)
    assert " ".join(capsys.readouterr().err.split()).endswith(f"chmod -R o= {place}")
    subprocess.run(["chmod", "-R", "go=", place], check=True)
    note_readers(place, files, quiet=False)
    assert capsys.readouterr().err == ""
