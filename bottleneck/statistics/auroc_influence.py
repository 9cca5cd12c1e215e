"""Placement values of the AUROC, and the variance of all that is linear in them.

One estimator serves everything: the influence of each patient on the AUROC is summed
over its samples, and the squares of these sums are added up. With one fold and one
sample a patient that is DeLong's variance, with one fold Obuchowski's, with several
folds LeDell's; for a difference, the influences are subtracted first.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from bottleneck.errors import ProtocolError, UsageError

__all__ = [
    "Design",
    "Influence",
    "degrees_of_freedom",
    "encode",
    "find_overlap",
    "zeros_and_ones",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

# What rounding leaves of a variance that is zero is less than this.
_ROUNDING = 1e-30


@dataclasses.dataclass(frozen=True)
class Influence:
    """An AUROC, or a difference of two, and what each patient contributes to it.

    Attributes
    ----------
    value : float
        The AUROC within folds, averaged over the folds.
    positive, negative : ndarray of float64, shape (n_patients,)
        Sums of a patient's influence values over its positive and over its negative
        samples: (placement value - AUROC of the fold) / (samples of the class in the
        fold * number of folds).
    """

    value: float
    positive: Floats
    negative: Floats

    def __sub__(self, other: Influence) -> Influence:
        """Return the difference of two AUROCs on the same samples."""
        return Influence(
            self.value - other.value,
            self.positive - other.positive,
            self.negative - other.negative,
        )


class Design:
    """Which patients of which class were tested in which fold.

    Parameters
    ----------
    y_true : array-like of {0, 1} or bool, shape (n_samples,)
        1 marks the positive class.
    groups : array-like, shape (n_samples,), optional
        Patients; without them every sample is a patient of its own.
    folds : array-like, shape (n_samples,), optional
        Test folds; only samples of one fold are ranked together.

    Attributes
    ----------
    n_folds : int
        Number of folds.
    clustered : bool
        Whether some patient has several samples.
    smaller_class : int
        Number of patients in the class that has fewer.
    pairs : float
        How many disjoint pairs of a positive and a negative patient there are at
        least, every fold counted like the smallest. Patients of unequal numbers of
        samples are counted by their effective number (Kish), (sum n)^2 / sum n^2.
    overlap : float
        From ``find_overlap``.

    Raises
    ------
    UsageError
        If the arrays are not what they should be.
    ProtocolError
        If all samples, or those of one fold, are of one class.
    """

    def __init__(
        self, y_true: ArrayLike, groups: ArrayLike | None = None, folds: ArrayLike | None = None
    ) -> None:
        self.positive = zeros_and_ones("y_true", y_true)
        n = len(self.positive)
        self.patients = np.arange(n) if groups is None else encode("groups", groups, n)
        self.folds = np.zeros(n, dtype=np.int64) if folds is None else encode("folds", folds, n)
        n_patients = int(self.patients.max()) + 1
        self.n_folds = int(self.folds.max()) + 1
        self.clustered = n_patients < n
        self._classes = (self.positive, ~self.positive)
        self._fold_rows = [self.folds == fold for fold in range(self.n_folds)]
        for rows in self._fold_rows:
            if len(np.unique(self.positive[rows])) < 2:
                where = "all samples" if folds is None else "those of one fold"
                raise ProtocolError(
                    f"an AUROC needs samples of both classes to rank, but {where} are of "
                    f"class {int(self.positive[rows][0])}"
                )

        counts = [np.bincount(self.patients[side], minlength=n_patients) for side in self._classes]
        self._has = [count > 0 for count in counts]
        self.smaller_class = int(min(has.sum() for has in self._has))
        everyone = np.ones(n, dtype=bool)
        self.pairs = min(
            self._disjoint_pairs(everyone),
            self.n_folds * min(map(self._disjoint_pairs, self._fold_rows)),
        )
        cells = self.patients * self.n_folds + self.folds
        self._cells = [len(np.unique(cells[rows])) for rows in (*self._classes, everyone)]
        self.overlap = find_overlap(self.folds, self.patients)

    def _disjoint_pairs(self, rows: Bools) -> float:
        counts = [np.bincount(self.patients[rows & side]) for side in self._classes]
        effective = (count.sum() ** 2 / (count**2).sum() for count in counts)
        return max(1.0, min(*effective, len(np.unique(self.patients[rows])) / 2))

    def rank(self, score: ArrayLike) -> Floats:
        """Rank the samples within each fold; equal scores share their mean rank.

        Parameters
        ----------
        score : array-like of float, shape (n_samples,)
            Larger means more of the positive class.

        Returns
        -------
        ndarray of float64, shape (n_samples,)
            From 1 in every fold.

        Raises
        ------
        UsageError
            If the scores are not finite numbers, one a sample.
        """
        values = np.asarray(score)
        if values.shape != self.positive.shape or values.dtype.kind not in "biuf":
            raise UsageError(
                f"score must hold one number for each of the {len(self.positive)} samples, "
                f"not {values.dtype} of shape {values.shape}"
            )
        if not np.isfinite(values).all():
            raise UsageError("score holds values that are not finite")
        ranks = np.empty(len(values))
        for rows in self._fold_rows:
            ranks[rows] = rankdata(values[rows])
        return ranks

    def influence(self, ranks: Floats) -> Influence:
        """Compute the AUROC and every patient's influence on it.

        Placement values come from midranks in O(n log n): Sun & Xu (2014), IEEE Signal
        Processing Letters 21:1389.

        Parameters
        ----------
        ranks : ndarray of float64, shape (n_samples,)
            From ``rank``. Ties count one half.

        Returns
        -------
        Influence
            Of the mean of the folds' AUROCs.
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
        return Influence(float(np.mean(areas)), positive, negative)

    def is_constant(self, ranks: Floats) -> bool:
        """Return whether the ranks of a score tell nobody from anybody in any fold."""
        return all((ranks[rows] == ranks[rows][0]).all() for rows in self._fold_rows)

    def variance(self, influence: Influence) -> tuple[float, float]:
        """Estimate the variance of an AUROC or a difference, and its degrees of freedom.

        With the patients' sums a (positive samples) and b (negative samples)::

            variance = f1 sum(a^2) + f0 sum(b^2) + 2 f sum(a b)

        In one fold that is S10/m + S01/n + 2 S11/(m n) of Obuchowski (1997, Biometrics
        53:567) with her factors f1 = I10 / (I10 - 1), f0 = I01 / (I01 - 1) and
        f = I / (I - 1); with one sample a patient, that of DeLong, DeLong &
        Clarke-Pearson (1988, Biometrics 44:837). Over folds it is the influence-curve
        estimate of LeDell, Petersen & van der Laan (2015, Electronic Journal of
        Statistics 9:1583), with I - folds in place of I - 1.

        Parameters
        ----------
        influence : Influence
            From ``influence``, or a difference of two.

        Returns
        -------
        variance, degrees_of_freedom : float
            The latter from ``degrees_of_freedom``. NaN and 0 where no fold holds two
            patients of one of the classes; 0 and 0 where placement values do not vary.
        """
        if min(self._cells) <= self.n_folds:
            return np.nan, 0.0
        a, b = influence.positive, influence.negative
        f1, f0, f = (cells / (cells - self.n_folds) for cells in self._cells)
        variance = float(f1 * (a @ a) + f0 * (b @ b) + 2 * f * (a @ b))
        if variance < _ROUNDING:
            return 0.0, 0.0

        squares = (a + b) ** 2
        lost = self.n_folds * len(a) / self._cells[2]
        has_positive, has_negative = self._has
        strata = (
            squares[has_positive & ~has_negative],
            squares[has_negative & ~has_positive],
            squares[has_positive & has_negative],
        )
        return variance, degrees_of_freedom(strata, lost)


