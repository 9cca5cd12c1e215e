"""Free-response curves: sensitivity for lesions by false positives per scan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bottleneck.report.figures.plots.drawing import (
    NothingToDraw,
    Result,
    draw_arms,
    finish,
    read_arms,
    take_axes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_free_response"]


def plot_free_response(
    result: Result,
    *,
    arms: str | Sequence[str] | None = None,
    legend: bool = True,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Plot the sensitivity for lesions by the number of false positives per scan.

    The axis of false positives is logarithmic. The band is the pointwise 95 % confidence interval
    of ``statistics.free_response`` between its operating points. Of more than three arms, only the
    one with the highest AUROC has a band.

    Parameters
    ----------
    result : Comparison, External or Evaluation
        The arms.
    arms : str, sequence of str or None
        Names of the arms to draw; None for all.
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
        If there is no such arm, or the samples are not candidates for lesions.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from bottleneck import Predictions, evaluate, plot_free_response
    >>> scores = Predictions.from_arrays([0, 0, 1, 1] * 5, [0.1, 0.6, 0.4, 0.8] * 5)
    >>> plot_free_response(evaluate(scores), ax=Figure().add_subplot())
    Traceback (most recent call last):
    ...
    bottleneck.report.figures.plots.drawing.NothingToDraw: there is no free-response curve: ...
    """
    shown = read_arms(result, "plot_free_response", arms)
    known = {e.name: e.free_response for e in shown.evaluations if e.free_response is not None}
    if not known:
        raise NothingToDraw(
            "there is no free-response curve: the samples are not candidates of recorded scans and "
            "lesions"
        )
    axes = take_axes(ax)
    lines = {name: (one.curve[:, 0], one.curve[:, 1]) for name, one in known.items()}
    bands = {
        e.name: (
            one.false_positives,
            [each.low for each in one.sensitivities],
            [each.high for each in one.sensitivities],
        )
        for e in shown.shaded
        if (one := known.get(e.name)) is not None
    }
    entries = draw_arms(axes, shown.styles, lines, bands)
    points = next(iter(known.values())).false_positives
    axes.set_xscale("log", base=2)
    axes.set(xlim=(points[0], points[-1]), ylim=(0, 1))
    axes.set_xticks(points, [f"{point:g}" for point in points])
    axes.minorticks_off()
    axes.set(xlabel="False positives per scan", ylabel="Sensitivity for lesions")
    return finish(axes, title, entries, legend=legend, grow=ax is None)
