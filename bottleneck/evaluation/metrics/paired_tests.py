"""Tests of the differences between arms on the same samples, chosen by metric and protocol."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from bottleneck.errors import ProtocolError
from bottleneck.evaluation.metrics.metric_intervals import binarise
from bottleneck.evaluation.metrics.metric_values import Difference
from bottleneck.evaluation.metrics.metrics import fold_aurocs
from bottleneck.evaluation.metrics.row_groups import encode_folds, encode_patients
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
    """The test of one pair of arms, and its p value adjusted for all primary pairs."""

    a: str
    b: str
    result: AucDifference
    p_adjusted: float | None


def paired_tests(
    arms: Mapping[str, Predictions], positive: str | None, *, family: Sequence[str]
) -> list[AurocTest]:
    """Test the difference in AUROC of every pair of arms.

    Parameters
    ----------
    arms : mapping of str to Predictions
        Predictions by name of the arm, for the same samples in the same folds.
    positive : str or None
        The positive class; None for the macro-averaged one-vs-rest AUROC.
    family : sequence of str
        Names of the arms of the primary comparisons. The p values of their pairs are adjusted
        by Holm's method; those of other pairs are not.

    Returns
    -------
    list of AurocTest
        One test per pair, in the order of ``arms``.
    """
    pairs, results = list(itertools.combinations(arms, 2)), []
    for a, b in pairs:
        folds, patients = encode_folds(arms[a]), encode_patients(arms[a])
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
    """Test the secondary comparisons of every pair of arms.

    Parameters
    ----------
    arms : mapping of str to Predictions
        Predictions by name of the arm, for the same samples in the same folds.
    positive : str or None
        The positive class, for the AUROC.

    Returns
    -------
    list of Difference
        Differences with the role "secondary", in the order of the pairs of ``arms``: the
        accuracy by ``mcnemar_test``, in the first repeat only; with several repeats also the
        AUROC by ``corrected_resampled_t``, with the mean numbers of training and test
        patients over folds. No p value is adjusted. ``method`` says where a test rejects too
        often, according to ``benchmarks/coverage.md``.
    """
    differences = []
    for a, b in itertools.combinations(arms, 2):
        first = arms[a].repeats == arms[a].repeats.min()
        one, other = (arms[name].take(first) for name in (a, b))
        right, other_right = (arm.predicted == arm.labels for arm in (one, other))
        counted = mcnemar_test(right, other_right, encode_patients(one))
        method = f"{counted.method}, first repeat" if not first.all() else counted.method
        if one.folds.min() < one.folds.max():
            method += ", does not hold its level over folds"
        differences.append(_secondary(a, b, "accuracy", counted, method))
        if not first.all():
            resampled = _resample(arms[a], arms[b], positive)
            if resampled is not None:
                method = f"{resampled.method}, does not hold its level with many features"
                differences.append(_secondary(a, b, "auroc", resampled, method))
    return differences


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
    """Return the corrected t test over folds and repeats, or None if it is not defined."""
    differences = fold_aurocs(a, positive=positive) - fold_aurocs(b, positive=positive)
    if not np.isfinite(differences).all():
        return None
    folds, patients = encode_folds(a), encode_patients(a)
    tested = [len(np.unique(patients[folds == fold])) for fold in range(folds.max() + 1)]
    n_test = float(np.mean(tested))
    try:
        return corrected_resampled_t(differences, len(np.unique(patients)) - n_test, n_test)
    except ProtocolError:
        return None
