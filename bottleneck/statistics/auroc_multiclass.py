"""The macro-averaged one-vs-rest AUROC of several classes, with its interval."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bottleneck.errors import ProtocolError, UsageError
from bottleneck.statistics.arguments import (
    as_codes,
    as_matrix,
    as_patients,
    as_vector,
    check_level,
    check_same_rows,
)
from bottleneck.statistics.auroc import hoeffding_interval, variance_name
from bottleneck.statistics.auroc_variance import AurocEstimator
from bottleneck.statistics.class_labels import as_labels
from bottleneck.statistics.intervals import Interval, influence_interval, with_counts
from bottleneck.statistics.patient_variance import overlap_factor, patient_variance
from bottleneck.text.short_repr import shorten

__all__ = ["MacroAuroc", "macro_auc_interval"]


def macro_auc_interval(
    y_true: ArrayLike,
    scores: ArrayLike,
    groups: ArrayLike | None = None,
    folds: ArrayLike | None = None,
    *,
    classes: ArrayLike | None = None,
    level: float = 0.95,
) -> Interval:
    """Estimate the macro-averaged one-vs-rest AUROC with a confidence interval.

    The influences of a patient on the AUROCs of all classes are averaged. The sum of their
    squares over the patients is the variance of the mean, as for a single AUROC (LeDell,
    Petersen & van der Laan 2015, Electronic Journal of Statistics 9:1583).

    Parameters
    ----------
    y_true : array-like of int, bool or str, shape (n_samples,)
        Classes of the samples.
    scores : array-like of float, shape (n_samples, n_classes)
        One column per class.
    groups, folds : array-like, shape (n_samples,), optional
        Patients, and test fold of every row, as for ``roc_auc_interval``.
    classes : array-like, shape (n_classes,), optional
        The classes in the order of the columns; by default the sorted classes of ``y_true``,
        which is the order of scikit-learn's ``classes_``.
    level : float
        Confidence level.

    Returns
    -------
    Interval
        With two classes and opposite scores, that of ``roc_auc_interval``. If the placement
        values do not vary, the distribution-free one with the smallest number of pairs of all
        classes.

    Raises
    ------
    UsageError
        If an array has the wrong shape, type or values, or the level is not between 0 and 1.
    ProtocolError
        If a fold lacks a class.

    Examples
    --------
    >>> y_true = ["a", "b", "c"] * 4
    >>> scores = [[3, 1, 2], [1, 3, 2], [2, 1, 3], [3, 2, 1], [2, 3, 1], [1, 2, 3]] * 2
    >>> scores[0] = [1, 2, 3]
    >>> macro_auc_interval(y_true, scores)
    Interval(0.917, 95 % 0.259 to 0.997, n=12, DeLong, mean over classes, logit scale)
    """
    check_level(level)
    check_same_rows(y_true=y_true, scores=scores, groups=groups, folds=folds)
    macro = MacroAuroc(y_true, scores, groups, folds, classes=classes)
    patients = None if groups is None else macro.patients
    return with_counts(macro.interval(level), len(macro.patients), patients)


class MacroAuroc:
    """The macro-averaged one-vs-rest AUROC and the influence of each sample on it.

    Parameters
    ----------
    y_true, scores, groups, folds, classes
        As for ``macro_auc_interval``.
    name : str
        Name of the scores, for error messages.
    trained : bool
        Whether models were trained for the folds, so that ``overlap_factor`` applies.

    Attributes
    ----------
    value : float
        The mean AUROC over folds and classes.
    n_folds : int
        Number of folds.
    overlap : float
        The factor of ``overlap_factor``.
    patients : ndarray of int64, shape (n_samples,)
        Codes of the patients.
    influence : ndarray of float64, shape (n_samples,)
        Means of the influences over the classes.
    n_pairs : float
        The smallest number of disjoint pairs of all classes; see ``AurocEstimator``.
    name : str
        Name of the variance.
    """

    def __init__(
        self,
        y_true: ArrayLike,
        scores: ArrayLike,
        groups: ArrayLike | None = None,
        folds: ArrayLike | None = None,
        *,
        classes: ArrayLike | None = None,
        name: str = "scores",
        trained: bool = True,
    ) -> None:
        labels = as_labels("y_true", y_true)
        n = len(labels)
        known, self._codes = _encode(labels, classes)
        self.patients = as_patients(groups, n)
        self._folds = np.zeros(n, dtype=np.int64) if folds is None else as_codes("folds", folds, n)
        self._scores = as_matrix(name, scores)
        if self._scores.shape != (n, len(known)):
            raise UsageError(
                f"{name} must be of shape ({n}, {len(known)}), a row for each sample and a column "
                f"for each class ({', '.join(map(repr, known))}), not {self._scores.shape}: name "
                "the classes in the order of the columns by classes=(…) if there are others"
            )
        influences, pairs = [], []
        for number, score in enumerate(self._scores.T):
            by_sample = AurocEstimator(self._codes == number, None, self._folds)
            influences.append(by_sample.influence(by_sample.rank(score)))
            by_patient = AurocEstimator(self._codes == number, self.patients, self._folds)
            pairs.append(by_patient.n_pairs)
        self.n_folds = int(self._folds.max()) + 1
        self.overlap = overlap_factor(self._folds, self.patients, by_fold=True) if trained else 1.0
        self.value = float(np.mean([one.value for one in influences]))
        self.influence = np.mean([one.positive + one.negative for one in influences], axis=0)
        self.n_pairs = min(pairs)
        self.name = f"{variance_name(by_patient)}, mean over classes"
        by_fold = (self._scores[self._folds == fold] for fold in range(self._folds.max() + 1))
        self._constant = all(np.ptp(scores, axis=0).max() == 0 for scores in by_fold)
        self._variance = self.variance(self.influence)

    def variance(self, influence: NDArray[np.float64]) -> tuple[float, float]:
        """Return the variance that these influences give, corrected over folds, and its df."""
        variance, degrees = patient_variance(influence, self._codes, self._folds, self.patients)
        return variance * self.overlap, degrees

    @property
    def training_variance(self) -> float:
        """The part of the variance that overlapping training sets add."""
        return self._variance[0] * (1 - 1 / self.overlap)

    def interval(self, level: float) -> Interval:
        """Return the confidence interval."""
        check_level(level)
        if self._constant:
            return Interval(self.value, self.value, self.value, 0.0, level, "constant score")
        interval = influence_interval(
            self.value, *self._variance, level=level, method=f"{self.name}, logit scale"
        )
        if np.isfinite(interval.low):
            return interval
        low, high = hoeffding_interval(self.value, self.n_pairs, level)
        return Interval(self.value, low, high, np.nan, level, "distribution-free bound")


def _encode(labels: NDArray[Any], classes: ArrayLike | None) -> tuple[list[Any], NDArray[np.int64]]:
    """Return the classes in the order of the columns, and the class of each sample by number."""
    present = np.unique(labels).tolist()
    known = present
    if classes is not None:
        known = as_vector("classes", classes, unit="column").tolist()
    if len(set(known)) < len(known):
        raise UsageError(f"classes must name each class once, not {shorten(known)}")
    if lacking := [name for name in present if name not in known]:
        raise UsageError(
            f"y_true holds {lacking[0]!r}, which is not among the classes of the columns "
            f"({', '.join(map(repr, known))})"
        )
    if absent := [name for name in known if name not in present]:
        raise ProtocolError(
            f"a macro-averaged AUROC needs samples of every class, but there are none of "
            f"{absent[0]!r}: leave out its column, and name the other classes"
        )
    if len(known) < 2:
        raise ProtocolError(
            f"an AUROC needs samples of two classes or more, but all are of class {known[0]!r}"
        )
    number = {name: code for code, name in enumerate(known)}
    return known, np.array([number[name] for name in labels.tolist()])
