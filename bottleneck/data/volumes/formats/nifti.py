"""NIfTI volumes (``.nii``, ``.nii.gz``): headers are read with nibabel, and checked."""

from __future__ import annotations

import io
import itertools
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.images.decode import LOADING
from bottleneck.data.volumes.formats.stored_voxels import FileVoxels, InflatedStream, open_file
from bottleneck.data.volumes.geometry import VolumeGeometry
from bottleneck.data.volumes.volume import Volume
from bottleneck.errors import DecodeError, MissingExtraError, one_line

__all__ = ["read_nifti"]

_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_GZIP = b"\x1f\x8b"
# Bytes of extensions between the header and the voxels.
_MOST_BETWEEN = 2**26
# Problems of a header from this level on change what is read: nibabel would guess.
_REFUSED_LEVEL = 30
# Codes of the unit of length; 0 is "unknown", which every reader takes for millimetres.
_MM_OF_UNITS = {0: 1.0, 1: 1_000.0, 2: 1.0, 3: 0.001}
_UNIT_BITS = 0b111
# In voxels. Two forms of the same matrix differ by their rounding.
_MOST_DIFFERENCE = 0.1
_SILENT = logging.Logger("nibabel's remarks on a header")
_SILENT.addHandler(logging.NullHandler())


def read_nifti(path: Path) -> Volume:
    """Open a NIfTI file.

    The place of the voxels is that of the sform, else of the qform, in the unit that the header
    states; a unit that is not stated is mm. Dimensions after the third may have length 1.

    Parameters
    ----------
    path : Path
        A file of NIfTI-1 or NIfTI-2. One that is not compressed is read by region.

    Returns
    -------
    Volume

    Raises
    ------
    OSError
        If the file cannot be read.
    DecodeError
        If it is damaged or cut off, no volume of scalar voxels in three dimensions, or does not
        state where its voxels lie.
    MissingExtraError
        If nibabel is not installed.
    """
    compressed = path.name.casefold().endswith(".gz")
    stored: NDArray[Any] | FileVoxels
    file, size = open_file(path)
    with file:
        if (file.read(len(_GZIP)) == _GZIP) != compressed:
            raise DecodeError(
                "it is not compressed, although its name ends in .gz: rename it"
                if compressed
                else "it is compressed, although its name does not end in .gz: rename it"
            )
        file.seek(0)
        if compressed:
            header, stored = _inflate(InflatedStream(file, size))
        else:
            header = _read_header(file.read)
            stored = FileVoxels(path, *_layout(header))
    geometry, notes = _geometry(header, _layout(header)[1])
    return Volume(geometry, stored, *_scaling(header), "NIfTI", notes)


def _scaling(header: Any) -> tuple[float, float]:
    """Return slope and intercept."""
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    is_none = slope == 0 or not np.isfinite(slope)
    if (is_none and np.isfinite(intercept) and intercept != 0) or (
        not is_none and abs(slope) < np.finfo(float).eps
    ):
        raise DecodeError(
            f"its slope is {slope:g} and its intercept {intercept:g}: some programs apply a slope "
            "of 1, and others apply none"
        )
    if is_none:  # Values as they are stored.
        return 1.0, 0.0
    if not np.isfinite(intercept):
        raise DecodeError(f"damaged header: its intercept is {intercept}")
    return slope, intercept


def _inflate(stream: InflatedStream) -> tuple[Any, NDArray[Any]]:
    """Return the header and the voxels of a compressed file."""
    header = _read_header(stream.read)
    start, shape, dtype = _layout(header)
    n_between = start - int(header["sizeof_hdr"])
    if n_between > _MOST_BETWEEN:
        raise DecodeError(f"damaged header: its voxels begin at byte {start:,}")
    stream.read(n_between)
    return header, stream.read_voxels(shape, dtype)


