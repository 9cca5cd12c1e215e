"""Plots of a comparison as SVG, in the colours of the page."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bottleneck.evaluation.results import Evaluation
from bottleneck.report.figures.arm_styles import N_HUES, Style, arm_styles, arms_with_band
from bottleneck.report.figures.roc_curves import Band, mean_roc_curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["decision_svg", "learning_svg", "roc_svg", "training_svg"]

# Placeholder colours, replaced with CSS variables so that a plot follows the page's theme.
_INK, _MUTED, _RULE = "#000001", "#000002", "#000003"
_COLOURS = {_INK: "var(--ink)", _MUTED: "var(--muted)", _RULE: "var(--rule)"}
_COLOURS |= {f"#00001{hue}": f"var(--arm-{hue})" for hue in range(N_HUES)}
_WIDE = (6.6, 3.6)


def roc_svg(
    evaluations: Sequence[Evaluation],
    positive: str | None,
    bands: Mapping[str, Band] = {},
    name: str = "roc",
) -> str | None:
    """Plot the mean ROC curves of the arms.

    Parameters
    ----------
    evaluations : sequence of Evaluation
        Arms.
    positive : str or None
        The positive class; None for the macro average over one-vs-rest classes.
    bands : mapping of str to Band
        Confidence bands by name of the arm.
    name : str
        Prefix of the ids in the SVG, unique on the page.

    Returns
    -------
    str or None
        An ``<svg>`` element for a page that defines the colours ``--ink``, ``--muted``,
        ``--rule`` and ``--arm-0`` to ``--arm-7``; None if no arm with images has a curve.
    """

    def draw(figure: Figure) -> bool:
        axes = figure.add_subplot(aspect="equal", xlim=(0, 1), ylim=(0, 1))
        axes.plot([0, 1], [0, 1], color=_MUTED, linewidth=1, dashes=(4, 3))
        drawn = False
        for e, style in _styled(evaluations):
            curve = None if e.head == "prior" else mean_roc_curve(e.predictions, positive)
            if curve is None:
                continue
            drawn |= e.uses_images
            if (band := bands.get(e.name)) is not None:
                axes.fill_between(
                    band.fpr, band.low, band.high, color=_hue(style), alpha=0.16, linewidth=0
                )
            _line(axes, *curve, style)
        _finish(axes, "1 − specificity", "Sensitivity")
        return drawn

    return _svg(draw, (5.2, 5.2), name)


def decision_svg(evaluations: Sequence[Evaluation], name: str = "decision") -> str | None:
    """Plot the decision curves of the arms, of acting on everyone and of acting on nobody.

    Parameters
    ----------
    evaluations : sequence of Evaluation
        Arms.
    name : str
        Prefix of the ids in the SVG, unique on the page.

    Returns
    -------
    str or None
        As for ``roc_svg``; None if no arm has a decision curve.
    """

    def draw(figure: Figure) -> bool:
        shown = [(e.decision_curve, s) for e, s in _styled(evaluations) if e.decision_curve]
        if not shown:
            return False
        axes = figure.add_subplot()
        first = shown[0][0]
        axes.plot(first.thresholds, first.everyone, color=_MUTED, linewidth=1.2)
        axes.axhline(0, color=_MUTED, linewidth=1, dashes=(4, 3))
        for curve, style in shown:
            _line(axes, curve.thresholds, curve.model, style)
        top = max(float(np.nanmax(c.model)) for c, _ in shown)
        top = max(top, float(np.nanmax(first.everyone)), 0.01) * 1.08
        # The net benefit of acting on everyone falls far below 0; cut it off.
        axes.set(xlim=(first.thresholds.min(), first.thresholds.max()), ylim=(-top / 4, top))
        _finish(axes, "Threshold probability", "Net benefit")
        return True

    return _svg(draw, _WIDE, name)


def learning_svg(evaluations: Sequence[Evaluation], name: str = "learning") -> str | None:
    """Plot the AUROC of the arms by the number of training patients.

    Parameters
    ----------
    evaluations : sequence of Evaluation
        Arms.
    name : str
        Prefix of the ids in the SVG, unique on the page.

    Returns
    -------
    str or None
        As for ``roc_svg``; None if no arm has a learning curve.
    """

    def draw(figure: Figure) -> bool:
        shown = [(e, e.learning_curve, s) for e, s in _styled(evaluations) if e.learning_curve]
        if not shown:
            return False
        axes = figure.add_subplot()
        shaded = {e.name for e in arms_with_band(evaluations)}
        for e, curve, style in shown:
            x = np.array(curve.n_patients, float)
            values, low, high = (
                np.array([np.nan if v is None else v for v in column], float)
                for column in zip(*((m.value, m.low, m.high) for m in curve.auroc), strict=True)
            )
            if e.name in shaded:
                axes.fill_between(x, low, high, color=_hue(style), alpha=0.16, linewidth=0)
            _line(axes, x, values, style, marker="o", markersize=4)
        _finish(axes, "Training patients", "AUROC")
        return True

    return _svg(draw, _WIDE, name)


def training_svg(curves: Sequence[Mapping[str, Any]], name: str) -> str | None:
    """Plot the training of a network by epoch: losses on the left, other metrics on the right.

    Parameters
    ----------
    curves : sequence of mapping
        One per epoch, with ``epoch``, metrics by name, and ``repeat`` and ``fold`` if several
        networks were trained.
    name : str
        Prefix of the ids in the SVG, unique on the page.

    Returns
    -------
    str or None
        As for ``roc_svg``; None if no metric was recorded.
    """
    panels = [(label, keys) for label, keys in training_keys(curves).items() if keys]
    runs: dict[tuple[Any, Any], list[Mapping[str, Any]]] = {}
    for row in curves:
        runs.setdefault((row.get("repeat"), row.get("fold")), []).append(row)

    def draw(figure: Figure) -> bool:
        for place, (label, keys) in enumerate(panels):
            axes = figure.add_subplot(1, len(panels), place + 1)
            for hue, key in enumerate(keys):
                style = Style(hue % N_HUES, "none")
                for rows in runs.values():
                    known = [(r["epoch"], r[key]) for r in rows if r.get(key) is not None]
                    x, y = np.array(known, float).reshape(-1, 2).T
                    _line(axes, x, y, style, alpha=1.0 if len(runs) == 1 else 0.5)
            _finish(axes, "Epoch", label)
            axes.locator_params("x", integer=True)
        return bool(panels)

    return _svg(draw, (3.8 * max(1, len(panels)), 2.9), name)


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


def _svg(draw: Any, size: tuple[float, float], name: str) -> str | None:
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    out = io.StringIO()
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": f"bottleneck {name}"})
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)
        if not draw(figure):
            return None
        figure.savefig(
            out,
            format="svg",
            transparent=True,
            metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
        )
    opening, rest = re.sub(r".*?<svg", "<svg", out.getvalue(), count=1, flags=re.DOTALL).split(
        ">", 1
    )
    opening = re.sub(r' (?:xmlns(?::\w+)?|width|height)="[^"]*"', "", opening)
    # Ids of groups repeat in every plot, and nothing refers to them.
    rest = re.sub(r'<g id="[^"]*"', "<g", rest)
    return re.sub("|".join(_COLOURS), lambda match: _COLOURS[match[0]], f"{opening}>{rest}")


def _styled(evaluations: Sequence[Evaluation]) -> list[tuple[Evaluation, Style]]:
    return list(zip(evaluations, arm_styles(evaluations), strict=True))


def _hue(style: Style) -> str:
    return _MUTED if style.hue is None else f"#00001{style.hue}"


def _line(axes: Axes, x: Any, y: Any, style: Style, **options: Any) -> None:
    (line,) = axes.plot(x, y, color=_hue(style), linewidth=1.7, **options)
    line.set_clip_on(bool(options) or axes.get_aspect() == "auto")
    if style.dash != "none":
        line.set_dashes([float(length) for length in style.dash.split()])


def _finish(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x, color=_INK)
    axes.set_ylabel(y, color=_INK)
    axes.tick_params(color=_RULE, labelcolor=_MUTED)
    axes.grid(color=_RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    for name, spine in axes.spines.items():
        spine.set(color=_MUTED, linewidth=0.8, visible=name in ("left", "bottom"))
