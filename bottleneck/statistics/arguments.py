"""Checks of the arguments that the functions of this package share.

Each message says what was expected, what was given and what to do. Arguments may be lists, arrays,
or Series of pandas; the values of several arguments belong together by position.
"""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bottleneck.errors import UsageError
from bottleneck.text.short_repr import shorten

__all__ = [
    "as_array",
    "as_booleans",
    "as_codes",
    "as_matrix",
    "as_numbers",
    "as_patients",
    "as_scores",
    "as_vector",
    "check_level",
    "check_same_rows",
    "list_values",
]

# Text that stands for a missing value where numbers and None became text.
_NO_TEXT = ("", "None", "nan", "NaN", "NaT", "<NA>")
_SHOWN = 4


def check_level(level: float) -> float:
    """Return a confidence level, or raise ``UsageError`` if it is not between 0 and 1."""
    if not isinstance(level, numbers.Real) or not 0 < level < 1:
        hint = ""
        if isinstance(level, numbers.Real) and 1 < level < 100:
            hint = f": {level:g} % is {level / 100:g}"
        raise UsageError(
            f"the confidence level must lie between 0 and 1, not be {shorten(level)}{hint}"
        )
    return float(level)


def check_same_rows(**columns: Any) -> None:
    """Raise ``UsageError`` if data frames, series and arrays may be in different orders.

    Rows belong together by position. Those of the same names in another order would be paired
    wrongly without a word. So two different indexes are refused, and an index of row numbers in
    another order together with an argument that has no index.

    Parameters
    ----------
    **columns
        Arguments by name; None for those that are not given.
    """
    indexed = {
        name: values.index
        for name, values in columns.items()
        if hasattr(values, "iloc") and hasattr(values, "index")
    }
    first = next(iter(indexed), "")
    bare = next((n for n, v in columns.items() if v is not None and n not in indexed), None)
    if bare is not None and indexed and _is_shuffled(indexed[first]):
        raise UsageError(
            f"the index of {first} is row numbers in another order ({_begin(indexed[first])}), and "
            f"{bare} has no index, so it is unclear which rows belong together: pass "
            f"{first}.sort_index() if {bare} is in the order of 0, 1, 2, …, or "
            f"{first}.reset_index(drop=True) if both have the same order"
        )
    for name, index in indexed.items():
        # Unlike lengths have a message of their own.
        if len(index) != len(indexed[first]) or index.equals(indexed[first]):
            continue
        same = len(index.difference(indexed[first])) == 0 and index.is_unique
        align = "align them (b = b.loc[a.index]), or " if same else ""
        raise UsageError(
            f"the rows of a = {first} and b = {name} have different indexes "
            f"({_begin(indexed[first])} and {_begin(index)}): {align}pass b.to_numpy() if its rows "
            "are in the order of a"
        )


def _is_shuffled(index: Any) -> bool:
    """Return whether an index is 0, 1, 2, … in another order."""
    if index.nlevels > 1 or getattr(index.dtype, "kind", "") not in ("i", "u"):
        return False
    numbers, values = np.arange(len(index)), index.to_numpy()
    return not np.array_equal(values, numbers) and np.array_equal(np.sort(values), numbers)


def _begin(index: Any) -> str:
    return ", ".join(map(str, index[:3])) + (", …" if len(index) > 3 else "")


def as_vector(
    name: str, values: ArrayLike, n: int | None = None, unit: str = "sample"
) -> NDArray[Any]:
    """Return an argument as a one-dimensional array without missing values.

    Parameters
    ----------
    name : str
        Name of the argument, for the error message.
    values : array-like, shape (n_samples,)
        The argument.
    n : int, optional
        Number of samples that it must have.
    unit : str
        What a value belongs to, for the error message.

    Returns
    -------
    ndarray, shape (n_samples,)
        Booleans, numbers or text; other objects as text.

    Raises
    ------
    UsageError
        If the argument has the wrong shape, or a value is missing.

    Examples
    --------
    >>> as_vector("y_true", ["benign", "malignant"]).tolist()
    ['benign', 'malignant']
    """
    array = as_array(name, values)
    each = f"one value for each {unit}" if n is None else f"one value for each of the {n} {unit}s"
    if array.ndim == 0:
        kind = type(values).__name__
        raise UsageError(f"{name} must hold {each}, not be a {kind}: give a list or an array")
    if array.ndim > 1:
        hint = "give one column of it"
        if array.ndim == 2 and array.shape[1] == 1:
            hint = "give its only column, such as values.ravel()"
        raise UsageError(f"{name} must hold {each}, not be of shape {array.shape}: {hint}")
    if not len(array):
        raise UsageError(f"{name} must hold {each} (at least one {unit}), but it is empty")
    if n is not None and len(array) != n:
        raise UsageError(f"{name} must hold {each}, but holds {len(array)}")
    missing = int(_is_missing(array).sum())
    if missing:
        raise UsageError(
            f"{name} must hold {each}, but the value is missing for {missing} of the "
            f"{len(array)} {unit}s: leave these {unit}s out of every argument"
        )
    return _without_objects(array)


