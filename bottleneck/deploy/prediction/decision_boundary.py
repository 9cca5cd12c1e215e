"""Where the decision of a model changes from one of two classes to the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bottleneck.evaluation.metrics.probabilities.sigmoids import add_probabilities
from bottleneck.predictions import join_scores

if TYPE_CHECKING:
    from bottleneck.deploy.models.model import Model

__all__ = ["boundary_probability"]


def boundary_probability(model: Model) -> float | None:
    """Return the probability of the positive class from which a model decides for it.

    A model without a threshold decides for the class with the larger score. Its probabilities are
    calibrated afterwards, and so need not be 0.5 where the scores are equal.

    Parameters
    ----------
    model : Model
        The model.

    Returns
    -------
    float or None
        None if there are more than two classes, no positive one or no probabilities, or if a
        probability falls as its score rises.
    """
    rises = model.sigmoids is None or all(slope > 0 for slope in model.sigmoids.slopes)
    if model.positive is None or len(model.classes) != 2 or not rises:
        return None
    is_decision = model.kind == "decision"
    equal = 0.0 if is_decision else 0.5
    score = equal if model.operating_point is None else model.operating_point.threshold
    place = model.classes.index(model.positive)
    row = np.full((1, 2), -score if is_decision else 1 - score)
    row[0, place] = score
    scored = join_scores(
        row, model.classes, model.kind, ids=np.array(["0"]), labels=np.array([""]), groups=None
    )
    calibrated = add_probabilities(scored, model.sigmoids).probabilities
    return None if calibrated is None else float(calibrated[0, place])
