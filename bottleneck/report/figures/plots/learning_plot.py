"""Learning curves: the AUROC by the number of training patients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bottleneck.evaluation.results.result_parts import LearningCurve
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

__all__ = ["plot_learning_curve"]


def plot_learning_curve(
    result: Result,
    *,
    arms: str | Sequence[str] | None = None,
    band: bool = True,
    legend: bool = True,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Plot the AUROC by the number of training patients, in the same test folds.

    Parameters
    ----------
    result : Comparison or Evaluation
        The arms, of ``compare`` with ``Measures(learning_curve=True)``.
    arms : str, sequence of str or None
        Names of the arms to draw; None for all.
    band : bool
        Whether the pointwise 95 % confidence interval is shaded: for up to three arms, and of more
        for the one with the highest AUROC.
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
        If there is no such arm, or no arm has a learning curve.

    Examples
    --------
    >>> import dataclasses
    >>> from matplotlib.figure import Figure
    >>> from bottleneck import Predictions, evaluate, plot_learning_curve
    >>> from bottleneck.evaluation.results.result_parts import LearningCurve, Metric
    >>> arm = evaluate(Predictions.from_arrays([0, 0, 1, 1] * 5, [0.1, 0.6, 0.4, 0.8] * 5))
    >>> curve = LearningCurve((10, 20), (Metric(0.6), Metric(0.7)))
    >>> axes = plot_learning_curve(
    ...     dataclasses.replace(arm, learning_curve=curve), ax=Figure().add_subplot()
    ... )
    >>> axes.get_xlabel(), axes.get_ylabel()
    ('Training samples', 'AUROC')
    """
    shown = read_arms(result, "plot_learning_curve", arms)
    points = {e.name: _points(e.learning_curve) for e in shown.evaluations if e.learning_curve}
    if not points:
        raise NothingToDraw(
            "there is no learning curve: compare with Measures(learning_curve=True) makes one"
        )
    axes = take_axes(ax)
    curves = {name: (x, value) for name, (x, value, _, _) in points.items()}
    shaded = {e.name for e in shown.shaded if band}
    bands = {name: (x, low, high) for name, (x, _, low, high) in points.items() if name in shaded}
    entries = draw_arms(axes, shown.styles, curves, bands, marker="o", markersize=4)
    known = any(e.predictions.groups is not None for e in shown.evaluations)
    axes.set(xlabel="Training patients" if known else "Training samples", ylabel="AUROC")
    return finish(axes, title, entries, legend=legend, grow=ax is None)


def _points(curve: LearningCurve) -> NDArray[np.float64]:
    """Return numbers of patients, AUROCs and their bounds, shape (4, n); NaN for no bound."""
    rows = zip(curve.n_patients, curve.auroc, strict=True)
    return np.array([(n, m.value, m.low, m.high) for n, m in rows], float).T
