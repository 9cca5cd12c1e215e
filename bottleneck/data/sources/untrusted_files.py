"""Safe listing of folders, for data sets from untrusted sources."""

from __future__ import annotations

import dataclasses
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

from bottleneck.data.images.dicom.dicom_signature import SIGNATURE_BYTES, is_dicom
from bottleneck.errors import DataError, describe_os_error, is_of_storage, storage_failure

__all__ = [
    "IMAGE_SUFFIXES",
    "MAX_COORDINATE",
    "PICTURE_SUFFIXES",
    "Listing",
    "has_picture_suffix",
    "is_image",
    "leads_out",
    "list_files",
]

# Of every format that ``decode`` reads.
PICTURE_SUFFIXES = frozenset(
    {".apng", ".bmp", ".dib", ".gif", ".j2c", ".j2k", ".jfif", ".jif", ".jp2", ".jpc", ".jpe"}
    | {".jpeg", ".jpf", ".jpg", ".jpx", ".mpo", ".pbm", ".pfm", ".pgm", ".png", ".pnm", ".ppm"}
    | {".tif", ".tiff", ".webp"}
)
IMAGE_SUFFIXES = PICTURE_SUFFIXES | {".dcm", ".dicom", ".dic", ".ima"}

# Reasons for leaving a file out.
_LEADS_OUT = "symbolic link that leaves the folder"
_LINKED_FOLDER = "symbolic link to a folder"

# In pixels. No image is so large; a coordinate beyond is an error.
MAX_COORDINATE = 100_000

# What looks like a suffix may be the last number of a UID, or of "slice 1.5mm".
_SUFFIX = re.compile(r"\.[a-z][a-z0-9]{0,9}~?", re.ASCII)
# Files and folders of operating systems and network storage, in lower case.
_CLUTTER = frozenset(
    {"thumbs.db", "desktop.ini", "dicomdir", "dirfile", "__macosx", "icon\r", "@eadir", "@tmp"}
    | {"#recycle", "#snapshot", "@recycle", "$recycle.bin", "lost+found"}
    | {"system volume information"}
)
_FIRST_BYTES_OF_PICTURES = re.compile(
    rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|II[*+]\0|MM\0[*+]|GIF8[79]a|RIFF....WEBP"
    rb"|\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51|BM....\0\0\0\0|P[1-6]\s+(?:#|\d)",
    re.DOTALL,
)


@dataclasses.dataclass(frozen=True)
class Listing:
    """The files below a folder.

    Attributes
    ----------
    files : list of str
        Paths relative to the folder, with ``/``, sorted.
    excluded : Counter of str
        The reasons why files were left out, each with their number.
    notes : tuple of str
        Which symbolic links were left out, with an example.
    links : tuple of str
        An example of each kind of symbolic link that was left out.
    """

    files: list[str]
    excluded: Counter[str]
    notes: tuple[str, ...]
    links: tuple[str, ...] = ()


def list_files(folder: Path) -> Listing:
    """Return the files below a folder, at any depth.

    Hidden files, ``DICOMDIR`` and ``DIRFILE``, and what systems put into folders (``Thumbs.db``,
    ``__MACOSX``, the previews of a Synology in ``@eaDir``) are ignored. Symbolic links to folders
    are not followed, and links to files only if they stay inside: a downloaded data set must not
    give access to other files of this machine.

    Parameters
    ----------
    folder : Path
        The folder to list.

    Raises
    ------
    DataError
        If the folder, or one below it, cannot be listed.
    """
    resolved = folder.resolve()
    files, excluded = [], Counter[str]()
    links: dict[str, str] = {}
    for prefix, entry in _walk(folder):
        relative = prefix + entry.name
        # An entry knows its type without another system call, unless it is a link.
        is_folder = _is(entry.is_dir)
        if entry.is_symlink() and (is_folder or leads_out(Path(entry.path), resolved)):
            reason = _LINKED_FOLDER if is_folder else _LEADS_OUT
            excluded[reason] += 1
            links[reason] = min(links.get(reason, relative), relative)
        elif _is(entry.is_file):
            files.append(relative)
        elif not is_folder:
            excluded["broken link or special file"] += 1
    notes = _describe_links(excluded, links)
    return Listing(sorted(files), excluded, notes, tuple(links.values()))


def _walk(folder: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield what is below a folder but clutter, each with the path of its folder in this one."""
    prefixes = [""]
    while prefixes:
        prefix = prefixes.pop()
        try:
            with os.scandir(folder / prefix) as listed:
                entries = [entry for entry in listed if not _is_clutter(entry.name)]
        except OSError as error:
            _refuse(error)
        for entry in entries:
            yield prefix, entry
            if _is(entry.is_dir, follow_symlinks=False):
                prefixes.append(f"{prefix}{entry.name}/")


def _is(test: Callable[..., bool], **options: bool) -> bool:
    """Return the answer; no where the system cannot tell, as for a link in a circle."""
    try:
        return test(**options)
    except OSError:
        return False


def has_picture_suffix(name: str) -> bool:
    """Return whether a path has the suffix of an image that is not a DICOM file.

    Examples
    --------
    >>> has_picture_suffix("scans/7.PNG"), has_picture_suffix("scans/7.dcm")
    (True, False)
    """
    return os.path.splitext(name)[1].casefold() in PICTURE_SUFFIXES  # noqa: PTH122  # As below.


def is_image(folder: Path, name: str) -> bool:
    """Return whether a file is an image: by its suffix or, without one, by its first bytes."""
    # Building a Path for each of a million files would take longer than listing them.
    suffix = os.path.splitext(name)[1].casefold()  # noqa: PTH122
    if _SUFFIX.fullmatch(suffix):
        return suffix in IMAGE_SUFFIXES
    try:
        with (folder / name).open("rb") as file:
            start = file.read(SIGNATURE_BYTES)
    except OSError as error:
        if is_of_storage(error):
            raise storage_failure(Path(name).name, error) from None
        return False
    return is_dicom(start) or _FIRST_BYTES_OF_PICTURES.match(start) is not None


def leads_out(path: Path, folder: Path) -> bool:
    """Return whether a path, with all links followed, is outside a resolved folder."""
    # Path.resolve raises an error for circular links; here they count as broken.
    return not Path(os.path.realpath(path)).is_relative_to(folder)


def _describe_links(excluded: Counter[str], links: dict[str, str]) -> tuple[str, ...]:
    if not links:
        return ()
    kinds = {_LEADS_OUT: "out of the folder", _LINKED_FOLDER: "to folders"}
    described = [
        f"{excluded[reason]} {kinds[reason]}, such as '{link}'"
        for reason, link in sorted(links.items(), reverse=True)
    ]
    return (
        f"Symbolic links left out: {'; '.join(described)}. In a downloaded data set, they could "
        "point to any file on this computer. If you made them, replace them with the files, or "
        "pass a table of the images",
    )


def _is_clutter(name: str) -> bool:
    return name.startswith(".") or name.casefold() in _CLUTTER


def _refuse(error: OSError) -> NoReturn:
    reason = describe_os_error(error)
    raise DataError(f"the folder {error.filename} cannot be read: {reason}") from error
