"""A misclassified sample, with the training images nearest to it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from bottleneck.text.short_repr import show_fields

__all__ = ["ImageName", "NearestImage", "WrongCase", "describe_errors"]


@dataclasses.dataclass(frozen=True)
class ImageName:
    """What identifies an image; a report shows it on request only.

    Attributes
    ----------
    id, patient : str
        Sample and patient; "" where no patient is known.
    source : str
        Path of the image relative to the data set; "" where there is none.
    """

    id: str = dataclasses.field(repr=False)
    patient: str = dataclasses.field(default="", repr=False)
    source: str = dataclasses.field(default="", repr=False)


@dataclasses.dataclass(frozen=True)
class NearestImage:
    """A training image near a misclassified one.

    Attributes
    ----------
    row : int
        Row of the first feature set.
    id, patient : str
        Sample and patient; "" where no patient is known.
    label : str
        The label that it was trained with.
    distance : float
        Distance of the features, as in ``nearest_neighbours``.
    """

    row: int
    id: str = dataclasses.field(repr=False)
    patient: str = dataclasses.field(repr=False)
    label: str
    distance: float

    __repr__ = show_fields


@dataclasses.dataclass(frozen=True)
class WrongCase:
    """A sample that an arm misclassified, in the repeat in which it did so most confidently.

    Attributes
    ----------
    number : int
        Its place among all errors of the arm, from 1 for the most confident, however many of
        them are shown.
    row : int
        Row of the first feature set. If patients are predicted, that of the patient's image with
        the most evidence for the wrong class.
    id, patient : str
        Sample and patient; "" where no patient is known.
    label, predicted : str
        True and predicted class.
    probability : float or None
        Calibrated probability of the predicted class; None if the arm has no probabilities.
    score : float
        Score of the predicted class.
    lead : float
        Score of the predicted class minus that of the true class.
    repeat, fold : int
        Repeat and fold of the prediction, from 0.
    times, tested : int
        How often it was misclassified, and how often tested, over all repeats.
    n_images : int
        Number of images that the prediction is made of: 1, or those of a patient.
    nearest : tuple of NearestImage
        The training images of that fold nearest to it, the nearest first: of other patients, and
        of none that shares a copy with its patient. Empty where there are no features.
    """

    number: int
    row: int
    id: str = dataclasses.field(repr=False)
    patient: str = dataclasses.field(repr=False)
    label: str
    predicted: str
    probability: float | None
    score: float
    lead: float
    repeat: int
    fold: int
    times: int = 1
    tested: int = 1
    n_images: int = 1
    nearest: tuple[NearestImage, ...] = ()

    __repr__ = show_fields

    @property
    def confidence(self) -> float:
        """What cases are ordered by: ``probability``, or ``lead`` where there is none."""
        return self.lead if self.probability is None else self.probability


def describe_errors(tested: Iterable[int]) -> str:
    """Return in words what makes a sample an error.

    Parameters
    ----------
    tested : iterable of int
        How often each case was tested.

    Examples
    --------
    >>> describe_errors([1, 1])
    'misclassified'
    >>> describe_errors([5, 5])
    'misclassified in one repeat or more'
    """
    return "misclassified in one repeat or more" if max(tested, default=1) > 1 else "misclassified"
