"""What a notebook shows of a result: the report's tables and warnings, without ids."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from bottleneck.audit.audit import Audit
from bottleneck.checks.check_warnings import CheckWarning
from bottleneck.checks.ignored_checks import describe_ignored
from bottleneck.data.dataset import ImageDataset
from bottleneck.data.splits.patients import count_by_class
from bottleneck.deploy.models.model import Model
from bottleneck.deploy.models.model_words import describe_model
from bottleneck.deploy.prediction.model_predictions import ModelPredictions
from bottleneck.deploy.recalibration_result import Recalibration
from bottleneck.errors import UsageError
from bottleneck.evaluation.leak_experiment.leak_results import LeakExperiment, LeakRow
from bottleneck.evaluation.results.comparison_results import Comparison, Evaluation, External
from bottleneck.evaluation.results.result_parts import ArmChoice, MarginResults
from bottleneck.explain.explanation import Explanation
from bottleneck.features.extraction_result import Extraction
from bottleneck.features.sets.feature_set import FeatureSet
from bottleneck.predictions import Predictions
from bottleneck.report.prediction_summary import name_decisions
from bottleneck.report.redaction import shareable
from bottleneck.report.tables.recalibration_table import (
    HEADER,
    describe_caveats,
    recalibration_rows,
)
from bottleneck.report.templating import environment
from bottleneck.report.wording.labels import metric_label
from bottleneck.report.wording.number_format import format_metric, three
from bottleneck.report.wording.verdicts import count_verdicts
from bottleneck.text.plain_text import without_paths
from bottleneck.text.plurals import counted
from bottleneck.text.short_repr import class_counts, class_names

__all__ = ["to_html"]

_MORE = "write_report(comparison, folder) writes all results, with figures and the protocol."
_NO_POSITIVE = "none: metrics are those of each class against the rest, averaged"


def to_html(result: object) -> str:
    """Return a result as HTML, as a notebook shows it.

    The text has its own style, loads nothing, and names no sample and no patient.

    Parameters
    ----------
    result : Comparison, Evaluation, External, Audit, FeatureSet, Predictions, Model, \
