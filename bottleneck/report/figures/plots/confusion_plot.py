"""Confusion matrices with counts and shares of the true class."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bottleneck.report.figures.arm_styles import COLOURS
from bottleneck.report.figures.plots.drawing import (
    Result,
    add_title,
    fill,
    name_ticks,
    one_arm,
    take_axes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["confusion_side", "plot_confusion", "row_shares"]

# Cells of more classes are too small for numbers, and their names for the axes.
_MOST_NUMBERS, _MOST_NAMES = 15, 60


def plot_confusion(
    result: Result,
    arm: str | None = None,
    *,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Plot the confusion matrix of an arm: counts, and shares of the true class.

    The matrix is that of the first repeat. The darker a cell, the larger its share of the row;
    cells on the diagonal are blue, and errors are orange. With more than 15 classes, cells have no
    numbers.

    Parameters
    ----------
    result : Comparison, External or Evaluation
        The arms.
    arm : str or None
        Name of the arm; None for the one with the highest AUROC.
    title : str or None
        Title of the axes; None for the name of the arm, and "" for none.
    ax : Axes or None
        Axes to draw on; None for a new figure of pyplot.

    Returns
    -------
    Axes
        The axes.

    Raises
    ------
    UsageError
        If there is no such arm.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from bottleneck import Predictions, evaluate, plot_confusion
    >>> scores = Predictions.from_arrays([0, 0, 1, 1] * 5, [0.1, 0.6, 0.4, 0.8] * 5)
    >>> axes = plot_confusion(evaluate(scores), ax=Figure().add_subplot())
    >>> [text.get_text() for text in axes.texts][:2]
    ['5\\n50 %', '5\\n50 %']
    """
    evaluation, _ = one_arm(result, "plot_confusion", arm)
    counts, classes = evaluation.confusion, evaluation.predictions.classes
    shares, n = row_shares(counts), len(classes)
    axes = take_axes(ax, (confusion_side(n) + 0.4, confusion_side(n)))
    axes.imshow(_cell_colours(shares), aspect="equal", interpolation="none")
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set(xlabel="Predicted class", ylabel="True class")
    if n <= _MOST_NUMBERS:
        for row, column in np.ndindex(n, n):
            axes.text(
                column,
                row,
                f"{counts[row, column]:,}\n{100 * shares[row, column]:.0f} %",
                ha="center",
                va="center",
                fontsize="small" if n > 4 else None,
                color=COLOURS["ink"],
            )
    if n <= _MOST_NAMES:
        _name_classes(axes, classes)
    else:
        axes.set(xticks=[], yticks=[])
    add_title(axes, evaluation.name if title is None else title)
    return axes


def confusion_side(n_classes: int) -> float:
    """Return the height of a matrix with its names, in inches."""
    return 1.2 + min(0.5 * n_classes, 5.4)


def _cell_colours(shares: np.ndarray) -> np.ndarray:
    """Return the colour of each cell: up to 45 % of blue or orange on the lightest grey."""
    from matplotlib.colors import to_rgb

    soft, right, wrong = (np.array(to_rgb(COLOURS[c])) for c in ("soft", "accent", "wrong"))
    hues = np.where(np.eye(len(shares), dtype=bool)[..., None], right, wrong)
    strength = 0.45 * shares[..., None]
    return strength * hues + (1 - strength) * soft


def _name_classes(axes: Axes, classes: tuple[str, ...]) -> None:
    """Put the names on both axes, turned where they would not fit side by side."""
    lines = [fill(name, 16) for name in classes]
    turned = len(classes) > 4 or max(len(x) for name in lines for x in name.split("\n")) > 12
    name_ticks(axes.xaxis, lines, fontsize="small", rotation=90 if turned else 0)
    name_ticks(axes.yaxis, lines, fontsize="small")


def row_shares(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return each cell of a confusion matrix as a share of its row; 0 in a row without samples."""
    totals = confusion.sum(axis=1, keepdims=True)
    return confusion / np.maximum(totals, 1)
