"""Training curves of a network: losses and metrics by epoch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bottleneck.report.figures.arm_styles import N_HUES, Style
from bottleneck.report.figures.plots.drawing import (
    NothingToDraw,
    Result,
    draw_line,
    finish,
    read_arms,
    take_axes,
)
from bottleneck.settings.schema import validate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_training", "training_keys"]


def plot_training(
    result: Result,
    arm: str | None = None,
    *,
    what: Literal["loss", "metrics"] = "loss",
    legend: bool = True,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Plot the losses, or the other metrics, that were recorded while a network was trained.

    Every trained network (one per fold and repeat) has a line of its own.

    Parameters
    ----------
    result : Comparison, External or Evaluation
        The arms.
    arm : str or None
        Name of the arm; None for the first one with a record of its training.
    what : {"loss", "metrics"}
        "loss" for what has "loss" in its name, and "metrics" for the rest.
    legend : bool
        Whether a legend below the axes names what is drawn.
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
        If there is no such arm, or it has no such record.

    Examples
    --------
    >>> import dataclasses
    >>> from matplotlib.figure import Figure
    >>> from bottleneck import Predictions, evaluate, plot_training
    >>> arm = evaluate(Predictions.from_arrays([0, 0, 1, 1] * 5, [0.1, 0.6, 0.4, 0.8] * 5))
    >>> curves = [{"epoch": 1, "train_loss": 0.7}, {"epoch": 2, "train_loss": 0.5}]
    >>> axes = plot_training(
    ...     dataclasses.replace(arm, cost={"curves": curves}), ax=Figure().add_subplot()
    ... )
    >>> axes.get_xlabel(), axes.get_ylabel()
    ('Epoch', 'Loss')
    """
    validate(Literal["loss", "metrics"], what, "what")
    recorded = [
        (e.name, e.cost["curves"])
        for e in read_arms(result, "plot_training", arm).evaluations
        if e.cost.get("curves")
    ]
    label = {"loss": "Loss", "metrics": "Other metrics"}[what]
    known = [(name, rows) for name, rows in recorded if training_keys(rows)[label]]
    if not known:
        raise NothingToDraw(
            f"there is no record of the {'losses' if what == 'loss' else 'metrics'} of a training, "
            "which arms of trained networks have"
        )
    _, curves = known[0]
    keys = training_keys(curves)[label]
    runs: dict[tuple[Any, Any], list[Mapping[str, Any]]] = {}
    for row in curves:
        runs.setdefault((row.get("repeat"), row.get("fold")), []).append(row)
    axes = take_axes(ax)
    entries = []
    for hue, key in enumerate(keys):
        style = Style(hue % N_HUES, "none")
        for rows in runs.values():
            points = [(r["epoch"], r[key]) for r in rows if r.get(key) is not None]
            x, y = np.array(points, float).reshape(-1, 2).T
            line = draw_line(axes, x, y, style, alpha=1.0 if len(runs) == 1 else 0.5)
        entries.append((line, key.replace("_", " ")))
    axes.set(xlabel="Epoch", ylabel=label)
    axes.locator_params("x", integer=True)
    return finish(axes, title, entries, legend=legend, grow=ax is None)


def training_keys(curves: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return the names of the recorded metrics: losses, and others."""
    names = dict.fromkeys(
        key
        for row in curves
        for key, value in row.items()
        if key not in ("epoch", "fold", "repeat")
        if isinstance(value, int | float) and not isinstance(value, bool)
    )
    return {
        "Loss": [n for n in names if "loss" in n],
        "Other metrics": [n for n in names if "loss" not in n],
    }
