"""What an explanation holds: the cases of each arm, with heat maps and nearest training images."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from bottleneck.checks.check_warnings import CheckWarning
from bottleneck.evaluation.cases.wrong_cases import NearestImage, describe_errors
from bottleneck.explain.checks.arm_checks import ArmChecks
from bottleneck.explain.maps.heat_map import HeatMap
from bottleneck.explain.maps.overlay import common_limit
from bottleneck.settings.schema import validate
from bottleneck.text.plurals import counted
from bottleneck.text.short_repr import describe, show_fields, show_html

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["REASONS", "ExplainedArm", "ExplainedCase", "Explanation", "Reason"]

#: Why an image is shown: it was misclassified, it is among the most confident decisions for its
#: class, or it is among those that are farthest from the training images.
Reason = Literal["wrong", "confident", "unlike"]

REASONS = {
    "wrong": "misclassified",
    "confident": "among the most confident decisions",
    "unlike": "unlike the training images",
}


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class ExplainedCase:
    """An image, what was decided of it, and why.

    Attributes
    ----------
    reason : {"wrong", "confident", "unlike"}
        Why it is shown.
    number : int
        Its place among all errors of the arm, from 1 for the most confident, as in the report of
        the comparison; of images that are not misclassified, their place in ``cases``.
    id, patient : str
        Sample and patient; "" where no patient is known.
    label : str
        The true class; "" where it is not known.
    predicted : str
        The class with the largest score.
    probability : float or None
        Calibrated probability of the predicted class; None where there are no probabilities.
    score : float
        Score of the predicted class.
    repeat, fold : int or None
        Repeat and fold of the prediction, from 0; None for a final model.
    times, tested : int
        How often it was misclassified, and how often tested, over all repeats.
    n_images : int
        Number of images that the prediction is made of: 1, or those of a patient.
    nearest : tuple of NearestImage
        The nearest training images of other patients, the nearest first.
    is_copy : bool
        Whether an identical image was in the training set.
    percentile : float or None
        Percentile of the distance from the training images, as in ``ModelPredictions``.
    pixels : ndarray of uint8, shape (crop, crop, 3), or None
        The image as the network gets it, in RGB; None where the images were not given.
    nearest_pixels : tuple of ndarray of uint8, or of None
        The same of each of ``nearest``.
    heat_map : HeatMap or None
        The map towards the predicted class; None where there is none.
    """

    reason: Reason
    number: int
    id: str = dataclasses.field(repr=False)
    patient: str = dataclasses.field(repr=False)
    label: str
    predicted: str
    probability: float | None
    score: float
    repeat: int | None = None
    fold: int | None = None
    times: int = 1
    tested: int = 1
    n_images: int = 1
    nearest: tuple[NearestImage, ...] = dataclasses.field(default=(), repr=False)
    is_copy: bool = False
    percentile: float | None = None
    pixels: NDArray[np.uint8] | None = dataclasses.field(default=None, repr=False)
    nearest_pixels: tuple[NDArray[np.uint8] | None, ...] = dataclasses.field(default=(), repr=False)
    heat_map: HeatMap | None = dataclasses.field(default=None, repr=False)

    __repr__ = show_fields


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class ExplainedArm:
    """The cases of an arm of a comparison, or of a model.

    Attributes
    ----------
    name : str
        Name of the arm or of the model.
    cases : tuple of ExplainedCase
        The images that are shown: misclassified ones first, the most confident first.
    n_wrong, n_labelled, n_images : int
        Numbers of misclassified images (or patients), of those with a known label, and of all
        that were predicted.
    words : tuple of str
        Sentences on what decided, on what the maps are of, and on what is missing.
    checks : ArmChecks or None
        Whether the maps depend on the model, their mean of each class, and their share inside known
        regions; None where that was not checked.
    """

    name: str
    cases: tuple[ExplainedCase, ...]
    n_wrong: int
    n_labelled: int
    n_images: int
    words: tuple[str, ...] = ()
    checks: ArmChecks | None = None

    __repr__ = show_fields

    @property
    def misclassified(self) -> str:
        """What makes an image an error, in words."""
        return describe_errors(case.tested for case in self.cases)

    @property
    def heat_maps(self) -> tuple[HeatMap, ...]:
        """The maps of all cases that have one."""
        return tuple(case.heat_map for case in self.cases if case.heat_map is not None)

    @property
    def limit(self) -> float:
        """Largest absolute value in all maps, which their colours share; 1 without any map."""
        return common_limit(self.heat_maps)


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Explanation:
    """Why a model, or the arms of a comparison, decided as they did.

    Attributes
    ----------
    of : {"comparison", "training", "model"}
        What is explained: the heads of the folds of a comparison on their test folds, the networks
        of a training on theirs, or a final model on images that it is given.
    title : str
        Name of the data set, or of the model.
    classes : tuple of str
        All labels, sorted.
    positive : str or None
        The positive class.
    unit : {"image", "patient"}
        What was predicted.
    arms : tuple of ExplainedArm
        One per arm; a single one for a model.
    warnings : tuple of CheckWarning
        Warnings, the most severe first.
    notes : tuple of str
        Notes to the user, which may name images.
    ignored : mapping of str to int
        Number of findings of each check that was ignored, by its code.

    Examples
    --------
    >>> import numpy as np
    >>> from bottleneck import explain_predictions, fit
    >>> y = np.repeat(["benign", "malignant"], 20)
    >>> X = np.random.default_rng(0).normal(size=(40, 4)) + (y == "malignant")[:, None]
    >>> model = fit(X, "logistic", y=y)
    >>> explain_predictions(model, X, y=y, most=2)
    <Explanation logistic trained on arrays: model; 2 cases; no heat maps;
        2 warnings>
    """

    of: Literal["comparison", "training", "model"]
    title: str
    classes: tuple[str, ...]
    positive: str | None
    unit: Literal["image", "patient"]
    arms: tuple[ExplainedArm, ...]
    warnings: tuple[CheckWarning, ...] = ()
    notes: tuple[str, ...] = ()
    ignored: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def __repr__(self) -> str:
        cases = [case for arm in self.arms for case in arm.cases]
        maps = sum(case.heat_map is not None for case in cases)
        return describe(
            self,
            self.title,
            counted(len(self.arms), "arm") if self.of == "comparison" else self.of,
            counted(len(cases), "case"),
            counted(maps, "heat map") if maps else "no heat maps",
            counted(len(self.warnings), "warning") if self.warnings else "",
        )

    _repr_html_ = show_html

    def to_frame(self, *, with_ids: bool = False) -> pd.DataFrame:
        """Return one row per case.

        Parameters
        ----------
        with_ids : bool
            Whether it names samples and patients.

        Returns
        -------
        DataFrame
            Columns arm, case (its number), reason, label, predicted, probability,
            score, repeat, fold (from 0), times_wrong, times_tested, images, identical_in_training,
            distance_percentile, map (its method), decision, nearest_labels and nearest_distances
            (the nearest first, joined by " | "). With ids also id, patient, nearest_ids and
            nearest_patients. What is not known is empty.

        Examples
        --------
        >>> import numpy as np
        >>> from bottleneck import explain_predictions, fit
        >>> y = np.repeat(["benign", "malignant"], 20)
        >>> X = np.random.default_rng(0).normal(size=(40, 4)) + (y == "malignant")[:, None]
        >>> made = explain_predictions(fit(X, "prior", y=y), X, y=y, most=2)
        >>> made.to_frame()["label"].tolist()
        ['malignant', 'malignant']
        """
        import pandas as pd

        validate(bool, with_ids, "with_ids")
        rows = [
            {"arm": arm.name, "case": case.number, **_row(case, with_ids=with_ids)}
            for arm in self.arms
            for case in arm.cases
        ]
        return pd.DataFrame(rows, columns=["arm", "case", *_row(_EMPTY, with_ids=with_ids)])


_EMPTY = ExplainedCase(
    reason="wrong",
    number=1,
    id="",
    patient="",
    label="",
    predicted="",
    probability=None,
    score=0.0,
)


def _row(case: ExplainedCase, *, with_ids: bool) -> dict[str, Any]:
    heat_map = case.heat_map
    row: dict[str, Any] = {"reason": case.reason}
    if with_ids:
        row |= {"id": case.id, "patient": case.patient}
    row |= {
        "label": case.label,
        "predicted": case.predicted,
        "probability": case.probability,
        "score": case.score,
        "repeat": case.repeat,
        "fold": case.fold,
        "times_wrong": case.times,
        "times_tested": case.tested,
        "images": case.n_images,
        "identical_in_training": case.is_copy,
        "distance_percentile": case.percentile,
        "map": "" if heat_map is None else heat_map.method,
        "decision": None if heat_map is None else heat_map.decision,
        "nearest_labels": " | ".join(one.label for one in case.nearest),
        "nearest_distances": " | ".join(f"{one.distance:.4g}" for one in case.nearest),
    }
    if with_ids:
        row["nearest_ids"] = " | ".join(one.id for one in case.nearest)
        row["nearest_patients"] = " | ".join(one.patient for one in case.nearest)
    return row
