"""Tests of whether the metrics of an arm are the same in all subgroups of a column."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from bottleneck.data.splits.patients import count_by_class
from bottleneck.evaluation.metrics.inference.metric_intervals import binarise, jackknife_of
from bottleneck.evaluation.metrics.inference.reliability import caveat
from bottleneck.evaluation.metrics.inference.row_groups import (
    encode_folds,
    encode_patients,
    independent_units,
)
from bottleneck.evaluation.metrics.metric_values import Metric, SubgroupDifference
from bottleneck.evaluation.metrics.subgroups.subgroup_metrics import NOT_STATED, split_by_value
from bottleneck.predictions import Predictions
from bottleneck.statistics.arguments import as_codes
from bottleneck.statistics.heterogeneity.subgroup_levels import Level, auroc_level, proportion_level
from bottleneck.statistics.heterogeneity.subgroup_tests import compare_levels
from bottleneck.statistics.inference.corrections import holm
from bottleneck.statistics.inference.patient_variance import overlap_factor
from bottleneck.statistics.roc.auroc_multiclass import MacroAuroc

__all__ = ["find_subgroup_differences"]

Bools = NDArray[np.bool_]


def find_subgroup_differences(
    predictions: Predictions,
    columns: Mapping[str, Mapping[str, str]],
    *,
    positive: str | None,
) -> tuple[SubgroupDifference, ...]:
    """Test whether the metrics of an arm are the same in all subgroups of each column.

    Parameters
    ----------
    predictions : Predictions
        One row per test sample and repeat.
    columns : mapping of str to mapping of str to str
        Columns by name; each maps sample ids to values, as for ``evaluate_subgroups``.
    positive : str or None
        The positive class. Without one, only the mean AUROC of the classes is tested.

    Returns
    -------
    tuple of SubgroupDifference
        By column, for the AUROC, the sensitivity and the specificity. Samples that are "not
        stated" in a column take no part in its tests. There is no test where fewer than two
        subgroups have the metric. Holm's method adjusts the p values of one metric over the
        columns.
    """
    found = [
        one
        for column, values in columns.items()
        for one in _test_column(predictions, column, values, positive)
    ]
    adjusted = dict[tuple[str, str], float]()
    for metric in dict.fromkeys(one.metric for one in found):
        tests = [one for one in found if one.metric == metric]
        for one, p in zip(tests, holm([one.p for one in tests]).tolist(), strict=True):
            adjusted[one.column, metric] = p
    return tuple(
        dataclasses.replace(one, p_adjusted=adjusted[one.column, one.metric]) for one in found
    )


def _test_column(
    predictions: Predictions, column: str, values: Mapping[str, str], positive: str | None
) -> Iterator[SubgroupDifference]:
    split = split_by_value(predictions, values)
    split.pop(NOT_STATED, None)
    rows = {name: np.isin(np.arange(len(predictions)), at) for name, at in split.items()}
    metrics = ("auroc",) if positive is None else ("auroc", "sensitivity", "specificity")
    for metric in metrics:
        test = compare_levels(_find_levels(predictions, rows, metric, positive))
        if test is None or not np.isfinite(test.p):
            continue
        counts = {name: _count(predictions, rows[name], metric, positive) for name in test.levels}
        smallest = min(counts, key=lambda name: counts[name])
        caution = caveat(predictions.take(split[smallest]), positive=positive)
        method = f"{test.method}{caution}, {test.level:.0%}"
        yield SubgroupDifference(
            column=column,
            metric=metric,
            levels=test.levels,
            left_out=test.left_out,
            difference=None
            if np.isnan(test.difference)
            else Metric(test.difference, test.low, test.high, method),
            p=test.p,
            p_adjusted=test.p,
            fewest=counts[smallest],
            method=method,
        )


def _find_levels(
    predictions: Predictions, rows: Mapping[str, Bools], metric: str, positive: str | None
) -> dict[str, Level | None]:
    patients, folds = encode_patients(predictions), encode_folds(predictions)
    if positive is None:
        return {name: _macro_level(name, predictions, of) for name, of in rows.items()}
    true, score, _ = binarise(predictions, positive)
    if metric == "auroc":
        jackknife = jackknife_of(predictions, positive)
        return {
            name: auroc_level(
                name,
                true,
                score,
                of,
                patients,
                folds,
                repeats=predictions.repeats,
                jackknife=jackknife,
            )
            for name, of in rows.items()
        }
    side = true if metric == "sensitivity" else ~true
    correct = (predictions.predicted == positive) == true
    repeats = as_codes("repeats", predictions.repeats, len(predictions))
    overlap = overlap_factor(folds, patients)
    return {
        name: proportion_level(
            name,
            correct,
            of & side,
            patients,
            repeats,
            # As for the interval of the subgroup: no training sets of one fold overlap.
            1.0 if len(np.unique(folds[of])) == 1 else overlap,
        )
        for name, of in rows.items()
    }


def _macro_level(name: str, predictions: Predictions, rows: Bools) -> Level | None:
    patients, folds = encode_patients(predictions), encode_folds(predictions)
    n_folds = int(folds.max()) + 1
    counts = [
        np.bincount(folds[rows & (predictions.labels == c)], minlength=n_folds)
        for c in predictions.classes
    ]
    rows = rows & (np.min(counts, axis=0) > 0)[folds]
    if not rows.any():
        return None
    mean = MacroAuroc(
        predictions.labels[rows],
        predictions.scores[rows],
        patients[rows],
        folds[rows],
        predictions.repeats[rows],
        jackknife=None if predictions.jackknife is None else predictions.jackknife[rows],
        classes=predictions.classes,
    )
    by_sample = mean.influence.positive + mean.influence.negative
    influence = np.bincount(patients[rows], by_sample, int(patients.max()) + 1).astype(float)
    return Level(name, mean.interval, influence, mean.variance(mean.influence)[1])


def _count(predictions: Predictions, rows: Bools, metric: str, positive: str | None) -> int:
    """Return the number of patients of the smallest class that the metric needs."""
    part = predictions.take(np.flatnonzero(rows))
    labels = part.labels if positive is None else (part.labels == positive).astype(str)
    counts = count_by_class(labels, independent_units(part))
    of = {"sensitivity": ("True",), "specificity": ("False",)}.get(metric, tuple(counts))
    return min(counts.get(name, 0) for name in of)
