"""Own metrics of all arms, with intervals and differences from the same draws of patients."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from bottleneck.checks.check_warnings import CheckWarning, warn
from bottleneck.evaluation.metrics.inference.reliability import caveat
from bottleneck.evaluation.metrics.inference.row_groups import list_repeats, take_repeats
from bottleneck.evaluation.metrics.metric_values import Difference, Metric
from bottleneck.evaluation.metrics.own.own_metrics import (
    N_DRAWS,
    OwnMetric,
    Resampled,
    resample_metric,
)
from bottleneck.evaluation.results.comparison_results import Evaluation
from bottleneck.predictions import Predictions
from bottleneck.statistics.inference.bootstrap import bca_bounds
from bottleneck.statistics.inference.intervals import CORRECTED

__all__ = ["OwnResults", "measure_own"]

# So large a share of the draws must have a value.
_LEAST_DEFINED = 0.8
_LEVEL = 0.95


@dataclasses.dataclass(frozen=True)
class OwnResults:
    """Own metrics of several arms.

    Attributes
    ----------
    evaluations : tuple of Evaluation
        The arms, with these metrics after the others.
    differences : tuple of Difference
        Differences between pairs of arms; all are secondary and have no p value.
    warnings : tuple of CheckWarning
        Metrics without a value, and what their functions warned of.
    """

    evaluations: tuple[Evaluation, ...]
    differences: tuple[Difference, ...] = ()
    warnings: tuple[CheckWarning, ...] = ()


def measure_own(
    evaluations: Sequence[Evaluation],
    metrics: Mapping[str, OwnMetric],
    positive: str | None,
    *,
    seed: int,
    progress: Callable[[int, int, str], None] | None = None,
) -> OwnResults:
    """Add own metrics to evaluations, with intervals from a bootstrap of patients (BCa).

    Parameters
    ----------
    evaluations : sequence of Evaluation
        Arms on the same samples in the same folds.
    metrics : mapping of str to OwnMetric
        From ``check_metrics``.
    positive : str or None
        The positive class.
    seed : int
        Seed of the draws, which all arms and metrics share.
    progress : callable or None
        Called with the number of values computed, their total and a text.
    """
    evaluations = list(evaluations)
    differences: list[Difference] = []
    warnings: list[str] = []
    for name, metric in metrics.items():
        measured: dict[str, Resampled] = {}
        for n, arm in enumerate(evaluations):
            if metric.kind == "probabilities" and arm.predictions.probabilities is None:
                continue
            tell = _tell(progress, f"{name} of {arm.name}")
            result = resample_metric(metric, arm.predictions, positive, seed=seed, progress=tell)
            measured[arm.name] = result
            if result.failure:
                warnings.append(f"the metric '{name}' of {arm.name} {result.failure}")
            warnings += [f"the metric '{name}' of {arm.name}: {text}" for text in result.warned]
            own = _as_metric(result, metric, arm.predictions, positive, seed)
            evaluations[n] = dataclasses.replace(arm, metrics={**arm.metrics, name: own})
        of_arm = {e.name: e for e in evaluations if e.name in measured}
        differences += _subtract_pairs(of_arm, measured, name, metric, positive, seed)
    return OwnResults(tuple(evaluations), tuple(differences), warn("BF306", warnings))


def _tell(
    progress: Callable[[int, int, str], None] | None, text: str
) -> Callable[[int, int], None] | None:
    return None if progress is None else lambda done, total: progress(done, total, text)


def _as_metric(
    result: Resampled,
    metric: OwnMetric,
    predictions: Predictions,
    positive: str | None,
    seed: int,
) -> Metric:
    low, high, lost = _bounds(result)
    if not np.isfinite([low, high]).all():
        return Metric(result.value)
    return Metric(
        result.value, low, high, _method(result, lost, metric, predictions, positive, seed)
    )


def _subtract_pairs(
    arms: Mapping[str, Evaluation],
    measured: Mapping[str, Resampled],
    name: str,
    metric: OwnMetric,
    positive: str | None,
    seed: int,
) -> list[Difference]:
    """Return the differences between all pairs of arms, in the repeats that both have."""
    own = {arm: list_repeats(e.predictions) for arm, e in arms.items()}
    every = frozenset[int]().union(*own.values())
    # A reader is the same in every repeat.
    repeats = {arm: every if e.is_reader else own[arm] for arm, e in arms.items()}

    @functools.cache
    def within(arm: str, shared: frozenset[int]) -> Resampled:
        if own[arm] <= shared:
            return measured[arm]
        rows = take_repeats(arms[arm].predictions, shared)
        return resample_metric(metric, rows, positive, seed=seed)

    differences = []
    for a, b in itertools.combinations(measured, 2):
        shared = repeats[a] & repeats[b]
        pair = {arm: within(arm, shared) for arm in (a, b)}
        some = next(iter(arms.values())).predictions
        difference = _subtract(a, b, name, pair, some, metric, positive, seed)
        differences.append(dataclasses.replace(difference, repeats=len(shared)))
    return differences


def _subtract(
    a: str,
    b: str,
    name: str,
    measured: Mapping[str, Resampled],
    predictions: Predictions,
    metric: OwnMetric,
    positive: str | None,
    seed: int,
) -> Difference:
    one, other = measured[a], measured[b]
    value = one.value - other.value
    if np.isnan(value):
        return Difference(a, b, name, value, role="secondary")
    least, most = one.limits
    both = Resampled(
        value,
        one.draws - other.draws,
        one.jackknife - other.jackknife,
        max(one.overlap, other.overlap),
        (least - most, most - least),
    )
    low, high, lost = _bounds(both)
    if not np.isfinite([low, high]).all():
        return Difference(a, b, name, value, role="secondary")
    method = _method(both, lost, metric, predictions, positive, seed)
    return Difference(a, b, name, value, low, high, method=method, role="secondary")


def _bounds(result: Resampled) -> tuple[float, float, int]:
    """Return the bounds, NaN if there are none, and the number of draws without a value."""
    defined = result.draws[np.isfinite(result.draws)]
    left_out = result.jackknife[np.isfinite(result.jackknife)]
    lost = len(result.draws) - len(defined)
    if not len(defined) or len(defined) < _LEAST_DEFINED * len(result.draws) or not len(left_out):
        return np.nan, np.nan, lost
    bounds = bca_bounds(result.value, defined, left_out, level=_LEVEL, overlap=result.overlap)
    least, most = result.limits
    # Beyond the draws, the bounds are extrapolated; no predictions can be better than perfect.
    if least <= defined.min() and defined.max() <= most:
        bounds = max(bounds[0], least), min(bounds[1], most)
    return *bounds, lost


def _method(
    result: Resampled,
    lost: int,
    metric: OwnMetric,
    predictions: Predictions,
    positive: str | None,
    seed: int,
) -> str:
    without = f", {lost:,} of them without a value" if lost else ""
    unit = "samples" if predictions.groups is None else "patients"
    corrected = CORRECTED if result.overlap > 1 else ""
    # Scores are measured by fold, like the average precision.
    caution = caveat(predictions, "auprc" if metric.kind == "scores" else "auroc", positive)
    return (
        f"bootstrap of {unit} (BCa, {N_DRAWS:,} draws, seed {seed}{without}){corrected}{caution}, "
        f"{_LEVEL:.0%}"
    )
