"""One arm on parts of the samples."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from bottleneck.evaluation.metrics.metric_intervals import intervals
from bottleneck.evaluation.metrics.metric_values import Subgroup, as_metric
from bottleneck.evaluation.metrics.metrics import measure
from bottleneck.evaluation.metrics.row_groups import split_folds
from bottleneck.predictions import Predictions

__all__ = ["NOT_STATED", "by_subgroup"]

NOT_STATED = "not stated"
_SHOWN = ("auroc", "sensitivity", "specificity", "accuracy")


def by_subgroup(
    predictions: Predictions,
    columns: Mapping[str, Mapping[str, str]],
    *,
    positive: str | None,
) -> tuple[Subgroup, ...]:
    """Measure an arm on the samples that share a value of a column.

    Parameters
    ----------
    predictions : Predictions
        One row a test sample and repeat.
    columns : mapping of str to mapping of str to str
        By column, the value of every sample by its id. Samples without one, or with an
        empty one, are "not stated".
    positive : str or None
        As for ``metrics.measure``.

    Returns
    -------
    tuple of Subgroup
        Column by column; values in order, those not stated last. auroc, sensitivity,
        specificity and accuracy with the intervals of ``inference.intervals``; NaN without
        an interval where they are not defined. Over folds the AUROC is the mean of those
        folds in which the subgroup has every class.
    """
    return tuple(
        _measure(column, value, predictions.take(rows), positive)
        for column, values in columns.items()
        for value, rows in _split(predictions, values).items()
    )


def _split(predictions: Predictions, values: Mapping[str, str]) -> dict[str, np.ndarray]:
    named = np.array([values.get(sample, "") or NOT_STATED for sample in predictions.ids.tolist()])
    order = sorted(set(named.tolist()), key=lambda value: (value == NOT_STATED, value))
    return {value: np.flatnonzero(named == value) for value in order}


def _measure(column: str, value: str, part: Predictions, positive: str | None) -> Subgroup:
    part = dataclasses.replace(part, probabilities=None)
    values = measure(part, positive=positive)
    known = intervals(part, positive=positive, names=_SHOWN)
    if "auroc" not in known:
        every = set(part.labels)
        full = [rows for rows in split_folds(part) if set(part.labels[rows]) == every]
        if full and len(every) > 1:
            ranked = part.take(np.concatenate(full))
            values["auroc"] = measure(ranked, positive=positive)["auroc"]
            known |= intervals(ranked, positive=positive, names=("auroc",))
    return Subgroup(
        column=column,
        value=value,
        n_samples=len(np.unique(part.ids)),
        n_patients=None if part.groups is None else len(np.unique(part.groups)),
        metrics={name: as_metric(values[name], known.get(name)) for name in _SHOWN},
    )
