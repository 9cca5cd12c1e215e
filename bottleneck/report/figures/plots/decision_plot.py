"""Decision curves with their confidence bands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bottleneck.report.figures.plots.drawing import (
    MUTED,
    NothingToDraw,
    Result,
    draw_arms,
    finish,
    read_arms,
    take_axes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_decision_curve"]


def plot_decision_curve(
    result: Result,
    *,
    arms: str | Sequence[str] | None = None,
    band: bool = True,
    legend: bool = True,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Plot the net benefit of acting on the predictions, on everyone and on nobody.

    The band is the pointwise 95 % confidence interval of ``statistics.decision_curve``, from the
    sums over each patient, widened for the overlap of the training sets. Of more than three arms,
    only the one with the highest AUROC has a band. Net benefits far below 0 are cut off. A dotted
    line marks ``Measures.act_at``, where it was stated.

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
    >>> from bottleneck import Predictions, evaluate, plot_decision_curve
    >>> scores = Predictions.from_arrays([0, 0, 1, 1] * 5, [0.1, 0.6, 0.4, 0.8] * 5)
    >>> axes = plot_decision_curve(evaluate(scores), ax=Figure().add_subplot())
    >>> axes.get_xlabel()
    'Threshold probability'
    """
    shown = read_arms(result, "plot_decision_curve", arms)
    curves = {e.name: e.decision_curve for e in shown.evaluations if e.decision_curve}
    if not curves:
        raise NothingToDraw(
            "there is no decision curve: no arm has calibrated probabilities of a positive class"
        )
    axes = take_axes(ax)
    first = next(iter(curves.values()))
    (everyone,) = axes.plot(first.thresholds, first.everyone, color=MUTED, linewidth=1.2)
    nobody = axes.axhline(0, color=MUTED, linewidth=1, dashes=(4, 3))
    bands = {
        e.name: (c.thresholds, c.low, c.high)
        for e in shown.shaded
        if band and (c := curves.get(e.name)) and np.isfinite(c.low).any()
    }
    lines = {name: (curve.thresholds, curve.model) for name, curve in curves.items()}
    entries = draw_arms(axes, shown.styles, lines, bands)
    top = max(float(np.nanmax(c.model)) for c in curves.values())
    top = max(top, float(np.nanmax(first.everyone)), 0.01) * 1.08
    # The net benefit of acting on everyone falls far below 0; cut it off.
    axes.set(xlim=(first.thresholds.min(), first.thresholds.max()), ylim=(-top / 4, top))
    axes.set(xlabel="Threshold probability", ylabel="Net benefit (true positives per sample)")
    for at in {one.threshold for e in shown.evaluations for one in e.net_benefits if one.stated}:
        axes.axvline(at, color=MUTED, linewidth=1, dashes=(1, 2))
    entries += [(everyone, "act on everyone"), (nobody, "act on nobody")]
    return finish(axes, title, entries, legend=legend, grow=ax is None)
