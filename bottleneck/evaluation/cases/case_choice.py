"""Choice of the misclassified samples to show: the most confident errors of every class."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bottleneck.predictions import Predictions

__all__ = ["ChosenError", "choose_wrong"]


class ChosenError(NamedTuple):
    """A row of predictions that is shown, and how often its sample was misclassified.

    ``number`` is its place among all errors of the arm, from 1 for the most confident: it does
    not depend on how many are shown.
    """

    at: int
    number: int
    times: int
    tested: int


def choose_wrong(predictions: Predictions, most: int | None) -> list[ChosenError]:
    """Return the most confident errors, the classes taking turns.

    A sample that is misclassified in several repeats is shown once, by its most confident error.
    The true classes take turns, so that every class with errors is among those that are shown,
    however few they are: false negatives and false positives both appear.

    Parameters
    ----------
    predictions : Predictions
        Predictions of an arm.
    most : int or None
        Largest number of samples; by default all.

    Returns
    -------
    list of ChosenError
        The most confident error first.
    """
    wrong = np.flatnonzero(predictions.predicted != predictions.labels)
    if not len(wrong):
        return []
    confidence = _confidence(predictions, wrong)
    ids, sample, times = np.unique(predictions.ids[wrong], return_inverse=True, return_counts=True)
    # Of each sample the most confident error, and of equal ones the first.
    order = np.lexsort([np.arange(len(wrong)), -confidence, sample])
    first = order[np.flatnonzero(np.diff(sample[order], prepend=-1))]
    known, counts = np.unique(predictions.ids, return_counts=True)
    tested = counts[np.searchsorted(known, ids)]

    at, confidence = wrong[first], confidence[first]
    _, classes = np.unique(predictions.labels[at], return_inverse=True)
    by_class = np.lexsort([at, -confidence, classes])
    turn = np.empty(len(at), np.intp)
    starts = np.searchsorted(classes[by_class], classes[by_class])
    turn[by_class] = np.arange(len(at)) - starts
    shown = np.lexsort([at, -confidence, turn])[:most]
    shown = shown[np.lexsort([at[shown], -confidence[shown]])]
    number = np.empty(len(at), np.intp)
    number[np.lexsort([at, -confidence])] = np.arange(1, len(at) + 1)
    columns = (at, number, times, tested)
    return [ChosenError(*(int(column[n]) for column in columns)) for n in shown]


def _confidence(predictions: Predictions, rows: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the confidence of errors, as ``WrongCase.confidence`` is."""
    column = {name: n for n, name in enumerate(predictions.classes)}
    predicted = np.array([column[name] for name in predictions.predicted[rows].tolist()])
    if predictions.probabilities is not None:
        return predictions.probabilities[rows, predicted]
    label = np.array([column[name] for name in predictions.labels[rows].tolist()])
    lead: NDArray[np.float64] = (
        predictions.scores[rows, predicted] - predictions.scores[rows, label]
    )
    return lead
