"""The text of a card: Markdown whose numbers and texts are fields of documents."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, UndefinedError

from bottleneck.backbones.licences import judge_licence
from bottleneck.backbones.recipe import takes_volumes
from bottleneck.checks.check_registry import CHECKS
from bottleneck.data.images.preparation import recorded_preparation
from bottleneck.data.splits.shortage import ESTIMATE_ONLY
from bottleneck.errors import UsageError, one_line
from bottleneck.model_card.hub_metadata import hub_metadata
from bottleneck.model_card.quoted_fields import QuotedField, show
from bottleneck.model_card.sources.card_arm import BASELINES, find_card_arm, find_point
from bottleneck.model_card.sources.card_record import CardRecord, record_comment
from bottleneck.model_card.sources.export_facts import TITLES
from bottleneck.report.wording.glossary import explain_metrics
from bottleneck.report.wording.labels import metric_label, metric_names
from bottleneck.text.table_text import markdown_text

__all__ = ["card_text"]

_VERDICTS = {
    "commercial": "allows commercial use on its conditions",
    "non-commercial": "**does not allow commercial use**",
    "unknown": "read it before you use the model",
}
_PIPELINE = [
    "```python",
    "from transformers import pipeline",
    "",
    'classify = pipeline("image-classification", model="FOLDER")',
    'print(classify("picture.png"))',
    "```",
    "",
    "FOLDER is the path of this folder, or its name on the hub. Give it 8-bit pictures: others "
    "are read with values that the model was not trained on, without a message. The first label "
    "has the largest probability, which is not how this model decides: see above.",
]
_PROGRAM = ["```", "python predict.py picture.png", "```"]
_NOT_STATED = "not stated by the publisher or importer; do not assume that your use is allowed"


def card_text(record: CardRecord, results: Mapping[str, Any], path: Path) -> str:
    """Return the card of a model.

    Parameters
    ----------
    record : CardRecord
        What it is made of.
    results : mapping
        Content of ``results.json``.
    path : Path
        Its file, for messages.

    Returns
    -------
    str
        Metadata, Markdown, and the record in a comment.

    Raises
    ------
    UsageError
        If the comparison did not evaluate the model, or a field that a card needs is missing.
    """
    try:
        whole = QuotedField(results)
        arm = whole["arms"][find_card_arm(results, record.model, record.results_sha256)]
        template = _environment().get_template("card.md.jinja")
        body = template.render(_names(record, whole, arm))
        metadata = hub_metadata(record, whole, arm).to_yaml()
    # A results.json of this format has all fields, unless it was changed.
    except (KeyError, IndexError, TypeError, AttributeError, UndefinedError) as error:
        raise UsageError(
            f"{path}, or the record of an export, lacks a field that a card needs, or has the "
            f"wrong type in it ({one_line(error)}): compare or export again"
        ) from error
    lines = (line.rstrip() for line in body.split("\n"))
    body = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
    return f"---\n{metadata}\n---\n\n{body}\n\n{record_comment(record)}\n"


@functools.cache
def _environment() -> Environment:
    """Return the environment of the templates: a field is shown with its pointer."""
    made = Environment(
        loader=PackageLoader("bottleneck.model_card", "templates"),
        autoescape=False,  # The cards are not HTML; fields are escaped as Markdown.
        undefined=StrictUndefined,
        finalize=lambda value: show(value) if isinstance(value, QuotedField) else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {
        "is_estimate": lambda figure: ESTIMATE_ONLY in (figure["method"].raw or ""),
        "explain": lambda name: explain_metrics([name])[0].line,
        "label": lambda name: markdown_text(metric_label(name)),
        "metric_order": lambda metrics: metric_names([metrics.raw]),
        "show": show,
        "word": markdown_text,
    }
    return made


def _names(record: CardRecord, results: QuotedField, arm: QuotedField) -> dict[str, Any]:
    """Return the names of the templates."""
    facts = QuotedField(record.model, "model#")
    positive = results["positive"].raw
    classes = [markdown_text(one) for one in results["classes"].raw]
    others = [one for one in results["classes"].raw if one != positive]
    features = next(
        (
            one
            for one in results["features"]
            if one["recipe_hash"] == record.model.get("recipe_hash")
        ),
        None,
    )
    of_images = record.model["kind"] == "networks" or (
        features is not None and "preprocessing" in features["recipe"].raw
    )
    of_volumes = features is not None and takes_volumes(features["recipe"].raw)
    noun = "image" if of_images and not of_volumes else "sample"
    by_patient = bool(results["protocol"]["unit"] == "patient")
    return {
        "title": markdown_text(record.title),
        "results": results,
        "arm": arm,
        "facts": facts,
        "features": features,
        "preparation": markdown_text(recorded_preparation(features["recipe"].raw).words)
        if features is not None
        else "",
        "auroc": arm["metrics"]["auroc"],
        "of_choice": _of_choice(results, arm),
        "point": find_point(arm, record.model),
        "differences": [
            one
            for one in results["comparisons"]
            if one["metric"] == "auroc" and arm["name"].raw in (one["a"].raw, one["b"].raw)
        ],
        "baselines": any(one["head"].raw in BASELINES for one in results["arms"]),
        "external": [*_external(results, arm)],
        "exports": [
            QuotedField(one.record, f"{one.record['target']}/export.json#")
            for one in record.exports
        ],
        "export_digests": [one.sha256 for one in record.exports],
        "export_titles": TITLES,
        "of_images": of_images,
        "of_volumes": of_volumes,
        "noun": noun,
        "by_patient": by_patient,
        "tested": "patients" if by_patient else f"{noun}s",
        "positive": None if positive is None else markdown_text(positive),
        "checks": CHECKS,
        "others": _listed([markdown_text(one) for one in others]),
        "class_list": _listed(classes),
        "class_or": _listed(classes, "or"),
        "cautions": _cautions(results, arm, record.model),
        "limits": _limits(results, record.model),
        "licence_words": _describe_licence(facts["weights"]),
        "card_licence": markdown_text(record.licence or "not stated by the authors"),
        "usage": _usage(record),
        "citation": _citation(record),
        "digest": record.results_sha256,
    }


def _describe_licence(weights: QuotedField) -> str:
    """Return the licence of the weights, and what it allows."""
    licence, name = weights["licence"], weights["name"].raw
    if name in (None, "random", "none"):
        return "none: there are no weights of others"
    if (verdict := judge_licence(licence.raw)) in _VERDICTS:
        return f"{show(licence)}: {_VERDICTS[verdict]}"
    return _NOT_STATED


def _external(results: QuotedField, arm: QuotedField) -> Iterator[dict[str, Any]]:
    """Yield what the templates show of each cohort that tested the arm."""
    for cohort in results["external"]:
        for one in cohort["arms"]:
            if one["name"] == arm["name"]:
                yield {
                    **{
                        name: cohort[name]
                        for name in ("dataset", "definitions", "shifts", "warnings")
                    },
                    "arm": one,
                    "drops": [drop for drop in cohort["drops"] if drop["arm"] == arm["name"]],
                }


def _of_choice(results: QuotedField, arm: QuotedField) -> QuotedField | None:
    """Return the AUROC of an arm with an interval that allows for the choice; None with few."""
    choice, name = results["choice"], arm["name"].raw
    return choice["auroc"][name] if choice and name in choice["auroc"].raw else None


def _cautions(results: QuotedField, arm: QuotedField, model: Mapping[str, Any]) -> list[str]:
    """Return how the AUROC is to be read, the most severe first."""
    auroc, texts = arm["metrics"]["auroc"].raw, []
    if results["protocol"]["allow_leakage"]:
        texts.append(
            "Leakage was allowed in this comparison. The figures can be far too optimistic."
        )
    if results["dataset"]["n_patients"].raw is None:
        texts.append(
            "No patients are known. If some patients have several images, they are in training "
            "and test sets at once, and the figures are too optimistic."
        )
    if model["words"]["order"]:
        texts.append("The model does not distinguish the classes, and must not be used.")
    low = (_of_choice(results, arm) or arm["metrics"]["auroc"])["low"].raw
    if low is not None and low <= 0.5:
        texts.append("The interval includes 0.5: the model may be no better than chance.")
    known = {
        one["name"].raw: one["metrics"]["auroc"]["value"].raw
        for one in results["arms"]
        if "auroc" in one["metrics"].raw and one["metrics"]["auroc"]["value"].raw is not None
    }
    heads = {one["name"].raw: one["head"].raw for one in results["arms"]}
    ranked = {name: value for name, value in known.items() if heads[name] not in BASELINES}
    for name, value in known.items():
        if heads[name] in BASELINES and auroc["value"] is not None and value >= auroc["value"]:
            arm_name = markdown_text(name)
            texts.append(f"The arm '{arm_name}', which uses no pixel, is at least as good.")
    if len(ranked) > 1 and auroc["value"] == max(ranked.values()):
        texts.append(
            "It is the highest of the arms that were compared. A figure that was chosen because "
            "it is the highest is too optimistic on average."
        )
    if model["words"]["recalibrations"] != "none":
        texts.append(
            "The model has been recalibrated since. The figures are from before the recalibration."
        )
    return texts


def _limits(results: QuotedField, model: Mapping[str, Any]) -> list[str]:
    texts = [
        "The figures describe these patients under this protocol. They do not apply to other "
        "hospitals, scanners or patients, unless they are measured there.",
        "The labels were not checked. The model has learnt their errors.",
    ]
    if model["kind"] == "head" and results["protocol"]["kind"] != "fixed split":
        texts.append(
            "The figures are those of the training procedure. This model is one result of that "
            "procedure."
        )
    if not results["external"]:
        texts.append("No other data set was tested.")
    return texts


def _usage(record: CardRecord) -> list[str]:
    """Return how the model is used: with this package, and each of its exports without."""
    name = record.model["file"] or "model.skops"
    lines = [
        "```",
        "pip install bottleneck-features",
        f"bottleneck predict {name} IMAGES",
        "```",
        "",
        "Each image is a row of `predictions.csv`, with the probability, the decision, the classes "
        "that cannot be excluded, and how far the image is from the training images.",
    ]
    for export in record.exports:
        target, files = export.record["target"], export.record["files"]
        is_program = "predict.py" in files
        lines += ["", f"Without this package ({TITLES[target]}):", ""]
        lines += _PROGRAM if is_program else _PIPELINE
    return lines


def _citation(record: CardRecord) -> list[str]:
    comparison = record.model.get("comparison") or {}
    year = str(comparison.get("date", ""))[:4]
    fields = {
        "author": " and ".join(record.authors),
        "title": record.title,
        "year": year,
        "note": f"bottleneck-features {record.bottleneck}, results.json {record.results_sha256}",
    }
    lines = [f"  {name} = {{{_bibtex(text)}}}," for name, text in fields.items() if text]
    return ["@misc{model,", *lines, "}"]


def _bibtex(text: str) -> str:
    """Return a text for a field of BibTeX on one line, which nothing in it ends."""
    return re.sub(r"[{}\\`\s]+", " ", text).strip()


def _listed(names: Sequence[str], word: str = "and") -> str:
    *first, last = names
    return f"{', '.join(first)} {word} {last}" if first else last
