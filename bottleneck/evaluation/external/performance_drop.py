"""How much of each figure is lost on an external cohort."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bottleneck.evaluation.metrics.metric_values import Metric
from bottleneck.evaluation.results import Drop, Evaluation

__all__ = ["drops", "subtract_metrics"]

# Largest difference that a metric can have; all others lie between 0 and 1.
_REACH = {"mcc": 2.0, "calibration_slope": np.inf, "calibration_intercept": np.inf}


def drops(inside: Sequence[Evaluation], outside: Sequence[Evaluation]) -> tuple[Drop, ...]:
    """Subtract every figure of an arm inside from the same figure outside.

    Parameters
    ----------
    inside : sequence of Evaluation
        Arms on the cohort trained on, tested in folds: they estimate the procedure.
    outside : sequence of Evaluation
        The same arms, by name, trained on all of that cohort and tested once on the
        external one.

    Returns
    -------
    tuple of Drop
        For the arms and metrics that both have, in the order of ``inside``.
    """
    there = {evaluation.name: evaluation for evaluation in outside}
    return tuple(
        Drop(arm.name, metric, here, away, subtract_metrics(metric, here, away))
        for arm in inside
        if arm.name in there
        for metric, here in arm.metrics.items()
        if (away := there[arm.name].metrics.get(metric)) is not None
    )


def subtract_metrics(name: str, inside: Metric, outside: Metric) -> Metric:
    """Return outside minus inside, with an interval where both have one.

    The interval is recovered from the two (MOVER: Zou & Donner 2008, Statistics in Medicine
    27:1693): with the difference d of estimates a inside and b outside and their bounds,
    d - sqrt((b - low_b)² + (high_a - a)²) to d + sqrt((high_b - b)² + (a - low_a)²).
    It takes the two for independent, as their patients are. That the head tested outside
    was trained on the patients inside is not part of it.

    Parameters
    ----------
    name : str
        Of the metric; it decides how far a difference can reach.
    inside, outside : Metric
        With intervals of the same level.

    Returns
    -------
    Metric
    """
    difference = outside.value - inside.value
    bounds = inside.low, inside.high, outside.low, outside.high
    numbers = np.array([np.nan if b is None else b for b in bounds])
    if not np.isfinite([difference, *numbers]).all():
        return Metric(difference)
    low_a, high_a, low_b, high_b = map(float, numbers)
    low = difference - float(np.hypot(outside.value - low_b, high_a - inside.value))
    high = difference + float(np.hypot(high_b - outside.value, inside.value - low_a))
    reach = _REACH.get(name, 1.0)
    method = f"MOVER (inside: {inside.method}; outside: {outside.method})"
    return Metric(difference, max(low, -reach), min(high, reach), method)
