"""How a model decides on its scores, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bottleneck.deploy.models.model import Model
from bottleneck.deploy.prediction.decision_boundary import boundary_probability

if TYPE_CHECKING:
    from bottleneck.deploy.trained.trained_model import TrainedModel
    from bottleneck.export.classifier.exported_classifier import ExportedClassifier

__all__ = ["decision_words"]


def decision_words(classifier: ExportedClassifier, model: Model | TrainedModel) -> str:
    """Return how a model decides, in a sentence.

    Parameters
    ----------
    classifier : ExportedClassifier
        The model as one module.
    model : Model or TrainedModel
        The model.
    """
    point = model.operating_point if isinstance(model, Model) else None
    boundary = boundary_probability(model) if isinstance(model, Model) else None
    if point is not None and model.positive is not None:
        text = f"{model.positive} is decided from a score of {point.threshold:.6g} on"
        if boundary is not None:
            text += f", which is a probability of {boundary:.4f}"
        return f"{text}."
    members = classifier.members
    if len(members) > 1 or members[0].calibration.is_kept:
        return "The model has no threshold: it decides for the class with the largest probability."
    text = "The model has no threshold: it decides for the class with the largest score"
    if boundary is None:
        return f"{text}, which need not be the one with the largest probability."
    return f"{text}, which is {model.positive} from a probability of {boundary:.4f} on."
