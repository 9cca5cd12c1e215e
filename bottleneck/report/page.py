"""The report of a comparison: the HTML page, and the files with the same results."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from pathlib import Path

from bottleneck import __version__
from bottleneck.errors import UsageError
from bottleneck.evaluation.results.comparison_results import Comparison
from bottleneck.files.paths import as_path
from bottleneck.processes.progress_bar import Progress
from bottleneck.processes.work_steps import shows_progress
from bottleneck.report import fit_command, json_record, redaction, summary
from bottleneck.report.figures.output import figure_files
from bottleneck.report.gallery import audit_gallery, error_gallery
from bottleneck.report.gallery.embedded_images import list_parts, refuse_without_images
from bottleneck.report.result_files import refuse_finished, write_files
from bottleneck.report.sections import list_sections
from bottleneck.report.tables.result_frames import (
    external_predictions_frame,
    inner_frame,
    predictions_frame,
)
from bottleneck.report.tables.text_tables import csv_table, markdown_table
from bottleneck.report.templating import environment
from bottleneck.report.wording import headline, paragraphs
from bottleneck.settings.schema import validate
from bottleneck.text.short_repr import shorten
from bottleneck.text.table_text import frame_csv

__all__ = ["FINISHED", "render", "write_report"]

# Files by which a folder holds a report.
FINISHED = ("report.html", "results.json")
# Files that not every report has.
_OPTIONAL = ("predictions_external.csv", "inner_scores.csv", "errors.csv")


@shows_progress()
def write_report(
    comparison: Comparison,
    folder: str | Path,
    *,
    with_ids: bool = False,
    with_pictures: bool = False,
    overwrite: bool = False,
    inner_scores: bool = False,
    figures: bool = True,
    progress: Progress | None = None,
    quiet: bool = False,
) -> Path:
    """Write the report of a comparison to a folder.

    The files are ``report.html`` (self-contained), ``results.json``, ``table.md``, ``table.csv``,
    ``paragraphs.md``, ``predictions.csv``, with external cohorts ``predictions_external.csv``, and
    on request ``inner_scores.csv`` and ``errors.csv``. Only the last four name samples and
    patients, unless ``with_ids`` is set, and only ``with_pictures`` puts images into the page.
    ``figures/`` holds each figure as SVG, PDF and PNG. Files are written atomically, the results
    before the page is drawn, and the same comparison gives the same bytes. Ids and labels that a
    spreadsheet would compute, or that hold control characters, are guarded as by
    ``table_text.csv_cell``; ``compare`` and ``finetune`` read them as they were.

    Parameters
    ----------
    comparison : Comparison
        Result of ``compare``.
    folder : str or Path
        Folder of the report; created if it does not exist.
    with_ids : bool
        Whether the page names the samples, patients and files of its errors and of copies, and
        lists the samples misclassified by every arm. ``errors.csv`` is then written too.
    with_pictures : bool
        Whether the page shows images: those of the errors, of the training images nearest to
        them, and of the findings of the leak audit.
    overwrite : bool
        Whether a report in the folder is replaced.
    inner_scores : bool
        Whether ``inner_scores.csv`` is written: the scores within each training set on which
        thresholds and calibrations are set; see ``inner_frame``.
    figures : bool
        Whether the files of the figures are written, which takes some seconds.
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
        If it is not a comparison, or images are to be shown and there are none, or the folder
        cannot be created or written, or holds a report and ``overwrite`` is not set.
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
    switches = {"with_ids": with_ids, "with_pictures": with_pictures, "overwrite": overwrite}
    switches |= {"inner_scores": inner_scores, "figures": figures}
    for name, value in switches.items():
        validate(bool, value, name)
    folder = as_path(folder, "a report", "report")
    refuse_finished(folder, FINISHED, overwrite=overwrite)
    if with_pictures:
        refuse_without_images(comparison)
    comparison = redaction.shareable(comparison)
    incomplete: list[str] = []
    written: list[str] = []
    files: dict[str, Callable[[], str | bytes]] = {
        "results.json": lambda: json_record.results_text(comparison),
        "predictions.csv": lambda: frame_csv(predictions_frame(comparison.evaluations)),
    }
    if comparison.external:
        files["predictions_external.csv"] = lambda: frame_csv(
            external_predictions_frame(comparison)
        )
    if inner_scores:
        files["inner_scores.csv"] = lambda: frame_csv(inner_frame(comparison))
    if with_ids and any(part.cases for part in list_parts(comparison)):
        files["errors.csv"] = lambda: frame_csv(error_gallery.errors_frame(comparison))
    files |= {
        "table.md": lambda: markdown_table(comparison),
        "table.csv": lambda: csv_table(comparison),
        "paragraphs.md": lambda: paragraphs.paragraphs_markdown(comparison),
        **(figure_files.figure_files(comparison, progress) if figures else {}),
        "report.html": lambda: render(
            comparison,
            with_ids=with_ids,
            with_pictures=with_pictures,
            inner_scores=inner_scores,
            figures=written,
            incomplete=incomplete,
            progress=progress,
        ),
    }
    if progress is not None:
        for n, (name, make) in enumerate(files.items()):
            files[name] = functools.partial(_announced, make, progress, n, len(files), name)
    absent = [name for name in (*_OPTIONAL, *figure_files.old_files(folder)) if name not in files]
    write_files(folder, files, incomplete, absent, written)
    return folder / "report.html"


