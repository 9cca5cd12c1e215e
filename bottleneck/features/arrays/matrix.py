"""The matrix of features in an array or a data frame, and the names of its columns."""

from __future__ import annotations

import dataclasses
import numbers
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.spelling.identifiers import is_missing_value
from bottleneck.errors import DataError, UsageError, one_line
from bottleneck.text.plurals import counted
from bottleneck.text.short_repr import shorten

__all__ = ["Matrix", "index_of", "is_frame", "read_matrix", "read_numbers"]

# Cells that are converted at once.
_CELLS = 4_000_000
# Rounding to float32 may change a value by this share of the spread of its column.
_ROUNDING = 1e-3


@dataclasses.dataclass(frozen=True, eq=False)
class Matrix:
    """Features of samples.

    Attributes
    ----------
    X : ndarray of float32, shape (n_samples, n_features)
        Finite features, in memory of their own unless the given array is read-only.
    columns : tuple of str or None
        Names of the columns; None for an array, and for a data frame that numbers its columns.
    index : pandas.Index or None
        Index of the rows of a data frame.
    """

    X: NDArray[np.float32]
    columns: tuple[str, ...] | None = None
    index: Any = None


def is_frame(values: object) -> bool:
    """Return whether an object is a data frame of pandas, polars or the like."""
    return hasattr(values, "columns") and hasattr(values, "to_numpy")


def index_of(values: object) -> Any:
    """Return the index of a data frame or series of pandas; None for anything else."""
    return getattr(values, "index", None) if hasattr(values, "iloc") else None


def read_matrix(X: object, what: str = "X") -> Matrix:
    """Read a matrix of features.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Numbers of any type that float32 can hold: an array, a data frame or a list of rows.
    what : str
        Name of the argument, for messages.

    Returns
    -------
    Matrix

    Raises
    ------
    UsageError
        If it is not a matrix of numbers, has no row or column, or two columns have the same name.
    DataError
        If a value is missing or infinite, or float32 cannot tell the values of a column apart.
    """
    _refuse_others(X, what)
    columns = _name_columns(X, what) if is_frame(X) else None
    array = _as_array(X, what)
    if array.ndim != 2:
        advice = {
            1: f"pass {what}.reshape(-1, 1) for one feature, or {what}.reshape(1, -1) for one "
            "sample",
            0: "pass an array, a data frame or a list of rows",
        }.get(array.ndim, f"pass {what}.reshape(len({what}), -1), or pool the other dimensions")
        raise UsageError(
            f"{what} needs one row per sample and one column per feature (2-D), and has the shape "
            f"{array.shape}: {advice}"
        )
    for size, noun in zip(array.shape, ("row", "column"), strict=True):
        if not size:
            raise UsageError(f"{what} has no {noun} (shape {array.shape}): it needs at least one")
    return Matrix(_to_float32(array, columns, what), columns, index_of(X))


def read_numbers(values: object, what: str) -> NDArray[np.float64]:
    """Return finite numbers as float64, in the shape that they have.

    Raises
    ------
    UsageError, DataError
        As ``read_matrix`` does, except for shape and size.
    """
    _refuse_others(values, what)
    array = _as_array(values, what)
    if array.dtype.kind == "O" and array.ndim == 1:
        array = _from_objects(array.reshape(-1, 1), what)[:, 0]
    if array.dtype.kind not in "fiub" or not array.ndim:
        raise UsageError(f"{what} needs numbers, not {shorten(values)}")
    numbers = np.array(array, np.float64)
    if not np.isfinite(numbers).all():
        row = int(np.argwhere(~np.isfinite(numbers))[0][0])
        raise DataError(
            f"{what} has missing or infinite values, first in row {row}: leave these rows out, or "
            "replace the values"
        )
    return numbers


def _refuse_others(X: object, what: str) -> None:
    """Refuse what would be read as something else."""
    module = type(X).__module__.partition(".")[0]
    given, advice = "", ""
    if X is None:
        given, advice = "None", "pass an array, a data frame or a list of rows"
    elif isinstance(X, str | bytes) or hasattr(X, "__fspath__"):
        given, advice = "a text or a path", "read a feature file with load_features(path)"
    elif isinstance(X, Mapping):
        given, advice = "a mapping", "pass one matrix; compare takes a mapping of name to matrix"
    elif isinstance(X, set | frozenset):
        given, advice = "a set, which has no order", "pass an array, a data frame or a list of rows"
    elif isinstance(X, Iterator):
        given, advice = "a generator or iterator", f"pass list({what})"
    elif module == "scipy" and hasattr(X, "toarray"):
        given, advice = "a sparse matrix", f"pass {what}.toarray(), if it fits into memory"
    if given:
        raise UsageError(f"{what} needs one row of numbers per sample, not {given}: {advice}")


def _name_columns(frame: Any, what: str) -> tuple[str, ...] | None:
    names = list(frame.columns)
    if all(type(name) is int for name in names) and names == list(range(len(names))):
        return None
    texts = tuple(
        "/".join(map(str, name)) if isinstance(name, tuple) else str(name) for name in names
    )
    if twice := [name for name, n in Counter(texts).items() if n > 1]:
        raise UsageError(
            f"{what} has several columns called '{twice[0]}': rename or drop all but one"
        )
    return texts


