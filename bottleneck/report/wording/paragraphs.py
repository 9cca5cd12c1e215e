"""A methods and a results paragraph with the numbers of a comparison, ready to copy."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bottleneck import __version__
from bottleneck.checks.ignored_checks import describe_ignored
from bottleneck.data.labels.choice import describe_merges
from bottleneck.data.sources.source_names import describe_sources
from bottleneck.evaluation.metrics.metric_values import Difference, Metric
from bottleneck.evaluation.results.comparison_results import Comparison, Evaluation, External
from bottleneck.evaluation.results.result_parts import MarginResults
from bottleneck.report.summary import interval_methods, summarise
from bottleneck.report.wording.labels import metric_label, of_images
from bottleneck.report.wording.number_format import p_value, prose, signed, three
from bottleneck.report.wording.verdicts import LEVEL, count_verdicts
from bottleneck.text.plain_text import visible
from bottleneck.text.plurals import counted
from bottleneck.text.table_text import markdown_text

__all__ = ["methods_paragraph", "paragraphs_markdown", "results_paragraph"]

_OPTION = re.compile(r" \(--[^()]*\)")
_DECISIONS = ("accuracy", "sensitivity", "specificity", "ppv", "npv")


def methods_paragraph(comparison: Comparison) -> str:
    """Return how the comparison was done, as a paragraph for a manuscript.

    Parameters
    ----------
    comparison : Comparison
        Result of ``compare``.

    Returns
    -------
    str
        Data set, leak audit, protocol, features, intervals and tests, on one line.
    """
    protocol, audit = comparison.protocol, comparison.audit
    arms = [e for e in comparison.evaluations if e.backbone is not None]
    frozen = list(dict.fromkeys(f"{e.backbone} ({e.weights})" for e in arms))
    sentences = [_used(comparison.dataset), _reader(comparison)]
    if audit is not None:
        before = " before any training" if comparison.features else ""
        sentences.append(f"A leak audit{before} gave: {audit.verdict}. {audit.ties}")
    if comparison.ignored:
        sentences.append(f"{describe_ignored(comparison.ignored)}.")
    if comparison.conflicts is not None:
        sentences.append(f"{comparison.conflicts.words}.")
    sentences.append(str(protocol["words"]))
    own = [
        f"{recipe['backbone']} ({recipe['weights']})"
        for recipe in (provenance.get("recipe", {}) for provenance in comparison.features)
        if "columns" in recipe
    ]
    for names, what in (
        ([name for name in frozen if name not in own], "those of frozen networks"),
        ([name for name in frozen if name in own], "computed by other means"),
    ):
        if names:
            sentences.append(f"Features were {what}: {', '.join(names)}.")
    licences = [
        f"{recipe.get('backbone')} ({recipe.get('weights')}): {weights['licence'] or 'not stated'}"
        for recipe, weights in (
            (provenance.get("recipe", {}), provenance.get("weights") or {})
            for provenance in comparison.features
        )
        if "licence" in weights and weights.get("name") != "random"
    ]
    if licences:
        sentences.append(f"Licences of the weights: {'; '.join(dict.fromkeys(licences))}.")
    methods = [
        f"{metrics}: {method}" for method, metrics in interval_methods(comparison.evaluations)
    ]
    if methods:
        sentences.append(f"Confidence intervals: {'; '.join(methods)}.")
    if protocol.get("primary"):
        sentences.append(f"Primary comparison: {protocol['primary']}.")
    if comparison.noninferiority is not None:
        sentences.append(f"{comparison.noninferiority.words}.")
    sentences.append(f"Software: bottleneck {__version__}.")
    return _text(sentences)


def results_paragraph(comparison: Comparison) -> str:
    """Return the results of a comparison, as a paragraph for a manuscript.

    Parameters
    ----------
    comparison : Comparison
        Result of ``compare``.

    Returns
    -------
    str
        Numbers of samples, the AUROC of every arm, the primary differences of the arm with the
        highest AUROC, external cohorts, and all warnings, on one line. Numbers have the decimals
        of the tables.
    """
    summary = summarise(comparison)
    best = summary.best
    arms = [e for e in comparison.evaluations if e.uses_images]
    blind = [e for e in comparison.evaluations if not e.uses_images]
    sentences = [
        _used(comparison.dataset),
        f"Results are from {summary.tested_on} in {summary.design}.",
    ]
    if arms:
        listed = "; ".join(f"{e.name} {_figure(e.metrics.get('auroc'))}" for e in arms)
        sentences.append(f"{_auroc(comparison)}: {listed}.")
    if (choice := comparison.choice) is not None:
        sentences.append(
            f"The highest AUROC, that of {choice.best}, is {_figure(choice.of_best)} with an "
            f"interval that allows for the choice among {choice.n_arms} arms."
        )
    if best is not None:
        sentences += _decisions(best, comparison.positive)
        sentences += _non_diagnoses(best)
        sentences += _benefits(best)
        sentences += [*_differences(comparison, best), summary.readers]
    if comparison.noninferiority is not None:
        sentences += _margin(comparison.noninferiority)
    if blind:
        listed = "; ".join(f"{e.name} {_figure(e.metrics.get('auroc'))}" for e in blind)
        what = "images" if of_images(comparison) else "features"
        sentences.append(f"Without {what}, the AUROC was: {listed}.")
    if comparison.conflicts is not None and best is not None:
        for effect in comparison.conflicts.auroc:
            if effect.arm == best.name and effect.without and effect.with_them:
                sentences.append(
                    f"AUROC of {best.name} without the copies that have different labels: "
                    f"{_figure(effect.without)}; with them: {_figure(effect.with_them)}."
                )
    if best is not None:
        sentences += [_external(cohort, best) for cohort in comparison.external]
    if comparison.warnings:
        sentences.append(f"Limitations: {'; '.join(w.rstrip('.') for w in comparison.warnings)}.")
    return _text(sentences)


def paragraphs_markdown(comparison: Comparison) -> str:
    """Return both paragraphs as the file ``paragraphs.md``."""
    return (
        f"## Methods\n\n{markdown_text(methods_paragraph(comparison))}\n\n"
        f"## Results\n\n{markdown_text(results_paragraph(comparison))}\n"
    )


def _text(sentences: list[str]) -> str:
    """Join sentences on one line, without options of the command line."""
    whole = " ".join(sentence for sentence in sentences if sentence)
    return visible(prose(_OPTION.sub("", whole)))


def _used(dataset: Mapping[str, Any]) -> str:
    """Return the numbers of samples and patients, of each class and of those excluded."""
    n, patients, positive = dataset["n_samples"], dataset["n_patients"], dataset["positive"]
    of = f" of {counted(patients, 'patient')}" if patients else ""
    classes = ", ".join(f"{count} {label}" for label, count in dataset["classes"].items())
    text = f"The data set {dataset['name']} had {counted(n, 'sample')}{of} ({classes}"
    if positive is not None:
        text += f"; prevalence of {positive} {100 * dataset['classes'][positive] / n:.1f} %"
    excluded = dict(dataset["excluded"])
    if dataset["failures"]:
        excluded["unreadable"] = dataset["failures"]
    merges = describe_merges(dataset.get("selection", {}))
    more = f" It combines {describe_sources(dataset)}." if dataset.get("sources") else ""
    more += f" Classes were merged or renamed: {'; '.join(merges)}." if merges else ""
    if not excluded:
        return f"{text}).{more}"
    by_class = dataset.get("failures_by_class", {})
    listed = ", ".join(f"{label} {count}" for label, count in by_class.items())
    of_class = {"unreadable": f", of these {listed}"} if listed else {}
    reasons = "; ".join(
        f"{reason}: {count}{of_class.get(reason, '')}" for reason, count in excluded.items()
    )
    n = counted(sum(excluded.values()), "sample")
    return f"{text}), after {n} had been excluded ({reasons}).{more}"


def _reader(comparison: Comparison) -> str:
    """Return which reader of another package read the data set; "" for one of this package."""
    recorded = [each.get("dataset", {}).get("reader", {}) for each in comparison.features]
    texts = {
        " ".join(filter(None, (f"'{one['name']}' of", one["package"], one.get("version"))))
        for one in recorded
        if "package" in one
    }
    return f"It was read by the reader {' and '.join(sorted(texts))}." if texts else ""


def _auroc(comparison: Comparison) -> str:
    if comparison.positive is None:
        return "Macro-averaged one-vs-rest AUROC"
    return f"AUROC for {comparison.positive}"


def _figure(metric: Metric | None) -> str:
    """Return a value with its interval, and the caveat if the interval is not reliable."""
    if metric is None:
        return "not defined"
    if metric.low is None or metric.high is None:
        return three(metric.value)
    caveat = ", estimate only" if metric.estimate_only else ""
    interval = f"95 % CI {three(metric.low)} to {three(metric.high)}{caveat}"
    return f"{three(metric.value)} ({interval})"


def _decisions(best: Evaluation, positive: str | None) -> list[str]:
    known = [name for name in _DECISIONS if name in best.metrics]
    if not known:
        return []
    labels = {name: metric_label(name) for name in known}
    listed = "; ".join(
        f"{label if label.isupper() else label.lower()} {_figure(best.metrics[name])}"
        for name, label in labels.items()
    )
    averaged = "" if positive is not None else ", averaged over the classes"
    return [f"The predicted classes of {best.name} had{averaged}: {listed}."]


def _non_diagnoses(best: Evaluation) -> list[str]:
    """Return the decisions if unreadable samples count as errors; nothing if all were read."""
    lost = best.non_diagnoses
    if lost is None:
        return []
    listed = "; ".join(
        f"{metric_label(name).lower()} {_figure(lost.wrong[name])} "
        f"(at best {three(lost.right[name].value)})"
        for name in lost.touched
    )
    return [f"With the {lost.n_samples} unreadable of the test set counted as errors: {listed}."]


def _benefits(best: Evaluation) -> list[str]:
    """Return the net benefit at the stated threshold; nothing if none was stated."""
    return [
        f"The net benefit of {best.name} at a threshold probability of {one.threshold:.4g} was "
        f"{_gain(one.model)} true positives per sample, {_gain(one.over_everyone)} above that of "
        "acting on everyone."
        for one in best.net_benefits
        if one.stated
    ]


def _gain(metric: Metric) -> str:
    """Return a value that can be negative, with its interval."""
    if metric.low is None or metric.high is None:
        return signed(metric.value)
    caveat = ", estimate only" if metric.estimate_only else ""
    return f"{signed(metric.value)} (95 % CI {signed(metric.low)} to {signed(metric.high)}{caveat})"


def _differences(comparison: Comparison, best: Evaluation) -> list[str]:
    primary = [
        d
        for d in comparison.differences
        if d.metric == "auroc" and d.role == "primary" and best.name in (d.a, d.b)
    ]
    if not primary:
        return []
    listed = "; ".join(_difference(d) for d in primary)
    return [f"Differences of the AUROC (first arm minus second): {listed}."]


def _difference(difference: Difference) -> str:
    d = difference
    facts = []
    if d.low is not None and d.high is not None:
        caveat = ", estimate only" if "estimate only" in (d.method or "") else ""
        facts.append(f"95 % CI {signed(d.low)} to {signed(d.high)}{caveat}")
    if d.p_adjusted is not None:
        facts.append(f"p {_equals(d.p_adjusted)}, adjusted by Holm's method")
    elif d.p is not None:
        facts.append(f"p {_equals(d.p)}")
    return f"{d.a} and {d.b} {signed(d.value)}" + (f" ({'; '.join(facts)})" if facts else "")


def _margin(results: MarginResults) -> list[str]:
    """Return the differences to the reference arm, and the verdicts."""
    listed = "; ".join(
        f"{test.arm} {signed(test.value)} (95 % CI {signed(test.low)} to {signed(test.high)}"
        f"{', estimate only' if 'estimate only' in test.method else ''}; one-sided p "
        f"{_equals(test.p_adjusted, LEVEL)})"
        for test in results.tests
    )
    return [count_verdicts(results), f"AUROC minus that of {results.reference}: {listed}."]


def _equals(p: float, level: float = 0.05) -> str:
    text = p_value(p, level)
    return text if text.startswith("<") else f"= {text}"


def _external(external: External, best: Evaluation) -> str:
    dataset = external.dataset
    patients = dataset["n_patients"]
    size = counted(dataset["n_samples"], "sample")
    size += f" of {counted(patients, 'patient')}" if patients else ""
    for drop in external.drops:
        if drop.arm == best.name and drop.metric == "auroc":
            change = drop.difference
            interval = (
                f" (95 % CI {signed(change.low)} to {signed(change.high)})"
                if change.low is not None and change.high is not None
                else ""
            )
            limits = "; ".join(w.rstrip(".") for w in external.warnings)
            return (
                f"In the external cohort {dataset['name']} ({size}), the AUROC of {best.name} was "
                f"{_figure(drop.outside)}, a difference of {signed(change.value)}{interval} to the "
                f"internal value"
                f"{f' ({limits})' if limits else ''}."
            )
    return ""