def _read_header(read: Callable[[int], bytes | bytearray]) -> Any:
    """Return the header of NIfTI-1 or NIfTI-2 at the start of a file."""
    try:
        with LOADING:
            from nibabel import Nifti1Header, Nifti2Header
            from nibabel.spatialimages import HeaderDataError
    except ImportError:
        raise MissingExtraError(
            "reading NIfTI needs nibabel, which is not installed. Install it with",
            "  pip install 'bottleneck-features[volumes]'",
        ) from None
    kind, start = Nifti1Header, bytes(read(Nifti1Header.sizeof_hdr))
    if not kind.may_contain_header(start):
        kind = Nifti2Header
        start += bytes(read(kind.sizeof_hdr - len(start)))
        if not kind.may_contain_header(start):
            raise DecodeError("it does not begin with a header of NIfTI")
    header = kind.from_fileobj(io.BytesIO(start), check=False)
    if header["magic"].item() != kind.single_magic:
        raise DecodeError(
            "its header is not that of a single file: a pair of .hdr and .img is not read; "
            "convert it to .nii"
        )
    if (sign := header["pixdim"][0]) not in (-1, 0, 1):
        raise DecodeError(f"damaged header: pixdim[0] is {sign:g}, and must be 1 or -1")
    try:
        header.check_fix(_SILENT, _REFUSED_LEVEL)
    except HeaderDataError as error:
        raise DecodeError(f"damaged header: {one_line(error)}") from None
    return header


def _layout(header: Any) -> tuple[int, tuple[int, int, int], np.dtype[Any]]:
    """Return the number of bytes before the voxels, the shape, and the type of a voxel."""
    n, *sizes = map(int, header["dim"])
    if not 1 <= n <= 7:
        raise DecodeError(f"damaged header: {n} dimensions")
    if n < 3 or any(size != 1 for size in sizes[3:n]):
        raise DecodeError(
            f"{n} dimensions ({'×'.join(map(str, sizes[:n]))}), but a volume has three: store "
            "each volume in its own file"
        )
    dtype = header.get_data_dtype()
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        kind = header.get_value_label("datatype")
        raise DecodeError(f"its voxels are of the type {kind}, but a volume has real numbers")
    offset = float(header["vox_offset"])
    if not (offset >= header.single_vox_offset and offset.is_integer()):
        raise DecodeError(f"damaged header: its voxels begin at byte {offset:g}")
    return int(offset), (sizes[0], sizes[1], sizes[2]), dtype


def _geometry(header: Any, shape: tuple[int, ...]) -> tuple[VolumeGeometry, tuple[str, ...]]:
    """Return where the voxels lie, and notes."""
    sform = header.get_sform(coded=True)[0]
    try:
        qform = header.get_qform(coded=True)[0]
    except ValueError:
        raise DecodeError("damaged header: its qform is not a rotation") from None
    if sform is None and qform is None:
        raise DecodeError(
            "it states neither a qform nor an sform, so its orientation and position are unknown: "
            "write one of them"
        )
    unit = int(header["xyzt_units"]) & _UNIT_BITS
    if unit not in _MM_OF_UNITS:
        raise DecodeError(f"damaged header: the unit of length has the unknown code {unit}")
    to_mm = _TO_LPS @ np.diag([*[_MM_OF_UNITS[unit]] * 3, 1.0])
    size = (shape[0], shape[1], shape[2])
    geometry = VolumeGeometry(size, to_mm @ (qform if sform is None else sform))
    # Other readers take the qform, or the spacing of pixdim.
    if sform is not None and qform is not None:
        other = VolumeGeometry(size, to_mm @ qform)
        if _distance(geometry, other) > _MOST_DIFFERENCE:
            return geometry, ("its qform and its sform differ: the sform is used",)
    elif sform is not None:
        spacing = header["pixdim"][1:4] * _MM_OF_UNITS[unit]
        if not (np.abs(spacing / geometry.spacing - 1) * size <= _MOST_DIFFERENCE).all():
            return geometry, ("its pixdim and its sform differ: the sform is used",)
    return geometry, ()


def _distance(one: VolumeGeometry, other: VolumeGeometry) -> float:
    """Return how far two places of a volume are apart, at most, in voxels."""
    corners = list(itertools.product(*((0, n - 1) for n in one.shape)))
    return float(np.abs(one.to_voxels(other.to_lps(corners)) - corners).max())
