"""What is made of an arm's predictions, wherever they come from."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bottleneck.evaluation.measures import Measures
from bottleneck.evaluation.metrics.calibration import bin_probabilities, calibrate
from bottleneck.evaluation.metrics.decision_curve import compute_decision_curve
from bottleneck.evaluation.metrics.metric_intervals import (
    auroc_interval,
    caveat,
    compute_intervals,
    compute_intervals_per_class,
)
from bottleneck.evaluation.metrics.metric_values import (
    Difference,
    Metric,
    OperatingPoint,
    as_metric,
)
from bottleneck.evaluation.metrics.metrics import (
    compute_metrics,
    compute_metrics_per_class,
    count_confusion,
    fold_aurocs,
)
from bottleneck.evaluation.metrics.operating_points import (
    Held,
    adjust_to_prevalence,
    apply_thresholds,
    choose_thresholds,
)
from bottleneck.evaluation.metrics.paired_tests import paired_tests, secondary_tests
from bottleneck.evaluation.metrics.subgroups import evaluate_subgroups
from bottleneck.evaluation.results import Evaluation
from bottleneck.predictions import Predictions

__all__ = ["Outcome", "assess", "rank", "subtract"]


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Outcome:
    """An arm and all that it said, before anything is measured.

    Attributes
    ----------
    name, head : str
    backbone, weights : str or None
    test : Predictions
        What counts.
    inner : tuple of Predictions
        Out-of-fold predictions of each fold's training part; empty where there are none.
    chosen, seconds, cost
        As in ``Evaluation``.
    """

    name: str
    head: str
    backbone: str | None = None
    weights: str | None = None
    test: Predictions
    inner: tuple[Predictions, ...] = ()
    chosen: Sequence[Mapping[str, Any]] = ()
    seconds: float = 0.0
    cost: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def assess(outcome: Outcome, positive: str | None, measures: Measures) -> Evaluation:
    """Measure an arm.

    Parameters
    ----------
    outcome : Outcome
    positive : str or None
        The positive class.
    measures : Measures
        What is asked for.

    Returns
    -------
    Evaluation
    """
    test, source = _calibrated(outcome)
    figures = compute_metrics(test, positive=positive)
    known = compute_intervals(test, positive=positive)
    metrics = {name: as_metric(value, known.get(name)) for name, value in figures.items()}
    points: list[OperatingPoint] = []
    per_class = {}
    calibration = curve = None
    if positive is None:
        bounds = compute_intervals_per_class(test)
        per_class = {
            name: {
                metric: as_metric(value, bounds[name].get(metric))
                for metric, value in values.items()
            }
            for name, values in compute_metrics_per_class(test).items()
        }
    else:
        if measures.prevalence is not None:
            shares = metrics["sensitivity"], metrics["specificity"]
            for name, metric in adjust_to_prevalence(*shares, measures.prevalence).items():
                metrics[f"{name}_at_prevalence"] = metric
        targets: tuple[tuple[Held, float], ...] = (
            ("sensitivity", measures.at_sensitivity),
            ("specificity", measures.at_specificity),
        )
        for held, target in targets if outcome.inner else ():
            thresholds = choose_thresholds(outcome.inner, positive, held, target)
            points.append(
                apply_thresholds(test, thresholds, positive=positive, held=held, target=target)
            )
        if test.probabilities is not None:
            calibration = bin_probabilities(test, positive, source=source)
            curve = compute_decision_curve(test, positive)
    return Evaluation(
        name=outcome.name,
        backbone=outcome.backbone,
        weights=outcome.weights,
        head=outcome.head,
        predictions=test,
        metrics=metrics,
        confusion=count_confusion(test),
        chosen=tuple(outcome.chosen),
        seconds=outcome.seconds,
        per_class=per_class,
        operating_points=tuple(points),
        calibration=calibration,
        decision_curve=curve,
        subgroups=evaluate_subgroups(test, measures.subgroups, positive=positive),
        cost=outcome.cost,
    )


def _calibrated(outcome: Outcome) -> tuple[Predictions, str]:
    """Give an arm its probabilities, and say where they come from."""
    test = outcome.test
    stated = "probabilities as the arm states them"
    if test.probabilities is not None:
        return test, stated
    if outcome.inner and all(set(part.labels) == set(test.classes) for part in outcome.inner):
        where = (
            "the validation samples of each fold"
            if outcome.head == "predictions"
            else "what the training part made of itself out of fold"
        )
        words = f"scores calibrated by a sigmoid, without class weights, on {where}"
        return calibrate(test, outcome.inner), words
    if test.kind == "probability":
        test = dataclasses.replace(test, probabilities=np.clip(test.scores, 0, 1))
    return test, stated


def rank(predictions: Predictions, positive: str | None) -> Metric:
    """Measure the AUROC and nothing else."""
    value = float(np.mean(fold_aurocs(predictions, positive=positive)))
    return as_metric(value, auroc_interval(predictions, positive))


def subtract(evaluations: Sequence[Evaluation], positive: str | None) -> tuple[Difference, ...]:
    """Subtract every two arms, and test the differences.

    Parameters
    ----------
    evaluations : sequence of Evaluation
        Of the same samples in the same folds.
    positive : str or None
        The positive class.

    Returns
    -------
    tuple of Difference
        Those of the AUROC, which is primary, then those of the accuracy. Holm's method adjusts
        the primary p values for all pairs of arms that see images; a pair with an arm that
        sees none is secondary too.
    """
    family = {e.name for e in evaluations if e.sees_images}
    caution = caveat(evaluations[0].predictions)
    arms = {e.name: e.predictions for e in evaluations}
    primary = tuple(
        Difference(
            a,
            b,
            "auroc",
            found.difference,
            found.low,
            found.high,
            found.p,
            p_adjusted,
            f"{found.method}{caution}, {found.level:.0%}",
            "primary" if {a, b} <= family else "secondary",
        )
        for a, b, found, p_adjusted in paired_tests(arms, positive, family=list(family))
    )
    return (*primary, *secondary_tests(arms, positive))