def find_overlap(folds: Ints, patients: Ints) -> float:
    """Return by how much the overlap of training sets raises a variance over folds.

    Parameters
    ----------
    folds : ndarray of int64, shape (n_samples,)
        Codes of the test folds, from 0, those of different repeats apart.
    patients : ndarray of int64, shape (n_samples,)
        Codes of the patients, from 0.

    Returns
    -------
    float
        1 + k n_test / n_train with k folds a repeat, by which Nadeau & Bengio (2003,
        Machine Learning 52:239) multiply it: 1 + k / (k - 1), or 1 with a single fold.
    """
    n_folds, n_patients = int(folds.max()) + 1, len(np.unique(patients))
    if n_folds == 1:
        return 1.0
    cells = len(np.unique(patients * n_folds + folds))
    folds_a_repeat = max(2.0, n_folds * n_patients / cells)
    return 1 + folds_a_repeat / (folds_a_repeat - 1)


def degrees_of_freedom(strata: Iterable[Floats], lost: float = 1.0) -> float:
    """Estimate the degrees of freedom of a variance that is a sum of squares.

    Satterthwaite's (1946, Biometrics Bulletin 2:110), 2 variance^2 / Var(variance). Each
    stratum adds to Var(variance) what normal theory says (as for Brunner & Munzel 2000,
    Biometrical Journal 42:17) or what the fourth moments say, whichever is more: near an
    AUROC or a proportion of 1 few patients carry all of the variance, and it is poorly
    known.

    Parameters
    ----------
    strata : iterable of ndarray of float64
        Squares of the patients' contributions, each stratum centred on its own.
    lost : float
        Degrees of freedom that the centring took from each stratum.

    Returns
    -------
    float
        At most the number of patients.
    """
    total = spread = 0.0
    for squares in strata:
        size = len(squares)
        if not size:
            continue
        free = max(size - lost, 1.0)
        part = float(squares.sum()) * size / free
        fourth = float(squares @ squares - squares.sum() ** 2 / size) * (size / free) ** 3
        total += part
        spread += max(2 * part**2 / free, fourth)
    return 2 * total**2 / spread


