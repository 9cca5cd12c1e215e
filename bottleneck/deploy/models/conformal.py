"""Sets of classes that a model cannot exclude for a new image, at a stated error rate."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bottleneck.errors import ModelError, UsageError
from bottleneck.predictions import Predictions
from bottleneck.statistics.probabilities.conformal_prediction import (
    as_class_probabilities,
    check_error_rate,
    exceeds,
    patients_needed,
    share_weight,
    weighted_p_values,
)
from bottleneck.text.plurals import counted
from bottleneck.text.short_repr import describe

__all__ = ["ConformalSets"]

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, eq=False)
class ConformalSets:
    """The nonconformity scores of a model, from which the sets of new images follow.

    The method is that of ``bottleneck.statistics.conformal_sets``. Its guarantee holds for
    predictions of a model that was trained on none of these patients. These scores are
    out-of-fold, and the model itself is trained on all folds. How often its sets hold the true
    class is therefore measured (``benchmarks/conformal.md``), not guaranteed.

    Attributes
    ----------
    classes : tuple of str
        All labels, sorted.
    scores : tuple of ndarray of float64
        For every class, 1 - the probability of this class for its images, in ascending order.
    weights : tuple of ndarray of float64
        Their weights; each patient has the weight 1, which its images of the class share.
    patients : tuple of int
        Number of patients of every class.
    unit : {"patient", "image"}
        "image" if no patients are known: every image then counts as a patient of its own.

    Examples
    --------
    >>> y = ["benign"] * 8 + ["malignant", "benign"] + ["malignant"] * 8
    >>> p = np.linspace(0.05, 0.95, 18)
    >>> made = Predictions.from_arrays(y, p, groups=range(18), probabilities=p,
    ...                                classes=["benign", "malignant"])
    >>> sets = ConformalSets.fit(made)
    >>> sets.sets([[0.9, 0.1], [0.5, 0.5]], error_rate=0.1).tolist()
    [[True, False], [True, True]]
    """

    classes: tuple[str, ...]
    scores: tuple[Floats, ...]
    weights: tuple[Floats, ...]
    patients: tuple[int, ...]
    unit: str = "patient"

    def __repr__(self) -> str:
        return describe(self, "", self._counts())

    @staticmethod
    def fit(predictions: Predictions, *, has_patients: bool = True) -> ConformalSets:
        """Return the sets of a model from out-of-fold predictions.

        Parameters
        ----------
        predictions : Predictions
            Out-of-fold predictions of the training set, with calibrated probabilities. Patients
            are the groups; a row without one is a patient of its own. Rows of several repeats
            share the weight of their patient.
        has_patients : bool
            Whether the groups are those of known patients. If not, or without groups, the words
            speak of images.

        Raises
        ------
        UsageError
            If there are no probabilities, or a label is unknown.
        """
        if predictions.probabilities is None:
            raise UsageError(
                "conformal sets need calibrated probabilities, which these predictions lack: "
                "calibrate them first"
            )
        if unknown := sorted({*predictions.labels.tolist()} - {*predictions.classes}):
            n = int(np.isin(predictions.labels, unknown).sum())
            raise UsageError(
                f"conformal sets need the label of every sample, but {n} of {len(predictions)} "
                f"have {f'another ({unknown[-1]!r})' if unknown[-1] else 'none'}: leave these out"
            )
        if predictions.groups is None:
            patients = predictions.ids
        else:
            own = np.char.add("sample ", predictions.ids)
            named = np.char.add("patient ", predictions.groups)
            patients = np.where(predictions.groups == "", own, named)
        scores, weights, counts = [], [], []
        for column, name in enumerate(predictions.classes):
            rows = predictions.labels == name
            values = 1 - predictions.probabilities[rows, column]
            order = np.argsort(values, kind="stable")
            scores.append(values[order])
            weights.append(share_weight(patients[rows])[order])
            counts.append(len(np.unique(patients[rows])))
        return ConformalSets(
            predictions.classes,
            tuple(scores),
            tuple(weights),
            tuple(counts),
            "patient" if has_patients and predictions.groups is not None else "image",
        )

    def p_values(self, probabilities: ArrayLike) -> Floats:
        """Return the p value of every class for new images.

        Parameters
        ----------
        probabilities : array-like of float, shape (n, n_classes)
            Calibrated probabilities of new images, in the order of ``classes``; n may be 0.

        Returns
        -------
        ndarray of float64, shape (n, n_classes)
            Those of ``bottleneck.statistics.conformal_p_values``.

        Raises
        ------
        UsageError
            If the shape is another, or a value is not between 0 and 1.
        """
        new = 1 - as_class_probabilities("probabilities", probabilities, len(self.classes))
        kept = zip(self.scores, self.weights, new.T, strict=True)
        return np.stack([weighted_p_values(*each) for each in kept], axis=1)

    def sets(self, probabilities: ArrayLike, error_rate: float = 0.1) -> NDArray[np.bool_]:
        """Return the classes that cannot be excluded for new images.

        Parameters
        ----------
        probabilities : array-like of float, shape (n, n_classes)
            As for ``p_values``.
        error_rate : float
            The share of patients of a class, between 0 and 1, whose set may lack this class.

        Returns
        -------
        ndarray of bool, shape (n, n_classes)
            A class with fewer than 1 / error_rate - 1 patients is in every set. A set may be
            empty.

        Raises
        ------
        UsageError
            If the error rate is not between 0 and 1, or as for ``p_values``.
        """
        allowed = check_error_rate(error_rate)
        return exceeds(self.p_values(probabilities), allowed)

    def words(self, error_rate: float = 0.1) -> str:
        """Return what the sets say at an error rate, and for which classes they cannot say it.

        Parameters
        ----------
        error_rate : float
            As for ``sets``.

        Raises
        ------
        UsageError
            If the error rate is not between 0 and 1.

        Examples
        --------
        >>> y, p = ["a"] * 9 + ["b"] * 4, np.linspace(0, 1, 13)
        >>> made = Predictions.from_arrays(y, p, range(13), probabilities=p, classes=["a", "b"])
        >>> ConformalSets.fit(made).words(0.1).partition(". ")[2]
        "'b' is in every set: an error rate of 10 % needs 9 patients, and there are 4."
        """
        needed = patients_needed(error_rate)
        rate = f"{100 * error_rate:.3g} %"
        short = {name: n for name, n in zip(self.classes, self.patients, strict=True) if n < needed}
        if len(short) == len(self.classes):
            # Rounded up, since at a lower rate the sets would still be whole.
            least = math.ceil(1e3 / (1 + max(self.patients)) - 1e-9) / 10
            return (
                f"At an error rate of {rate} every set holds all classes and is uninformative: "
                f"sets need {counted(needed, self.unit)} of a class, and there are "
                f"{self._counts()}; "
                f"sets can exclude a class from an error rate of {least:g} % on"
            )
        whom = "patients" if self.unit == "patient" else "images"
        text = (
            f"At an error rate of {rate}, a set holds the true class for about "
            f"{100 * (1 - error_rate):.3g} % or more of new {whom} of each class, if they are "
            f"like those that the sets were made from ({self._counts()})"
        )
        if self.unit == "image":
            text += (
                "; the patients are not known, so several images of one patient count as "
                "independent"
            )
        for name, n in short.items():
            text += (
                f". '{name}' is in every set: an error rate of {rate} needs "
                f"{counted(needed, self.unit)}, and there "
                f"{'is' if n == 1 else 'are'} {n}"
            )
        return text + "."

    def _counts(self) -> str:
        of_class = zip(self.classes, self.patients, strict=True)
        return ", ".join(f"{counted(n, self.unit)} of '{name}'" for name, n in of_class)

    def to_dict(self) -> dict[str, Any]:
        """Return the content for a file: lists, numbers, text and arrays."""
        return {
            "classes": list(self.classes),
            "scores": list(self.scores),
            "weights": list(self.weights),
            "patients": list(self.patients),
            "unit": self.unit,
        }

    @staticmethod
    def from_dict(content: Mapping[str, Any]) -> ConformalSets:
        """Return the sets from the content of a file.

        Raises
        ------
        ModelError
            If the content is not that of ``to_dict``.
        """
        try:
            made = ConformalSets(
                tuple(content["classes"]),
                tuple(np.asarray(one, dtype=np.float64) for one in content["scores"]),
                tuple(np.asarray(one, dtype=np.float64) for one in content["weights"]),
                tuple(content["patients"]),
                content["unit"],
            )
            sound = set(content) == {f.name for f in dataclasses.fields(made)} and made._is_sound()
        except (KeyError, TypeError, ValueError):
            sound = False
        if not sound:
            raise ModelError(
                "the nonconformity scores of the model are damaged: copy its file again, or train "
                "it again with fit"
            )
        return made

    def _is_sound(self) -> bool:
        """Return whether the fields are of the right types and agree with each other."""
        sizes = {len(one) for one in (self.classes, self.scores, self.weights, self.patients)}
        return (
            sizes == {len(set(self.classes))}
            and all(isinstance(name, str) for name in self.classes)
            and self.unit in ("patient", "image")
            and all(
                isinstance(n, int)
                and s.ndim == w.ndim == 1
                and len(s) == len(w) >= n
                and bool(((s >= 0) & (s <= 1)).all() and (np.diff(s) >= 0).all())
                and bool(((w > 0) & (w <= 1)).all())
                and abs(w.sum() - n) < 1e-6 * max(1, n)
                for s, w, n in zip(self.scores, self.weights, self.patients, strict=True)
            )
        )
