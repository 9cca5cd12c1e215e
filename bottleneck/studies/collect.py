"""Metrics of each arm of a study, with the published figures of the same model."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bottleneck.data.dataset import ImageDataset
from bottleneck.evaluation.cross_validation.arms import ArmPredictions
from bottleneck.evaluation.cross_validation.evaluate_arm import evaluate_arm
from bottleneck.evaluation.measures import Measures
from bottleneck.evaluation.metrics.metrics import compute_metrics
from bottleneck.evaluation.results.comparison_results import Comparison, Evaluation
from bottleneck.predictions import Predictions
from bottleneck.studies.published_figures import METRICS
from bottleneck.studies.study import Study, StudyProtocol
from bottleneck.studies.study_results import Spread, StudyArmResult, TestResult
from bottleneck.studies.training_rows import compare_training

if TYPE_CHECKING:
    from bottleneck.finetune.trained_arm import Trained

__all__ = ["collect_arms", "collect_external", "collect_tests"]

Runs = Mapping[str, Sequence["Trained"]]

_COSTS = ("trained_parameters", "parameters", "images_seen", "device", "peak_memory_bytes")


def collect_arms(
    study: Study,
    published: str | None,
    evaluations: Sequence[Evaluation],
    names: Mapping[str, str],
    trained: Runs,
    positive: str,
) -> tuple[StudyArmResult, ...]:
    """Return the results of all arms, in the order of the study.

    Parameters
    ----------
    study : Study
        The study.
    published : str or None
        Name of the published set that the arms are compared with.
    evaluations : sequence of Evaluation
        The evaluations of a comparison.
    names : mapping of str to str
        Names of the arms in the comparison, by their names in the study.
    trained : mapping of str to sequence of Trained
        The trained arms, one per seed.
    positive : str
        The positive class.

    Returns
    -------
    tuple of StudyArmResult
        Arms that do not use images come last.
    """
    by_name = {evaluation.name: evaluation for evaluation in evaluations}
    rows = study.find_published(published)
    results = []
    for arm in study.arms:
        evaluation = by_name[names[arm.name]]
        row = None if rows is None else rows.find_row(arm.model)
        runs = trained.get(arm.name, ())
        course = study.find_training(arm.model)
        results.append(
            StudyArmResult(
                name=arm.name,
                published={} if row is None else row.figures,
                metrics=_chosen(evaluation.metrics),
                cost=_cost(evaluation, runs),
                over_seeds=_spread([run.predictions for run in runs], positive),
                over_folds=_spread(_by_fold(evaluation.predictions), positive),
                training=compare_training(course, runs, positive, tested=published)
                if course is not None and runs
                else (),
            )
        )
    blind = [evaluation for evaluation in evaluations if not evaluation.uses_images]
    for evaluation in blind:
        metrics = _chosen(evaluation.metrics)
        results.append(StudyArmResult(name=evaluation.name, published={}, metrics=metrics))
    return tuple(results)


def collect_external(
    study: Study,
    protocol: StudyProtocol,
    comparison: Comparison,
    names: Mapping[str, str],
    trained: Runs,
    cohort: ImageDataset,
    positive: str,
) -> tuple[StudyArmResult, ...]:
    """Return the results of all arms on another data set, which trained networks predict now."""
    from bottleneck.deploy.trained.trained_model import TrainedModel

    tested = list(comparison.external[0].evaluations)
    for name, runs in trained.items():
        if runs[0].record["network"].get("head") == "new_fc":
            continue
        first = runs[0].path
        made = TrainedModel(first).predict(cohort, features=first / "external")
        arm = ArmPredictions(name=name, head="predictions", test=made.predictions)
        tested.append(evaluate_arm(arm, positive, Measures()))
    present = {evaluation.name for evaluation in tested}
    arms = tuple(arm for arm in study.arms if names[arm.name] in present)
    within = dataclasses.replace(study, arms=arms)
    results = collect_arms(within, protocol.external, tested, names, {}, positive)
    return tuple(dataclasses.replace(one, over_folds={}, cost={}) for one in results)


def collect_tests(
    study: Study, comparison: Comparison, names: Mapping[str, str]
) -> tuple[TestResult, ...]:
    """Return the published tests, each with ours of the same arms."""
    of_model: dict[str, str] = {}
    for arm in study.arms:
        if arm.model is not None:
            of_model.setdefault(arm.model, names[arm.name])
    results = []
    for test in study.tests:
        ours = None
        wanted = (of_model.get(test.a), of_model.get(test.b), test.metric)
        for difference in comparison.differences:
            if (difference.a, difference.b, difference.metric) == wanted:
                ours = difference
            elif (difference.b, difference.a, difference.metric) == wanted:
                low, high = difference.low, difference.high
                ours = dataclasses.replace(
                    difference,
                    a=difference.b,
                    b=difference.a,
                    value=-difference.value,
                    low=None if high is None else -high,
                    high=None if low is None else -low,
                )
        results.append(TestResult(test, ours))
    return tuple(results)


def _chosen(metrics: Mapping[str, Any]) -> dict[str, Any]:
    return {name: metrics[name] for name in METRICS if name in metrics}


def _cost(evaluation: Evaluation, runs: Sequence[Trained]) -> dict[str, Any]:
    if not runs:
        return {"seconds": evaluation.seconds}
    cost = {name: runs[0].record[name] for name in _COSTS}
    cost["images_seen"] = sum(run.record["images_seen"] for run in runs)
    cost["seconds"] = sum(run.record["seconds"] for run in runs)
    return cost


def _by_fold(predictions: Predictions) -> list[Predictions]:
    return [
        predictions.take((predictions.repeats == repeat) & (predictions.folds == fold))
        for repeat in np.unique(predictions.repeats)
        for fold in np.unique(predictions.folds[predictions.repeats == repeat])
    ]


def _spread(each: Sequence[Predictions], positive: str) -> dict[str, Spread]:
    if len(each) < 2:
        return {}
    figures = [
        compute_metrics(dataclasses.replace(one, probabilities=None), positive=positive)
        for one in each
    ]
    return {
        name: Spread(
            float(np.mean([one[name] for one in figures])),
            float(np.std([one[name] for one in figures], ddof=1)),
            len(figures),
        )
        for name in METRICS
        if name in figures[0]
    }
