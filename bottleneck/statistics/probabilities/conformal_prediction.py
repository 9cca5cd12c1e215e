"""Sets of classes that hold the true one at a stated error rate: conformal prediction by patient.

Libraries of conformal prediction (MAPIE, crepes) take samples as exchangeable. Images of one
patient are not; patients are.
"""

from __future__ import annotations

import math
import numbers
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bottleneck.errors import UsageError
from bottleneck.statistics.arguments import (
    as_array,
    as_matrix,
    as_patients,
    as_vector,
    check_same_rows,
    list_values,
)
from bottleneck.statistics.class_labels import as_labels
from bottleneck.text.short_repr import shorten

__all__ = [
    "as_class_probabilities",
    "check_error_rate",
    "conformal_p_values",
    "conformal_sets",
    "exceeds",
    "patients_needed",
    "share_weight",
    "weighted_p_values",
]

Floats = NDArray[np.float64]

# Sums of the weights 1 / n are exact to about this.
_ROUNDING = 1e-9


def conformal_sets(
    y_true: ArrayLike,
    probabilities: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    new: ArrayLike,
    error_rate: float = 0.1,
    classes: ArrayLike | None = None,
) -> NDArray[np.bool_]:
    """Return the classes that each new sample may be of, at a stated error rate.

    Among new patients of a class, the mean share of images with a set that lacks this class is
    at most the error rate, for every class by itself, provided that they and the given patients
    of this class are exchangeable and that the probabilities come from a model that was trained
    on neither (Lee, Barber & Willett 2023, arXiv:2306.06342). A set may be empty: the sample is
    then unlike every class.

    Parameters
    ----------
    y_true, probabilities, groups, new, classes
        As for ``conformal_p_values``.
    error_rate : float
        Between 0 and 1. A class with fewer than 1 / error_rate - 1 patients is in every set.

    Returns
    -------
    ndarray of bool, shape (n_new, n_classes)
        Whether the class is in the set: its p value exceeds the error rate.

    Raises
    ------
    UsageError
        If an array has the wrong shape, type or values, a probability or the error rate is not
        between 0 and 1, or ``classes`` do not match.

    Examples
    --------
    >>> y_true = [0] * 4 + [1] * 4
    >>> positive = np.array([0.1, 0.2, 0.3, 0.6, 0.4, 0.7, 0.8, 0.9])
    >>> probabilities = np.stack([1 - positive, positive], axis=1)
    >>> new = [[0.9, 0.1], [0.5, 0.5], [0.1, 0.9]]
    >>> conformal_sets(y_true, probabilities, new=new, error_rate=0.2).tolist()
    [[True, False], [True, True], [False, True]]
    """
    allowed = check_error_rate(error_rate)
    return exceeds(
        conformal_p_values(y_true, probabilities, groups, new=new, classes=classes), allowed
    )


def conformal_p_values(
    y_true: ArrayLike,
    probabilities: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    new: ArrayLike,
    classes: ArrayLike | None = None,
) -> Floats:
    """Compute the p value of every class for new samples.

    It is the p value of the hypothesis that the sample is of the class. The nonconformity score
    of a sample is 1 - the probability of its class. Each of the K patients of a class has the
    weight 1 / (K + 1), which its samples of the class share, and 1 / (K + 1) lies at infinity
    (Lee, Barber & Willett 2023, arXiv:2306.06342). With one sample per patient these are the p
    values of split conformal prediction by class (Vovk 2013, Machine Learning 92:349).

    Parameters
    ----------
    y_true : array-like of int, bool or str, shape (n_samples,)
        Classes of the samples.
    probabilities : array-like of float, shape (n_samples, n_classes)
        Their predicted probabilities, one column per class, by a model that was not trained on
        them.
    groups : array-like, shape (n_samples,), optional
        Patients; without them every sample is a patient of its own.
    new : array-like of float, shape (n_new, n_classes)
        Predicted probabilities of the new samples, by the same model.
    classes : array-like, shape (n_classes,), optional
        The classes in the order of the columns; by default the sorted classes of ``y_true``.

    Returns
    -------
    ndarray of float64, shape (n_new, n_classes)
        From 1 / (K + 1) to 1. A class without samples has the p value 1.

    Raises
    ------
    UsageError
        If an array has the wrong shape, type or values, a probability is not between 0 and 1, or
        ``classes`` do not match.

    Examples
    --------
    Three images of one patient count as much as the one image of another:

    >>> y_true, patients = [0, 0, 0, 0, 1], ["a", "a", "a", "b", "c"]
    >>> probabilities = [[0.4, 0.6], [0.4, 0.6], [0.4, 0.6], [0.9, 0.1], [0.2, 0.8]]
    >>> conformal_p_values(y_true, probabilities, patients, new=[[0.5, 0.5]]).round(3).tolist()
    [[0.667, 0.5]]
    """
    check_same_rows(y_true=y_true, probabilities=probabilities, groups=groups)
    labels = as_labels("y_true", y_true)
    names = np.unique(labels) if classes is None else as_vector("classes", classes, unit="class")
    known = as_class_probabilities("probabilities", probabilities, len(names))
    asked = as_class_probabilities("new", new, len(names))
    if len(known) != len(labels):
        raise UsageError(
            f"probabilities must hold one row for each of the {len(labels)} samples, but holds "
            f"{len(known)}"
        )
    _check_classes(labels, names)
    patients = as_patients(groups, len(labels))
    columns = []
    for column, name in enumerate(names):
        own = labels == name
        scores, weights = 1 - known[own, column], share_weight(patients[own])
        columns.append(weighted_p_values(scores, weights, 1 - asked[:, column]))
    return np.stack(columns, axis=1)


