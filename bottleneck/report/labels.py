"""What tables and page say alike: what metrics are called, what is warned of, what is counted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from bottleneck.evaluation.metrics.metric_values import Metric
from bottleneck.evaluation.results import Evaluation

__all__ = [
    "GROUPS",
    "METRICS",
    "grouped_metrics",
    "metric_label",
    "metric_names",
    "metric_tables",
    "n_samples",
]

#: What the metrics are about, and the usual ones in the order in which tables show them.
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
        "ece": "Expected calibration error",
    },
}
METRICS = {name: label for group in GROUPS.values() for name, label in group.items()}

#: Metrics that one table of the page has room for.
WIDEST = 9


def metric_names(held: Iterable[Mapping[str, Metric]]) -> tuple[str, ...]:
    """Return the metrics that occur: the usual ones first, then the others."""
    found = dict.fromkeys(name for metrics in held for name in metrics)
    return (*(n for n in METRICS if n in found), *(n for n in found if n not in METRICS))


def grouped_metrics(held: Iterable[Mapping[str, Metric]]) -> list[tuple[str, tuple[str, ...]]]:
    """Return the metrics that occur by what they are about: ranking, decisions, probabilities."""
    names = metric_names(held)
    groups = [(title, tuple(n for n in names if n in usual)) for title, usual in GROUPS.items()]
    groups.append(("Others", tuple(n for n in names if n not in METRICS)))
    return [(title, members) for title, members in groups if members]


def metric_tables(
    held: Iterable[Mapping[str, Metric]],
) -> list[list[tuple[str, tuple[str, ...]]]]:
    """Lay the groups of metrics out in tables that a page is wide enough for."""
    groups = grouped_metrics(held)
    if sum(len(names) for _, names in groups) <= WIDEST:
        return [groups] if groups else []
    tables = (
        [group for group in groups if group[0] != "Decisions"],
        [group for group in groups if group[0] == "Decisions"],
    )
    return [table for table in tables if table]


def metric_label(name: str) -> str:
    """Return the name of a metric as a reader expects it."""
    return METRICS.get(name, name.replace("_", " ").capitalize())


def n_samples(evaluation: Evaluation) -> int:
    """Count the samples an arm was tested on; repeats do not count twice."""
    return len(np.unique(evaluation.predictions.ids))