def as_array(name: str, values: ArrayLike) -> NDArray[Any]:
    """Return an argument as an array of any shape, or raise ``UsageError`` if it is none.

    Examples
    --------
    >>> as_array("score", [0.5, 1.0]).shape
    (2,)
    """
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise UsageError(f"{name} has masked values: leave these samples out of every argument")
    try:
        return np.asarray(values)
    except (TypeError, ValueError, RuntimeError):
        raise UsageError(
            f"{name} cannot be read as an array of one value per sample: give a list, an array "
            "of numpy or a Series"
        ) from None


def _is_missing(array: NDArray[Any]) -> NDArray[np.bool_]:
    if array.dtype.kind in "fc":
        return np.isnan(array)
    if array.dtype.kind in "mM":
        return np.isnat(array)
    if array.dtype.kind in "SUT":
        return np.isin(np.char.strip(_as_text(array)), _NO_TEXT)
    if array.dtype.kind == "O":
        return np.array([_is_missing_object(value) for value in array.tolist()])
    return np.zeros(len(array), dtype=np.bool_)


def _is_missing_object(value: object) -> bool:
    if isinstance(value, str):
        return value.strip() in _NO_TEXT
    if isinstance(value, numbers.Real):
        return bool(value != value)
    return value is None or type(value).__name__ in ("NAType", "NaTType")


def _as_text(array: NDArray[Any]) -> NDArray[np.str_]:
    if array.dtype.kind == "S":
        return np.char.decode(array, "utf-8", "backslashreplace")
    return array.astype(np.str_)


def _without_objects(array: NDArray[Any]) -> NDArray[Any]:
    """Return objects as booleans or numbers if all are such, and as text otherwise."""
    if array.dtype.kind != "O":
        return _as_text(array) if array.dtype.kind in "STmM" else array
    values = array.tolist()
    if all(isinstance(value, (bool, np.bool_)) for value in values):
        return array.astype(np.bool_)
    try:
        if all(isinstance(value, numbers.Integral) for value in values):
            return array.astype(np.int64)
        if all(isinstance(value, numbers.Real) for value in values):
            return array.astype(np.float64)
    except OverflowError:  # Integers that no number of numpy holds remain distinct as text.
        pass
    # 1 and 1.0 are one patient.
    return np.array(
        [
            str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
            for value in values
        ]
    )


def as_booleans(name: str, values: ArrayLike, n: int | None = None) -> NDArray[np.bool_]:
    """Return an array of zeros and ones, or of booleans, as booleans.

    Parameters
    ----------
    name : str
        Name of the argument, for the error message.
    values : array-like of {0, 1} or bool, shape (n_samples,)
        The argument.
    n : int, optional
        Number of samples that it must have.

    Returns
    -------
    ndarray of bool, shape (n_samples,)
        True for 1.

    Raises
    ------
    UsageError
        If the array is empty, is not one-dimensional, or holds another value.

    Examples
    --------
    >>> as_booleans("y_true", [0, 1, 1])
    array([False,  True,  True])
    """
    array = as_vector(name, values, n)
    if array.dtype.kind not in "biuf" or not np.isin(array, (0, 1)).all():
        raise UsageError(f"{name} must hold only 0 and 1, or booleans, not {list_values(array)}")
    return array.astype(bool)