def zeros_and_ones(name: str, values: ArrayLike) -> Bools:
    """Return an array of zeros and ones, or of booleans, as booleans.

    Parameters
    ----------
    name : str
        Name of the argument, for the message.
    values : array-like of {0, 1} or bool, shape (n_samples,)
        What came.

    Returns
    -------
    ndarray of bool, shape (n_samples,)
        True where there was a 1.

    Raises
    ------
    UsageError
        If it is empty, not one-dimensional or holds anything else.
    """
    array = np.asarray(values)
    if array.ndim != 1 or not len(array):
        raise UsageError(
            f"{name} must be one-dimensional and not empty, not of shape {array.shape}"
        )
    if array.dtype.kind not in "biuf" or not np.isin(array, (0, 1)).all():
        raise UsageError(f"{name} must hold only 0 and 1, or booleans")
    return array.astype(bool)


def encode(name: str, values: ArrayLike, n: int) -> Ints:
    """Number the distinct values of an array of patients or folds from 0.

    Parameters
    ----------
    name : str
        Name of the argument, for the message.
    values : array-like, shape (n,)
        Names or numbers.
    n : int
        Number of samples.

    Returns
    -------
    ndarray of int64, shape (n,)
        The same code where there was the same value.

    Raises
    ------
    UsageError
        If there is not one value a sample, or one is missing.
    """
    array = np.asarray(values)
    if array.shape != (n,):
        raise UsageError(
            f"{name} must hold one value for each of the {n} samples, not be of shape {array.shape}"
        )
    names = array.astype(str) if array.dtype.kind in "fO" else array
    if names.dtype.kind in "SUT":
        missing = int(np.isin(names.astype(str), ("", "None", "nan", "<NA>")).sum())
        if missing:
            raise UsageError(f"{name} names nothing for {missing} of the {n} samples")
    return np.unique(names, return_inverse=True)[1].astype(np.int64)
