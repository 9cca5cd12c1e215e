"""The choice of an arm by its AUROC, with intervals that allow for it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from bottleneck.evaluation.analyses.best_arm import arms_to_choose, best_arm
from bottleneck.evaluation.metrics.inference.metric_intervals import binarise, jackknife_of
from bottleneck.evaluation.metrics.inference.row_groups import encode_folds, encode_patients
from bottleneck.evaluation.metrics.metric_values import Metric
from bottleneck.evaluation.results.arm_results import Evaluation
from bottleneck.evaluation.results.result_parts import ArmChoice
from bottleneck.statistics.inference.intervals import Interval
from bottleneck.statistics.roc.auroc_multiclass import MacroAuroc
from bottleneck.statistics.roc.auroc_tests import RankedScore
from bottleneck.statistics.roc.auroc_variance import AurocEstimator
from bottleneck.statistics.roc.best_of_several import shared_level

__all__ = ["allow_for_choice"]

# The difference of two arms has an interval of its own; of more, the highest is named.
_FEWEST = 3
_LEVEL = 0.95


def allow_for_choice(evaluations: Sequence[Evaluation], positive: str | None) -> ArmChoice | None:
    """Return the AUROCs of the arms with lower bounds that hold whichever arm is chosen.

    Parameters
    ----------
    evaluations : sequence of Evaluation
        Arms on the same samples, though not necessarily in the same folds and repeats.
    positive : str or None
        The positive class; None for the macro-averaged AUROC.

    Returns
    -------
    ArmChoice or None
        The bounds are those of ``best_auc_interval``. None for fewer than three arms with
        intervals that use images; human readers do not count beside models.
    """
    arms = [e for e in arms_to_choose(evaluations) if e.metrics["auroc"].low is not None]
    best = best_arm(arms)
    if best is None or len(arms) < _FEWEST:
        return None
    intervals, influences = zip(*(_estimate(e, positive) for e in arms), strict=True)
    varying = [
        influence
        for interval, influence in zip(intervals, influences, strict=True)
        if interval(_LEVEL).standard_error != 0
    ]
    level = shared_level(np.array(varying), _LEVEL) if varying else _LEVEL
    return ArmChoice(
        best.name,
        {
            e.name: _widen(e.metrics["auroc"], interval(level).low, len(arms))
            for e, interval in zip(arms, intervals, strict=True)
        },
    )


def _widen(metric: Metric, low: float, n_arms: int) -> Metric:
    """Return a metric with a lower bound that is at most its own."""
    own = low if metric.low is None else metric.low
    method = f"{metric.method}; lower bound adjusted for the choice among {n_arms} arms"
    return dataclasses.replace(metric, low=min(own, low), method=method)


def _estimate(
    evaluation: Evaluation, positive: str | None
) -> tuple[Callable[[float], Interval], NDArray[np.float64]]:
    """Return the interval of an AUROC by its level, and the influence of each patient."""
    predictions, trained = evaluation.predictions, not evaluation.is_reader
    patients, folds = encode_patients(predictions), encode_folds(predictions)
    if positive is None:
        macro = MacroAuroc(
            predictions.labels,
            predictions.scores,
            patients,
            folds,
            predictions.repeats,
            jackknife=predictions.jackknife,
            trained=trained,
        )
        by_sample = macro.influence.positive + macro.influence.negative
        return macro.interval, np.bincount(macro.patients, by_sample).astype(float)
    true, score, _ = binarise(predictions, positive)
    estimator = AurocEstimator(true, patients, folds, predictions.repeats, trained=trained)
    ranked = RankedScore.of(estimator, score, jackknife=jackknife_of(predictions, positive))
    return ranked.interval, ranked.influence.positive + ranked.influence.negative
