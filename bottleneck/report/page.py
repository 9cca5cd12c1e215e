"""The report of a comparison: the HTML page, and the files with the same results."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from bottleneck import __version__
from bottleneck.data.images.preparation import recorded_preparation
from bottleneck.errors import UsageError, one_line
from bottleneck.evaluation.results import Comparison, Evaluation, External
from bottleneck.files.paths import as_path
from bottleneck.processes.progress_bar import Progress
from bottleneck.processes.work_steps import shows_progress
from bottleneck.report import (
    checklist,
    fit_command,
    json_record,
    labels,
    number_format,
    paragraphs,
    redaction,
    summary,
    tables,
)
from bottleneck.report.figures import (
    arm_styles,
    audit_gallery,
    flow_diagram,
    forest_plots,
    plots,
    roc_curves,
)
from bottleneck.report.result_files import refuse_finished, write_files
from bottleneck.text.plain_text import visible
from bottleneck.text.short_repr import shorten
from bottleneck.text.table_text import frame_csv

__all__ = ["FINISHED", "environment", "render", "write_report"]

# Files by which a folder holds a report.
FINISHED = ("report.html", "results.json")
_OPTIONAL = ("predictions_external.csv", "inner_scores.csv")  # Files that not every report has.


@shows_progress()
def write_report(
    comparison: Comparison,
    folder: str | Path,
    *,
    with_ids: bool = False,
    overwrite: bool = False,
    inner_scores: bool = False,
    progress: Progress | None = None,
    quiet: bool = False,
) -> Path:
    """Write the report of a comparison to a folder.

    The files are ``report.html`` (self-contained), ``results.json``, ``table.md``, ``table.csv``,
    ``paragraphs.md``, ``predictions.csv``, with external cohorts ``predictions_external.csv``, and
    on request ``inner_scores.csv``. Only the last three name samples and patients, unless
    ``with_ids`` is set. Files are written atomically, the results before the page is drawn, and
    the same comparison gives the same bytes. Ids and labels that a spreadsheet would compute, or
    that hold control characters, are guarded as by ``table_text.csv_cell``; ``compare`` and
    ``finetune`` read them as they were.

    Parameters
    ----------
    comparison : Comparison
        Result of ``compare``.
    folder : str or Path
        Folder of the report; created if it does not exist.
    with_ids : bool
        Whether the page lists the samples misclassified by every arm, with their patients.
    overwrite : bool
        Whether a report in the folder is replaced.
    inner_scores : bool
        Whether ``inner_scores.csv`` is written: the scores within each training set on which
        thresholds and calibrations are set; see ``tables.inner_frame``.
    progress : callable or None
        Called with the number of files, and then of sections of the page, that are done, their
        total and a text.
    quiet : bool
        Whether no progress bar is shown; by default, one is on a terminal and in a notebook.

    Returns
    -------
    Path
        Path of ``report.html``.

    Raises
    ------
    UsageError
        If it is no comparison, or the folder cannot be created or written, or holds a report and
        ``overwrite`` is not set.
    ReportError
        If a file or a section of the page could not be drawn. The other files are complete.

    Examples
    --------
    >>> import numpy as np
    >>> from bottleneck import FeatureSet, compare, write_report
    >>> y = np.repeat(["benign", "malignant"], 20)
    >>> X = np.random.default_rng(0).normal(size=(40, 4)) + (y == "malignant")[:, None]
    >>> page = write_report(compare(FeatureSet.from_arrays(X, y), heads=("logistic",)), "report")
    >>> page.name, (page.parent / "results.json").exists()
    ('report.html', True)
    """
    if not isinstance(comparison, Comparison):
        raise UsageError(
            f"a report needs a Comparison, which compare returns, not {shorten(comparison)}; for "
            "one head, pass compare(features, [head])"
        )
    folder = as_path(folder, "a report", "report")
    refuse_finished(folder, FINISHED, overwrite=overwrite)
    comparison = redaction.shareable(comparison)
    frame = tables.predictions_frame
    incomplete: list[str] = []
    files: dict[str, Callable[[], str]] = {
        "results.json": lambda: json_record.results_text(comparison),
        "predictions.csv": lambda: frame_csv(frame(comparison.evaluations)),
    }
    if comparison.external:
        outside = tables.external_predictions_frame
        files["predictions_external.csv"] = lambda: frame_csv(outside(comparison))
    if inner_scores:
        files["inner_scores.csv"] = lambda: frame_csv(tables.inner_frame(comparison))
    files |= {
        "table.md": lambda: tables.markdown_table(comparison),
        "table.csv": lambda: tables.csv_table(comparison),
        "paragraphs.md": lambda: paragraphs.paragraphs_markdown(comparison),
        "report.html": lambda: render(
            comparison,
            with_ids=with_ids,
            inner_scores=inner_scores,
            incomplete=incomplete,
            progress=progress,
        ),
    }
    if progress is not None:
        for n, (name, make) in enumerate(files.items()):
            files[name] = functools.partial(_announced, make, progress, n, len(files), name)
    absent = tuple(name for name in _OPTIONAL if name not in files)
    write_files(folder, files, incomplete, absent)
    return folder / "report.html"


@dataclasses.dataclass(frozen=True)
class _Section:
    """A section of the page: its anchor, its title and its template."""

    id: str
    title: str
    template: str
    external: External | None = None


def render(
    comparison: Comparison,
    *,
    with_ids: bool = False,
    inner_scores: bool = False,
    incomplete: list[str] | None = None,
    progress: Progress | None = None,
) -> str:
    """Return the HTML of ``report.html``, as ``write_report`` writes it.

    Parameters
    ----------
    comparison : Comparison
        The results.
    with_ids : bool
        Whether the page names samples and patients.
    inner_scores : bool
        Whether ``inner_scores.csv`` is written too, which the page then mentions.
    incomplete : list of str, optional
        Takes the name of each section that cannot be drawn, and the page says so in its place;
        without it, the error is raised.
    progress : callable, optional
        Called with the number of drawn parts, their total and a text.
    """
    sections = _sections(comparison, with_ids=with_ids)
    page = (
        environment()
        .get_template("page.html.jinja")
        .render(
            comparison=comparison,
            positive=comparison.positive,
            dataset=comparison.dataset,
            protocol=comparison.protocol,
            version=__version__,
            with_ids=with_ids,
            inner_scores=inner_scores,
            methods=functools.partial(paragraphs.methods_paragraph, comparison),
            findings=functools.partial(paragraphs.results_paragraph, comparison),
            sections=sections,
            warnings=comparison.warnings,
            summary=summary.summarise(comparison),
            audit=audit_gallery.view_audit(comparison.audit, comparison.thumbnails)
            if comparison.audit
            else None,
            record=json_record.results(comparison),
            missed=summary.missed_by_all(comparison) if with_ids else [],
            keep=functools.partial(fit_command.fit_command, comparison),
            incomplete=incomplete,
            announce=progress,
        )
    )
    if progress is not None:
        progress(len(sections), len(sections), "report.html")
    return page


def _announced(
    make: Callable[[], str], progress: Progress, done: int, total: int, name: str
) -> str:
    progress(done, total, f"writing {name}")
    return make()


@functools.cache
def environment() -> Environment:
    """Return the environment of all templates: what they show is escaped, and hides nothing."""
    made = Environment(
        loader=PackageLoader("bottleneck.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: visible(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "amount": number_format.amount,
        "bounds": number_format.bounds,
        "count": lambda n: f"{n:,}",
        "label": labels.metric_label,
        "p": number_format.p_value,
        "prose": number_format.prose,
        "signed": number_format.signed,
        "three": number_format.three,
        "time": number_format.duration,
    }
    made.globals |= {
        "accuracy_note": labels.accuracy_note,
        "targets": summary.targets,
        "caveats": labels.caveats,
        "benefits": summary.net_benefits,
        "confusions": summary.frequent_confusions,
        "MOST_CLASSES": summary.MOST_CLASSES,
        "frequent_choices": summary.frequent_choices,
        "decision": _drawn(plots.decision_svg),
        "differences": forest_plots.difference_tables,
        "draw": _draw_section,
        "drops": forest_plots.drop_tables,
        "flatten": redaction.flatten,
        "flow": flow_diagram.flow,
        "guidelines": checklist.GUIDELINES,
        "intervals": summary.interval_methods,
        "learning": _drawn(plots.learning_svg),
        "metric_names": labels.metric_names,
        "metric_tables": labels.metric_tables,
        "n_samples": labels.n_samples,
        "of_images": labels.of_images,
        "quotes": checklist.quotes,
        "recipes": feature_recipes,
        "roc": _roc,
        "shares": tables.row_shares,
        "styles_of": _styles,
        "training": _drawn(plots.training_svg),
        "training_keys": plots.training_keys,
    }
    return made


@pass_context
def _draw_section(context: Context, section: _Section) -> Markup:
    """Return the content of a section, or that it could not be drawn."""
    incomplete: list[str] | None = context["incomplete"]
    if (announce := context["announce"]) is not None:
        sections = context["sections"]
        announce(sections.index(section), len(sections), f"drawing {section.title}")
    try:
        template = environment().get_template(f"{section.template}.html.jinja")
        return Markup(template.render({**context.get_all(), "section": section}))
    # Provenance and records of trainings come from files, and can make anything fail.
    except Exception as error:
        if incomplete is None:
            raise
        reason = f"{type(error).__name__}: {one_line(error)}"
        incomplete.append(
            f"the section '{section.title}' of report.html could not be drawn ({reason})"
        )
        text = visible(f"This section could not be drawn ({reason}).")
        return Markup('<p class="note">{}</p>').format(text)


def _sections(comparison: Comparison, *, with_ids: bool) -> list[_Section]:
    arms = comparison.evaluations
    cohorts = [
        _Section(f"external-{n}", f"External cohort: {e.dataset['name']}", "external", e)
        for n, e in enumerate(comparison.external, 1)
    ]
    listed = [
        (True, _Section("results", "Results", "results")),
        (comparison.differences, _Section("differences", "Differences between arms", "pairs")),
        (any(e.centres for e in arms), _Section("centres", "Centres", "centres")),
        (True, _Section("roc", "ROC curves", "roc")),
        (
            any(e.operating_points for e in arms),
            _Section("thresholds", "Operating points", "thresholds"),
        ),
        (
            any(e.calibration or e.decision_curve for e in arms),
            _Section("probabilities", "Calibration and net benefit", "probabilities"),
        ),
        (True, _Section("confusion", "Confusion matrices", "confusion")),
        (any(e.subgroups for e in arms), _Section("subgroups", "Subgroups", "subgroups")),
        (
            any(e.learning_curve for e in arms),
            _Section("learning", "Number of training patients", "learning"),
        ),
        *((True, section) for section in cohorts),
        (True, _Section("cohort", "Cohort", "cohort")),
        (comparison.audit, _Section("audit", "Leak audit", "audit")),
        (with_ids, _Section("missed", "Samples misclassified by every arm", "missed")),
        (True, _Section("protocol", "Protocol", "protocol")),
        (True, _Section("text", "Paragraphs for a manuscript", "text")),
        (any(e.cost for e in arms), _Section("costs", "Costs of training", "costs")),
        (comparison.features, _Section("features", "Features", "features")),
        (True, _Section("limits", "Limits of use", "limits")),
        (True, _Section("checklist", "Reporting checklist", "checklist")),
        (True, _Section("keep", "A model to keep", "keep")),
    ]
    return [section for wanted, section in listed if wanted]


def _styles(evaluations: Sequence[Evaluation]) -> dict[str, arm_styles.Style]:
    styles = arm_styles.arm_styles(evaluations)
    return {e.name: style for e, style in zip(evaluations, styles, strict=True)}


@pass_context
def _roc(
    context: Context, evaluations: Sequence[Evaluation], positive: str | None, name: str
) -> dict[str, Any]:
    """Return the figure of the ROC curves, and the names of the arms with a band."""
    announce = context["announce"]
    bands = {
        e.name: roc_curves.roc_band(
            e.predictions,
            positive,
            progress=announce and functools.partial(_tell_band, announce, e.name),
        )
        for e in arm_styles.arms_with_band(evaluations)
    }
    known = {name: band for name, band in bands.items() if band is not None}
    curves = plots.roc_svg(evaluations, positive, known, name)
    return {"svg": curves and Markup(curves), "banded": list(known)}


def _tell_band(announce: Progress, name: str, done: int, total: int) -> None:
    announce(done, total, f"drawing the ROC band of {name}")


def _drawn(draw: Callable[..., str | None]) -> Callable[..., Markup | None]:
    def markup(*arguments: Any) -> Markup | None:
        svg = draw(*arguments)
        return None if svg is None else Markup(svg)

    return markup


def feature_recipes(
    comparison: Comparison,
) -> tuple[dict[str, str], list[tuple[str, dict[str, str]]]]:
    """Return what the recipes of all features share, and the rest of each, with its name."""
    shared, own = redaction.shared_and_own(comparison.features)
    return shared, list(zip(_labels(comparison), own, strict=True))


def _labels(comparison: Comparison) -> list[str]:
    """Return the names of the features: as in the names of their arms, unless all have others."""
    arms = [e for e in comparison.evaluations if e.backbone is not None]
    n_heads = len(arms) // max(1, len(comparison.features))
    names = []
    for number, provenance in enumerate(comparison.features):
        recipe = provenance.get("recipe", {})
        words = recorded_preparation(recipe).words
        title = f"{recipe.get('backbone')} ({recipe.get('weights')}{words and f', {words}'})"
        of_these = arms[number * n_heads : (number + 1) * n_heads]
        stems = {e.name.removesuffix(f" + {e.head}") for e in of_these} - {e.name for e in of_these}
        names.append(stems.pop() if len(stems) == 1 else title)
    return names