def _as_array(X: Any, what: str) -> NDArray[Any]:
    """Return an array of numbers or objects, NaN where a value is missing."""
    if is_frame(X):
        _refuse_columns(X, what)
        try:
            array = np.asarray(X)
        except (TypeError, ValueError) as error:
            raise UsageError(f"{what} cannot be read as an array: {one_line(error)}") from None
    else:
        try:
            array = np.ma.getdata(X) if np.ma.isMaskedArray(X) else np.asarray(X)
        except (TypeError, ValueError, RuntimeError) as error:
            ragged = "inhomogeneous" in str(error)
            raise UsageError(
                f"{what} has rows of different lengths: every sample needs the same features"
                if ragged
                else f"{what} cannot be read as an array ({one_line(error)}): convert it first, "
                f"as with {what}.detach().float().cpu().numpy()"
            ) from None
    if array.dtype.names is not None:
        raise UsageError(
            f"{what} has fields of several types ({', '.join(array.dtype.names)}): pass a data "
            "frame, or an array of numbers"
        )
    if array.dtype.kind in "OUS" and array.ndim == 2:
        array = _from_objects(array, what)
    if array.dtype.kind not in "fiub" and not (array.dtype.kind == "O" and array.ndim != 2):
        raise UsageError(
            f"{what} holds values of the type {array.dtype}, not numbers: convert them to float"
        )
    mask = np.ma.getmask(X)
    if mask is not np.ma.nomask and np.any(mask):
        array = np.where(mask, np.nan, array.astype(np.float64))
    return array


def _refuse_columns(frame: Any, what: str) -> None:
    """Refuse columns that are not numbers, by the name of the first one."""
    for name, dtype in zip(frame.columns, frame.dtypes, strict=True):
        text = str(dtype).lower()
        if text.startswith(("category", "categorical", "datetime", "timedelta", "date", "period")):
            raise UsageError(
                f"{what} has the column '{name}' of the type {dtype}, not numbers: encode it as "
                "numbers, or leave it out"
            )


def _from_objects(array: NDArray[Any], what: str) -> NDArray[np.float64]:
    """Convert objects that are numbers; texts that look like numbers are none."""
    out = np.empty(array.shape)
    for row, values in enumerate(array.tolist()):
        for column, value in enumerate(values):
            if is_missing_value(value):
                out[row, column] = np.nan
            elif isinstance(value, numbers.Real) or type(value).__name__ == "Decimal":
                out[row, column] = float(value)
            else:
                raise UsageError(
                    f"{what} has {shorten(value)} in row {row}, column {column}, but must hold "
                    "only numbers: encode texts as numbers, or leave the column out"
                )
    return out


def _to_float32(
    array: NDArray[Any], columns: tuple[str, ...] | None, what: str
) -> NDArray[np.float32]:
    is_exact = array.dtype in (np.float32, np.float16, np.bool_, np.int8, np.uint8, np.int16)
    if array.dtype == np.float32 and array.flags.c_contiguous and not array.flags.writeable:
        X = np.asarray(array)
    else:
        X = np.empty(array.shape, np.float32)
    height = max(1, _CELLS // array.shape[1])
    error = np.zeros(array.shape[1])
    low, high = np.full(array.shape[1], np.inf), np.full(array.shape[1], -np.inf)
    for start in range(0, len(array), height):
        part = array[start : start + height]
        finite = np.isfinite(part)
        if not finite.all():
            _refuse_missing(array, columns, what)
        if X.flags.writeable:
            with np.errstate(over="ignore"):
                X[start : start + height] = part
        if not is_exact:
            exact = part.astype(np.float64)
            with np.errstate(invalid="ignore"):
                error = np.maximum(error, np.abs(exact - X[start : start + height]).max(axis=0))
            low, high = np.minimum(low, exact.min(axis=0)), np.maximum(high, exact.max(axis=0))
    if is_exact:
        return X
    with np.errstate(over="ignore"):
        lost = np.flatnonzero((error > _ROUNDING * (high - low)) & (high > low))
    lost = np.union1d(lost, np.flatnonzero(~np.isfinite(error)))
    if array.dtype.kind in "iu":
        lost = np.union1d(lost, _find_close(array)).astype(np.intp)
    if len(lost):
        at = int(lost[0])
        raise DataError(
            f"{what} has values from {low[at]:g} to {high[at]:g} in {_called(at, columns)}, which "
            f"float32 cannot distinguish or hold ({counted(len(lost), 'such column')}): subtract "
            "their mean, scale them, or take logarithms"
        )
    return X


def _find_close(array: NDArray[np.integer]) -> NDArray[np.intp]:
    """Return the columns of whole numbers that are closer than float32 tells apart."""
    ends = zip(array.min(axis=0).tolist(), array.max(axis=0).tolist(), strict=True)
    return np.array(
        [
            column
            for column, (low, high) in enumerate(ends)
            if high > low
            and max(abs(low), abs(high)) * 2.0**-24 > _ROUNDING * (high - low)
            and max(abs(low), abs(high)) > 2**24
        ],
        np.intp,
    )


def _refuse_missing(array: NDArray[Any], columns: tuple[str, ...] | None, what: str) -> None:
    wrong = ~np.isfinite(array)
    row, column = map(int, np.argwhere(wrong)[0])
    noun = "missing values (NaN)" if np.isnan(array).any() else "infinite values"
    raise DataError(
        f"{what} has {noun} in {int(wrong.any(axis=1).sum())} of {len(array)} rows, first in row "
        f"{row}, {_called(column, columns)}: leave these rows or columns out, or fill them with a "
        "value that does not depend on other samples, such as 0, and add a column that marks them"
    )


def _called(column: int, columns: tuple[str, ...] | None) -> str:
    return f"column {column}" if columns is None else f"column '{columns[column]}'"
