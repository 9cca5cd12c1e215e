"""Which rows of predictions belong together: those of a patient, and those of a fold."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bottleneck.errors import ProtocolError
from bottleneck.predictions import Predictions
from bottleneck.statistics.arguments import as_codes

__all__ = ["match_folds", "name_units", "number_folds", "number_patients", "split_folds"]


def name_units(predictions: Predictions) -> NDArray[np.str_]:
    """Return the patients, or the samples where none are known: a sample comes once a repeat."""
    return predictions.ids if predictions.groups is None else predictions.groups


def number_patients(predictions: Predictions) -> NDArray[np.int64]:
    """Return codes of the patients, or of the samples, from 0."""
    return as_codes("groups", name_units(predictions), len(predictions))


def number_folds(predictions: Predictions) -> NDArray[np.int64]:
    """Return codes of the folds of all repeats, from 0, repeat by repeat."""
    numbers = predictions.repeats * (predictions.folds.max() + 1) + predictions.folds
    return as_codes("folds", numbers, len(numbers))


def split_folds(predictions: Predictions) -> list[NDArray[np.intp]]:
    """Return the rows of every fold of every repeat, in order of first appearance."""
    keys = np.stack([predictions.repeats, predictions.folds])
    _, first, codes = np.unique(keys, axis=1, return_index=True, return_inverse=True)
    return [np.flatnonzero(codes.ravel() == code) for code in np.argsort(first)]


def match_folds(test: Predictions, validation: Predictions) -> list[Predictions]:
    """Split predictions of validation samples by the test fold that their model belongs to.

    Parameters
    ----------
    test, validation : Predictions
        Of one arm; the validation samples were not trained on.

    Returns
    -------
    list of Predictions
        For every fold and repeat of ``test``, in order of first appearance.

    Raises
    ------
    ProtocolError
        If a fold has no validation samples.
    """
    parts = []
    for rows in split_folds(test):
        repeat, fold = test.repeats[rows[0]], test.folds[rows[0]]
        part = validation.take((validation.repeats == repeat) & (validation.folds == fold))
        if not len(part):
            raise ProtocolError(
                f"repeat {repeat}, fold {fold} has test samples but no validation samples, on "
                "which thresholds and calibration depend: give them the same repeat and fold"
            )
        parts.append(part)
    return parts
