"""Metrics of an arm within subgroups of the samples."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from bottleneck.evaluation.metrics.inference.metric_intervals import compute_intervals
from bottleneck.evaluation.metrics.inference.row_groups import (
    encode_folds,
    encode_patients,
    split_folds,
)
from bottleneck.evaluation.metrics.metric_values import Subgroup, as_metric
from bottleneck.evaluation.metrics.metrics import compute_metrics
from bottleneck.predictions import Predictions
from bottleneck.statistics.inference.patient_variance import overlap_factor

__all__ = ["NOT_STATED", "evaluate_subgroups", "split_by_value"]

NOT_STATED = "not stated"
_SHOWN = ("auroc", "sensitivity", "specificity", "accuracy")


def evaluate_subgroups(
    predictions: Predictions,
    columns: Mapping[str, Mapping[str, str]],
    *,
    positive: str | None,
) -> tuple[Subgroup, ...]:
    """Compute the metrics of an arm within each subgroup.

    Parameters
    ----------
    predictions : Predictions
        One row per test sample and repeat.
    columns : mapping of str to mapping of str to str
        Columns by name; each maps sample ids to values. Samples with no value, or an empty
        one, are "not stated".
    positive : str or None
        As for ``compute_metrics``.

    Returns
    -------
    tuple of Subgroup
        Subgroups in the order of the columns and their sorted values, "not stated" last,
        with auroc, sensitivity, specificity and accuracy and the intervals of
        ``compute_intervals``. A metric that is not defined is NaN, without an interval. Over
        folds, the AUROC is the mean of the folds in which the subgroup has every class.
    """
    overlap = overlap_factor(encode_folds(predictions), encode_patients(predictions))
    return tuple(
        _measure(column, value, predictions.take(rows), positive, overlap)
        for column, values in columns.items()
        for value, rows in split_by_value(predictions, values).items()
    )


def split_by_value(predictions: Predictions, values: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Return the rows of each value of a column, sorted, with "not stated" last."""
    named = np.array([values.get(sample, "") or NOT_STATED for sample in predictions.ids.tolist()])
    order = sorted(set(named.tolist()), key=lambda value: (value == NOT_STATED, value))
    return {value: np.flatnonzero(named == value) for value in order}


def _measure(
    column: str, value: str, part: Predictions, positive: str | None, overlap: float
) -> Subgroup:
    if len(split_folds(part)) == 1:
        overlap = 1.0
    part = dataclasses.replace(part, probabilities=None)
    values = compute_metrics(part, positive=positive)
    known = compute_intervals(part, positive=positive, names=_SHOWN, overlap=overlap)
    ranked = part
    if "auroc" not in known:
        every = set(part.labels)
        full = [rows for rows in split_folds(part) if set(part.labels[rows]) == every]
        if full and len(every) > 1:
            ranked = part.take(np.concatenate(full))
            values["auroc"] = compute_metrics(ranked, positive=positive)["auroc"]
            known |= compute_intervals(ranked, positive=positive, names=("auroc",))
    return Subgroup(
        column=column,
        value=value,
        n_samples=len(np.unique(ranked.ids)),
        n_patients=None if ranked.groups is None else len(np.unique(ranked.groups)),
        n_all=len(np.unique(part.ids)),
        metrics={name: as_metric(values[name], known.get(name)) for name in _SHOWN},
    )
