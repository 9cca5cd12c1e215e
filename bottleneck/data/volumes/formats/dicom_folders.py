"""Folders of DICOM slices among the files of a data set."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from bottleneck.data.images.decode import LOADING
from bottleneck.data.images.dicom.dicom_signature import SIGNATURE_BYTES, is_dicom
from bottleneck.data.sources.image_sources import FileSource

__all__ = ["find_dicom", "list_series"]


def find_dicom(root: Path, files: Iterable[str]) -> str | None:
    """Return the first of some files that is a DICOM file, by its content.

    Raises
    ------
    OSError, DataError
        If a file cannot be read.
    """
    source = FileSource(root)
    for file in files:
        with source.open(file) as opened:
            if is_dicom(opened.read(SIGNATURE_BYTES)):
                return file
    return None


def list_series(root: Path, files: Iterable[str]) -> list[str]:
    """Return the volumes that DICOM files are, relative to a folder, sorted.

    Parameters
    ----------
    root : Path
        The folder.
    files : iterable of str
        Paths of files in it.

    Returns
    -------
    list of str
        Each folder that contains slices; "." is the folder itself. In place of a folder whose first
        DICOM file has several frames, its files.

    Raises
    ------
    OSError, DataError
        If a file cannot be read.
    MissingExtraError
        If there are DICOM files, and the extra ``medical`` is not installed.
    """
    inside: dict[str, list[str]] = defaultdict(list)
    for file in files:
        inside[posixpath.dirname(file) or "."].append(file)
    volumes = []
    for folder, members in inside.items():
        first = find_dicom(root, members)
        if first is None:
            continue
        if _has_frames(root, first):
            volumes += [file for file in members if find_dicom(root, [file])]
        else:
            volumes.append(folder)
    return sorted(volumes)


def _has_frames(root: Path, file: str) -> bool:
    with LOADING:
        from bottleneck.data.images.dicom.dicom_images import has_frames

    with FileSource(root).open(file) as opened:
        return has_frames(opened)
