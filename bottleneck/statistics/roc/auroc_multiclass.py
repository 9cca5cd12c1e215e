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
from bottleneck.statistics.class_labels import as_labels
from bottleneck.statistics.inference.intervals import Interval, influence_interval, with_counts
from bottleneck.statistics.inference.patient_variance import (
    add_variances,
    overlap_factor,
    patient_variance,
    training_variance,
)
from bottleneck.statistics.roc.auroc import hoeffding_interval, variance_name
from bottleneck.statistics.roc.auroc_variance import (
    AurocEstimator,
    AurocInfluence,
    average_influences,
)
from bottleneck.text.short_repr import shorten

__all__ = ["MacroAuroc", "macro_auc_interval"]


def macro_auc_interval(
    y_true: ArrayLike,
    scores: ArrayLike,
    groups: ArrayLike | None = None,
    folds: ArrayLike | None = None,
    *,
    repeats: ArrayLike | None = None,
    jackknife: ArrayLike | None = None,
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
    groups, folds, repeats : array-like, shape (n_samples,), optional
        Patients, test fold and repeat of every row, as for ``roc_auc_interval``.
    jackknife : array-like of float, shape (n_samples, n_parts, n_classes), optional
        Scores by models that were trained without one part of the patients, as for
        ``roc_auc_interval``.
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
    check_same_rows(
        y_true=y_true,
        scores=scores,
        groups=groups,
        folds=folds,
        repeats=repeats,
        jackknife=jackknife,
    )
    macro = MacroAuroc(y_true, scores, groups, folds, repeats, jackknife=jackknife, classes=classes)
    patients = None if groups is None else macro.patients
    return with_counts(macro.interval(level), len(macro.patients), patients)


class MacroAuroc:
    """The macro-averaged one-vs-rest AUROC and the influence of each sample on it.

    Parameters
    ----------
    y_true, scores, groups, folds, repeats, jackknife, classes
        As for ``macro_auc_interval``.
    suffix : str
        End of the names of scores and jackknife in error messages.
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
    influence : AurocInfluence
        Means of the influences of the samples over the classes.
    n_pairs : float
        The smallest number of disjoint pairs of all classes; see ``AurocEstimator``.
    trained : bool
        Whether models were trained for the folds.
    """

    def __init__(
        self,
        y_true: ArrayLike,
        scores: ArrayLike,
        groups: ArrayLike | None = None,
        folds: ArrayLike | None = None,
        repeats: ArrayLike | None = None,
        *,
        jackknife: ArrayLike | None = None,
        classes: ArrayLike | None = None,
        suffix: str = "",
        trained: bool = True,
    ) -> None:
        labels = as_labels("y_true", y_true)
        n = len(labels)
        known, self._codes = _encode(labels, classes)
        self.patients = as_patients(groups, n)
        self._folds = np.zeros(n, dtype=np.int64) if folds is None else as_codes("folds", folds, n)
        name = f"scores{suffix}"
        self._scores = as_matrix(name, scores)
        parts = _read_parts(f"jackknife{suffix}", jackknife, (n, len(known)))
        if self._scores.shape != (n, len(known)):
            raise UsageError(
                f"{name} must be of shape ({n}, {len(known)}), a row for each sample and a column "
                f"for each class ({', '.join(map(repr, known))}), not {self._scores.shape}: name "
                "the classes in the order of the columns by classes=(…) if there are others"
            )
        influences, pairs = [], []
        for number, score in enumerate(self._scores.T):
            by_sample = AurocEstimator(self._codes == number, None, self._folds, repeats)
            ranks = [by_sample.rank(part[:, number]) for part in parts]
            influences.append(by_sample.influence(by_sample.rank(score), ranks))
            by_patient = AurocEstimator(self._codes == number, self.patients, self._folds)
            pairs.append(by_patient.n_pairs)
        self.n_folds = int(self._folds.max()) + 1
        self.overlap = overlap_factor(self._folds, self.patients, by_fold=True) if trained else 1.0
        self.influence = average_influences(influences)
        self.value = self.influence.value
        self.n_pairs = min(pairs)
        self.trained = trained
        self._estimator = by_patient
        by_fold = (self._scores[self._folds == fold] for fold in range(self._folds.max() + 1))
        self._constant = all(np.ptp(scores, axis=0).max() == 0 for scores in by_fold)
        self._variance = self.variance(self.influence)

    def variance(self, influence: AurocInfluence, *, trained: bool = True) -> tuple[float, float]:
        """Return the variance that these influences give, and its degrees of freedom.

        ``trained`` adds that of the training sets, as ``AurocEstimator.total_variance`` does.
        """
        by_sample = influence.positive + influence.negative
        tested = patient_variance(by_sample, self._codes, self._folds, self.patients)
        if not trained:
            return tested
        known = influence.jackknife
        of_training = None if known is None else training_variance(influence.by_repeat, known)
        return add_variances(tested, of_training, self.overlap)

    @property
    def training_variance(self) -> float:
        """The variance that the training sets add to that of the test samples."""
        return self._variance[0] - self.variance(self.influence, trained=False)[0]

    def name_of(self, influence: AurocInfluence) -> str:
        """Return the name of the variance that ``variance`` returns."""
        return f"{variance_name(self._estimator, influence)}, mean over classes"

    def interval(self, level: float) -> Interval:
        """Return the confidence interval."""
        check_level(level)
        if self._constant:
            return Interval(self.value, self.value, self.value, 0.0, level, "constant score")
        interval = influence_interval(
            self.value,
            *self._variance,
            level=level,
            method=f"{self.name_of(self.influence)}, logit scale",
        )
        if np.isfinite(interval.low):
            return interval
        low, high = hoeffding_interval(self.value, self.n_pairs, level)
        return Interval(self.value, low, high, np.nan, level, "distribution-free bound")


def _read_parts(
    name: str, jackknife: ArrayLike | None, shape: tuple[int, int]
) -> list[NDArray[np.floating]]:
    """Return the scores of each part of a jackknife; without one there are none."""
    if jackknife is None:
        return []
    array = np.asarray(jackknife)
    if array.ndim != 3 or array[:, 0].shape != shape or array.shape[1] < 2:
        raise UsageError(
            f"{name} must have the shape ({shape[0]}, number of parts, {shape[1]}), with two parts "
            f"at least, not {array.shape}"
        )
    return [as_matrix(name, part) for part in array.swapaxes(0, 1)]


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
