"""The macro-averaged one-vs-rest AUROC of several classes, with its interval."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bottleneck.statistics.arguments import as_codes, check_level
from bottleneck.statistics.auroc import hoeffding_interval, variance_name
from bottleneck.statistics.auroc_variance import AurocEstimator
from bottleneck.statistics.intervals import Interval, influence_interval
from bottleneck.statistics.patient_variance import overlap_factor, patient_variance

__all__ = ["MacroAuroc", "macro_auc_interval"]


def macro_auc_interval(
    labels: ArrayLike,
    scores: ArrayLike,
    folds: ArrayLike,
    groups: ArrayLike | None = None,
    level: float = 0.95,
) -> Interval:
    """Estimate the macro-averaged one-vs-rest AUROC with a confidence interval.

    The influences of a patient on the AUROCs of all classes are averaged. The sum of their
    squares over the patients is the variance of the mean, as for a single AUROC (LeDell,
    Petersen & van der Laan 2015, Electronic Journal of Statistics 9:1583).

    Parameters
    ----------
    labels : array-like, shape (n_samples,)
        True classes.
    scores : array-like of float, shape (n_samples, n_classes)
        One column per class, in the order of the sorted labels.
    folds : array-like, shape (n_samples,)
        Test fold of every row; the folds of different repeats need different numbers. The
        same number for all rows of a single test set.
    groups : array-like, shape (n_samples,), optional
        Patients.
    level : float
        Confidence level.

    Returns
    -------
    Interval
        With two classes and opposite scores, that of ``roc_auc_interval`` or
        ``cv_auc_interval``. If the placement values do not vary, the distribution-free one
        with the smallest number of pairs of all classes.

    Raises
    ------
    UsageError
        If an array has the wrong shape, type or values, or the level is not between 0 and 1.
    ProtocolError
        If a fold lacks a class.

    Examples
    --------
    >>> import numpy as np
    >>> labels = np.array(["a", "b", "c"] * 4)
    >>> scores = np.eye(3)[[0, 1, 2, 0, 1, 2, 0, 2, 1, 1, 1, 2]]
    >>> macro_auc_interval(labels, scores, folds=np.zeros(12)).value
    0.8125
    """
    return MacroAuroc(labels, scores, folds, groups).interval(level)


class MacroAuroc:
    """The macro-averaged one-vs-rest AUROC and the influence of each sample on it.

    Parameters
    ----------
    labels, scores, folds, groups
        As for ``macro_auc_interval``.

    Attributes
    ----------
    value : float
        The mean AUROC over folds and classes.
    influence : ndarray of float64, shape (n_samples,)
        Means of the influences over the classes.
    n_pairs : float
        The smallest number of disjoint pairs of all classes; see ``AurocEstimator``.
    name : str
        Name of the variance.
    """

    def __init__(
        self,
        labels: ArrayLike,
        scores: ArrayLike,
        folds: ArrayLike,
        groups: ArrayLike | None = None,
    ) -> None:
        n = np.size(labels)
        self._codes = as_codes("labels", labels, n)
        self._folds = as_codes("folds", folds, n)
        self._patients = np.arange(n) if groups is None else as_codes("groups", groups, n)
        self._scores = np.asarray(scores)
        influences, pairs = [], []
        for number, score in enumerate(self._scores.T):
            by_sample = AurocEstimator(self._codes == number, None, self._folds)
            influences.append(by_sample.influence(by_sample.rank(score)))
            by_patient = AurocEstimator(self._codes == number, self._patients, self._folds)
            pairs.append(by_patient.n_pairs)
        self.value = float(np.mean([one.value for one in influences]))
        self.influence = np.mean([one.positive + one.negative for one in influences], axis=0)
        self.n_pairs = min(pairs)
        self.name = f"{variance_name(by_patient)}, mean over classes"
        by_fold = (self._scores[self._folds == fold] for fold in range(self._folds.max() + 1))
        self._constant = all(np.ptp(scores, axis=0).max() == 0 for scores in by_fold)
        self._variance = self.variance(self.influence)

    def variance(self, influence: NDArray[np.float64]) -> tuple[float, float]:
        """Return the variance that these influences give, corrected over folds, and its df."""
        variance, degrees = patient_variance(influence, self._codes, self._folds, self._patients)
        overlap = overlap_factor(self._folds, self._patients, by_fold=True)
        return variance * overlap, degrees

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