def _check_classes(labels: NDArray[Any], names: NDArray[Any]) -> None:
    unknown = labels[~np.isin(labels, names)]
    if len(np.unique(names)) < len(names) or len(unknown):
        what = f"lack {list_values(unknown)} of y_true" if len(unknown) else "hold one class twice"
        raise UsageError(
            f"classes must name every class of y_true once, in the order of the columns, but they "
            f"{what}"
        )


def as_class_probabilities(name: str, values: ArrayLike, n_classes: int) -> Floats:
    """Return probabilities of shape (n, n_classes); n may be 0.

    Raises
    ------
    UsageError
        If the shape is another, or a value is not between 0 and 1.

    Examples
    --------
    >>> as_class_probabilities("new", [[0.25, 0.75]], 2)
    array([[0.25, 0.75]])
    """
    if as_array(name, values).shape == (0, n_classes):
        return np.zeros((0, n_classes))
    matrix = as_matrix(name, values).astype(np.float64)
    if matrix.shape[1] != n_classes:
        raise UsageError(
            f"{name} must hold one column for each of the {n_classes} classes, not "
            f"{matrix.shape[1]}"
        )
    wrong = matrix[(matrix < 0) | (matrix > 1)]
    if len(wrong):
        raise UsageError(
            f"{name} must hold probabilities between 0 and 1, but {len(wrong)} are not, such as "
            f"{wrong[0]:.4g}: calibrate scores of a decision function first"
        )
    return matrix


def check_error_rate(error_rate: float) -> float:
    """Return an error rate, or raise ``UsageError`` if it is not between 0 and 1.

    Examples
    --------
    >>> check_error_rate(0.05)
    0.05
    """
    if not isinstance(error_rate, numbers.Real) or not 0 < error_rate < 1:
        hint = ""
        if isinstance(error_rate, numbers.Real) and 1 < error_rate < 100:
            hint = f": {error_rate:g} % is {error_rate / 100:g}"
        raise UsageError(
            f"the error rate must lie between 0 and 1, not be {shorten(error_rate)}{hint}"
        )
    return float(error_rate)


def patients_needed(error_rate: float) -> int:
    """Return how many patients of a class an error rate needs: 1 / error_rate - 1, rounded up.

    With fewer, the class is in every set.

    Examples
    --------
    >>> patients_needed(0.1), patients_needed(0.05)
    (9, 19)
    """
    return max(1, math.ceil(1 / check_error_rate(error_rate) - 1 - _ROUNDING))


def share_weight(patients: NDArray[Any]) -> Floats:
    """Return the weights of samples: each patient has the weight 1, which its samples share.

    Examples
    --------
    >>> share_weight(np.array(["a", "a", "b"])).tolist()
    [0.5, 0.5, 1.0]
    """
    _, codes, counts = np.unique(patients, return_inverse=True, return_counts=True)
    return 1 / counts[codes]


def weighted_p_values(scores: Floats, weights: Floats, new: Floats) -> Floats:
    """Return the share of weight at nonconformity scores that are at least the new ones.

    The new sample itself counts with the weight 1, at infinity.

    Parameters
    ----------
    scores, weights : ndarray of float64, shape (n_samples,)
        Nonconformity scores of samples of one class, and their weights from ``share_weight``.
    new : ndarray of float64, shape (n_new,)
        Nonconformity scores of new samples.

    Returns
    -------
    ndarray of float64, shape (n_new,)
    """
    order = np.argsort(scores, kind="stable")
    # The weight from each place on; 0 beyond the last.
    above = np.append(np.cumsum(weights[order][::-1])[::-1], 0.0)
    return (1 + above[np.searchsorted(scores[order], new, side="left")]) / (1 + weights.sum())


def exceeds(p_values: Floats, error_rate: float) -> NDArray[np.bool_]:
    """Return which p values exceed an error rate; those that equal it but for rounding do not."""
    return p_values > error_rate + _ROUNDING
