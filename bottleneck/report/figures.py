"""Figures of a comparison: what they show, apart from how they are drawn."""

from __future__ import annotations

import dataclasses
import io
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bottleneck.evaluation.results import Comparison, Difference, Evaluation
from bottleneck.predictions import Predictions

__all__ = [
    "Curve",
    "Span",
    "Style",
    "arm_styles",
    "difference_spans",
    "mean_roc_curve",
    "roc_svg",
    "row_shares",
]

#: False and true positive rates, from (0, 0) to (1, 1).
Curve = tuple[NDArray[np.float64], NDArray[np.float64]]

N_HUES = 8
_DASHES = ("none", "5 2.5", "1.5 2.5", "7 2.5 1.5 2.5")


@dataclasses.dataclass(frozen=True)
class Style:
    """How an arm is drawn.

    Attributes
    ----------
    hue : int or None
        Number of a colour of the page, from 0; None for the arm without features.
    dash : str
        An SVG ``stroke-dasharray``.
    """

    hue: int | None
    dash: str


@dataclasses.dataclass(frozen=True)
class Span:
    """Where a difference and its interval lie on the axis of a forest plot, 0 to 1.

    Zero difference is at 0.5.
    """

    low: float
    value: float
    high: float


def mean_roc_curve(predictions: Predictions, positive: str | None) -> Curve | None:
    """Average the ROC curves of the test folds.

    Scores of different folds come from different models, so every fold (of every repeat)
    has a curve of its own, and these are averaged vertically: the mean true positive rate
    at each false positive rate (Fawcett 2006, "An introduction to ROC analysis"). The
    common grid holds every rate at which a curve bends, with both limits where it jumps,
    so that the area below the mean is the mean of the areas: the AUROC of the tables.

    Parameters
    ----------
    predictions : Predictions
        Of one arm.
    positive : str or None
        The positive class; None averages one-vs-rest curves over the classes of each fold.

    Returns
    -------
    tuple of ndarray, or None
        False and true positive rates; None where a fold lacks a class, which leaves
        the AUROC undefined too.
    """
    from sklearn.metrics import roc_curve

    classes = predictions.classes if positive is None else (positive,)
    folds = np.column_stack([predictions.repeats, predictions.folds])
    averages = []
    for fold in np.unique(folds, axis=0):
        rows = (folds == fold).all(axis=1)
        curves = []
        for name in classes:
            truth = predictions.labels[rows] == name
            if truth.all() or not truth.any():
                return None
            column = predictions.classes.index(name)
            curves.append(roc_curve(truth, predictions.scores[rows, column])[:2])
        averages.append(_average(curves))
    return _average(averages)


def row_shares(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return each cell's share of its row; 0 in the row of a class without samples."""
    totals = confusion.sum(axis=1, keepdims=True)
    return confusion / np.maximum(totals, 1)


def difference_spans(differences: Sequence[Difference]) -> tuple[float, list[Span | None]]:
    """Place differences on one axis that is symmetric about zero.

    Parameters
    ----------
    differences : sequence of Difference
        Of one metric.

    Returns
    -------
    limit : float
        The axis reaches from minus to plus this; 0 where no difference has an interval.
    spans : list of Span or None
        None for a difference without an interval.
    """
    bounds = [(d.low, d.value, d.high) for d in differences]
    known = [abs(x) for b in bounds if None not in b for x in b if x is not None]
    if not known or not np.isfinite(known).all():
        return 0.0, [None] * len(bounds)
    limit = max(0.05, np.ceil(max(known) * 20) / 20)
    return limit, [
        None
        if low is None or high is None
        else Span(*(0.5 + x / (2 * limit) for x in (low, value, high)))
        for low, value, high in bounds
    ]


def arm_styles(evaluations: Sequence[Evaluation]) -> list[Style]:
    """Give every arm a line: one colour per features, one dash per head.

    Where all arms share their features, the colour tells the heads apart.
    """
    arms = [e for e in evaluations if e.backbone is not None]
    sources = list(dict.fromkeys((e.backbone, e.weights) for e in arms))
    heads = list(dict.fromkeys(e.head for e in arms))
    styles = []
    for e in evaluations:
        if e.backbone is None:
            styles.append(Style(hue=None, dash=_DASHES[1]))
        elif len(sources) > 1:
            dash = _DASHES[heads.index(e.head) % len(_DASHES)]
            styles.append(Style(sources.index((e.backbone, e.weights)) % N_HUES, dash))
        else:
            styles.append(Style(heads.index(e.head) % N_HUES, _DASHES[0]))
    return styles


def roc_svg(comparison: Comparison) -> str | None:
    """Draw the mean ROC curves of all arms.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    str or None
        An ``<svg>`` element to stand in a page that defines the colours ``--ink``,
        ``--muted``, ``--rule`` and ``--arm-0`` to ``--arm-7``; None where no arm has a curve.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    # Drawn in stand-ins that become the page's colours, so that the figure follows its theme.
    ink, muted, rule = "#000001", "#000002", "#000003"
    colours = {ink: "var(--ink)", muted: "var(--muted)", rule: "var(--rule)"}
    colours |= {f"#00001{hue}": f"var(--arm-{hue})" for hue in range(N_HUES)}

    drawn = 0
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "bottleneck"})
        figure = Figure(figsize=(5.2, 5.2), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot(aspect="equal", xlim=(0, 1), ylim=(0, 1))
        axes.plot([0, 1], [0, 1], color=muted, linewidth=1, dashes=(4, 3))
        for e, style in zip(
            comparison.evaluations, arm_styles(comparison.evaluations), strict=True
        ):
            curve = mean_roc_curve(e.predictions, comparison.positive)
            if curve is None or style.hue is None:
                continue
            drawn += 1
            (line,) = axes.plot(*curve, color=f"#00001{style.hue}", linewidth=1.7, clip_on=False)
            if style.dash != "none":
                line.set_dashes([float(x) for x in style.dash.split()])
        axes.set_xlabel("1 − specificity", color=ink)
        axes.set_ylabel("Sensitivity", color=ink)
        axes.tick_params(color=rule, labelcolor=muted)
        axes.grid(color=rule, linewidth=0.6)
        axes.set_axisbelow(True)
        for name, spine in axes.spines.items():
            spine.set(color=muted, linewidth=0.8, visible=name in ("left", "bottom"))
        out = io.StringIO()
        figure.savefig(
            out,
            format="svg",
            transparent=True,
            metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
        )
    if not drawn:
        return None
    opening, rest = re.sub(r".*?<svg", "<svg", out.getvalue(), count=1, flags=re.DOTALL).split(
        ">", 1
    )
    opening = re.sub(r' (?:xmlns(?::\w+)?|width|height)="[^"]*"', "", opening)
    return re.sub("|".join(colours), lambda match: colours[match[0]], f"{opening}>{rest}")


def _average(curves: Sequence[Curve]) -> Curve:
    """Average curves vertically, exactly: each grid point comes with both of its limits."""
    grid = np.unique(np.concatenate([fpr for fpr, _ in curves]))
    # np.interp takes the last of several equal abscissae; mirrored, that is the first.
    left = [np.interp(-grid, -fpr[::-1], tpr[::-1]) for fpr, tpr in curves]
    right = [np.interp(grid, fpr, tpr) for fpr, tpr in curves]
    limits = np.stack([np.mean(left, axis=0), np.mean(right, axis=0)], axis=1)
    return np.repeat(grid, 2), limits.ravel()
