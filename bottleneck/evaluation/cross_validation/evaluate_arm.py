"""Evaluation of an arm: metrics, intervals, operating points and calibration of its predictions."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from bottleneck.evaluation.cross_validation.arms import ArmPredictions
from bottleneck.evaluation.cross_validation.nested_cv import Progress
from bottleneck.evaluation.measures import Measures
from bottleneck.evaluation.metrics.inference.metric_intervals import (
    auroc_interval,
    compute_intervals,
    compute_intervals_of_class,
)
from bottleneck.evaluation.metrics.inference.paired_tests import (
    is_primary,
    paired_tests,
    secondary_tests,
)
from bottleneck.evaluation.metrics.inference.reliability import caveat
from bottleneck.evaluation.metrics.inference.row_groups import list_repeats, repeat_rows
from bottleneck.evaluation.metrics.metric_values import (
    Difference,
    Metric,
    NetBenefit,
    OperatingPoint,
    as_metric,
)
from bottleneck.evaluation.metrics.metrics import (
    compute_metrics,
    compute_metrics_of_class,
    compute_spreads,
    count_confusion,
    fold_aurocs,
)
from bottleneck.evaluation.metrics.operating_points import (
    Held,
    adjust_to_prevalence,
    apply_thresholds,
    choose_thresholds,
)
from bottleneck.evaluation.metrics.probabilities.calibration import bin_probabilities, calibrate
from bottleneck.evaluation.metrics.probabilities.decision_curve import (
    compute_decision_curve,
    net_benefits,
)
from bottleneck.evaluation.metrics.probabilities.sigmoids import add_probabilities
from bottleneck.evaluation.metrics.subgroups.centres import evaluate_centres
from bottleneck.evaluation.metrics.subgroups.subgroup_differences import find_subgroup_differences
from bottleneck.evaluation.metrics.subgroups.subgroup_metrics import evaluate_subgroups
from bottleneck.evaluation.results.arm_origin import READER
from bottleneck.evaluation.results.comparison_results import Evaluation
from bottleneck.predictions import Predictions

__all__ = ["auroc_metric", "evaluate_arm", "in_same_rows", "pairwise_differences"]


def evaluate_arm(
    arm: ArmPredictions,
    positive: str | None,
    measures: Measures,
    *,
    centres: Sequence[str] = (),
    progress: Progress | None = None,
) -> Evaluation:
    """Compute all metrics of an arm.

    Parameters
    ----------
    arm : ArmPredictions
        Predictions of the arm.
    positive : str or None
        The positive class.
    measures : Measures
        Settings of the metrics.
    centres : sequence of str
        Names of the centres that the folds test, in order; empty for other protocols.
    progress : callable or None
        Called with the number of classes measured against the rest, their total and a text.

    Returns
    -------
    Evaluation
    """
    test, source = _add_probabilities(arm)
    values = compute_metrics(test, positive=positive)
    bounds = compute_intervals(test, positive=positive)
    spreads = compute_spreads(test, positive=positive)
    metrics = {
        name: as_metric(value, bounds.get(name), spreads.get(name))
        for name, value in values.items()
    }
    points: list[OperatingPoint] = []
    per_class: dict[str, dict[str, Metric]] = {}
    benefits: tuple[NetBenefit, ...] = ()
    calibration = curve = None
    if positive is None:
        for n, name in enumerate(test.classes, 1):
            class_bounds = compute_intervals_of_class(test, name)
            per_class[name] = {
                metric: as_metric(value, class_bounds.get(metric))
                for metric, value in compute_metrics_of_class(test, name).items()
            }
            if progress is not None:
                progress(n, len(test.classes), f"metrics of {arm.name}")
    else:
        if measures.prevalence is not None:
            shares = metrics["sensitivity"], metrics["specificity"]
            caution = caveat(test, positive=positive)
            for name, metric in adjust_to_prevalence(*shares, measures.prevalence).items():
                if metric.method is not None:
                    metric = dataclasses.replace(metric, method=metric.method + caution)
                metrics[f"{name}_at_prevalence"] = metric
        targets: tuple[tuple[Held, float], ...] = (
            ("sensitivity", measures.at_sensitivity),
            ("specificity", measures.at_specificity),
        )
        for held, target in targets if arm.inner else ():
            thresholds = choose_thresholds(arm.inner, positive, held, target)
            points.append(
                apply_thresholds(test, thresholds, positive=positive, held=held, target=target)
            )
        if test.probabilities is not None:
            calibration = bin_probabilities(test, positive, source=source)
            curve = compute_decision_curve(test, positive)
            benefits = net_benefits(test, positive, measures.act_at)
    return Evaluation(
        name=arm.name,
        backbone=arm.backbone,
        weights=arm.weights,
        head=arm.head,
        predictions=test,
        metrics=metrics,
        confusion=count_confusion(test),
        chosen=tuple(arm.chosen),
        classifier=arm.classifier,
        seconds=arm.seconds,
        per_class=per_class,
        operating_points=tuple(points),
        calibration=calibration,
        decision_curve=curve,
        net_benefits=benefits,
        subgroups=evaluate_subgroups(test, measures.subgroups, positive=positive),
        subgroup_differences=find_subgroup_differences(test, measures.subgroups, positive=positive),
        centres=evaluate_centres(test, centres, positive)
        if len(centres) and arm.head != READER
        else None,
        cost=arm.cost,
        members=arm.members,
        origin=arm.origin,
        positive=positive,
    )


def _add_probabilities(arm: ArmPredictions) -> tuple[Predictions, str]:
    """Return test predictions with probabilities where possible, and the source of these."""
    test = arm.test
    stated = "probabilities as the arm states them"
    if test.probabilities is not None:
        return test, stated
    if arm.inner and all(set(part.labels) == set(test.classes) for part in arm.inner):
        where = (
            "the validation set of each fold"
            if arm.head == "predictions"
            else "out-of-fold scores of the training set"
        )
        words = f"scores calibrated by a sigmoid, without class weights, on {where}"
        return calibrate(test, arm.inner), words
    return add_probabilities(test, None), stated


def auroc_metric(predictions: Predictions, positive: str | None) -> Metric:
    """Return the mean AUROC over folds with its interval."""
    value = float(np.mean(fold_aurocs(predictions, positive=positive)))
    return as_metric(value, auroc_interval(predictions, positive))


def pairwise_differences(
    evaluations: Sequence[Evaluation], positive: str | None, progress: Progress | None = None
) -> tuple[Difference, ...]:
    """Return the differences between all pairs of arms, with intervals and tests.

    Parameters
    ----------
    evaluations : sequence of Evaluation
        Arms on the same samples in the same folds; a pair is compared in the repeats that both
        have.
    positive : str or None
        The positive class.
    progress : callable or None
        Called with the number of pairs tested, their total and a text.

    Returns
    -------
    tuple of Difference
        Differences of the AUROC, which are primary, then those of ``secondary_tests``. Holm's
        method adjusts the primary p values over all pairs of arms with images; pairs with an
        arm without images are secondary, and so are pairs of human readers.
    """
    family = {e.name for e in evaluations if e.uses_images}
    readers = {e.name for e in evaluations if e.is_reader}
    caution = caveat(evaluations[0].predictions, positive=positive)
    arms = in_same_rows(evaluations)
    primary = tuple(
        Difference(
            a,
            b,
            "auroc",
            test.difference,
            test.low,
            test.high,
            test.p,
            p_adjusted,
            f"{test.method}{caution}, {test.level:.0%}",
            "primary" if is_primary(a, b, family, readers) else "secondary",
            repeats=1 if {a, b} <= readers else len(list_repeats(arms[a]) & list_repeats(arms[b])),
        )
        for a, b, test, p_adjusted in paired_tests(
            arms,
            positive,
            family=list(family),
            readers=readers,
            progress=_tell(progress, "AUROC"),
        )
    )
    weighted = {e.name: e.weights_classes for e in evaluations}
    of_accuracy = caveat(evaluations[0].predictions, "accuracy")
    secondary = (
        dataclasses.replace(one, method=f"{one.method}{of_accuracy}")
        for one in secondary_tests(arms, weighted, _tell(progress, "accuracy"))
    )
    return (*primary, *secondary)


def in_same_rows(evaluations: Sequence[Evaluation]) -> dict[str, Predictions]:
    """Return the predictions of every arm; a reader's are repeated in the rows of the others."""
    arms = {e.name: e.predictions for e in evaluations}
    models = [e.predictions for e in evaluations if not e.is_reader]
    if not models:
        return arms
    like = max(models, key=lambda predictions: predictions.n_repeats)
    return arms | {e.name: repeat_rows(e.predictions, like) for e in evaluations if e.is_reader}


def _tell(progress: Progress | None, metric: str) -> Callable[[int, int], None] | None:
    if progress is None:
        return None
    return lambda done, total: progress(done, total, f"testing differences of the {metric}")
