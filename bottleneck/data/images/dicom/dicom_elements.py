"""Elements of a DICOM header, read so that every error names the element and its value.

An element that is present and empty counts as absent, as does an empty one of several values: both
occur in optional elements, and every viewer ignores them. Values are read from their bytes, because
pydicom raises Python's errors for those that it cannot convert, and because the VR of lookup tables
and padding depends on other elements (PS3.5, A.1: US or SS).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.tag import BaseTag, Tag

from bottleneck.errors import DecodeError

__all__ = ["Elements"]

_BINARY = {"US": "u2", "SS": "i2", "UL": "u4", "SL": "i4", "FL": "f4", "FD": "f8"}
_TEXTS = ("CS", "DS", "IS", "LO", "LT", "SH", "ST", "UI", "UT")
# PS3.5, 6.2: DS and IS.
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_SHOWN = 40  # Characters of a value in a message.


class Elements:
    """The elements of one or several data sets; of the same element, the first that has a value.

    Parameters
    ----------
    *datasets : pydicom.Dataset
        Data sets as pydicom read them, in order of precedence.
    """

    def __init__(self, *datasets: Dataset) -> None:
        self._datasets = datasets

    def __contains__(self, name: str) -> bool:
        return self._find(name) is not None

    def text(self, name: str) -> str:
        """Return the first value that is not empty, without spaces around it; "" if none is."""
        return next(filter(None, self.texts(name)), "")

    def texts(self, name: str) -> list[str]:
        """Return all values as text, without spaces around them; [] if there is no value."""
        element = self._find(name)
        if element is None:
            return []
        text = (element.value or b"").decode("latin-1")
        text = "".join(c if c.isprintable() or c == "\0" else "?" for c in text)
        return [part.strip(" \0") for part in text.split("\\")]

    def numbers(self, name: str) -> list[float | None]:
        """Return all values as numbers, None where one is empty.

        Raises
        ------
        DecodeError
            If a value is not a number, or not finite.
        """
        element = self._find(name)
        if element is None:
            return []
        kind = _kind(name, element)
        if kind in _BINARY:
            values = [float(value) for value in self._array(name, element, _BINARY[kind])]
            if not np.isfinite(values).all():
                raise DecodeError(f"{name} is {_shown(values)}, which is not finite")
            return list(values)
        return [_number(name, text) if text else None for text in self.texts(name)]

    def number(self, name: str, default: float) -> float:
        """Return the first value that is not empty, as a number."""
        return next((value for value in self.numbers(name) if value is not None), default)

    def whole(self, name: str, default: int | None = None) -> int:
        """Return the first value that is not empty, as a whole number of zero or more.

        Raises
        ------
        DecodeError
            If it is not such a number; if there is none, and no default.
        """
        value = next((value for value in self.numbers(name) if value is not None), default)
        if value is None:
            raise DecodeError(f"the DICOM header has no {name}")
        if value < 0 or value != int(value):
            raise DecodeError(f"{name} is {value:g}, which is not a whole number of zero or more")
        return int(value)

    def words(self, name: str, signed: bool) -> list[int]:
        """Return the values of an element whose VR is US or SS, with the sign that is stated."""
        element = self._find(name)
        if element is None:
            return []
        if _kind(name, element) in ("DS", "IS", "FL", "FD", "UL", "SL"):
            return [int(value) for value in self.numbers(name) if value is not None]
        return [int(word) for word in self._array(name, element, "i2" if signed else "u2")]

    def data(self, name: str) -> tuple[bytes, str, bool]:
        """Return the bytes of an element, its VR, and whether their order is little-endian."""
        element = self._find(name)
        if element is None:
            raise DecodeError(f"the DICOM header has no {name}")
        return element.value or b"", element.VR or "OW", element.is_little_endian

    def is_encapsulated(self, name: str) -> bool:
        """Return whether the value of an element is divided into fragments (PS3.5, A.4)."""
        element = self._find(name)
        return element is not None and element.length == 0xFFFFFFFF

    def items(self, name: str) -> list[Elements]:
        """Return the items of a sequence.

        Raises
        ------
        DecodeError
            If the element is not a sequence.
        """
        tag = _tag(name)
        for dataset in self._datasets:
            if tag not in dataset:
                continue
            # Damaged bytes may make pydicom raise any exception.
            try:
                value = dataset[tag].value
            except Exception:  # noqa: BLE001
                raise DecodeError(f"damaged image: {name} cannot be read") from None
            if value is None or value in (b"", ""):
                continue
            if not (isinstance(value, Sequence) and all(isinstance(v, Dataset) for v in value)):
                raise DecodeError(f"{name} is not a sequence of items")
            if value:
                return [Elements(item) for item in value]
        return []

    def has_embedded_overlay(self) -> bool:
        """Return whether unused bits of the pixels may be an overlay (retired; PS3.5, 8.1.2)."""
        tags = [tag for dataset in self._datasets for tag in dataset.keys()]  # noqa: SIM118
        return any(0x6000 <= tag >> 16 <= 0x60FF and tag & 0xFFFF == 0x0102 for tag in tags)

    def preceded_by(self, others: Iterable[Elements]) -> Elements:
        """Return these elements, preceded by others."""
        before = [dataset for other in others for dataset in other._datasets]
        return Elements(*before, *self._datasets)

    def of_frame(self) -> Elements:
        """Return these elements, preceded by those of the frame in an enhanced image (C.7.6.16)."""
        return self.preceded_by(
            item
            for groups in ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence")
            for group in self.items(groups)[:1]
            for macro in ("PixelValueTransformationSequence", "FrameVOILUTSequence")
            for item in group.items(macro)[:1]
        )

    def _find(self, name: str) -> RawDataElement | None:
        tag = _tag(name)
        for dataset in self._datasets:
            if tag not in dataset:
                continue
            element = dataset.get_item(tag)
            if not isinstance(element, RawDataElement) or not isinstance(element.value, bytes):
                if element.value in (None, "", b"") or len(element.value) == 0:
                    continue
                raise DecodeError(f"{name} is a sequence of items, and a single value is expected")
            is_text = _kind(name, element) in _TEXTS
            if element.value.strip(b" \0\\") if is_text else element.value:
                return element
        return None

    def _array(self, name: str, element: RawDataElement, kind: str) -> NDArray:
        data, size = element.value or b"", int(kind[1:])
        if len(data) % size:
            raise DecodeError(f"{name} has {len(data)} bytes, and its values have {size} each")
        return np.frombuffer(data, ("<" if element.is_little_endian else ">") + kind)


@functools.cache
def _tag(name: str) -> BaseTag:
    return Tag(name)


def _kind(name: str, element: RawDataElement) -> str:
    """Return the VR of an element: that of the file or, without one, that of the standard."""
    if element.VR not in (None, "UN"):
        return str(element.VR)
    return dictionary_VR(name).replace("US or SS", "US")


def _number(name: str, text: str) -> float:
    if not _NUMBER.fullmatch(text):
        reason = "which is not a number"
        if "," in text:
            reason += "; DICOM writes a decimal point, and separates values with a backslash"
        raise DecodeError(f"{name} is {_shown(text)}, {reason}")
    value = float(text)
    if not np.isfinite(value):
        raise DecodeError(f"{name} is {_shown(text)}, which is not a finite number")
    return value


def _shown(value: object) -> str:
    text = str(value)
    return f"'{text[:_SHOWN]}…'" if len(text) > _SHOWN else f"'{text}'"