ModelPredictions, Recalibration, Explanation, Extraction, ImageDataset or LeakExperiment
        The result.

    Returns
    -------
    str
        One ``div``, for a page of your own.

    Raises
    ------
    UsageError
        If it is none of these.

    Examples
    --------
    >>> import bottleneck
    >>> page = bottleneck.to_html(bottleneck.load_dataset("phantom", limit=20))
    >>> "62 images of 20 patients" in page
    True
    """
    lists = ("warnings", "facts", "tables", "grids", "findings", "notes")
    shown: dict[str, Any] = {"name": "", **dict.fromkeys(lists, ()), **_content(result)}
    if words := describe_ignored(getattr(result, "ignored", {})):
        shown["notes"] = [f"{words}.", *shown["notes"]]
    shown |= {"kind": type(result).__name__, "name": without_paths(shown["name"])}
    return environment().get_template("pages/notebook.html.jinja").render(shown)


@functools.singledispatch
def _content(result: object) -> dict[str, Any]:
    raise UsageError(
        "to_html shows a result, such as a Comparison, an Evaluation or a FeatureSet, not "
        f"{type(result).__name__}"
    )


@_content.register
def _(result: Comparison) -> dict[str, Any]:
    # What is not shown would take long to make shareable: the pairs of an audit, for example.
    c = shareable(dataclasses.replace(result, audit=None, conflicts=None, thumbnails={}, inner={}))
    words = c.protocol["kind"]
    if c.protocol["kind"] == "cross-validation":
        words += f", {c.protocol['folds']} folds"
    words += f", {c.protocol['repeats']} repeats" if c.protocol["repeats"] > 1 else ""
    audit = "" if result.audit is None else f"{result.audit.verdict}. {result.audit.ties}"
    return {
        "name": c.dataset["name"],
        "warnings": c.warnings,
        "facts": [
            ("Samples", _size(c.dataset["n_samples"], c.dataset["n_patients"])),
            ("Classes", class_counts(c.dataset["classes"])),
            ("Positive class", c.positive or _NO_POSITIVE),
            ("Protocol", words),
            ("Leak audit", audit),
            ("Highest AUROC", _describe_choice(c.choice)),
            ("Non-inferiority", _verdicts(c.noninferiority)),
        ],
        "tables": [("", c.evaluations), *_external_tables(c.external)],
        "notes": [f"Differences between arms: comparison.differences_frame(). {_MORE}"],
    }


def _describe_choice(choice: ArmChoice | None) -> str:
    if choice is None:
        return ""
    of_best = format_metric(choice.of_best)
    return f"{of_best} of {choice.best}, allowing for the choice among {choice.n_arms} arms"


@_content.register
def _(result: External) -> dict[str, Any]:
    dataset = result.dataset
    return {
        "name": dataset["name"],
        "warnings": result.warnings,
        "facts": [
            ("Samples", _size(dataset["n_samples"], dataset["n_patients"])),
            ("Classes", class_counts(dataset["classes"])),
            ("Positive class", dataset["positive"] or _NO_POSITIVE),
            ("Non-inferiority", _verdicts(result.noninferiority)),
        ],
        "tables": _external_tables([result]),
    }


@_content.register
def _(result: Evaluation) -> dict[str, Any]:
    return {
        "name": result.name,
        "facts": _samples_of(result.predictions),
        "tables": [("", (result,))],
        "notes": ["Warnings about the features and the protocol: compare returns them."],
    }


@_content.register
def _(result: Audit) -> dict[str, Any]:
    return {
        "name": result.dataset,
        "facts": [
            ("Verdict", f"{result.verdict}. {result.ties}"),
            ("Samples", _size(result.n_samples, result.n_patients)),
        ],
        "findings": result.findings,
    }


@_content.register
def _(result: FeatureSet) -> dict[str, Any]:
    patients = None if result.patients is None else len(np.unique(result.patients))
    recipe, dataset = (result.provenance.get(part) or {} for part in ("recipe", "dataset"))
    return {
        "name": str(dataset.get("name", "")),
        "facts": [
            ("Samples", _size(len(result), patients)),
            ("Classes", class_counts(count_by_class(result.y))),
            ("Features", f"{result.X.shape[1]:,}"),
            ("Made by", result.title if {"backbone", "weights"} <= {*recipe} else ""),
            ("Centres", _distinct(result.centres)),
            ("Without a row", f"{len(result.failures):,}" if result.failures else ""),
        ],
    }


@_content.register
def _(result: Predictions) -> dict[str, Any]:
    words = {"decision": "decision scores", "probability": "probabilities"}[result.kind]
    words += ", and calibrated probabilities" if result.probabilities is not None else ""
    return {
        "facts": [
            ("Rows", f"{len(result):,}"),
            *_samples_of(result),
            ("Scores", words),
        ]
    }


@_content.register
def _(result: Model) -> dict[str, Any]:
    recipe, words = result.recipe, describe_model(result)
    size = _size(result.n_samples, result.n_patients)
    shown = ("classifier", "predicts", "probabilities", "threshold", "sets", "weights")
    return {
        "name": result.head,
        "warnings": []
        if result.converged
        else [CheckWarning("BF305", "the solver stopped at its limit of iterations")],
        "facts": [
            ("Features", f"{recipe.get('backbone')} ({recipe.get('weights')})"),
            ("Trained on", f"{size} of {without_paths(result.dataset)}"),
            ("Classes", class_names(result.classes)),
            ("Positive class", result.positive),
            *((name.capitalize(), without_paths(words[name])) for name in shown),
        ],
        "notes": ["evaluate and compare estimate how good a model of this head is."],
    }


@_content.register
def _(result: ModelPredictions) -> dict[str, Any]:
    patients = result.by_patient
    n_patients = None if patients is None else len(patients.decided.predictions)
    unlike = "" if result.unlike_training is None else f"{result.n_unlike:,}"
    evaluation = result.evaluation
    at_threshold = [
        (metric_label(name), format_metric(metric))
        for point in (() if evaluation is None else evaluation.operating_points)
        for name, metric in point.metrics.items()
    ]
    return {
        "warnings": result.warnings,
        "facts": [
            ("Images", _size(len(result), n_patients, "image")),
            ("Decided", f"{class_counts(result.decision_counts)} ({name_decisions(result)})"),
            ("Unlike the training images", unlike),
            ("Without a prediction", f"{len(result.failures):,}" if result.failures else ""),
            ("Sets", result.set_words),
            ("Network", result.origin),
        ],
        "tables": [] if evaluation is None else [("By the largest score", (evaluation,))],
        "grids": [("At the threshold", ("Metric", "Value"), at_threshold)] if at_threshold else [],
        "notes": [*result.notes, "to_frame() has a row for each image. For research use only."],
    }


@_content.register
def _(result: Recalibration) -> dict[str, Any]:
    return {
        "name": result.model.head,
        "facts": [("Moved", f"the {result.what}"), ("Result", result.words)],
        "grids": [("", HEADER, recalibration_rows(result))],
        "notes": [
            *filter(None, [describe_caveats(result), *result.notes]),
            "The attribute model is the new model. For research use only.",
        ],
    }


@_content.register
def _(result: Explanation) -> dict[str, Any]:
    header = ("Arm", "Predicted", "Label", "Probability", "Nearest training images")
    rows = [
        (
            arm.name,
            case.predicted,
            case.label or "not known",
            "–" if case.probability is None else three(case.probability),
            ", ".join(one.label for one in case.nearest) or "–",
        )
        for arm in result.arms
        for case in arm.cases
    ]
    words = dict.fromkeys(text for arm in result.arms for text in arm.words)
    return {
        "name": result.title,
        "warnings": result.warnings,
        "facts": [(arm.name, f"{arm.n_wrong:,} {arm.misclassified}") for arm in result.arms],
        "grids": [("", header, rows)],
        "notes": [*words, "write_explanation(explanation, folder) writes a page with heat maps."],
    }


@_content.register
def _(result: ImageDataset) -> dict[str, Any]:
    excluded = [f"{reason}: {n:,}" for reason, n in result.excluded.items()]
    return {
        "name": result.name,
        "facts": [
            ("Images", _size(len(result), result.n_groups, "image")),
            ("Classes", class_counts(result.class_counts)),
            ("Without a label", f"{result.n_unlabelled:,}" if result.n_unlabelled else ""),
            ("Positive class", result.positive),
            ("Left out", "; ".join(excluded)),
            ("Notes", f"{len(result.notes)} on how it was read" if result.notes else ""),
        ],
    }


@_content.register
def _(result: Extraction) -> dict[str, Any]:
    copies = f", {result.n_copies:,} of copies" if result.n_copies else ""
    slowest = f"{result.bottleneck}; faster with {result.advice}" if result.advice else ""
    return {
        "name": result.path.name,
        "facts": [
            ("Samples", _size(result.n_samples, None)),
            ("Features", f"{result.width:,}"),
            ("Rows", f"{result.n_extracted:,} computed, {result.n_known:,} known before{copies}"),
            ("Without a row", f"{len(result.failures):,}" if result.failures else ""),
            ("Rate", f"{result.images_per_second:.1f} images/s in {result.seconds:.1f} s"),
            ("Slowest stage", slowest),
            ("Notes", f"{len(result.notes)}" if result.notes else ""),
        ],
    }


@_content.register
def _(result: LeakExperiment) -> dict[str, Any]:
    header = ["Protocol", "Holds for new patients", "Pooled AUROC", "AUROC in folds", "Accuracy"]
    rows = [
        (row.name, "yes" if row.honest else "no", *(_mean(row, f) for f in _LEAK_FIGURES))
        for row in result.rows
    ]
    return {
        "name": result.dataset,
        "warnings": result.warnings,
        "facts": [
            ("Images", _size(result.n_images, result.n_patients, "image")),
            ("Copies of each", str(result.copies)),
            ("Classifier", result.head),
            ("Positive class", result.positive),
        ],
        "grids": [("", header, rows)],
        "notes": [
            "± is the standard deviation between repeats, which is not a confidence interval."
        ]
        if any("±" in text for row in rows for text in row[2:])
        else [],
    }


_LEAK_FIGURES = ("auroc_pooled", "auroc", "accuracy")


def _mean(row: LeakRow, figure: str) -> str:
    spread = row.spread(figure)
    return f"{row.mean(figure):.3f}" + ("" if spread is None else f" ± {spread:.3f}")


def _external_tables(externals: Sequence[External]) -> list[tuple[str, tuple[Evaluation, ...]]]:
    words = "External cohort {}, tested once with heads trained on all of the first cohort"
    return [(words.format(without_paths(e.dataset["name"])), e.evaluations) for e in externals]


def _verdicts(results: MarginResults | None) -> str:
    return "" if results is None else count_verdicts(results)


def _size(n: int, patients: int | None, noun: str = "sample") -> str:
    samples = f"{n:,} {noun}{'' if n == 1 else 's'}"
    return samples if patients is None else f"{samples} of {counted(patients, 'patient')}"


def _samples_of(predictions: Predictions) -> list[tuple[str, str]]:
    first = np.unique(predictions.ids, return_index=True)[1]
    counts = count_by_class(predictions.labels[first])
    return [("Samples", _size(len(first), None)), ("Classes", class_counts(counts))]


def _distinct(column: Any) -> str:
    return "" if column is None else f"{len(np.unique(column[column != '']))}"
