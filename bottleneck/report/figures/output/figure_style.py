"""The style of the report's figures, and a figure as SVG, PDF and PNG, or in a page."""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from bottleneck.report.figures.arm_styles import COLOURS
from bottleneck.report.figures.plots.drawing import NothingToDraw

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Draw", "figure_style", "inline_svg", "quiet_fonts", "save_figure"]

#: Sets the size of a figure of matplotlib and draws on it.
Draw = Callable[["Figure"], object]

# What ``Figure.savefig`` is told for each format. Without a date and the versions
# of programs, the same results give the same bytes.
_FORMATS: dict[str, dict[str, Any]] = {
    "svg": {"metadata": {"Date": None, "Creator": None, "Format": None, "Type": None}},
    "pdf": {"metadata": {"Creator": None, "Producer": None, "CreationDate": None}},
    "png": {"metadata": {"Software": None}, "dpi": 300},
}
_STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": COLOURS["muted"],
    "axes.grid": True,
    "axes.labelcolor": COLOURS["ink"],
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": "medium",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Arial", "Helvetica"],
    "font.size": 9.0,
    "grid.color": COLOURS["rule"],
    "grid.linewidth": 0.6,
    "pdf.fonttype": 42,  # TrueType, which programs for drawing can edit
    "svg.fonttype": "none",  # Texts stay texts.
    "text.color": COLOURS["ink"],
    "xtick.color": COLOURS["rule"],
    "xtick.labelcolor": COLOURS["muted"],
    "ytick.color": COLOURS["rule"],
    "ytick.labelcolor": COLOURS["muted"],
}
_VARIABLES = {value: f"var(--{name})" for name, value in COLOURS.items()}


@contextlib.contextmanager
def figure_style(name: str) -> Iterator[None]:
    """Draw in the style of the report, whatever the settings of the session.

    Parameters
    ----------
    name : str
        Name of the figure, from which the ids in its SVG follow.
    """
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams["svg.hashsalt"] = f"bottleneck {name}"
        for key, value in _STYLE.items():
            matplotlib.rcParams[key] = value
        yield


@contextlib.contextmanager
def quiet_fonts() -> Iterator[None]:
    """Let texts be measured that hold letters without a font: an SVG keeps them as texts."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def save_figure(figure: Figure, kind: str, **options: Any) -> bytes:
    """Return the bytes of a figure in one of ``figure_kinds.KINDS``."""
    out = io.BytesIO()
    with quiet_fonts():
        figure.savefig(out, format=kind, **_FORMATS[kind], **options)
    return out.getvalue()


def inline_svg(draw: Draw, name: str) -> Markup | None:
    """Draw a figure as an ``<svg>`` element that follows the theme of the page.

    Parameters
    ----------
    draw : callable
        Sets the size of a figure and draws on it.
    name : str
        Name of the figure, unique on the page: ids in the SVG follow from it.

    Returns
    -------
    Markup or None
        An element for a page that defines the colours of ``page.css``; None if there is nothing to
        draw.
    """
    from matplotlib.figure import Figure

    with figure_style(name):
        figure = Figure(layout="constrained")
        try:
            with quiet_fonts():
                draw(figure)
        except NothingToDraw:
            return None
        svg = save_figure(figure, "svg", transparent=True).decode()
    opening, rest = re.sub(r".*?<svg", "<svg", svg, count=1, flags=re.DOTALL).split(">", 1)
    opening = re.sub(r' (?:xmlns(?::\w+)?|width|height)="[^"]*"', "", opening)
    # Ids of groups repeat in every plot, and nothing refers to them.
    rest = re.sub(r'<g id="[^"]*"', "<g", rest)
    pattern = "|".join(_VARIABLES)
    return Markup(re.sub(pattern, lambda match: _VARIABLES[match[0]], f"{opening}>{rest}"))
