"""DICOM series: a folder of slices, or an enhanced file of several frames, as a volume."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.images.dicom.dicom_signature import SIGNATURE_BYTES, is_dicom
from bottleneck.data.sources.image_sources import FileSource
from bottleneck.data.sources.untrusted_files import list_files
from bottleneck.data.volumes.formats.dicom_slices import DicomSlice, read_slices
from bottleneck.data.volumes.formats.dicom_stack import stack_slices
from bottleneck.data.volumes.volume import Volume
from bottleneck.errors import DecodeError

__all__ = ["read_dicom_series"]

# Threads that read headers; they mostly wait for the disk.
_N_THREADS = 8
# No scanner makes so many; a header may state any number.
_MOST_VOXELS = 2_000_000_000


def read_dicom_series(path: Path) -> Volume:
    """Open a DICOM series.

    Headers are read at once; the pixels of a slice are read and decoded when a box first needs
    them, and are kept.

    Parameters
    ----------
    path : Path
        A folder whose DICOM files, at any depth, are the slices; or an enhanced file.

    Raises
    ------
    OSError
        If a file cannot be read.
    DecodeError
        If the files are not a volume: see ``stack_slices``.
    """
    root, files = (path, _list_dicom(path)) if path.is_dir() else (path.parent, [path.name])
    notes: list[str] = []
    with ThreadPoolExecutor(_N_THREADS) as pool:
        read = pool.map(lambda file: read_slices(root, file, notes), files)
        slices = [one for of_file in read for one in of_file]
    if not slices:
        raise DecodeError("DICOM files that are not images")
    ordered, geometry = stack_slices(slices)
    if np.prod(geometry.shape, dtype=float) > _MOST_VOXELS:
        raise DecodeError(
            f"{' × '.join(map(str, geometry.shape))} voxels: the limit is "
            f"{_MOST_VOXELS // 10**9} billion"
        )
    kind = ordered[0].modality
    if kind == "CT" and not all(one.is_rescaled for one in ordered):
        notes.append("CT without RescaleSlope and RescaleIntercept: its values are read as HU")
    scales = {(one.slope, one.intercept) for one in ordered}
    slope, intercept = next(iter(scales)) if len(scales) == 1 else (1.0, 0.0)
    voxels = SliceVoxels(ordered, is_rescaled=len(scales) > 1)
    return Volume(geometry, voxels, slope, intercept, "DICOM", tuple(sorted(set(notes))), kind)


class SliceVoxels:
    """The values of the slices of a volume; each slice is read when it is first needed.

    Parameters
    ----------
    slices : sequence of DicomSlice
        In the order of the third axis, all of the same size.
    is_rescaled : bool
        Whether values are rescaled, since the slices differ in their slope or intercept.
    """

    keeps_voxels = True

    def __init__(self, slices: Sequence[DicomSlice], *, is_rescaled: bool) -> None:
        self._slices = slices
        stored = slices[0].stored
        dtype = np.result_type(*{one.dtype for one in slices})
        # The system provides memory for the slices that are written to.
        self._stored = np.empty((len(slices), stored.rows, stored.columns), dtype)
        self._is_read = [False] * len(slices)
        self._locks = [threading.Lock() for _ in slices]
        self._is_rescaled = is_rescaled

    def __getitem__(self, box: tuple[slice, slice, slice], /) -> NDArray[Any]:
        """Return a box of values, indexed [column, row, slice]."""
        columns, rows, planes = box
        for number in range(len(self._slices))[planes]:
            with self._locks[number]:
                if not self._is_read[number]:
                    self._stored[number] = self._slices[number].read()
                    self._is_read[number] = True
        stored = self._stored[planes, rows, columns].transpose(2, 1, 0)
        if not self._is_rescaled:
            return stored
        scales = np.array([(one.slope, one.intercept) for one in self._slices[planes]])
        return stored * scales[:, 0] + scales[:, 1]


def _list_dicom(folder: Path) -> list[str]:
    """Return the DICOM files of a folder, at any depth.

    Raises
    ------
    DecodeError
        If there are none; if another file is called like them, which may be a damaged slice; or if
        a symbolic link is not followed, so that slices may be missing.
    """
    listing = list_files(folder)
    if listing.links:
        raise DecodeError(
            f"'{listing.links[0]}' is a symbolic link to a folder, or leaves the folder of the "
            "volume, and is not followed: replace it with its target"
        )
    source = FileSource(folder)
    dicom: list[str] = []
    others: list[str] = []
    for file in listing.files:
        with source.open(file) as opened:
            (dicom if is_dicom(opened.read(SIGNATURE_BYTES)) else others).append(file)
    if not dicom:
        raise DecodeError("a folder without DICOM files")
    suffixes = set(map(_suffix, dicom))
    if doubtful := [file for file in others if _suffix(file) in suffixes]:
        raise DecodeError(
            f"'{doubtful[0]}' is named like the slices, but is not a DICOM file: it is damaged, "
            "or does not belong to the volume"
        )
    return dicom


def _suffix(file: str) -> str:
    """Return the suffix of a file; "" for the last number of a UID."""
    suffix = PurePosixPath(file).suffix.casefold()
    return "" if suffix[1:].isdigit() else suffix
