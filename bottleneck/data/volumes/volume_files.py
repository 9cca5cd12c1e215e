"""Volumes in files and folders: the format of a file, and the source of a data set of volumes."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

from bottleneck.data.volumes.formats.nifti import read_nifti
from bottleneck.data.volumes.volume import Volume
from bottleneck.errors import BottleneckError, DataError, DecodeError, one_line

__all__ = ["SUFFIXES", "VolumeFiles", "is_volume_name", "open_volume"]

_FORMATS: dict[str, Callable[[Path], Volume]] = {
    ".nii": read_nifti,
    ".nii.gz": read_nifti,
}
SUFFIXES = tuple(_FORMATS)


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

        Raises
        ------
        OSError
            If there is no such file.
        """
        status = os.stat(self.root / source)  # noqa: PTH116  # As ``FileSource.stamp`` does.
        return status.st_size, status.st_mtime_ns

    def read(self, source: str) -> bytes:
        """Refuse: a volume is no encoded image.

        Raises
        ------
        DataError
            Always.
        """
        raise DataError(f"'{source}' is a volume, of which regions are read, and not an image")
