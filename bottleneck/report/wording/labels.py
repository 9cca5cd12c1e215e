"""Labels and order of the metrics, in tables and on the page."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from bottleneck.data.splits.shortage import ESTIMATE_ONLY
from bottleneck.evaluation.metrics.metric_values import Metric
from bottleneck.evaluation.results.comparison_results import Comparison, Evaluation

__all__ = [
    "GROUPS",
    "METRICS",
    "accuracy_note",
    "caveats",
    "grouped_metrics",
    "metric_label",
    "metric_names",
    "metric_tables",
    "n_samples",
    "of_images",
]

#: Labels of the metrics by group, in the order of the tables.
GROUPS = {
    "Ranking": {"auroc": "AUROC", "auprc": "AUPRC"},
    "Decisions": {
        "accuracy": "Accuracy",
        "balanced_accuracy": "Balanced accuracy",
        "sensitivity": "Sensitivity",
        "specificity": "Specificity",
        "ppv": "PPV",
        "npv": "NPV",
        "ppv_at_prevalence": "PPV at prevalence",
        "npv_at_prevalence": "NPV at prevalence",
        "f1": "F1",
        "mcc": "MCC",
    },
    "Probabilities": {
        "brier": "Brier score",
        "calibration_slope": "Calibration slope",
        "calibration_intercept": "Calibration intercept",
        "observed_expected": "O/E ratio",
        "ece": "Expected calibration error",
    },
}
METRICS = {name: label for group in GROUPS.values() for name, label in group.items()}

#: Largest number of metrics in one table of the page.
WIDEST = 9


def metric_names(metrics: Iterable[Mapping[str, Metric]]) -> tuple[str, ...]:
    """Return the names of the metrics that occur: the usual ones first, then the others."""
    names = dict.fromkeys(name for one in metrics for name in one)
    return (*(n for n in METRICS if n in names), *(n for n in names if n not in METRICS))


def grouped_metrics(metrics: Iterable[Mapping[str, Metric]]) -> list[tuple[str, tuple[str, ...]]]:
    """Return the metrics that occur by group: ranking, decisions, probabilities."""
    names = metric_names(metrics)
    groups = [(title, tuple(n for n in names if n in usual)) for title, usual in GROUPS.items()]
    groups.append(("Others", tuple(n for n in names if n not in METRICS)))
    return [(title, members) for title, members in groups if members]


def metric_tables(
    metrics: Iterable[Mapping[str, Metric]],
) -> list[list[tuple[str, tuple[str, ...]]]]:
    """Distribute the groups of metrics over tables that fit the width of the page."""
    groups = grouped_metrics(metrics)
    if sum(len(names) for _, names in groups) <= WIDEST:
        return [groups] if groups else []
    tables = (
        [group for group in groups if group[0] != "Decisions"],
        [group for group in groups if group[0] == "Decisions"],
    )
    return [table for table in tables if table]


def metric_label(name: str) -> str:
    """Return the label of a metric; one of the user's own keeps its capitals."""
    words = name.replace("_", " ")
    return METRICS.get(name, words[:1].upper() + words[1:])


def caveats(results: Any) -> list[str]:
    """Return why intervals within some results are estimates only, each reason once.

    Parameters
    ----------
    results : Metric, or mapping, sequence or dataclass that holds metrics
        Such as the metrics of an arm, or its subgroups.

    Returns
    -------
    list of str
        Such as "7 patients in the smaller class".
    """
    if isinstance(results, Metric):
        if not results.estimate_only or results.method is None:
            return []
        reason = results.method.partition(f"{ESTIMATE_ONLY}: ")[2]
        return [reason.partition(",")[0]]
    if dataclasses.is_dataclass(results):
        results = [getattr(results, field.name) for field in dataclasses.fields(results)]
    if isinstance(results, Mapping):
        results = list(results.values())
    if not isinstance(results, Sequence) or isinstance(results, str):
        return []
    return list(dict.fromkeys(reason for one in results for reason in caveats(one)))


def n_samples(evaluation: Evaluation) -> int:
    """Return the number of samples that an arm was tested on; repeats count once."""
    return evaluation.predictions.n_samples


def of_images(comparison: Comparison) -> bool:
    """Return whether a comparison is one of images, not of features or predictions of any kind."""
    recipes = [provenance.get("recipe", {}) for provenance in comparison.features]
    return any("columns" not in recipe for recipe in recipes)


def accuracy_note(evaluations: Sequence[Evaluation]) -> str:
    """Return a sentence on accuracies that cannot be compared; empty if all can.

    Where the classes have different numbers of samples, an arm that weights them equally gives
    up accuracy, and predicting the most frequent class may beat it.
    """
    labels, counts = np.unique(evaluations[0].predictions.labels, return_counts=True)
    weighted = {e.weights_classes for e in evaluations}
    if len(set(counts.tolist())) == 1 or True not in weighted or len(weighted) == 1:
        return ""
    return (
        f"Accuracy favours arms without equal class weights: always predicting "
        f"'{labels[counts.argmax()]}' reaches {counts.max() / counts.sum():.3f}. Compare them with "
        f"the other arms by balanced accuracy."
    )
