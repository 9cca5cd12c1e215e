"""The data sets that are offered are folders and tables inside the folders of the app."""

from __future__ import annotations

from pathlib import Path

from bottleneck.app.study.offered_sources import PHANTOM, list_sources


def test_folders_and_tables_are_offered(tmp_path: Path) -> None:
    (tmp_path / "scans/benign/deep").mkdir(parents=True)
    (tmp_path / "scans/labels.CSV").touch()
    (tmp_path / "scans/notes.txt").touch()
    (tmp_path / "labels.xlsx").touch()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "link").symlink_to(Path("/"))
    assert [path for _, path in list_sources([tmp_path])] == [
        str(tmp_path),
        str(tmp_path / "labels.xlsx"),
        str(tmp_path / "scans"),
        str(tmp_path / "scans/labels.CSV"),
        PHANTOM,
    ]


def test_a_folder_that_cannot_be_listed_is_still_offered(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    assert [path for _, path in list_sources([gone])] == [str(gone), PHANTOM]
