"""The figures of the page: as SVG in it, with links to their files."""

from __future__ import annotations

import functools
from collections.abc import Collection
from typing import Any

from jinja2 import pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from bottleneck.evaluation.results.comparison_results import Comparison, External
from bottleneck.report.figures.arm_styles import Style, arm_styles, arms_with_band
from bottleneck.report.figures.output import figure_kinds
from bottleneck.report.figures.output.figure_files import FOLDER
from bottleneck.report.figures.output.figure_layouts import (
    draw_calibration,
    draw_decision_curve,
    draw_free_response,
    draw_learning_curve,
    draw_roc,
    draw_training,
)
from bottleneck.report.figures.output.figure_style import inline_svg
from bottleneck.report.figures.roc_curves import roc_band

__all__ = ["PAGE_FIGURES"]

Result = Comparison | External


@pass_context
def _roc(context: Context, result: Result, positive: str | None, name: str) -> dict[str, Any]:
    """Return the figure of the ROC curves, and the names of the arms with a band."""
    announce = context["announce"]
    draw = functools.partial(draw_roc, result, positive, legend=False, progress=announce)
    svg = inline_svg(draw, name)
    banded = [
        e.name
        for e in arms_with_band(result.evaluations)
        if svg and roc_band(e.predictions, positive) is not None
    ]
    return {"svg": svg, "banded": banded}


def _calibration(result: Result, arm: str, name: str) -> Markup | None:
    return inline_svg(functools.partial(draw_calibration, result, arm=arm), name)


def _decision(result: Result, name: str) -> Markup | None:
    return inline_svg(functools.partial(draw_decision_curve, result, legend=False), name)


def _detection(result: Result, name: str) -> Markup | None:
    return inline_svg(functools.partial(draw_free_response, result, legend=False), name)


def _learning(result: Result) -> Markup | None:
    return inline_svg(functools.partial(draw_learning_curve, result, legend=False), "learning")


def _training(result: Result, arm: str, name: str) -> Markup | None:
    return inline_svg(functools.partial(draw_training, result, arm), name)


def _styles(result: Result) -> dict[str, Style]:
    styles = arm_styles(result.evaluations)
    return {e.name: style for e, style in zip(result.evaluations, styles, strict=True)}


@pass_context
def _links(context: Context, name: str, what: str) -> Markup:
    """Return links to the files of a figure; nothing if they were not written."""
    written: Collection[str] = context["figures"]
    links = [
        Markup('<a href="{}" download>{}</a>').format(path, kind.upper())
        for kind in figure_kinds.KINDS
        if (path := f"{FOLDER}/{name}.{kind}") in written
    ]
    if not links:
        return Markup()
    return Markup('<p class="files">{}: {}</p>').format(what, Markup(" · ").join(links))


#: Functions for the templates.
PAGE_FIGURES = {
    "calibration_of": _calibration,
    "decision": _decision,
    "detection": _detection,
    "files": _links,
    "learning": _learning,
    "roc": _roc,
    "styles_of": _styles,
    "training": _training,
}
