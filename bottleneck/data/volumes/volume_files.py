"""Volumes in files and folders: the format of a file, and the source of a data set of volumes."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import stat
from collections.abc import Callable, Collection
from pathlib import Path
from typing import BinaryIO

from bottleneck.data.images.decode import LOADING
from bottleneck.data.sources.image_sources import FileSource
from bottleneck.data.sources.untrusted_files import list_files
from bottleneck.data.volumes.formats.dicom_folders import find_dicom
from bottleneck.data.volumes.formats.metaimage import find_metaimage_data, read_metaimage
from bottleneck.data.volumes.formats.nifti import read_nifti
from bottleneck.data.volumes.formats.nrrd import find_nrrd_data, read_nrrd
from bottleneck.data.volumes.volume import Volume
from bottleneck.errors import BottleneckError, DataError, DecodeError, one_line

__all__ = ["SUFFIXES", "VolumeFiles", "is_volume_name", "open_volume"]

_FORMATS: dict[str, Callable[[Path], Volume]] = {
    ".nii": read_nifti,
    ".nii.gz": read_nifti,
    ".mhd": read_metaimage,
    ".mha": read_metaimage,
    ".nrrd": read_nrrd,
    ".nhdr": read_nrrd,
}
SUFFIXES = tuple(_FORMATS)
# Headers whose voxels are in a second file.
_DETACHED: dict[str, Callable[[Path], Path]] = {
    ".mhd": find_metaimage_data,
    ".nhdr": find_nrrd_data,
}


def is_volume_name(name: str) -> bool:
    """Return whether a file has the suffix of a volume.

    Examples
    --------
    >>> is_volume_name("scans/7.NII.gz"), is_volume_name("scans/7.png")
    (True, False)
    """
    return name.casefold().endswith(SUFFIXES)


def open_volume(path: Path) -> Volume:
    """Open the volume in a file or a folder.

    Parameters
    ----------
    path : Path
        A file with one of the suffixes of ``SUFFIXES``, a folder of DICOM slices, or an enhanced
        DICOM file.

    Returns
    -------
    Volume

    Raises
    ------
    OSError
        If the file cannot be read.
    DecodeError
        If it is damaged, or a volume that is refused.
    MissingExtraError
        If the format needs a package that is not installed.
    """
    name = path.name.casefold()
    reader = next((read for suffix, read in _FORMATS.items() if name.endswith(suffix)), None)
    if reader is None and _is_dicom(path):
        reader = _read_dicom
    if reader is None:
        raise DecodeError(
            f"not a volume: expected a file that ends in {', '.join(SUFFIXES)}, or a folder of "
            "DICOM "
            "slices"
        )
    try:
        return reader(path)
    except (BottleneckError, OSError, MemoryError):
        raise
    # A damaged header may make a library raise any exception, and one bad volume must not end a
    # run over a thousand good ones.
    except Exception as error:
        raise DecodeError(f"damaged: {type(error).__name__}: {one_line(error)}") from error


def _is_dicom(path: Path) -> bool:
    if path.is_dir():
        return True
    return find_dicom(path.parent, [path.name]) is not None


def _read_dicom(path: Path) -> Volume:
    with LOADING:
        from bottleneck.data.volumes.formats.dicom_series import read_dicom_series

    return read_dicom_series(path)


@dataclasses.dataclass(frozen=True)
class VolumeFiles:
    """The volumes of a data set, each a file or a folder below one folder.

    Attributes
    ----------
    root : Path
        The folder that sources are relative to.
    """

    root: Path

    def open_volume(self, source: str) -> Volume:
        """Return the open volume of a source; raise what ``open_volume`` raises."""
        return open_volume(self.root / source)

    def open(self, source: str) -> BinaryIO:
        """Return the file with a volume's header; of a folder of slices the first, by name.

        Raises
        ------
        OSError
            If the file cannot be read.
        DataError
            If it is not a regular file, or the folder has no DICOM file.
        """
        path = self.root / source
        if not path.is_dir():
            return FileSource(self.root).open(source)
        first = find_dicom(path, list_files(path).files)
        if first is None:
            raise DataError(f"'{source}' is a folder without DICOM files")
        return FileSource(path).open(first)

    def holds_series(self, source: str) -> bool:
        """Return whether a source is a folder that contains a DICOM file."""
        if not (self.root / source).is_dir():
            return False
        try:
            self.open(source).close()
        except (OSError, DataError):
            return False
        return True

    def stamp(self, source: str) -> tuple[int, int]:
        """Return two numbers that reveal a change of a volume's files; the second is the time.

        They are the size in bytes and the modification time in nanoseconds; of several files, a
        hash of all of these and the latest time.

        Raises
        ------
        OSError
            If there is no such file.
        """
        path = self.root / source
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            try:
                files = list_files(path).files
            except DataError:  # Opening the volume says why.
                return 0, status.st_mtime_ns
            return _stamp({path / file for file in files})
        size, time = status.st_size, status.st_mtime_ns
        if path.suffix.casefold() not in _DETACHED:
            return size, time
        try:
            data = _find_data(path, size, time)
        except BottleneckError:  # Opening the volume says why.
            return size, time
        return _stamp({path, data})

    def read(self, source: str) -> bytes:
        """Refuse: a volume is not an encoded image.

        Raises
        ------
        DataError
            Always.
        """
        raise DataError(f"'{source}' is a volume, from which regions are read, not an image")


def _stamp(files: Collection[Path]) -> tuple[int, int]:
    statuses = sorted((one.st_size, one.st_mtime_ns) for one in (file.stat() for file in files))
    if len(statuses) == 1:
        return statuses[0]
    digest = hashlib.sha256(repr(statuses).encode())
    return int.from_bytes(digest.digest()[:7], "big"), max((t for _, t in statuses), default=0)


# Every sample of a volume has its stamp taken, and a header need not be read for each of them.
@functools.lru_cache(maxsize=4_096)
def _find_data(header: Path, size: int, time: int) -> Path:
    """Return the file with the voxels of a header that has this stamp."""
    return _DETACHED[header.suffix.casefold()](header)
