"""Sample sizes: the patients that each criterion needs, and the checks that all plans share."""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Callable

from scipy import optimize

from bottleneck.errors import UsageError
from bottleneck.text.plurals import counted
from bottleneck.text.short_repr import shorten

__all__ = [
    "Clustering",
    "SampleSize",
    "SizeCriterion",
    "check_number",
    "expected_positives",
    "fold_factor",
    "fold_note",
    "least_patients",
]

# More patients than any study has: beyond, a target is refused.
_MOST = 1e9


@dataclasses.dataclass(frozen=True)
class SizeCriterion:
    """What one criterion needs.

    Attributes
    ----------
    name : str
        What is to be estimated or shown.
    target : str
        The precision, power or shrinkage that is asked for.
    patients : int
        Number of patients.

    Examples
    --------
    >>> SizeCriterion("AUROC", "95 % interval at most 0.1 wide", 385)
    SizeCriterion(name='AUROC', target='95 % interval at most 0.1 wide', patients=385)
    """

    name: str
    target: str
    patients: int


@dataclasses.dataclass(frozen=True)
class SampleSize:
    """Numbers of patients by criterion.

    Attributes
    ----------
    criteria : tuple of SizeCriterion
        One or more criteria.
    prevalence : float
        Share of the patients that are of the positive class.
    notes : tuple of str
        What the numbers assume.

    Examples
    --------
    >>> size = SampleSize((SizeCriterion("AUROC", "95 % interval at most 0.1 wide", 385),), 0.2)
    >>> size, size.positives
    (SampleSize(385 patients, 77 of them positive, for the AUROC), 77)
    """

    criteria: tuple[SizeCriterion, ...]
    prevalence: float
    notes: tuple[str, ...] = ()

    @property
    def deciding(self) -> SizeCriterion:
        """The criterion that needs most patients."""
        return max(self.criteria, key=lambda one: one.patients)

    @property
    def patients(self) -> int:
        """Number of patients that meets all criteria."""
        return self.deciding.patients

    @property
    def positives(self) -> int:
        """Expected number of positive patients among them, rounded up."""
        return expected_positives(self.patients, self.prevalence)

    def __repr__(self) -> str:
        patients = counted(self.patients, "patient")
        name = self.deciding.name
        return f"SampleSize({patients}, {self.positives} of them positive, for the {name})"


def expected_positives(patients: int, prevalence: float) -> int:
    """Return the expected number of positive patients, rounded up."""
    return math.ceil(patients * prevalence - 1e-9)


@dataclasses.dataclass(frozen=True)
class Clustering:
    """Images of the same patient.

    Attributes
    ----------
    images : int
        Images per patient, all of the class of the patient.
    icc : float
        Intraclass correlation of the scores of a patient's images, within a class.
    """

    images: int
    icc: float

    @classmethod
    def of(cls, images_per_patient: int, icc: float | None) -> Clustering:
        """Check both numbers; several images need the correlation."""
        images = images_per_patient
        if not isinstance(images, numbers.Integral) or not 1 <= images <= 10_000:
            raise UsageError(
                f"the images per patient must be a whole number from 1 to 10,000, not "
                f"{shorten(images)}"
            )
        if icc is None and images > 1:
            raise UsageError(
                f"with {images} images per patient, the number of patients depends on how alike "
                "the scores of a patient's images are: give their intraclass correlation (icc), 0 "
                "if they are independent and 1 if further images of a patient add nothing. A "
                "pilot's features give an estimate"
            )
        if icc is not None and images == 1:
            raise UsageError(
                "an intraclass correlation (icc) is that of several images of a patient: give the "
                "images per patient as well, or no icc"
            )
        return cls(int(images), check_number("icc", 0.0 if icc is None else icc, 0, 1, closed=True))

    def reduce(self, correlation: float) -> float:
        """Return the variance of a mean over a patient's images, in units of that of one image.

        It is (1 + (m - 1) r) / m for m images with the correlation r: the design effect of Kish
        (1965, Survey Sampling, section 5.4) divided by the number of images.
        """
        return (1 + (self.images - 1) * correlation) / self.images


def check_number(
    name: str, value: object, low: float, high: float, *, closed: bool = False
) -> float:
    """Return a number between two bounds, or raise ``UsageError``."""
    number = float(value) if isinstance(value, numbers.Real) else math.nan
    inside = low <= number <= high if closed else low < number < high
    if not inside or isinstance(value, bool):
        among = f"from {low:g} to {high:g}" if closed else f"between {low:g} and {high:g}"
        percent = low >= 0 and high == 1 and 1 < number <= 100
        hint = f": {number:g} % is {number / 100:g}" if percent else ""
        raise UsageError(f"{name} must be a number {among}, not {shorten(value)}{hint}")
    return number


def least_patients(excess: Callable[[float], float], what: str, prevalence: float) -> int:
    """Return the smallest number of patients from which a criterion is met.

    Parameters
    ----------
    excess : callable
        Falling function of the number of patients, which is 0 or less where the criterion is met.
    what : str
        The criterion, for the message.
    prevalence : float
        Share of the patients that are positive.

    Returns
    -------
    int
        With two expected patients of each class at the least.

    Raises
    ------
    UsageError
        If a billion patients are too few.
    """
    least = 2 / min(prevalence, 1 - prevalence)
    if least > _MOST or excess(_MOST) > 0:
        raise UsageError(
            f"{what}: more than {_MOST:,.0f} patients would be needed; state a wider interval, a "
            "larger difference, or a prevalence further from 0 and 1"
        )
    if excess(least) <= 0:
        return math.ceil(least - 1e-9)
    root = optimize.brentq(excess, least, _MOST, xtol=1e-6)
    # A root that is whole but for rounding needs no further patient.
    return math.ceil(root - 1e-5)


def fold_factor(folds: int | None) -> float:
    """Return the largest factor of the variance over folds: 1 + k / (k - 1) for k folds.

    The variance over folds of one size is multiplied by it at most (Nadeau & Bengio 2003, Machine
    Learning 52:239), because the training sets of the folds overlap.
    """
    if folds is None:
        return 1.0
    if not isinstance(folds, numbers.Integral) or not 2 <= folds <= 10_000:
        raise UsageError(f"folds must be a whole number of 2 or more, not {shorten(folds)}")
    return 1 + folds / (folds - 1)


def fold_note(folds: int | None) -> tuple[str, ...]:
    """Return what the numbers assume about cross-validation."""
    if folds is None:
        return ()
    return (
        f"The variance is multiplied by {fold_factor(folds):.3g}, the largest factor for the "
        f"overlap of the training sets of {folds} folds. Stable models need fewer patients.",
    )
