"""Folders of reports: new ones, and one as a zip archive."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Collection
from pathlib import Path

from bottleneck.backbones.recipe import slug

__all__ = ["archive_report", "new_report_folder"]


def new_report_folder(parent: Path, dataset: str, taken: Collection[Path] = ()) -> Path:
    """Return the path of a folder that does not exist, for a report on a data set.

    Parameters
    ----------
    parent : Path
        The folder that it is to be in.
    dataset : str
        Name of the data set.
    taken : collection of Path
        Paths of folders that will exist, of reports that are being made.

    Examples
    --------
    >>> new_report_folder(Path(), "my scans").name
    'report-my-scans'
    >>> Path("report-my-scans").mkdir()
    >>> new_report_folder(Path(), "my scans").name
    'report-my-scans-2'
    """
    first = parent / f"report-{slug(dataset)}"
    folder, number = first, 1
    while folder in taken or os.path.lexists(folder):
        number += 1
        folder = first.with_name(f"{first.name}-{number}")
    return folder


def archive_report(report: Path, folder: Path) -> Path:
    """Write a zip archive of a report, and return its path.

    Parameters
    ----------
    report : Path
        The folder of the report. Hidden files, such as locks, are left out.
    folder : Path
        The folder of the archive.
    """
    archive = folder / f"{report.name}.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as made:
        for path in sorted(report.rglob("*")):
            inner = path.relative_to(report)
            if path.is_file() and not any(name.startswith(".") for name in inner.parts):
                made.write(path, Path(report.name) / inner)
    return archive
