"""Volumes in files and folders: the format of a file, and the source of a data set of volumes."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path

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
    """Open the volume in a file.

    Parameters
    ----------
    path : Path
        A file with one of the suffixes of ``SUFFIXES``.

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
    if reader is None:
        raise DecodeError(f"no volume: expected a file that ends in {', '.join(SUFFIXES)}")
    try:
        return reader(path)
    except (BottleneckError, OSError, MemoryError):
        raise
    # A damaged header may make a library raise any exception, and one bad volume must not end a
    # run over a thousand good ones.
    except Exception as error:
        raise DecodeError(f"damaged: {type(error).__name__}: {one_line(error)}") from error


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

    def stamp(self, source: str) -> tuple[int, int]:
        """Return the size in bytes and the modification time in nanoseconds of a volume's files.

        Those of a header and of the file with its voxels are added up.

        Raises
        ------
        OSError
            If there is no such file.
        """
        path = self.root / source
        status = path.stat()
        size, time = status.st_size, status.st_mtime_ns
        if path.suffix.casefold() not in _DETACHED:
            return size, time
        try:
            data = _find_data(path, size, time)
        except BottleneckError:  # Opening the volume says why.
            return size, time
        if data == path:
            return size, time
        status = data.stat()
        return size + status.st_size, time + status.st_mtime_ns

    def read(self, source: str) -> bytes:
        """Refuse: a volume is no encoded image.

        Raises
        ------
        DataError
            Always.
        """
        raise DataError(f"'{source}' is a volume, of which regions are read, and not an image")


# Every sample of a volume has its stamp taken, and a header need not be read for each of them.
@functools.lru_cache(maxsize=4_096)
def _find_data(header: Path, size: int, time: int) -> Path:
    """Return the file with the voxels of a header that has this stamp."""
    return _DETACHED[header.suffix.casefold()](header)
