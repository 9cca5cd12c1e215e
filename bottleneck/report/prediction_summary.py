"""What predictions on new images say, in sentences and a table for a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bottleneck.backbones.licences import describe_weights
from bottleneck.deploy.models.model import Model
from bottleneck.deploy.models.model_words import describe_comparison, describe_recalibration
from bottleneck.deploy.prediction.model_predictions import ModelPredictions
from bottleneck.evaluation.metrics.metric_values import Metric
from bottleneck.evaluation.results.comparison_results import Evaluation
from bottleneck.report.wording.labels import caveats, metric_label
from bottleneck.report.wording.number_format import bounds, three
from bottleneck.schemas.json_schemas import JsonRecord
from bottleneck.text.plurals import counted

if TYPE_CHECKING:
    from rich.table import Table


__all__ = [
    "describe_origin",
    "describe_predictions",
    "external_test_table",
    "name_decisions",
    "predictions_record",
]

_SHOWN = ("auroc", "accuracy", "balanced_accuracy", "sensitivity", "specificity", "brier")
_RESEARCH = "For research use only; not a medical device"
_AT_THRESHOLD = ("sensitivity", "specificity", "ppv", "npv")


def describe_predictions(made: ModelPredictions) -> list[str]:
    """Return the summary of predictions, one sentence or a few per element."""
    patients = made.by_patient
    unit, decided = made.noun, made.decided
    size = counted(len(made), made.noun)
    if not len(made.predictions):
        return [f"{size}; none has a prediction; the column reason says why"]
    if patients is not None:
        unit, decided = "patient", patients.decided
        size += f" of {counted(len(decided.predictions), 'patient')}"
    if made.failures:
        size += f"; {len(made.failures)} without a prediction; the column reason says why"
    how = name_decisions(made)
    counts = ", ".join(f"{name} {n}" for name, n in sorted(made.decision_counts.items()))
    texts = [size, f"Decided for each {unit}, {how}: {counts}"]
    if (unlike := made.unlike_training) is not None:
        few = f"{made.n_unlike} of {counted(len(unlike), made.noun)}"
        text = f"Unlike the training {made.noun}s: {few}"
        if made.n_unlike:
            text += ". Do not rely on their predictions"
        if made.distance_words:
            text += f". {made.distance_words.rstrip('.')}"
        texts.append(text)
    if decided.sets is not None:
        sizes = decided.sets.sum(axis=1)
        texts.append(
            f"Sets of classes: {int((sizes == 1).sum())} name one, {int((sizes > 1).sum())} "
            f"several, {int((sizes == 0).sum())} none. {made.set_words.rstrip('.')}"
        )
    return [*texts, made.origin] if made.origin else texts


def name_decisions(made: ModelPredictions) -> str:
    """Return how the decisions were made: by the largest score, or at which threshold."""
    point = made.operating_point
    if point is None:
        return "by the largest score"
    return f"at the threshold that was set for a {point.held} of {point.target:g}"


def describe_origin(model: object) -> Iterator[str]:
    """Yield what a model is: its evaluation, its weights, and what it may be used for."""
    if not isinstance(model, Model):
        began = getattr(model, "weights", {})
        if began.get("name", "random") != "random":
            yield f"Training started from the weights {describe_weights(began)}"
        yield _RESEARCH
        return
    if model.comparison is None:
        yield "The model file has no evaluation: compare estimates how good the model is"
    else:
        yield f"The model was {describe_comparison(model)}"
    for one in model.recalibrations:
        yield f"It was recalibrated: {describe_recalibration(one)}"
    if model.weights:
        yield f"Weights of the network: {describe_weights(model.weights)}"
    yield _RESEARCH


def external_test_table(made: ModelPredictions, evaluation: Evaluation) -> Table:
    """Return the metrics of labelled images for a terminal of 80 columns.

    Parameters
    ----------
    made : ModelPredictions
        The predictions.
    evaluation : Evaluation
        Their metrics.
    """
    from bottleneck.report.terminal import make_table

    tested, positive = evaluation.predictions, made.positive
    unit = made.noun if made.by_patient is None else "patient"
    size = counted(len(tested), unit)
    if unit != "patient" and tested.groups is not None:
        size += f" of {counted(len(set(tested.groups.tolist())), 'patient')}"
    of = f"positive class {positive}" if positive else f"{len(tested.classes)} classes"
    shown = [(metric_label(name), evaluation.metrics.get(name)) for name in _SHOWN]
    for point in evaluation.operating_points:
        shown += [
            (f"{metric_label(name)}, at the threshold", point.metrics.get(name))
            for name in _AT_THRESHOLD
        ]
    known = [(label, metric) for label, metric in shown if metric is not None]
    notes = caveats([metric for _, metric in known])
    caption = f"† estimate only: {'; '.join(notes)}." if notes else ""
    table = make_table(f"Metrics of {size}, {of}", caption=caption)
    table.add_column("Metric", no_wrap=True)
    table.add_column("Value", justify="right", no_wrap=True)
    table.add_column("95 % interval", justify="right", no_wrap=True)
    for label, metric in known:
        table.add_row(label, _value(metric), bounds(metric))
    return table


def _value(metric: Metric) -> str:
    return "not defined" if math.isnan(metric.value) else three(metric.value)


def predictions_record(made: ModelPredictions, path: Path) -> JsonRecord:
    """Return predictions as JSON: counts, metrics, warnings, and every row.

    Parameters
    ----------
    made : ModelPredictions
        The predictions.
    path : Path
        The table that they were written to.
    """
    import pandas as pd

    def rows(frame: pd.DataFrame | None) -> list[dict[str, Any]] | None:
        if frame is None:
            return None
        plain = frame.astype(object).where(frame.notna(), None)
        return [
            {str(name): value for name, value in row.items()} for row in plain.to_dict("records")
        ]

    evaluation = made.evaluation
    record = {
        "path": path,
        "n_images": len(made),
        "n_predicted": len(made.predictions),
        "decisions": dict(made.decision_counts),
        "unit": made.unit,
        "network": made.network,
        "origin": made.origin or None,
        "n_unlike_training": None if made.unlike_training is None else made.n_unlike,
        "failures": dict(made.failures),
        "error_rate": made.error_rate,
        "evaluation": None
        if evaluation is None
        else {
            "n": len(evaluation.predictions),
            "metrics": evaluation.metrics,
            "operating_points": evaluation.operating_points,
        },
        "warnings": made.warnings,
        "ignored": made.ignored,
        "notes": made.notes,
        "images": rows(made.to_frame()),
        "patients": rows(made.patients),
    }
    return JsonRecord("predict", record)
