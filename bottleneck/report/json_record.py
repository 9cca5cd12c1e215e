"""The content of ``results.json``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bottleneck import __version__
from bottleneck.evaluation.metrics.inference.metric_intervals import jackknife_aurocs
from bottleneck.evaluation.metrics.metric_values import Difference
from bottleneck.evaluation.results.arm_origin import ArmOrigin
from bottleneck.evaluation.results.comparison_results import Comparison, Evaluation, External
from bottleneck.evaluation.results.result_parts import MarginResults
from bottleneck.report.audit_record import audit_record
from bottleneck.report.redaction import plain, shareable
from bottleneck.report.wording.labels import n_samples
from bottleneck.schemas.json_schemas import JsonRecord
from bottleneck.text.plain_text import json_text, without_paths

__all__ = ["results", "results_text"]


def results(comparison: Comparison) -> JsonRecord:
    """Return all results of a comparison in types of strict JSON.

    Parameters
    ----------
    comparison : Comparison
        Result of ``compare``.

    Returns
    -------
    JsonRecord
        Metrics that are not defined are None. It contains no ids of samples or patients and
        no absolute paths.
    """
    comparison = shareable(comparison)
    record = {
        "bottleneck": __version__,
        "dataset": plain(comparison.dataset),
        "protocol": plain(comparison.protocol),
        "classes": plain(comparison.classes),
        "positive": comparison.positive,
        "warnings": plain(comparison.warnings),
        "ignored": dict(comparison.ignored),
        "arms": [_arm(e) for e in comparison.evaluations],
        "choice": plain(comparison.choice),
        "comparisons": _differences(comparison.differences),
        "noninferiority": _margin(comparison.noninferiority),
        "external": [_external(e) for e in comparison.external],
        "conflicts": plain(comparison.conflicts),
        "audit": None if comparison.audit is None else audit_record(comparison.audit),
        "features": plain(comparison.features),
    }
    # Labels of classes may be paths too.
    return JsonRecord("compare", plain(record, without_paths))


def results_text(comparison: Comparison) -> str:
    """Return the text of ``results.json``."""
    return json_text(results(comparison)) + "\n"


def _arm(evaluation: Evaluation) -> dict[str, Any]:
    e = evaluation
    return {
        **plain({"name": e.name, "backbone": e.backbone, "weights": e.weights, "head": e.head}),
        "n": n_samples(e),
        "metrics": plain(e.metrics),
        "jackknife": _jackknife(e),
        "confusion": plain(e.confusion),
        "classifier": plain(e.classifier),
        "chosen": plain(e.chosen),
        "seconds": plain(e.seconds),
        "per_class": plain(e.per_class),
        "operating_points": plain(e.operating_points),
        "calibration": plain(e.calibration),
        "decision_curve": plain(e.decision_curve),
        "net_benefits": plain(e.net_benefits),
        "non_diagnoses": plain(e.non_diagnoses),
        "subgroups": plain(e.subgroups),
        "subgroup_differences": plain(e.subgroup_differences),
        "learning_curve": plain(e.learning_curve),
        "centres": plain(e.centres),
        "free_response": plain(e.free_response),
        "cost": plain(e.cost),
        "members": plain(e.members),
        "origin": _origin(e.origin),
    }


def _jackknife(evaluation: Evaluation) -> dict[str, Any] | None:
    """Return the AUROC in each repeat by models without one part of the training patients.

    The intervals of the AUROC, and of its differences, can be computed from it again.
    """
    predictions = evaluation.predictions
    if predictions.jackknife is None:
        return None
    classes = predictions.classes if evaluation.per_class else ()
    return {
        "auroc": plain(jackknife_aurocs(predictions, evaluation.positive)),
        "per_class": {name: plain(jackknife_aurocs(predictions, name)) for name in classes},
    }


def _origin(origin: ArmOrigin | None) -> dict[str, str] | None:
    """Return the digests by which ``fit`` recognises an arm; None where it is of no features."""
    if origin is None or origin.is_trained_network:
        return None
    return {"recipe_hash": origin.recipe_hash, "samples": origin.samples, "head": origin.head}


def _differences(differences: Sequence[Difference]) -> list[dict[str, Any]]:
    records = []
    for d in differences:
        fields = plain(d)
        pair = {"a": fields.pop("a"), "b": fields.pop("b"), "metric": fields.pop("metric")}
        records.append({**pair, "difference": fields.pop("value"), **fields})
    return records


def _margin(results: MarginResults | None) -> dict[str, Any] | None:
    if results is None:
        return None
    record: dict[str, Any] = plain(results)
    tests = [{"difference": test.pop("value"), **test} for test in record["tests"]]
    return {**record, "tests": [{"arm": test.pop("arm"), **test} for test in tests]}


def _external(external: External) -> dict[str, Any]:
    return {
        "dataset": plain(external.dataset),
        "warnings": plain(external.warnings),
        "definitions": plain(external.definitions),
        "arms": [_arm(e) for e in external.evaluations],
        "comparisons": _differences(external.differences),
        "noninferiority": _margin(external.noninferiority),
        "drops": plain(external.drops),
        "conflicts": plain(external.conflicts),
        "shifts": plain(external.shifts),
    }
