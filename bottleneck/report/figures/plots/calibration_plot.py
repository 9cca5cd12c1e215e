"""Calibration: observed frequencies by predicted probability."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bottleneck.evaluation.results.comparison_results import Evaluation
from bottleneck.report.figures.arm_styles import Style
from bottleneck.report.figures.plots.drawing import (
    MUTED,
    NothingToDraw,
    Result,
    colour,
    draw_arms,
    finish,
    label_y,
    read_arms,
    take_axes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_calibration"]


def plot_calibration(
    result: Result,
    *,
    arms: str | Sequence[str] | None = None,
    band: bool = True,
    legend: bool = True,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Plot observed frequencies of the positive class by predicted probability.

    The line is the loess curve of ``statistics.calibration_curve`` over all folds and repeats, from
    the 1st to the 99th percentile of the predicted probabilities. The band has its pointwise 95 %
    confidence intervals by patient, widened for the overlap of the training sets. A single arm
    also shows its bins of equally many samples with their intervals, and the distribution of its
    probabilities at the bottom; of more than three arms, only the one with the highest AUROC has a
    band.

    Parameters
    ----------
    result : Comparison, External or Evaluation
        The arms.
    arms : str, sequence of str or None
        Names of the arms to draw; None for all.
    band : bool
        Whether bands are drawn.
    legend : bool
        Whether a legend below the axes names the arms.
    title : str or None
        Title of the axes.
    ax : Axes or None
        Axes to draw on; None for a new figure of pyplot.

    Returns
    -------
    Axes
        The axes.

    Raises
    ------
    UsageError
        If there is no such arm, or no arm has probabilities of a positive class.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from bottleneck import Predictions, evaluate, plot_calibration
    >>> scores = Predictions.from_arrays([0, 0, 1, 1] * 5, [0.1, 0.6, 0.4, 0.8] * 5)
    >>> axes = plot_calibration(evaluate(scores), ax=Figure().add_subplot())
    >>> axes.get_xlabel(), axes.get_ylabel()
    ('Predicted probability', 'Observed frequency (1)')
    """
    shown = read_arms(result, "plot_calibration", arms)
    drawn = [e for e in shown.evaluations if e.calibration and e.calibration.bins]
    if not drawn:
        raise NothingToDraw(
            "there is no calibration: no arm has calibrated probabilities of a positive class"
        )
    # The prior-only arm knows a single probability, which only hides the others.
    drawn = [e for e in drawn if e.head != "prior"] or drawn
    axes = take_axes(ax, (4.6, 4.6))
    axes.set(aspect="equal", xlim=(0, 1), ylim=(0, 1))
    (ideal,) = axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, dashes=(4, 3))
    smooth = {e.name: c for e in drawn if e.calibration and (c := e.calibration.curve)}
    curves: dict[str, tuple[Any, Any]] = {e.name: _bins(e) for e in drawn}
    curves |= {name: (c.predicted, c.observed) for name, c in smooth.items()}
    alone = drawn if len(drawn) == 1 else []
    shaded = {e.name for e in alone or shown.shaded if band}
    bands = {name: (c.predicted, c.low, c.high) for name, c in smooth.items() if name in shaded}
    for e in alone:
        _draw_bins(axes, e, shown.styles[e.name], joined=not smooth)
    entries = draw_arms(axes, shown.styles, curves, bands)
    for line, name in entries:
        if name not in smooth:
            line.set(marker="o", markersize=3)
    for e in alone:
        _draw_distribution(axes, e, shown.positive, shown.styles[e.name])
    axes.set(xlabel="Predicted probability")
    of_class = f" ({shown.positive})" if shown.positive else ""
    label_y(axes, f"Observed frequency{of_class}")
    entries.append((ideal, "perfect calibration"))
    return finish(axes, title, entries, legend=legend, grow=ax is None)


def _bins(evaluation: Evaluation) -> tuple[list[float], list[float]]:
    """Return the mean probabilities and the observed frequencies of the bins."""
    bins = evaluation.calibration.bins if evaluation.calibration else ()
    return [b.predicted for b in bins], [b.observed.value for b in bins]


def _draw_bins(axes: Axes, evaluation: Evaluation, style: Style, *, joined: bool) -> None:
    """Draw the bins with their intervals."""
    assert evaluation.calibration is not None
    for one in evaluation.calibration.bins:
        low, high = one.observed.low, one.observed.high
        if low is not None and high is not None:
            axes.plot([one.predicted] * 2, [low, high], color=colour(style), linewidth=0.9)
    if not joined:
        x, y = _bins(evaluation)
        axes.plot(x, y, color=colour(style), marker="o", markersize=3.5, linestyle="none")


def _draw_distribution(
    axes: Axes, evaluation: Evaluation, positive: str | None, style: Style
) -> None:
    """Draw how often each probability was predicted, in the lowest tenth of the axes."""
    p = evaluation.predictions
    if positive is None or p.probabilities is None:
        return
    counts, edges = np.histogram(p.probabilities[:, p.classes.index(positive)], 40, (0, 1))
    heights = 0.1 * counts / counts.max()
    axes.stairs(heights, edges, fill=True, color=colour(style), alpha=0.35, linewidth=0)
