"""The colour and the dash of each arm in the figures, and the arms that get a band."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from bottleneck.evaluation.analyses.best_arm import best_arm
from bottleneck.evaluation.results.comparison_results import Evaluation

__all__ = [
    "COLOURS",
    "MOST_BANDS",
    "N_HUES",
    "Style",
    "arm_styles",
    "arms_with_band",
]

#: The colours of the page in its light theme, by the names of ``page.css``. The colours of arms
#: differ in lightness too: they can be told apart with any colour vision (CIEDE2000 of 11 or more).
COLOURS = {
    "ink": "#1c2024",
    "muted": "#646c75",
    "rule": "#dfe2e6",
    "soft": "#f5f6f8",
    "accent": "#1f5fa8",
    "wrong": "#c2691c",
    "arm-0": "#1f5fa8",
    "arm-1": "#d1651b",
    "arm-2": "#532600",
    "arm-3": "#35a771",
    "arm-4": "#b573fc",
    "arm-5": "#432a54",
    "arm-6": "#964048",
    "arm-7": "#b981a0",
}
N_HUES = 8
#: Bands of more arms than these would hide each other.
MOST_BANDS = 3
_DASHES = ("none", "5 2.5", "1.5 2.5", "7 2.5 1.5 2.5")


@dataclasses.dataclass(frozen=True)
class Style:
    """The line style of an arm.

    Attributes
    ----------
    hue : int or None
        Index of an arm colour of the page; None (grey) for an arm that uses no images.
    dash : str
        An SVG ``stroke-dasharray``.
    """

    hue: int | None
    dash: str


def arm_styles(evaluations: Sequence[Evaluation]) -> list[Style]:
    """Return the line style of every arm: one colour per feature set, one dash per head.

    If all arms share their features, the colour tells the heads apart. Of more features than there
    are colours, or more heads than there are dashes, each arm has the next colour, and each round
    of colours another dash.
    """
    arms = [e for e in evaluations if e.uses_images]
    sources = list(dict.fromkeys(map(_source, arms)))
    heads = list(dict.fromkeys(e.head for e in arms))
    by_features = 1 < len(sources) <= N_HUES and len(heads) <= len(_DASHES)
    styles = []
    for e in evaluations:
        if not e.uses_images:
            styles.append(Style(hue=None, dash=_DASHES[1 if e.head == "prior" else 2]))
        elif by_features:
            styles.append(Style(sources.index(_source(e)), _DASHES[heads.index(e.head)]))
        else:
            n = arms.index(e)
            styles.append(Style(n % N_HUES, _DASHES[n // N_HUES % len(_DASHES)]))
    return styles


def _source(evaluation: Evaluation) -> str:
    """Return the features of an arm, or the source of imported predictions."""
    return evaluation.name.removesuffix(f" + {evaluation.head}")


def arms_with_band(evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    """Return the arms whose curves get a band: all if they are few, else the best one."""
    arms = [e for e in evaluations if e.uses_images]
    if len(arms) <= MOST_BANDS:
        return arms
    return [best] if (best := best_arm(arms)) else []
