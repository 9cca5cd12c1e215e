"""The archive of a report holds its files, and nothing else."""

from __future__ import annotations

import zipfile
from pathlib import Path

from bottleneck.app.study.report_folders import archive_report, new_report_folder


def test_an_archive_unpacks_to_the_report(tmp_path: Path) -> None:
    report = tmp_path / "report-scans"
    (report / "figures").mkdir(parents=True)
    (report / "report.html").write_text("<p>±</p>", "utf-8")
    (report / "figures/roc.png").write_bytes(b"\x89PNG")
    (report / ".report.lock").touch()
    (tmp_path / "page").mkdir()
    archive = archive_report(report, tmp_path / "page")
    with zipfile.ZipFile(archive) as made:
        made.extractall(tmp_path / "unpacked")
    unpacked = tmp_path / "unpacked" / "report-scans"
    names = {str(p.relative_to(unpacked)) for p in unpacked.rglob("*") if p.is_file()}
    assert names == {"report.html", "figures/roc.png"}
    assert (unpacked / "report.html").read_text("utf-8") == "<p>±</p>"


def test_each_report_has_a_folder_of_its_own(tmp_path: Path) -> None:
    first = new_report_folder(tmp_path, "scans")
    second = new_report_folder(tmp_path, "scans", {first})
    second.mkdir()
    third = new_report_folder(tmp_path, "scans", {first})
    assert [path.name for path in (first, second, third)] == [
        "report-scans",
        "report-scans-2",
        "report-scans-3",
    ]
