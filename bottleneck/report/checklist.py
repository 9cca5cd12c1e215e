"""Items of reporting guidelines, and the fields of ``results.json`` that answer them.

TRIPOD+AI: Collins et al. 2024, doi:10.1136/bmj-2023-078378. CLAIM: Tejani et al. 2024,
doi:10.1148/ryai.240300. STARD 2015: Bossuyt et al. 2015, doi:10.1136/bmj.h5527. The numbers of the
items are theirs; the requirements are abridged.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["GUIDELINES", "Item", "Quote", "quotes", "resolve"]

_LONGEST = 140


@dataclasses.dataclass(frozen=True)
class Item:
    """One item of a guideline.

    Attributes
    ----------
    number : str
        Number of the item in the guideline.
    asks : str
        Requirement, abridged.
    paths : tuple of str
        Fields of ``results.json`` that answer it in full or in part: keys joined by dots,
        with ``*`` for every entry of a list. Empty if only the authors can answer it.
    """

    number: str
    asks: str
    paths: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Quote:
    """A field of ``results.json``, and its value in short."""

    path: str
    text: str


_METRICS = ("arms.*.metrics",)
_EXTERNAL = ("external.*.dataset.n_samples", "external.*.drops")
_SUBGROUPS = ("arms.*.subgroups",)
_DIFFERENCES = (*_SUBGROUPS, "arms.*.subgroup_differences")
_WORDS = ("protocol.words",)
_MISSING = ("dataset.failures", "dataset.failures_by_class", "dataset.excluded")
_UNREADABLE = ("arms.*.non_diagnoses",)

#: The guidelines and their items.
GUIDELINES: Mapping[str, tuple[Item, ...]] = {
    "TRIPOD+AI (2024)": (
        Item("1", "Title: prediction model, population, outcome"),
        Item("2", "Abstract by TRIPOD+AI for Abstracts"),
        Item("3a", "Clinical context, rationale, existing models"),
        Item("3b", "Target population, place in the care pathway, users"),
        Item("3c", "Known health inequalities"),
        Item("4", "Objectives: development, evaluation or both"),
        Item("5a", "Sources of data, and why these", ("dataset.name", "external.*.dataset.name")),
        Item("5b", "Dates of accrual"),
        Item("6a", "Setting, number and place of centres"),
        Item("6b", "Who was eligible", ("dataset.excluded",)),
        Item("6c", "Treatments"),
        Item("7", "Preparation of data, quality checks", ("features.*.recipe",)),
        Item("8a", "Outcome: definition, time, how assessed", ("classes", "positive")),
        Item("8b", "Who assessed a subjective outcome"),
        Item("8c", "Blinding of that assessment"),
        Item("9a", "Choice of predictors", ("features.*.recipe.backbone",)),
        Item("9b", "Definition of predictors", ("features.*.recipe",)),
        Item("9c", "Who assessed subjective predictors"),
        Item("10", "Sample size, and why it suffices", ("dataset.n_samples", "dataset.n_patients")),
        Item("11", "Missing data", (*_MISSING, *_UNREADABLE)),
        Item("12a", "How data were used and divided", ("protocol.kind", "protocol.words")),
        Item("12b", "How predictors were handled", _WORDS),
        Item(
            "12c", "Type of model, building, tuning, validation", ("arms.*.head", "arms.*.chosen")
        ),
        Item("12d", "Differences between clusters: how handled"),
        Item(
            "12e",
            "Measures and plots of performance",
            ("protocol.primary", "noninferiority.words", *_METRICS, "arms.*.net_benefits"),
        ),
        Item("12f", "Updating of the model"),
        Item("12g", "How predictions were computed for evaluation", _WORDS),
        Item("13", "Class imbalance: what was done, and recalibration", _WORDS),
        Item("14", "Fairness: what was done", _DIFFERENCES),
        Item("15", "Output of the model, thresholds", ("arms.*.operating_points",)),
        Item("16", "Development against evaluation data", ("external.*.definitions",)),
        Item("17", "Ethical approval and consent"),
        Item("18a", "Funding, role of funders"),
        Item("18b", "Conflicts of interest"),
        Item("18c", "Where the study protocol is"),
        Item("18d", "Registration"),
        Item("18e", "Availability of data", ("dataset.fingerprint",)),
        Item("18f", "Availability of code", ("bottleneck",)),
        Item("19", "Involvement of patients and the public"),
        Item(
            "20a",
            "Flow of participants, with and without the outcome",
            ("dataset.n_samples", *_MISSING, "dataset.classes"),
        ),
        Item("20b", "Characteristics of participants", ("dataset.patients",)),
        Item("20c", "Evaluation against development data", ("external.*.shifts",)),
        Item("21", "Participants and events of each analysis", ("arms.*.n", "dataset.patients")),
        Item("22", "The full model, so that it can be used", ("features.*.recipe",)),
        Item(
            "23a",
            "Performance with intervals, in subgroups too",
            (*_METRICS, "choice.auroc", *_SUBGROUPS),
        ),
        Item("23b", "Differences of performance between clusters", _DIFFERENCES),
        Item("24", "Results of updating"),
        Item("25", "Interpretation, fairness among it"),
        Item("26", "Limitations", ("warnings", "audit.findings")),
        Item("27a", "Poor or missing input in use"),
        Item("27b", "What users have to do and to know"),
        Item("27c", "Next steps, applicability"),
    ),
    "CLAIM (2024 update)": (
        Item("1", "Title: a study of AI, and of which kind"),
        Item("2", "Structured abstract"),
        Item("3", "Background, intended use"),
        Item("4", "Aims, objectives, hypotheses"),
        Item("5", "Prospective or retrospective"),
        Item("6", "Goal of the study"),
        Item("7", "Sources of data", ("dataset.name", "external.*.dataset.name")),
        Item("8", "Inclusion and exclusion criteria", ("dataset.excluded",)),
        Item("9", "Preprocessing of images", ("features.*.recipe.preprocessing",)),
        Item("10", "Selection of subsets of the data"),
        Item("11", "De-identification"),
        Item("12", "Missing data", (*_MISSING, *_UNREADABLE)),
        Item("13", "Image acquisition"),
        Item("14", "Reference standard: definition", ("classes", "positive")),
        Item("15", "Reference standard: why this one"),
        Item("16", "Reference standard: who annotated"),
        Item("17", "Annotation of the test set"),
        Item("18", "Variability between and within readers"),
        Item("19", "How data were assigned to partitions", ("protocol.words", "protocol.seed")),
        Item(
            "20", "Level at which partitions are disjoint", ("protocol.grouped", "audit.findings")
        ),
        Item("21", "Intended sample size"),
        Item("22", "The model in detail", ("features.*.recipe", "arms.*.head")),
        Item("23", "Software", ("bottleneck", "features.*.versions")),
        Item("24", "Initial parameters", ("arms.*.weights",)),
        Item("25", "Training", ("protocol.words", "arms.*.cost")),
        Item(
            "26",
            "How the final model was chosen",
            ("protocol.inner_folds", "arms.*.chosen", "choice.best"),
        ),
        Item("27", "Ensembles"),
        Item("28", "Metrics of performance", _METRICS),
        Item(
            "29",
            "Significance and uncertainty",
            ("protocol.primary", "comparisons", "noninferiority.tests"),
        ),
        Item("30", "Robustness and sensitivity", ("arms.*.learning_curve", *_SUBGROUPS)),
        Item("31", "Explanations of the model"),
        Item("32", "Evaluation on internal data", ("protocol.kind",)),
        Item("33", "Testing on external data", _EXTERNAL),
        Item("34", "Registration of a trial"),
        Item(
            "35",
            "Numbers included and excluded",
            ("dataset.n_patients", "dataset.n_samples", "dataset.excluded"),
        ),
        Item("36", "Characteristics of cases in each partition", ("dataset.patients",)),
        Item("37", "Performance and its uncertainty", (*_METRICS, "choice.auroc")),
        Item("38", "Diagnostic performance and its precision", ("arms.*.operating_points",)),
        Item("39", "Analysis of failures", ("arms.*.confusion",)),
        Item("40", "Limitations", ("warnings", "audit.findings")),
        Item("41", "Implications for practice"),
        Item("42", "Where the full protocol is"),
        Item("43", "Availability of software, model and data", ("bottleneck",)),
        Item("44", "Funding, role of funders"),
    ),
    "STARD 2015": (
        Item("1", "Title or abstract: a study of diagnostic accuracy"),
        Item("2", "Structured summary"),
        Item("3", "Background, intended use and clinical role of the test"),
        Item("4", "Objectives and hypotheses"),
        Item("5", "Prospective or retrospective"),
        Item("6", "Eligibility criteria", ("dataset.excluded",)),
        Item("7", "How eligible participants were identified"),
        Item("8", "Where and when they were identified"),
        Item("9", "Consecutive, random or convenience series"),
        Item("10a", "The test in detail", ("features.*.recipe", "arms.*.head")),
        Item("10b", "Reference standard in detail", ("classes", "positive")),
        Item("11", "Reference standard: why this one"),
        Item("12a", "Cut-offs of the test, prespecified or not", ("arms.*.operating_points",)),
        Item("12b", "Cut-offs of the reference standard"),
        Item("13a", "What the performers of the test knew"),
        Item("13b", "What the assessors of the reference standard knew"),
        Item("14", "Methods to estimate and compare accuracy", ("protocol.primary", *_WORDS)),
        Item("15", "Indeterminate results: how handled", _UNREADABLE),
        Item("16", "Missing data: how handled", (*_MISSING, *_UNREADABLE)),
        Item("17", "Variability of accuracy, prespecified or not", _SUBGROUPS),
        Item("18", "Intended sample size, and how determined"),
        Item("19", "Flow of participants", ("dataset.n_samples", *_MISSING)),
        Item("20", "Characteristics of participants", ("dataset.patients",)),
        Item("21a", "Severity of disease in those with the target condition"),
        Item("21b", "Other diagnoses in those without it"),
        Item("22", "Time and interventions between test and reference standard"),
        Item("23", "Cross tabulation with the reference standard", ("arms.*.confusion",)),
        Item("24", "Accuracy and its precision", _METRICS),
        Item("25", "Adverse events"),
        Item("26", "Limitations", ("warnings", "audit.findings")),
        Item("27", "Implications for practice"),
        Item("28", "Registration"),
        Item("29", "Where the full protocol is"),
        Item("30", "Funding, role of funders"),
    ),
}


def quotes(item: Item, record: Mapping[str, Any]) -> list[Quote]:
    """Return the fields that answer an item, without empty ones."""
    quoted = []
    for path in item.paths:
        values = [v for v in resolve(path, record) if v is not None and v not in ("", [], {})]
        if values:
            text = _value_text(values) if "*" in path else _value_text(values[0])
            quoted.append(Quote(path, text))
    return quoted


def resolve(path: str, record: Mapping[str, Any]) -> list[Any]:
    """Return the values at a path of ``results.json``, one per entry that has it."""
    values: list[Any] = [record]
    for key in path.split("."):
        if key == "*":
            values = [entry for value in values for entry in value]
        else:
            values = [value[key] for value in values if value is not None and key in value]
    return values


def _value_text(value: Any) -> str:
    """Return a value in a few words; a long or nested one as its number of entries."""
    if isinstance(value, list):
        same = list(dict.fromkeys(_flat(value)))
        return _short(", ".join(same)) if same else _count(len(value))
    if isinstance(value, Mapping):
        flat = ", ".join(f"{key}: {v}" for key, v in value.items() if _scalar(v))
        return _short(flat) if all(map(_scalar, value.values())) else _count(len(value))
    return _short(_scalar_text(value))


def _flat(values: list[Any]) -> Iterator[str]:
    """Yield the entries of a list as texts, or nothing if one is nested."""
    if all(map(_scalar, values)):
        yield from map(_scalar_text, values)


def _scalar(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float)


def _scalar_text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1].rstrip() + "…"


def _count(n: int) -> str:
    return f"{n} {'entry' if n == 1 else 'entries'}"
