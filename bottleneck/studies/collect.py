"""Our figures gathered arm by arm, beside what was published of the same model."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bottleneck.data.dataset import ImageDataset
from bottleneck.evaluation.cross_validation.arms import ArmPredictions
from bottleneck.evaluation.evaluate_arm import evaluate_arm
from bottleneck.evaluation.measures import Measures
from bottleneck.evaluation.metrics.metrics import compute_metrics
from bottleneck.evaluation.results import Comparison, Evaluation
from bottleneck.predictions import Predictions
from bottleneck.studies.published_figures import METRICS
from bottleneck.studies.study import Study, StudyProtocol
from bottleneck.studies.study_results import ArmResult, Spread, TestResult

if TYPE_CHECKING:
    from bottleneck.finetune.cross_validate import Trained

__all__ = ["outside", "results_of", "test_results"]

Runs = Mapping[str, Sequence["Trained"]]

_COSTS = ("trained_parameters", "parameters", "images_seen", "device", "peak_memory_bytes")


def results_of(
    study: Study,
    part: str | None,
    evaluations: Sequence[Evaluation],
    names: Mapping[str, str],
    trained: Runs,
    positive: str,
) -> tuple[ArmResult, ...]:
    """Gather the arms of a comparison in the order of the study.

    Parameters
    ----------
    study : Study
    part : str or None
        The published part that they are held against.
    evaluations : sequence of Evaluation
        Of a comparison.
    names : mapping of str to str
        What it calls the arms of the study.
    trained : mapping of str to sequence of Trained
        The trained arms, one a seed.
    positive : str
        The positive class.

    Returns
    -------
    tuple of ArmResult
        Arms that see no image come last.
    """
    by_name = {evaluation.name: evaluation for evaluation in evaluations}
    published = study.find_part(part)
    found = []
    for arm in study.arms:
        evaluation = by_name[names[arm.name]]
        row = None if published is None else published.find(arm.model)
        runs = trained.get(arm.name, ())
        found.append(
            ArmResult(
                name=arm.name,
                published={} if row is None else row.figures,
                metrics=_chosen(evaluation.metrics),
                cost=_cost(evaluation, runs),
                over_seeds=_spread([run.predictions for run in runs], positive),
                over_folds=_spread(_by_fold(evaluation.predictions), positive),
            )
        )
    blind = [evaluation for evaluation in evaluations if not evaluation.uses_images]
    for evaluation in blind:
        metrics = _chosen(evaluation.metrics)
        found.append(ArmResult(name=evaluation.name, published={}, metrics=metrics))
    return tuple(found)


def outside(
    study: Study,
    protocol: StudyProtocol,
    comparison: Comparison,
    names: Mapping[str, str],
    trained: Runs,
    cohort: ImageDataset,
    positive: str,
) -> tuple[ArmResult, ...]:
    """Gather the arms on another data set; trained networks predict it now."""
    from bottleneck.finetune.external_prediction import predict

    tested = list(comparison.external[0].evaluations)
    for name, runs in trained.items():
        if runs[0].record["network"].get("head") == "new_fc":
            continue
        arm = ArmPredictions(name=name, head="predictions", test=predict(runs[0].path, cohort))
        tested.append(evaluate_arm(arm, positive, Measures()))
    present = {evaluation.name for evaluation in tested}
    arms = tuple(arm for arm in study.arms if names[arm.name] in present)
    within = dataclasses.replace(study, arms=arms)
    found = results_of(within, protocol.external, tested, names, {}, positive)
    return tuple(dataclasses.replace(one, over_folds={}, cost={}) for one in found)


def test_results(
    study: Study, comparison: Comparison, names: Mapping[str, str]
) -> tuple[TestResult, ...]:
    """Find our counterparts of the published tests."""
    of_model: dict[str, str] = {}
    for arm in study.arms:
        if arm.model is not None:
            of_model.setdefault(arm.model, names[arm.name])
    found = []
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
        found.append(TestResult(test, ours))
    return tuple(found)


# By its name pytest would take it for a test wherever one imports it; mypy knows no such attribute.
test_results.__test__ = False  # type: ignore[attr-defined]


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
