"""The volumes below a folder: files of volume formats, and folders of DICOM slices."""

from __future__ import annotations

import dataclasses
import posixpath
import re
from collections.abc import Sequence
from pathlib import Path

from bottleneck.data.volumes.formats.dicom_folders import list_series
from bottleneck.data.volumes.volume_files import is_volume_name
from bottleneck.text.plurals import counted

__all__ = ["VolumeListing", "list_volumes"]


@dataclasses.dataclass(frozen=True)
class VolumeListing:
    """The volumes below a folder.

    Attributes
    ----------
    volumes : list of str
        Paths relative to the folder, sorted. A folder of DICOM slices is one; "." is the folder
        itself.
    others : list of str
        Files that belong to none of them. A file that is called like a volume, such as ``7.raw`` or
        ``7.json`` beside ``7.mhd``, belongs to it.
    notes : tuple of str
        How they were read.
    """

    volumes: list[str]
    others: list[str]
    notes: tuple[str, ...]


def list_volumes(folder: Path, files: Sequence[str]) -> VolumeListing:
    """Return the volumes below a folder.

    Parameters
    ----------
    folder : Path
        The folder.
    files : sequence of str
        Its files, as ``list_files`` returns them.

    Raises
    ------
    OSError, DataError
        If a file cannot be read.
    MissingExtraError
        If there are DICOM files, and the extra ``medical`` is not installed.
    """
    named = [file for file in files if is_volume_name(file)]
    series = list_series(folder, [file for file in files if not is_volume_name(file)])
    volumes = {*named, *series}
    names = {_name(file) for file in named}
    others = [
        file
        for file in files
        if not volumes & {file, posixpath.dirname(file) or "."} and _name(file) not in names
    ]
    folders = [one for one in series if one not in set(files)]
    notes = []
    if folders == ["."]:
        notes.append("the DICOM files in the folder are read as the slices of one volume")
    elif folders:
        notes.append(
            f"{counted(len(folders), 'folder')} of DICOM files, such as '{folders[0]}': each is "
            "read as one volume"
        )
    return VolumeListing(sorted(volumes), others, tuple(notes))


def _name(file: str) -> str:
    """Return the path of a file without its suffix, and without two if it is compressed."""
    return re.sub(r"(\.(?:nii|raw|img))?\.[^./]*$", "", file, count=1)
