"""Rows of predictions that belong to the same patient, or to the same fold."""

from __future__ import annotations

import dataclasses
import functools
import weakref
from collections.abc import Callable, Collection, Hashable
from typing import Concatenate, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from bottleneck.errors import ProtocolError
from bottleneck.predictions import Predictions
from bottleneck.statistics.arguments import as_codes

__all__ = [
    "encode_folds",
    "encode_patients",
    "independent_units",
    "list_repeats",
    "match_folds",
    "remember",
    "repeat_rows",
    "split_folds",
    "take_repeats",
]

P = ParamSpec("P")
R = TypeVar("R")


def remember(
    function: Callable[Concatenate[Predictions, P], R],
) -> Callable[Concatenate[Predictions, P], R]:
    """Let a function of predictions compute each result once, as long as the predictions exist.

    With hundreds of classes, each of them needs the same patients and folds, and its calibration
    is needed for the class and for the mean over the classes. A ``progress`` does not change it.
    """
    results: weakref.WeakKeyDictionary[Predictions, dict[Hashable, R]]
    results = weakref.WeakKeyDictionary()

    @functools.wraps(function)
    def recall(predictions: Predictions, *args: P.args, **kwargs: P.kwargs) -> R:
        known = results.setdefault(predictions, {})
        key = (args, tuple(item for item in kwargs.items() if item[0] != "progress"))
        if key not in known:
            known[key] = function(predictions, *args, **kwargs)
        return known[key]

    return recall


def independent_units(predictions: Predictions) -> NDArray[np.str_]:
    """Return the patient of every row, or its sample if no patients are known."""
    return predictions.ids if predictions.groups is None else predictions.groups


@remember
def encode_patients(predictions: Predictions) -> NDArray[np.int64]:
    """Return the codes, from 0, of the patients, or of the samples if no patients are known."""
    return as_codes("groups", independent_units(predictions), len(predictions))


@remember
def encode_folds(predictions: Predictions) -> NDArray[np.int64]:
    """Return the codes, from 0, of the folds of all repeats, in order of repeats."""
    numbers = predictions.repeats * (predictions.folds.max() + 1) + predictions.folds
    return as_codes("folds", numbers, len(numbers))


def repeat_rows(predictions: Predictions, like: Predictions) -> Predictions:
    """Return predictions without folds in the rows of others of the same samples.

    Parameters
    ----------
    predictions : Predictions
        One row per sample.
    like : Predictions
        Predictions of the same samples, in folds and repeats.

    Returns
    -------
    Predictions
        With the repeats of ``like``, and one fold in each of them.
    """
    row = {sample: n for n, sample in enumerate(predictions.ids.tolist())}
    taken = predictions.take(np.array([row[sample] for sample in like.ids.tolist()], np.intp))
    return dataclasses.replace(taken, repeats=like.repeats)


def list_repeats(predictions: Predictions) -> frozenset[int]:
    """Return the numbers of the repeats of predictions."""
    return frozenset(np.unique(predictions.repeats).tolist())


def take_repeats(predictions: Predictions, repeats: Collection[int]) -> Predictions:
    """Return the rows of some repeats; the predictions themselves, if they have no others."""
    if list_repeats(predictions) <= set(repeats):
        return predictions
    return predictions.take(np.isin(predictions.repeats, list(repeats)))


def split_folds(predictions: Predictions) -> list[NDArray[np.intp]]:
    """Return the rows of every fold of every repeat, in order of first appearance."""
    keys = np.stack([predictions.repeats, predictions.folds])
    _, first, codes = np.unique(keys, axis=1, return_index=True, return_inverse=True)
    return [np.flatnonzero(codes.ravel() == code) for code in np.argsort(first)]


def match_folds(test: Predictions, validation: Predictions) -> list[Predictions]:
    """Split the predictions of validation samples by the test fold of their model.

    Parameters
    ----------
    test, validation : Predictions
        Predictions of one arm; the validation samples are not in the training sets.

    Returns
    -------
    list of Predictions
        Validation predictions for every fold and repeat of ``test``, in order of first
        appearance.

    Raises
    ------
    ProtocolError
        If a fold has no validation samples.
    """
    matched = []
    for rows in split_folds(test):
        repeat, fold = test.repeats[rows[0]], test.folds[rows[0]]
        part = validation.take((validation.repeats == repeat) & (validation.folds == fold))
        if not len(part):
            raise ProtocolError(
                f"repeat {repeat}, fold {fold} has test samples but no validation samples, which "
                "thresholds and calibration need: give both the same repeat and fold"
            )
        matched.append(part)
    return matched
