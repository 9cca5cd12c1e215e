"""MetaImage volumes (``.mhd`` with ``.raw``, ``.mha``): one strict form of the header."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.volumes.formats.header_lines import read_line
from bottleneck.data.volumes.formats.stored_voxels import (
    FileVoxels,
    find_sibling,
    inflate_voxels,
    open_file,
)
from bottleneck.data.volumes.geometry import VolumeGeometry
from bottleneck.data.volumes.volume import Volume
from bottleneck.errors import DecodeError

__all__ = ["find_metaimage_data", "read_metaimage"]

_MOST_HEADER = 2**18
_TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
_SYNONYMS = {
    "Position": "Offset",
    "Origin": "Offset",
    "Orientation": "TransformMatrix",
    "Rotation": "TransformMatrix",
    "ElementByteOrderMSB": "BinaryDataByteOrderMSB",
}
# Fields with one accepted value, and the value where the header does not state them. Readers ignore
# some of them, so that the same file would have other values or another place.
_FIXED: dict[str, tuple[tuple[str, ...], str]] = {
    "ObjectType": (("Image",), ""),
    "NDims": (("3",), ""),
    "BinaryData": (("True",), ""),
    "ElementNumberOfChannels": (("1",), "1"),
    "DistanceUnits": (("mm", "?"), "mm"),
    "HeaderSizePerSlice": (("0",), "0"),
}
_FIXED_NUMBERS = {
    "CenterOfRotation": 0.0,
    "ElementToIntensityFunctionSlope": 1.0,
    "ElementToIntensityFunctionOffset": 0.0,
}
_PER_AXIS = ("DimSize", "ElementSpacing", "Offset", "TransformMatrix", "CenterOfRotation")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)
_WHOLE = re.compile(r"-?\d{1,18}", re.ASCII)
# Rows of a matrix of directions have length 1, to the six digits that headers have.
_MOST_DEVIATION = 1e-3


def read_metaimage(path: Path) -> Volume:
    """Open a MetaImage file.

    The header must state spacing, offset, direction, type and byte order, because readers take
    different ones for those that it does not state.

    Parameters
    ----------
    path : Path
        The header (``.mhd``) of voxels in a file beside it, or header and voxels (``.mha``).
        Voxels that are not compressed are read by region.

    Returns
    -------
    Volume

    Raises
    ------
    OSError
        If a file cannot be read.
    DecodeError
        If it is damaged or cut off, or the header has another form.
    """
    fields, header_size = _read_header(path)
    for name, (accepted, otherwise) in _FIXED.items():
        if (value := fields.get(name, otherwise)) not in accepted:
            raise DecodeError(
                f"its header states {name} = {value}: only {accepted[0]} is read"
                if name in fields
                else _missing(name)
            )
    for name, number in _FIXED_NUMBERS.items():
        if name in fields and any(value != number for value in _numbers(fields, name, None)):
            raise DecodeError(
                f"its header states {name} = {fields[name]}, which most programs ignore: only "
                f"{number:g} is read"
            )
    names = list(fields)
    for name in _PER_AXIS:  # Other readers refuse them.
        if name in fields and names.index(name) < names.index("NDims"):
            raise DecodeError(f"damaged header: NDims must come before {name}")
    geometry = _geometry(fields)
    stored = _read_voxels(path, fields, header_size, geometry.shape)
    return Volume(geometry, stored, format="MetaImage")


def find_metaimage_data(path: Path) -> Path:
    """Return the file with the voxels of a header, which is the same for ``.mha``.

    Raises
    ------
    OSError
        If the file cannot be read.
    DecodeError
        If its header is damaged, or there is no such file beside it.
    """
    name = _read_header(path)[0]["ElementDataFile"]
    return path if name == "LOCAL" else find_sibling(path, name)


def _read_header(path: Path) -> tuple[dict[str, str], int]:
    """Return the fields, and the number of bytes of the header."""
    file, _ = open_file(path)
    with file:
        start = file.read(_MOST_HEADER)
    fields: dict[str, str] = {}
    size = 0
    while (end := start.find(b"\n", size)) >= 0:
        line = read_line(start[size:end])
        size = end + 1
        name, equals, value = (piece.strip(" \t") for piece in line.partition("="))
        if not equals:
            raise DecodeError(
                "damaged header: it has a line that is not of the form 'Name = value'"
            )
        name = _SYNONYMS.get(name, name)
        if name in fields:
            raise DecodeError(f"damaged header: it states {name} twice")
        fields[name] = value
        if name == "ElementDataFile":
            return fields, size
        if len(fields) == 1 and name != "ObjectType":
            break
    raise DecodeError("no header of MetaImage, from ObjectType to ElementDataFile")


def _geometry(fields: dict[str, str]) -> VolumeGeometry:
    shape = _numbers(fields, "DimSize", 3, _WHOLE)
    spacing = np.array(_numbers(fields, "ElementSpacing", 3))
    if not (spacing > 0).all():
        raise DecodeError(
            f"its header states ElementSpacing = {fields['ElementSpacing']}: a spacing is above 0"
        )
    # Each row of the file is the direction of one axis.
    directions = np.array(_numbers(fields, "TransformMatrix", 9)).reshape(3, 3)
    if not (np.abs(np.linalg.norm(directions, axis=1) - 1) <= _MOST_DEVIATION).all():
        raise DecodeError(
            "the rows of its TransformMatrix do not have length 1, so its spacing is unclear"
        )
    affine = np.eye(4)
    affine[:3, :3] = directions.T * spacing
    affine[:3, 3] = _numbers(fields, "Offset", 3)
    return VolumeGeometry((int(shape[0]), int(shape[1]), int(shape[2])), affine)


def _read_voxels(
    path: Path, fields: dict[str, str], header_size: int, shape: tuple[int, int, int]
) -> NDArray[Any] | FileVoxels:
    kind = fields.get("ElementType", "")
    if kind not in _TYPES:
        raise DecodeError(
            f"its header states ElementType = {kind}: expected one of {', '.join(_TYPES)}"
            if kind
            else _missing("ElementType")
        )
    dtype = np.dtype(_TYPES[kind])
    if dtype.itemsize > 1:
        dtype = dtype.newbyteorder(">" if _is_true(fields, "BinaryDataByteOrderMSB") else "<")
    name = fields["ElementDataFile"]
    skipped = int(_numbers(fields, "HeaderSize", 1, _WHOLE)[0]) if "HeaderSize" in fields else 0
    compressed = _is_true(fields, "CompressedData") if "CompressedData" in fields else False
    if skipped and (skipped < 0 or compressed or name == "LOCAL"):
        raise DecodeError(
            f"its header states HeaderSize = {fields['HeaderSize']}: only a number of bytes before "
            "voxels that are in a file of their own, without compression, is read"
        )
    if name == "LOCAL":
        data, start = path, header_size
    elif name.split()[:1] == ["LIST"] or "%" in name:
        raise DecodeError("its voxels are in several files: convert it to one file")
    else:
        data, start = find_sibling(path, name), skipped
    if not compressed:
        return FileVoxels(data, start, shape, dtype)
    # A file of its own may leave the size out.
    if "CompressedDataSize" in fields or data == path:
        (stated,) = _numbers(fields, "CompressedDataSize", 1, _WHOLE)
        if stated != (size := data.stat().st_size - start):
            raise DecodeError(
                f"its header states {stated:,.0f} bytes of compressed voxels, and the file has "
                f"{size:,}: it is cut off, or its header is wrong"
            )
    return inflate_voxels(data, start, shape, dtype)


def _numbers(
    fields: dict[str, str], name: str, n: int | None, form: re.Pattern[str] = _NUMBER
) -> list[float]:
    """Return the numbers of a field; n is how many, or None for any."""
    if name not in fields:
        raise DecodeError(_missing(name))
    words = re.findall(r"[^ \t]+", fields[name])
    if (n is not None and len(words) != n) or not all(map(form.fullmatch, words)):
        kind = "whole number" if form is _WHOLE else "number"
        many = {None: "numbers", 1: f"a {kind}"}.get(n, f"{n} {kind}s")
        raise DecodeError(f"its header states {name} = {fields[name]}: expected {many}")
    return list(map(float, words))


def _is_true(fields: dict[str, str], name: str) -> bool:
    if name not in fields:
        raise DecodeError(_missing(name))
    if fields[name] not in ("True", "False"):
        raise DecodeError(f"its header states {name} = {fields[name]}: expected True or False")
    return fields[name] == "True"


def _missing(name: str) -> str:
    return (
        f"its header does not state {name}, for which programs assume different values: add a line "
        f"'{name} = …' before ElementDataFile"
    )
