"""How the examination of an image is written: from a DICOM header, or from file names."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "examination_of_header",
    "examination_of_name",
    "group_examinations",
    "is_from_names",
    "within_source",
]

Strings = NDArray[np.str_]

_NAMES = "names "
# Hexadecimal digits of a hash of a UID: no two of a data set are equal, and none leads back.
_DIGITS = 16


def examination_of_header(study: str, series: str, instance: str) -> str | None:
    """Return the examination that the UIDs of a DICOM header tell, or None if they are empty.

    Examples
    --------
    >>> examination_of_header("1.2.3", "", "")
    'study c47f5b18b8a430e6'
    """
    parts = {"study": study, "series": series, "instance": instance}
    if not study and not series:
        return None
    return " ".join(
        f"{name} {hashlib.sha256(uid.encode()).hexdigest()[:_DIGITS]}"
        for name, uid in parts.items()
        if uid
    )


def examination_of_name(name: str) -> str:
    """Return the examination that the common part of file names tells."""
    return f"{_NAMES}{name}"


def within_source(examination: str, prefix: Callable[[str], str]) -> str:
    """Return an examination of one of several data sets; UIDs are unique among all of them."""
    if not examination.startswith(_NAMES):
        return examination
    return examination_of_name(prefix(examination.removeprefix(_NAMES)))


def is_from_names(examinations: Strings) -> NDArray[np.bool_]:
    """Return which examinations are told by file names, and not by a DICOM header."""
    return np.char.startswith(examinations, _NAMES)


def group_examinations(examinations: Strings) -> Strings:
    """Return the study, or without one the series, or the common part of file names.

    Parameters
    ----------
    examinations : ndarray of str, shape (n_samples,)
        Examinations; "" where none is known.

    Examples
    --------
    >>> group_examinations(np.array(["study 1a series 2b instance 3c", "names p1/case 12", ""]))
    array(['study 1a', 'names p1/case 12', ''], dtype='<U30')
    """
    grouped = [
        text if text.startswith(_NAMES) else " ".join(text.split(" ")[:2])
        for text in examinations.tolist()
    ]
    return np.array(grouped, examinations.dtype)
