"""NRRD volumes (``.nrrd``, ``.nhdr``): headers are read with pynrrd, and checked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.images.decode import LOADING
from bottleneck.data.volumes.formats.header_lines import read_line
from bottleneck.data.volumes.formats.stored_voxels import (
    FileVoxels,
    find_sibling,
    inflate_voxels,
    open_file,
)
from bottleneck.data.volumes.geometry import VolumeGeometry
from bottleneck.data.volumes.volume import Volume
from bottleneck.errors import DecodeError, MissingExtraError, one_line

__all__ = ["find_nrrd_data", "read_nrrd"]

_MOST_HEADER = 2**20
# numpy's code of a type, and its names in C and in stdint.h.
_TYPES = {
    name: code
    for code, names in {
        "i1": "signed char, int8, int8_t",
        "u1": "uchar, unsigned char, uint8, uint8_t",
        "i2": "short, short int, signed short, signed short int, int16, int16_t",
        "u2": "ushort, unsigned short, unsigned short int, uint16, uint16_t",
        "i4": "int, signed int, int32, int32_t",
        "u4": "uint, unsigned int, uint32, uint32_t",
        "i8": (
            "longlong, long long, long long int, signed long long, signed long long int, int64, "
            "int64_t"
        ),
        "u8": ("ulonglong, unsigned long long, unsigned long long int, uint64, uint64_t"),
        "f4": "float",
        "f8": "double",
    }.items()
    for name in names.split(", ")
}
_PER_AXIS = (
    *("sizes", "kinds", "centers", "centerings", "labels", "units", "spacings", "thicknesses"),
    *("axis mins", "axismins", "axis maxs", "axismaxs", "space directions"),
)
_PER_SPACE = ("space directions", "space origin", "space units", "measurement frame")
_FIELDS = {
    *("content", "number", "type", "dimension", "block size", "blocksize", "endian", "encoding"),
    *("min", "max", "old min", "oldmin", "old max", "oldmax", "sample units", "sampleunits"),
    *("line skip", "lineskip", "byte skip", "byteskip", "data file", "datafile"),
    *("space", "space dimension"),
    *_PER_AXIS,
    *_PER_SPACE,
}
# What makes the coordinates of a space LPS.
_SPACES = {
    "left-posterior-superior": (1, 1, 1),
    "lps": (1, 1, 1),
    "left-anterior-superior": (1, -1, 1),
    "las": (1, -1, 1),
    "right-anterior-superior": (-1, -1, 1),
    "ras": (-1, -1, 1),
}
_ENCODINGS = {"raw": False, "gzip": True, "gz": True}
_UNITS = ("mm", "millimeter", "millimeters", "millimetre", "millimetres")


def read_nrrd(path: Path) -> Volume:
    """Open a NRRD file.

    Parameters
    ----------
    path : Path
        Header and voxels (``.nrrd``), or the header (``.nhdr``) of voxels in a file beside it.
        Voxels that are not compressed are read by region.

    Returns
    -------
    Volume

    Raises
    ------
    OSError
        If a file cannot be read.
    DecodeError
        If it is damaged or cut off, no volume of scalar voxels in three dimensions, or does not
        state where its voxels lie.
    MissingExtraError
        If pynrrd is not installed.
    """
    header, header_size = _read_header(path)
    sizes = header.get("sizes")
    if sizes is None or header.get("dimension") != len(sizes):
        raise DecodeError("damaged header: dimension and sizes do not fit together")
    if len(sizes) != 3:
        raise DecodeError(
            f"{len(sizes)} dimensions ({'×'.join(map(str, sizes))}), but a volume has three: "
            "store each volume in its own file"
        )
    shape = (int(sizes[0]), int(sizes[1]), int(sizes[2]))
    geometry = VolumeGeometry(shape, _affine(header))
    return Volume(geometry, _read_voxels(path, header, header_size, shape), format="NRRD")


def find_nrrd_data(path: Path) -> Path:
    """Return the file with the voxels of a header; the same file if they follow it.

    Raises
    ------
    OSError
        If the file cannot be read.
    DecodeError
        If its header is damaged, or there is no such file beside it.
    MissingExtraError
        If pynrrd is not installed.
    """
    name = _data_file(_read_header(path)[0])
    return path if name is None else find_sibling(path, name)


def _read_header(path: Path) -> tuple[dict[str, Any], int]:
    """Return the fields, and the number of bytes of the header."""
    try:
        with LOADING:
            from nrrd import NRRDError, read_header
    except ImportError:
        raise MissingExtraError(
            "reading NRRD needs pynrrd, which is not installed. Install it with",
            "  pip install 'bottleneck-features[volumes]'",
        ) from None
    file, file_size = open_file(path)
    with file:
        start = file.read(_MOST_HEADER)
    if re.match(rb"NRRD000[1-5]\r?\n", start) is None:
        raise DecodeError("it does not begin with the header of a NRRD file")
    end = re.search(rb"\n\r?\n", start)
    if end is None and len(start) < file_size:
        raise DecodeError("damaged header: no empty line ends it")
    size = len(start) if end is None else end.end()
    lines = list(map(read_line, start[:size].split(b"\n")))
    # What follows ':=' is the user's own, although pynrrd would take 'space:=…' for a field.
    fields = [line for line in lines if re.match(r"[^:]*:=", line) is None]
    _check_names(fields[1:])
    try:
        header = read_header(fields)
    except NRRDError as error:
        raise DecodeError(f"damaged header: {one_line(error)}") from None
    except (ValueError, IndexError, OverflowError):
        raise DecodeError("damaged header: a field has no value of its type") from None
    if end is None and (_data_file(header) is None or lines[-1]):
        raise DecodeError("damaged header: no empty line ends it")
    return header, size


def _check_names(lines: list[str]) -> None:
    """Raise an error if a line is not a field, or fields are in an order that readers refuse."""
    names: list[str] = []
    for line in lines:
        if not line.rstrip("\r"):
            break
        if line.startswith("#"):
            continue
        name, colon, value = line.partition(": ")
        if not colon or name not in _FIELDS:
            raise DecodeError("damaged header: it has a line that is not a field of NRRD")
        # pynrrd takes 4 for 4.7.
        if name == "sizes" and not re.fullmatch(r"[ \d]+", value.rstrip(), re.ASCII):
            raise DecodeError(f"damaged header: the sizes {value} are not whole numbers")
        names.append(name)
    for first, later in (("dimension", _PER_AXIS), ("space", _PER_SPACE)):
        if first in names and not {*later}.isdisjoint(names[: names.index(first)]):
            raise DecodeError(
                f"damaged header: '{first}' must come before the fields that depend on it"
            )


def _affine(header: dict[str, Any]) -> NDArray[np.float64]:
    """Return the matrix from voxels to LPS coordinates in mm."""
    space = str(header.get("space", "")).casefold()
    if space not in _SPACES:
        raise DecodeError(
            f"the space of its header is '{space}', which is not a space of the patient"
            if space
            else "its header states no space, such as left-posterior-superior, so its orientation "
            "is unknown"
        )
    directions, origin = header.get("space directions"), header.get("space origin")
    if directions is None or origin is None:
        raise DecodeError("its header does not state both 'space directions' and 'space origin'")
    directions, origin = np.asarray(directions, float), np.asarray(origin, float)
    if directions.shape != (3, 3) or origin.shape != (3,):
        raise DecodeError("'space directions' and 'space origin' of its header are not of 3 axes")
    units = header.get("space units", ["mm"])
    if any(unit.casefold() not in _UNITS for unit in units):
        raise DecodeError(f"its space units are {', '.join(units)}: only mm is read")
    affine = np.eye(4)
    affine[:3, :3] = directions.T
    affine[:3, 3] = origin
    return np.diag([*_SPACES[space], 1.0]) @ affine


def _read_voxels(
    path: Path, header: dict[str, Any], header_size: int, shape: tuple[int, int, int]
) -> NDArray[Any] | FileVoxels:
    dtype = _dtype(header)
    encoding = str(header.get("encoding", ""))
    if encoding not in _ENCODINGS:
        raise DecodeError(
            f"the encoding of its voxels is '{encoding}': only {' and '.join(_ENCODINGS)} are read"
        )
    if _either(header, "line skip", 0) != 0:
        raise DecodeError("its header states a line skip, which is not read: convert it")
    skipped = int(_either(header, "byte skip", 0))
    if skipped < 0 or (skipped and _ENCODINGS[encoding]):
        raise DecodeError(
            f"its header states a byte skip of {skipped}: only a number of bytes before voxels "
            "without compression is read"
        )
    name = _data_file(header)
    data, start = (path, header_size) if name is None else (find_sibling(path, name), 0)
    if not _ENCODINGS[encoding]:
        return FileVoxels(data, start + skipped, shape, dtype)
    return inflate_voxels(data, start, shape, dtype)


def _dtype(header: dict[str, Any]) -> np.dtype[Any]:
    kind = str(header.get("type", ""))
    if kind not in _TYPES:
        raise DecodeError(f"its voxels are of the type '{kind}', but a volume has real numbers")
    dtype = np.dtype(_TYPES[kind])
    if dtype.itemsize == 1:
        return dtype
    order = header.get("endian", "")
    if order == "little":
        return dtype.newbyteorder("<")
    if order == "big":
        return dtype.newbyteorder(">")
    raise DecodeError(f"the endian of its header is '{order}': expected little or big")


def _data_file(header: dict[str, Any]) -> str | None:
    """Return the name of the file with the voxels; None if they follow the header."""
    name = _either(header, "data file", None)
    if name is not None and (name.split()[:1] == ["LIST"] or "%" in name):
        raise DecodeError("its voxels are in several files: convert it to one file")
    return name


def _either(header: dict[str, Any], name: str, otherwise: Any) -> Any:
    """Return a field that may be spelt with or without its space."""
    together = name.replace(" ", "")
    if name in header and together in header:
        raise DecodeError(f"damaged header: it states '{name}' twice")
    return header.get(name, header.get(together, otherwise))
