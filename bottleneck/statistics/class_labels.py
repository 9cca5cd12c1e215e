"""Checks of true classes, predicted classes and probabilities of the positive class."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bottleneck.errors import ProtocolError, UsageError, unknown_name
from bottleneck.statistics.arguments import as_scores, as_vector, list_values

__all__ = ["as_labels", "as_predicted", "as_probabilities", "as_truth", "check_both_classes"]


def as_labels(name: str, values: ArrayLike, n: int | None = None) -> NDArray[Any]:
    """Return the classes of the samples: text, whole numbers or booleans.

    Raises
    ------
    UsageError
        If the array has the wrong shape, a value is missing, or values are not classes.

    Examples
    --------
    >>> as_labels("y_true", [0.0, 1.0]).tolist()
    [0, 1]
    """
    array = as_vector(name, values, n)
    if array.dtype.kind == "f":
        if not (np.isfinite(array) & (np.floor(array) == array)).all():
            raise UsageError(
                f"{name} must hold classes (text, whole numbers or booleans), not "
                f"{list_values(array)}: the first argument holds the true classes and the second "
                "the scores; a threshold turns scores into classes, such as score >= 0.5"
            )
        return array.astype(np.int64)
    if array.dtype.kind not in "biuU":
        raise UsageError(
            f"{name} must hold classes (text, whole numbers or booleans), not {array.dtype}"
        )
    return array


def as_predicted(name: str, values: ArrayLike, labels: NDArray[Any]) -> NDArray[Any]:
    """Return predicted classes, which must be spelled like the true ones.

    Parameters
    ----------
    name : str
        Name of the argument, for the error message.
    values : array-like of int, bool or str, shape (n_samples,)
        The predicted classes.
    labels : ndarray, shape (n_samples,)
        The true classes, from ``as_labels``.

    Raises
    ------
    UsageError
        If the array has the wrong shape or type, or holds a class that ``labels`` lacks. A
        class without samples is not told from one that is spelled otherwise, which would be
        counted as an error of the model.

    Examples
    --------
    >>> as_predicted("y_pred", [True, False], as_labels("y_true", [0, 1])).tolist()
    [True, False]
    """
    predicted = as_labels(name, values, len(labels))
    if (predicted.dtype.kind == "U") != (labels.dtype.kind == "U"):
        raise UsageError(
            f"{name} and y_true must hold classes of one kind, not {list_values(predicted)} and "
            f"{list_values(labels)}"
        )
    known = np.unique(labels)
    unknown = predicted[~np.isin(predicted, known)]
    # Of 0 and 1, both are known, whichever are present.
    if len(unknown) and not (set(known.tolist()) | set(unknown.tolist()) <= {0, 1}):
        raise UsageError(
            f"{name} holds {list_values(unknown)}, which y_true does not ({list_values(labels)}), "
            f"for {len(unknown)} of the {len(labels)} samples: spell the classes in the same way; "
            f"where a class has no samples, use proportion_interval({name} == y_true)"
        )
    return predicted


def as_truth(
    name: str, values: ArrayLike, positive: object = None, n: int | None = None
) -> NDArray[np.bool_]:
    """Return which samples are of the positive class.

    Parameters
    ----------
    name : str
        Name of the argument, for the error message.
    values : array-like of int, bool or str, shape (n_samples,)
        The classes of the samples.
    positive : int, bool, str or None
        The positive class, and all others are negative. None stands for 1 of 0 and 1, or of
        -1 and 1, and for True.
    n : int, optional
        Number of samples that there must be.

    Returns
    -------
    ndarray of bool, shape (n_samples,)
        True for the positive class.

    Raises
    ------
    UsageError
        If the array has the wrong shape, type or values, or the positive class is not known.

    Examples
    --------
    >>> as_truth("y_true", ["benign", "malignant"], positive="malignant")
    array([False,  True])
    """
    labels = as_labels(name, values, n)
    return labels == _choose_positive(name, labels, positive)


def _choose_positive(name: str, labels: NDArray[Any], positive: object = None) -> Any:
    """Return the positive class; see ``as_truth``."""
    known = np.unique(labels).tolist()
    is_text = labels.dtype.kind == "U"
    if positive is None:
        if not is_text and (set(known) <= {0, 1} or set(known) <= {-1, 1}):
            return 1
        kind = "classes" if len(known) > 1 else "class"
        raise UsageError(
            f"{name} holds the {kind} {list_values(labels)}: state which is positive, such as "
            f"positive={known[-1]!r}"
        )
    if not isinstance(positive, (str, numbers.Real, np.bool_)):
        raise UsageError(
            f"positive must be one class of {name} ({list_values(labels)}), not a "
            f"{type(positive).__name__}"
        )
    if isinstance(positive, str) != is_text:
        kinds = ("text", "numbers") if is_text else ("numbers", "text")
        raise UsageError(
            f"{name} holds {kinds[0]} ({list_values(labels)}), so positive cannot be {positive!r}: "
            f"use such as positive={known[-1]!r}"
        )
    if positive not in known and not (set(known) <= {0, 1} and positive in (0, 1)):
        raise unknown_name("positive class", str(positive), map(str, known))
    return positive


def check_both_classes(truth: NDArray[np.bool_], what: str) -> None:
    """Raise ``ProtocolError`` if all samples are positive, or none is."""
    if truth.all() or not truth.any():
        side = "positive" if truth.all() else "negative"
        raise ProtocolError(
            f"{what} needs samples of both classes, but all {len(truth)} samples are of the "
            f"{side} class"
        )


def as_probabilities(name: str, values: ArrayLike, n: int) -> NDArray[np.float64]:
    """Return probabilities.

    Raises
    ------
    UsageError
        If there is not one number between 0 and 1 per sample.

    Examples
    --------
    >>> as_probabilities("probability", [0.25, 1], 2)
    array([0.25, 1.  ])
    """
    array = as_scores(name, values, n)
    wrong = array[(array < 0) | (array > 1)]
    if len(wrong):
        raise UsageError(
            f"{name} must hold probabilities between 0 and 1, but {len(wrong)} of the {n} are "
            f"not, such as {wrong[0]:.4g}: divide percentages by 100, and calibrate scores of a "
            "decision function first"
        )
    return array
