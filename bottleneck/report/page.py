"""The report: one page for people, and the same figures for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bottleneck import __version__
from bottleneck.errors import UsageError
from bottleneck.evaluation.results import Comparison
from bottleneck.report import figures, findings, provenance, tables

__all__ = ["prepare_folder", "render", "write_report"]


def write_report(comparison: Comparison, folder: str | Path, *, with_ids: bool = False) -> Path:
    """Write a comparison as a page, as tables and as data.

    The folder gets ``report.html`` (self-contained), ``results.json``, ``table.md``,
    ``table.csv`` and ``predictions.csv``. The last one names samples and patients; the others
    do not, unless ``with_ids`` asks for it. Each file appears whole or not at all, and the same
    comparison gives the same bytes. Ids and labels in ``predictions.csv`` are as the data set
    has them, also where a spreadsheet would take them for a formula (``=``, ``+``, ``-``,
    ``@``): changed, they could not be matched again.

    Parameters
    ----------
    comparison : Comparison
    folder : str or Path
        Made where it is absent.
    with_ids : bool
        List in the page the samples that every arm got wrong, with their patients.

    Returns
    -------
    Path
        Of ``report.html``.

    Raises
    ------
    UsageError
        If the folder cannot be made or written.
    """
    folder = Path(folder)
    results = json.dumps(tables.results(comparison), indent=2, ensure_ascii=False, allow_nan=False)
    frame = tables.predictions_frame(comparison)
    files = {
        "results.json": results + "\n",
        "predictions.csv": frame.to_csv(index=False, lineterminator="\n"),
        "table.md": tables.markdown_table(comparison),
        "table.csv": tables.csv_table(comparison),
        "report.html": render(comparison, with_ids=with_ids),
    }
    prepare_folder(folder)
    try:
        for name, text in files.items():
            _replace(folder / name, text)
    except OSError as error:
        raise _not_writable(folder, error) from None
    return folder / "report.html"


def prepare_folder(folder: Path) -> None:
    """Make the folder of a report, before hours are spent on what goes into it.

    Raises
    ------
    UsageError
        If it cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _replace(folder / ".writable", "")
        (folder / ".writable").unlink()
    except OSError as error:
        raise _not_writable(folder, error) from None


def _not_writable(folder: Path, error: OSError) -> UsageError:
    return UsageError(
        f"the report cannot be written to '{folder}': {error.strerror or error}. "
        "Name another folder with --output (in Python: folder)"
    )


def render(comparison: Comparison, *, with_ids: bool = False) -> str:
    """Return the page that ``write_report`` writes to ``report.html``."""
    environment = Environment(
        loader=PackageLoader("bottleneck.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: provenance.visible(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "label": tables.metric_label,
        "p": _p_value,
        "prose": _prose,
        "signed": _signed,
        "three": lambda value: "n/a" if math.isnan(value) else f"{value:.3f}",
        "time": _duration,
    }
    shared, own = provenance.shared_and_own(comparison.features)
    roc = figures.roc_svg(comparison)
    return environment.get_template("page.html.jinja").render(
        comparison=comparison,
        version=__version__,
        with_ids=with_ids,
        summary=findings.summarise(comparison),
        cohort=findings.cohort(comparison),
        metrics=tables.metric_names(comparison),
        n_samples=tables.n_samples,
        styles=figures.arm_styles(comparison.evaluations),
        roc=Markup(roc) if roc else None,
        shares=figures.row_shares,
        intervals=findings.interval_methods(comparison),
        differences=findings.difference_tables(comparison.differences),
        choices=findings.choices,
        shared=shared,
        own=[(_title(f), rest) for f, rest in zip(comparison.features, own, strict=True)],
        missed=findings.missed_by_all(comparison) if with_ids else [],
    )


def _replace(path: Path, text: str) -> None:
    beside = path.with_name(f"{path.name}.writing")
    try:
        # File names that are no UTF-8 reach ids as lone surrogates, which no file may hold.
        beside.write_bytes(text.encode(errors="backslashreplace"))
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _title(provenance: Mapping[str, Any]) -> str:
    recipe = provenance.get("recipe", {})
    return f"{recipe.get('backbone', 'features')} ({recipe.get('weights', 'weights not named')})"


def _prose(text: str) -> str:
    return " ".join(provenance.without_paths(text).split())


def _signed(value: float) -> str:
    return "n/a" if math.isnan(value) else f"{value:+z.3f}".replace("-", "−")


def _p_value(value: float | None) -> str:
    if value is None or math.isnan(value):
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
