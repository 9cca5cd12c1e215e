"""Which interval and which test belong to which figure and protocol."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bottleneck.evaluation.intervals import (
    Interval,
    clustered_proportion_interval,
    cv_auc_interval,
    roc_auc_interval,
    wilson_interval,
)
from bottleneck.evaluation.significance import AucDifference, cv_auc_difference, delong_test, holm
from bottleneck.predictions import Predictions

__all__ = ["AurocTest", "auroc_interval", "intervals", "paired_tests"]

Bools = NDArray[np.bool_]


class AurocTest(NamedTuple):
    """One pair of arms: the test, and its p value adjusted for all pairs of the family."""

    a: str
    b: str
    result: AucDifference
    p_adjusted: float | None


def intervals(predictions: Predictions, *, positive: str | None) -> dict[str, Interval]:
    """Compute the interval of every figure that has a standard one.

    The AUROC of a single test part has DeLong's or, with several images a patient,
    Obuchowski's; that of a cross-validation LeDell's. Proportions have Wilson's, with the
    effective number of images where patients have several. With repeats, the bounds of a
    proportion are averaged over them: they see the same patients again, and are no narrower.

    Parameters
    ----------
    predictions : Predictions
        Of one arm.
    positive : str or None
        The positive class; without one, accuracy alone has an interval.

    Returns
    -------
    dict of str to Interval
        By the names in ``metrics.METRICS``. Balanced accuracy and F1 have none.
    """
    right = predictions.labels == predictions.predicted
    found = {"accuracy": _proportion(predictions, right, np.ones_like(right))}
    if positive is not None:
        true, said = predictions.labels == positive, predictions.predicted == positive
        parts = {"sensitivity": true, "specificity": ~true, "ppv": said, "npv": ~said}
        found |= {name: _proportion(predictions, true == said, of) for name, of in parts.items()}
        found["auroc"] = auroc_interval(predictions, positive)
    return {name: interval for name, interval in found.items() if interval is not None}


def _proportion(predictions: Predictions, right: Bools, of: Bools) -> Interval | None:
    each = []
    for repeat in np.unique(predictions.repeats):
        rows = of & (predictions.repeats == repeat)
        if not rows.any():
            return None
        if predictions.groups is None:
            each.append(wilson_interval(int(right[rows].sum()), int(rows.sum())))
        else:
            each.append(clustered_proportion_interval(right[rows], predictions.groups[rows]))
    bounds = np.mean([(i.value, i.low, i.high, i.standard_error) for i in each], axis=0)
    value, low, high, error = map(float, bounds)
    return Interval(value, low, high, error, each[0].level, each[0].method)


def auroc_interval(predictions: Predictions, positive: str | None) -> Interval | None:
    """Compute the interval of the AUROC; None without a positive class."""
    if positive is None:
        return None
    true, score, folds, groups = _ranked(predictions, positive)
    if len(np.unique(folds)) == 1:
        return roc_auc_interval(true, score, groups)
    return cv_auc_interval(true, score, folds, groups)


def _ranked(
    predictions: Predictions, positive: str
) -> tuple[Bools, NDArray[np.float64], NDArray[np.int64], NDArray[np.str_] | None]:
    true = predictions.labels == positive
    score = predictions.scores[:, predictions.classes.index(positive)]
    folds = predictions.repeats * (predictions.folds.max() + 1) + predictions.folds
    groups = predictions.groups
    if groups is None and predictions.repeats.any():
        groups = predictions.ids  # A sample comes once a repeat.
    return true, score, folds, groups


def paired_tests(
    arms: Mapping[str, Predictions], positive: str, *, family: Sequence[str]
) -> list[AurocTest]:
    """Test the difference of the AUROC between every two arms.

    Parameters
    ----------
    arms : mapping of str to Predictions
        By name; of the same samples in the same folds.
    positive : str
        The positive class.
    family : sequence of str
        Names of the arms whose pairs are the primary question. Their p values are adjusted
        by Holm's method; those of other pairs are not.

    Returns
    -------
    list of AurocTest
        In the order of the pairs of ``arms``.
    """
    pairs, results = list(itertools.combinations(arms, 2)), []
    for a, b in pairs:
        true, score, folds, groups = _ranked(arms[a], positive)
        other = _ranked(arms[b], positive)[1]
        if len(np.unique(folds)) == 1:
            results.append(delong_test(true, score, other, groups))
        else:
            results.append(cv_auc_difference(true, score, other, folds, groups))
    primary = [n for n, pair in enumerate(pairs) if set(pair) <= set(family)]
    adjusted = dict(zip(primary, holm([results[n].p for n in primary]), strict=True))
    return [
        AurocTest(a, b, result, float(adjusted[n]) if n in adjusted else None)
        for n, ((a, b), result) in enumerate(zip(pairs, results, strict=True))
    ]
