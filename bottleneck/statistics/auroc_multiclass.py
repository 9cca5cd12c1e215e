"""The mean AUROC of each class against the rest, for three classes or more."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bottleneck.statistics.auroc import distribution_free, variance_name
from bottleneck.statistics.auroc_influence import Design, encode, find_overlap
from bottleneck.statistics.intervals import Interval, check_level, influence_interval
from bottleneck.statistics.patient_variance import patient_variance

__all__ = ["MacroAuc", "macro_auc_interval"]


def macro_auc_interval(
    labels: ArrayLike,
    scores: ArrayLike,
    folds: ArrayLike,
    groups: ArrayLike | None = None,
    level: float = 0.95,
) -> Interval:
    """Estimate the mean AUROC of each class against the rest, with its interval.

    A patient's influences on the AUROCs of all classes are averaged; the sum of their
    squares over patients is the variance of the mean, as it is of one AUROC.

    Parameters
    ----------
    labels : array-like, shape (n_samples,)
        The truth.
    scores : array-like of float, shape (n_samples, n_classes)
        In the order of the sorted labels.
    folds : array-like, shape (n_samples,)
        Test folds, numbered apart over repeats; the same number for one test set.
    groups : array-like, shape (n_samples,), optional
        Patients.
    level : float
        Confidence level.

    Returns
    -------
    Interval
        With two classes and opposite scores that of ``auroc.roc_auc_interval`` or
        ``auroc.cv_auc_interval``. Where the placement values do not vary, the
        distribution-free one with the fewest pairs of any class.

    Raises
    ------
    UsageError
        If an array or the level is not what it should be.
    ProtocolError
        If a fold lacks a class.
    """
    return MacroAuc(labels, scores, folds, groups).interval(level)


class MacroAuc:
    """The mean AUROC of each class against the rest, and what each sample adds to it.

    Parameters
    ----------
    labels, scores, folds, groups
        As for ``macro_auc_interval``.

    Attributes
    ----------
    value : float
        The mean over folds and classes.
    influence : ndarray of float64, shape (n_samples,)
        Means of the classes' influences.
    name : str
        Of the variance.
    """

    def __init__(
        self,
        labels: ArrayLike,
        scores: ArrayLike,
        folds: ArrayLike,
        groups: ArrayLike | None = None,
    ) -> None:
        n = np.size(labels)
        self._codes = encode("labels", labels, n)
        self._folds = encode("folds", folds, n)
        self._patients = np.arange(n) if groups is None else encode("groups", groups, n)
        self._scores = np.asarray(scores)
        found, pairs = [], []
        for number, score in enumerate(self._scores.T):
            of_samples = Design(self._codes == number, None, self._folds)
            found.append(of_samples.influence(of_samples.rank(score)))
            of_patients = Design(self._codes == number, self._patients, self._folds)
            pairs.append(of_patients.pairs)
        self.value = float(np.mean([one.value for one in found]))
        self.influence = np.mean([one.positive + one.negative for one in found], axis=0)
        self._pairs = min(pairs)
        self.name = f"{variance_name(of_patients)}, mean over classes"

    def variance(self, influence: NDArray[np.float64]) -> tuple[float, float]:
        """Return the variance of what has this influence, corrected over folds, and its df."""
        variance, degrees = patient_variance(influence, self._codes, self._folds, self._patients)
        return variance * find_overlap(self._folds, self._patients), degrees

    def interval(self, level: float) -> Interval:
        """Return the interval."""
        alpha = 1 - check_level(level)
        parts = (self._scores[self._folds == fold] for fold in range(self._folds.max() + 1))
        if all(np.ptp(part, axis=0).max() == 0 for part in parts):
            return Interval(self.value, self.value, self.value, 0.0, level, "constant score")
        method = f"{self.name}, logit scale"
        variance, degrees = self.variance(self.influence)
        found = influence_interval(self.value, variance, degrees, level=level, method=method)
        if np.isfinite(found.low):
            return found
        low, high = distribution_free(self.value, self._pairs, alpha)
        return Interval(self.value, low, high, np.nan, level, "distribution-free bound")
