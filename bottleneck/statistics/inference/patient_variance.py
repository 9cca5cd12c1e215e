"""The variance of a metric, from the influence of each sample summed by patient."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "add_variances",
    "degrees_of_freedom",
    "overlap_factor",
    "patient_variance",
    "training_variance",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# A variance that is zero but for rounding errors is smaller than this.
_ROUNDING = 1e-30

# The jackknife leaves out that the training sets and the test samples are the same patients, whose
# covariance is positive. This factor makes up for it: benchmarks/power.md has the sizes without.
_COVARIANCE = 1.5


def patient_variance(
    influence: Floats, labels: Ints, strata: Ints, patients: Ints
) -> tuple[float, float]:
    """Estimate the variance of a metric from the influence of its samples.

    The influences are centred within each class and stratum, because the number of samples
    of each is taken as fixed. They are summed by patient and class, and the products of
    these sums are added up over the patients. For the AUROC of one test set the result is
    the variance of Obuchowski (1997, Biometrics 53:567), and with one sample per patient
    that of DeLong, DeLong & Clarke-Pearson (1988, Biometrics 44:837).

    Metrics such as the Brier score, F1 and the average precision depend on the proportions of
    the classes, which are random where patients are sampled. Give all samples the same label
    for them. The influences of a metric that does not change when all weights are doubled sum
    to 0, and centring then changes nothing. The result is the variance of the infinitesimal
    jackknife (Efron 1982, The Jackknife, the Bootstrap and Other Resampling Plans, chapter
    6), with patients as the units.

    Parameters
    ----------
    influence : ndarray of float64, shape (n_samples,)
        Derivatives of the metric with respect to the weights of the samples.
    labels : ndarray of int64, shape (n_samples,)
        Codes of the classes, from 0; 0 for all samples if the class counts are random.
    strata : ndarray of int64, shape (n_samples,)
        Codes, from 0, of the folds or repeats in which the metric is computed before it is
        averaged.
    patients : ndarray of int64, shape (n_samples,)
        Codes of the patients, from 0.

    Returns
    -------
    variance, degrees_of_freedom : float
        NaN and 0 if a class has a single patient per stratum; 0 and 0 if the influences do
        not vary.

    Examples
    --------
    The variance of a mean is s² / n, with n - 1 degrees of freedom:

    >>> import numpy as np
    >>> x = np.array([1.0, 3.0, 2.0, 6.0, 8.0, 4.0])
    >>> same, patients = np.zeros(6, dtype=int), np.arange(6)
    >>> variance, _ = patient_variance((x - x.mean()) / len(x), same, same, patients)
    >>> bool(np.isclose(variance, x.var(ddof=1) / len(x)))
    True
    """
    n_classes, n_strata = int(labels.max()) + 1, int(strata.max()) + 1
    n_patients = int(patients.max()) + 1
    cells = labels * n_strata + strata
    sizes = np.bincount(cells)
    means = np.bincount(cells, influence) / np.maximum(sizes, 1)
    centred = influence - means[cells]
    # Most patients have samples of one class: only the pairs that occur are held.
    pairs, pair = np.unique(patients * n_classes + labels, return_inverse=True)
    sums = np.bincount(pair, centred)
    owner, of_class = np.divmod(pairs, n_classes)

    # A patient counts once in each stratum; every stratum costs one degree of freedom.
    appearances = np.unique(patients * n_strata + strata, return_inverse=True)[1]
    n_appearances = int(appearances.max()) + 1
    counts = np.bincount(np.unique(labels * n_appearances + appearances) // n_appearances)
    used = np.bincount(np.unique(cells) // n_strata)
    present = counts > 0
    if (counts <= used)[present].any():
        return np.nan, 0.0
    factors = np.divide(counts, counts - used, out=np.ones(n_classes), where=present)
    total = np.bincount(owner, sums, n_patients)
    within = np.bincount(of_class, sums**2, n_classes)
    between = float(total @ total - within.sum())
    variance = float(factors @ within) + n_appearances / (n_appearances - n_strata) * between
    if not variance > _ROUNDING:
        return 0.0, 0.0
    lost = n_strata * n_patients / n_appearances
    kinds = _number_sets(owner, of_class)
    order = np.argsort(kinds, kind="stable")
    ends = np.flatnonzero(np.diff(kinds[order])) + 1
    return variance, degrees_of_freedom(np.split(total[order] ** 2, ends), lost)


def _number_sets(owner: Ints, members: Ints) -> Ints:
    """Return the same number for all owners of the same members; both are sorted by owner."""
    starts = np.flatnonzero(np.diff(owner, prepend=-1))
    sizes = np.diff(starts, append=len(owner))
    numbers = members[starts]
    known: dict[bytes, int] = {}
    for n in np.flatnonzero(sizes > 1).tolist():
        key = members[starts[n] : starts[n] + sizes[n]].tobytes()
        numbers[n] = known.setdefault(key, -1 - len(known))
    return numbers


def degrees_of_freedom(strata: Iterable[Floats], lost: float = 1.0) -> float:
    """Estimate the degrees of freedom of a variance that is a sum of squares.

    They are those of Satterthwaite (1946, Biometrics Bulletin 2:110), 2 variance² /
    Var(variance). Each stratum adds to Var(variance) the larger of two values: that of normal
    theory (as in Brunner & Munzel 2000, Biometrical Journal 42:17) and that of the fourth
    moments. Near an AUROC or a proportion of 1 few patients carry all of the variance, so
    that it is poorly known.

    Parameters
    ----------
    strata : iterable of ndarray of float64
        Squares of the patients' contributions, which are centred within each stratum.
    lost : float
        Degrees of freedom that the centring took from each stratum.

    Returns
    -------
    float
        At most the number of patients.

    Examples
    --------
    >>> import numpy as np
    >>> degrees_of_freedom([np.ones(10)])
    9.0
    """
    total = spread = 0.0
    for squares in strata:
        size = len(squares)
        if not size:
            continue
        free = max(size - lost, 1.0)
        variance = float(squares.sum()) * size / free
        fourth = float(squares @ squares - squares.sum() ** 2 / size) * (size / free) ** 3
        total += variance
        spread += max(2 * variance**2 / free, fourth)
    return 2 * total**2 / spread


def overlap_factor(folds: Ints, patients: Ints, *, by_fold: bool = False) -> float:
    """Return the factor by which overlapping training sets raise a variance over folds.

    Nadeau & Bengio (2003, Machine Learning 52:239) add to the variance of the test samples,
    s² / n_test in a fold, that of the training samples, s² / n_train, which all folds share
    because their training sets overlap. A metric that gives the weight w_j to fold j, with a
    sum of 1, then has the variance s² (sum w_j² / n_test_j + sum w_j / n_train_j). The first
    part is what is estimated without regard to the overlap; the factor is the ratio of the
    whole to it.

    Parameters
    ----------
    folds : ndarray of int64, shape (n_samples,)
        Codes of the test folds, from 0; the folds of different repeats have different codes.
    patients : ndarray of int64, shape (n_samples,)
        Codes of the patients, from 0.
    by_fold : bool
        Whether the metric is computed in each fold and averaged with equal weights, like the
        AUROC. Otherwise it is computed from the samples of all folds, like the accuracy, and
        the weights are the sizes of the folds.

    Returns
    -------
    float
        1 + sum n_test_j / n_train_j over the folds of a repeat, or with ``by_fold``
        1 + k (sum 1 / n_train_j) / (sum 1 / n_test_j) for k folds. With folds of one size both
        are 1 + k / (k - 1). Sizes are numbers of patients. 1 for a single fold.

    Examples
    --------
    >>> import numpy as np
    >>> overlap_factor(np.arange(20) % 5, np.arange(20))
    2.25
    >>> unequal = np.repeat([0, 1, 2], [800, 100, 100])
    >>> f"{overlap_factor(unequal, np.arange(1000)):.2f}"
    '5.22'
    >>> f"{overlap_factor(unequal, np.arange(1000), by_fold=True):.2f}"
    '2.02'
    """
    n_folds, n_patients = int(folds.max()) + 1, len(np.unique(patients))
    if n_folds == 1:
        return 1.0
    tested = np.unique(patients * n_folds + folds) % n_folds
    n_test = np.bincount(tested, minlength=n_folds)
    repeats = n_test.sum() / n_patients
    # A fold that tests all patients was trained on others; their number is not known.
    n_train = np.where(n_test < n_patients, n_patients - n_test, n_test)
    weights = np.full(n_folds, 1 / n_folds) if by_fold else n_test / n_test.sum()
    of_training = float((weights / n_train).sum())
    of_test = repeats * float((weights**2 / n_test).sum())
    return float(1 + of_training / of_test)


def training_variance(by_repeat: Floats, jackknife: Floats) -> tuple[float, float]:
    """Estimate the variance that training sets add to a metric over folds.

    Patients of the training sets are left out in parts, as in the delete-a-group jackknife (Kott
    2001, Journal of Official Statistics 17:521), while the test samples stay the same. Its
    variance, times 1.5 for the covariance with the test samples, is added to that of the mean over
    repeats, which depends on how the folds were drawn.

    Parameters
    ----------
    by_repeat : ndarray of float64, shape (n_repeats,)
        The metric in each repeat.
    jackknife : ndarray of float64, shape (n_repeats, n_parts)
        The metric in each repeat of models that were trained without one part of the patients.

    Returns
    -------
    variance, degrees_of_freedom : float
        The degrees of freedom are n_repeats (n_parts - 1).

    Examples
    --------
    Of a mean, the jackknife over parts of one patient has the variance s² / n:

    >>> import numpy as np
    >>> x = np.array([1.0, 3.0, 2.0, 6.0, 8.0, 4.0])
    >>> without = np.array([[np.delete(x, n).mean() for n in range(len(x))]])
    >>> variance, degrees = training_variance(np.array([x.mean()]), without)
    >>> bool(np.isclose(variance, 1.5 * x.var(ddof=1) / len(x))), degrees
    (True, 5.0)
    """
    n_repeats, n_parts = jackknife.shape
    spread = ((jackknife - jackknife.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    variance = _COVARIANCE * (n_parts - 1) / n_parts * float(spread.mean())
    if n_repeats > 1:
        variance += float(by_repeat.var(ddof=1)) / n_repeats
    return variance, float(n_repeats * (n_parts - 1))


def add_variances(
    tested: tuple[float, float], trained: tuple[float, float] | None, overlap: float
) -> tuple[float, float]:
    """Add the variance of the training sets to that of the test samples.

    Parameters
    ----------
    tested : tuple of (float, float)
        The variance of the test samples and its degrees of freedom.
    trained : tuple of (float, float), or None
        Those of ``training_variance``; None where it is not known.
    overlap : float
        The factor of ``overlap_factor``: the largest ratio of the sum to ``tested``, and the ratio
        where ``trained`` is None.

    Returns
    -------
    variance, degrees_of_freedom : float
        The degrees of freedom are those of Satterthwaite (1946), and at most those of ``tested``:
        both variances are estimated from the same patients.

    Examples
    --------
    >>> add_variances((2.0, 20.0), None, 2.25)
    (4.5, 20.0)
    >>> add_variances((2.0, 20.0), (1.0, 5.0), 2.25)
    (3.0, 20.0)
    """
    variance, degrees = tested
    if trained is None or not variance > 0:
        return variance * overlap, degrees
    most = (overlap - 1) * variance
    if trained[0] >= most:
        return variance * overlap, degrees
    total = variance + trained[0]
    return total, min(degrees, total**2 / (variance**2 / degrees + trained[0] ** 2 / trained[1]))
