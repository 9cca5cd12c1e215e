"""The plots of a result on whole figures, with sizes for print."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

from bottleneck.evaluation.analyses.best_arm import best_arm
from bottleneck.evaluation.results.comparison_results import Comparison, Evaluation, External
from bottleneck.evaluation.results.result_parts import FeatureEmbedding
from bottleneck.processes.progress_bar import Progress
from bottleneck.report.figures.arm_styles import arms_with_band
from bottleneck.report.figures.plots.calibration_plot import plot_calibration
from bottleneck.report.figures.plots.confusion_plot import confusion_side, plot_confusion
from bottleneck.report.figures.plots.decision_plot import plot_decision_curve
from bottleneck.report.figures.plots.drawing import add_title, make_room
from bottleneck.report.figures.plots.embedding_plot import plot_embedding
from bottleneck.report.figures.plots.free_response_plot import plot_free_response
from bottleneck.report.figures.plots.interval_plot import (
    forest_height,
    margin_height,
    plot_forest,
    plot_noninferiority,
)
from bottleneck.report.figures.plots.learning_plot import plot_learning_curve
from bottleneck.report.figures.plots.roc_plot import plot_roc
from bottleneck.report.figures.plots.training_plot import plot_training, training_keys
from bottleneck.report.figures.roc_curves import roc_band

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "draw_calibration",
    "draw_confusion",
    "draw_decision_curve",
    "draw_differences",
    "draw_embedding",
    "draw_forest",
    "draw_free_response",
    "draw_learning_curve",
    "draw_noninferiority",
    "draw_roc",
    "draw_training",
]

_MOST_COMPARED = 6  # Seven arms have 21 pairs.
# Inches. Text in a journal is about 6.7 inches wide.
_SQUARE, _WIDE, _HIGH, _PANEL = 4.8, 6.6, 3.6, 2.2


def draw_roc(
    result: Comparison | External,
    positive: str | None,
    figure: Figure,
    *,
    legend: bool = True,
    progress: Progress | None = None,
) -> None:
    """Draw the ROC curves, and tell of the bands, which take long for many samples."""
    for e in arms_with_band(result.evaluations):
        tell = progress and functools.partial(_tell_band, progress, e.name)
        roc_band(e.predictions, positive, progress=tell)
    axes = _one(figure, _SQUARE, _SQUARE)
    plot_roc(result, legend=legend, ax=axes)
    make_room(figure)


def _tell_band(progress: Progress, name: str, done: int, total: int) -> None:
    progress(done, total, f"drawing the ROC band of {name}")


def draw_decision_curve(
    result: Comparison | External, figure: Figure, *, legend: bool = True
) -> None:
    """Draw the decision curves."""
    axes = _one(figure, _WIDE, _HIGH)
    plot_decision_curve(result, legend=legend, ax=axes)
    make_room(figure)


def draw_free_response(
    result: Comparison | External, figure: Figure, *, legend: bool = True
) -> None:
    """Draw the free-response curves."""
    axes = _one(figure, _WIDE, _HIGH)
    plot_free_response(result, legend=legend, ax=axes)
    make_room(figure)


def draw_learning_curve(
    result: Comparison | External, figure: Figure, *, legend: bool = True
) -> None:
    """Draw the learning curves."""
    axes = _one(figure, _WIDE, _HIGH)
    plot_learning_curve(result, legend=legend, ax=axes)
    make_room(figure)


def draw_training(result: Comparison | External, arm: str, figure: Figure) -> None:
    """Draw the training of an arm: losses on the left, other metrics on the right."""
    (evaluation,) = (e for e in result.evaluations if e.name == arm)
    losses, others = training_keys(evaluation.cost["curves"]).values()
    kinds: tuple[tuple[Literal["loss", "metrics"], list[str]], ...]
    kinds = (("loss", losses), ("metrics", others))
    panels = [what for what, keys in kinds if keys]
    lines = max(len(losses), len(others))
    figure.set_size_inches(3.3 * len(panels), 2.6 + 0.18 * lines)
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for what, ax in zip(panels, axes, strict=True):
        plot_training(result, arm, what=what, ax=ax)


def draw_forest(result: Comparison | External, figure: Figure) -> None:
    """Draw the AUROC of all arms."""
    plot_forest(result, ax=_one(figure, _WIDE, forest_height(result)))


def draw_differences(result: Comparison | External, figure: Figure) -> None:
    """Draw the differences of the AUROC between arms, or of many arms those from the best one."""
    images = [e for e in result.evaluations if e.uses_images]
    best = best_arm(images) if len(images) > _MOST_COMPARED else None
    arm = None if best is None else best.name
    axes = _one(figure, _WIDE, forest_height(result, differences=True, arm=arm))
    plot_forest(result, differences=True, arm=arm, ax=axes)


def draw_noninferiority(result: Comparison | External, figure: Figure) -> None:
    """Draw the differences to the reference arm, with the margin."""
    plot_noninferiority(result, ax=_one(figure, _WIDE, margin_height(result)))


def draw_calibration(
    result: Comparison | External, figure: Figure, *, arm: str | None = None
) -> None:
    """Draw the calibration of every arm in axes of its own, or that of one arm without a title."""
    if arm is not None:
        plot_calibration(result, arms=arm, legend=False, ax=_one(figure, _PANEL, _PANEL))
        return
    shown = [e for e in result.evaluations if e.calibration and e.head != "prior"]

    def draw(e: Evaluation, axes: Axes) -> None:
        plot_calibration(result, arms=e.name, legend=False, ax=axes)
        axes.set(xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))

    _panels(figure, shown, draw, (_PANEL, _PANEL + 0.3))


def draw_embedding(
    comparison: Comparison,
    embedding: FeatureEmbedding,
    method: Literal["pca", "umap"],
    figure: Figure,
) -> None:
    """Draw the map of the samples by one feature set."""
    axes = _one(figure, _SQUARE, 4.4)
    # By itself, since several feature sets can have one name.
    alone = dataclasses.replace(comparison, embeddings=(embedding,))
    plot_embedding(alone, method=method, ax=axes)
    make_room(figure)


def draw_confusion(result: Comparison | External, figure: Figure) -> None:
    """Draw the confusion matrix of every arm."""

    def draw(e: Evaluation, axes: Axes) -> None:
        plot_confusion(result, e.name, title="", ax=axes)

    side = confusion_side(len(result.evaluations[0].predictions.classes))
    _panels(figure, result.evaluations, draw, (side, side + 0.2))


def _one(figure: Figure, width: float, height: float) -> Axes:
    figure.set_size_inches(width, height)
    return figure.add_subplot()


def _panels(
    figure: Figure,
    arms: Sequence[Evaluation],
    draw: Callable[[Evaluation, Axes], None],
    size: tuple[float, float],
) -> None:
    """Draw the arms side by side, in rows of the width of a page."""
    columns = max(1, min(len(arms), round(_WIDE / size[0])))
    rows = math.ceil(len(arms) / columns)
    figure.set_size_inches(columns * size[0], rows * size[1])
    for n, e in enumerate(arms):
        axes = figure.add_subplot(rows, columns, n + 1)
        draw(e, axes)
        # Neighbours share the labels of their axes.
        if n % columns:
            axes.set_ylabel("")
        if n + columns < len(arms):
            axes.set_xlabel("")
    figure.draw_without_rendering()  # How wide a title can be is known when all else is placed.
    for e, axes in zip(arms, figure.axes, strict=True):
        add_title(axes, e.name, loc="left", fontsize="small")
