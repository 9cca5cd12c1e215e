"""What the page shows of predictions: the table, a picture with its reasons, and the model."""

from __future__ import annotations

import base64
import dataclasses

from bottleneck.app.page.page_templates import render
from bottleneck.app.predict.picture_predictions import ExplainedPicture, PredictedPictures
from bottleneck.app.served_models import ServedModel
from bottleneck.deploy.models.distance import UNLIKE
from bottleneck.deploy.models.model import Model
from bottleneck.deploy.models.model_words import describe_model
from bottleneck.deploy.prediction.decision_boundary import boundary_probability
from bottleneck.deploy.prediction.deployed_model import Decisions
from bottleneck.deploy.prediction.model_predictions import ModelPredictions
from bottleneck.explain.maps.overlay import colour_bar, common_limit, legend, overlay
from bottleneck.report.gallery.embedded_images import data_url
from bottleneck.report.prediction_summary import describe_origin, name_decisions
from bottleneck.report.wording.number_format import three
from bottleneck.text.table_text import frame_csv

__all__ = ["render_model", "render_picture", "render_results"]


@dataclasses.dataclass(frozen=True)
class DecisionView:
    """What was decided of a picture, or of a patient.

    Attributes
    ----------
    name : str
        Its name.
    decision : str
        The decided class.
    probabilities : tuple of (str, float)
        The probability of each class; empty without any.
    possible : tuple of str or None
        Classes that cannot be excluded; None if the model has no sets.
    percentile : float or None
        How far it is from the training images.
    """

    name: str
    decision: str
    probabilities: tuple[tuple[str, float], ...]
    possible: tuple[str, ...] | None
    percentile: float | None

    @property
    def is_unlike(self) -> bool:
        """Whether it is unlike the training images."""
        return self.percentile is not None and self.percentile > UNLIKE

    @property
    def is_less_probable(self) -> bool:
        """Whether another class than the decided one is the most probable."""
        decided = self.probability(self.decision)
        return decided is not None and decided < max(p for _, p in self.probabilities)

    def probability(self, of: str) -> float | None:
        """Return the probability of a class; None without any."""
        return dict(self.probabilities).get(of)


def _view(decided: Decisions, row: int, percentile: float | None = None) -> DecisionView:
    p = decided.predictions
    values = () if p.probabilities is None else tuple(p.probabilities[row].tolist())
    names = p.classes if values else ()
    sets = None if decided.sets is None else decided.sets[row].tolist()
    return DecisionView(
        name=str(p.ids[row]),
        decision=str(decided.decisions[row]),
        probabilities=tuple(zip(names, values, strict=True)),
        possible=None
        if sets is None
        else tuple(name for name, is_in in zip(p.classes, sets, strict=True) if is_in),
        percentile=percentile,
    )


def _picture_view(pictures: PredictedPictures, row: int) -> DecisionView:
    made = pictures.made
    assert made is not None
    return _view(made.decided, row, None if made.percentiles is None else made.percentiles[row])


def _decided_from(pictures: PredictedPictures) -> float | None:
    """Return the probability of the positive class from which on it is decided, if one does."""
    model = pictures.served.model
    return boundary_probability(model) if isinstance(model, Model) else None


def _say_how(pictures: PredictedPictures, made: ModelPredictions) -> str:
    """Return how the decisions were made, in the probabilities that the page shows."""
    least = _decided_from(pictures)
    how = name_decisions(made)
    return how if least is None else f"{how}: {made.positive} from a probability of {three(least)}"


def _say_difference(made: ModelPredictions) -> str:
    """Return why a decision may not be for the most probable class."""
    point = made.operating_point
    reason = (
        "it follows the scores, while the probabilities reflect how frequent the classes were in "
        "the training set"
        if point is None
        else f"the threshold was set for a {point.held} of {point.target:g}"
    )
    return f"The decision is not always the most probable class: {reason}"


def render_results(pictures: PredictedPictures) -> str:
    """Return the table of predictions as HTML, with a link that saves it.

    Parameters
    ----------
    pictures : PredictedPictures
        The predictions.
    """
    made = pictures.made
    n = 0 if made is None else len(made.predictions)
    patients = None if made is None else made.by_patient
    views = [_picture_view(pictures, row) for row in range(n)]
    of_patients = (
        []
        if patients is None
        else [_view(patients.decided, row) for row in range(len(patients.decided.predictions))]
    )
    notes = [] if made is None else list(made.notes)
    if made is not None and any(view.is_less_probable for view in (*of_patients, *views)):
        notes.insert(0, _say_difference(made))
    table = frame_csv(pictures.to_frame(), bom=True).encode(errors="backslashreplace")
    return render(
        "results",
        views=views,
        patients=of_patients,
        failures=pictures.failures,
        warnings=() if made is None else made.warnings,
        notes=notes,
        how="" if made is None else _say_how(pictures, made),
        positive=None if made is None else made.positive,
        saved="data:text/csv;charset=utf-8;base64," + base64.b64encode(table).decode(),
    )


def render_picture(
    pictures: PredictedPictures,
    row: int,
    explained: ExplainedPicture,
    *,
    show_training_images: bool,
) -> str:
    """Return a picture with its decision, heat map and nearest training images as HTML.

    Parameters
    ----------
    pictures : PredictedPictures
        The predictions.
    row : int
        The row of the picture.
    explained : ExplainedPicture
        Why it was decided so.
    show_training_images : bool
        Whether training images are shown.
    """
    case = explained.case
    limit = common_limit([] if case.heat_map is None else [case.heat_map])
    drawn, bar, ends = "", "", ("", "", "")
    if case.heat_map is not None and case.pixels is not None:
        drawn = data_url(overlay(case.pixels, case.heat_map, limit))
        bar = data_url(colour_bar(limit))
        ends = legend(limit, case.heat_map.towards, pictures.served.model.classes)
    near = case.nearest_pixels if show_training_images else (None,) * len(case.nearest)
    made = pictures.made
    assert made is not None
    return render(
        "picture",
        view=_picture_view(pictures, row),
        positive=made.positive,
        how=_say_how(pictures, made),
        least=_decided_from(pictures),
        difference=_say_difference(made),
        image="" if case.pixels is None else data_url(case.pixels),
        heat_map=drawn,
        bar=bar,
        ends=ends,
        is_copy=case.is_copy,
        nearest=[
            (one, "" if pixels is None else data_url(pixels))
            for one, pixels in zip(case.nearest, near, strict=True)
        ],
        words=explained.words,
    )


def render_model(served: ServedModel) -> str:
    """Return what a model is, and what was measured of it, as HTML.

    Parameters
    ----------
    served : ServedModel
        The model.
    """
    model = served.model
    if isinstance(model, Model):
        facts = describe_model(model)
    else:
        shown = ("classes", "trained on", "began with", "evaluation")
        about = model.describe()
        facts = {name: str(about[name]) for name in shown}
    return render("model", facts=facts, origin=list(describe_origin(model)))
