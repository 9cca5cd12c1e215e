"""Forest plots: a metric of all arms, its differences, or those to a reference and a margin."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bottleneck.errors import unknown_name
from bottleneck.evaluation.metrics.metric_values import Difference, Metric
from bottleneck.evaluation.results.comparison_results import Comparison, Evaluation, External
from bottleneck.evaluation.results.result_parts import MarginResults, MarginTest
from bottleneck.report.figures.arm_styles import COLOURS
from bottleneck.report.figures.plots.drawing import (
    MUTED,
    NothingToDraw,
    Result,
    add_title,
    colour,
    estimate_text,
    fill,
    name_ticks,
    read_arms,
    show_names,
    take_axes,
)
from bottleneck.report.wording.labels import metric_label, metric_names
from bottleneck.report.wording.number_format import signed
from bottleneck.settings.schema import validate
from bottleneck.text.plain_text import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["forest_height", "margin_height", "plot_forest", "plot_noninferiority"]

# Letters of a name in a line and of a label, and height of a row, and of each further line of it,
# in inches.
_COLUMNS, _LABEL, _ROW, _LINE = 34, 60, 0.3, 0.16
#: Name, value and colour of a row.
Row = tuple[str, Metric | Difference | MarginTest, str]

_NO_SKILL = {"auroc": 0.5, "balanced_accuracy": 0.5, "mcc": 0.0}


def plot_forest(
    result: Result,
    metric: str = "auroc",
    *,
    differences: bool = False,
    arm: str | None = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Plot a metric of every arm with its confidence interval, or the differences between arms.

    Each row has its value and its interval as a text at the right. Differences are those of pairs
    of arms with images, the first minus the second. Their intervals are not adjusted for the
    number of pairs.

    Parameters
    ----------
    result : Comparison, External or Evaluation
        The arms. An Evaluation has no differences.
    metric : str
        Name of the metric, as in ``Evaluation.metrics``.
    differences : bool
        Whether the rows are differences between pairs of arms.
    arm : str or None
        Name of the only arm to show, or whose differences are shown; None for all.
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
        If no arm has the metric, or no pair of arms a difference of it.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from bottleneck import Predictions, evaluate, plot_forest
    >>> scores = Predictions.from_arrays([0, 0, 1, 1] * 5, [0.1, 0.6, 0.4, 0.8] * 5)
    >>> axes = plot_forest(evaluate(scores), "accuracy", ax=Figure().add_subplot())
    >>> axes.get_xlabel()
    'Accuracy (95 % confidence interval)'
    """
    validate(str, metric, "metric")
    validate(str | None, arm, "arm")
    rows, what, zero = _rows(result, metric, differences=differences, arm=arm)
    axes = _draw_rows(rows, what, zero, ax)
    add_title(axes, title)
    return axes


def plot_noninferiority(
    result: Result, *, title: str | None = None, ax: Axes | None = None
) -> Axes:
    """Plot the AUROC of every arm minus that of the reference arm, with the margin.

    An arm whose interval lies above the solid line, the margin, is non-inferior; with several
    arms, the adjusted p values of ``MarginTest`` decide. The dashed line is no difference.

    Parameters
    ----------
    result : Comparison or External
        A result of ``compare`` with ``Measures(margin=…)``.
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
        If non-inferiority was not tested.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from bottleneck import Measures, Predictions, compare, plot_noninferiority
    >>> y = [0, 0, 1, 1] * 10
    >>> old = Predictions.from_arrays(y, [0.1, 0.6, 0.4, 0.8] * 10)
    >>> new = Predictions.from_arrays(y, [0.1, 0.4, 0.5, 0.8] * 10)
    >>> made = compare(predictions={"old": old, "new": new}, measures=Measures(margin=0.05))
    >>> axes = plot_noninferiority(made, ax=Figure().add_subplot())
    >>> axes.get_xlabel()
    'AUROC minus that of old (95 % confidence interval)'
    """
    results = _margin_results(result)
    rows = [(visible(test.arm), test, COLOURS["ink"]) for test in results.tests]
    what = fill(f"AUROC minus that of {visible(results.reference)}", _LABEL)
    axes = _draw_rows(rows, what, 0.0, ax)
    axes.axvline(-results.margin, color=COLOURS["wrong"], linewidth=1.2, zorder=0)
    add_title(axes, title)
    return axes


def margin_height(result: Result) -> float:
    """Return the height of a plot of non-inferiority in inches."""
    return _height([_in_lines(visible(test.arm)) for test in _margin_results(result).tests])


