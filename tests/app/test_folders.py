from __future__ import annotations

from pathlib import Path

import pytest

from bottleneck.app.folders import Folders
from bottleneck.errors import UsageError


def test_paths_inside_are_given_with_links_followed(tmp_path: Path) -> None:
    inside = tmp_path / "scans" / "a"
    inside.mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "scans")
    folders = Folders([tmp_path / "link"])
    assert folders.paths == (tmp_path / "scans",)
    assert folders.find(tmp_path / "link" / "a") == inside
    assert folders.find(inside / ".." / "a") == inside


@pytest.mark.parametrize("way", ["..", "../secret", "link", "link/below", "/etc/passwd", "loop"])
def test_paths_that_lead_out_are_refused(tmp_path: Path, way: str) -> None:
    scans, secret = tmp_path / "scans", tmp_path / "secret"
    scans.mkdir()
    (secret / "below").mkdir(parents=True)
    (scans / "link").symlink_to(secret)
    (scans / "loop").symlink_to(scans / "loop")
    with pytest.raises(UsageError, match=r"outside the folders|does not exist"):
        Folders([scans]).find(scans / way)


def test_without_folders_no_path_is_allowed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--folder"):
        Folders().find(tmp_path)


def test_a_folder_with_a_longer_name_is_outside(tmp_path: Path) -> None:
    for name in ("scans", "scans-of-others"):
        (tmp_path / name).mkdir()
    with pytest.raises(UsageError, match="outside"):
        Folders([tmp_path / "scans"]).find(tmp_path / "scans-of-others")


def test_what_is_no_folder_cannot_be_allowed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not an existing folder"):
        Folders([tmp_path / "missing"])