def as_scores(name: str, values: ArrayLike, n: int) -> NDArray[np.float64]:
    """Return finite scores of one model.

    Raises
    ------
    UsageError
        If there is not one finite number per sample.

    Examples
    --------
    >>> as_scores("score", [1, 2], 2)
    array([1., 2.])
    """
    shape = np.shape(as_array(name, values))
    if len(shape) == 2 and shape[1] > 1:
        raise UsageError(
            f"{name} must hold one number for each of the {n} samples, not be of shape "
            f"{shape}: of predict_proba and the like, give the column of the positive class, "
            "such as [:, 1]; for several classes at once, use macro_auc_interval or "
            "macro_auc_difference"
        )
    return as_numbers(name, values, n)


def as_numbers(
    name: str, values: ArrayLike, n: int | None = None, unit: str = "sample"
) -> NDArray[np.float64]:
    """Return finite numbers.

    Raises
    ------
    UsageError
        If the array is empty, is not one-dimensional, or holds something else.

    Examples
    --------
    >>> as_numbers("differences", [0.1, 0.2])
    array([0.1, 0.2])
    """
    array = as_vector(name, values, n, unit)
    if array.dtype.kind not in "biuf":
        each = "numbers" if n is None else f"one number for each of the {n} samples"
        raise UsageError(f"{name} must hold {each}, not {list_values(array)}")
    array = array.astype(np.float64)
    if infinite := int((~np.isfinite(array)).sum()):
        raise UsageError(
            f"{name} must hold finite numbers, but {infinite} of the {len(array)} are infinite"
        )
    return array


def as_matrix(name: str, values: ArrayLike) -> NDArray[np.floating]:
    """Return finite numbers in rows and columns, one row per sample.

    Raises
    ------
    UsageError
        If the array has the wrong shape, type or values.

    Examples
    --------
    >>> as_matrix("X", [[1, 2], [3, 4]]).shape
    (2, 2)
    """
    array = as_array(name, values)
    if array.ndim != 2 or 0 in array.shape:
        raise UsageError(
            f"{name} must hold one row per sample and one column per feature or class, not be of "
            f"shape {array.shape}"
        )
    if array.dtype.kind == "O":
        array = np.stack([_without_objects(column) for column in array.T], axis=1)
    if array.dtype.kind not in "biuf":
        raise UsageError(f"{name} must hold numbers, not {array.dtype}")
    # Features in single precision may be many: they are not copied.
    array = array if array.dtype.kind == "f" else array.astype(np.float64)
    if not np.isfinite(array).all():
        rows = int((~np.isfinite(array).all(axis=1)).sum())
        raise UsageError(
            f"{name} must hold finite numbers, but {rows} of the {len(array)} rows have NaN or "
            "infinite ones: leave these samples out of every argument"
        )
    return array


def as_codes(name: str, values: ArrayLike, n: int) -> NDArray[np.int64]:
    """Number the distinct values of an array, such as patients or folds, from 0.

    Parameters
    ----------
    name : str
        Name of the argument, for the error message.
    values : array-like, shape (n,)
        Names or numbers.
    n : int
        Number of samples.

    Returns
    -------
    ndarray of int64, shape (n,)
        Equal values have the same code; codes follow the sorted values.

    Raises
    ------
    UsageError
        If the array does not have one value per sample, or a value is missing.

    Examples
    --------
    >>> as_codes("groups", ["p2", "p1", "p2"], 3)
    array([1, 0, 1])
    """
    return np.unique(as_vector(name, values, n), return_inverse=True)[1].astype(np.int64)


def as_patients(groups: ArrayLike | None, n: int) -> NDArray[np.int64]:
    """Return the codes of the patients; without groups, every sample is a patient of its own.

    Examples
    --------
    >>> as_patients(None, 3)
    array([0, 1, 2])
    """
    return np.arange(n) if groups is None else as_codes("groups", groups, n)


def list_values(array: NDArray[Any]) -> str:
    """Return the first distinct values, for a message.

    Examples
    --------
    >>> list_values(np.array([3, 1, 2, 2, 5, 4]))
    '1, 2, 3, 4 and 1 more'
    """
    known = np.unique(array).tolist()
    shown = ", ".join(repr(value) for value in known[:_SHOWN])
    return f"{shown} and {len(known) - _SHOWN} more" if len(known) > _SHOWN else shown