def _margin_results(result: Result) -> MarginResults:
    read_arms(result, "plot_noninferiority")
    if isinstance(result, Evaluation) or result.noninferiority is None:
        raise NothingToDraw(
            "non-inferiority was not tested: pass a result of compare with "
            "measures=Measures(margin=0.05)"
        )
    return result.noninferiority


def _draw_rows(rows: Sequence[Row], what: str, zero: float, ax: Axes | None) -> Axes:
    """Draw values with their intervals, each with its text at the right."""
    names = [_in_lines(name) for name, _, _ in rows]
    axes = take_axes(ax, (6.6, _height(names)))
    for place, (_, one, hue) in enumerate(rows):
        if one.low is not None and one.high is not None:
            axes.plot([one.low, one.high], [place] * 2, color=hue, linewidth=1.4)
        axes.plot([one.value], [place], color=hue, marker="s", markersize=5)
    if not math.isnan(zero):
        axes.axvline(zero, color=MUTED, linewidth=1, dashes=(2, 2), zorder=0)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    name_ticks(axes.yaxis, names)
    _write_values(axes, [_value_text(one) for _, one, _ in rows])
    bounded = any(one.low is not None for _, one, _ in rows)
    caution = "; † estimate only" if any("†" in _value_text(one) for _, one, _ in rows) else ""
    suffix = f" (95 % confidence interval{caution})" if bounded else ""
    show_names([axes.xaxis.label], [f"{what}{suffix}"])
    return axes


def forest_height(
    result: Result, metric: str = "auroc", *, differences: bool = False, arm: str | None = None
) -> float:
    """Return the height of a forest plot in inches."""
    rows, _, _ = _rows(result, metric, differences=differences, arm=arm)
    return _height([_in_lines(name) for name, _, _ in rows])


def _height(names: Sequence[str]) -> float:
    return 0.9 + sum(_ROW + _LINE * name.count("\n") for name in names)


def _in_lines(name: str) -> str:
    return "\n".join(fill(line, _COLUMNS) for line in name.split("\n"))


def _rows(
    result: Result, metric: str, *, differences: bool, arm: str | None = None
) -> tuple[list[Row], str, float]:
    """Return names, values and colours of the rows, the label of the axis, and no difference."""
    shown = read_arms(result, "plot_forest", None if differences else arm)
    if arm is not None and arm not in shown.styles:
        raise unknown_name("arm", arm, shown.styles)
    rows: list[Row]
    if differences:
        rows = [
            (f"{visible(d.a)} −\n{visible(d.b)}", d, COLOURS["ink"])
            for d in _differences(result)
            if d.metric == metric and not math.isnan(d.value)
            if arm is None or arm in (d.a, d.b)
        ]
        what, zero = f"Difference of {_in_sentence(metric)}", 0.0
    else:
        known = metric_names(e.metrics for e in shown.evaluations)
        if metric not in known:
            raise unknown_name("metric", metric, known)
        rows = [
            (visible(e.name), e.metrics[metric], colour(shown.styles[e.name]))
            for e in shown.evaluations
            if metric in e.metrics and not math.isnan(e.metrics[metric].value)
        ]
        what, zero = metric_label(metric), _NO_SKILL.get(metric, math.nan)
    if not rows:
        kind = "difference of it between arms with images" if differences else "value of it"
        raise NothingToDraw(f"the metric '{metric}' cannot be plotted: there is no {kind}")
    return rows, what, zero


def _differences(result: Result) -> tuple[Difference, ...]:
    if isinstance(result, Evaluation):
        raise NothingToDraw(
            "a single arm has no differences: pass the Comparison that compare returns"
        )
    assert isinstance(result, Comparison | External)
    images = {e.name for e in result.evaluations if e.uses_images}
    return tuple(d for d in result.differences if {d.a, d.b} <= images)


def _in_sentence(metric: str) -> str:
    label = metric_label(metric)
    return label if label.isupper() or label[1:2].isupper() else label[:1].lower() + label[1:]


def _value_text(one: Metric | Difference | MarginTest) -> str:
    if isinstance(one, Metric):
        return estimate_text(one)
    if one.low is None or one.high is None:
        return signed(one.value)
    mark = "†" if "estimate only" in (one.method or "") else ""
    return f"{signed(one.value)} ({signed(one.low)} to {signed(one.high)}{mark})"


def _write_values(axes: Axes, texts: list[str]) -> None:
    """Write the values at the right of the rows."""
    for place, text in enumerate(texts):
        axes.annotate(
            text,
            (1, place),
            xycoords=axes.get_yaxis_transform(),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            annotation_clip=False,
        )
