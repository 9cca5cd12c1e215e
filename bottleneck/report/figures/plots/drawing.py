"""What all plots share: the arms of a result, axes, lines, bands, and texts as they are."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import textwrap
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from bottleneck.errors import UsageError, unknown_name
from bottleneck.evaluation.analyses.best_arm import best_arm
from bottleneck.evaluation.metrics.metric_values import Metric
from bottleneck.evaluation.results.comparison_results import Comparison, Evaluation, External
from bottleneck.report.figures.arm_styles import (
    COLOURS,
    Style,
    arm_styles,
    arms_with_band,
)
from bottleneck.report.wording.number_format import bounds, three
from bottleneck.settings.schema import validate
from bottleneck.text.plain_text import escape_character, visible
from bottleneck.text.short_repr import shorten

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.text import Text
    from matplotlib.transforms import Transform

__all__ = [
    "Arms",
    "NothingToDraw",
    "Result",
    "add_title",
    "colour",
    "draw_arms",
    "draw_line",
    "estimate_text",
    "fill",
    "finish",
    "label_y",
    "make_room",
    "name_ticks",
    "one_arm",
    "read_arms",
    "show_names",
    "spelling_out",
    "take_axes",
]

#: What has arms that can be drawn.
Result = Comparison | External | Evaluation

MUTED = COLOURS["muted"]
_LINE = 1.7
_LEGEND_SCALE = 0.9  # Size of the legend relative to the font.
_LETTER = 0.56  # Mean width of a letter, in sizes of the font.
# Letters that a line of the legend takes, and lines of which more are set in two columns.
_HANDLE, _MOST_LINES = 7, 8
#: How names are written.
_spelling: ContextVar[Callable[[str], str]] = ContextVar("spelling", default=visible)


class NothingToDraw(UsageError):
    """The result holds nothing that the plot could show."""


@dataclasses.dataclass(frozen=True)
class Arms:
    """Arms of a result with their line styles.

    Attributes
    ----------
    evaluations : tuple of Evaluation
        The arms to draw, in their order.
    styles : dict of str to Style
        The style of every arm of the result, by name; the same in all plots of the result.
    positive : str or None
        The positive class.
    """

    evaluations: tuple[Evaluation, ...]
    styles: dict[str, Style]
    positive: str | None

    @property
    def shaded(self) -> list[Evaluation]:
        """The arms that get a band: all if they are few, else the best one."""
        return arms_with_band(self.evaluations)


def read_arms(result: Result, plot: str, arms: str | Sequence[str] | None = None) -> Arms:
    """Return the arms of a result that a plot shows.

    Parameters
    ----------
    result : Comparison, External or Evaluation
        The result.
    plot : str
        Name of the function, for the messages.
    arms : str, sequence of str or None
        Names of the arms to draw, in the order of the result; None for all.

    Raises
    ------
    UsageError
        If it is not a result, or has no such arm.
    """
    evaluations: tuple[Evaluation, ...]
    if isinstance(result, Evaluation):
        evaluations, positive = (result,), result.positive
    elif isinstance(result, External):
        evaluations, positive = result.evaluations, result.dataset["positive"]
    elif isinstance(result, Comparison):
        evaluations, positive = result.evaluations, result.positive
    else:
        raise UsageError(
            f"{plot} needs a Comparison, which compare returns, one of its evaluations or external "
            f"cohorts, not {shorten(result)}"
        )
    styles = arm_styles(evaluations)
    known = {e.name: style for e, style in zip(evaluations, styles, strict=True)}
    if arms is not None:
        many = isinstance(arms, Iterable) and not isinstance(arms, str)
        wanted: list[Any] = list(arms) if many else [arms]
        for name in wanted:
            if not isinstance(name, str) or name not in known:
                raise unknown_name("arm", name, known)
        evaluations = tuple(e for e in evaluations if e.name in wanted)
    return Arms(evaluations, known, positive)


def one_arm(result: Result, plot: str, arm: str | None) -> tuple[Evaluation, Arms]:
    """Return the arm that a plot of one arm shows: by default the one with the highest AUROC."""
    validate(str | None, arm, "arm")
    arms = read_arms(result, plot, arm)
    return best_arm(arms.evaluations) or arms.evaluations[0], arms


def take_axes(ax: Axes | None, size: tuple[float, float] | None = None) -> Axes:
    """Return the axes to draw on: those of the caller, or new ones of pyplot.

    Parameters
    ----------
    ax : Axes or None
        The axes of the caller.
    size : (float, float) or None
        Width and height of a new figure in inches, without its legend; None for those of
        matplotlib's settings.

    Raises
    ------
    UsageError
        If it is anything but axes.
    """
    from matplotlib.axes import Axes

    if ax is None:
        import matplotlib.pyplot as plt

        return plt.subplots(figsize=size, layout="constrained")[1]
    if not isinstance(ax, Axes):
        raise UsageError(
            f"ax must be matplotlib axes, not {shorten(ax)}: plt.subplots() returns a figure and "
            "its axes, and of several axes, pass one"
        )
    return ax


def colour(style: Style) -> str:
    """Return the colour of an arm."""
    return MUTED if style.hue is None else COLOURS[f"arm-{style.hue}"]


def draw_line(axes: Axes, x: Any, y: Any, style: Style, **options: Any) -> Artist:
    """Draw a line in the style of an arm."""
    (line,) = axes.plot(x, y, color=colour(style), linewidth=_LINE, **options)
    if style.dash != "none":
        line.set_dashes([float(length) for length in style.dash.split()])
    return line


def draw_arms(
    axes: Axes,
    styles: Mapping[str, Style],
    curves: Mapping[str, tuple[Any, Any]],
    bands: Mapping[str, tuple[Any, Any, Any]],
    **options: Any,
) -> list[tuple[Artist, str]]:
    """Draw the curve of each arm on its band, and return the lines with the names of the arms.

    Curves are x and y, and bands, which arms can lack, are x and the bounds of y.
    """
    entries = []
    for name, curve in curves.items():
        if name in bands:
            shade = colour(styles[name])
            axes.fill_between(*bands[name], color=shade, alpha=0.16, linewidth=0)
        entries.append((draw_line(axes, *curve, styles[name], **options), name))
    return entries


def estimate_text(metric: Metric | None) -> str:
    """Return a value with its bounds as a legend has it; "" for none."""
    if metric is None or math.isnan(metric.value):
        return ""
    limits = bounds(metric)
    return f"{three(metric.value)} ({limits})" if limits else three(metric.value)


def finish(
    axes: Axes,
    title: str | None,
    entries: Sequence[tuple[Artist, str]],
    heading: str = "",
    *,
    legend: bool,
    grow: bool,
) -> Axes:
    """Add a title and a legend of lines with their names to axes, and return the axes.

    The legend is below the labels of the axes, which are set before. With ``grow``, the figure
    becomes higher by the height of the legend.
    """
    add_title(axes, title)
    if legend:
        _add_legend(axes, entries, heading, grow=grow)
    return axes


def _add_legend(
    axes: Axes, entries: Sequence[tuple[Artist, str]], title: str, *, grow: bool
) -> None:
    """Put the legend below the axes, where it covers no data.

    Axes that are alone in a figure with a constrained layout leave it the whole width.
    """
    from matplotlib import rcParams
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure, root = axes.get_figure(), axes.get_figure(root=True)
    assert figure is not None
    assert root is not None
    size = _LEGEND_SCALE * rcParams["font.size"]
    alone = len(root.axes) == 1 and isinstance(root.get_layout_engine(), ConstrainedLayoutEngine)
    width = (root.bbox.width if alone else axes.bbox.width) * 72 / root.dpi - size
    letters = int(width / (_LETTER * size))
    columns = 1
    if alone and len(entries) > _MOST_LINES:
        half = letters // 2
        columns = 2 if all(len(fill(name, 999)) < half - _HANDLE for _, name in entries) else 1
    options: dict[str, Any] = {
        "borderaxespad": 0,
        "borderpad": 0.2,
        "frameon": False,
        "fontsize": size,
        "title_fontsize": size,
        "alignment": "left",
        "handlelength": 2.6,
        "title": "-" if title else None,
        "ncols": columns,
    }
    artists = [artist for artist, _ in entries]
    # Names are set afterwards: matplotlib leaves out labels that begin with an underscore.
    if alone:
        legend = figure.legend(artists, ["-"] * len(artists), loc="outside lower left", **options)
    else:
        axes.set_anchor("S")  # Otherwise, the layout of axes of a fixed shape cuts the legend off.
        legend = axes.legend(artists, ["-"] * len(artists), loc="upper left", **options)
        legend.set_bbox_to_anchor((0, 0), _below(axes, size / 2))
    if title:
        show_names([legend.get_title()], [fill(title, letters)])
    names = [fill(name, max(8, letters // columns - _HANDLE)) for _, name in entries]
    show_names(legend.get_texts(), names)
    if grow:
        make_room(root)


def make_room(figure: Figure) -> None:
    """Make a figure higher by the height of its legends."""
    heights = [legend.get_window_extent().height for legend in figure.legends]
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height + sum(heights) / figure.dpi)


def _below(axes: Axes, gap: float) -> Transform:
    """Return the transform to a place below the labels of the horizontal axis, in points."""
    from matplotlib.transforms import offset_copy

    figure = axes.get_figure(root=True)
    assert figure is not None
    ticks = axes.xaxis.get_tightbbox()
    drop = 0.0 if ticks is None else (axes.bbox.y0 - ticks.y0) * 72 / figure.dpi
    return offset_copy(axes.transAxes, figure, y=-drop - gap, units="points")


def fill(text: str, columns: int) -> str:
    """Return a text in lines of at most some letters; what is invisible in it becomes visible."""
    spelt = _spelling.get()(text)
    return "\n".join(textwrap.wrap(spelt, columns)) or spelt


@contextlib.contextmanager
def spelling_out(letters: Collection[str]) -> Iterator[None]:
    """Show some letters as escapes in all texts, for fonts that do not have them."""
    table = {ord(letter): escape_character(letter) for letter in letters}
    token = _spelling.set(lambda text: visible(text).translate(table))
    try:
        yield
    finally:
        _spelling.reset(token)


def show_names(texts: Sequence[Text], names: Sequence[str]) -> None:
    """Set texts to names as they are: "$" begins no formula, and "_" no index of TeX."""
    for text, name in zip(texts, names, strict=True):
        text.set(text=name, parse_math=False, usetex=False)


def name_ticks(axis: Axis, names: Sequence[str], **options: Any) -> None:
    """Put names as they are at 0, 1, and so on."""
    from matplotlib import rcParams

    options |= {"parse_math": False, "usetex": False, "color": rcParams["text.color"]}
    axis.set_ticks(range(len(names)), names, **options)


def add_title(axes: Axes, title: str | None, **options: Any) -> None:
    """Set the title, in lines that are not wider than the axes; None and "" for none."""
    validate(str | None, title, "title")
    if title:
        text = axes.set_title("-", **options)
        show_names([text], [_fitted(title, axes, axes.bbox.width, text)])


def label_y(axes: Axes, label: str) -> None:
    """Set the label of the vertical axis as it is, in lines that are no longer than the axis."""
    text = axes.yaxis.label
    show_names([text], [_fitted(label, axes, axes.bbox.height, text)])


def _fitted(words: str, axes: Axes, pixels: float, text: Text) -> str:
    """Return words in lines of a length on the screen."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    points = pixels * 72 / figure.dpi
    return fill(words, max(10, int(points / (_LETTER * float(text.get_fontsize())))))
