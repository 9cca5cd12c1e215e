"""Which test belongs to two arms on the same samples, by figure and protocol."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from bottleneck.errors import ProtocolError
from bottleneck.evaluation.metrics.metric_intervals import binarise
from bottleneck.evaluation.metrics.metric_values import Difference
from bottleneck.evaluation.metrics.metrics import fold_aurocs
from bottleneck.evaluation.metrics.row_groups import number_folds, number_patients
from bottleneck.predictions import Predictions
from bottleneck.statistics.auroc_tests import (
    AucDifference,
    cv_auc_difference,
    delong_test,
    macro_auc_difference,
)
from bottleneck.statistics.corrections import ResampledDifference, corrected_resampled_t, holm
from bottleneck.statistics.mcnemar import McNemar, mcnemar_test

__all__ = ["AurocTest", "paired_tests", "secondary_tests"]


class AurocTest(NamedTuple):
    """One pair of arms: the test, and its p value adjusted for all pairs of the family."""

    a: str
    b: str
    result: AucDifference
    p_adjusted: float | None


def paired_tests(
    arms: Mapping[str, Predictions], positive: str | None, *, family: Sequence[str]
) -> list[AurocTest]:
    """Test the difference of the AUROC between every two arms.

    Parameters
    ----------
    arms : mapping of str to Predictions
        By name; of the same samples in the same folds.
    positive : str or None
        The positive class; None for the mean AUROC of each class against the rest.
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
        folds, patients = number_folds(arms[a]), number_patients(arms[a])
        if positive is None:
            labels, scores = arms[a].labels, (arms[a].scores, arms[b].scores)
            results.append(macro_auc_difference(labels, *scores, folds, patients))
            continue
        true, score, groups = binarise(arms[a], positive)
        other = binarise(arms[b], positive)[1]
        if not folds.any():
            results.append(delong_test(true, score, other, groups))
        else:
            results.append(cv_auc_difference(true, score, other, folds, groups))
    primary = [
        n for n, pair in enumerate(pairs) if set(pair) <= set(family) and np.isfinite(results[n].p)
    ]
    adjusted = dict(zip(primary, holm([results[n].p for n in primary]), strict=True))
    return [
        AurocTest(a, b, result, float(adjusted[n]) if n in adjusted else None)
        for n, ((a, b), result) in enumerate(zip(pairs, results, strict=True))
    ]


def secondary_tests(arms: Mapping[str, Predictions], positive: str | None) -> list[Difference]:
    """Test what is not the primary question, between every two arms.

    Parameters
    ----------
    arms : mapping of str to Predictions
        By name; of the same samples in the same folds.
    positive : str or None
        The positive class, for the AUROC.

    Returns
    -------
    list of Difference
        In the order of the pairs of ``arms``, all "secondary": the accuracy by
        ``mcnemar.mcnemar_test``, in the first repeat alone; with several repeats also
        the AUROC by ``significance.corrected_resampled_t``, whose patients to train and to
        test on are means over folds. No p value is adjusted. What ``benchmarks/coverage.md``
        shows to reject too often is said in ``method``.
    """
    found = []
    for a, b in itertools.combinations(arms, 2):
        first = arms[a].repeats == arms[a].repeats.min()
        one, other = (arms[name].take(first) for name in (a, b))
        right, other_right = (arm.predicted == arm.labels for arm in (one, other))
        counted = mcnemar_test(right, other_right, number_patients(one))
        method = f"{counted.method}, first repeat" if not first.all() else counted.method
        if one.folds.min() < one.folds.max():
            method += ", does not hold its level over folds"
        found.append(_secondary(a, b, "accuracy", counted, method))
        if not first.all():
            resampled = _resample(arms[a], arms[b], positive)
            if resampled is not None:
                method = f"{resampled.method}, does not hold its level with many features"
                found.append(_secondary(a, b, "auroc", resampled, method))
    return found


def _secondary(
    a: str, b: str, metric: str, test: McNemar | ResampledDifference, method: str
) -> Difference:
    return Difference(
        a,
        b,
        metric,
        test.difference,
        test.low,
        test.high,
        test.p,
        method=f"{method}, {test.level:.0%}",
        role="secondary",
    )


def _resample(a: Predictions, b: Predictions, positive: str | None) -> ResampledDifference | None:
    """Return the corrected t test over folds and repeats, where it is defined."""
    differences = fold_aurocs(a, positive=positive) - fold_aurocs(b, positive=positive)
    if not np.isfinite(differences).all():
        return None
    folds, patients = number_folds(a), number_patients(a)
    tested = [len(np.unique(patients[folds == fold])) for fold in range(folds.max() + 1)]
    n_test = float(np.mean(tested))
    try:
        return corrected_resampled_t(differences, len(np.unique(patients)) - n_test, n_test)
    except ProtocolError:
        return None
