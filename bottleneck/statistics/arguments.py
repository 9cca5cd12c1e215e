"""Checks of the arguments that the functions of this package share."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bottleneck.errors import UsageError

__all__ = ["as_booleans", "as_codes", "check_level"]


def check_level(level: float) -> float:
    """Return a confidence level, or raise ``UsageError`` if it is not between 0 and 1."""
    if not 0 < level < 1:
        raise UsageError(f"the confidence level must lie between 0 and 1, not be {level}")
    return level


def as_booleans(name: str, values: ArrayLike) -> NDArray[np.bool_]:
    """Return an array of zeros and ones, or of booleans, as booleans.

    Parameters
    ----------
    name : str
        Name of the argument, for the error message.
    values : array-like of {0, 1} or bool, shape (n_samples,)
        The argument.

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
    array = np.asarray(values)
    if array.ndim != 1 or not len(array):
        raise UsageError(
            f"{name} must be one-dimensional and not empty, not of shape {array.shape}"
        )
    if array.dtype.kind not in "biuf" or not np.isin(array, (0, 1)).all():
        raise UsageError(f"{name} must hold only 0 and 1, or booleans")
    return array.astype(bool)


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
    array = np.asarray(values)
    if array.shape != (n,):
        raise UsageError(
            f"{name} must hold one value for each of the {n} samples, not be of shape {array.shape}"
        )
    names = array.astype(str) if array.dtype.kind in "fO" else array
    if names.dtype.kind in "SUT":
        missing = int(np.isin(names.astype(str), ("", "None", "nan", "<NA>")).sum())
        if missing:
            raise UsageError(
                f"{name} must hold one value for each sample, but the value is missing "
                f"for {missing} of the {n} samples"
            )
    return np.unique(names, return_inverse=True)[1].astype(np.int64)
