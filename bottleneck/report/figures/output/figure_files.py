"""The figures of a report as files: which there are, and their bytes."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from bottleneck.evaluation.results.comparison_results import Comparison, External
from bottleneck.processes.progress_bar import Progress
from bottleneck.report.figures.output import figure_kinds
from bottleneck.report.figures.output.figure_layouts import (
    draw_calibration,
    draw_confusion,
    draw_decision_curve,
    draw_differences,
    draw_embedding,
    draw_forest,
    draw_free_response,
    draw_learning_curve,
    draw_noninferiority,
    draw_roc,
    draw_training,
)
from bottleneck.report.figures.output.figure_style import (
    Draw,
    figure_style,
    quiet_fonts,
    save_figure,
)
from bottleneck.report.figures.output.letters import find_fonts
from bottleneck.report.figures.plots.drawing import spelling_out
from bottleneck.report.figures.plots.embedding_plot import N_NEIGHBOURS, has_umap
from bottleneck.report.figures.plots.training_plot import training_keys
from bottleneck.report.figures.roc_curves import mean_roc_curve

if TYPE_CHECKING:
    pass

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FOLDER", "figure_files", "list_figures", "old_files"]

#: Folder of the figures in that of the report.
FOLDER = "figures"
_NAMES = (
    "roc",
    "forest",
    "differences",
    "noninferiority",
    "calibration",
    "decision-curve",
    "free-response",
    "confusion",
    "learning-curve",
    "training",
    "embedding",
    "umap",
)
_FILE = re.compile(rf"(?:external-\d+-)?(?:{'|'.join(_NAMES)})(?:-\d+)?\.(?:svg|pdf|png)")


def old_files(folder: Path) -> list[str]:
    """Return the files of figures that an earlier report left, by path in its folder.

    Other files in the folder of the figures are those of the user.
    """
    try:
        names = sorted(path.name for path in (folder / FOLDER).iterdir())
    except OSError:  # There is no such folder.
        return []
    return [f"{FOLDER}/{name}" for name in names if _FILE.fullmatch(name)]


def list_figures(comparison: Comparison, progress: Progress | None = None) -> dict[str, Draw]:
    """Return the figures of a comparison by name; those of external cohorts have a prefix.

    Each function sets the size of a figure and draws on it, in the style of the report.

    Parameters
    ----------
    comparison : Comparison
        The comparison.
    progress : callable or None
        Called with the number of curves resampled, their total and a text.
    """
    figures = _figures_of(comparison, comparison.positive, progress)
    for n, one in enumerate(comparison.embeddings, 1):
        draw = functools.partial(draw_embedding, comparison, one)
        figures[f"embedding-{n}"] = functools.partial(draw, "pca")
        if has_umap() and len(one.labels) > N_NEIGHBOURS:
            figures[f"umap-{n}"] = functools.partial(draw, "umap")
    for n, cohort in enumerate(comparison.external, 1):
        own = _figures_of(cohort, cohort.dataset["positive"], progress)
        figures |= {f"external-{n}-{name}": draw for name, draw in own.items()}
    return figures


def _figures_of(
    result: Comparison | External, positive: str | None, progress: Progress | None
) -> dict[str, Draw]:
    arms = result.evaluations
    # On a cohort, no head is trained.
    is_internal = isinstance(result, Comparison)
    images = [e for e in arms if e.uses_images]
    names = {e.name for e in images}
    known = {
        "roc": any(mean_roc_curve(e.predictions, positive) is not None for e in images),
        "forest": any(
            "auroc" in e.metrics and not math.isnan(e.metrics["auroc"].value) for e in arms
        ),
        "differences": any({d.a, d.b} <= names and d.metric == "auroc" for d in result.differences),
        "noninferiority": result.noninferiority is not None,
        "calibration": any(e.calibration and e.calibration.bins for e in images),
        "decision-curve": any(e.decision_curve for e in arms),
        "free-response": any(e.free_response for e in arms),
        "confusion": True,
        "learning-curve": is_internal and any(e.learning_curve for e in arms),
    }
    draws: dict[str, Draw] = {
        "roc": functools.partial(draw_roc, result, positive, progress=progress),
        "forest": functools.partial(draw_forest, result),
        "differences": functools.partial(draw_differences, result),
        "noninferiority": functools.partial(draw_noninferiority, result),
        "calibration": functools.partial(draw_calibration, result),
        "decision-curve": functools.partial(draw_decision_curve, result),
        "free-response": functools.partial(draw_free_response, result),
        "confusion": functools.partial(draw_confusion, result),
        "learning-curve": functools.partial(draw_learning_curve, result),
    }
    figures = {name: draw for name, draw in draws.items() if known[name]}
    for n, e in enumerate(arms if is_internal else (), 1):
        if any(training_keys(e.cost.get("curves", ())).values()):
            figures[f"training-{n}"] = functools.partial(draw_training, result, e.name)
    return figures


def figure_files(
    comparison: Comparison, progress: Progress | None = None
) -> dict[str, Callable[[], bytes]]:
    """Return the functions that make the files of all figures, by path in the report's folder."""
    files: dict[str, Callable[[], bytes]] = {}
    for name, draw in list_figures(comparison, progress).items():
        # Drawn once, at the first of its files.
        made = functools.cache(functools.partial(_make_files, name, draw))
        for kind in figure_kinds.KINDS:
            files[f"{FOLDER}/{name}.{kind}"] = functools.partial(_one_file, made, kind)
    return files


def _one_file(made: Callable[[], dict[str, bytes]], kind: str) -> bytes:
    return made()[kind]


def _make_files(name: str, draw: Draw) -> dict[str, bytes]:
    with figure_style(name):
        figure = _draw(draw)
        missing = find_fonts(figure)
        files = {"svg": save_figure(figure, "svg")}
        if missing:  # An SVG keeps its texts; in other formats, letters without a font are spelt.
            with spelling_out(missing):
                figure = _draw(draw)
            find_fonts(figure)
        for kind in ("pdf", "png"):
            files[kind] = save_figure(figure, kind)
        return files


def _draw(draw: Draw) -> Figure:
    """Return a figure with the layout that all formats have."""
    from matplotlib.figure import Figure

    figure = Figure(layout="constrained")
    with quiet_fonts():
        draw(figure)
        figure.draw_without_rendering()
    figure.set_layout_engine("none")
    return figure
