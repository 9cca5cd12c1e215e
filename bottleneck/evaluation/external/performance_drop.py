"""Performance drops: metrics on an external cohort minus metrics in the internal folds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bottleneck.evaluation.metrics.metric_values import Metric
from bottleneck.evaluation.metrics.metrics import METRICS
from bottleneck.evaluation.results.comparison_results import Evaluation
from bottleneck.evaluation.results.result_parts import Drop

__all__ = ["performance_drops", "subtract_metrics"]

# Largest difference that a metric can have. The others of ours lie between 0 and 1, and those of
# the user anywhere.
_REACH = {"mcc": 2.0} | dict.fromkeys(
    ("calibration_slope", "calibration_intercept", "observed_expected"), np.inf
)


def performance_drops(
    internal: Sequence[Evaluation], external: Sequence[Evaluation]
) -> tuple[Drop, ...]:
    """Return the drop of every metric of every arm from internal to external validation.

    Parameters
    ----------
    internal : sequence of Evaluation
        Arms tested in the folds of the internal data set.
    external : sequence of Evaluation
        The same arms, by name, trained on all of the internal data set and tested once on the
        external one.

    Returns
    -------
    tuple of Drop
        Arms and metrics that both have, in the order of ``internal``.
    """
    by_name = {evaluation.name: evaluation for evaluation in external}
    return tuple(
        Drop(arm.name, metric, before, after, subtract_metrics(metric, before, after))
        for arm in internal
        if arm.name in by_name
        for metric, before in arm.metrics.items()
        if (after := by_name[arm.name].metrics.get(metric)) is not None
    )


def subtract_metrics(name: str, internal: Metric, external: Metric) -> Metric:
    """Return external minus internal, with an interval where both have one.

    The interval is computed from the two intervals (MOVER: Zou & Donner 2008, Statistics in
    Medicine 27:1693): for the difference d of an internal estimate a and an external estimate b,
    it reaches from d - sqrt((b - low_b)² + (high_a - a)²) to
    d + sqrt((high_b - b)² + (a - low_a)²). The estimates are taken to be independent, since their
    patients are; that the head tested externally was trained on the internal patients is ignored.

    Parameters
    ----------
    name : str
        Name of the metric, which determines its range.
    internal, external : Metric
        Metrics with intervals of the same level.

    Returns
    -------
    Metric
    """
    difference = external.value - internal.value
    bounds = internal.low, internal.high, external.low, external.high
    numbers = np.array([np.nan if b is None else b for b in bounds])
    if not np.isfinite([difference, *numbers]).all():
        return Metric(difference)
    low_a, high_a, low_b, high_b = map(float, numbers)
    low = difference - float(np.hypot(external.value - low_b, high_a - internal.value))
    high = difference + float(np.hypot(high_b - external.value, internal.value - low_a))
    is_ours = name.removesuffix("_at_prevalence") in METRICS
    reach = _REACH.get(name, 1.0 if is_ours else np.inf)
    method = f"MOVER (inside: {internal.method}; outside: {external.method})"
    return Metric(difference, max(low, -reach), min(high, reach), method)
