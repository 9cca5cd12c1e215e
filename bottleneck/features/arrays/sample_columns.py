"""Labels, patients and ids of samples, from arrays, series and lists."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.samples.sample_checks import check_sample
from bottleneck.data.samples.sample_table import Sample
from bottleneck.data.spelling.identifiers import is_missing_value, name_value
from bottleneck.data.spelling.spelling_variants import unify_spellings
from bottleneck.data.spelling.unclear_labels import check_unclear_labels
from bottleneck.errors import DataError, UsageError
from bottleneck.features.arrays.matrix import is_frame
from bottleneck.text.plurals import counted
from bottleneck.text.short_repr import shorten

__all__ = ["name_ids", "name_samples", "read_names"]

Strings = NDArray[np.str_]

# Characters of an id, as in the tables of data sets.
_LONGEST = 1_000
_NOUNS = {"y": "label", "groups": "patient", "ids": "id"}
_MISSING = {
    "y": "leave these samples out, or predict them with a fitted model",
    "groups": "write '' for a sample of an unknown patient, which then counts as a patient of its "
    "own, or leave these samples out",
    "ids": "give each sample an id, or leave ids out to number them",
}


def read_names(
    values: object, what: str, n: int | None = None, *, rows: str = "X", may_lack: bool = False
) -> list[str]:
    """Return one name per sample.

    Texts stay as they are. Whole numbers, also those of type float, become their digits (1.0 is
    "1"), and truth values "True" and "False".

    Parameters
    ----------
    values : array-like of shape (n,)
        An array, a series or a list.
    what : {"y", "groups", "ids"} or str
        Name of the argument, for messages.
    n : int or None
        Number of samples; None for any.
    rows : str
        Name of the argument that determines the number of samples.
    may_lack : bool
        Whether a value may be missing, which is then "".

    Raises
    ------
    UsageError
        If it is not a column of names, or has another length.
    DataError
        If a value is missing and must not, or is not a name.
    """
    noun = _NOUNS.get(what, "name")
    column = _as_list(values, what, noun)
    if n is not None and len(column) != n:
        raise UsageError(
            f"{what} has {counted(len(column), noun)}, and {rows} {counted(n, 'row')}: pass one "
            f"{noun} per row of {rows}"
        )
    missing = [row for row, value in enumerate(column) if is_missing_value(value)]
    if missing and not may_lack:
        advice = _MISSING.get(what, "leave these samples out")
        raise DataError(
            f"{what} has no {noun} (None or NaN) in {len(missing)} of {len(column)} rows, first in "
            f"row {missing[0]}: {advice}"
        )
    names = []
    for row, value in enumerate(column):
        try:
            name = "" if is_missing_value(value) else name_value(value)
        except TypeError:
            raise DataError(
                f"{what} has {shorten(value)} in row {row}, which is not a name of a {noun}: pass "
                f"texts, whole numbers or truth values{_advise(value, what)}"
            ) from None
        names.append(name)
    return names


def _advise(value: object, what: str) -> str:
    if isinstance(value, list | tuple | np.ndarray):
        return " in one dimension"
    if what == "y" and isinstance(value, float):
        return "; divide a measurement into classes first"
    return ""


def _as_list(values: Any, what: str, noun: str) -> list[Any]:
    given, advice = "", f"pass an array, a series or a list with one {noun} per sample"
    if values is None or isinstance(values, str | bytes | int | float):
        given = "None" if values is None else "a single value"
    elif isinstance(values, Mapping | set | frozenset):
        given = "a mapping" if isinstance(values, Mapping) else "a set, which has no order"
    elif isinstance(values, Iterator):
        given, advice = "a generator or iterator", f"pass list({what})"
    elif is_frame(values):
        given, advice = "a data frame", f"pass one of its columns, such as {what}['{noun}']"
    elif hasattr(values, "toarray"):
        given, advice = "a sparse matrix", f"pass {what}.toarray().ravel()"
    if given:
        raise UsageError(f"{what} needs one {noun} per sample, not {given}: {advice}")
    if isinstance(values, list | tuple):
        return [v.item() if isinstance(v, np.generic) else v for v in values]
    if hasattr(values, "iloc"):
        return list(values)
    array = values if isinstance(values, np.ndarray) else np.asarray(values)
    if array.ndim != 1:
        advice = f"pass {what}.ravel()"
        if array.ndim == 2 and array.shape[1] > 1:
            advice = f"pass one column; of columns that mark the class, {what}.argmax(axis=1)"
        if array.ndim == 0:
            advice = f"pass an array, a series or a list with one {noun} per sample"
        raise UsageError(
            f"{what} needs one {noun} per sample (1-D), and has the shape {array.shape}: {advice}"
        )
    out = array.tolist()
    if np.ma.isMaskedArray(array):
        return out  # A masked value is None there.
    return out


def name_ids(ids: object, index: Any, n: int, *, rows: str = "X") -> Strings:
    """Return the ids of samples: those given, those of the index of a data frame, or row numbers.

    Parameters
    ----------
    ids : array-like of shape (n,) or None
        Ids of the samples.
    index : pandas.Index or None
        Index of the rows; row numbers are taken in place of one that is not unique.
    n : int
        Number of samples.
    rows : str
        Name of the argument that determines the number of samples.

    Raises
    ------
    UsageError, DataError
        As ``read_names`` does, or if two samples have the same id.
    """
    if ids is None:
        values = [] if index is None else list(index)
        texts = ["/".join(map(str, v)) if isinstance(v, tuple) else str(v) for v in values]
        is_sound = all(text and len(text) <= _LONGEST for text in texts)
        if is_sound and len(set(texts)) == n and not any(map(is_missing_value, values)):
            return np.array(texts, str)
        return np.arange(n).astype(str)
    names = np.array(read_names(ids, "ids", n, rows=rows), str)
    if empty := int((np.char.strip(names) == "").sum()):
        raise DataError(f"ids has {counted(empty, 'empty text')}: {_MISSING['ids']}")
    if twice := [name for name, times in Counter(names.tolist()).items() if times > 1]:
        raise DataError(
            f"ids has '{twice[0]}' several times ({counted(len(twice), 'such id')}): give each "
            "sample its own id; pass patients as groups"
        )
    return names


def name_samples(
    ids: Strings,
    labels: list[str],
    patients: list[str] | None,
    *,
    may_lack_labels: bool = False,
) -> tuple[Strings, Strings | None, list[str]]:
    """Return labels and patients in one spelling each, and notes about them.

    Parameters
    ----------
    ids : ndarray of str, shape (n,)
        Ids of the samples.
    labels : list of str
        Labels.
    patients : list of str or None
        Patients; "" where one is unknown.
    may_lack_labels : bool
        Whether a label may mean that there is no label, and is then "".

    Returns
    -------
    labels : ndarray of str, shape (n,)
    patients : ndarray of str, shape (n,), or None
        None where no patient is known.
    notes : list of str

    Raises
    ------
    DataError
        As ``unify_spellings`` and ``check_unclear_labels`` do.
    """
    groups = patients or [""] * len(labels)
    samples = [
        check_sample(Sample(identity, identity, label, group=group or None))
        for identity, label, group in zip(ids.tolist(), labels, groups, strict=True)
    ]
    unified, notes = unify_spellings(samples, unlabelled=may_lack_labels)
    notes += check_unclear_labels(unified)
    named = [sample.group or "" for sample in unified]
    y = np.array([sample.label for sample in unified], str)
    return y, np.array(named, str) if any(named) else None, notes
