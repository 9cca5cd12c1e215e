"""The arm with the highest AUROC."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bottleneck.evaluation.results.arm_results import Evaluation

__all__ = ["arms_to_choose", "best_arm"]


def best_arm(evaluations: Sequence[Evaluation]) -> Evaluation | None:
    """Return the arm with images that has the highest AUROC; None if no AUROC is defined."""
    return max(arms_to_choose(evaluations), key=lambda e: e.metrics["auroc"].value, default=None)


def arms_to_choose(evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    """Return the arms with images whose AUROC is defined.

    A human reader is none that could be chosen, unless there is no other arm.
    """
    defined = [
        e
        for e in evaluations
        if e.uses_images and "auroc" in e.metrics and not math.isnan(e.metrics["auroc"].value)
    ]
    return [e for e in defined if not e.is_reader] or defined
