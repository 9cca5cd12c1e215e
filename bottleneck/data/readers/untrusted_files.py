"""Safe listing of folders and safe parsing of XML, for data sets from untrusted sources."""

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
    "LEADS_OUT",
    "MAX_COORDINATE",
    "PICTURE_SUFFIXES",
    "is_image",
    "leads_out",
    "list_files",
    "parse_xml",
]

PICTURE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".pgm", ".ppm", ".gif"}
)
IMAGE_SUFFIXES = PICTURE_SUFFIXES | {".dcm", ".dicom"}

# A reason for leaving a sample out.
LEADS_OUT = "symbolic link that leaves the folder"

# In pixels. No image is so large; a coordinate beyond is an error.
MAX_COORDINATE = 100_000

# The largest published annotation has a few hundred kilobytes.
_MAX_XML_BYTES = 5_000_000


def list_files(folder: Path) -> tuple[list[str], Counter[str]]:
    """Return the files below a folder, at any depth.

    Hidden files, ``Thumbs.db``, ``DICOMDIR`` and ``__MACOSX`` are ignored. Symbolic links to
    folders are not followed, and links to files only if they stay inside: a downloaded data set
    must not give access to other files of this machine.

    Parameters
    ----------
    folder : Path
        The folder to list.

    Returns
    -------
    files : list of str
        Paths relative to the folder, with ``/``, sorted.
    excluded : Counter of str
        The reasons why files were left out, each with their number.

    Raises
    ------
    DataError
        If the folder, or one below it, cannot be listed.
    """
    resolved = folder.resolve()
    files, excluded = [], Counter[str]()
    for parent, folders, names in os.walk(folder, onerror=_refuse):
        folders[:] = [f for f in folders if not _is_clutter(f)]
        linked = [f for f in folders if Path(parent, f).is_symlink()]
        excluded["symbolic link to a folder"] += len(linked)
        for name in names:
            path = Path(parent, name)
            if _is_clutter(name):
                continue
            if path.is_symlink() and leads_out(path, resolved):
                excluded[LEADS_OUT] += 1
            elif not path.is_file():
                excluded["broken link or special file"] += 1
            else:
                files.append(path.relative_to(folder).as_posix())
    return sorted(files), +excluded


def is_image(path: Path) -> bool:
    """Return whether a file is an image: by its suffix or, without one, if it is a DICOM file."""
    suffix = path.suffix.casefold()
    # Scanners name files after a UID; its last number looks like a suffix.
    if suffix.lstrip(".").isdecimal() or not suffix:
        try:
            with path.open("rb") as file:
                return is_dicom(file.read(132))
        except OSError:
            return False
    return suffix in IMAGE_SUFFIXES


def leads_out(path: Path, folder: Path) -> bool:
    """Return whether a path, with all links followed, is outside a resolved folder."""
    # Path.resolve raises an error for circular links; here they count as broken.
    return not Path(os.path.realpath(path)).is_relative_to(folder)


def parse_xml(path: Path) -> Element:
    """Return the root element of an XML file from an untrusted source.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    DataError
        If the file is not XML, declares entities or a document type, or is larger than 5 MB.
    """
    try:
        if path.stat().st_size > _MAX_XML_BYTES:
            raise DataError(f"{path.name} is larger than 5 MB and cannot be an annotation")
        return defusedxml.ElementTree.parse(path, forbid_dtd=True).getroot()
    except DefusedXmlException as error:
        raise DataError(
            f"{path.name} declares a document type or entities, which an annotation does not need "
            "and which can be harmful; it is not read"
        ) from error
    # expat reports an unknown encoding as LookupError or ValueError, and others as ParseError.
    except (defusedxml.ElementTree.ParseError, LookupError, ValueError, OSError) as error:
        raise DataError(f"{path.name} is not readable XML ({error}); is it damaged?") from error


def _is_clutter(name: str) -> bool:
    return name.startswith(".") or name.casefold() in ("thumbs.db", "dicomdir", "__macosx")


def _refuse(error: OSError) -> None:
    raise DataError(f"the folder {error.filename} cannot be read: {error.strerror}") from error
