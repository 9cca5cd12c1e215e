"""Tests of the differences between arms on the same samples, chosen by metric and protocol."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from bottleneck.evaluation.metrics.inference.metric_intervals import binarise, jackknife_of
from bottleneck.evaluation.metrics.inference.row_groups import (
    encode_folds,
    encode_patients,
    list_repeats,
    take_repeats,
)
from bottleneck.evaluation.metrics.metric_values import Difference
from bottleneck.predictions import Predictions
from bottleneck.statistics.accuracy.mcnemar import mcnemar_of_correct
from bottleneck.statistics.arguments import as_codes
from bottleneck.statistics.inference.corrections import holm
from bottleneck.statistics.inference.intervals import CORRECTED, Interval, influence_interval
from bottleneck.statistics.inference.inversion import agree_with_p, invert_interval
from bottleneck.statistics.inference.patient_variance import overlap_factor, patient_variance
from bottleneck.statistics.roc.auroc_difference import AucDifference
from bottleneck.statistics.roc.auroc_multiclass import MacroAuroc
from bottleneck.statistics.roc.auroc_tests import (
    RankedScore,
    macro_difference,
    ranked_difference,
)
from bottleneck.statistics.roc.auroc_variance import AurocEstimator

__all__ = [
    "AurocTest",
    "balanced_accuracy_difference",
    "is_primary",
    "pair_test",
    "paired_tests",
    "secondary_tests",
]


class AurocTest(NamedTuple):
    """The test of one pair of arms, and its p value adjusted for all primary pairs."""

    a: str
    b: str
    result: AucDifference
    p_adjusted: float | None


def paired_tests(
    arms: Mapping[str, Predictions],
    positive: str | None,
    *,
    family: Sequence[str],
    readers: Collection[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> list[AurocTest]:
    """Test the difference in AUROC of every pair of arms.

    Parameters
    ----------
    arms : mapping of str to Predictions
        Predictions by name of the arm, for the same samples in the same folds; those of readers
        have one fold per repeat, which has all samples. Arms may lack some of the repeats; a pair
        is tested in those that both have.
    positive : str or None
        The positive class; None for the macro-averaged one-vs-rest AUROC.
    family : sequence of str
        Names of the arms of the primary comparisons. The p values of their pairs are adjusted
        by Holm's method; those of other pairs, and of two readers, are not.
    readers : collection of str
        Names of the arms that are human readers. Nothing was trained for them, so that the factor
        for overlapping training sets concerns the other arm only.
    progress : callable or None
        Called with the number of pairs tested and their total.

    Returns
    -------
    list of AurocTest
        One test per pair, in the order of ``arms``.
    """
    pairs, results = list(itertools.combinations(arms, 2)), []
    if not pairs:
        return []
    test = pair_test(arms, positive, readers)
    for n, (a, b) in enumerate(pairs, 1):
        results.append(test(a, b))
        if progress is not None:
            progress(n, len(pairs))
    primary = [
        n
        for n, pair in enumerate(pairs)
        if is_primary(*pair, family, readers) and np.isfinite(results[n].p)
    ]
    adjusted = dict(zip(primary, holm([results[n].p for n in primary]), strict=True))
    return [
        AurocTest(a, b, result, float(adjusted[n]) if n in adjusted else None)
        for n, ((a, b), result) in enumerate(zip(pairs, results, strict=True))
    ]


def is_primary(a: str, b: str, family: Collection[str], readers: Collection[str]) -> bool:
    """Return whether the difference of two arms is one of the primary comparisons."""
    return {a, b} <= set(family) and not {a, b} <= set(readers)


def pair_test(
    arms: Mapping[str, Predictions],
    positive: str | None,
    readers: Collection[str],
    *,
    null: float = 0.0,
) -> Callable[[str, str], AucDifference]:
    """Return the test of two arms by name, in the repeats that both have.

    Parameters
    ----------
    arms, positive, readers
        As for ``paired_tests``.
    null : float
        The difference that p values test.
    """
    repeats = {name: list_repeats(arm) for name, arm in arms.items()}

    @functools.cache
    def within(shared: frozenset[int]) -> Callable[[str, str], AucDifference]:
        parts = {n: take_repeats(arm, shared) for n, arm in arms.items() if shared <= repeats[n]}
        return _test_in_same_rows(parts, positive, readers, null)

    return lambda a, b: within(repeats[a] & repeats[b])(a, b)


def _test_in_same_rows(
    arms: Mapping[str, Predictions],
    positive: str | None,
    readers: Collection[str],
    null: float,
) -> Callable[[str, str], AucDifference]:
    """Return the test of two arms by name. The AUROC of each arm is estimated once."""
    if positive is None:

        def macro(name: str) -> MacroAuroc:
            arm, trained = arms[name], name not in readers
            patients, folds = encode_patients(arm), encode_folds(arm)
            return MacroAuroc(
                arm.labels,
                arm.scores,
                patients,
                folds,
                arm.repeats,
                jackknife=arm.jackknife,
                trained=trained,
            )

        means = functools.cache(macro)
        return lambda a, b: macro_difference(means(a), means(b), null=null)

    @functools.cache
    def estimator(*, trained: bool) -> AurocEstimator:
        arm = next(arm for name, arm in arms.items() if (name not in readers) is trained)
        true, _, groups = binarise(arm, positive)
        return AurocEstimator(true, groups, encode_folds(arm), arm.repeats, trained=trained)

    def rank(name: str) -> RankedScore:
        own = estimator(trained=name not in readers)
        arm = arms[name]
        score, jackknife = binarise(arm, positive)[1], jackknife_of(arm, positive)
        return RankedScore.of(own, score, jackknife=jackknife)

    ranked = functools.cache(rank)
    return lambda a, b: ranked_difference(ranked(a), ranked(b), null=null)


def secondary_tests(
    arms: Mapping[str, Predictions],
    weighted: Mapping[str, bool | None],
    progress: Callable[[int, int], None] | None = None,
) -> list[Difference]:
    """Test the difference in accuracy, or in balanced accuracy, of every pair of arms.

    Parameters
    ----------
    arms : mapping of str to Predictions
        Predictions by name of the arm, for the same samples in the same folds.
    weighted : mapping of str to bool or None
        Whether the classes were weighted equally in the training of each arm; None where it
        is not known.
    progress : callable or None
        Called with the number of pairs tested and their total.

    Returns
    -------
    list of Difference
        Differences with the role "secondary", in the order of the pairs of ``arms``. No p value
        is adjusted. Accuracy: ``mcnemar_test`` in the first repeat only, over folds with
        ``overlap_factor``. Where the classes have different numbers of samples, an arm that
        weights them equally gives up accuracy for balanced accuracy, and guessing the most
        frequent class may beat it. Balanced accuracy is therefore the metric of two arms of
        which only one weights the classes; see ``balanced_accuracy_difference``.
    """
    pairs, results = list(itertools.combinations(arms, 2)), []
    repeated = any(np.ptp(arm.repeats) > 0 for arm in arms.values())
    firsts = (
        {name: arm.take(arm.repeats == arm.repeats.min()) for name, arm in arms.items()}
        if repeated
        else arms
    )
    unequal = bool(pairs) and _is_unequal(arms[pairs[0][0]])
    for n, (a, b) in enumerate(pairs, 1):
        balanced = weighted[a] is not weighted[b] and unequal
        results.append(
            _balanced(a, b, arms) if balanced else _accuracy(a, b, firsts, repeated=repeated)
        )
        if progress is not None:
            progress(n, len(pairs))
    return results


def _is_unequal(predictions: Predictions) -> bool:
    return len(set(Counter(predictions.labels.tolist()).values())) > 1


def _accuracy(a: str, b: str, firsts: Mapping[str, Predictions], *, repeated: bool) -> Difference:
    one, other = firsts[a], firsts[b]
    patients = encode_patients(one)
    test = mcnemar_of_correct(
        one.predicted == one.labels,
        other.predicted == other.labels,
        patients,
        overlap=_overlap(one, other),
    )
    method = f"{test.method}, first repeat" if repeated else test.method
    return Difference(
        a,
        b,
        "accuracy",
        test.difference,
        test.low,
        test.high,
        test.p,
        method=f"{method}, {test.level:.0%}",
        role="secondary",
    )


def _overlap(one: Predictions, other: Predictions) -> float:
    """Return the larger factor: that of the arm in folds, where the other one is a reader."""
    return max(overlap_factor(encode_folds(arm), encode_patients(arm)) for arm in (one, other))


def _balanced(a: str, b: str, arms: Mapping[str, Predictions]) -> Difference:
    shared = list_repeats(arms[a]) & list_repeats(arms[b])
    one, other = (take_repeats(arms[name], shared) for name in (a, b))
    interval, p = balanced_accuracy_difference(one, other)
    reason = (
        "instead of accuracy, since only one of the arms is known to weight the classes equally"
    )
    known = bool(np.isfinite(interval.low))
    return Difference(
        a,
        b,
        "balanced_accuracy",
        interval.value,
        interval.low if known else None,
        interval.high if known else None,
        p if known else None,
        method=f"{interval.method}; {reason}, {interval.level:.0%}",
        role="secondary",
        repeats=len(shared),
    )


def balanced_accuracy_difference(
    one: Predictions, other: Predictions, level: float = 0.95
) -> tuple[Interval, float]:
    """Estimate the difference in balanced accuracy of two arms, and test it.

    Parameters
    ----------
    one, other : Predictions
        Predictions for the same samples in the same folds.
    level : float
        Confidence level.

    Returns
    -------
    interval : Interval
        The interval on Fisher's z scale, from the influences of each patient on the recalls
        of the classes, averaged over repeats; over folds, the variance is multiplied by
        ``overlap_factor``. NaN bounds if the influences do not vary.
    p : float
        Two-sided p value, by inverting the interval.
    """
    labels = as_codes("labels", one.labels, len(one))
    repeats = as_codes("repeats", one.repeats, len(one))
    patients = encode_patients(one)
    gain = (one.predicted == one.labels) * 1.0 - (other.predicted == other.labels)
    cells = repeats * (labels.max() + 1) + labels
    sizes = np.bincount(cells)
    means = np.bincount(cells, gain) / sizes
    influence = (gain - means[cells]) / sizes[cells] / len(sizes)
    variance, degrees = patient_variance(influence, labels, repeats, patients)
    overlap = _overlap(one, other)
    method = "influence by patient" + (CORRECTED if overlap > 1 else "")

    def interval(at: float) -> Interval:
        return influence_interval(
            float(means.mean()),
            variance * overlap,
            degrees,
            level=at,
            bounds=(-1, 1),
            method=method,
        )

    def bounds(at: float) -> tuple[float, float]:
        return interval(at).low, interval(at).high

    found = interval(level)
    if not np.isfinite(found.low):
        return found, np.nan
    p = invert_interval(bounds)
    low, high = agree_with_p(found.low, found.high, found.value, p, level)
    return dataclasses.replace(found, low=low, high=high), p
