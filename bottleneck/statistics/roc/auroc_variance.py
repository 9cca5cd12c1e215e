"""AUROC estimates: placement values, the influence of each patient, and the variance.

One estimator serves all cases. The influence of each sample on the AUROC is summed by
patient, and the squares of these sums are added up. With one fold and one sample per patient
the result is DeLong's variance, with one fold Obuchowski's, with several folds LeDell's with a
small-sample factor. For a difference of two AUROCs, the influences are subtracted first.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from bottleneck.errors import ProtocolError, UsageError
from bottleneck.statistics.arguments import as_booleans, as_codes, as_patients, as_scores
from bottleneck.statistics.inference.patient_variance import (
    add_variances,
    degrees_of_freedom,
    overlap_factor,
    training_variance,
)

__all__ = ["AurocEstimator", "AurocInfluence", "average_influences"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

# A variance that is zero but for rounding errors is smaller than this.
_ROUNDING = 1e-30


@dataclasses.dataclass(frozen=True, eq=False)
class AurocInfluence:
    """An AUROC, or a difference of two, and the contribution of each patient to it.

    Attributes
    ----------
    value : float
        The AUROC within folds, averaged over the folds.
    positive, negative : ndarray of float64, shape (n_patients,)
        Sums of the influence values of each patient, over its positive and over its negative
        samples: (placement value - AUROC of the fold) / (number of samples of the class in
        the fold * number of folds).
    by_repeat : ndarray of float64, shape (n_repeats,)
        The value in each repeat.
    jackknife : ndarray of float64, shape (n_repeats, n_parts), or None
        The value in each repeat of models that were trained without one part of the patients.
    """

    value: float
    positive: Floats
    negative: Floats
    by_repeat: Floats
    jackknife: Floats | None = None

    @property
    def knows_nothing(self) -> bool:
        """Whether no model distinguishes any samples, however it was trained."""
        return self.value == 0.5 and not (self.positive.any() or self.negative.any())

    def __sub__(self, other: AurocInfluence) -> AurocInfluence:
        """Return the difference of two AUROCs on the same samples."""
        return AurocInfluence(
            self.value - other.value,
            self.positive - other.positive,
            self.negative - other.negative,
            self.by_repeat - other.by_repeat,
            _subtract(self, other),
        )


def average_influences(influences: Sequence[AurocInfluence]) -> AurocInfluence:
    """Return the mean of the AUROCs of several classes on the same samples."""
    known = [one.jackknife for one in influences if one.jackknife is not None]
    return AurocInfluence(
        float(np.mean([one.value for one in influences])),
        np.mean([one.positive for one in influences], axis=0),
        np.mean([one.negative for one in influences], axis=0),
        np.mean([one.by_repeat for one in influences], axis=0),
        np.mean(known, axis=0) if len(known) == len(influences) else None,
    )


def _subtract(one: AurocInfluence, other: AurocInfluence) -> Floats | None:
    """Return the difference of two jackknives; None if they have not the same parts."""
    if other.knows_nothing:
        return one.jackknife
    if one.knows_nothing:
        return other.jackknife
    if one.jackknife is None or other.jackknife is None:
        return None
    if one.jackknife.shape != other.jackknife.shape:
        return None
    return one.jackknife - other.jackknife


def _number_repeats(folds: Ints, repeats: ArrayLike | None) -> Ints:
    """Return the repeat of every fold, numbered from 0; by default all are of one repeat."""
    if repeats is None:
        return np.zeros(int(folds.max()) + 1, dtype=np.int64)
    _, first = np.unique(folds, return_index=True)
    codes = as_codes("repeats", repeats, len(folds))
    if (codes != codes[first][folds]).any():
        raise UsageError(
            "repeats must be the same for all rows of a fold, but a fold is in several"
        )
    return codes[first]


class AurocEstimator:
    """The AUROC and its variance, for any score on given samples, patients and folds.

    Parameters
    ----------
    y_true : array-like of {0, 1} or bool, shape (n_samples,)
        1 marks the positive class.
    groups : array-like, shape (n_samples,), optional
        Patients; without them every sample is a patient of its own.
    folds : array-like, shape (n_samples,), optional
        Test folds; only samples of the same fold are ranked together.
    repeats : array-like, shape (n_samples,), optional
        Repeat of every row, where the folds are of several.
    trained : bool
        Whether models were trained for the folds, so that ``overlap_factor`` applies.

    Attributes
    ----------
    positive : ndarray of bool, shape (n_samples,)
        Mask of the positive samples.
    patients, folds : ndarray of int64, shape (n_samples,)
        Codes of the patients and of the folds, from 0.
    n_folds : int
        Number of folds.
    trained : bool
        Whether models were trained for the folds.
    clustered : bool
        Whether any patient has several samples.
    n_pairs : float
        Lower bound of the number of disjoint pairs of a positive and a negative patient,
        with every fold counted like the smallest. Where patients have unequal numbers n of
        samples, they are counted by Kish's effective sample size, (sum n)² / sum n².
    overlap : float
        The factor of ``overlap_factor``.

    Raises
    ------
    UsageError
        If an array has the wrong shape, type or values.
    ProtocolError
        If all samples, or all samples of one fold, are of one class.

    Examples
    --------
    >>> estimator = AurocEstimator([0, 1, 0, 1])
    >>> ranks = estimator.rank([0.1, 0.9, 0.6, 0.4])
    >>> estimator.influence(ranks).value
    0.75
    """

    def __init__(
        self,
        y_true: ArrayLike,
        groups: ArrayLike | None = None,
        folds: ArrayLike | None = None,
        repeats: ArrayLike | None = None,
        *,
        trained: bool = True,
    ) -> None:
        self.positive = as_booleans("y_true", y_true)
        n = len(self.positive)
        self.patients = as_patients(groups, n)
        self.folds = np.zeros(n, dtype=np.int64) if folds is None else as_codes("folds", folds, n)
        n_patients = int(self.patients.max()) + 1
        self.n_folds = int(self.folds.max()) + 1
        self._repeat_of = _number_repeats(self.folds, repeats)
        self.trained = trained
        self.clustered = n_patients < n
        self._classes = (self.positive, ~self.positive)
        self._fold_rows = [self.folds == fold for fold in range(self.n_folds)]
        for rows in self._fold_rows:
            if len(np.unique(self.positive[rows])) < 2:
                which = "all samples" if self.n_folds == 1 else "those of one fold"
                side = "positive" if self.positive[rows][0] else "negative"
                raise ProtocolError(
                    f"an AUROC needs samples of both classes to rank, but {which} are of the "
                    f"{side} class"
                )

        counts = [np.bincount(self.patients[rows], minlength=n_patients) for rows in self._classes]
        self._has = [count > 0 for count in counts]
        everyone = np.ones(n, dtype=bool)
        self.n_pairs = min(
            self._disjoint_pairs(everyone),
            self.n_folds * min(map(self._disjoint_pairs, self._fold_rows)),
        )
        appearances = self.patients * self.n_folds + self.folds
        self._appearances = [len(np.unique(appearances[r])) for r in (*self._classes, everyone)]
        self.overlap = overlap_factor(self.folds, self.patients, by_fold=True) if trained else 1.0

    def _disjoint_pairs(self, rows: Bools) -> float:
        counts = [np.bincount(self.patients[rows & side]) for side in self._classes]
        effective = (count.sum() ** 2 / (count**2).sum() for count in counts)
        return max(1.0, min(*effective, len(np.unique(self.patients[rows])) / 2))

    def rank(self, score: ArrayLike, name: str = "score") -> Floats:
        """Rank the samples within each fold; equal scores share their mean rank.

        Parameters
        ----------
        score : array-like of float, shape (n_samples,)
            Larger scores mean more of the positive class.
        name : str
            Name of the argument, for error messages.

        Returns
        -------
        ndarray of float64, shape (n_samples,)
            Ranks, starting from 1 in every fold.

        Raises
        ------
        UsageError
            If there is not one finite score per sample.
        """
        values = as_scores(name, score, len(self.positive))
        ranks = np.empty(len(values))
        for rows in self._fold_rows:
            ranks[rows] = rankdata(values[rows])
        return ranks

    def influence(self, ranks: Floats, jackknife: Sequence[Floats] = ()) -> AurocInfluence:
        """Compute the AUROC and the influence of every patient on it.

        Placement values follow from midranks in O(n log n): Sun & Xu (2014, IEEE Signal
        Processing Letters 21:1389). Ties count one half.

        Parameters
        ----------
        ranks : ndarray of float64, shape (n_samples,)
            From ``rank``.
        jackknife : sequence of ndarray of float64, shape (n_samples,)
            Ranks of the scores by models that were trained without one part of the patients.

        Returns
        -------
        AurocInfluence
            The mean AUROC of the folds, and its influences.
        """
        by_sample = np.empty(len(ranks))
        areas = []
        for rows in self._fold_rows:
            x_rows, y_rows = (rows & side for side in self._classes)
            x, y = ranks[x_rows], ranks[y_rows]
            above = (x - rankdata(x)) / len(y)
            below = 1.0 - (y - rankdata(y)) / len(x)
            area = float(above.mean())
            by_sample[x_rows] = (above - area) / (len(x) * self.n_folds)
            by_sample[y_rows] = (below - area) / (len(y) * self.n_folds)
            areas.append(area)
        positive, negative = (
            np.bincount(self.patients[side], by_sample[side], len(self._has[0])).astype(float)
            for side in self._classes
        )
        by_part = [self._by_repeat(self._areas(part)) for part in jackknife]
        return AurocInfluence(
            float(np.mean(areas)),
            positive,
            negative,
            self._by_repeat(areas),
            np.stack(by_part, axis=1) if by_part else None,
        )

    def _areas(self, ranks: Floats) -> list[float]:
        """Return the AUROC of every fold, from the sum of the ranks of its positive samples."""
        areas: list[float] = []
        for rows in self._fold_rows:
            x = ranks[rows & self.positive]
            n_pairs = len(x) * np.count_nonzero(rows & ~self.positive)
            areas.append(float(x.sum() - len(x) * (len(x) + 1) / 2) / n_pairs)
        return areas

    def _by_repeat(self, areas: Sequence[float]) -> Floats:
        """Return the mean over the folds of each repeat."""
        return np.bincount(self._repeat_of, areas) / np.bincount(self._repeat_of)

    def is_constant(self, ranks: Floats) -> bool:
        """Return whether the scores are all equal within every fold."""
        return all((ranks[rows] == ranks[rows][0]).all() for rows in self._fold_rows)

    def total_variance(self, influence: AurocInfluence) -> tuple[float, float]:
        """Estimate the variance of an AUROC or of a difference over training sets as well.

        Parameters
        ----------
        influence : AurocInfluence
            From ``influence``, or a difference of two.

        Returns
        -------
        variance, degrees_of_freedom : float
            The variance of ``variance``, to which ``training_variance`` is added, up to the factor
            of ``overlap_factor``. Without a jackknife, it is multiplied by this factor.
        """
        known = influence.jackknife
        trained = None if known is None else training_variance(influence.by_repeat, known)
        return add_variances(self.variance(influence), trained, self.overlap)

    def variance(self, influence: AurocInfluence) -> tuple[float, float]:
        """Estimate the variance of an AUROC or of a difference, and its degrees of freedom.

        The models are taken as given, and the folds as independent.

        With the sums a (positive samples) and b (negative samples) of the patients::

            variance = f1 sum(a^2) + f0 sum(b^2) + 2 f sum(a b)

        In one fold this is S10/m + S01/n + 2 S11/(m n) of Obuchowski (1997, Biometrics
        53:567) with her factors f1 = I10 / (I10 - 1), f0 = I01 / (I01 - 1) and
        f = I / (I - 1). With one sample per patient it is the variance of DeLong, DeLong &
        Clarke-Pearson (1988, Biometrics 44:837). Over folds it is the influence-curve
        estimate of LeDell, Petersen & van der Laan (2015, Electronic Journal of
        Statistics 9:1583) with these small-sample factors, with I - n_folds in place of
        I - 1; LeDell's own has none.

        Parameters
        ----------
        influence : AurocInfluence
            From ``influence``, or a difference of two.

        Returns
        -------
        variance, degrees_of_freedom : float
            NaN and 0 if no fold has two patients of one of the classes; 0 and 0 if the
            placement values do not vary.
        """
        if min(self._appearances) <= self.n_folds:
            return np.nan, 0.0
        a, b = influence.positive, influence.negative
        f1, f0, f = (n / (n - self.n_folds) for n in self._appearances)
        variance = float(f1 * (a @ a) + f0 * (b @ b) + 2 * f * (a @ b))
        if variance < _ROUNDING:
            return 0.0, 0.0

        squares = (a + b) ** 2
        lost = self.n_folds * len(a) / self._appearances[2]
        has_positive, has_negative = self._has
        strata = (
            squares[has_positive & ~has_negative],
            squares[has_negative & ~has_positive],
            squares[has_positive & has_negative],
        )
        return variance, degrees_of_freedom(strata, lost)
