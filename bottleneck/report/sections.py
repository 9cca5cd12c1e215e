"""The sections of the page, in order."""

from __future__ import annotations

import dataclasses

from bottleneck.evaluation.results.comparison_results import Comparison, External

__all__ = ["Section", "list_sections"]

# Groups of the contents; what is in none of them is about performance.
_GROUPS = {
    "Data": ("cohort", "audit"),
    "Methods": ("protocol", "text", "costs", "features"),
    "Use": ("limits", "checklist", "keep"),
}


@dataclasses.dataclass(frozen=True)
class Section:
    """A section of the page: its anchor, its title and its template."""

    id: str
    title: str
    template: str
    external: External | None = None

    @property
    def group(self) -> str:
        """The group of the section in the contents."""
        return next((name for name, ids in _GROUPS.items() if self.id in ids), "Performance")


def list_sections(comparison: Comparison) -> list[Section]:
    """Return the sections that a comparison has, in the order of the page."""
    arms = comparison.evaluations
    cohorts = [
        Section(f"external-{n}", f"External cohort: {e.dataset['name']}", "populations/external", e)
        for n, e in enumerate(comparison.external, 1)
    ]
    listed = [
        (True, Section("results", "Results", "performance/results")),
        (
            comparison.differences,
            Section("differences", "Differences between arms", "performance/pairs"),
        ),
        (
            comparison.noninferiority,
            Section("noninferiority", "Non‑inferiority", "performance/noninferiority"),
        ),
        (any(e.centres for e in arms), Section("centres", "Centres", "populations/centres")),
        (True, Section("roc", "ROC curves", "performance/roc")),
        (
            any(e.operating_points for e in arms),
            Section("thresholds", "Operating points", "performance/thresholds"),
        ),
        (
            any(e.free_response for e in arms),
            Section("lesions", "Lesions detected", "performance/lesions"),
        ),
        (
            any(e.calibration or e.decision_curve for e in arms),
            Section("probabilities", "Calibration and net benefit", "performance/probabilities"),
        ),
        (True, Section("confusion", "Confusion matrices", "performance/confusion")),
        (
            comparison.cases or any(one.cases for one in comparison.external),
            Section("errors", "Errors", "performance/errors"),
        ),
        (
            any(e.subgroups for e in arms),
            Section("subgroups", "Subgroups", "populations/subgroups"),
        ),
        (
            any(e.learning_curve for e in arms),
            Section("learning", "Number of training patients", "performance/learning"),
        ),
        *((True, section) for section in cohorts),
        (True, Section("cohort", "Cohort", "methods/cohort")),
        (comparison.audit, Section("audit", "Leak audit", "methods/audit")),
        (True, Section("protocol", "Protocol", "methods/protocol")),
        (True, Section("text", "Paragraphs for a manuscript", "methods/text")),
        (any(e.cost for e in arms), Section("costs", "Costs of training", "methods/costs")),
        (comparison.features, Section("features", "Features", "methods/features")),
        (True, Section("limits", "Limits of use", "use/limits")),
        (True, Section("checklist", "Reporting checklist", "use/checklist")),
        (True, Section("keep", "A model to keep", "use/keep")),
    ]
    return [section for wanted, section in listed if wanted]
