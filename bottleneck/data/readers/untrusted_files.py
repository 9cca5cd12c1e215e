"""What the readers of folders share: safe listing of files, and safe parsing of XML."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import defusedxml.ElementTree
from defusedxml import DefusedXmlException

from bottleneck.data.images.decode import is_dicom
from bottleneck.errors import DataError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

__all__ = [
    "IMAGE_SUFFIXES",
    "LEAVES",
    "MAX_COORDINATE",
    "PICTURE_SUFFIXES",
    "is_image",
    "leaves",
    "list_files",
    "parse_xml",
]

PICTURE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".pgm", ".ppm", ".gif"}
)
IMAGE_SUFFIXES = PICTURE_SUFFIXES | {".dcm", ".dicom"}

# Why a sample is left out.
LEAVES = "symbolic link that leaves the folder"

# In pixels. No picture is as large; what lies beyond is a mistake.
MAX_COORDINATE = 100_000

# A published annotation takes a few hundred kilobytes at most.
_MAX_XML_BYTES = 5_000_000


def list_files(folder: Path) -> tuple[list[str], Counter[str]]:
    """List the files below a folder.

    Hidden files, ``Thumbs.db``, ``DICOMDIR`` and ``__MACOSX`` are passed over. Links to folders are
    not followed, and links to files only where they stay inside: a data set that
    came as an archive must not reach the rest of the machine.

    Parameters
    ----------
    folder : Path
        Where to start.

    Returns
    -------
    files : list of str
        Paths relative to the folder, with ``/``, sorted.
    excluded : Counter of str
        Why others were left out, and how many.

    Raises
    ------
    DataError
        If the folder, or one below it, cannot be listed.
    """
    inside = folder.resolve()
    files, excluded = [], Counter[str]()
    for parent, folders, names in os.walk(folder, onerror=_refuse):
        folders[:] = [f for f in folders if not _is_clutter(f)]
        linked = [f for f in folders if Path(parent, f).is_symlink()]
        excluded["symbolic link to a folder"] += len(linked)
        for name in names:
            path = Path(parent, name)
            if _is_clutter(name):
                continue
            if path.is_symlink() and leaves(path, inside):
                excluded[LEAVES] += 1
            elif not path.is_file():
                excluded["broken link or special file"] += 1
            else:
                files.append(path.relative_to(folder).as_posix())
    return sorted(files), +excluded


def is_image(path: Path) -> bool:
    """Tell whether a file is an image by its suffix; without one, by whether it is DICOM."""
    suffix = path.suffix.casefold()
    # Scanners name files after their UID, whose last number looks like a suffix.
    if suffix.lstrip(".").isdecimal() or not suffix:
        try:
            with path.open("rb") as file:
                return is_dicom(file.read(132))
        except OSError:
            return False
    return suffix in IMAGE_SUFFIXES


def leaves(path: Path, inside: Path) -> bool:
    """Tell whether a path, once its links are followed, lies outside a (resolved) folder."""
    # Path.resolve stops at links that run in circles, which are broken ones to us.
    return not Path(os.path.realpath(path)).is_relative_to(inside)


def parse_xml(path: Path) -> Element:
    """Parse an annotation file that is not to be trusted.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    Element
        Its root.

    Raises
    ------
    DataError
        If it is not XML, declares entities or a document type, or is larger than 5 MB.
    """
    try:
        if path.stat().st_size > _MAX_XML_BYTES:
            raise DataError(f"{path.name} is larger than 5 MB: not an annotation of this data set")
        return defusedxml.ElementTree.parse(path, forbid_dtd=True).getroot()
    except DefusedXmlException as error:
        raise DataError(
            f"{path.name} declares a document type or entities, which no annotation needs and "
            f"which can be harmful; it is not read"
        ) from error
    # expat reports an unknown encoding as LookupError or ValueError, all else as ParseError.
    except (defusedxml.ElementTree.ParseError, LookupError, ValueError, OSError) as error:
        raise DataError(f"{path.name} is not readable XML ({error}); is it damaged?") from error


def _is_clutter(name: str) -> bool:
    return name.startswith(".") or name.casefold() in ("thumbs.db", "dicomdir", "__macosx")


def _refuse(error: OSError) -> None:
    raise DataError(f"the folder {error.filename} cannot be read: {error.strerror}") from error
