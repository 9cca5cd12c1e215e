"""The metadata at the head of a card, by which the hub lists a model and its figures."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from bottleneck.backbones.recipe import slug
from bottleneck.model_card.quoted_fields import QuotedField
from bottleneck.model_card.sources.card_arm import find_point
from bottleneck.model_card.sources.card_record import CardRecord
from bottleneck.report.wording.labels import GROUPS, metric_label, metric_names

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, ModelCardData

__all__ = ["hub_metadata"]

# Names of metrics on the hub, where they differ from ours.
_TYPES = {
    "auroc": "roc_auc",
    "auprc": "average_precision",
    "sensitivity": "recall",
    "ppv": "precision",
    "mcc": "matthews_correlation",
    "brier": "brier_score",
}
# Licences that the hub knows by these names.
_LICENCES = re.compile(
    r"apache-2\.0|mit|bsd(-[23]-clause)?|cc0-1\.0|cc-by(-nc)?(-sa|-nd)?-[234]\.0|l?gpl-[23]\.0"
    r"|mpl-2\.0|apple-amlr|openrail"
)
_LIBRARIES = {"onnx": "onnx", "hub": "timm"}


def hub_metadata(record: CardRecord, results: QuotedField, arm: QuotedField) -> ModelCardData:
    """Return the metadata of a card.

    Parameters
    ----------
    record : CardRecord
        What the card is made of.
    results : QuotedField
        Content of ``results.json``.
    arm : QuotedField
        The arm that the model repeats.

    Returns
    -------
    ModelCardData
        Of ``huggingface_hub``. Each metric has its interval in its name and, with the pointer to
        its field, in its arguments.
    """
    from huggingface_hub import ModelCardData

    of_images = arm["backbone"].raw is not None or record.model["kind"] == "networks"
    targets = [str(export.record["target"]) for export in record.exports]
    libraries = [_LIBRARIES[one] for one in targets if one in _LIBRARIES]
    task = "image-classification" if of_images else "tabular-classification"
    return ModelCardData(
        library_name=libraries[0] if libraries else "bottleneck-features",
        pipeline_tag=task,
        tags=["medical-imaging", "research-only", "bottleneck", *dict.fromkeys(targets)],
        model_name=record.title,
        eval_results=[*_evaluations(results, arm, record.model, task)],
        **_licence(record.model["weights"]),
    )


def _licence(weights: Mapping[str, Any]) -> dict[str, Any]:
    """Return the licence of the weights as the hub names it."""
    if weights["name"] is None:
        return {}
    if weights["licence"] is None:
        return {"license": "other", "license_name": "not-stated"}
    name = str(weights["licence"]).lower()
    if _LICENCES.fullmatch(name):
        return {"license": name}
    return {"license": "other", "license_name": slug(name)}


def _evaluations(
    results: QuotedField, arm: QuotedField, facts: Mapping[str, Any], task: str
) -> Iterator[EvalResult]:
    split = f"{results['protocol']['kind'].raw}, {results['protocol']['folds'].raw} folds"
    yield from _figures(results["dataset"], split, arm, facts, task)
    for cohort in results["external"]:
        for one in cohort["arms"]:
            if one["name"] == arm["name"]:
                yield from _figures(cohort["dataset"], "external", one, facts, task)


def _figures(
    dataset: QuotedField, split: str, arm: QuotedField, facts: Mapping[str, Any], task: str
) -> Iterator[EvalResult]:
    from huggingface_hub import EvalResult

    for label, name, figure in _of_decisions(arm, facts):
        if figure["value"].raw is None:
            continue
        interval = _interval(figure.raw)
        yield EvalResult(
            task_type=task,
            dataset_type=slug(dataset["name"].raw),
            dataset_name=dataset["name"].raw,
            dataset_split=split,
            metric_type=_TYPES.get(name, name),
            metric_name=f"{label} (95 % CI {interval})" if interval else label,
            metric_value=round(figure["value"].raw, 3),
            metric_args={
                "field": f"results.json#{figure.pointer}/value",
                **({"interval": interval} if interval else {}),
            },
        )


def _of_decisions(
    arm: QuotedField, facts: Mapping[str, Any]
) -> Iterator[tuple[str, str, QuotedField]]:
    """Yield label, name and value of each figure of the decisions that the model makes.

    A model with a threshold does not decide for the class with the largest score.
    """
    has_threshold, point = facts["operating_point"] is not None, find_point(arm, facts)
    for name in metric_names([arm["metrics"].raw]):
        if not (has_threshold and name in GROUPS["Decisions"]):
            yield metric_label(name), name, arm["metrics"][name]
        elif point is not None and name in point["metrics"].raw:
            yield f"{metric_label(name)} at the threshold", name, point["metrics"][name]


def _interval(figure: Mapping[str, Any]) -> str:
    if figure["low"] is None or figure["high"] is None:
        return ""
    return f"{figure['low']:z.3f} to {figure['high']:z.3f}"