def render(
    comparison: Comparison,
    *,
    with_ids: bool = False,
    with_pictures: bool = False,
    inner_scores: bool = False,
    figures: Collection[str] = (),
    incomplete: list[str] | None = None,
    progress: Progress | None = None,
) -> str:
    """Return the HTML of ``report.html``, as ``write_report`` writes it.

    Parameters
    ----------
    comparison : Comparison
        The results.
    with_ids, with_pictures : bool
        Whether the page names samples and patients, and whether it shows their images.
    inner_scores : bool
        Whether ``inner_scores.csv`` is written too, which the page then mentions.
    figures : collection of str
        Files of the figures, relative to the page, to which it then has links.
    incomplete : list of str, optional
        Takes the name of each section that cannot be drawn, and the page says so in its place;
        without it, the error is raised.
    progress : callable, optional
        Called with the number of drawn parts, their total and a text.
    """
    thumbnails = comparison.thumbnails if with_pictures else {}
    names = comparison.image_names if with_ids else {}
    sections = list_sections(comparison)
    summarised = summary.summarise(comparison)
    page = (
        environment()
        .get_template("pages/page.html.jinja")
        .render(
            comparison=comparison,
            positive=comparison.positive,
            dataset=comparison.dataset,
            protocol=comparison.protocol,
            version=__version__,
            with_ids=with_ids,
            inner_scores=inner_scores,
            figures=figures,
            methods=functools.partial(paragraphs.methods_paragraph, comparison),
            findings=functools.partial(paragraphs.results_paragraph, comparison),
            sections=sections,
            warnings=comparison.warnings,
            summary=summarised,
            choice=headline.describe_choice(comparison, summarised),
            audit=audit_gallery.view_audit(comparison.audit, thumbnails, names)
            if comparison.audit
            else None,
            errors=error_gallery.view_errors(
                comparison, with_ids=with_ids, with_pictures=with_pictures
            ),
            with_pictures=with_pictures,
            record=json_record.results(comparison),
            missed=summary.missed_by_all(comparison) if with_ids else [],
            keep=functools.partial(fit_command.fit_command, comparison),
            why=functools.partial(fit_command.explain_command, comparison),
            incomplete=incomplete,
            announce=progress,
        )
    )
    if progress is not None:
        progress(len(sections), len(sections), "report.html")
    return page


def _announced(
    make: Callable[[], str | bytes], progress: Progress, done: int, total: int, name: str
) -> str | bytes:
    progress(done, total, f"writing {name}")
    return make()
