"""How unlike the training images a new image is, by the distance of its features from theirs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bottleneck.errors import ModelError
from bottleneck.statistics.arguments import as_matrix, as_patients
from bottleneck.statistics.shift.training_distances import TrainingDistances, weight_below
from bottleneck.text.plurals import counted
from bottleneck.text.short_repr import describe

__all__ = ["FEWEST_PATIENTS", "UNLIKE", "TrainingReference"]

#: Percentile of the distances of training images beyond which an image is unlike them.
UNLIKE = 99
#: Training patients without which an image has no percentile: with 20, an image that is farther
#: than all training images has a percentile of 100, as 1 of 21 new patients has by chance.
FEWEST_PATIENTS = 20

# The rows that are kept make the file of the model larger: by 16 MB, if rows are not very wide.
_MOST_NUMBERS, _MOST_IMAGES, _FEWEST_IMAGES = 4_000_000, 4000, 300


@dataclasses.dataclass(frozen=True, eq=False)
class TrainingReference:
    """The features of training images, as a reference for new images.

    Attributes
    ----------
    rows : ndarray of float, shape (n_kept, n_features)
        Features of the training images, or some of them at random: of each patient in turn one
        image, up to a number that depends on the width of a row.
    patients : ndarray of int64, shape (n_kept,)
        Numbers of their patients, from 0.
    distances : ndarray of float64, shape (n_kept,)
        Their distances from the images of other patients.
    one_unit : bool
        Whether all features have one unit; see ``bottleneck.statistics.distance_percentiles``.
    n_images : int
        Number of training images.
    unit : {"patient", "image"}
        "image" if no patients are known: every image then counts as a patient of its own.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(100, 4))
    >>> reference = TrainingReference.fit(X, np.repeat(np.arange(50), 2), one_unit=False)
    >>> percentiles = reference.percentiles([[0, 0, 0, 0], [9, 9, 9, 9]])
    >>> (percentiles > UNLIKE).tolist()
    [False, True]
    """

    rows: NDArray[Any]
    patients: NDArray[np.int64]
    distances: NDArray[np.float64]
    one_unit: bool
    n_images: int
    unit: str = "patient"

    def __repr__(self) -> str:
        return describe(self, "", counted(len(self.rows), "image"), self._counts)

    @staticmethod
    def fit(
        X: ArrayLike,
        patients: ArrayLike | None = None,
        *,
        one_unit: bool = True,
        has_patients: bool = True,
    ) -> TrainingReference:
        """Return the reference of a training set.

        Parameters
        ----------
        X : array-like of float, shape (n_samples, n_features)
            Features of the training images.
        patients : array-like, shape (n_samples,), or None
            Patients. Without them every image is a patient of its own.
        one_unit : bool
            Whether all features have one unit, as those of a network do.
        has_patients : bool
            Whether ``patients`` are those of known patients, and not images of one content. If
            not, the words speak of images.

        Raises
        ------
        UsageError
            If an array has the wrong shape, type or values.
        """
        A = as_matrix("X", X)
        codes = as_patients(patients, len(A))
        kept = _sample(codes, A.shape[1])
        A, own = np.ascontiguousarray(A[kept]), np.unique(codes[kept], return_inverse=True)[1]
        unit = "patient" if has_patients and patients is not None else "image"
        if own.max() + 1 < FEWEST_PATIENTS:
            distances = np.zeros(0)
            A = A[:0]
        else:
            distances = TrainingDistances(A, own, one_unit=one_unit).within()
        return TrainingReference(A, own, distances, one_unit, len(codes), unit)

    @property
    def n_patients(self) -> int:
        """Number of training patients."""
        return int(self.patients.max()) + 1

    @property
    def is_known(self) -> bool:
        """Whether there are enough training patients for percentiles."""
        return self.n_patients >= FEWEST_PATIENTS

    @cached_property
    def _measured(self) -> TrainingDistances:
        return TrainingDistances(self.rows, self.patients, one_unit=self.one_unit)

    def percentiles(self, X: ArrayLike) -> NDArray[np.float64] | None:
        """Return the percentiles of the distances of new images from the training images.

        The percentile of an image is the share of training images, weighted so that each patient
        counts once, that are nearer to the training images of other patients than the image is to
        the training images. It does not depend on the other new images.

        Parameters
        ----------
        X : array-like of float, shape (n_samples, n_features)
            Features of the new images; n_samples may be 0.

        Returns
        -------
        ndarray of float64, shape (n_samples,), or None
            Percentiles, 0 to 100; None if there are too few training patients, as ``words`` says.

        Raises
        ------
        UsageError
            If an array has the wrong shape, type or values, or the features differ in number.
        """
        if not self.is_known:
            return None
        if np.shape(X) == (0, self.rows.shape[1]):
            return np.empty(0)
        return weight_below(self.distances, self.patients, self._measured.of(X))

    @property
    def _counts(self) -> str:
        return counted(self.n_patients, f"training {self.unit}")

    def words(self, noun: str = "image") -> str:
        """Return what the percentiles are, or why there are none.

        Parameters
        ----------
        noun : str
            What a sample is in a word, as ``FeatureSet.noun``.
        """
        one = f"{'an' if noun == 'image' else 'a'} {noun}"
        unit = "patient" if self.unit == "patient" else noun
        if not self.is_known:
            return (
                f"how far {one} lies from the training {noun}s is not stated: this needs "
                f"{FEWEST_PATIENTS} training {unit}s or more, and the model has "
                f"{self.n_patients}"
            )
        share = max(1 - UNLIKE / 100, 1 / (self.n_patients + 1))
        part = ""
        if len(self.rows) < self.n_images:
            part = (
                f" Of the {self.n_images:,} training {noun}s, {len(self.rows):,} were drawn at "
                f"random for this."
            )
        unknown = ""
        if self.unit == "image":
            unknown = f" The training patients are not known, so every {noun} counts as a patient."
        return (
            f"{one.capitalize()} is called unlike the training {noun}s if it is farther from them "
            f"than {UNLIKE} % of the training {noun}s are from those of other patients. About "
            f"{100 * share:.2g} % of {noun}s like the training {noun}s are so by chance "
            f"({counted(self.n_patients, f'training {unit}')}).{unknown}{part}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the content for a file: numbers, text and arrays."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}

    @staticmethod
    def from_dict(content: Mapping[str, Any]) -> TrainingReference:
        """Return the reference from the content of a file.

        Raises
        ------
        ModelError
            If the content is not that of ``to_dict``.
        """
        try:
            made = TrainingReference(**content)
            sound = made._is_sound()
        except (TypeError, ValueError, AttributeError):
            sound = False
        if not sound:
            raise ModelError(
                "the training images of the model are damaged: copy its file again, or train it "
                "again with fit"
            )
        return made

    def _is_sound(self) -> bool:
        """Return whether the fields are of the right types and agree with each other."""
        rows, patients, distances = self.rows, self.patients, self.distances
        n = len(patients)
        return (
            rows.ndim == 2
            and rows.dtype in (np.float32, np.float64)
            and (patients.dtype, distances.dtype) == (np.int64, np.float64)
            and patients.ndim == distances.ndim == 1
            and n > 0
            and np.array_equal(np.unique(patients), np.arange(self.n_patients))
            and len(rows) == len(distances) == (n if self.is_known else 0)
            and bool(np.isfinite(rows).all() and (distances >= 0).all())
            and type(self.one_unit) is bool
            and type(self.n_images) is int
            and self.n_images >= n
            and self.unit in ("patient", "image")
        )


def _sample(codes: NDArray[Any], width: int) -> NDArray[np.intp]:
    """Return the rows to keep: all, or of each patient in turn one at random."""
    most = int(np.clip(_MOST_NUMBERS // width, _FEWEST_IMAGES, _MOST_IMAGES))
    if len(codes) <= most:
        return np.arange(len(codes))
    mixed = np.random.default_rng(0).permutation(len(codes))
    by_patient = mixed[np.argsort(codes[mixed], kind="stable")]
    starts = np.searchsorted(codes[by_patient], codes[by_patient])
    turn = np.empty(len(codes), dtype=np.intp)
    turn[by_patient] = np.arange(len(codes)) - starts
    return np.sort(mixed[np.argsort(turn[mixed], kind="stable")[:most]])
