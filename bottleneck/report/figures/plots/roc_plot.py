"""ROC curves with their confidence bands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bottleneck.report.figures.plots.drawing import (
    MUTED,
    NothingToDraw,
    Result,
    draw_arms,
    estimate_text,
    finish,
    label_y,
    read_arms,
    take_axes,
)
from bottleneck.report.figures.roc_curves import mean_roc_curve, roc_band

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_roc"]


def plot_roc(
    result: Result,
    *,
    arms: str | Sequence[str] | None = None,
    band: bool = True,
    legend: bool = True,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Plot the ROC curves of the arms, with the band of up to three of them.

    Each test fold of each repeat has a curve of its own, and the line is their vertical average:
    its area is the AUROC of the tables. With three or more classes and no positive one, the
    one-vs-rest curves are averaged too. The band is the pointwise 95 % confidence band of a
    bootstrap of patients (500 draws, the models are not refitted), widened for the overlap of the
    training sets. Of more than three arms, only the one with the highest AUROC has a band.

    Parameters
    ----------
    result : Comparison, External or Evaluation
        The arms.
    arms : str, sequence of str or None
        Names of the arms to draw; None for all.
    band : bool
        Whether bands are drawn; they take most of the time.
    legend : bool
        Whether a legend below the axes names the arms, with their AUROC and its interval.
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
        If there is no such arm, or no arm has a curve because a test fold lacks a class.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from bottleneck import Predictions, evaluate, plot_roc
    >>> scores = Predictions.from_arrays([0, 0, 1, 1] * 5, [0.1, 0.6, 0.4, 0.8] * 5)
    >>> axes = plot_roc(evaluate(scores), band=False, ax=Figure().add_subplot())
    >>> axes.get_xlabel(), axes.get_ylabel()
    ('1 − specificity', 'Sensitivity (1)')
    """
    shown = read_arms(result, "plot_roc", arms)
    curves = {
        e.name: curve
        for e in shown.evaluations
        if e.head != "prior"
        and (curve := mean_roc_curve(e.predictions, shown.positive)) is not None
    }
    if not any(e.uses_images and e.name in curves for e in shown.evaluations):
        raise NothingToDraw("there is no ROC curve: a test fold lacks a class, or no arm is a test")
    axes = take_axes(ax, (5.0, 5.0))
    axes.set(aspect="equal", xlim=(0, 1), ylim=(0, 1))
    (chance,) = axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, dashes=(4, 3))
    bands = {
        e.name: (limits.fpr, limits.low, limits.high)
        for e in shown.shaded
        if band and e.name in curves
        if (limits := roc_band(e.predictions, shown.positive)) is not None
    }
    values = {e.name: estimate_text(e.metrics.get("auroc")) for e in shown.evaluations}
    entries = [
        (line, f"{name}: {values[name]}" if values[name] else name)
        for line, name in draw_arms(axes, shown.styles, curves, bands, clip_on=False)
    ]
    of_class = f" ({shown.positive})" if shown.positive else ", mean over classes"
    axes.set_xlabel("1 − specificity")
    label_y(axes, f"Sensitivity{of_class}")
    caution = "; † estimate only" if any("†" in text for _, text in entries) else ""
    heading = f"AUROC (95 % confidence interval{caution})"
    entries.append((chance, "chance"))
    return finish(axes, title, entries, heading, legend=legend, grow=ax is None)
