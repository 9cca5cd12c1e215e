"""What a model keeps, in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bottleneck.backbones.licences import describe_weights
from bottleneck.evaluation.metrics.operating_points import OperatingThreshold
from bottleneck.text.plurals import counted

if TYPE_CHECKING:
    from bottleneck.deploy.models.model import Model
    from bottleneck.deploy.prediction.deployed_model import DeployedModel

__all__ = [
    "describe_comparison",
    "describe_model",
    "describe_order",
    "describe_recalibration",
    "describe_threshold",
]

_NOT_KNOWN = "not known"


def describe_threshold(point: OperatingThreshold, positive: str, *, is_moved: bool = False) -> str:
    """Return the threshold of a model in words.

    Parameters
    ----------
    point : OperatingThreshold
        The threshold.
    positive : str
        The positive class.
    is_moved : bool
        Whether a recalibration chose it.

    Examples
    --------
    >>> point = OperatingThreshold("sensitivity", 0.95, -0.41, 0.95, 0.52)
    >>> describe_threshold(point, "malignant").partition(":")[0]
    'malignant at a score of at least −0.41, for a sensitivity of 0.95'
    """
    number = f"{point.threshold:.6g}".replace("-", "−")
    text = (
        f"{positive} at a score of at least {number}, for a {point.held} of {point.target:g}: "
        f"sensitivity {point.sensitivity:.3f}, specificity {point.specificity:.3f} "
    )
    if is_moved:
        return text + "cross-validated on the cases of the recalibration"
    return text + "out of fold, which is not an estimate of performance; compare estimates it"


def describe_comparison(model: Model) -> str:
    """Return what a comparison measured of a model, and whether that was before a recalibration."""
    if model.comparison is None:
        return "none: the model names no comparison that evaluated it"
    words = model.comparison.words.rstrip(".")
    if not model.recalibrations:
        return words
    words = words.replace("evaluated:", "evaluated before its recalibration:", 1)
    if model.comparison.operating_point is not None and _is_moved(model):
        words += (
            ". The threshold has changed since: sensitivity and specificity refer to the old one"
        )
    return words


def _is_moved(model: Model) -> bool:
    return any(one.get("what") == "threshold" for one in model.recalibrations)


def describe_order(model: DeployedModel) -> str:
    """Return a warning where probabilities fall as the scores rise; "" where they do not."""
    slopes = () if model.sigmoids is None else model.sigmoids.slopes
    if all(slope > 0 for slope in slopes):
        return ""
    return (
        "The scores order held-out samples of the training set the wrong way, so a probability "
        "falls as its score rises: the model does not distinguish the classes and "
        "must not be used"
    )


def describe_model(model: Model) -> dict[str, str]:
    """Return what a model keeps besides its estimator, as headings and sentences.

    Parameters
    ----------
    model : Model
        The model.
    """
    point = model.operating_point
    chosen = ", ".join(f"{name} = {value}" for name, value in model.chosen.items())
    stopped = "" if model.converged else "; the solver stopped at its limit of iterations"
    return {
        "classifier": f"{model.head}{f' ({chosen})' if chosen else ''}{stopped}",
        "classes": ", ".join(
            f"{name} (positive)" if name == model.positive else name for name in model.classes
        ),
        "trained on": _describe_training(model),
        "predicts": f"{model.noun}s"
        if model.unit == "image"
        else f"patients, by the {'mean' if model.aggregate == 'mean' else 'highest'} "
        f"{'of the scores' if model.aggregate == 'mean' else 'score'} of their {model.noun}s",
        "probabilities": _describe_probabilities(model),
        "threshold": "none: the decision is the class with the largest score"
        if point is None or model.positive is None
        else describe_threshold(point, model.positive, is_moved=_is_moved(model)),
        "sets": "none: they need calibrated probabilities"
        if model.conformal is None
        else model.conformal.words(),
        "distances": "not kept" if model.reference is None else model.reference.words(model.noun),
        "weights": _describe_weights(model),
        "comparison": describe_comparison(model),
        "recalibrations": "; ".join(map(describe_recalibration, model.recalibrations)) or "none",
    }


def describe_recalibration(record: Mapping[str, Any]) -> str:
    """Return a recalibration of a model in words.

    Parameters
    ----------
    record : mapping
        One of ``Model.recalibrations``.
    """
    patients = record.get("patients") or {}
    images = record.get("images") or {}
    cases = ", ".join(
        f"{name} {counted(n, 'image')}"
        + (f" of {counted(patients[name], 'patient')}" if name in patients else "")
        for name, n in images.items()
    )
    name = "log_loss" if record.get("what") == "probabilities" else str(record.get("held"))
    old, new = (record.get(side, {}).get(name, {}).get("value") for side in ("before", "after"))
    figures = ""
    if old is not None and new is not None:
        figures = f": {name.replace('_', ' ')} {old:.3f}, and {new:.3f} after it (cross-validated)"
    helped = "" if record.get("helps") else ", which did not help"
    return (
        f"{record.get('date')}, {record.get('what')}, on {record.get('dataset')} ({cases})"
        f"{figures}{helped}"
    )


def _describe_training(model: Model) -> str:
    patients = model.training.get("patients") or {}
    parts = []
    for name, n in (model.training.get("images") or {}).items():
        of = f" of {counted(patients[name], 'patient')}" if name in patients else ""
        parts.append(f"{name} {counted(n, model.noun)}{of}")
    text = f"{model.trained_on} of {model.dataset}: {'; '.join(parts)}"
    if centres := model.training.get("centres"):
        text += f"; {counted(len(centres), 'centre')}"
    if words := model.selection.get("words"):
        text += f"; {words}"
    return text


def _describe_probabilities(model: Model) -> str:
    if model.sigmoids is not None:
        unit = model.noun if model.unit == "image" else model.unit
        text = f"calibrated by a sigmoid on out-of-fold scores of {unit}s, as in compare"
        if any(one.get("what") == "probabilities" for one in model.recalibrations):
            text += ", and recalibrated since"
        return ". ".join(filter(None, (text, describe_order(model))))
    if model.kind == "probability":
        return "those of the classifier, without calibration"
    return (
        "none: the classifier has only scores of a decision function, and there were no inner folds"
    )


def _describe_weights(model: Model) -> str:
    if not model.weights:
        return _NOT_KNOWN
    sha256 = model.weights.get("sha256")
    return describe_weights(model.weights) + (f", sha256 {sha256}" if sha256 else "")
